"""A destination in memory: the contract of `moltler.ports.Writer` written as plainly as possible.

It is what the engine's tests sync into by the thousand, and what real destinations are compared
with. Nothing in it is clever: each transaction works on a copy that replaces the original.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from moltler.errors import LookupFailed, SyncError
from moltler.flow.sync import (
    DELETED_AT,
    MOST_EXACT,
    RUN_ID,
    SYNCED_AT,
    Batch,
    Claim,
    Held,
    Lease,
    Receipt,
    RolledBack,
    RunRecord,
    Scope,
    StoredColumn,
    Swap,
    SyncedTable,
    SyncState,
    TargetInfo,
    Unfit,
)
from moltler.ports import Clock
from moltler.schema import DataType
from moltler.sync.guard import check_shrink
from moltler.sync.rows import number_text

Row = dict[str, Any]


@dataclass
class Generation:
    """One copy of a table's rows, by key; without a key by number."""

    columns: tuple[StoredColumn, ...] = ()
    rows: dict[Any, Row] = field(default_factory=dict[Any, Row])

    @property
    def live(self) -> list[Row]:
        """The rows that are not deleted."""
        return [r for r in self.rows.values() if r[DELETED_AT] is None]


@dataclass
class Owned:
    """A visible or kept generation, and whose it is."""

    generation: int
    owner: Scope
    state: SyncState | None = None


@dataclass
class Held_:  # noqa: N801 - the lease and state of a scope
    """What is kept of a scope."""

    scope: Scope
    fence: int = 0
    state: SyncState | None = None
    owner: str | None = None
    until: datetime | None = None


@dataclass
class Store:
    """Everything that a transaction may change."""

    generations: dict[tuple[str, int], Generation] = field(default_factory=dict[Any, Any])
    visible: dict[str, Owned] = field(default_factory=dict[str, Owned])
    kept: dict[str, Owned] = field(default_factory=dict[str, Owned])
    last: dict[str, int] = field(default_factory=dict[str, int])
    scopes: dict[str, Held_] = field(default_factory=dict[str, Held_])
    runs: dict[str, RunRecord] = field(default_factory=dict[str, RunRecord])
    batches: dict[str, Receipt] = field(default_factory=dict[str, Receipt])
    quarantine: list[tuple[str, str, Unfit]] = field(default_factory=list[Any])

    def copy(self) -> Store:
        """Give one that can be changed; rows are never changed, only replaced."""
        return Store(
            {k: Generation(g.columns, dict(g.rows)) for k, g in self.generations.items()},
            {k: replace(o) for k, o in self.visible.items()},
            {k: replace(o) for k, o in self.kept.items()},
            dict(self.last),
            {k: replace(h) for k, h in self.scopes.items()},
            dict(self.runs),
            dict(self.batches),
            list(self.quarantine),
        )


class MemoryDestination:
    """`ports.Destination` in memory.

    Args:
        clock: Tells when leases run out.
        takes_nul: What it says about texts with NUL.
    """

    def __init__(self, clock: Clock, *, takes_nul: bool = True) -> None:
        self.clock = clock
        self.takes_nul = takes_nul
        self.store = Store()
        self.lock = threading.RLock()
        self.before: Callable[[str], None] = lambda _what: None
        """Called at the beginning of each transaction with its name; may raise."""
        self.after: Callable[[str], None] = lambda _what: None
        """Called after each commit, before anybody knows of it; may raise."""
        self.commits: list[Batch] = []

    @contextmanager
    def transaction(self, what: str) -> Generator[Store]:
        """Give a copy of everything, and keep it if nothing was raised."""
        with self.lock:
            self.before(what)
            draft = self.store.copy()
            yield draft
            self.store = draft
            self.after(what)

    def writer(self, table: str) -> MemoryWriter:
        """Give the writer of a table."""
        return MemoryWriter(self, table.lower())

    def tables(self) -> tuple[SyncedTable, ...]:
        """Give nothing: its rows are looked at by tests only."""
        return ()

    def note(self, record: RunRecord) -> None:
        """Write a run."""
        with self.transaction("note") as store:
            store.runs[record.run_id] = record

    def rollback(self, table: str) -> RolledBack:
        """Let the visible generation and the kept one trade places."""
        with self.transaction("rollback") as store:
            name = table.lower()
            now, kept = store.visible.get(name), store.kept.get(name)
            if now is None:
                raise LookupFailed("CAT002", f"there is no table `{table}`")
            if kept is None:
                raise LookupFailed("CAT008", f"no earlier generation of `{table}` is kept")
            now.state = store.scopes[now.owner.key].state
            store.visible[name], store.kept[name] = kept, now
            for held in store.scopes.values():
                if held.scope.table.lower() == name:
                    held.fence += 1
                    held.owner = held.until = None
            if now.owner.key != kept.owner.key:
                store.scopes[now.owner.key].state = None
            store.scopes[kept.owner.key].state = kept.state
            live = store.generations[name, kept.generation].live
            return RolledBack(kept.generation, len(live), kept.state)

    def history(self, connector: str | None, limit: int | None) -> tuple[RunRecord, ...]:
        """Give the runs, the latest first."""
        found = [
            r
            for r in reversed(self.store.runs.values())
            if connector is None or r.scope.connector.lower() == connector.lower()
        ]
        return tuple(found[:limit])

    def close(self) -> None:
        """Do nothing."""

    # ── for tests ────────────────────────────────────────────────────────────────────────────

    def generation(self, table: str) -> Generation:
        """Give the visible generation."""
        shown = self.store.visible[table.lower()]
        return self.store.generations[table.lower(), shown.generation]

    def rows(self, table: str) -> list[Row]:
        """Give the live rows with their declared fields only."""
        if table.lower() not in self.store.visible:
            return []
        return [
            {k: v for k, v in row.items() if k not in {SYNCED_AT, RUN_ID, DELETED_AT}}
            for row in self.generation(table).live
        ]

    def all_rows(self, table: str) -> list[Row]:
        """Give every row with every column."""
        return list(self.generation(table).rows.values())

    def state(self, scope: Scope) -> SyncState | None:
        """Give the state of a scope."""
        held = self.store.scopes.get(scope.key)
        return held.state if held else None


class MemoryWriter:
    """`ports.Writer` of one table."""

    def __init__(self, destination: MemoryDestination, table: str) -> None:
        self._to = destination
        self._table = table

    def claim(
        self,
        scope: Scope,
        owner: str,
        *,
        ttl_s: float,
        is_dead: Callable[[str], bool],
        by_force: bool = False,
    ) -> Claim:
        """Take the lease of a scope."""
        with self._to.transaction("claim") as store:
            now = self._to.clock.now()
            held = store.scopes.setdefault(scope.key, Held_(scope))
            is_taken = held.owner is not None and held.until is not None and held.until > now
            if is_taken and held.owner != owner and not by_force:
                assert held.owner is not None
                assert held.until is not None
                if not is_dead(held.owner):
                    return Held(held.owner, held.until)
            held.owner, held.until = owner, now + timedelta(seconds=ttl_s)
            held.fence += 1
            return Lease(scope, owner, held.fence, held.state, self._info(store))

    def renew(self, lease: Lease, *, ttl_s: float) -> None:
        """Put off the end of a lease."""
        with self._to.transaction("renew") as store:
            self._assert(store, lease, ttl_s)

    def commit(self, batch: Batch, lease: Lease, *, ttl_s: float) -> Receipt:
        """Commit a batch."""
        with self._to.transaction("commit") as store:
            self._assert(store, lease, ttl_s)
            if batch.batch_id in store.batches:
                return replace(store.batches[batch.batch_id], is_repeat=True)
            generation = self._generation(store, batch)
            generation.columns = _evolved(generation, batch.columns)
            counts = _Counts()
            for row in _rows(batch):
                counts.add(_merged(generation, batch, row))
            for unfit in batch.unfit:
                store.quarantine.append((batch.run_id, self._table, unfit))
            deleted = counts.deleted + self._swept(generation, batch)
            if batch.state is not None:
                store.scopes[lease.scope.key].state = batch.state
            store.runs[batch.run_id] = batch.record
            receipt = Receipt(
                counts.inserted,
                counts.updated,
                counts.unchanged,
                deleted,
                len(batch.unfit),
                columns=generation.columns,
            )
            store.batches[batch.batch_id] = receipt
            self._to.commits.append(batch)
            return receipt

    def swap(self, swap: Swap, lease: Lease) -> Receipt:
        """Make a generation visible."""
        with self._to.transaction("swap") as store:
            self._assert(store, lease, None)
            shown = store.visible.get(self._table)
            made = store.generations.setdefault(
                (self._table, swap.generation), Generation(swap.columns)
            )
            before = store.generations[self._table, shown.generation].rows if shown else {}
            gone = [k for k, r in before.items() if r[DELETED_AT] is None and k not in made.rows]
            live = len([r for r in before.values() if r[DELETED_AT] is None])
            if not swap.allows_shrinking:
                check_shrink(self._table, live, len(made.live))
            if shown is not None:
                owner = store.scopes.get(shown.owner.key)
                shown.state = owner.state if owner else None
                store.kept[self._table] = shown
            base = lease.scope.base
            store.visible[self._table] = Owned(swap.generation, base)
            keep = {swap.generation, shown.generation if shown else 0}
            for table, number in list(store.generations):
                if table == self._table and number not in keep:
                    del store.generations[table, number]
            self._note_number(store, swap.generation)
            store.scopes[lease.scope.key].state = swap.state
            store.runs[swap.run_id] = swap.record
            return Receipt(deleted=len(gone), columns=made.columns)

    def release(self, lease: Lease, record: RunRecord, state: SyncState | None = None) -> None:
        """Give a lease up."""
        with self._to.transaction("release") as store:
            store.runs[record.run_id] = record
            held = store.scopes[lease.scope.key]
            if held.fence != lease.fence:
                raise _lost(lease)
            held.owner = held.until = None
            if state is not None:
                held.state = state

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _info(self, store: Store) -> TargetInfo:
        shown = store.visible.get(self._table)
        last = store.last.get(self._table, 0)
        if shown is None:
            return TargetInfo(last_generation=last)
        held = store.scopes.get(shown.owner.key)
        return TargetInfo(
            shown.owner.key,
            shown.owner.label,
            held.state if held else None,
            store.generations[self._table, shown.generation].columns,
            shown.generation,
            last,
        )

    def _assert(self, store: Store, lease: Lease, ttl_s: float | None) -> None:
        held = store.scopes[lease.scope.key]
        if held.fence != lease.fence:
            raise _lost(lease)
        if ttl_s is not None:
            held.until = self._to.clock.now() + timedelta(seconds=ttl_s)

    def _generation(self, store: Store, batch: Batch) -> Generation:
        if batch.generation is None:
            return store.generations[self._table, store.visible[self._table].generation]
        place = (self._table, batch.generation)
        if batch.is_first:
            store.generations[place] = Generation()
        if place not in store.generations:
            raise SyncError("SNC004", f"generation {batch.generation} is gone")
        self._note_number(store, batch.generation)
        return store.generations[place]

    def _note_number(self, store: Store, number: int) -> None:
        store.last[self._table] = max(store.last.get(self._table, 0), number)

    def _swept(self, generation: Generation, batch: Batch) -> int:
        if batch.presence is None:
            return 0
        present = {
            tuple(r[n] for n in batch.key) for page in batch.presence.keys for r in page.to_pylist()
        }
        live = len(generation.live)
        gone = [k for k, r in generation.rows.items() if k not in present and r[DELETED_AT] is None]
        if not batch.presence.allows_shrinking:
            check_shrink(self._table, live, live - len(gone))
        for key in gone:
            generation.rows[key] = generation.rows[key] | {DELETED_AT: batch.synced_at}
        for key, row in list(generation.rows.items()):
            if key in present and row[DELETED_AT] is not None:
                generation.rows[key] = row | {DELETED_AT: None}
        return len(gone)


@dataclass
class _Counts:
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0

    def add(self, what: str) -> None:
        """Count one row."""
        setattr(self, what, getattr(self, what) + 1)


def _lost(lease: Lease) -> SyncError:
    return SyncError("SNC004", f"the lease on {lease.scope.label} is lost")


def _rows(batch: Batch) -> Iterable[Row]:
    for piece in batch.rows:
        for row in piece.to_pylist():
            yield row | {
                SYNCED_AT: batch.synced_at,
                RUN_ID: batch.run_id,
                DELETED_AT: row.get(DELETED_AT),
            }


def _merged(generation: Generation, batch: Batch, row: Row) -> str:
    names = [c.name for c in generation.columns]
    if not batch.key:
        generation.rows[len(generation.rows)] = dict.fromkeys(names) | row
        return "inserted"
    key = tuple(row[n] for n in batch.key)
    stored = generation.rows.get(key)
    if stored is None:
        generation.rows[key] = dict.fromkeys(names) | row
        return "inserted"
    if batch.cursor is not None:
        old, new = stored[batch.cursor], row[batch.cursor]
        if old is not None and (new is None or new < old):
            return "unchanged"
    after = stored | row
    if all(stored[n] == after[n] and type(stored[n]) is type(after[n]) for n in names) and (
        (stored[DELETED_AT] is None) == (after[DELETED_AT] is None)
    ):
        return "unchanged"
    generation.rows[key] = after
    return "updated" if after[DELETED_AT] is None or stored[DELETED_AT] is not None else "deleted"


# ── widening ─────────────────────────────────────────────────────────────────────────────────────


def _evolved(generation: Generation, columns: Sequence[StoredColumn]) -> tuple[StoredColumn, ...]:
    was = {c.name: c.type for c in generation.columns}
    result: list[StoredColumn] = []
    for column in columns:
        old, new = was.get(column.name), column.type
        if old is None:
            for key, row in generation.rows.items():
                generation.rows[key] = {column.name: None} | row
        elif str(old) != str(new):
            values = [r[column.name] for r in generation.rows.values()]
            if (old.name, new.name) == ("integer", "number") and any(
                v is not None and abs(v) > MOST_EXACT for v in values
            ):
                new = DataType("string")
            for key, row in generation.rows.items():
                generation.rows[key] = row | {column.name: _widened(row[column.name], old, new)}
        result.append(replace(column, type=new))
    return tuple(result)


def _widened(value: Any, old: DataType, new: DataType) -> Any:
    if value is None:
        return None
    is_json = old.name in {"document", "any"} or (old.name == "array" and old.scalar_items is None)
    match new.name:
        case "number":
            return float(value)
        case "timestamp":
            return pa.scalar(value, pa.date32()).cast(pa.timestamp("us", "UTC")).as_py()
        case "string":
            return _text(value)
        case _:
            return value if is_json else json.dumps(_json(value), ensure_ascii=False)


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return number_text(value)
        case datetime():
            unit = "microseconds" if value.microsecond % 1000 else "milliseconds"
            return value.replace(tzinfo=None).isoformat(timespec=unit) + "Z"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _json(value: Any) -> Any:
    match value:
        case list():
            return [_json(v) for v in value]
        case datetime() | date():
            return _text(value)
        case float():
            return int(value) if value.is_integer() else value
        case _:
            return value
