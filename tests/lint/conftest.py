from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from moltler.errors import Source
from moltler.lint.finding import Finding
from moltler.lint.scripts import lint_scripts
from moltler.session.definitions import read_beside
from support.reference_page import ReferencePage, read_page

Lint = Callable[[str], tuple[Finding, ...]]
HEAD = """\
CREATE CONNECTOR TYPE 'shop'
DESCRIPTION 'Items and orders of a shop'
CONFIG_SCHEMA {
    "api_url": {"type": "string", "required": true, "description": "Where it answers"},
    "api_key": {"type": "string", "secret": true, "description": "Of your account"}
};
"""
ENTITY = """\
CREATE CONNECTOR ENTITY 'shop.items'
DESCRIPTION 'What is sold'
FIELDS {"id": {"type": "string", "primary_key": true, "description": "Its number"},
        "size": {"type": "integer", "description": "In centimetres"}}
QUERY_HANDLER '''
"""
ACTION = """\
CREATE CONNECTOR ACTION 'shop.items.change'
DESCRIPTION 'Changes an item'
PARAMETERS {"id": {"type": "string", "description": "Its number"},
            "size": {"type": "integer", "description": "In centimetres"}}
HANDLER '''
"""
TESTS = """
TEST CONNECTOR TYPE 'shop' NAME 'failures have names'
MOCK_API {"* /**": {"body": {"items": []}}}
FAULTS [{"on": 1, "fault": "status", "status": 429}]
BEGIN
    CREATE CONNECTOR api TYPE 'shop' CONFIG {"api_url": "mock://", "api_key": "test"};
    ASSERT RAISES BEGIN SELECT * FROM api.items; END;
    CONNECTOR_EXEC api.items.change(id => '1');
END TEST;
"""


def in_type(text: str) -> str:
    """Put a handler into a type that is otherwise as it should be; a script stays as it is."""
    if text.lstrip().startswith(("CREATE", "TEST", "--")):
        return text if "CONNECTOR TYPE 'shop'" in text else HEAD + text + TESTS
    around = ACTION if "execute(" in text else ENTITY
    return f"{HEAD}{around}{text}''';{TESTS}"


@pytest.fixture
def lint() -> Lint:
    """Judges a handler, or a whole script."""

    def judge(text: str) -> tuple[Finding, ...]:
        return lint_scripts([Source("shop.moltler", in_type(text))], read_beside)

    return judge


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes files into a folder of the test, which is the current one."""
    monkeypatch.chdir(tmp_path)

    def written(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.fixture(params=["own words", "reference page"])
def page(request: pytest.FixtureRequest) -> ReferencePage:
    """The reference page: in our words, and its own text where that is at hand."""
    if request.param == "own words":
        return read_page(Path(__file__).parent.parent / "fixtures/reference/own_words.txt")
    path = os.environ.get("MOLTLER_REFERENCE_PAGE")
    if not path:
        pytest.skip("MOLTLER_REFERENCE_PAGE is not set")
    return read_page(Path(path))
