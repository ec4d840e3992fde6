"""The clock of one test: real, until the test moves it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from moltler.ports import Clock


class TestClock:
    """A clock that ADVANCE CLOCK moves; it never goes back.

    Args:
        base: The real clock.
        standing: Gives the time of a clock that stands, in milliseconds since 1970.
    """

    __test__ = False

    def __init__(self, base: Clock, standing: Callable[[], float | None] | None = None) -> None:
        self._base = base
        self._standing = standing
        self.offset = timedelta()

    def now(self) -> datetime:
        """Give the time of the test."""
        ms = self._standing() if self._standing is not None else None
        if ms is not None:
            return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
        return self._base.now() + self.offset

    def monotonic(self) -> float:
        """Give seconds that never go back, moved along with the clock."""
        return self._base.monotonic() + self.offset.total_seconds()

    def advance(self, by: timedelta) -> None:
        """Move the clock on.

        Raises:
            OverflowError: There is no such time; the clock stays.
        """
        _ = self.now() + by
        self.offset += by
