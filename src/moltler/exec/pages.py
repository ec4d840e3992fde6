"""Pages of a handler in wire types turned into the declared types of their fields."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, chain

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from moltler.errors import MoltlerError, error_class
from moltler.exec.border import Cells
from moltler.schema import SCALARS, DataType, Property

_UTC = pa.timestamp("us", "UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": _UTC,
    "date": pa.date32(),
}
_FAST_ITEMS: Mapping[str, object] = {
    "string": list[list[str | None] | None],
    "integer": list[list[int | None] | None],
    "boolean": list[list[bool | None] | None],
}
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999, which every program that reads a result can show."""
_LONGEST_SHOWN = 80
_MAX_INT, _MIN_INT = 2**63 - 1, -(2**63)


class _Misfit(Exception):  # noqa: N818 - a verdict between functions here
    """A cell that does not fit its field."""


def scan_schema(columns: Sequence[Property]) -> pa.Schema:
    """Give the Arrow schema of a scan; what becomes VARIANT travels as JSON text."""
    return pa.schema([(p.name, _arrow_type(p.type)) for p in columns])


def variants(columns: Sequence[Property]) -> dict[str, bool]:
    """Give the columns that the engine casts to VARIANT, or to VARIANT[] where true."""
    return {
        p.name: p.type.name == "array"
        for p in columns
        if p.type.name in {"document", "any"} or (p.type.name == "array" and not _is_list(p.type))
    }


def _is_list(type_: DataType) -> bool:
    return type_.items is not None and type_.items.name in SCALARS


def _arrow_type(type_: DataType) -> pa.DataType:
    if type_.items is not None and _is_list(type_):
        return pa.list_(_ARROW[type_.items.name])
    return _ARROW.get(type_.name, pa.string())


@dataclass(frozen=True, slots=True)
class PageReader:
    """Reads the pages of one scan.

    Args:
        columns: The fields a page holds, in its order.
        label: Names the entity in messages: ``shop.items``.
        null_misfits: Values that do not fit become NULL instead of an error.
    """

    columns: tuple[Property, ...]
    label: str
    null_misfits: bool = False

    def read(self, page: pa.RecordBatch, first_row: int) -> tuple[pa.RecordBatch, int]:
        """Give the page in declared types, and how many values became NULL for not fitting.

        Args:
            page: Wire types, the columns in order.
            first_row: Rows of this scan before the page; messages count from 0.

        Raises:
            HandlerError: JSR005, a value does not fit, or is NULL where it may not be.
        """
        arrays: list[Cells] = []
        nulled = 0
        for field, wire in zip(self.columns, page.columns, strict=True):
            array, misfits = self._column(field, wire, first_row)
            if array.null_count and (field.primary_key or not field.nullable):
                self._refuse_null(field, array, first_row)
            arrays.append(array)
            nulled += misfits
        return pa.RecordBatch.from_arrays(arrays, schema=scan_schema(self.columns)), nulled

    def _column(self, field: Property, wire: Cells, first_row: int) -> tuple[Cells, int]:
        type_ = field.type
        match type_.name:
            case "timestamp" | "date":
                fast = _times(wire, type_.name)
                read = _moment if type_.name == "timestamp" else _day
            case "array" if _is_list(type_):
                fast = _lists(wire, type_)
                read = _list_reader(type_)
            case _:
                return wire, 0
        if fast is not None:
            return fast, 0
        return self._slowly(field, wire, read, first_row)

    def _slowly(
        self, field: Property, wire: Cells, read: Callable[[object], object], first_row: int
    ) -> tuple[Cells, int]:
        cells: list[object] = []
        nulled = 0
        for row, value in enumerate(wire.to_pylist()):
            try:
                cells.append(None if value is None else read(value))
            except _Misfit:
                if not self.null_misfits:
                    raise self._misfit(field, value, first_row + row) from None
                nulled += 1
                cells.append(None)
        return pa.array(cells, _arrow_type(field.type)), nulled

    def _misfit(self, field: Property, value: object, row: int) -> MoltlerError:
        shown = str(value)
        if len(shown) > _LONGEST_SHOWN:
            shown = shown[: _LONGEST_SHOWN - 1] + "…"
        return error_class("JSR005")(
            "JSR005",
            f"row {row} of `{self.label}`: the value of `{field.name}` does not fit its type "
            f"{field.type}: {shown}",
            hint='correct the handler or the field, or set OPTIONS {"on_type_error": "null"}',
        )

    def _refuse_null(self, field: Property, array: Cells, first_row: int) -> None:
        row = first_row + pc.index(pc.is_null(array), True).as_py()
        what = "belongs to the primary key" if field.primary_key else "is declared not nullable"
        raise error_class("JSR005")(
            "JSR005",
            f"row {row} of `{self.label}`: `{field.name}` is NULL, but it {what}",
            hint=f"let the handler return `{field.name}` in every row, or change the field",
        )


# ── times ────────────────────────────────────────────────────────────────────────────────────


def _times(wire: Cells, name: str) -> Cells | None:
    """Convert a whole column at once, or give ``None`` where single values need a look."""
    moments = _from_milliseconds(wire) if pa.types.is_integer(wire.type) else _from_texts(wire)
    if moments is None or name == "timestamp":
        return moments
    return moments.cast(pa.timestamp("us")).cast(pa.date32(), safe=False)


def _from_milliseconds(wire: Cells) -> Cells | None:
    least, most = (v.as_py() for v in pc.min_max(wire).values())
    if least is not None and not (least >= _FIRST_MS and most <= _LAST_MS):
        return None
    return wire.cast(pa.timestamp("ms", "UTC")).cast(_UTC)


def _from_texts(wire: Cells) -> Cells | None:
    for spelled in (_UTC, pa.timestamp("us")):  # with an offset, then without
        try:
            return wire.cast(spelled).cast(_UTC)
        except pa.ArrowInvalid:
            continue
    return None


def _moment(value: object) -> datetime:
    if isinstance(value, int):
        try:
            return _EPOCH + timedelta(milliseconds=value)
        except OverflowError as error:
            raise _Misfit from error
    try:
        moment = datetime.fromisoformat(str(value).strip().upper())
    except ValueError as error:
        raise _Misfit from error
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise _Misfit from error


def _day(value: object) -> date:
    return _moment(value).date()


# ── arrays ───────────────────────────────────────────────────────────────────────────────────


def _lists(wire: Cells, type_: DataType) -> Cells | None:
    """Convert a whole column at once, or give ``None`` where single values need a look."""
    assert type_.items is not None  # noqa: S101 - asked for lists only
    wanted = _FAST_ITEMS.get(type_.items.name)
    if wanted is None:
        return None
    # One text for all cells is many times faster than a call for each.
    whole = "[" + ",".join(v if v is not None else "null" for v in wire.to_pylist()) + "]"
    if type_.items.name == "string" and (texts := _lists_of_texts(whole)) is not None:
        return texts
    try:
        values = msgspec.json.decode(whole, type=wanted)
        return pa.array(values, _arrow_type(type_))
    except (msgspec.MsgspecError, RecursionError, OverflowError, pa.ArrowInvalid):
        return None


def _lists_of_texts(whole: str) -> Cells | None:
    """Lay out arrays of texts without any NULL, by far the most frequent kind, ourselves.

    `pa.array` takes several times as long, and its first call imports pandas where that is
    installed, which costs a short query more than everything else.
    """
    try:
        cells = msgspec.json.decode(whole, type=list[list[str]])
        items = list(chain.from_iterable(cells))
        data = "".join(items).encode()
        lengths = map(len, items)
        if len(data) != sum(map(len, items)):
            lengths = (len(item.encode()) for item in items)
        ends = array("i", accumulate(lengths, initial=0))
        starts = array("i", accumulate(map(len, cells), initial=0))
    except (msgspec.MsgspecError, RecursionError, OverflowError, UnicodeEncodeError):
        return None
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(data)]
    values = pa.Array.from_buffers(pa.string(), len(items), buffers)
    return pa.Array.from_buffers(
        pa.list_(pa.string()), len(cells), [None, pa.py_buffer(starts)], children=[values]
    )


def _list_reader(type_: DataType) -> Callable[[object], object]:
    assert type_.items is not None  # noqa: S101 - asked for lists only
    read = _ITEM_READERS[type_.items.name]

    def items(value: object) -> list[object]:
        try:
            found = json.loads(str(value))
        except (ValueError, RecursionError) as error:
            raise _Misfit from error
        if not isinstance(found, list):
            raise _Misfit
        return [None if item is None else read(item) for item in found]

    return items


def _text_item(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case _:
            raise _Misfit


def _whole_item(value: object) -> int:
    if isinstance(value, bool):
        raise _Misfit
    try:
        number = int(value) if isinstance(value, int | str) else None
    except ValueError:
        number = None
    if number is None and isinstance(value, float) and value.is_integer():
        number = int(value)
    if number is None or not _MIN_INT <= number <= _MAX_INT:
        raise _Misfit
    return number


def _number_item(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _Misfit
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise _Misfit from error


def _truth_item(value: object) -> bool:
    if value in (True, "true", 1):
        return True
    if value in (False, "false", 0):
        return False
    raise _Misfit


_ITEM_READERS: Mapping[str, Callable[[object], object]] = {
    "string": _text_item,
    "integer": _whole_item,
    "number": _number_item,
    "boolean": _truth_item,
    "timestamp": _moment,
    "date": _day,
}
