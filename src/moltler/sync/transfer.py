"""One run that has its lease: rows read, gathered into batches, and committed while more come."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pyarrow as pa

from moltler.errors import MoltlerError, error_class
from moltler.exec.extract import Extraction, Extractor
from moltler.exec.sources import Spool
from moltler.flow.predicate import Condition, OrderKey, Scalar
from moltler.flow.scan import ScanRequest, Warning
from moltler.flow.sync import (
    Batch,
    Lease,
    Presence,
    Receipt,
    RunRecord,
    Swap,
    SyncState,
)
from moltler.ports import Clock, Writer
from moltler.sync.cursor import Cursor, latest_for
from moltler.sync.gather import Gather
from moltler.sync.job import Course, Job, is_same_cursor, next_state
from moltler.sync.lease import TTL_S
from moltler.sync.rows import arrow_type, fit, with_tombstones, within, without_nul
from moltler.sync.waiting import Again, Attempts, Ender, Pause, Suspend

_BATCH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Means:
    """What a transfer works with."""

    extractor: Extractor
    writer: Writer
    clock: Clock
    pause: Pause
    draw: Callable[[], float]
    takes_nul: bool
    batch_bytes: int = _BATCH_BYTES
    committed: Callable[[], None] = lambda: None
    """Told after every commit."""
    watch: Callable[[RunRecord], None] = lambda _record: None
    """Told how far the run is."""
    ender: Ender = field(default_factory=Ender)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a transfer ended, unless it raised."""

    record: RunRecord
    state: SyncState | None
    """For `Writer.release`; ``None`` where the last commit wrote it."""
    warnings: tuple[Warning, ...] = ()


class Transfer:
    """Moves the rows of one run.

    Args:
        job: What was asked.
        course: What was made of it.
        lease: The right to write.
        record: Of the run, as it begins.
        means: To work with.
    """

    def __init__(
        self, job: Job, course: Course, lease: Lease, record: RunRecord, means: Means
    ) -> None:
        self._job = job
        self._course = course
        self._lease = lease
        self._means = means
        self._generation = course.generation
        self._is_first = course.generation is not None and not course.resumes
        self._low = course.low
        self._cursor = self._new_cursor()
        self._latest: datetime | None = None
        self._gather = Gather(job, course.columns, means.clock, means.batch_bytes)
        self._number = 0
        self._state: SyncState | None = lease.state
        self._commit: Future[Receipt] | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="moltler-commit")
        self._lost: MoltlerError | None = None
        self._wake = means.ender.event()
        """Set to end a wait."""
        self._extraction: Extraction | None = None
        self._warnings: list[Warning] = []
        self.record = record

    # ── from outside ─────────────────────────────────────────────────────────────────────────

    def lose(self, error: MoltlerError) -> None:
        """End the run from another thread: its lease is gone."""
        self._lost = error
        self._wake.set()
        extraction = self._extraction
        if extraction is not None:
            extraction.close()

    def run(self) -> Ending:
        """Move the rows.

        Raises:
            MoltlerError: The run failed; what was committed stays.
        """
        try:
            with self._worker:
                return self._run()
        finally:
            self._settle_record()

    def _run(self) -> Ending:
        attempts = Attempts(self._job.retry_count, draw=self._means.draw)
        while True:
            reached = self._cursor.watermark(is_complete=False) if self._cursor else None
            try:
                is_complete = self._scan()
                return self._finish(is_complete=is_complete)
            except MoltlerError as error:
                self._check_lost()
                if error.code.startswith("SNC"):
                    raise
                self._keep_what_came()
                now = self._cursor.watermark(is_complete=False) if self._cursor else None
                if now != reached:
                    attempts = attempts.restarted()
                verdict, attempts = attempts.after(error)
                match verdict:
                    case None:
                        raise
                    case Suspend(seconds):
                        return self._suspended(error, seconds)
                    case Again(seconds):
                        self._means.pause(seconds, self._wake)
                        self._check_lost()
            self._begin_anew()

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def _scan(self) -> bool:
        """Read once; tell whether nothing is missing."""
        with self._open(self._asked) as extraction:
            for batch in extraction.batches():
                self._check_lost()
                self._take(batch, extraction)
                if self._gather.is_due:
                    self._send()
            self._gather.add_unfit(extraction.take_unfit())
        self._check_lost()
        reason = extraction.incomplete_reason
        if reason is not None:
            self._warn("incomplete", f"the scan of `{self._job.label}` was incomplete: {reason}")
        return reason is None

    @contextmanager
    def _open(self, also: Callable[[ScanRequest], ScanRequest]) -> Generator[Extraction]:
        extraction = self._means.extractor.open(self._job.plan, also)
        self._extraction = extraction
        before = self.record
        try:
            with closing(extraction):
                yield extraction
        finally:
            self._extraction = None
            self._count_read(before, extraction)
        self._warnings += [w for w in extraction.warnings if w not in self._warnings]

    def _count_read(self, before: RunRecord, extraction: Extraction) -> None:
        self.record = replace(
            self.record,
            rows_read=before.rows_read + extraction.rows,
            requests=before.requests + extraction.requests,
        )

    def _asked(self, request: ScanRequest) -> ScanRequest:
        """Give the request with the bounds and the order that a handler may use."""
        course, cursor = self._course, self._course.cursor
        if cursor is None:
            return request
        where = request.where
        if self._low is not None:
            where = (*where, Condition(cursor.name, ">=", self._low))
        if course.high is not None:
            where = (*where, Condition(cursor.name, "<", course.high))
        return replace(request, where=where, since=self._low, order_by=(OrderKey(cursor.name),))

    def _take(self, batch: pa.RecordBatch, extraction: Extraction) -> None:
        course, cursor = self._course, self._cursor
        means = self._means
        if cursor is not None:
            batch = within(
                batch, cursor.field, self._low, course.high, keeps_null=course.mode != "backfill"
            )
        if not means.takes_nul:
            batch, unfit = without_nul(batch)
            self._gather.add_unfit(unfit)
        self._gather.add_unfit(extraction.take_unfit())
        if cursor is not None:
            if self._latest is None:
                self._latest = latest_for(self.record.started, extraction.server_time)
            latest = self._latest if self._has_time else None
            self._cursor = replace(cursor, latest=latest).observe(batch)
        if course.deletes_field is not None:
            batch = with_tombstones(batch, course.deletes_field.name, self.record.started)
        self._gather.add(batch)
        means.watch(
            replace(
                self.record,
                rows_read=self.record.rows_read + extraction.rows,
                requests=self.record.requests + extraction.requests,
            )
        )

    # ── committing ───────────────────────────────────────────────────────────────────────────

    def _send(self, *, is_complete: bool = False, presence: Presence | None = None) -> None:
        """Commit what was gathered, in the background; waits for the commit before it."""
        self._await_commit()
        rows, unfit = self._gather.take()
        self._number += 1
        batch = Batch(
            batch_id=f"{self.record.run_id}/{self._number}",
            run_id=self.record.run_id,
            synced_at=self.record.started,
            columns=self._gather.columns,
            rows=rows,
            state=self._state_now(is_complete=is_complete),
            record=replace(self.record, status="running", watermark=self._watermark_now()),
            generation=self._generation,
            is_first=self._is_first,
            key=self._course.key,
            cursor=self._course.cursor.name if self._course.cursor else None,
            unfit=unfit,
            presence=presence,
        )
        self._is_first = False
        self._state = batch.state if batch.state is not None else self._state
        self._commit = self._worker.submit(
            self._means.writer.commit, batch, self._lease, ttl_s=TTL_S
        )

    def _await_commit(self) -> None:
        commit, self._commit = self._commit, None
        if commit is None:
            return
        self._count(commit.result())
        self._means.committed()

    def _count(self, receipt: Receipt) -> None:
        r = self.record
        self.record = replace(
            r,
            inserted=r.inserted + receipt.inserted,
            updated=r.updated + receipt.updated,
            unchanged=r.unchanged + receipt.unchanged,
            deleted=r.deleted + receipt.deleted,
            quarantined=r.quarantined + receipt.quarantined,
        )
        if receipt.columns:
            self._gather.columns = receipt.columns

    def _state_now(self, *, is_complete: bool) -> SyncState | None:
        if self._generation is not None:
            # Rows that nobody sees yet are no reason to believe anything.
            return None
        watermark = self._cursor.watermark(is_complete=is_complete) if self._cursor else None
        return next_state(self._course, self._lease.target.generation, watermark)

    def _watermark_now(self) -> Scalar | None:
        return self._cursor.watermark(is_complete=False) if self._cursor else None

    # ── ends ─────────────────────────────────────────────────────────────────────────────────

    def _finish(self, *, is_complete: bool) -> Ending:
        self._tell_about_cursor()
        if self._generation is not None:
            return self._swapped(self._generation, is_complete=is_complete)
        course = self._course
        if self._job.deletes == "SWEEP" and course.mode == "incremental" and is_complete:
            self._sweep(allows_shrinking=self._job.allows_shrinking)
        elif not self._gather.is_empty:
            self._send(is_complete=is_complete)
        self._await_commit()
        watermark = self._cursor.watermark(is_complete=is_complete) if self._cursor else None
        if course.mode == "backfill" and is_complete:
            watermark = None
        generation = self._lease.target.generation
        state = next_state(course, generation, watermark)
        return self._ended(generation, watermark, None if state == self._state else state)

    def _ended(self, generation: int, watermark: Scalar | None, state: SyncState | None) -> Ending:
        is_complete = not any(w.code == "incomplete" for w in self._warnings)
        self.record = replace(
            self.record,
            status="ok",
            generation=generation,
            complete=is_complete,
            watermark=watermark,
        )
        return Ending(self.record, state, tuple(self._warnings))

    def _swapped(self, generation: int, *, is_complete: bool) -> Ending:
        job, course = self._job, self._course
        self._await_commit()
        if not is_complete:
            raise error_class("SNC008")(
                "SNC008",
                f"the scan of `{job.label}` was incomplete, so it cannot replace"
                f" `{job.scope.table}`",
                hint="raise OPTIONS max_pages, or let the handler read to the last page",
            )
        if course.resumes and self._generation == course.generation and not course.deletes_field:
            # Rows that came before the run was suspended may be gone by now.
            self._sweep(allows_shrinking=True)
        elif not self._gather.is_empty:
            self._send(is_complete=True)
        self._await_commit()
        watermark = self._cursor.watermark(is_complete=True) if self._cursor else None
        if course.mode == "backfill":
            watermark = None
        state = next_state(course, generation, watermark)
        self.record = replace(self.record, generation=generation, complete=True)
        receipt = self._means.writer.swap(
            Swap(
                generation=generation,
                run_id=self.record.run_id,
                columns=self._gather.columns,
                key=course.key,
                cursor=course.cursor.name if course.cursor else None,
                allows_shrinking=job.allows_shrinking,
                state=state,
                record=replace(self.record, status="ok", watermark=watermark),
            ),
            self._lease,
        )
        self._count(receipt)
        return self._ended(generation, watermark, None)

    def _sweep(self, *, allows_shrinking: bool) -> None:
        """Read the keys of all rows, and let what is missing count as deleted."""
        job = self._job
        keys = [p for p in job.entity.fields if p.primary_key]
        names = tuple(p.name for p in keys)
        spool = Spool(pa.schema([(p.name, arrow_type(p.type)) for p in keys]))
        with closing(spool):
            with self._open(lambda r: replace(r, columns=names, fields=names)) as extraction:
                for batch in extraction.batches():
                    self._check_lost()
                    spool.append(batch.select(list(names)))
            self._check_lost()
            if extraction.incomplete_reason is not None:
                self._warn("sweep_skipped", "the scan of the keys was incomplete: nothing deleted")
                self._send(is_complete=True)
                return
            spool.seal()
            stored = {c.name.lower(): c for c in self._gather.columns}
            wanted = tuple(stored[n.lower()] for n in names)

            def pages() -> Iterator[pa.RecordBatch]:
                for page in spool.pages():
                    yield fit(page, self._gather.types, wanted)[0]

            presence = Presence(_Pages(pages), allows_shrinking)
            self._send(is_complete=True, presence=presence)
            self._await_commit()

    def _tell_about_cursor(self) -> None:
        cursor = self._cursor
        if cursor is None:
            return
        if cursor.later:
            self._warn(
                "future_cursor",
                f"{cursor.later} row(s) of `{self._job.label}` have a `{cursor.field}` after the"
                " start of the run; they were written and do not move the watermark",
            )
        if cursor.is_claimed and not cursor.is_ordered:
            self._warn(
                "unordered",
                f"rows of `{self._job.label}` did not come in the order of `{cursor.field}`, which"
                " PUSHDOWN order_by promises; the watermark moves only at the end of a scan",
            )

    # ── failures that may pass ───────────────────────────────────────────────────────────────

    def _keep_what_came(self) -> None:
        """Commit the rows of a scan that broke off, where the next scan can go on from them."""
        is_kept = self._generation is None or self._is_resumable
        if is_kept and not self._gather.is_empty:
            self._send()
        self._await_commit()
        self._gather.drop_rows()

    @property
    def _is_resumable(self) -> bool:
        """Whether a scan may go on from the watermark instead of beginning anew."""
        cursor = self._cursor
        return (
            cursor is not None
            and cursor.is_claimed
            and cursor.is_ordered
            and cursor.watermark(is_complete=False) is not None
        )

    def _begin_anew(self) -> None:
        """Go back to where the next scan begins."""
        cursor = self._cursor
        if cursor is not None:
            self._cursor = replace(cursor, last=None)
            if self._is_resumable:
                reached = cursor.watermark(is_complete=False)
                self._low = self._low if reached == cursor.start else reached
                return
        if self._generation is not None:
            self._generation += 1
            self._is_first = True
            self._low = self._course.low if self._course.mode == "backfill" else None
            self._cursor = self._new_cursor()
            self.record = replace(self.record, inserted=0, updated=0, unchanged=0, deleted=0)

    def _suspended(self, error: MoltlerError, seconds: float) -> Ending:
        until = self._means.clock.now() + timedelta(seconds=seconds)
        fresh = next_state(self._course, self._lease.target.generation, None)
        state = self._state or fresh
        is_kept = self._course.mode == "full" and self._is_resumable
        if is_kept and self._generation is not None and is_same_cursor(state, fresh):
            state = replace(state, resume=self._watermark_now(), resume_generation=self._generation)
        message = f"{error.message}; due again at {until.isoformat(timespec='seconds')}"
        self.record = replace(
            self.record,
            status="suspended",
            generation=self._lease.target.generation,
            watermark=state.watermark,
            message=message,
            due=until,
        )
        warnings = (*self._warnings, Warning("suspended", message, self._job.label))
        return Ending(self.record, replace(state, suspended_until=until), warnings)

    # ── small things ─────────────────────────────────────────────────────────────────────────

    def _new_cursor(self) -> Cursor | None:
        course = self._course
        if course.cursor is None:
            return None
        is_claimed = course.cursor.name in self._job.entity.pushdown.order_by
        return Cursor(course.cursor.name, course.start, is_claimed=is_claimed)

    @property
    def _has_time(self) -> bool:
        cursor = self._course.cursor
        return cursor is not None and cursor.type.name in {"timestamp", "date"}

    def _check_lost(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._means.ender.is_over:
            raise KeyboardInterrupt

    def _settle_record(self) -> None:
        """Count a commit that was still on its way when the run failed."""
        commit, self._commit = self._commit, None
        if commit is not None and commit.done() and commit.exception() is None:
            self._count(commit.result())

    def _warn(self, code: str, message: str) -> None:
        self._warnings.append(Warning(code, message, self._job.label))


class _Pages:
    """Pages that can be read again from the beginning."""

    def __init__(self, read: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._read()
