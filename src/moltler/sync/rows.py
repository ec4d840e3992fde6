"""Record batches of an entity made ready for a table: bounded, marked, widened."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc

from moltler.flow.predicate import Scalar
from moltler.flow.sync import DELETED_AT, MOST_EXACT, StoredColumn, Unfit
from moltler.schema import DataType
from moltler.sync.cursor import arrow_scalar
from moltler.sync.evolve import NUMBER, STRING

Cells: TypeAlias = "pa.Array[Any]"
Mask: TypeAlias = "pa.BooleanArray"
_UTC = pa.timestamp("us", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def within(
    batch: pa.RecordBatch, field: str, low: Scalar | None, high: Scalar | None, *, keeps_null: bool
) -> pa.RecordBatch:
    """Give the rows whose cursor is at least `low` and less than `high`.

    Args:
        batch: The rows.
        field: The cursor.
        low: ``None`` for no bound.
        high: ``None`` for no bound.
        keeps_null: Whether rows without a cursor stay.
    """
    cells: Cells = batch.column(field)
    tests: list[Cells] = []
    if low is not None:
        tests.append(cast("Cells", pc.greater_equal(cells, arrow_scalar(low, cells.type))))
    if high is not None:
        tests.append(cast("Cells", pc.less(cells, arrow_scalar(high, cells.type))))
    if not tests:
        return batch
    mask: Cells = tests[0]
    for test in tests[1:]:
        mask = cast("Cells", pc.and_(mask, test))
    mask = _filled(mask, value=keeps_null)
    if pc.all(mask, min_count=0).as_py():
        return batch
    return batch.filter(cast("Mask", mask))


def _filled(mask: Cells, *, value: bool) -> Cells:
    return cast("Cells", pc.if_else(pc.is_valid(mask), mask, pa.scalar(value)))


def with_tombstones(batch: pa.RecordBatch, field: str, at: datetime) -> pa.RecordBatch:
    """Add `_deleted_at`: set where a boolean field is true, or another one is not NULL."""
    cells: Cells = batch.column(field)
    if pa.types.is_boolean(cells.type):
        is_deleted = _filled(cells, value=False)
    else:
        is_deleted = cast("Cells", pc.is_valid(cells))
    moment = arrow_scalar(at, _UTC)
    marks = cast("Cells", pc.if_else(is_deleted, moment, pa.scalar(None, _UTC)))
    return batch.append_column(pa.field(DELETED_AT, _UTC), marks)


def without_nul(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[Unfit]]:
    """Take out the rows with texts, or JSON texts, that hold the character NUL."""
    bad: Cells | None = None
    for column in batch.columns:
        if pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
            joined = cast("Cells", pc.binary_join(column, "\x01"))
            found = pc.match_substring(joined, "\x00")
        elif pa.types.is_string(column.type):
            # An escaped NUL matters only in JSON; as plain text it is six harmless characters, and
            # refusing it there as well costs a row that is told about, never a wrong one.
            found = pc.match_substring_regex(column, "\x00|\\\\u0000")
        else:
            continue
        mask = _filled(cast("Cells", found), value=False)
        bad = mask if bad is None else cast("Cells", pc.or_(bad, mask))
    if bad is None or not pc.any(bad, min_count=0).as_py():
        return batch, []
    unfit = [
        Unfit(_as_json(row), "a text holds the character NUL, which the destination cannot store")
        for row in batch.filter(cast("Mask", bad)).to_pylist()
    ]
    return batch.filter(cast("Mask", pc.invert(bad))), unfit


def _as_json(row: dict[str, Any]) -> str:
    # The text itself goes to the destination too, so what it cannot store is spelled out.
    return json.dumps(row, ensure_ascii=False, default=str).replace("\\u0000", "\\\\u0000")


# ── types ────────────────────────────────────────────────────────────────────────────────────────


def fit(
    batch: pa.RecordBatch, types: dict[str, DataType], columns: Sequence[StoredColumn]
) -> tuple[pa.RecordBatch, tuple[StoredColumn, ...]]:
    """Give rows in the types of a table's columns, and the columns, widened where rows need it.

    Args:
        batch: Rows in their declared types; a column that no field has is left as it is.
        types: The declared types by lower-case name.
        columns: Of the table; each is at least as wide as its field.
    """
    widened = list(columns)
    arrays: list[Cells] = []
    names: list[str] = []
    places = {column.name.lower(): i for i, column in enumerate(columns)}
    for field, cells in zip(batch.schema, batch.columns, strict=True):
        place = places.get(field.name.lower())
        if place is None:
            arrays.append(cells)
            names.append(field.name)
            continue
        column, declared = widened[place], types[field.name.lower()]
        if column.type == NUMBER and declared.name == "integer" and not is_exact(cells):
            column = widened[place] = replace(column, type=STRING)
        arrays.append(_converted(cells, declared, column.type))
        names.append(column.name)
    return pa.RecordBatch.from_arrays(arrays, names), tuple(widened)


def is_exact(cells: Cells) -> bool:
    """Tell whether every integer has a number of its own."""
    bounds = pc.min_max(cells)
    least, most = (cast("int | None", bounds[k].as_py()) for k in ("min", "max"))
    return least is None or most is None or (least >= -MOST_EXACT and most <= MOST_EXACT)


def arrow_type(type_: DataType) -> pa.DataType:
    """Give the Arrow type in which a column travels (`flow.sync.Batch`)."""
    plain = {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp": _UTC,
        "date": pa.date32(),
    }
    if type_.scalar_items is not None:
        return pa.list_(plain[type_.scalar_items.name])
    return plain.get(type_.name, pa.string())


def _converted(cells: Cells, declared: DataType, stored: DataType) -> Cells:
    if str(declared) == str(stored):
        return cells
    is_json = arrow_type(declared) == pa.string() and declared.name != "string"
    match stored.name:
        case "document" | "array" | "any":
            return cells if is_json else _each(cells, declared, _json_text)
        case "string":
            return _each(cells, declared, _text)
        case "timestamp":
            return cells.cast(pa.timestamp("us")).cast(_UTC)
        case _:
            return cells.cast(arrow_type(stored), safe=False)  # an integer known to be exact


def _each(cells: Cells, declared: DataType, write: Callable[[object], str]) -> Cells:
    values: list[Any]
    if pa.types.is_timestamp(cells.type):
        ticks = cells.cast(pa.int64()).to_pylist()
        values = [None if t is None else _EPOCH + timedelta(microseconds=t) for t in ticks]
    else:
        values = cells.to_pylist()
    return pa.array([None if v is None else write(v) for v in values], pa.string())


def _text(value: object) -> str:
    """Give the text that a field of type string would have got (LANGUAGE §7.6)."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return number_text(value)
        case datetime():
            unit = "microseconds" if value.microsecond % 1000 else "milliseconds"
            return value.replace(tzinfo=None).isoformat(timespec=unit) + "Z"
        case _:
            return str(value)


def number_text(value: float) -> str:
    """Give a number as JavaScript writes it: the shortest text, whole ones without a point.

    >>> number_text(3.0), number_text(0.1), number_text(1e21), number_text(-1e-7)
    ('3', '0.1', '1e+21', '-1e-7')
    """
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    mantissa = mantissa.removesuffix(".0")
    power = int(exponent)
    if -7 < power < 0:
        return f"{value:.{max(len(mantissa.replace('.', '').lstrip('-')) - 1, 0) - power}f}"
    return f"{mantissa}e{'+' if power > 0 else ''}{power}"


def _json_text(value: object) -> str:
    return json.dumps(_json(value), ensure_ascii=False)


def _json(value: object) -> object:
    match value:
        case list():
            return [_json(v) for v in cast("list[object]", value)]
        case bool() | int() | str() | None:
            return value
        case float():
            return int(value) if value.is_integer() and abs(value) < MOST_EXACT else value
        case _:
            return _text(value)
