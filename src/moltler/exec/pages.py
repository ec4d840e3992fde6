"""Pages of a handler in wire types turned into the declared types of their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from moltler.errors import MoltlerError, error_class
from moltler.exec.border import Cells
from moltler.schema import DataType, Property

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
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999, which every program that reads a result can show."""
_LONGEST_SHOWN = 80


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
        if p.type.name in {"document", "any"}
        or (p.type.name == "array" and p.type.scalar_items is None)
    }


def _arrow_type(type_: DataType) -> pa.DataType:
    if (items := type_.scalar_items) is not None:
        return pa.list_(_ARROW[items.name])
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
        read = _READERS.get((type_.scalar_items or type_).name)
        if read is None:
            return wire, 0
        if type_.name == "array":
            fast = _lists_of_times(cast("pa.ListArray[Any]", wire), _arrow_type(type_))
            read = partial(_items, read)
        else:
            fast = _times(wire, _arrow_type(type_))
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


def _times(wire: Cells, wanted: pa.DataType) -> Cells | None:
    """Convert a whole column at once, or give ``None`` where single values need a look."""
    moments = _from_milliseconds(wire) if pa.types.is_integer(wire.type) else _from_texts(wire)
    if moments is None or wanted == _UTC:
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


_READERS: Mapping[str, Callable[[object], object]] = {"timestamp": _moment, "date": _day}
"""The types that are not on the wire what they are declared as."""


def _lists_of_times(wire: pa.ListArray[Any], wanted: pa.DataType) -> Cells | None:
    items = _times(wire.values, wanted.field(0).type)
    if items is None:
        return None
    buffers = wire.buffers()[:2]
    return pa.Array.from_buffers(wanted, len(wire), buffers, offset=wire.offset, children=[items])


def _items(read: Callable[[object], object], cell: object) -> list[object]:
    return [None if item is None else read(item) for item in cast("list[object]", cell)]
