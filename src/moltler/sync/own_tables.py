"""The sync's own tables in a relational destination: leases, states, generations, runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from moltler.errors import SyncError
from moltler.flow.sync import QUARANTINE, RunRecord, Scope, StoredColumn
from moltler.sync.layout import (
    ALL,
    BATCHES,
    GENERATIONS,
    MARKS,
    RUNS,
    SCOPES,
    TABLES,
    physical,
    quoted,
    quoted_all,
    storage_of,
)
from moltler.sync.records import encode_record
from moltler.sync.sql import Sql
from moltler.sync.wire import decode_columns, encode_columns

_REMEMBERED = timedelta(days=2)
"""How long a batch is known; it is repeated, if at all, within the minute."""
_MADE = (
    f"""CREATE TABLE IF NOT EXISTS {SCOPES} (scope VARCHAR PRIMARY KEY, connector VARCHAR NOT NULL,
 entity VARCHAR NOT NULL, target VARCHAR NOT NULL, fence BIGINT NOT NULL, lease_owner VARCHAR,
 lease_until TIMESTAMPTZ, state VARCHAR)""",
    f"""CREATE TABLE IF NOT EXISTS {TABLES} (target VARCHAR PRIMARY KEY, number BIGINT NOT NULL,
 spelled VARCHAR NOT NULL, last_generation BIGINT NOT NULL)""",
    f"""CREATE TABLE IF NOT EXISTS {GENERATIONS} (target VARCHAR NOT NULL,
 generation BIGINT NOT NULL, role VARCHAR NOT NULL, scope VARCHAR NOT NULL, label VARCHAR NOT NULL,
 columns VARCHAR NOT NULL, primary_key VARCHAR NOT NULL, state VARCHAR)""",
    f"""CREATE TABLE IF NOT EXISTS {BATCHES} (batch_id VARCHAR PRIMARY KEY,
 scope VARCHAR NOT NULL, receipt VARCHAR NOT NULL, committed_at TIMESTAMPTZ NOT NULL)""",
    f"""CREATE TABLE IF NOT EXISTS {RUNS} (run_id VARCHAR PRIMARY KEY, connector VARCHAR NOT NULL,
 started TIMESTAMPTZ NOT NULL, run VARCHAR NOT NULL)""",
    f"""CREATE TABLE IF NOT EXISTS {QUARANTINE} (run_id VARCHAR, target VARCHAR, raw VARCHAR,
 reason VARCHAR)""",
)


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of a target."""

    number: int
    role: str
    """``visible``, ``kept`` or ``made``."""
    scope: str
    """`Scope.base.key` of its owner."""
    label: str
    columns: tuple[StoredColumn, ...]
    key: tuple[str, ...]
    state: str | None = None
    """The owner's state, for one that is kept."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the sync's own tables say about a target."""

    name: str
    """As spelled when it was made."""
    number: int
    last_generation: int
    generations: tuple[Generation, ...] = ()

    def find(self, role: str) -> Generation | None:
        """Give the generation of a role, of which only ``made`` may be several."""
        return next((g for g in self.generations if g.role == role), None)

    def numbered(self, number: int) -> Generation | None:
        """Give a generation by its number."""
        return next((g for g in self.generations if g.number == number), None)

    def rows_of(self, generation: int) -> str:
        """Give the quoted name of the table that holds a generation."""
        return quoted(physical(self.number, generation))


@dataclass(frozen=True, slots=True)
class OwnTables:
    """The sync's own tables, over one transaction."""

    sql: Sql

    def make(self) -> None:
        """Make them where they are missing."""
        if not self.are_there():
            self.sql.alone("tables of syncs")
            for statement in _MADE:
                self.sql.run(statement)

    def are_there(self) -> bool:
        """Tell whether a sync ever wrote here."""
        return self.has_table(TABLES)

    def has_table(self, name: str) -> bool:
        """Tell whether there is a table or view of that name."""
        return self._kind(name) is not None

    def _kind(self, name: str) -> str | None:
        found = self.sql.rows(
            "SELECT table_type FROM information_schema.tables WHERE table_catalog ="
            " current_database() AND table_schema = ?"
            " AND (table_name = ? OR lower(table_name) = ?)",
            [self.sql.schema, name, name.lower()],
        )
        return str(found[0][0]) if found else None

    # ── targets ──────────────────────────────────────────────────────────────────────────────

    def target(self, table: str) -> Target | None:
        """Give what is known about a target, or ``None``."""
        found = self._targets(" WHERE target = ?", [table.lower()])
        return found[0] if found else None

    def targets(self) -> tuple[Target, ...]:
        """Give all targets by name."""
        return self._targets("", [])

    def _targets(self, where: str, parameters: Sequence[object]) -> tuple[Target, ...]:
        tables = self.sql.rows(
            f"SELECT target, spelled, number, last_generation FROM {TABLES}{where} ORDER BY target"
            f"{self.sql.for_update if where else ''}",
            parameters,
        )
        generations: dict[str, list[Generation]] = {}
        for target, number, role, scope, label, columns, key, state in self.sql.rows(
            "SELECT target, generation, role, scope, label, columns, primary_key, state"
            f" FROM {GENERATIONS}{where} ORDER BY generation",
            parameters,
        ):
            generations.setdefault(target, []).append(
                Generation(number, role, scope, label, decode_columns(columns), _names(key), state)
            )
        return tuple(
            Target(spelled, number, last, tuple(generations.get(target, ())))
            for target, spelled, number, last in tables
        )

    def add_target(self, table: str, destination: str) -> Target:
        """Give a target, which is made if need be.

        Raises:
            SyncError: SNC006, somebody else's table has that name.
        """
        found = self.target(table)
        if found is not None:
            return found
        self.sql.alone("tables of syncs")
        for name in (table, table + ALL):
            if self.has_table(name):
                raise SyncError(
                    "SNC006",
                    f"`{destination}` has a table `{name}` that no sync made",
                    hint="choose another target, or rename that table",
                )
        number = self.sql.number(f"SELECT coalesce(max(number), 0) + 1 FROM {TABLES}")
        self.sql.run(f"INSERT INTO {TABLES} VALUES (?, ?, ?, 0)", [table.lower(), number, table])
        made = self.target(table)
        assert made is not None  # noqa: S101 - inserted above
        return made

    def add_generation(self, target: Target, made: Generation) -> Target:
        """Make the table of a generation; what is left of an earlier one of its number goes."""
        self.drop_generation(target, made.number)
        columns = [f"{quoted(c.name)} {self.sql.types[storage_of(c.type)]}" for c in made.columns]
        synced, run, deleted = (quoted(m) for m in MARKS)
        columns += [f"{synced} TIMESTAMPTZ", f"{run} VARCHAR", f"{deleted} TIMESTAMPTZ"]
        self.sql.run(f"CREATE TABLE {target.rows_of(made.number)} ({', '.join(columns)})")
        if made.key:
            self.sql.index(target.rows_of(made.number), made.key)
        self.sql.run(
            f"INSERT INTO {GENERATIONS} VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                target.name.lower(), made.number, made.role, made.scope, made.label,
                encode_columns(made.columns), _joined(made.key), made.state,
            ],
        )  # fmt: skip
        self.sql.run(
            f"UPDATE {TABLES} SET last_generation = ? WHERE target = ? AND last_generation < ?",
            [made.number, target.name.lower(), made.number],
        )
        return self.again(target)

    def save_generation(self, target: Target, changed: Generation) -> Target:
        """Write what changed about a generation."""
        self.sql.run(
            f"UPDATE {GENERATIONS} SET role = ?, scope = ?, label = ?, columns = ?,"
            " primary_key = ?, state = ? WHERE target = ? AND generation = ?",
            [
                changed.role, changed.scope, changed.label, encode_columns(changed.columns),
                _joined(changed.key), changed.state, target.name.lower(), changed.number,
            ],
        )  # fmt: skip
        return self.again(target)

    def drop_generation(self, target: Target, number: int) -> None:
        """Drop a generation, if it is there."""
        self.sql.run(f"DROP TABLE IF EXISTS {target.rows_of(number)}")
        self.sql.run(
            f"DELETE FROM {GENERATIONS} WHERE target = ? AND generation = ?",
            [target.name.lower(), number],
        )

    def again(self, target: Target) -> Target:
        """Read what is known about a target anew."""
        found = self.target(target.name)
        assert found is not None  # noqa: S101 - it exists, and is never removed
        return found

    def has_rows(self, target: Target, generation: Generation) -> bool:
        """Tell whether the table of a generation is there."""
        return self.has_table(physical(target.number, generation.number))

    def live_rows(self, target: Target, generation: Generation) -> int:
        """Count the live rows of a generation."""
        return self.sql.number(
            f"SELECT count(*) FROM {target.rows_of(generation.number)}"
            f" WHERE {quoted(MARKS[2])} IS NULL"
        )

    def live_rows_gone(
        self, target: Target, before: Generation, after: Generation, key: Sequence[str]
    ) -> int:
        """Count the live rows of a generation that are not in another one."""
        old, new = target.rows_of(before.number), target.rows_of(after.number)
        known = {c.name.lower(): storage_of(c.type) for c in before.columns}
        wanted = {c.name.lower(): storage_of(c.type) for c in after.columns}
        live = f"{quoted(MARKS[2])} IS NULL"
        if not key or any(known.get(k.lower()) != wanted.get(k.lower()) for k in key):
            gone = self.live_rows(target, before) - self.live_rows(target, after)
            return max(0, gone)
        keys = " AND ".join(f"n.{quoted(k)} = o.{quoted(k)}" for k in key)
        return self.sql.number(
            f"SELECT count(*) FROM {old} o WHERE o.{live}"
            f" AND NOT EXISTS (SELECT 1 FROM {new} n WHERE {keys} AND n.{live})"
        )

    def show(self, target: Target) -> None:
        """Let the target's views show the visible generation, or remove them.

        Raises:
            SyncError: SNC006, somebody put a table of that name in the place of the view.
        """
        visible = target.find("visible")
        for name in (target.name, target.name + ALL):
            if self._kind(name) == "BASE TABLE":
                raise SyncError(
                    "SNC006",
                    f"`{name}` is a table now, where the sync's view was",
                    hint="rename that table and run the sync again",
                )
            if visible is None:
                self.sql.run(f"DROP VIEW IF EXISTS {quoted(name)}")
        if visible is None:
            return
        fields, rows = [c.name for c in visible.columns], target.rows_of(visible.number)
        live = f"SELECT {quoted_all(fields)} FROM {rows} WHERE {quoted(MARKS[2])} IS NULL"
        everything = f"SELECT {quoted_all((*fields, *MARKS))} FROM {rows}"
        for name, shown in ((target.name, live), (target.name + ALL, everything)):
            self.sql.show(quoted(name), shown)

    def hide(self, target: Target) -> None:
        """Remove the views, so that columns can change below them."""
        for name in (target.name, target.name + ALL):
            if self._kind(name) == "VIEW":
                self.sql.run(f"DROP VIEW {quoted(name)}")

    def are_shown(self, target: Target) -> bool:
        """Tell whether both views are there."""
        names = (target.name, target.name + ALL)
        return all(self._kind(name) == "VIEW" for name in names)

    # ── scopes ───────────────────────────────────────────────────────────────────────────────

    def set_state(self, scope_key: str, state: str | None) -> None:
        """Replace the state of a scope, if there is such a scope."""
        self.sql.run(f"UPDATE {SCOPES} SET state = ? WHERE scope = ?", [state, scope_key])

    def state(self, scope_key: str) -> str | None:
        """Give the state of a scope as it is stored."""
        found = self.sql.rows(f"SELECT state FROM {SCOPES} WHERE scope = ?", [scope_key])
        return found[0][0] if found else None

    def hold_only(self, scope: Scope, fence: int) -> None:
        """Assert the fence of a lease.

        Raises:
            SyncError: SNC004.
        """
        found = self.sql.rows(
            f"SELECT fence FROM {SCOPES} WHERE scope = ? AND fence = ?{self.sql.for_update}",
            [scope.key, fence],
        )
        if not found:
            raise lost(scope)

    def set_states(self, target: Target, state: str | None) -> None:
        """Replace the states of all scopes of a target."""
        self.sql.run(
            f"UPDATE {SCOPES} SET state = ? WHERE target = ?", [state, target.name.lower()]
        )

    def hold(self, scope: Scope, fence: int, until: datetime) -> None:
        """Assert the fence of a lease, and put off its end.

        Raises:
            SyncError: SNC004.
        """
        found = self.sql.rows(
            f"UPDATE {SCOPES} SET lease_until = ? WHERE scope = ? AND fence = ? RETURNING fence",
            [until, scope.key, fence],
        )
        if not found:
            raise lost(scope)

    # ── runs and batches ─────────────────────────────────────────────────────────────────────

    def save_run(self, record: RunRecord) -> None:
        """Insert or replace a run."""
        self.sql.run(
            f"INSERT INTO {RUNS} VALUES (?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET"
            " started = excluded.started, run = excluded.run",
            [
                record.run_id, record.scope.connector.lower(), record.started,
                encode_record(record),
            ],
        )  # fmt: skip

    def forget_batches(self, now: datetime) -> None:
        """Remove batches that nobody will repeat any more."""
        self.sql.run(f"DELETE FROM {BATCHES} WHERE committed_at < ?", [now - _REMEMBERED])


def lost(scope: Scope) -> SyncError:
    """Give the error SNC004."""
    return SyncError(
        "SNC004",
        f"the run of {scope.label} lost its lease on `{scope.table}` to another run",
        hint="nothing of this batch was written; the other run goes on from the last commit",
    )


def _joined(names: Sequence[str]) -> str:
    return "\n".join(names)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split("\n")) if text else ()
