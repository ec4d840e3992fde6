"""Runs stored syncs when their schedules say so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from moltler.errors import MoltlerError
from moltler.flow.sync import RunRecord
from moltler.model import StoredSync
from moltler.ports import Clock
from moltler.sync.due import due_time
from moltler.sync.schedule import next_time

_LOOK_S = 5.0
"""Other programs may add syncs, or drop their schedules; so often we look."""
_MOST_AT_ONCE = 2
"""Runs of one sync: one that writes, and one that its OVERLAP lets wait."""

Event = Mapping[str, object]
"""What happened, ready for JSON but for times."""


@dataclass(slots=True)
class _Planned:
    sync: StoredSync
    at: datetime | None
    running: int = 0


@dataclass(slots=True)
class Scheduler:
    """Keeps the schedules of one home, in a thread of its own for each run.

    Runs that were missed while nobody kept the schedules are skipped: a sync waits for its next
    time. A suspended run goes on as soon as the API takes requests.

    Args:
        syncs: Gives the stored syncs as they are now.
        runs: Gives the runs of one, the latest first.
        run: Runs one and gives what each of its entities came to.
        clock: Tells the time.
        tell: Told what happens, by any thread.
    """

    syncs: Callable[[], Sequence[StoredSync]]
    runs: Callable[[StoredSync], Sequence[RunRecord]]
    run: Callable[[StoredSync], Sequence[Event]]
    clock: Clock
    tell: Callable[[Event], None]
    _planned: dict[str, _Planned] = field(default_factory=dict[str, _Planned])
    _threads: set[threading.Thread] = field(default_factory=set[threading.Thread])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, stop: threading.Event) -> None:
        """Keep the schedules until told to stop; runs that have begun go on."""
        while not stop.is_set():
            following = self.look()
            pause = _LOOK_S
            if following is not None:
                pause = min(pause, (following - self.clock.now()).total_seconds())
            stop.wait(max(pause, 0.0))

    def look(self) -> datetime | None:
        """Start what is due, and give the time at which the next run is."""
        now = self.clock.now()
        try:
            self._note_changes(now)
        except MoltlerError as error:
            # A home or destination that is away for a moment: its syncs keep their times.
            self.tell(failure(error))
        with self._lock:
            due = [p for p in self._planned.values() if p.at is not None and p.at <= now]
            for planned in due:
                planned.at = self._following(planned.sync, now)
        for planned in due:
            self._start(planned)
        return self.next_run

    @property
    def next_run(self) -> datetime | None:
        """The time at which the next sync is due."""
        with self._lock:
            return min((p.at for p in self._planned.values() if p.at is not None), default=None)

    @property
    def counts(self) -> tuple[int, int]:
        """How many syncs have a time, and how many runs there are at the moment."""
        with self._lock:
            planned = self._planned.values()
            return sum(p.at is not None for p in planned), sum(p.running for p in planned)

    def finish(self, seconds: float) -> bool:
        """Wait for runs that have begun; tell whether all of them ended.

        Args:
            seconds: How long to wait at most.
        """
        deadline = self.clock.monotonic() + seconds
        for thread in tuple(self._threads):
            thread.join(max(deadline - self.clock.monotonic(), 0.0))
        return not any(t.is_alive() for t in self._threads)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _note_changes(self, now: datetime) -> None:
        found = {s.key: s for s in self.syncs()}
        with self._lock:
            known = {key: p.sync for key, p in self._planned.items()}
            for key in [k for k in known if k not in found]:
                del self._planned[key]
        for key, sync in found.items():
            before = known.get(key)
            if before == sync:
                continue
            at = self._first(sync, now)
            with self._lock:
                planned = self._planned.setdefault(key, _Planned(sync, at))
                planned.sync, planned.at = sync, at

    def _first(self, sync: StoredSync, now: datetime) -> datetime | None:
        suspended = due_time(replace(sync, schedule=None), self.runs(sync))
        return _earlier(suspended, self._following(sync, now))

    def _following(self, sync: StoredSync, now: datetime) -> datetime | None:
        return None if sync.schedule is None else next_time(sync.schedule, sync.timezone, now)

    def _start(self, planned: _Planned) -> None:
        with self._lock:
            has_room = planned.running < _MOST_AT_ONCE
            planned.running += has_room
        if not has_room:
            self.tell({"event": "skipped", **_named(planned.sync), "message": "still running"})
            return
        thread = threading.Thread(
            target=self._run, args=(planned,), name="moltler-scheduled", daemon=True
        )
        self._threads = {t for t in self._threads if t.is_alive()} | {thread}
        thread.start()

    def _run(self, planned: _Planned) -> None:
        sync = planned.sync
        self.tell({"event": "started", **_named(sync)})
        try:
            for report in self.run(sync):
                self.tell({"event": "ended", **report})
        except MoltlerError as error:
            self.tell({**failure(error), **_named(sync)})
        try:
            suspended = due_time(replace(sync, schedule=None), self.runs(sync))
        except MoltlerError as error:
            self.tell({**failure(error), **_named(sync)})
            suspended = None
        with self._lock:
            planned.running -= 1
            if suspended is not None:
                # Never at once: an API that says "now" and refuses would be asked in circles.
                soonest = self.clock.now() + timedelta(seconds=_LOOK_S)
                planned.at = _earlier(planned.at, max(suspended, soonest))


def failure(error: MoltlerError) -> Event:
    """Give an error as what happened."""
    return {"event": "failed", "code": error.code, "message": error.message, "hint": error.hint}


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((t for t in (one, other) if t is not None), default=None)


def _named(sync: StoredSync) -> Event:
    name = sync.connector if sync.entity is None else f"{sync.connector}.{sync.entity}"
    return {"sync": name, "target": f"{sync.destination}.{sync.table}"}
