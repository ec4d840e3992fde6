"""Every rule has a page; what it calls wrong is found, and what it advises is not."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from lint.conftest import Lint
from moltler.cli.main import run
from moltler.lint.rules import RULES

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "src/moltler/explanations/lint"


def page(code: str) -> str:
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def block(section: str) -> str:
    lines = [line for line in section.split("\n") if line.startswith("    ") or not line.strip()]
    return textwrap.dedent("\n".join(lines)).strip() + "\n"


def test_every_page_belongs_to_a_rule() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(RULES)


@pytest.mark.parametrize("code", RULES)
def test_a_page_says_what_why_and_how_and_fits_on_a_screen(code: str) -> None:
    text = page(code)

    assert text.startswith(f"# {code} {RULES[code].severity}: {RULES[code].summary}\n")
    heads = re.findall(r"^## .*$", text, flags=re.MULTILINE)
    assert heads == ["## Why it is a rule", "## Example", "## What to do"]
    assert len(text.splitlines()) <= 60
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize("code", RULES)
def test_the_example_breaks_the_rule_and_the_remedy_keeps_every_rule(code: str, lint: Lint) -> None:
    _, _, rest = page(code).partition("## Example\n")
    example, _, remedy = rest.partition("\n## What to do\n")

    assert code in {f.code for f in lint(block(example))}
    assert code not in {f.code for f in lint(block(remedy))}
    # What is shown as right breaks no other rule badly, either.
    assert [str(f) for f in lint(block(remedy)) if f.severity == "error"] == []


def test_explain_prints_the_page_of_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["explain", "lnt013"])

    assert (status, capsys.readouterr().out) == (0, page("LNT013"))


def test_explain_lists_rules_after_errors(capsys: pytest.CaptureFixture[str]) -> None:
    run(["explain"])

    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed[-len(RULES) :] == list(RULES)
