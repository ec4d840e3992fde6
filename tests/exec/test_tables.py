"""Names of one connection whose sources change from query to query."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from moltler.errors import MoltlerError
from moltler.exec.duck import Connection, Engine
from moltler.exec.sources import Kept


def source(**columns: Any) -> Kept:
    table = pa.table(columns)
    return Kept(table.schema, table.to_batches())


def rows(connection: Connection, sql: str = "SELECT * FROM scan_0") -> list[dict[str, Any]]:
    return [row for batch in connection.query(sql, {}).batches() for row in batch.to_pylist()]


def test_a_name_shows_the_rows_that_were_put_there_last() -> None:
    engine = Engine()
    for ids in ([1, 2], [3], []):
        with engine.open() as connection:
            connection.register("scan_0", source(id=pa.array(ids, pa.int64())), {})
            assert rows(connection) == [{"id": i} for i in ids]
    engine.close()


def test_a_name_may_get_other_columns_and_documents() -> None:
    engine = Engine()
    first = source(doc=['{"a": 1}'], id=[1])
    cases = [
        (first, {"doc": False}, "SELECT doc.a::INT AS a, id FROM scan_0", {"a": 1, "id": 1}),
        (first, {}, "SELECT doc, id FROM scan_0", {"doc": '{"a": 1}', "id": 1}),
        (first, {"doc": False}, "SELECT doc.a::INT AS a FROM scan_0", {"a": 1}),
        (source(id=["x"]), {}, "SELECT * FROM scan_0", {"id": "x"}),
        (source(l=["[1, 2]"]), {"l": True}, "SELECT len(l) AS n FROM scan_0", {"n": 2}),
        (source(id=[7], **{'an "odd" one': [1]}), {}, "SELECT * FROM scan_0",
         {"id": 7, 'an "odd" one': 1}),
    ]  # fmt: skip
    for given, variants, sql, expected in cases:
        with engine.open() as connection:
            connection.register("scan_0", given, variants)
            assert rows(connection, sql) == [expected]
    engine.close()


def test_rows_of_an_earlier_query_are_let_go_and_never_read() -> None:
    engine = Engine()
    with engine.open() as connection:
        connection.register("scan_0", source(id=[1]), {})
        assert rows(connection) == [{"id": 1}]
    with engine.open() as connection:
        connection.register("scan_1", source(id=[2]), {})
        assert rows(connection, "SELECT * FROM scan_1") == [{"id": 2}]
        with pytest.raises(MoltlerError):
            rows(connection)
    engine.close()
