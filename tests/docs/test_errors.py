"""Every error code has a page that helps, in the words that the program knows."""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

import pytest

from moltler.cli.main import COMMANDS, LATER, run
from moltler.codes import CODES
from moltler.errors import ParseError, Source
from moltler.exec.functions import FUNCTIONS
from moltler.lang.parser import parse
from moltler.render.text import error_lines

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "src/moltler/explanations"
SECTIONS = ["## Why it happens", "## Example", "## What to do"]

# Capitals that are no keywords of the language: abbreviations, SQL, JavaScript and shell.
NAMES = {
    "AND", "API", "AS", "ATTACH", "BY", "CAST", "CODE", "COPY", "DELETE", "DIR", "GET", "HTML",
    "HTTP", "ID", "INSERT", "INT32", "INTEGER", "IS", "ISO", "JOIN", "JSON", "LOAD", "MB", "METHOD",
    "NOT", "NULL", "OFFSET", "OR", "PEM", "PRAGMA", "SHOP_URL", "SQL", "TLS", "TRUE", "TRY_CAST",
    "UNION", "UNKNOWN", "UPDATE", "URL", "UTC", "UTF",
}  # fmt: skip


def page(code: str) -> str:
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def keywords() -> set[str]:
    """Give every word in capitals that statements, functions and commands are made of."""
    reference = ROOT / "docs/reference"
    statements = tomllib.loads((reference / "statements.toml").read_text(encoding="utf-8"))
    texts = [s["syntax"] + s["title"] + s["example"] for s in statements["statement"]]
    texts += [*FUNCTIONS]
    return {word for text in texts for word in re.findall(r"\b[A-Z][A-Z_]+\b", text)}


def test_every_page_belongs_to_a_code() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_page_says_what_why_example_and_remedy(code: str) -> None:
    text = page(code)
    title, _, body = text.partition("\n")
    meaning, *parts = re.split(r"^## .*$", body, flags=re.MULTILINE)
    causes, example, remedy = parts

    assert title == f"# {code} {CODES[code].type}: {CODES[code].summary}"
    assert re.findall(r"^## .*$", body, flags=re.MULTILINE) == SECTIONS
    assert len(meaning.split()) >= 10
    assert "\n- " in causes
    assert re.search(rf"^    error\[{code}\]: .+", example, flags=re.MULTILINE)
    assert "\n- " in remedy


@pytest.mark.parametrize("code", [f"SYN00{n}" for n in range(1, 8)])
def test_example_of_a_syntax_error_is_what_the_parser_says(code: str) -> None:
    _, _, rest = page(code).partition("## Example\n")
    example = textwrap.dedent(rest.partition("\n## ")[0]).strip()
    script, _, printed = example.partition("\nerror[")

    with pytest.raises(ParseError) as found:
        parse(Source("shop.moltler", script.strip()))

    shown = "\n".join(line.plain for line in error_lines(found.value))
    assert shown == f"error[{printed}"


@pytest.mark.parametrize("code", CODES)
def test_page_fits_on_a_screen(code: str) -> None:
    lines = page(code).splitlines()

    assert 12 <= len(lines) <= 40
    assert max(len(line) for line in lines[1:]) <= 100


@pytest.mark.parametrize("code", CODES)
def test_page_names_only_commands_that_exist(code: str) -> None:
    known = {*COMMANDS, *LATER}
    # The example of a misspelled command is about that.
    named = set(re.findall(r"(?<!\.)\bmoltler ([a-z]+)\b", page(code))) - {"qurey"}

    assert named <= known


@pytest.mark.parametrize("code", CODES)
def test_page_names_only_keywords_that_exist(code: str) -> None:
    text = re.sub(r"\b(MOLTLER|ALLOWED)_[A-Z_]+\b", "", page(code))
    text = re.sub(r"\b[A-Z]{3}\d{3}\b", "", text)
    text = re.sub(r"`[^`\n]*\*\*[^`\n]*`", "", text)

    assert set(re.findall(r"\b[A-Z][A-Z_]+\b", text)) <= keywords() | NAMES | {"CONNECTORS"}


@pytest.mark.parametrize("code", CODES)
def test_page_refers_only_to_codes_and_files_that_exist(code: str) -> None:
    text = page(code)

    assert set(re.findall(r"\b[A-Z]{3}\d{3}\b", text)) <= set(CODES)
    assert all((ROOT / path).exists() for path in re.findall(r"\bdocs/[\w/.-]+\.md\b", text))


def test_explain_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["explain", "cat002"])

    assert (status, capsys.readouterr().out) == (0, page("CAT002"))


def test_explain_of_an_unknown_code_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["--json", "explain", "CAT02"])

    assert status == 2
    assert "did you mean" in capsys.readouterr().err
