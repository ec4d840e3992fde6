"""An engine broken on purpose turns the tests of connectors red."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import moltler
from moltler.errors import Source
from moltler.exec.duck import Connection
from moltler.exec.scan import ScanSource
from moltler.net.routes_keys import RouteKey
from testing.conftest import CREATE, TYPE

TESTS = f"""
TEST CONNECTOR TYPE 'shop' NAME 'rows arrive'
MOCK_API {{"GET /items": {{"body": [{{"id": "1"}}, {{"id": "2"}}]}}}}
BEGIN {CREATE}
    ASSERT ARRAY_LENGTH((SELECT * FROM c.items)) = 2;
END TEST;

TEST CONNECTOR TYPE 'shop' NAME 'conditions hold although the API ignores them'
MOCK_API {{"GET /items": {{"body": [{{"id": "1", "status": "new"}}, {{"id": "2"}}]}}}}
BEGIN {CREATE}
    ASSERT ARRAY_LENGTH((SELECT * FROM c.items WHERE status = 'new')) = 1;
END TEST;

TEST CONNECTOR TYPE 'shop' NAME 'each address has its own answer'
MOCK_API {{"GET /articles": {{"body": []}}, "GET /items": {{"body": [{{"id": "1"}}]}}}}
BEGIN {CREATE}
    ASSERT ARRAY_LENGTH((SELECT * FROM c.items)) = 1;
END TEST;
"""


def verdicts(session: moltler.Session) -> dict[str, str]:
    collection = session.collect_tests([Source("shop.moltler", TYPE + TESTS)])
    return {t.name: session.run_test(t, collection).status for t in collection.tests}


def test_the_engine_as_it_is_passes(shared: moltler.Session) -> None:
    assert set(verdicts(shared).values()) == {"passed"}


def lose_every_row(patch: pytest.MonkeyPatch) -> None:
    def nothing(*_: Any) -> Iterator[Any]:
        return iter(())

    patch.setattr(ScanSource, "pages", nothing)
    patch.setattr(ScanSource, "_guarded", nothing)


def trust_the_handler(patch: pytest.MonkeyPatch) -> None:
    query = Connection.query

    def without_where(self: Connection, sql: str, *more: Any) -> Any:
        return query(self, re.sub(r" WHERE .*?(?= ORDER BY| LIMIT|$)", "", sql), *more)

    patch.setattr(Connection, "query", without_where)


def answer_anything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RouteKey, "matches", lambda *_: True)


@pytest.mark.parametrize(
    ("sabotage", "caught_by"),
    [
        (lose_every_row, "rows arrive"),
        (trust_the_handler, "conditions hold although the API ignores them"),
        (answer_anything, "each address has its own answer"),
    ],
)
def test_a_broken_engine_turns_a_test_red(
    shared: moltler.Session,
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[pytest.MonkeyPatch], None],
    caught_by: str,
) -> None:
    sabotage(monkeypatch)
    assert verdicts(shared)[caught_by] == "failed"
