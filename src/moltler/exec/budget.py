"""What a query may use of an instance: OPTIONS max_requests, max_seconds and max_results."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Protocol

from moltler.errors import MoltlerError, error_class
from moltler.flow.connector import ResolvedConnector
from moltler.ports import Clock

_LOOK_S = 0.02
"""Time between two looks at scans that wait for a page."""


class Spender(Protocol):
    """A scan, as far as a budget is concerned."""

    @property
    def target(self) -> ResolvedConnector:
        """Its instance."""
        ...

    @property
    def label(self) -> str:
        """Connector and entity, as messages name them."""
        ...

    @property
    def rows(self) -> int:
        """Rows so far, over all calls."""
        ...

    def stop(self, error: MoltlerError) -> None:
        """End its calls with an error."""
        ...


class Budget:
    """Adds up what the scans of one query use, and stops those of an instance that is over.

    Requests are counted before they are sent; rows and time are looked at after each page, and
    time by a thread of its own while pages are awaited.

    Args:
        clock: Times the query.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._scans: list[Spender] = []
        self._requests: Counter[str] = Counter()
        """By instance."""
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._watcher: threading.Thread | None = None

    def add(self, scan: Spender) -> None:
        """Take account of a scan."""
        self._scans.append(scan)

    def start(self) -> None:
        """Begin to watch, if an instance has a limit."""
        limits = [s.target.limits for s in self._scans]
        if all(li.max_seconds is None for li in limits):
            return
        self._watcher = threading.Thread(target=self._watch, name="moltler-budget", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """End the watch; may be repeated."""
        self._is_over.set()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join()

    def admit(self, scan: Spender) -> MoltlerError | None:
        """Count a request that a scan is about to make, or give the reason against it (PLN010)."""
        most, name = scan.target.limits.max_requests, scan.target.name
        with self._lock:
            if most is None or self._requests[name] < most:
                self._requests[name] += 1
                return None
        limit = f"needs more than max_requests = {most} requests"
        return self._error(scan, f"the query on `{name}` {limit}")

    def check(self, scan: Spender, rows: int) -> None:
        """Refuse to go on if a limit of a scan's instance is broken.

        Args:
            scan: What is being read.
            rows: That one reading of it has given, over all its calls.

        Raises:
            MoltlerError: PLN010.
        """
        most = scan.target.limits.max_results
        if most is not None and rows > most:
            limit = f"took more than max_results = {most} rows"
            raise self._error(scan, f"the scan of `{scan.label}` {limit}")
        exceeded = self._exceeded(scan)
        if exceeded is not None:
            raise exceeded

    def _exceeded(self, scan: Spender) -> MoltlerError | None:
        most, name = scan.target.limits.max_seconds, scan.target.name
        if most is None or self._seconds <= most:
            return None
        return self._error(scan, f"the query on `{name}` took more than max_seconds = {most:g}")

    @property
    def _seconds(self) -> float:
        return self._clock.monotonic() - self._started

    def _scans_of(self, target: ResolvedConnector) -> list[Spender]:
        return [s for s in self._scans if s.target.name == target.name]

    def _error(self, scan: Spender, what: str) -> MoltlerError:
        rows = sum(s.rows for s in self._scans_of(scan.target))
        requests = self._requests[scan.target.name]
        return error_class("PLN010")(
            "PLN010",
            f"{what}; so far: {rows} rows, {requests} requests, {self._seconds:.1f} s",
            hint="narrow the WHERE, or raise the option on the connector",
        )

    def _watch(self) -> None:
        while not self._is_over.wait(_LOOK_S):
            for scan in self._scans:
                exceeded = self._exceeded(scan)
                if exceeded is not None:
                    for other in self._scans_of(scan.target):
                        other.stop(exceeded)
                    return
