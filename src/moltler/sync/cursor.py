"""The field that orders rows, and how far a run has come along it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc

from moltler.errors import SyncError
from moltler.flow.predicate import Scalar
from moltler.schema import Property

MARGIN = timedelta(seconds=5)
"""How long before a run's start a row may have been stamped and yet be visible only after it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORDERED = frozenset({"timestamp", "date", "integer", "number"})

Cells: TypeAlias = "pa.Array[Any]"


def check_cursor(field: Property, label: str) -> None:
    """Refuse a field whose order is not certain.

    Raises:
        SyncError: SNC001.
    """
    if field.type.name in _ORDERED or (field.type.name == "string" and field.collation == "binary"):
        return
    hint = "take a timestamp, date or number that grows with every change"
    if field.type.name == "string":
        hint += ', or declare `"collation": "binary"` if the API orders it by code point'
    raise SyncError(
        "SNC001",
        f"`{field.name}` cannot be the cursor of `{label}`: it is of type {field.type}",
        hint=hint,
    )


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a run has come; each `observe` gives the next one."""

    field: str
    start: Scalar | None = None
    """The watermark that the run began with."""
    latest: datetime | None = None
    """The watermark never passes it; ``None`` for cursors that are no times."""
    is_claimed: bool = False
    """Whether the author vouches for the order that was asked for."""
    is_ordered: bool = True
    """Whether rows came in ascending order so far."""
    greatest: Scalar | None = None
    """Of the values seen that are not later than `latest`."""
    last: Scalar | None = None
    later: int = 0
    """Rows whose value lies beyond `latest`."""
    nulls: int = 0

    def observe(self, batch: pa.RecordBatch) -> Cursor:
        """Take notice of rows, in the order of their arrival."""
        cells: Cells = batch.column(self.field)
        known = cells.drop_null()
        after = replace(self, nulls=self.nulls + cells.null_count)
        if not len(known):
            return after
        first, last = scalar_of(known[0]), scalar_of(known[-1])
        is_ordered = self.is_ordered and (self.last is None or not _is_less(first, self.last))
        if is_ordered and len(known) > 1:
            is_ordered = bool(pc.all(pc.less_equal(known[:-1], known[1:])).as_py())
        greatest = scalar_of(pc.max(known))
        later = 0
        if self.latest is not None and _is_less(_limit(greatest, self.latest), greatest):
            within = pc.less_equal(known, arrow_scalar(_limit(greatest, self.latest), known.type))
            sound: Cells = known.filter(within)
            later = len(known) - len(sound)
            greatest = scalar_of(pc.max(sound)) if len(sound) else None
        return replace(
            after,
            is_ordered=is_ordered,
            last=last,
            later=self.later + later,
            greatest=_greater(self.greatest, greatest),
        )

    def watermark(self, *, is_complete: bool) -> Scalar | None:
        """Give the value up to which the sync is complete once the rows so far are committed.

        Args:
            is_complete: Whether the scan has ended, and nothing is missing.
        """
        if is_complete or (self.is_claimed and self.is_ordered):
            return _greater(self.start, self.greatest)
        return self.start


def latest_for(started: datetime, server_time: datetime | None) -> datetime:
    """Give the instant that a watermark must not pass: rows after it may still be on their way.

    >>> noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    >>> latest_for(noon, noon - timedelta(minutes=1)).isoformat()
    '2024-01-01T11:58:55+00:00'
    """
    return min(started, server_time or started) - MARGIN


def lower_bound(watermark: Scalar | None, lookback: timedelta | None) -> Scalar | None:
    """Give the value from which on rows are asked for again, itself included."""
    if watermark is None or lookback is None:
        return watermark
    try:
        match watermark:
            case datetime():
                return watermark - lookback
            case date():
                midnight = datetime(watermark.year, watermark.month, watermark.day, tzinfo=UTC)
                return (midnight - lookback).date()
            case _:
                return watermark
    except OverflowError:
        return None


def scalar_of(cell: pa.Scalar[Any]) -> Scalar:
    """Give an Arrow cell as Python has it; instants keep their microseconds."""
    if pa.types.is_timestamp(cell.type):
        # Arrow's own conversion imports pandas where that is installed.
        return _EPOCH + timedelta(microseconds=cast("Any", cell).value)
    return cast("Scalar", cell.as_py())


def arrow_scalar(value: Scalar, type_: pa.DataType) -> pa.Scalar[Any]:
    """Give a value as Arrow compares it with cells of a type."""
    if isinstance(value, datetime):
        ticks = (value - _EPOCH) // timedelta(microseconds=1)
        return pa.scalar(ticks, pa.int64()).cast(type_)
    return pa.scalar(value, type_)


def _limit(like: Scalar, latest: datetime) -> Scalar:
    """Give the bound in the kind of a cursor: days for dates."""
    if isinstance(like, datetime):
        return latest
    return latest.date() if isinstance(like, date) else like


def _greater(one: Scalar | None, other: Scalar | None) -> Scalar | None:
    if one is None or other is None:
        return other if one is None else one
    return other if _is_less(one, other) else one


def _is_less(one: Scalar, other: Scalar) -> bool:
    # Both come from one column, or from a state whose type was compared with it.
    return bool(cast("Any", one) < cast("Any", other))
