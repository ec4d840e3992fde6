"""What a query may use of an instance: OPTIONS max_requests, max_seconds and max_results."""

from __future__ import annotations

import threading
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
    def requests(self) -> int:
        """HTTP requests so far, over all calls."""
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

    After each page all is looked at; while pages are awaited, a thread of its own looks at
    requests and time.

    Args:
        clock: Times the query.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._scans: list[Spender] = []
        self._is_over = threading.Event()
        self._watcher: threading.Thread | None = None

    def add(self, scan: Spender) -> None:
        """Take account of a scan."""
        self._scans.append(scan)

    def start(self) -> None:
        """Begin to watch, if an instance has a limit."""
        limits = [s.target.limits for s in self._scans]
        if all(li.max_requests is None and li.max_seconds is None for li in limits):
            return
        self._watcher = threading.Thread(target=self._watch, name="moltler-budget", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """End the watch; may be repeated."""
        self._is_over.set()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join()

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
            raise self._error(scan, f"the scan of `{scan.label}`", f"max_results = {most} rows")
        exceeded = self._exceeded(scan)
        if exceeded is not None:
            raise exceeded

    def _exceeded(self, scan: Spender) -> MoltlerError | None:
        target = scan.target
        limits, who = target.limits, f"the query on `{target.name}`"
        if limits.max_requests is not None:
            used = sum(s.requests for s in self._scans_of(target))
            if used > limits.max_requests:
                return self._error(scan, who, f"max_requests = {limits.max_requests} requests")
        if limits.max_seconds is not None and self._seconds > limits.max_seconds:
            return self._error(scan, who, f"max_seconds = {limits.max_seconds:g}")
        return None

    @property
    def _seconds(self) -> float:
        return self._clock.monotonic() - self._started

    def _scans_of(self, target: ResolvedConnector) -> list[Spender]:
        return [s for s in self._scans if s.target.name == target.name]

    def _error(self, scan: Spender, who: str, limit: str) -> MoltlerError:
        scans = self._scans_of(scan.target)
        rows, requests = sum(s.rows for s in scans), sum(s.requests for s in scans)
        return error_class("PLN010")(
            "PLN010",
            f"{who} took more than {limit}; so far: {rows} rows, {requests} requests, "
            f"{self._seconds:.1f} s",
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
