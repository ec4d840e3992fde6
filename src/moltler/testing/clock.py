"""The clock of one test: real, until the test moves it."""

from __future__ import annotations

from datetime import datetime, timedelta

from moltler.ports import Clock


class TestClock:
    """A clock that ADVANCE CLOCK moves; it never goes back."""

    __test__ = False

    def __init__(self, base: Clock) -> None:
        self._base = base
        self.offset = timedelta()

    def now(self) -> datetime:
        """Give the time of the test."""
        return self._base.now() + self.offset

    def monotonic(self) -> float:
        """Give seconds that never go back, moved along with the clock."""
        return self._base.monotonic() + self.offset.total_seconds()

    def advance(self, by: timedelta) -> None:
        """Move the clock on."""
        self.offset += by
