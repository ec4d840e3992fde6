"""Results as Python values, Arrow and data frames (LANGUAGE §3.2, §6.7, §13)."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exec.conftest import Bench
from moltler.exec.export import write_arrow, write_parquet
from moltler.exec.result import Result
from moltler.flow.result import ActionResult, Column, Done, Table
from support.handlers import PythonHandlers, entity

NONE = PythonHandlers({})


def select(bench: Bench, sql: str) -> Result:
    return bench.start(NONE, f"SELECT {sql}")


@pytest.mark.parametrize(
    ("sql", "type_", "value"),
    [
        ("'x'", "string", "x"),
        ("1::TINYINT", "integer", 1),
        ("9223372036854775807", "integer", 9223372036854775807),
        ("sum(x) FROM (VALUES (9223372036854775807), (1)) t(x)", "integer", 9223372036854775808),
        ("18446744073709551615::UBIGINT", "integer", 18446744073709551615),
        ("1.10::DECIMAL(10,2)", "number", Decimal("1.10")),
        ("1.5::FLOAT", "number", 1.5),
        ("'nan'::DOUBLE", "number", None),
        ("'-infinity'::DOUBLE", "number", None),
        ("true", "boolean", True),
        ("DATE '2024-05-01'", "date", date(2024, 5, 1)),
        ("TIMESTAMP '2024-05-01 12:00:00'", "timestamp", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("TIMESTAMPTZ '2024-05-01 14:00:00+02'", "timestamp", datetime(2024, 5, 1, 12, tzinfo=UTC)),
        ("INTERVAL 1 DAY", "string", "1 day"),
        ("TIME '01:02:03'", "string", "01:02:03"),
        ("{'a': 1, 'b': [true]}", "document", {"a": 1, "b": [True]}),
        ("MAP {'k': 1}", "document", {"k": 1}),
        ("'{\"big\": 12345678901234567}'::JSON::VARIANT", "any", {"big": 12345678901234567}),
        ("[1, NULL]", "array", [1, None]),
        ("['a'::VARIANT, 1::VARIANT]", "array", ["a", 1]),
        ("[[1], [2]]", "array", [[1], [2]]),
        ("NULL", "string", None),
    ],
)
def test_every_sql_type_has_a_border_type(bench: Bench, sql: str, type_: str, value: Any) -> None:
    result = select(bench, sql)
    assert [c.type for c in result.columns] == [type_]
    assert list(result.rows()) == [(value,)]


def test_repeated_names_are_numbered(bench: Bench) -> None:
    result = select(bench, "1 AS id, 2 AS id, 3 AS id_1, 4 AS id")
    assert list(result.dicts()) == [{"id": 1, "id_2": 2, "id_1": 3, "id_3": 4}]


def test_sorted_documents_keep_their_order(bench: Bench) -> None:
    result = select(bench, "{'n': x} AS d FROM range(3000) t(x) ORDER BY x DESC")
    documents = [row["d"] for row in result.dicts()]
    assert documents == [{"n": n} for n in range(2999, -1, -1)]


def test_arrow_streams_and_documents_are_json_text(bench: Bench) -> None:
    reader = select(bench, "1 AS id, {'a': 1} AS d").arrow()
    assert reader.schema == pa.schema({"id": pa.int64(), "d": pa.string()})
    assert reader.read_all().to_pylist() == [{"id": 1, "d": '{"a":1}'}]


def test_an_error_comes_out_of_the_arrow_reader_as_itself(bench: Bench) -> None:
    failing = entity("items", "id integer key", [{}])
    handlers = PythonHandlers({"shop": [failing]})
    result = bench.start(handlers, "SELECT * FROM t", handlers.request("t", "shop.items"))
    with pytest.raises(Exception, match="`id` is NULL"):
        result.arrow().read_all()


def test_a_data_frame_has_the_rows(bench: Bench) -> None:
    frame = select(bench, "* FROM (VALUES (1, 'a'), (2, 'b')) t(id, name)").df()
    assert frame.to_dict("records") == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


def test_rows_are_read_once(bench: Bench) -> None:
    result = select(bench, "1")
    assert (len(list(result.rows())), len(list(result.rows())), result.row_count) == (1, 0, 1)


def test_parquet_and_arrow_files_hold_the_rows(bench: Bench) -> None:
    parquet, arrow = io.BytesIO(), io.BytesIO()
    write_parquet(select(bench, "1 AS id, {'a': 1} AS d"), parquet)
    write_arrow(select(bench, "1 AS id, {'a': 1} AS d"), arrow)
    rows = [{"id": 1, "d": '{"a":1}'}]
    assert pq.read_table(io.BytesIO(parquet.getvalue())).to_pylist() == rows
    assert pa.ipc.open_stream(arrow.getvalue()).read_all().to_pylist() == rows


def test_receipts_tables_and_actions_read_as_rows() -> None:
    done = Result(Done("CREATE CONNECTOR", "shop"))
    assert list(done.dicts()) == [
        {"statement": "CREATE CONNECTOR", "name": "shop", "message": None}
    ]
    table = Result(Table((Column("n", "integer"),), ((1,), (2,))))
    assert (table.arrow().read_all().to_pydict(), table.row_count) == ({"n": [1, 2]}, 2)
    action = Result(ActionResult({"id": 9}))
    assert (action.value, [c.type for c in action.columns]) == ({"id": 9}, ["document"])
    assert list(action.rows()) == [({"id": 9},)]
