"""One sync from lease to report."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from moltler.errors import MoltlerError
from moltler.exec.extract import Extractor
from moltler.flow.scan import Warning
from moltler.flow.sync import Held, Lease, RunRecord, SyncState
from moltler.ports import Clock, Destination, Writer
from moltler.sync.job import Job, check_job, decide
from moltler.sync.lease import HEARTBEAT_S, TTL_S, Heartbeat, is_dead, owner_text, shown_owner
from moltler.sync.transfer import Ending, Means, Transfer
from moltler.sync.waiting import Ender, Pause, pause

_QUEUE_POLL_S = 0.5


def new_run_id() -> str:
    """Give a text that no other run has."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Tools:
    """What runs need besides their jobs."""

    extractor: Extractor
    destination: Destination
    clock: Clock
    pause: Pause = pause
    draw: Callable[[], float] = random.random
    new_id: Callable[[], str] = new_run_id
    watch: Callable[[RunRecord], None] = lambda _record: None
    batch_bytes: int = 64 << 20
    ender: Ender = field(default_factory=Ender)
    heartbeat_s: float = HEARTBEAT_S
    ttl_s: float = TTL_S


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How one run ended."""

    record: RunRecord
    error: MoltlerError | None = None
    warnings: tuple[Warning, ...] = ()


def run_job(job: Job, tools: Tools) -> RunOutcome:
    """Sync one entity; a failure is a value, an interrupt is raised after the lease was given up.

    Source: SYNC §2, §3 and §8.
    """
    return _Run(job, tools).run()


class _Run:
    def __init__(self, job: Job, tools: Tools) -> None:
        self._job = job
        self._tools = tools
        self._started_s = tools.clock.monotonic()
        self._warnings: tuple[Warning, ...] = ()
        self._record = RunRecord(
            run_id=tools.new_id(),
            scope=job.scope,
            mode=job.mode,
            status="running",
            started=tools.clock.now(),
        )

    def run(self) -> RunOutcome:
        writer = self._tools.destination.writer(self._job.scope.table)
        try:
            check_job(self._job)
            claim = self._claim(writer)
            if isinstance(claim, Held):
                return self._skipped(claim)
        except MoltlerError as error:
            return self._failed(error)
        try:
            ending = self._transfer(writer, claim)
        except BaseException as error:
            outcome = self._failed(error)
            self._give_up(writer, claim, outcome.record, None)
            if isinstance(error, MoltlerError):
                return outcome
            raise
        record = self._closed(ending.record)
        failure = self._give_up(writer, claim, record, ending.state)
        if failure is not None:
            return self._failed(failure)
        return RunOutcome(record, None, (*self._warnings, *ending.warnings))

    def _claim(self, writer: Writer) -> Lease | Held:
        job, tools = self._job, self._tools
        owner = owner_text(self._record.run_id)
        while True:
            claim = writer.claim(
                job.scope,
                owner,
                ttl_s=tools.ttl_s,
                is_dead=is_dead,
                by_force=job.overlap == "CANCEL",
            )
            if isinstance(claim, Lease) or job.overlap != "QUEUE":
                return claim
            tools.pause(_QUEUE_POLL_S, tools.ender.event())
            if tools.ender.is_over:
                return claim

    def _transfer(self, writer: Writer, lease: Lease) -> Ending:
        job, tools = self._job, self._tools
        course = decide(job, lease)
        before = lease.state.watermark if lease.state is not None else None
        record = replace(
            self._record, mode=course.mode, watermark_before=before, message=course.note
        )
        self._record = replace(record, watermark=before, generation=lease.target.generation)
        heartbeat: list[Heartbeat] = []
        means = Means(
            extractor=tools.extractor,
            writer=writer,
            clock=tools.clock,
            pause=tools.pause,
            draw=tools.draw,
            takes_nul=tools.destination.takes_nul,
            batch_bytes=tools.batch_bytes,
            committed=lambda: heartbeat[0].note(),
            watch=tools.watch,
            ender=tools.ender,
        )
        transfer = Transfer(job, course, lease, self._record, means)
        heartbeat.append(Heartbeat(writer, lease, transfer.lose, every_s=tools.heartbeat_s))
        heartbeat[0].start()
        try:
            return transfer.run()
        finally:
            heartbeat[0].close()
            self._record = transfer.record

    def _give_up(
        self, writer: Writer, lease: Lease, record: RunRecord, state: SyncState | None
    ) -> MoltlerError | None:
        """Release the lease; give why that failed."""
        try:
            writer.release(lease, record, state)
        except MoltlerError as error:
            if error.code == "SNC004":
                # The scope is somebody else's by now; that the run ended is still worth noting.
                with suppress(MoltlerError):
                    self._tools.destination.note(record)
            return error
        return None

    def _closed(self, record: RunRecord) -> RunRecord:
        ended = self._tools.clock.now()
        duration = round((self._tools.clock.monotonic() - self._started_s) * 1000)
        return replace(record, ended=ended, duration_ms=duration)

    def _skipped(self, held: Held) -> RunOutcome:
        message = f"{shown_owner(held.owner)} is syncing `{self._job.scope.table}` already"
        record = self._closed(replace(self._record, status="skipped", message=message))
        try:
            self._tools.destination.note(record)
        except MoltlerError as error:
            return self._failed(error)
        return RunOutcome(record, None, (Warning("skipped", message, self._job.label),))

    def _failed(self, error: BaseException) -> RunOutcome:
        known = isinstance(error, MoltlerError)
        message = f"{error.code}: {error.message}" if known else type(error).__name__
        record = self._closed(replace(self._record, status="failed", message=message))
        return RunOutcome(record, error if known else None)
