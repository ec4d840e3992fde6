"""One scan that several readers share, each at its own pace."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from moltler.errors import MoltlerError, error_class
from moltler.flow.scan import ScanOutcome, ScanRequest
from moltler.ports import PageStream

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Landed:
    """What a scan has given, once nobody can want more of it."""

    pages: tuple[pa.RecordBatch, ...]
    outcome: ScanOutcome
    size: int
    """Bytes of the pages."""


class Flight:
    """Pulls the pages of a handler as its fastest reader wants them, and keeps them for the rest.

    A thread of its own pulls, so that a reader who leaves in the middle of a page takes nothing
    away from the others.

    Args:
        request: What the handler is asked.
        stream: Its answer; closed when the last reader has left.
        most: Bytes up to which pages are kept; a scan beyond them is not shared any further.
        landed: Told once it is over, with what can be kept, or ``None``.
    """

    def __init__(
        self,
        request: ScanRequest,
        stream: PageStream,
        most: int,
        landed: Callable[[Flight, Landed | None], None],
    ) -> None:
        self.request = request
        self._stream = stream
        self._most = most
        self._landed: Callable[[Flight, Landed | None], None] | None = landed
        self._changed = threading.Condition()
        self._pages: list[pa.RecordBatch | None] = []
        """A page that no reader needs any more is ``None``, in a scan that is too large to keep."""
        self._size = 0
        self._wanted = 0
        self._readers: list[Reader] = []
        self._failure: BaseException | None = None
        self._has_ended = False
        self._is_over = False
        self._thread: threading.Thread | None = None
        self._paid = ScanOutcome()

    @property
    def _can_grow(self) -> bool:
        return not self._is_over and self._failure is None and self._size <= self._most

    def join(self, columns: tuple[str, ...]) -> Reader | None:
        """Give a reader of the pages from the first one on; ``None`` if it is too late."""
        with self._changed:
            if not self._can_grow:
                return None
            reader = Reader(self, columns)
            self._readers.append(reader)
            return reader

    # ── for its readers ──────────────────────────────────────────────────────────────────────

    def page(self, reader: Reader, number: int) -> pa.RecordBatch | None:
        """Give a page, or ``None`` at the end, or once the reader has left."""
        with self._changed:
            self._wanted = max(self._wanted, number + 1)
            if self._thread is None and number >= len(self._pages) and not self._is_settled:
                self._thread = threading.Thread(
                    target=self._produce, name="moltler-flight", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: number < len(self._pages) or self._is_settled or reader.has_left
            )
            if reader.has_left:
                return None
            if number < len(self._pages):
                page = self._pages[number]
                reader.taken = number + 1
                self._shed()
                return page
            if self._failure is not None:
                raise _again(self._failure)
            return None

    def leave(self, reader: Reader) -> None:
        """Take a reader off; the last one stops the handler."""
        with self._changed:
            if reader not in self._readers:
                return
            is_payer = self._readers[0] is reader
            now = self._stream.outcome
            reader.settle(self._share(now, is_payer=is_payer))
            if is_payer:
                self._paid = now
            self._readers.remove(reader)
            self._shed()
            is_last = not self._readers
            self._is_over = self._is_over or is_last
            self._changed.notify_all()
        if is_last:
            self._stream.close()
            if self._thread is not None:
                self._thread.join()
            self._land()

    def outcome(self, reader: Reader) -> ScanOutcome:
        """Give what is known; what the calls cost is on the account of the first reader."""
        with self._changed:
            is_payer = bool(self._readers) and self._readers[0] is reader
            return self._share(self._stream.outcome, is_payer=is_payer)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    @property
    def _is_settled(self) -> bool:
        return self._has_ended or self._is_over or self._failure is not None

    def _share(self, now: ScanOutcome, *, is_payer: bool) -> ScanOutcome:
        if not is_payer:
            return replace(now, requests=0, api_s=0.0, call_s=0.0, retries=0, is_cached=True)
        paid = self._paid
        return replace(
            now,
            requests=now.requests - paid.requests,
            api_s=now.api_s - paid.api_s,
            call_s=now.call_s - paid.call_s,
            retries=now.retries - paid.retries,
        )

    def _shed(self) -> None:
        """Let go of pages that every reader has, where they will not be kept."""
        if self._size <= self._most or not self._readers:
            return
        for number in range(min(r.taken for r in self._readers)):
            self._pages[number] = None

    def _produce(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted > len(self._pages) or self._is_over)
                if self._is_over:
                    return
            page: pa.RecordBatch | None = None
            failure: BaseException | None = None
            try:
                page = next(self._stream, None)
            except BaseException as error:  # noqa: BLE001 - the readers' threads raise it
                failure = error
            with self._changed:
                if self._is_over:
                    return
                self._failure = failure
                if page is not None:
                    self._pages.append(page)
                    self._size += page.nbytes
                elif failure is None:
                    self._has_ended = True
                is_settled = self._is_settled
                self._changed.notify_all()
            if is_settled:
                self._land()
                return

    def _land(self) -> None:
        with self._changed:
            landed, self._landed = self._landed, None
            kept = self._kept()
        if landed is not None:
            landed(self, kept)

    def _kept(self) -> Landed | None:
        outcome = self._stream.outcome
        limit = self.request.limit
        rows = sum(p.num_rows for p in self._pages if p is not None)
        # With a limit, pages that were left out are pages that nobody asked for.
        has_enough = limit is not None and rows >= limit
        is_whole = self._has_ended and outcome.incomplete_reason is None
        if self._failure is not None or self._size > self._most or not (is_whole or has_enough):
            return None
        pages = tuple(p for p in self._pages if p is not None)
        return Landed(pages, replace(outcome, incomplete_reason=None), self._size)


class Reader:
    """One reader's view of a flight (`ports.PageStream`); made by `Flight.join`."""

    def __init__(self, flight: Flight, columns: tuple[str, ...]) -> None:
        self._flight = flight
        self._columns = list(columns)
        self._outcome: ScanOutcome | None = None
        self._rows = self._pages = 0
        self.has_left = False
        self.taken = 0
        """Pages it has got."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Give itself."""
        return self

    def __next__(self) -> pa.RecordBatch:
        """Give the next page; wait for it if it is not there."""
        page = None if self.has_left else self._flight.page(self, self._pages)
        if page is None:
            self.close()
            raise StopIteration
        self._pages += 1
        self._rows += page.num_rows
        return page.select(self._columns)

    def close(self) -> None:
        """Leave the others alone with it; may be repeated, from any thread."""
        self.has_left = True
        self._flight.leave(self)

    def settle(self, outcome: ScanOutcome) -> None:
        """Keep what is known as the reader leaves."""
        self._outcome = outcome

    @property
    def outcome(self) -> ScanOutcome:
        """What is known so far, with the rows that this reader got."""
        known = self._outcome or self._flight.outcome(self)
        return replace(known, rows=self._rows, pages=self._pages)


def _again(error: BaseException) -> BaseException:
    """Give an error for another reader: each places its own."""
    if not isinstance(error, MoltlerError):
        return error
    twin = error_class(error.code)(
        error.code, error.message, retry_after=error.retry_after, context=error.context
    )
    twin.problems = error.problems
    twin.__cause__ = error.__cause__
    for note in getattr(error, "__notes__", ()):
        twin.add_note(note)
    return twin
