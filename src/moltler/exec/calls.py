"""A scan that takes several calls of its handler, some of them at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from moltler.exec.border import Cells
from moltler.exec.scan import RowCount, ScanSource
from moltler.exec.sources import Rows, stop
from moltler.flow.scan import ScanRequest
from moltler.ports import PageStream

_MOST_AT_ONCE = 32
"""Calls at once, whatever the instance allows: no more requests of it are in flight either."""
_WAITING_PAGES = 2
"""Pages for each call at once that may wait for the reader."""


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """One call, and the rows of its answer that are its own.

    Calls divide the rows of an entity by their keys: what an API answers beyond the keys that it
    was asked for belongs to another call, or to none.
    """

    request: ScanRequest
    keys: Mapping[str, Cells]
    """By field; float keys are never negative zero."""

    def own(self, page: pa.RecordBatch) -> pa.RecordBatch:
        """Give the rows of a page that have the keys of this call."""
        for name, keys in self.keys.items():
            column: Cells = page.column(name)
            if pa.types.is_floating(column.type):
                column = pc.add(column, 0.0)  # for DuckDB -0.0 equals 0.0, for sets it does not
            chosen = pc.is_in(column, value_set=keys)
            if not pc.all(chosen, min_count=0).as_py():
                page = page.filter(chosen)
        return page


class KeyedScan(Rows):
    """The rows of several calls, one after the other or as many at once as the instance allows.

    Each call is watched for repeated primary keys and pages on its own, over all that the API
    answers. Across calls nothing is compared: a row has one key and so belongs to one call, and
    what APIs answer to several calls alike has been left out.

    Args:
        scan: Reads each call.
        calls: What they ask.
    """

    def __init__(self, scan: ScanSource, calls: Sequence[KeyedCall]) -> None:
        super().__init__(scan.schema)
        self._scan = scan
        self._calls = tuple(calls)
        self._fans: list[_Fan] = []
        self._lock = threading.Lock()
        self._is_closed = False

    def pages(self) -> Iterator[pa.RecordBatch]:
        """Make the calls."""
        allowed = self._scan.target.limits.max_concurrency
        width = min(allowed, len(self._calls), _MOST_AT_ONCE)
        if width <= 1:
            return self._one_by_one()
        return self._at_once(width)

    def close(self) -> None:
        """Stop what runs and wait for it, after the scan was closed; may be repeated."""
        with self._lock:
            self._is_closed = True
            fans = list(self._fans)
        for fan in fans:
            fan.close()

    def _one_by_one(self) -> Iterator[pa.RecordBatch]:
        count = RowCount()
        for call in self._calls:
            yield from _pages_of(self._scan, call, count, _leave)

    def _at_once(self, width: int) -> Iterator[pa.RecordBatch]:
        fan = _Fan(self._scan, self._calls, width)
        with self._lock:
            if self._is_closed:
                return
            self._fans.append(fan)
        fan.start()
        try:
            yield from fan.pages()
        finally:
            fan.close()


def _leave(stream: PageStream) -> None:
    """Take no notice of a stream: it is closed by the thread that reads it."""


def _pages_of(
    scan: ScanSource, call: KeyedCall, count: RowCount, opened: Callable[[PageStream], None]
) -> Iterator[pa.RecordBatch]:
    pages = scan.reading(call.request, count, opened)
    try:
        for page in pages:
            own = call.own(page)
            if own.num_rows:
                yield own
    finally:
        stop(pages)


class _Fan:
    """Threads that make calls, each its next one, and one reader of their pages."""

    def __init__(self, scan: ScanSource, calls: Sequence[KeyedCall], width: int) -> None:
        self._scan = scan
        self._calls = deque(calls)
        self._count = RowCount()
        self._ready: deque[pa.RecordBatch] = deque()
        self._most = width * _WAITING_PAGES
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._is_over = False
        self._working = width
        self._streams: dict[int, PageStream] = {}
        # What each thread reads, to wake it.
        self._threads = [
            threading.Thread(target=self._work, name="moltler-keys", daemon=True)
            for _ in range(width)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def pages(self) -> Iterator[pa.RecordBatch]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or not self._working or self._failure)
                if self._failure is not None:
                    raise self._failure
                if not self._ready:
                    return
                page = self._ready.popleft()
                self._changed.notify_all()
            yield page

    def close(self) -> None:
        with self._changed:
            self._is_over = True
            streams = list(self._streams.values())
            self._changed.notify_all()
        for stream in streams:
            stream.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        try:
            while (call := self._next()) is not None:
                pages = _pages_of(self._scan, call, self._count, self._opened)
                try:
                    for page in pages:
                        if not self._put(page):
                            return
                finally:
                    stop(pages)
        except BaseException as error:  # noqa: BLE001 - the reader's thread raises it
            with self._changed:
                self._failure = self._failure or error
                self._is_over = True
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _opened(self, stream: PageStream) -> None:
        with self._changed:
            self._streams[threading.get_ident()] = stream
            is_late = self._is_over
        if is_late:
            stream.close()

    def _next(self) -> KeyedCall | None:
        with self._changed:
            return self._calls.popleft() if self._calls and not self._is_over else None

    def _put(self, page: pa.RecordBatch) -> bool:
        """Hand over a page; tell whether the reader wants more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._ready) < self._most or self._is_over)
            if not self._is_over:
                self._ready.append(page)
                self._changed.notify_all()
            return not self._is_over
