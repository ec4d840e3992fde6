"""Handlers that are watched while a query runs, for EXPLAIN ANALYZE."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from moltler.exec.layer import HandlersLayer
from moltler.exec.pages import PageReader
from moltler.flow.connector import ResolvedConnector
from moltler.flow.scan import ScanOutcome, ScanRequest
from moltler.ports import Handlers, PageStream
from moltler.sandbox.stopwatch import Stopwatch

CountKept = Callable[[ScanRequest, str, pa.RecordBatch], int]
"""Tells how many rows of a page of a scan, in declared types, its `check_sql` counts."""


@dataclass(slots=True)
class Tally:
    """What one scan did, over all calls of its handler."""

    request: ScanRequest
    """As planned."""
    calls: int = 0
    second_calls: int = 0
    """Calls without the limit that the first one had."""
    requests: int = 0
    pages: int = 0
    received: int = 0
    kept: int | None = 0
    """Rows of the answer in use that pass WHERE; ``None`` where a SELECT reads more than it."""
    retries: int = 0
    cache_hits: int = 0
    api_s: float = 0.0
    call_s: float = 0.0


class MeasuredHandlers(HandlersLayer):
    """Runs handlers and keeps a tally for each scan of a query (`ports.Handlers`).

    Args:
        handlers: Run them.
        scans: As planned.
        count_kept: For scans with a `check_sql`.
        now: Seconds that never go back.
    """

    def __init__(
        self,
        handlers: Handlers,
        scans: tuple[ScanRequest, ...],
        count_kept: CountKept,
        now: Callable[[], float],
    ) -> None:
        self.tallies: Mapping[str, Tally] = {
            r.scan: Tally(r, kept=0 if r.check_sql is not None or not _has_conditions(r) else None)
            for r in scans
        }
        self.waiting = Stopwatch(now)
        """Runs while the engine waits for a page."""
        super().__init__(handlers)
        self._count_kept = count_kept
        self._lock = threading.Lock()

    def query(self, target: ResolvedConnector, request: ScanRequest) -> PageStream:
        """Start a query handler; nothing runs before the first page is pulled."""
        tally = self.tallies[request.scan]
        with self._lock:
            tally.calls += 1
            if tally.request.limit is not None and request.limit is None:
                tally.second_calls += 1
                if tally.kept is not None:
                    tally.kept = 0  # the rows of the first answer are not used
        fields = request.entity.fields
        columns = tuple(p for c in request.columns if (p := fields.find(c)) is not None)
        label = f"{target.name}.{request.entity.name}"
        reader = PageReader(columns, label, target.limits.null_on_type_error)
        return _MeasuredPages(self._handlers.query(target, request), reader, tally, self)

    def note_page(self, tally: Tally, batch: pa.RecordBatch) -> None:
        """Count the rows of a page, in declared types, that the query keeps."""
        if tally.kept is None:
            return
        check = tally.request.check_sql
        kept = batch.num_rows if check is None else self._count_kept(tally.request, check, batch)
        with self._lock:
            tally.kept += kept

    def note_end(self, tally: Tally, outcome: ScanOutcome) -> None:
        """Count a call that is over."""
        with self._lock:
            tally.calls -= outcome.is_cached
            tally.requests += outcome.requests
            tally.pages += outcome.pages
            tally.received += outcome.rows
            tally.retries += outcome.retries
            tally.cache_hits += outcome.is_cached
            tally.api_s += outcome.api_s
            tally.call_s += outcome.call_s


class _MeasuredPages:
    """The pages of one call (`ports.PageStream`)."""

    def __init__(
        self,
        stream: PageStream,
        reader: PageReader,
        tally: Tally,
        owner: MeasuredHandlers,
    ) -> None:
        self._stream = stream
        self._reader = reader
        self._tally = tally
        self._owner = owner
        self._rows = 0
        self._lock = threading.Lock()
        self._is_noted = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Give itself."""
        return self

    def __next__(self) -> pa.RecordBatch:
        """Give the next page, counted."""
        with self._owner.waiting.running():
            page = next(self._stream)
            batch, _ = self._reader.read(page, self._rows)
            self._rows += page.num_rows
            self._owner.note_page(self._tally, batch)
            return page

    def close(self) -> None:
        """Stop the handler and count what it did; may be repeated."""
        self._stream.close()
        with self._lock:
            is_noted, self._is_noted = self._is_noted, True
        if not is_noted:
            self._owner.note_end(self._tally, self._stream.outcome)

    @property
    def outcome(self) -> ScanOutcome:
        """What is known so far."""
        return self._stream.outcome


def _has_conditions(request: ScanRequest) -> bool:
    return bool(request.where or request.local)
