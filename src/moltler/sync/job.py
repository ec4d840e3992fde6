"""What one entity's sync was asked to do, and what a run makes of it, given the state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

from moltler.errors import SyncError, error_class
from moltler.exec.conversion import convert
from moltler.flow.predicate import Scalar
from moltler.flow.scan import QueryPlan
from moltler.flow.sync import Lease, Mode, Scope, StoredColumn, SyncState
from moltler.model import Entity
from moltler.schema import Property
from moltler.sync.cursor import check_cursor, lower_bound
from moltler.sync.evolve import columns_of, evolve

BATCH_ROWS = 50_000
"""OPTIONS batch_size, unless it is set."""
Deletes = Literal["NONE", "FIELD", "SWEEP"]
Overlap = Literal["SKIP", "QUEUE", "CANCEL"]


@dataclass(frozen=True, slots=True)
class Job:
    """One entity to sync, as SYNC CONNECTOR says it."""

    scope: Scope
    entity: Entity
    plan: QueryPlan
    """Of the entity with the WHERE; one scan."""
    cursor: Property | None = None
    """INCREMENTAL ON."""
    lookback: timedelta | None = None
    is_full: bool = False
    """FULL."""
    deletes: Deletes = "NONE"
    deletes_field: Property | None = None
    max_errors: int = 0
    allows_shrinking: bool = False
    overlap: Overlap = "SKIP"
    bounds: tuple[object, object] | None = None
    """FROM and UNTIL, as they were evaluated; `decide` converts them to the cursor's type."""
    batch_rows: int = BATCH_ROWS
    retry_count: int = 0

    @property
    def label(self) -> str:
        """The entity as messages name it."""
        return f"{self.scope.connector}.{self.entity.name}"

    @property
    def mode(self) -> Mode:
        """What the run would be if there were a state to go on from."""
        if self.bounds is not None:
            return "backfill"
        return "incremental" if self.cursor is not None and not self.is_full else "full"


@dataclass(frozen=True, slots=True)
class Course:
    """How a run goes: decided once it has the lease."""

    mode: Mode
    key: tuple[str, ...]
    cursor: Property | None
    columns: tuple[StoredColumn, ...]
    generation: int | None
    """The one to be made; ``None`` to write into the visible one."""
    start: Scalar | None = None
    """The watermark so far."""
    low: Scalar | None = None
    """From here on rows are asked for; included."""
    high: Scalar | None = None
    """Up to here, excluded."""
    deletes_field: Property | None = None
    """Tells which rows are deletions."""
    resumes: bool = False
    """Goes on with a generation that a suspended run left."""
    note: str | None = None
    """Why it is not what it was asked to be."""


def check_job(job: Job) -> None:
    """Refuse what cannot be done exactly, whatever the state.

    Raises:
        SyncError: SNC001.
    """
    if job.cursor is not None:
        check_cursor(job.cursor, job.label)
        if job.lookback is not None and job.cursor.type.name not in {"timestamp", "date"}:
            raise _wrong(
                f"LOOKBACK is a span of time, and `{job.cursor.name}` is of type {job.cursor.type}",
                "leave LOOKBACK out",
            )
    if job.cursor is not None or job.bounds is not None:
        _check_key(job)
    if job.deletes != "NONE":
        if job.cursor is None:
            raise _wrong(
                f"DELETES {job.deletes} needs INCREMENTAL ON; a full sync leaves out what is gone",
                "leave DELETES out, or add INCREMENTAL ON field",
            )
        if job.deletes == "SWEEP" and job.scope.where is not None:
            raise _wrong(
                "DELETES SWEEP cannot be combined with WHERE: a row that no longer meets the"
                " condition would count as deleted",
                "leave one of them out",
            )
    if job.bounds is not None and (job.is_full or job.deletes == "SWEEP"):
        other = "FULL" if job.is_full else "DELETES SWEEP"
        raise _wrong(
            f"FROM … UNTIL reads a part of `{job.label}`, and {other} is about all of it",
            f"leave {other} out",
        )


def decide(job: Job, lease: Lease) -> Course:
    """Give the course of a run.

    Raises:
        SyncError: SNC001, SNC002, SNC009.
    """
    state, target = lease.state, lease.target
    if target.scope not in {None, job.scope.base.key} and not job.is_full:
        raise error_class("SNC009")(
            "SNC009",
            f"`{job.scope.table}` holds the rows of {target.label}, not of {job.scope.label}",
            hint="sync into another table, or take it over with FULL",
        )
    if job.bounds is not None:
        return _backfill(job, job.bounds, lease)
    key = job.entity.fields.primary_key
    if job.cursor is None or job.is_full:
        return _full(job, lease)
    if _resumes(job, lease):
        return _full(job, lease)
    if state is None or state.cursor_field is None or not target.generation:
        is_lost = state is not None and state.watermark is not None and not target.generation
        return _full(job, lease, "the table was gone, so everything was read" if is_lost else None)
    _check_same(job, job.cursor, state)
    return Course(
        "incremental",
        key,
        job.cursor,
        evolve(target.columns, job.entity.fields),
        None,
        state.watermark,
        lower_bound(state.watermark, job.lookback),
        deletes_field=job.deletes_field,
    )


def next_state(course: Course, generation: int, watermark: Scalar | None) -> SyncState:
    """Give the state of a scope after a commit into a generation."""
    cursor = course.cursor
    return SyncState(
        generation=generation,
        primary_key=course.key,
        cursor_field=None if cursor is None else cursor.name,
        cursor_type=None if cursor is None else cursor.type,
        watermark=watermark,
        deletes_field=None if course.deletes_field is None else course.deletes_field.name,
    )


def _resumes(job: Job, lease: Lease) -> bool:
    """Tell whether a suspended full load waits to be gone on with."""
    state, target = lease.state, lease.target
    return (
        state is not None
        and state.resume is not None
        and job.cursor is not None
        and state.resume_generation == target.last_generation > target.generation
        and _is_same(job.cursor, state, job.entity.fields.primary_key)
    )


def _full(job: Job, lease: Lease, note: str | None = None) -> Course:
    state, last = lease.state, lease.target.last_generation
    resumes = _resumes(job, lease)
    return Course(
        "full",
        job.entity.fields.primary_key,
        job.cursor,
        columns_of(job.entity.fields),
        last if resumes else last + 1,
        low=state.resume if resumes and state is not None else None,
        deletes_field=job.deletes_field,
        resumes=resumes,
        note=note,
    )


def _backfill(job: Job, bounds: tuple[object, object], lease: Lease) -> Course:
    cursor, target, state = job.cursor, lease.target, lease.state
    if cursor is None:
        name = target.state.cursor_field if target.state is not None else None
        cursor = job.entity.fields.find(name) if name is not None else None
    if cursor is None:
        raise _wrong(
            f"FROM … UNTIL needs the field it is about, and `{job.scope.table}` has no"
            " incremental sync",
            "add INCREMENTAL ON field",
        )
    check_cursor(cursor, job.label)
    if target.state is not None and target.state.cursor_field is not None:
        _check_same(job, cursor, target.state)
    fields, deletes_field = job.entity.fields, job.deletes_field
    if deletes_field is None and target.state is not None and target.state.deletes_field:
        deletes_field = fields.find(target.state.deletes_field)
    first, high = (_bound(b, cursor) for b in bounds)
    low = first
    is_unfinished = state is not None and state.watermark is not None and target.generation
    if is_unfinished and state is not None and _is_same(cursor, state, fields.primary_key):
        low = state.watermark or low  # its rows came in order up to there
    return Course(
        "backfill",
        fields.primary_key,
        cursor,
        evolve(target.columns, fields),
        None if target.generation else target.last_generation + 1,
        start=low if low != first else None,
        low=low,
        high=high,
        deletes_field=deletes_field,
    )


def _bound(value: object, cursor: Property) -> Scalar:
    """Give a bound in the type of the cursor.

    Raises:
        MoltlerError: PLN007, it does not fit; SNC001, it is NULL.
    """
    bound = convert(value, cursor.type.name)
    if bound is None:
        raise _wrong(
            f"a bound of FROM … UNTIL is NULL, and `{cursor.name}` is never less or greater",
            "give both bounds",
        )
    return cast("Scalar", bound)


def _check_key(job: Job) -> None:
    if not job.entity.fields.primary_key:
        raise _wrong(
            f"`{job.label}` has no primary key, so changed rows cannot be told from new ones",
            'mark the identifying field with `"primary_key": true`, or leave INCREMENTAL ON out',
        )


def _is_same(cursor: Property, state: SyncState, key: tuple[str, ...]) -> bool:
    return (
        _folded(state.primary_key) == _folded(key)
        and (state.cursor_field or "").lower() == cursor.name.lower()
        and str(state.cursor_type) == str(cursor.type)
    )


def is_same_cursor(one: SyncState, other: SyncState) -> bool:
    """Tell whether two states are about the same key and cursor."""
    return (one.primary_key, one.cursor_field, one.cursor_type) == (
        other.primary_key,
        other.cursor_field,
        other.cursor_type,
    )


def _check_same(job: Job, cursor: Property, state: SyncState) -> None:
    """Refuse to go on from a state that is about other fields."""
    key = job.entity.fields.primary_key
    if _folded(state.primary_key) != _folded(key):
        was, now = ", ".join(state.primary_key), ", ".join(key)
        raise error_class("SNC009")(
            "SNC009",
            f"the primary key of `{job.label}` was ({was}) and is ({now}) now",
            hint="run the sync once with FULL",
        )
    if (state.cursor_field or "").lower() != cursor.name.lower():
        raise error_class("SNC009")(
            "SNC009",
            f"`{job.scope.table}` was synced by `{state.cursor_field}`, and now by `{cursor.name}`",
            hint="run the sync once with FULL",
        )
    if str(state.cursor_type) != str(cursor.type):
        raise error_class("SNC002")(
            "SNC002",
            f"the stored state of `{job.scope.table}` is of type {state.cursor_type}, "
            f"`{cursor.name}` is of type {cursor.type} now",
            hint="run the sync once with FULL",
        )


def _folded(names: tuple[str, ...]) -> list[str]:
    return [name.lower() for name in names]


def _wrong(message: str, hint: str) -> SyncError:
    return SyncError("SNC001", message, hint=hint)
