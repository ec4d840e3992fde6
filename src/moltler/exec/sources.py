"""The rows of a scan as DuckDB may read them: live, kept in memory, spooled, or half read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Protocol, TypeAlias

import pyarrow as pa

from moltler.exec.scan import ScanSource

_Page: TypeAlias = "pa.RecordBatch | None"
FirstPage: TypeAlias = Callable[[], _Page]
"""Pulls the first page of a scan."""
_MOST_IN_MEMORY = 32 * 1024 * 1024
"""Bytes of a spool; what comes after them goes to a file."""


class Source(Protocol):
    """Rows of a scan that may be read any number of times (`exec.duck.ArrowSource`)."""

    def pages(self) -> Iterator[pa.RecordBatch]:
        """Read them from the beginning."""
        ...

    def __arrow_c_schema__(self) -> object:
        """Give the schema as a PyCapsule."""
        ...

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Open a fresh stream and give it as a PyCapsule."""
        ...


class Rows:
    """What every `Source` has in common."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def pages(self) -> Iterator[pa.RecordBatch]:
        """Read them from the beginning."""
        raise NotImplementedError

    def __arrow_c_schema__(self) -> object:
        """Give the schema as a PyCapsule."""
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Open a fresh stream and give it as a PyCapsule."""
        return pa.RecordBatchReader.from_batches(self._schema, self.pages()).__arrow_c_stream__()


class Live(Rows):
    """A scan that calls its handler at each reading, with a limit or without."""

    def __init__(self, scan: ScanSource, limit: int | None) -> None:
        super().__init__(scan.schema)
        self._scan = scan
        self._limit = limit

    def pages(self) -> Iterator[pa.RecordBatch]:
        """Call the handler."""
        return self._scan.pages(limit=self._limit)


class Begun(Rows):
    """A scan whose first page is fetched before anybody asks for it.

    So its handler is at work while DuckDB gets ready; and DuckDB drains one input after the other,
    but scans that all begin at once wait together.

    Args:
        scan: To be read.
        limit: For every reading.
        read_ahead: Runs something in a thread of its own.
    """

    def __init__(
        self, scan: ScanSource, limit: int | None, read_ahead: Callable[[FirstPage], Future[_Page]]
    ) -> None:
        super().__init__(scan.schema)
        self._scan = scan
        self._limit = limit
        pages = scan.pages(limit=limit)
        self._pages: Iterator[pa.RecordBatch] | None = pages
        self._first: Future[_Page] | None = read_ahead(lambda: next(pages, None))

    def pages(self) -> Iterator[pa.RecordBatch]:
        """Read what has begun; a second reading calls the handler anew."""
        begun, self._pages = self._pages, None
        return self._scan.pages(limit=self._limit) if begun is None else self._all(begun)

    def close(self) -> None:
        """Stop a reading that nobody went on with, after the scan was closed."""
        if self._first is not None:
            wait((self._first,))
        begun, self._pages = self._pages, None
        if begun is not None:
            stop(begun)

    def _all(self, begun: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            first, self._first = self._first, None
            if first is not None and (page := first.result()) is not None:
                del first  # a page may be large
                yield page
                del page
                yield from begun
        finally:
            stop(begun)


class Kept(Rows):
    """Rows at hand."""

    def __init__(self, schema: pa.Schema, pages: Sequence[pa.RecordBatch]) -> None:
        super().__init__(schema)
        self._pages = tuple(pages)

    def pages(self) -> Iterator[pa.RecordBatch]:
        """Read them from the beginning."""
        return iter(self._pages)


class Spool(Rows):
    """Rows that were read once and are read again: the first in memory, the rest in a file.

    Args:
        schema: Of every page.
        most: Bytes in memory.
    """

    def __init__(self, schema: pa.Schema, most: int = _MOST_IN_MEMORY) -> None:
        super().__init__(schema)
        self._most = most
        self._bytes = 0
        self._pages: list[pa.RecordBatch] = []
        self._path: Path | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None

    def append(self, page: pa.RecordBatch) -> None:
        """Add a page; not once it is sealed."""
        self._bytes += page.nbytes
        if self._bytes <= self._most:
            self._pages.append(page)
            return
        if self._writer is None:
            with tempfile.NamedTemporaryFile(prefix="moltler-", delete=False) as file:
                self._path = Path(file.name)
            self._writer = pa.ipc.new_stream(str(self._path), self._schema)
        self._writer.write_batch(page)

    def seal(self) -> None:
        """End the writing, so that it can be read."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def pages(self) -> Iterator[pa.RecordBatch]:
        """Read them from the beginning."""
        yield from self._pages
        if self._path is not None:
            with pa.ipc.open_stream(pa.memory_map(str(self._path))) as reader:
                yield from reader

    def close(self) -> None:
        """Remove the file; may be repeated."""
        self.seal()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None


class HalfRead(Rows):
    """A reading that goes on behind the rows that were taken from it already.

    A second reading begins anew: the rest is not kept for it.
    """

    def __init__(
        self, schema: pa.Schema, begun: Spool, rest: Iterator[pa.RecordBatch], anew: Source
    ) -> None:
        super().__init__(schema)
        self._begun = begun
        self._rest: Iterator[pa.RecordBatch] | None = rest
        self._anew = anew

    def pages(self) -> Iterator[pa.RecordBatch]:
        """Read them from the beginning."""
        rest, self._rest = self._rest, None
        if rest is None:
            return self._anew.pages()
        return self._all(rest)

    def _all(self, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._begun.pages()
            yield from rest
        finally:
            stop(rest)

    def close(self) -> None:
        """Stop a reading that nobody went on with."""
        rest, self._rest = self._rest, None
        if rest is not None:
            stop(rest)


def stop(pages: Iterator[pa.RecordBatch]) -> None:
    """End a reading early, so that its handler stops."""
    end = getattr(pages, "close", None)
    if end is not None:
        end()
