"""What a run does after a failure that may pass: wait, be suspended, or give up."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock

from moltler.errors import MoltlerError

LONGEST_INSIDE_S = 600.0
"""A wait up to here is spent inside the run; for longer ones the run is suspended."""
_FIRST_S, _LONGEST_S = 0.5, 30.0
_IDLE_ATTEMPTS = 5
"""Refusals in a row without Retry-After, or without a new row between them, until it is suspended
or fails."""

Pause = Callable[[float, Event], None]


class Ender:
    """Ends runs and their waits; safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._events: list[Event] = []
        self.is_over = False

    def event(self) -> Event:
        """Give an event that is set when all is to end."""
        event = Event()
        with self._lock:
            self._events.append(event)
            if self.is_over:
                event.set()
        return event

    def end(self) -> None:
        """End all runs at their next page, and their waits at once."""
        with self._lock:
            self.is_over = True
            for event in self._events:
                event.set()


def pause(seconds: float, is_over: Event) -> None:
    """Wait in real time, or until the event is set."""
    is_over.wait(seconds)


@dataclass(frozen=True, slots=True)
class Again:
    """Read again from the last commit, after some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Suspend:
    """End the run; it is due again after some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Attempts:
    """Counts failures in a row; a run that gets on begins to count anew."""

    retry_count: int
    failures: int = 0
    refusals: int = 0
    draw: Callable[[], float] = field(default=random.random)

    def after(self, error: MoltlerError) -> tuple[Again | Suspend | None, Attempts]:
        """Tell what to do after a failure; ``None`` to give up.

        Source: SYNC §9; RFC 9110 §10.2.3, Retry-After.
        """
        if error.code == "API003":
            after = Attempts(self.retry_count, self.failures, self.refusals + 1, self.draw)
            asked = error.retry_after
            if asked:
                if asked > LONGEST_INSIDE_S or self.refusals >= _IDLE_ATTEMPTS:
                    return Suspend(asked), after
                return Again(asked), after
            if self.refusals >= max(_IDLE_ATTEMPTS, self.retry_count):
                return None, after
            return Again(self._backoff(self.refusals)), after
        if error.code == "API001" and self.failures < self.retry_count:
            after = Attempts(self.retry_count, self.failures + 1, self.refusals, self.draw)
            return Again(self._backoff(self.failures)), after
        return None, self

    def restarted(self) -> Attempts:
        """Give the count of a run that got on."""
        return Attempts(self.retry_count, draw=self.draw)

    def _backoff(self, attempt: int) -> float:
        # Full jitter: clients that failed together come back apart.
        return min(_FIRST_S * 2**attempt, _LONGEST_S) * self.draw()
