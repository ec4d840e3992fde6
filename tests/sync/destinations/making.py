"""Batches, scopes and runs as tests write them, and a table read back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from moltler.flow.sync import (
    Batch,
    Lease,
    Presence,
    Receipt,
    RunRecord,
    Scope,
    StoredColumn,
    Swap,
    SyncState,
    Unfit,
)
from moltler.ports import Destination, Writer
from moltler.schema import DataType
from moltler.sync.wire import decode_type

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SCOPE = Scope("shop", "items", "items")
ITEMS = (
    StoredColumn("id", DataType("string")),
    StoredColumn("name", DataType("string")),
    StoredColumn("rank", DataType("integer")),
)
_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}
_numbers = itertools.count(1)


def columns(**types: str) -> tuple[StoredColumn, ...]:
    """Give columns by name and type."""
    return tuple(StoredColumn(n, decode_type(t)) for n, t in types.items())


def arrow_type(type_: DataType) -> pa.DataType:
    """Give the Arrow type in which values of a type come in a batch."""
    if type_.items is not None and type_.items.name in _ARROW:
        return pa.list_(_ARROW[type_.items.name])
    return _ARROW.get(type_.name, pa.string())


def rows_of(
    cells: Sequence[Sequence[object]],
    shown: Sequence[StoredColumn] = ITEMS,
    *,
    deleted: Sequence[datetime | None] | None = None,
) -> pa.RecordBatch:
    """Give a record batch of rows, whose cells stand in the order of the columns."""
    arrays: list[pa.Array[Any]] = [
        pa.array([row[i] for row in cells], arrow_type(c.type)) for i, c in enumerate(shown)
    ]
    names = [c.name for c in shown]
    if deleted is not None:
        arrays.append(pa.array(deleted, pa.timestamp("us", "UTC")))
        names.append("_deleted_at")
    return pa.RecordBatch.from_arrays(arrays, names=names)


@dataclass
class Run:
    """A run of one scope on a destination, statement by statement."""

    destination: Destination
    scope: Scope = SCOPE
    owner: str = "owner"
    columns: tuple[StoredColumn, ...] = ITEMS
    key: tuple[str, ...] = ("id",)
    cursor: str | None = "rank"
    run_id: str = field(default_factory=lambda: f"run-{next(_numbers)}")
    lease: Lease | None = None

    @property
    def writer(self) -> Writer:
        return self.destination.writer(self.scope.table)

    def claim(
        self, *, is_dead: Callable[[str], bool] = lambda _: False, by_force: bool = False
    ) -> Lease:
        claim = self.writer.claim(
            self.scope, self.owner, ttl_s=60.0, is_dead=is_dead, by_force=by_force
        )
        assert isinstance(claim, Lease), claim
        self.lease = claim
        return claim

    @property
    def held(self) -> Lease:
        return self.lease or self.claim()

    def record(self, **changes: Any) -> RunRecord:
        record = RunRecord(self.run_id, self.scope, "incremental", "running", NOW)
        return replace(record, **changes)

    def batch(self, *rows: pa.RecordBatch, **changes: Any) -> Batch:
        batch = Batch(
            batch_id=f"batch-{next(_numbers)}",
            run_id=self.run_id,
            synced_at=NOW,
            columns=self.columns,
            rows=rows,
            state=SyncState(1, self.key, self.cursor, watermark=next(_numbers)),
            record=self.record(),
            key=self.key,
            cursor=self.cursor,
        )
        return replace(batch, **changes)

    def commit(self, *rows: pa.RecordBatch, **changes: Any) -> Receipt:
        return self.writer.commit(self.batch(*rows, **changes), self.held, ttl_s=60.0)

    def merge(self, *cells: Sequence[object], **changes: Any) -> Receipt:
        """Commit rows in the order of `columns` to the visible generation."""
        return self.commit(rows_of(cells, changes.get("columns", self.columns)), **changes)

    def swap_of(self, generation: int, **changes: Any) -> Swap:
        swap = Swap(
            generation=generation,
            run_id=self.run_id,
            columns=self.columns,
            key=self.key,
            cursor=self.cursor,
            allows_shrinking=False,
            state=SyncState(generation, self.key, self.cursor, watermark=next(_numbers)),
            record=self.record(mode="full"),
        )
        return replace(swap, **changes)

    def swap(self, generation: int, **changes: Any) -> Receipt:
        return self.writer.swap(self.swap_of(generation, **changes), self.held)

    def load(self, *cells: Sequence[object], **changes: Any) -> int:
        """Load a whole generation and make it visible; give its number."""
        lease = self.claim()
        number = lease.target.last_generation + 1
        if cells:
            self.merge(*cells, generation=number, is_first=True, state=None)
        self.swap(number, **changes)
        return number

    def release(self, **changes: Any) -> None:
        state = changes.pop("state", None)
        self.writer.release(self.held, self.record(status="ok", ended=NOW, **changes), state)
        self.lease = None


def presence(keys: Iterable[str], *, allows_shrinking: bool = False) -> Presence:
    """Give what a scan of the keys found."""
    batch = pa.RecordBatch.from_arrays([pa.array(list(keys), pa.string())], names=["id"])
    return Presence([batch], allows_shrinking)


def unfit(reason: str) -> Unfit:
    """Give a row that does not fit."""
    return Unfit('{"id": null}', reason)
