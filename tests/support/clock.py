"""A clock that tests move by hand."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class HandClock:
    """Starts at a fixed instant; `now` moves only by `advance`, the stopwatch runs."""

    def __init__(self, start: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """Give the time that was set."""
        return self._now

    def monotonic(self) -> float:
        """Give real seconds."""
        return time.monotonic()

    def advance(self, seconds: float) -> None:
        """Move the time on."""
        self._now += timedelta(seconds=seconds)
