"""A plan run the short way: handlers read in Python, their rows given to DuckDB as tables.

It follows the rules for limits on its own, so that planner and executor can be judged apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from fuzz.feeds import keyed_requests, own_rows
from moltler.exec.binding import bindable
from moltler.exec.documents import MACROS
from moltler.flow.scan import QueryPlan, ScanRequest
from moltler.schema import DataType
from support.handlers import PythonHandlers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}


def connect() -> duckdb.DuckDBPyConnection:
    """Give a DuckDB that means the same as the engine's."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET error_on_division_by_zero = false")
    for macro in MACROS:
        connection.execute(f"CREATE MACRO {macro}")
    return connection


_CONNECTION = connect()


def run_directly(plan: QueryPlan, handlers: PythonHandlers) -> list[tuple[Any, ...]]:
    """Run a plan and give its rows."""
    keys: dict[str, list[dict[str, Any]]] = {}
    for request in plan.in_order:
        table = _believed(plan, request, handlers, keys)
        _register(request, table)
        if request.scan in plan.drivers:
            keys[request.scan] = _keys(plan, request, table)
    return _CONNECTION.execute(plan.sql, _used(plan.sql, plan.parameters)).fetchall()


def fold(sql: str, parameters: Mapping[str, object]) -> object:
    """Evaluate SQL without columns."""
    text = f"SELECT {sql}"
    return _CONNECTION.execute(text, _used(text, parameters)).fetchall()[0][0]


def _used(sql: str, parameters: Mapping[str, object]) -> dict[str, object]:
    names = {n for s in _CONNECTION.extract_statements(sql) for n in s.named_parameters}
    return {n: bindable(v) for n, v in parameters.items() if n in names}


def _keys(plan: QueryPlan, request: ScanRequest, table: pa.Table) -> list[dict[str, Any]]:
    if request.keys_sql is None:
        return table.to_pylist()
    used = _used(request.keys_sql, plan.parameters)
    found = _CONNECTION.sql(request.keys_sql, params=used).to_arrow_table()
    return found.to_pylist()


def _believed(
    plan: QueryPlan,
    request: ScanRequest,
    handlers: PythonHandlers,
    keys: Mapping[str, list[dict[str, Any]]],
) -> pa.Table:
    if request.is_empty:
        return _table(request, [])
    calls = keyed_requests(request, keys)
    if calls is not None:
        tables = [_table(request, _rows(call, handlers)) for call in calls]
        own = [own_rows(request, c, t) for c, t in zip(calls, tables, strict=True)]
        return pa.concat_tables([_table(request, []), *own])
    rows = _rows(request, handlers)
    if request.limit is None:
        return _table(request, rows)
    table = _table(request, rows)
    left = table.num_rows
    if request.check_sql is not None:
        _register(request, table)
        used = _used(request.check_sql, plan.parameters)
        left = _CONNECTION.execute(request.check_sql, used).fetchall()[0][0]
    if is_believed(request, received=table.num_rows, left=left):
        return table
    return _table(request, _rows(replace(request, limit=None), handlers))


def is_believed(request: ScanRequest, *, received: int, left: int) -> bool:
    """Tell whether a limited answer may be used (LANGUAGE §6.5).

    Args:
        request: What was asked.
        received: Rows that came.
        left: Rows that pass the local check.
    """
    limit = request.limit or 0
    if left >= limit or request.limit_is_claimed:
        return True
    return request.check_sql is None and received < limit


def _rows(request: ScanRequest, handlers: PythonHandlers) -> list[dict[str, Any]]:
    pages = handlers.query(handlers.resolve(request.connector), request)
    return [row for page in pages for row in page.to_pylist()]


def _table(request: ScanRequest, rows: list[dict[str, Any]]) -> pa.Table:
    arrays: list[pa.Array] = []
    for name in request.columns:
        declared = request.entity.fields.find(name)
        assert declared is not None
        values = [_cell(declared.type, row[name]) for row in rows]
        arrays.append(pa.array(values, _arrow(declared.type)))
    return pa.Table.from_arrays(arrays, names=list(request.columns))


def _arrow(type_: DataType) -> pa.DataType:
    if type_.name == "array" and type_.items is not None:
        return pa.list_(_ARROW[type_.items.name])
    return _ARROW.get(type_.name, pa.string())


def _cell(type_: DataType, value: Any) -> Any:
    if value is None:
        return None
    match type_.name:
        case "timestamp":
            return _EPOCH + timedelta(milliseconds=value)
        case "date":
            return (_EPOCH + timedelta(milliseconds=value)).date()
        case "array":
            return value if type_.scalar_items is not None else json.loads(value)
        case _:
            return value


def _register(request: ScanRequest, table: pa.Table) -> None:
    name = f"{request.scan}_rows"
    _CONNECTION.register(name, table)
    shown: list[str] = []
    for column in request.columns:
        declared = request.entity.fields.find(column)
        assert declared is not None
        is_open = declared.type.name in {"document", "any"}
        shown.append(
            f'CAST(CAST("{column}" AS JSON) AS VARIANT) AS "{column}"' if is_open
            else f'"{column}"'
        )  # fmt: skip
    _CONNECTION.execute(
        f'CREATE OR REPLACE TEMP VIEW "{request.scan}" AS SELECT {", ".join(shown)} FROM "{name}"'
    )


def described(plan: QueryPlan) -> list[str]:
    """Give the names of a plan's columns, as DuckDB has them, after `run_directly`."""
    cursor = _CONNECTION.execute(plan.sql, _used(plan.sql, plan.parameters))
    names = [column[0] for column in cursor.description or ()]
    cursor.fetchall()
    return names
