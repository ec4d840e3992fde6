"""A real destination that gets every transaction that the one in memory gets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moltler.flow.sync import (
    Batch,
    Claim,
    Held,
    Lease,
    Receipt,
    RolledBack,
    RunRecord,
    Scope,
    Swap,
    SyncedTable,
    SyncState,
)
from moltler.ports import Destination, Writer
from moltler.sync.destinations.duckdb.destination import open_duckdb
from moltler.sync.relational import RelationalDestination
from support.memory_destination import MemoryDestination
from support.syncing import SyncBench


class Twin:
    """A DuckDB file beside the destination in memory; both must do the same.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._real: RelationalDestination | None = None

    def shadow(self, bench: SyncBench) -> None:
        """Let a bench write to both."""
        self._real = open_duckdb(self._path, "local", bench.clock, keep_s=3600.0)
        bench.destination = _Both(bench.memory, self._real)

    def rows(self) -> list[dict[str, Any]]:
        """Give the live rows of the real one."""
        assert self._real is not None
        opened = self._real.store.read()
        if opened is None:
            return []
        with opened as sql:
            if not sql.rows("SELECT 1 FROM duckdb_views() WHERE view_name = 't'"):
                return []
            names = [n for (n, *_) in sql.rows("DESCRIBE t")]
            rows = [dict(zip(names, row, strict=True)) for row in sql.rows("SELECT * FROM t")]
        for row in rows:
            if isinstance(row["changed"], datetime):
                row["changed"] = row["changed"].astimezone(UTC)
        return rows


class _Both:
    """`ports.Destination` over two."""

    takes_nul = True

    def __init__(self, memory: MemoryDestination, real: Destination) -> None:
        self._memory = memory
        self._real = real

    def writer(self, table: str) -> _BothWriters:
        return _BothWriters(self._memory.writer(table), self._real.writer(table))

    def note(self, record: RunRecord) -> None:
        self._memory.note(record)
        self._real.note(record)

    def rollback(self, table: str) -> RolledBack:
        self._real.rollback(table)
        return self._memory.rollback(table)

    def tables(self) -> tuple[SyncedTable, ...]:
        return self._real.tables()

    def history(self, connector: str | None, limit: int | None) -> tuple[RunRecord, ...]:
        return self._real.history(connector, limit)

    def close(self) -> None:
        self._real.close()


class _BothWriters:
    """`ports.Writer` over two; the one in memory dies first, and then the other gets nothing."""

    def __init__(self, memory: Writer, real: Writer) -> None:
        self._memory = memory
        self._real = real
        self._lease: Lease | None = None

    def claim(
        self,
        scope: Scope,
        owner: str,
        *,
        ttl_s: float,
        is_dead: Callable[[str], bool],
        by_force: bool = False,
    ) -> Claim:
        one = self._memory.claim(scope, owner, ttl_s=ttl_s, is_dead=is_dead, by_force=by_force)
        if isinstance(one, Held):
            return one
        other = self._real.claim(scope, owner, ttl_s=ttl_s, is_dead=is_dead, by_force=True)
        assert isinstance(other, Lease)
        assert (one.state, one.target.columns) == (other.state, other.target.columns)
        assert one.target.generation == other.target.generation
        assert one.target.last_generation == other.target.last_generation
        self._lease = other
        return one

    def renew(self, lease: Lease, *, ttl_s: float) -> None:
        self._memory.renew(lease, ttl_s=ttl_s)
        self._real.renew(self._own, ttl_s=ttl_s)

    def commit(self, batch: Batch, lease: Lease, *, ttl_s: float) -> Receipt:
        one = self._memory.commit(batch, lease, ttl_s=ttl_s)
        other = self._real.commit(batch, self._own, ttl_s=ttl_s)
        if batch.generation is None:
            assert _counts(one) == _counts(other), (one, other)
        assert one.columns == other.columns
        return one

    def swap(self, swap: Swap, lease: Lease) -> Receipt:
        one = self._memory.swap(swap, lease)
        self._real.swap(swap, self._own)
        return one

    def release(self, lease: Lease, record: RunRecord, state: SyncState | None = None) -> None:
        self._memory.release(lease, record, state)
        self._real.release(self._own, record, state)

    @property
    def _own(self) -> Lease:
        assert self._lease is not None
        return self._lease


def _counts(receipt: Receipt) -> tuple[int, ...]:
    r = receipt
    return (r.inserted, r.updated, r.unchanged, r.deleted, r.quarantined)
