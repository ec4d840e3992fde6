"""The pages of docs/ are fresh, their links lead somewhere, what they show is what happens.

That their SQL runs is tested in `test_readme`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import moltler
from moltler.demo.server import DemoServer
from moltler.errors import HandlerError, Source
from moltler.lang.parser import parse

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md"))
STATEMENTS: list[dict[str, Any]] = tomllib.loads(
    (DOCS / "reference/statements.toml").read_text(encoding="utf-8")
)["statement"]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Give the blocks of a page that are marked with a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def generate(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "scripts/generate_docs.py"), *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The generator and its sources in a folder of their own."""
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copytree(ROOT / "src/moltler/explanations", tmp_path / "src/moltler/explanations")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/generate_docs.py", tmp_path / "scripts")
    return tmp_path


def test_generated_pages_are_fresh() -> None:
    done = generate(ROOT, "--check")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_check_names_pages_that_were_edited_or_belong_to_nothing(copy: Path) -> None:
    with (copy / "docs/errors/CAT002.md").open("a", encoding="utf-8") as page:
        page.write("More.\n")
    (copy / "docs/errors/XYZ001.md").write_text("# Old\n", encoding="utf-8")

    done = generate(copy, "--check")

    assert done.returncode == 1
    assert done.stdout == "stale: docs/errors/CAT002.md\nstale: docs/errors/XYZ001.md\n"


def test_generating_makes_what_is_missing_and_is_then_done(copy: Path) -> None:
    (copy / "docs/reference/functions.md").unlink()

    assert generate(copy).stdout == "docs/reference/functions.md\n"
    assert generate(copy, "--check").returncode == 0


def test_a_code_without_explanation_fails(copy: Path) -> None:
    (copy / "src/moltler/explanations/CAT002.md").unlink()

    done = generate(copy, "--check")

    assert done.returncode == 1
    assert "`CAT002` has no explanation" in done.stderr


@pytest.mark.parametrize(
    ("name", "line", "complaint"),
    [
        ("statements", 'nodes = ["Describe"]', "Describe has no section"),
        ("functions", 'TRIM = ["', "TRIM has no line"),
        ("options", '["`memory_mb`", "256"', "memory_mb has no row"),
    ],
)
def test_a_statement_function_or_option_without_description_fails(
    copy: Path, name: str, line: str, complaint: str
) -> None:
    source = copy / f"docs/reference/{name}.toml"
    lost = {"statements": "nodes = []", "functions": 'RTRIM2 = ["', "options": '["", "256"'}[name]
    text = source.read_text(encoding="utf-8").replace(line, lost)
    source.write_text(text.replace("`memory_mb`", ""), encoding="utf-8")

    done = generate(copy, "--check")

    assert done.returncode == 1
    assert f"{complaint} in docs/reference/{name}.toml" in done.stderr


@pytest.mark.parametrize("section", STATEMENTS, ids=lambda s: s["title"])
def test_example_of_a_statement_is_read_as_that_statement(section: dict[str, Any]) -> None:
    read = repr(parse(Source("example", section["example"])).statements)

    assert any(f"{node}(" in read for node in section["nodes"])


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_to_files_and_headings_that_exist(path: str) -> None:
    broken: list[str] = []
    for link in LINK.findall(re.sub(r"^```.*?^```$", "", text_of(path), flags=re.M | re.S)):
        target, _, anchor = link.partition("#")
        file = (ROOT / path).parent / target if target else ROOT / path
        if not file.is_file() or (anchor and anchor not in anchors(file.read_text("utf-8"))):
            broken.append(link)

    assert broken == []


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [DOCS / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        waiting += [
            page.parent / link.partition("#")[0] for link in LINK.findall(page.read_text("utf-8"))
        ]

    decisions = set((DOCS / "decisions").glob("0*.md"))
    assert set(DOCS.rglob("*.md")) - seen - decisions == set()


@pytest.mark.parametrize("path", PAGES)
def test_pages_name_no_machine_and_no_registry(path: str) -> None:
    found = re.findall(
        r"/(?:root|home|tmp|work)/\S*|\b\S*(?:pypi|npmjs|jsr|crates)\.\S+", text_of(path)
    )

    assert found == []


@pytest.mark.usefixtures("shop")
def test_push_down_guide_shows_what_the_handler_is_told(session: moltler.Session) -> None:
    guide = text_of("docs/guides/push-down.md")
    session.execute(text_of("src/moltler/demo/shop.moltler")).close()
    session.execute(
        """
        CREATE OR REPLACE CONNECTOR ENTITY 'shop.items'
        FIELDS {"id": {"type": "string", "primary_key": true}, "name": {"type": "string"},
                "status": {"type": "string"}, "price": {"type": "number"}}
        QUERY_HANDLER '''
        async function query(config, filters, options) {
            throw new Error(JSON.stringify({filters, options}));
        }
        ''';
        REGISTER CONNECTOR TYPE 'shop';
        """
    ).close()

    with pytest.raises(HandlerError) as told, session.execute(blocks(guide, "sql")[0]) as result:
        list(result.rows())

    assert json.loads(told.value.message) == json.loads(blocks(guide, "json")[0])


def test_the_python_guide_prints_what_the_shop_has(
    home: Path,
    shop: DemoServer,
    session: moltler.Session,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MOLTLER_HOME", str(home))
    session.execute(text_of("src/moltler/demo/shop.moltler")).close()

    guide = "\n".join(blocks(text_of("docs/guides/python.md"), "python"))
    exec(compile(guide, "python.md", "exec"), {})

    printed = capsys.readouterr().out
    assert printed.splitlines()[:3] == [
        f"{row['id']} {row['name']} {row['price']}" for row in shop.api.shop.rows("items")[:3]
    ]
    assert "[('Walnut Rug',)]" in printed
    assert "200 ['status', 'price']" in printed
    assert "item-201" in printed
    assert "PLN002 there is no column `nme`" in printed
