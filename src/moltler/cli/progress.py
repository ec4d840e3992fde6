"""How far a long scan is, on a terminal: rows so far, rate and seconds, wiped when it ends."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from moltler.exec.layer import HandlersLayer
from moltler.flow.connector import ResolvedConnector
from moltler.flow.scan import ScanOutcome, ScanRequest
from moltler.flow.sync import RunRecord
from moltler.ports import Handlers, PageStream

if TYPE_CHECKING:
    import types

    from moltler.flow.result import Page

_PATIENCE_S = 1.0
"""How long nothing is shown: after a scan began, and after other output."""
_REDRAW_S = 0.2


class Progress:
    """Draws one line on stderr while a scan lasts; a context manager.

    Whoever writes to the same terminal calls `hide` first; the line comes back by itself.
    """

    def __init__(self, *, color: bool) -> None:
        self._console = Console(file=sys.stderr, no_color=not color, highlight=False)
        self._changed = threading.Condition()
        self._drawer: threading.Thread | None = None
        self._live: Live | None = None
        self._is_scanning = False
        self._is_over = False
        self._rows = 0
        self._runs: dict[str, RunRecord] = {}
        self._began = 0.0
        self._show_at = 0.0

    def watch(self, handlers: Handlers) -> Handlers:
        """Give the handlers with their rows counted here."""
        return _CountedHandlers(handlers, self)

    def scan_began(self) -> None:
        """Note that rows are being waited for."""
        with self._changed:
            if self._is_scanning or self._is_over:
                return
            self._is_scanning = True
            self._rows = 0
            self._runs.clear()
            self._began = time.monotonic()
            self._show_at = self._began + _PATIENCE_S
            if self._drawer is None:
                self._drawer = threading.Thread(
                    target=self._draw, name="moltler-progress", daemon=True
                )
                self._drawer.start()
            self._changed.notify()

    def rows_came(self, count: int) -> None:
        """Note that a page arrived."""
        with self._changed:
            self._rows += count

    def sync_moved(self, record: RunRecord) -> None:
        """Note how far the sync of one entity is; several may be under way."""
        self.scan_began()
        with self._changed:
            self._runs[record.run_id] = record

    def hide(self) -> None:
        """Wipe the line, for other output; it stays away for a moment."""
        with self._changed:
            self._show_at = time.monotonic() + _PATIENCE_S
            self._wipe()

    def rest(self) -> None:
        """Note that the statement is over."""
        with self._changed:
            self._is_scanning = False
            self._wipe()

    def close(self) -> None:
        """Wipe the line for good; may be repeated."""
        with self._changed:
            self._is_over = True
            self._wipe()
            self._changed.notify()
        if self._drawer is not None:
            self._drawer.join()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def _draw(self) -> None:
        with self._changed:
            while not self._is_over:
                now = time.monotonic()
                if not self._is_scanning:
                    self._changed.wait()
                elif now < self._show_at:
                    self._changed.wait(self._show_at - now)
                else:
                    self._redraw(now - self._began)
                    self._changed.wait(_REDRAW_S)

    def _redraw(self, seconds: float) -> None:
        if self._live is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        line = progress_line(self._rows, tuple(self._runs.values()), seconds)
        self._live.update(Text(line, style="dim"), refresh=True)

    def _wipe(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()


def progress_line(rows: int, runs: Sequence[RunRecord], seconds: float) -> str:
    """Give the line for rows that scans gave, and syncs that are under way.

    >>> progress_line(1200, (), 2.0)
    '1,200 row(s) read, 600/s, 2 s'
    """
    rows += sum(r.rows_read for r in runs)
    parts = [f"{rows:,} row(s) read, {rows / seconds:,.0f}/s"]
    if runs:
        parts.append(f"{sum(r.requests for r in runs):,} request(s)")
        parts.append(f"{sum(r.rows_written for r in runs):,} row(s) written")
    parts.append(f"{seconds:.0f} s")
    if len(runs) > 1:
        parts.append(", ".join(sorted(r.scope.entity for r in runs)))
    return ", ".join(parts)


class _CountedHandlers(HandlersLayer):
    """Handlers whose pages are counted on their way (`ports.Handlers`)."""

    def __init__(self, handlers: Handlers, progress: Progress) -> None:
        super().__init__(handlers)
        self._progress = progress

    def query(self, target: ResolvedConnector, request: ScanRequest) -> PageStream:
        return _CountedPages(self._handlers.query(target, request), self._progress)


class _CountedPages:
    """Pages counted as they are pulled (`ports.PageStream`)."""

    def __init__(self, pages: PageStream, progress: Progress) -> None:
        self._pages = pages
        self._progress = progress

    def __iter__(self) -> Iterator[Page]:
        return self

    def __next__(self) -> Page:
        self._progress.scan_began()
        page = next(self._pages)
        self._progress.rows_came(page.num_rows)
        return page

    def close(self) -> None:
        self._pages.close()

    @property
    def outcome(self) -> ScanOutcome:
        return self._pages.outcome
