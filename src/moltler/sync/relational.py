"""Syncs into a database with transactions: one commits everything that belongs together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from moltler.errors import LookupFailed, SyncError
from moltler.flow.sync import (
    QUARANTINE,
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
    TargetInfo,
)
from moltler.sync.guard import check_shrink
from moltler.sync.layout import (
    BATCHES,
    RUNS,
    SCOPES,
    check_columns,
    check_target,
)
from moltler.sync.merging import Sweep
from moltler.sync.own_tables import Generation, OwnTables, Target, lost
from moltler.sync.records import decode_receipt, decode_record, encode_receipt
from moltler.sync.reshaping import evolve_rows
from moltler.sync.sql import Sql, Store
from moltler.sync.staging import merge_rows, stage_keys
from moltler.sync.wire import decode_state, encode_state


@dataclass(frozen=True, slots=True)
class RelationalWriter:
    """Writes one table (`ports.Writer`)."""

    store: Store
    table: str

    def claim(
        self,
        scope: Scope,
        owner: str,
        *,
        ttl_s: float,
        is_dead: Callable[[str], bool],
        by_force: bool = False,
    ) -> Claim:
        """Take the lease of a scope and raise its fence, in a transaction of its own."""
        check_target(self.table, self.store.name, longest=self.store.longest_name)
        held, is_over = self._look(scope)
        if held is not None:
            may_take = is_over or by_force or held.owner == owner or is_dead(held.owner)
            if not may_take:
                return held
            if held.owner != owner:
                self.store.evict(_holder(scope, held.owner))
        with self.store.write(_holder(scope, owner)) as sql:
            own = OwnTables(sql)
            own.make()
            now = sql.now()
            sql.run(
                f"INSERT INTO {SCOPES} VALUES (?, ?, ?, ?, 0, NULL, NULL, NULL)"
                " ON CONFLICT (scope) DO NOTHING",
                [scope.key, scope.connector, scope.entity, scope.table.lower()],
            )
            row = sql.rows(
                f"SELECT fence, lease_owner, lease_until, state FROM {SCOPES} WHERE scope = ?"
                f"{sql.for_update}",
                [scope.key],
            )[0]
            fence, text = int(row[0]), row[3]
            present = None if row[1] is None or row[2] is None else Held(row[1], row[2])
            if present is not None and not (
                by_force or present.until <= now or present.owner == owner or is_dead(present.owner)
            ):
                return present
            state = None if text is None else decode_state(text)
            target, is_gone = self._mended(own, own.add_target(self.table, self.store.name))
            state = None if is_gone else _resumable(state, target, scope)
            sql.run(
                f"UPDATE {SCOPES} SET fence = ?, lease_owner = ?, lease_until = ? WHERE scope = ?",
                [fence + 1, owner, now + timedelta(seconds=ttl_s), scope.key],
            )
            own.forget_batches(now)
            return Lease(scope, owner, fence + 1, state, _info(own, target))

    def renew(self, lease: Lease, *, ttl_s: float) -> None:
        """Put off the end of a lease."""
        with self.store.write(_holder(lease.scope, lease.owner)) as sql:
            self._hold(OwnTables(sql), lease, ttl_s)

    def commit(self, batch: Batch, lease: Lease, *, ttl_s: float) -> Receipt:
        """Commit a batch."""
        check_columns(batch.columns, self.store.name, longest=self.store.longest_name)
        with self.store.write(_holder(lease.scope, lease.owner)) as sql:
            own = OwnTables(sql)
            self._hold(own, lease, ttl_s)
            known = sql.rows(f"SELECT receipt FROM {BATCHES} WHERE batch_id = ?", [batch.batch_id])
            if known:
                return decode_receipt(known[0][0])
            target, generation = self._place(own, batch, lease)
            target, generation = evolve_rows(own, target, generation, batch.columns)
            rows = target.rows_of(generation.number)
            merged = merge_rows(sql, rows, generation.columns, batch)
            swept, revived = self._sweep(sql, rows, generation, batch)
            for unfit in batch.unfit:
                sql.run(
                    f"INSERT INTO {QUARANTINE} VALUES (?, ?, ?, ?)",
                    [batch.run_id, self.table, unfit.raw, unfit.reason],
                )
            receipt = Receipt(
                merged.inserted,
                merged.updated + revived,
                merged.unchanged,
                merged.deleted + swept,
                len(batch.unfit),
                columns=generation.columns,
            )
            if batch.state is not None:
                own.set_state(lease.scope.key, encode_state(batch.state))
            own.save_run(batch.record)
            sql.run(
                f"INSERT INTO {BATCHES} VALUES (?, ?, ?, ?)",
                [batch.batch_id, lease.scope.key, encode_receipt(receipt), sql.now()],
            )
            return receipt

    def swap(self, swap: Swap, lease: Lease) -> Receipt:
        """Make a generation visible."""
        check_columns(swap.columns, self.store.name, longest=self.store.longest_name)
        shrunk: SyncError | None = None
        deleted = 0
        with self.store.write(_holder(lease.scope, lease.owner)) as sql:
            own = OwnTables(sql)
            own.hold_only(lease.scope, lease.fence)
            target = self._target(own)
            made = target.numbered(swap.generation)
            if made is not None and made.role == "visible" and made.scope == lease.scope.base.key:
                # This swap was committed, and nobody heard of it.
                return Receipt(is_repeat=True, columns=made.columns)
            if made is None:
                target = own.add_generation(target, _made(swap.generation, lease, swap))
            elif made.role != "made" or made.scope != lease.scope.base.key:
                raise lost(lease.scope)
            else:
                target, _ = evolve_rows(own, target, replace(made, key=swap.key), swap.columns)
            made = target.numbered(swap.generation)
            assert made is not None  # noqa: S101 - added or found above
            before = target.find("visible")
            if before is not None and own.has_rows(target, before):
                deleted, shrunk = self._check(own, target, before, made, swap)
            if shrunk is not None:
                # The rows are of no use; that they are gone is committed, and then told.
                own.drop_generation(target, made.number)
            else:
                self._show(own, target, before, made, lease)
                own.set_state(lease.scope.key, encode_state(swap.state))
                own.save_run(swap.record)
        if shrunk is not None:
            raise shrunk
        return Receipt(deleted=deleted, columns=made.columns)

    def release(self, lease: Lease, record: RunRecord, state: SyncState | None = None) -> None:
        """Give a lease up, write how the run ended and, if given, the scope's state."""
        with self.store.write(_holder(lease.scope, lease.owner)) as sql:
            own = OwnTables(sql)
            own.hold_only(lease.scope, lease.fence)
            if state is not None:
                own.set_state(lease.scope.key, encode_state(state))
            own.save_run(record)
            sql.run(
                f"UPDATE {SCOPES} SET lease_owner = NULL, lease_until = NULL WHERE scope = ?",
                [lease.scope.key],
            )

    # ── parts ────────────────────────────────────────────────────────────────────────────────

    def _look(self, scope: Scope) -> tuple[Held | None, bool]:
        """Tell who has a lease and whether it ran out, without waiting for anybody who writes."""
        reading = self.store.read()
        if reading is None:
            return None, True
        with reading as sql:
            if not OwnTables(sql).are_there():
                return None, True
            found = sql.rows(
                f"SELECT lease_owner, lease_until FROM {SCOPES} WHERE scope = ?"
                " AND lease_owner IS NOT NULL AND lease_until IS NOT NULL",
                [scope.key],
            )
            held = Held(*found[0]) if found else None
            return held, held is None or held.until <= sql.now()

    def _hold(self, own: OwnTables, lease: Lease, ttl_s: float) -> None:
        own.hold(lease.scope, lease.fence, own.sql.now() + timedelta(seconds=ttl_s))

    def _target(self, own: OwnTables) -> Target:
        target = own.target(self.table)
        if target is None:
            raise self._gone()
        return target

    def _gone(self) -> SyncError:
        return SyncError(
            "SNC006",
            f"the rows of `{self.table}` in `{self.store.name}` were dropped by somebody else",
            hint="run the sync again: it loads the table anew",
        )

    def _mended(self, own: OwnTables, target: Target) -> tuple[Target, bool]:
        """Take notice of what somebody dropped; tell whether the visible rows are gone."""
        dropped = [g for g in target.generations if not own.has_rows(target, g)]
        for generation in dropped:
            own.drop_generation(target, generation.number)
            if generation.role == "visible":
                own.set_states(target, None)
        if dropped:
            target = own.again(target)
        if target.find("visible") is not None and not own.are_shown(target):
            own.show(target)
        return target, any(g.role == "visible" for g in dropped)

    def _place(self, own: OwnTables, batch: Batch, lease: Lease) -> tuple[Target, Generation]:
        """Give the generation that a batch goes to.

        Raises:
            SyncError: SNC004, it belongs to another run by now; SNC006, somebody dropped it.
        """
        target = self._target(own)
        if batch.generation is None:
            generation = target.find("visible")
            if generation is None:
                raise self._gone()
        elif batch.is_first:
            present = target.numbered(batch.generation)
            if present is not None and present.role != "made":
                raise lost(lease.scope)
            target = own.add_generation(target, _made(batch.generation, lease, batch))
            generation = target.numbered(batch.generation)
        else:
            generation = target.numbered(batch.generation)
        if generation is None or generation.scope != lease.scope.base.key:
            raise lost(lease.scope)
        if not own.has_rows(target, generation):
            raise self._gone()
        return target, generation

    def _sweep(self, sql: Sql, rows: str, generation: Generation, batch: Batch) -> tuple[int, int]:
        presence = batch.presence
        if presence is None:
            return 0, 0
        with stage_keys(sql, generation.columns, batch.key, presence.keys) as present:
            sweep = Sweep(rows, present, batch.key)
            live, absent, revived = sql.rows(sweep.count)[0]
            if not presence.allows_shrinking:
                check_shrink(self.table, int(live), int(live - absent + revived))
            if absent:
                sql.run(
                    sweep.delete("?", "?"),
                    [batch.synced_at, batch.synced_at, batch.run_id],
                )
            if revived:
                sql.run(sweep.revive("?", "?"), [batch.synced_at, batch.run_id])
        return int(absent), int(revived)

    def _check(
        self, own: OwnTables, target: Target, before: Generation, made: Generation, swap: Swap
    ) -> tuple[int, SyncError | None]:
        """Count the rows that a swap removes, and tell whether they are too many."""
        old, new = own.live_rows(target, before), own.live_rows(target, made)
        if not swap.allows_shrinking:
            try:
                check_shrink(self.table, old, new)
            except SyncError as error:
                return 0, error
        return own.live_rows_gone(target, before, made, swap.key), None

    def _show(
        self,
        own: OwnTables,
        target: Target,
        before: Generation | None,
        made: Generation,
        lease: Lease,
    ) -> None:
        owner = lease.scope.base
        for generation in target.generations:
            if generation.number not in {made.number, before.number if before else None}:
                own.drop_generation(target, generation.number)
        if before is not None:
            state = own.state(before.scope)
            target = own.save_generation(target, replace(before, role="kept", state=state))
            if before.scope != owner.key:
                own.set_state(before.scope, None)
        shown = replace(made, role="visible", scope=owner.key, label=owner.label, state=None)
        own.show(own.save_generation(target, shown))


@dataclass(frozen=True, slots=True)
class RelationalDestination:
    """A database that syncs write to (`ports.Destination`, `ports.SyncedTables`)."""

    store: Store

    @property
    def takes_nul(self) -> bool:
        """Whether texts may hold the character NUL."""
        return self.store.takes_nul

    def writer(self, table: str) -> RelationalWriter:
        """Give the writer of a table."""
        return RelationalWriter(self.store, table)

    def note(self, record: RunRecord) -> None:
        """Write a run that never had a lease."""
        with self.store.write() as sql:
            own = OwnTables(sql)
            own.make()
            own.save_run(record)

    def rollback(self, table: str) -> RolledBack:
        """Let the visible generation and the kept one trade places, states and owners too."""
        self._check_is_there(table)
        with self.store.write() as sql:
            own = OwnTables(sql)
            target = own.target(table)
            visible, kept = (
                (None, None) if target is None else (target.find("visible"), target.find("kept"))
            )
            if target is None or visible is None or kept is None or not own.has_rows(target, kept):
                raise LookupFailed(
                    "CAT008",
                    f"no earlier generation of `{table}` is kept",
                    hint="one is kept by each full load after the first, and only the last one",
                )
            sql.run(
                f"UPDATE {SCOPES} SET fence = fence + 1, lease_owner = NULL, lease_until = NULL"
                " WHERE target = ?",
                [table.lower()],
            )
            now_kept = replace(visible, role="kept", state=own.state(visible.scope))
            own.set_state(visible.scope, None)
            own.set_state(kept.scope, kept.state)
            target = own.save_generation(target, now_kept)
            target = own.save_generation(target, replace(kept, role="visible", state=None))
            own.show(target)
            state = None if kept.state is None else decode_state(kept.state)
            return RolledBack(kept.number, own.live_rows(target, kept), state)

    def history(self, connector: str | None, limit: int | None) -> tuple[RunRecord, ...]:
        """Give the runs of one connector or of all, the latest first."""
        with self._reading() as sql:
            if sql is None:
                return ()
            where = "" if connector is None else " WHERE connector = ?"
            parameters: list[object] = [] if connector is None else [connector.lower()]
            most = ""
            if limit is not None:
                most = " LIMIT ?"
                parameters.append(limit)
            found = sql.rows(
                f"SELECT run FROM {RUNS}{where} ORDER BY started DESC, run_id DESC{most}",
                parameters,
            )
        return tuple(decode_record(text) for (text,) in found)

    def tables(self) -> tuple[SyncedTable, ...]:
        """Give the synced tables by name."""
        with self._reading() as sql:
            if sql is None:
                return ()
            targets = OwnTables(sql).targets()
        return tuple(
            SyncedTable(t.name, g.columns, g.key, g.number, g.label)
            for t in targets
            for g in (t.find("visible"),)
            if g is not None
        )

    def close(self) -> None:
        """Release what is open."""
        self.store.close()

    def _check_is_there(self, table: str) -> None:
        names = tuple(t.name for t in self.tables())
        if table.lower() not in {n.lower() for n in names}:
            raise LookupFailed(
                "CAT002",
                f"there is no synced table `{table}` in destination `{self.store.name}`",
                hint="SHOW SYNCS lists the targets",
                allowed=names,
            )

    @contextmanager
    def _reading(self) -> Generator[Sql | None]:
        reading = self.store.read()
        if reading is None:
            yield None
            return
        with reading as sql:
            yield sql if OwnTables(sql).are_there() else None


def _holder(scope: Scope, owner: str) -> str:
    """Give a short text for who writes for a scope."""
    return hashlib.sha256(f"{owner}\n{scope.key}".encode()).hexdigest()[:16]


def _resumable(state: SyncState | None, target: Target, scope: Scope) -> SyncState | None:
    """Give a state without a half-made generation that is gone."""
    if state is None or state.resume_generation is None:
        return state
    made = target.numbered(state.resume_generation)
    if made is not None and made.role == "made" and made.scope == scope.base.key:
        return state
    return replace(state, resume=None, resume_generation=None)


def _info(own: OwnTables, target: Target) -> TargetInfo:
    visible = target.find("visible")
    if visible is None:
        return TargetInfo(last_generation=target.last_generation)
    text = own.state(visible.scope)
    return TargetInfo(
        scope=visible.scope,
        label=visible.label,
        state=None if text is None else decode_state(text),
        columns=visible.columns,
        generation=visible.number,
        last_generation=target.last_generation,
    )


def _made(number: int, lease: Lease, request: Batch | Swap) -> Generation:
    base = lease.scope.base
    return Generation(number, "made", base.key, base.label, request.columns, request.key)
