"""How long at least one of several things goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Stopwatch:
    """Counts the time during which something goes on, once where several things overlap.

    May be shared by threads.

    Args:
        now: Seconds that never go back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._open = 0
        self._since = 0.0
        self._total = 0.0

    @property
    def is_running(self) -> bool:
        """Whether something goes on."""
        return self._open > 0

    def start(self) -> None:
        """Note that one more thing goes on."""
        with self._lock:
            if not self._open:
                self._since = self._now()
            self._open += 1

    def stop(self) -> None:
        """Note that one of them is over."""
        with self._lock:
            self._open -= 1
            if not self._open:
                self._total += self._now() - self._since

    @contextmanager
    def running(self) -> Generator[None]:
        """Count the time inside."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    def read(self) -> float:
        """Give the seconds so far, with what still goes on."""
        with self._lock:
            return self._total + (self._now() - self._since if self._open else 0.0)
