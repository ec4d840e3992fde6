"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from moltler.cli.main import VERSION
from moltler.codes import CODES

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = sorted((ROOT / "src").rglob("*.js"))
MOST_LINES = 500
MOST_SCRIPT_LINES = 500


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_is_one_noun_and_no_longer_than_it_can_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_of_ours_is_no_longer_than_it_can_be_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_SCRIPT_LINES


@pytest.mark.parametrize(
    "path",
    [p for p in SOURCES if p.name == "__init__.py" and p.parent.name != "moltler"],
    ids=name_of,
)
def test_packages_hold_no_code(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


def test_every_error_code_is_raised_somewhere() -> None:
    text = "\n".join(p.read_text(encoding="utf-8") for p in SOURCES if p.name != "codes.py")
    families = "|".join(sorted({code[:3] for code in CODES}))
    used = set(re.findall(rf"\b(?:{families})\d{{3}}\b", re.sub(r"# noqa.*", "", text)))
    used.discard("INT128")  # an engine type
    assert set(CODES) - used == set()
    assert used - set(CODES) == set()


def test_the_version_is_told_once() -> None:
    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    assert declared[1] == VERSION


def test_nothing_ties_the_project_to_one_machine() -> None:
    tied = re.compile(r"(?<![\w/.])/(?:work|tmp|root|home)/\w")
    places = [*SOURCES, *SCRIPTS, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    places += [*(ROOT / "examples").rglob("*.*"), *(ROOT / "connectors").rglob("*.*")]
    places += [*(ROOT / "scripts").glob("*.py")]
    found = [name_of(p) for p in places if tied.search(p.read_text(encoding="utf-8"))]
    assert found == []
