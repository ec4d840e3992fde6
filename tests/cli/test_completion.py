"""What Tab offers in the shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

import moltler
from cli.conftest import Cli
from moltler.cli.prompt import CatalogCompleter, is_complete


@pytest.fixture
def completer(shop: Cli, home: Path) -> Iterator[CatalogCompleter]:
    assert shop("query", "SHOW CONNECTORS").status == 0
    with moltler.connect(home) as session:
        yield CatalogCompleter(session)


def offered(completer: CatalogCompleter, text: str) -> list[str]:
    """Give what Tab offers where ``|`` stands."""
    before, _, after = text.partition("|")
    document = Document(before + after, len(before))
    return [c.text for c in completer.get_completions(document, CompleteEvent())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sho|", ["SHOW CONNECTORS", "SHOW CONNECTOR"]),
        ("SELECT * FROM my|", ["my_shop"]),
        ("SELECT * FROM my_shop.|", ["my_shop.items", "my_shop.pages", "my_shop.items.create"]),
        ("CONNECTOR_EXEC my_shop.items.c|", ["my_shop.items.create"]),
        ("SELECT na| FROM my_shop.items", ["name"]),
        ("SELECT * FROM my_shop.items WHERE pr|", ["price"]),
        ("SELECT * FROM MY_SHOP.ITEMS WHERE pr|", ["price"]),
        ("SELECT pr|", ["price"]),
        ("SELECT i.na| FROM my_shop.items i", ["i.name"]),
        ("SELECT items.na| FROM my_shop.items", ["items.name"]),
    ],
)
def test_tab_offers_what_may_stand_there(
    completer: CatalogCompleter, text: str, expected: list[str]
) -> None:
    found = offered(completer, text)
    assert set(expected) <= set(found)


def test_fields_of_other_entities_are_not_offered(completer: CatalogCompleter) -> None:
    assert "price" not in completer.candidates("SELECT  FROM my_shop.pages", "")
    assert "price" in completer.candidates("SELECT  FROM my_shop.items", "")


def test_home_that_cannot_be_read_offers_statements(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"not a catalog" * 1000)
    with moltler.connect(tmp_path) as session:
        assert "SHOW CONNECTORS" in offered(CatalogCompleter(session), "show|")


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT ';", False),
        ("CREATE CONNECTOR ENTITY 'a.b' FIELDS {} QUERY_HANDLER '''\nlet a;", False),
        ("/* a;", False),
        ("SELEC 1;", True),
        ("exit", True),
        ("", True),
    ],
)
def test_enter_sends_only_whole_statements(text: str, *, complete: bool) -> None:
    assert is_complete(text) is complete
