"""The types in which results leave the engine (LANGUAGE §3.2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from moltler.schema import TypeName

Cells: TypeAlias = "pa.Array[Any]"
"""An Arrow array of any type."""

_UTC = pa.timestamp("us", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = "CAST({} AS VARCHAR)"
_JSON = "CAST(to_json({}) AS VARCHAR)"
_WHOLE = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
)
_LISTED: dict[str, pa.DataType] = {
    **dict.fromkeys(_WHOLE, pa.int64()),
    "VARCHAR": pa.string(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP WITH TIME ZONE": _UTC,
}
"""Element types of arrays that leave as Arrow lists; others leave as JSON text."""


@dataclass(frozen=True, slots=True)
class BorderColumn:
    """One column of a result as everybody outside sees it."""

    name: str
    type: TypeName
    arrow: pa.DataType
    cast: str | None = None
    """SQL around the column (``{}``) where DuckDB's own type does not leave as it is."""


def border_column(name: str, engine_type: object) -> BorderColumn:
    """Give how a column of an engine type leaves.

    Args:
        name: Of the column.
        engine_type: DuckDB's type; its text is its SQL spelling.
    """
    spelled = str(engine_type)
    match spelled:
        case _ if spelled.endswith("]"):
            return _array(name, spelled)
        case "VARCHAR":
            return BorderColumn(name, "string", pa.string())
        case "DOUBLE" | "FLOAT":
            return BorderColumn(name, "number", pa.float64())
        case "BOOLEAN":
            return BorderColumn(name, "boolean", pa.bool_())
        case "DATE":
            return BorderColumn(name, "date", pa.date32())
        case "TIMESTAMP WITH TIME ZONE":
            return BorderColumn(name, "timestamp", _UTC)
        case "TIMESTAMP" | "TIMESTAMP_S" | "TIMESTAMP_MS" | "TIMESTAMP_NS":
            # Without a zone it is read as UTC, which is the session's zone.
            return BorderColumn(name, "timestamp", _UTC, "CAST({} AS TIMESTAMPTZ)")
        case "VARIANT":
            return BorderColumn(name, "any", pa.string(), "CAST(CAST({} AS JSON) AS VARCHAR)")
        case "JSON":
            return BorderColumn(name, "document", pa.string(), _TEXT)
        case "HUGEINT":
            return BorderColumn(name, "integer", pa.decimal128(38, 0))
        case "UBIGINT":
            return BorderColumn(name, "integer", pa.decimal128(38, 0), "CAST({} AS HUGEINT)")
        case _ if spelled in _WHOLE:
            return BorderColumn(name, "integer", pa.int64())
        case _ if spelled.startswith("DECIMAL("):
            width, _, scale = spelled[8:-1].partition(",")
            return BorderColumn(name, "number", pa.decimal128(int(width), int(scale)))
        case _ if spelled.startswith(("STRUCT(", "MAP(")):
            return BorderColumn(name, "document", pa.string(), _JSON)
        case _:
            return BorderColumn(name, "string", pa.string(), _TEXT)


def json_column(name: str, type_: TypeName) -> BorderColumn:
    """Give how a column leaves that is the JSON text of a document, an array or any value."""
    return BorderColumn(name, type_, pa.string())


def _array(name: str, spelled: str) -> BorderColumn:
    element = _LISTED.get(spelled.removesuffix("[]"))
    if element is None:
        return BorderColumn(name, "array", pa.string(), _JSON)
    return BorderColumn(name, "array", pa.list_(element))


def to_border(
    batch: pa.RecordBatch, columns: Sequence[BorderColumn], schema: pa.Schema
) -> pa.RecordBatch:
    """Give a batch of the engine with border types; NaN and infinities become NULL."""
    arrays: list[Cells] = []
    for array, column in zip(batch.columns, columns, strict=True):
        given = array if array.type == column.arrow else array.cast(column.arrow)
        if pa.types.is_floating(column.arrow):
            given = _finite(given)
        arrays.append(given)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _finite(array: Cells) -> Cells:
    finite = pc.is_finite(array)
    if pc.all(finite, skip_nulls=True, min_count=0).as_py():
        return array
    return pc.if_else(finite, array, pa.scalar(None, pa.float64()))


def cells(array: Cells, column: BorderColumn) -> list[object]:
    """Give a column of a border batch as Python values (LANGUAGE §3.2).

    Documents are parsed, whole numbers are ints whatever their width, times are aware.
    """
    if pa.types.is_timestamp(column.arrow):
        # Arrow's own conversion imports pandas where that is installed, and is slower.
        ticks = array.cast(pa.int64()).to_pylist()
        return [None if t is None else _EPOCH + timedelta(microseconds=t) for t in ticks]
    values: Sequence[object] = array.to_pylist()
    if column.type == "integer" and pa.types.is_decimal(column.arrow):
        return [v if v is None else int(v) for v in values]  # type: ignore[call-overload] # decimals
    if column.type in {"document", "array", "any"} and pa.types.is_string(column.arrow):
        return [None if v is None else json.loads(v) for v in values]  # type: ignore[arg-type] # texts
    return list(values)
