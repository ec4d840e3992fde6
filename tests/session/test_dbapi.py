"""The interface of PEP 249 over the production path (LANGUAGE §13)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moltler import dbapi

DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {"id": {"type": "integer", "primary_key": true}, "name": {"type": "string"},
        "made": {"type": "timestamp"}}
QUERY_HANDLER 'function* query() { for (let i = 0; i < 5; i++)
    yield {id: i, name: "n" + i, made: new Date(i)}; }';
CREATE CONNECTOR ENTITY 'shop.broken' FIELDS {"id": {"type": "integer"}}
QUERY_HANDLER 'function query(config, filters) {
    if (filters.id === 1) throw new Error("no"); return filters.id === 2 ? 7 : [{id: "x"}]; }';
CREATE CONNECTOR ACTION 'shop.items.create' PARAMETERS {"name": {"type": "string"}}
HANDLER 'function execute(config, params) { return {made: params.name}; }';
REGISTER CONNECTOR TYPE 'shop'; CREATE CONNECTOR s TYPE 'shop'
"""


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dbapi.Connection]:
    with dbapi.connect(tmp_path_factory.mktemp("home")) as opened:
        opened.cursor().execute(DEFINITION)
        yield opened


def test_the_module_says_what_it_is() -> None:
    assert (dbapi.apilevel, dbapi.threadsafety, dbapi.paramstyle) == ("2.0", 1, "qmark")


def test_rows_are_fetched_one_by_one_in_lots_and_all(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    assert not cursor.description
    cursor.execute("SELECT id, name FROM s.items WHERE id >= ? ORDER BY id", (1,))
    assert [d[:2] for d in cursor.description or ()] == [("id", "integer"), ("name", "string")]
    assert {len(d) for d in cursor.description or ()} == {7}
    assert (cursor.fetchone(), cursor.rowcount) == ((1, "n1"), -1)
    assert (cursor.fetchmany(), cursor.fetchmany(2)) == ([(2, "n2")], [(3, "n3"), (4, "n4")])
    assert (cursor.fetchall(), cursor.fetchone(), cursor.rowcount) == ([], None, 4)


def test_type_objects_tell_the_types_of_columns_apart(connection: dbapi.Connection) -> None:
    cursor = connection.cursor().execute("SELECT id, name, made FROM s.items")
    codes = [d[1] for d in cursor.description or ()]
    kinds = (dbapi.NUMBER, dbapi.STRING, dbapi.DATETIME)
    assert [[kind == code for kind in kinds] for code in codes] == [
        [True, False, False], [False, True, False], [False, False, True],
    ]  # fmt: skip
    assert next(iter(cursor))[2] == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_text_runs_once_for_each_sequence_of_parameters(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    text = "CONNECTOR_EXEC s.items.create(name => ?)"
    cursor.executemany(text, [("a",), ("b",)])
    with pytest.raises(dbapi.InterfaceError):
        cursor.fetchone()
    assert cursor.execute(text, ["c"]).fetchall() == [({"made": "c"},)]


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("SELEC 1", dbapi.ProgrammingError, "SYN001"),
        ("SELECT * FROM nope.items", dbapi.ProgrammingError, "CAT001"),
        ("SELECT nope FROM s.items", dbapi.ProgrammingError, "PLN002"),
        ("SELECT 1, ?", dbapi.ProgrammingError, "PLN005"),
        ("SELECT * FROM s.broken WHERE id = 1", dbapi.OperationalError, "JSR001"),
        ("SELECT * FROM s.broken WHERE id = 2", dbapi.DataError, "JSR004"),
        ("SELECT * FROM s.broken WHERE id = 3", dbapi.DataError, "JSR005"),
        ("ASSERT 1 = 2", dbapi.DatabaseError, "TST001"),
    ],
)
def test_errors_have_the_class_of_their_code(
    connection: dbapi.Connection, text: str, kind: type[dbapi.Error], code: str
) -> None:
    with pytest.raises(dbapi.Error) as caught:
        connection.cursor().execute(text).fetchall()
    assert type(caught.value) is kind
    assert caught.value.cause is not None
    assert caught.value.cause.code == code
    assert str(caught.value).startswith(f"{code}: ")
    assert getattr(connection, kind.__name__) is kind


def test_there_are_no_transactions(connection: dbapi.Connection) -> None:
    connection.commit()
    with pytest.raises(dbapi.NotSupportedError):
        connection.rollback()


def test_what_was_closed_is_refused(tmp_path: Path) -> None:
    connection = dbapi.connect(tmp_path)
    cursor, other = connection.cursor(), connection.cursor()
    cursor.execute("SELECT 1")
    cursor.close()
    for attempt in (cursor.fetchone, lambda: cursor.execute("SELECT 1"), other.fetchone):
        with pytest.raises(dbapi.InterfaceError):
            attempt()
    connection.close()
    connection.close()
    for attempt in (connection.cursor, connection.commit, lambda: other.execute("SELECT 1")):
        with pytest.raises(dbapi.InterfaceError):
            attempt()


def test_parameters_are_a_sequence_and_times_are_aware(connection: dbapi.Connection) -> None:
    for bad in ("text", {"a": 1}):
        with pytest.raises(dbapi.InterfaceError):
            connection.cursor().execute("SELECT ?", bad)  # type: ignore[arg-type] # the point
    moment = dbapi.Timestamp(2024, 5, 6, 7, 8, 9)
    assert connection.cursor().execute("SELECT ?", [moment]).fetchone() == (moment,)
    assert dbapi.TimestampFromTicks(0) == datetime(1970, 1, 1, tzinfo=UTC)
