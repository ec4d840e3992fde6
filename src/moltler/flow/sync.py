"""What travels between the sync engine and a destination: scopes, state, batches, receipts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from moltler.flow.predicate import Scalar
from moltler.schema import DataType

if TYPE_CHECKING:
    import pyarrow as pa

SYNCED_AT, RUN_ID, DELETED_AT = "_synced_at", "_run_id", "_deleted_at"
"""Columns that every synced table has besides the declared fields (LANGUAGE §4.2)."""
QUARANTINE = "_quarantine"
"""The table of rows that did not fit; one in each destination."""
MOST_EXACT = 2**53
"""Integers up to this size have a number of their own."""

Mode = Literal["full", "incremental", "backfill"]
Status = Literal["ok", "skipped", "suspended", "failed"]
Running = Literal["running"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What one sync state, and one lease, are about."""

    connector: str
    """The instance's name as spelled in the catalog."""
    entity: str
    table: str
    """In the destination, as spelled in the statement, ``*`` filled in."""
    where: str | None = None
    """Normalised text of the condition, with its constants."""
    backfill: tuple[str, str] | None = None
    """The bounds of FROM … UNTIL as text: such a run has a state and a lease of its own."""

    @property
    def key(self) -> str:
        """A text that no other scope of the destination has.

        The destination's own name is no part of it: two homes may call one database differently.
        """
        parts = [self.connector.lower(), self.entity.lower(), self.table.lower(), self.where]
        return json.dumps([*parts, *(self.backfill or ())], ensure_ascii=False)

    @property
    def base(self) -> Scope:
        """The scope that a backfill belongs to: it may own a table, a backfill never does."""
        return replace(self, backfill=None)

    @property
    def label(self) -> str:
        """The scope as messages name it."""
        condition = f" WHERE {self.where}" if self.where else ""
        return f"{self.connector}.{self.entity}{condition}"


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column of a synced table, without those that every table has."""

    name: str
    type: DataType


@dataclass(frozen=True, slots=True)
class SyncState:
    """What one scope remembers between runs; committed together with the rows it is about."""

    generation: int
    """Of the target when this was written, for people to read."""
    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None
    cursor_type: DataType | None = None
    watermark: Scalar | None = None
    """The greatest cursor value up to which the sync is complete; ``None`` before there is one."""
    deletes_field: str | None = None
    """Of DELETES FIELD: a backfill marks deleted rows as the sync does that it stands beside."""
    suspended_until: datetime | None = None
    """When a run that the API sent away is due again."""
    resume: Scalar | None = None
    """How far a suspended full load had come, in ascending order of the cursor; its rows are in
    generation `resume_generation`, which is not visible yet."""
    resume_generation: int | None = None


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """What a destination knows about a table when a lease on it is taken."""

    scope: str | None = None
    """`Scope.base.key` of the scope that the visible rows belong to; ``None`` if there are none."""
    label: str | None = None
    """`Scope.label` of that scope."""
    state: SyncState | None = None
    """Of that scope, for backfills, whose lease has a state of its own."""
    columns: tuple[StoredColumn, ...] = ()
    """Of the visible generation, in the table's order."""
    generation: int = 0
    """The visible one; 0 while there is none."""
    last_generation: int = 0
    """The highest number ever used for the table, half-made and dropped ones included."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for a scope, until it runs out or is taken away."""

    scope: Scope
    owner: str
    fence: int
    """Raised by each claim; every later transaction of this lease asserts it."""
    state: SyncState | None
    """``None``: the scope never had a run that committed."""
    target: TargetInfo


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody else has the lease."""

    owner: str
    until: datetime


Claim: TypeAlias = Lease | Held


@dataclass(frozen=True, slots=True)
class Unfit:
    """A row that does not fit the declared fields."""

    raw: str
    """The row as JSON text, as the handler gave it."""
    reason: str


@dataclass(frozen=True, slots=True)
class Presence:
    """The primary keys of all rows that the API has, after a complete scan of them."""

    keys: Iterable[pa.RecordBatch]
    """Batches with exactly the primary key's columns; may repeat keys; read once or again from
    the beginning."""
    allows_shrinking: bool
    """ALLOW EMPTY: without it `sync.guard.check_shrink` decides."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as SYNC HISTORY lists it; written with every batch, with the counts so far."""

    run_id: str
    scope: Scope
    mode: Mode
    status: Status | Running
    """``running`` in a batch that is not the last act; a run whose process died stays so."""
    started: datetime
    ended: datetime | None = None
    rows_read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    quarantined: int = 0
    watermark_before: Scalar | None = None
    watermark: Scalar | None = None
    generation: int = 0
    complete: bool = False
    requests: int = 0
    duration_ms: int = 0
    message: str | None = None
    due: datetime | None = None
    """When a suspended run may go on."""

    @property
    def rows_written(self) -> int:
        """Rows that were inserted or changed."""
        return self.inserted + self.updated


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction commits; all of it or nothing.

    **Rows.** Each record batch has the columns of `columns`, in any order, perhaps without some
    of them, in these Arrow types: string, int64, float64, bool, timestamp[us, UTC], date32, a list
    of one of these for arrays of scalars, and for everything else (document, any, other arrays)
    a string that is JSON text. It may hold `_deleted_at`: where that is not NULL, the row is a
    tombstone. `_synced_at` and `_run_id` are the same for all rows and come from the batch.

    **Merging** (with a `key`), row by row in order of arrival, as if one at a time:

    * no stored row with that key: insert (a tombstone too: it must hold back older versions);
    * newest wins: with a `cursor`, a stored row is replaced only where its cursor is NULL, or the
      row's is not NULL and greater than *or equal to* it. Text compares by code point;
    * a row equal to the stored one in all its columns and in being deleted or not is left alone,
      `_synced_at` included, and counts as unchanged;
    * a column that the rows lack keeps its stored value; NULL for a new row;
    * a row that is no tombstone makes a deleted one live again.

    Without a `key` rows are appended.
    """

    batch_id: str
    """Committed once: a repetition changes nothing and gives `Receipt.is_repeat`."""
    run_id: str
    synced_at: datetime
    columns: tuple[StoredColumn, ...]
    """All columns that the generation has after this batch, in order. New ones are added; a
    changed type is a widening (`sync.evolve`), in the same transaction: integer to number (to
    string if a stored value is beyond ±2^53; `Receipt.columns` then says so), date to timestamp
    (midnight UTC), anything to string (texts as in LANGUAGE §7.6) or to a document (its JSON)."""
    rows: tuple[pa.RecordBatch, ...]
    state: SyncState | None
    """Replaces the scope's state; ``None`` leaves it as it is."""
    record: RunRecord
    """Inserted or replaced, by `run_id`, in the table of runs."""
    generation: int | None = None
    """Where the rows go: ``None`` for the visible generation, whichever it is at commit time (it
    exists); a number for one that is being made and nobody sees before `Swap`."""
    is_first: bool = False
    """The generation begins with this batch: what is left of an earlier one of its number goes."""
    key: tuple[str, ...] = ()
    cursor: str | None = None
    unfit: tuple[Unfit, ...] = ()
    presence: Presence | None = None
    """After the merge: live rows whose keys are absent become deleted (`_deleted_at` is
    `synced_at`), deleted ones whose keys are present become live."""


@dataclass(frozen=True, slots=True)
class Swap:
    """Makes a finished generation the visible one.

    In one transaction: keep the newest row of each key (a destination may append while a
    generation is being made, and settle here); check the shrink guard against the live rows of the
    visible generation; make the generation visible and `Scope.base` its owner; write state and
    record; keep the generation seen so far, with its owner and its state, as the one that
    ROLLBACK SYNC restores; drop all others.
    """

    generation: int
    run_id: str
    columns: tuple[StoredColumn, ...]
    """Of the generation: an empty one may never have had a batch."""
    key: tuple[str, ...]
    cursor: str | None
    allows_shrinking: bool
    state: SyncState
    record: RunRecord


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    """Equal to the stored row, or older than it."""
    deleted: int = 0
    """Live rows that a tombstone or `Presence` deleted; not counted as updated."""
    quarantined: int = 0
    is_repeat: bool = False
    """The batch had been committed before; the counts are those of that time, or 0."""
    columns: tuple[StoredColumn, ...] = ()
    """As they are now."""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What ROLLBACK SYNC restored."""

    generation: int
    rows: int
    """Live ones."""
    state: SyncState | None


@dataclass(frozen=True, slots=True)
class SyncedTable:
    """A synced table as it can be read."""

    name: str
    columns: tuple[StoredColumn, ...]
    primary_key: tuple[str, ...]
    generation: int
    scope: str
    """`Scope.label` of its owner."""
