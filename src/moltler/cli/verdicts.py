"""Test reports on the terminal as they come: a line each, failures with their reason."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import click

from moltler.cli.opening import hide_progress, keep_line
from moltler.errors import Source
from moltler.render.tests import Look, Paint, plain, report_lines, summary_line
from moltler.testing.report import TestReport

_MANY = 20
"""From how many tests on it is worth telling how far the run is."""
_STYLES: Mapping[Look, Mapping[str, str | bool]] = {
    "good": {"fg": "green"},
    "bad": {"fg": "red", "bold": True},
    "skipped": {"fg": "yellow"},
    "dim": {"dim": True},
    "strong": {"bold": True},
}


def painted(text: str, look: Look) -> str:
    """Give a text in colours."""
    return click.style(text, **_STYLES[look])  # type: ignore[arg-type] # click's own keywords


class Counter:
    """How many of many tests have run: one line on stderr, only on a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._is_drawn = False
        self._is_wanted = total >= _MANY and sys.stderr.isatty()

    def step(self) -> None:
        """Count one more."""
        self._done += 1
        if self._is_wanted and self._done < self._total:
            sys.stdout.flush()
            sys.stderr.write(f"\r\x1b[2K{self._done} of {self._total} tests")
            sys.stderr.flush()
            self._is_drawn = True

    def hide(self) -> None:
        """Wipe the line; it comes back with the next test."""
        if self._is_drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._is_drawn = False

    def rest(self) -> None:
        """Wipe the line."""
        self.hide()


class Verdicts:
    """Prints reports one by one.

    Args:
        context: Of the command.
        sources: Scripts by name, for lines that only a JavaScript stack names.
        total: How many tests there are.
        color: Whether colours are wanted.
        heads: Print the type where it changes; without several types it says nothing.
        quiet: Print nothing but how far the run is, for output of another kind follows.
    """

    def __init__(
        self,
        context: click.Context,
        sources: Sequence[Source],
        total: int,
        *,
        color: bool,
        heads: bool,
        quiet: bool,
    ) -> None:
        self._context = context
        self._sources = {source.name: source for source in sources}
        self._paint: Paint = painted if color else plain
        self._heads = heads
        self._quiet = quiet
        self._head: str | None = None
        self._counter = Counter(total)
        keep_line(context, self._counter)

    def show(self, report: TestReport) -> None:
        """Print one report."""
        hide_progress(self._context)
        if not self._quiet:
            if self._heads and report.type_name != self._head:
                self._head = report.type_name
                _print(self._paint(report.type_name, "dim"))
            for line in report_lines(report, sources=self._sources, paint=self._paint):
                _print(line)
        self._counter.step()

    def end(self, reports: Sequence[TestReport], duration_ms: int, not_run: int) -> None:
        """Print how the run went."""
        hide_progress(self._context)
        if self._quiet:
            return
        if not_run:
            _print(self._paint(f"{not_run} not run after the first failure", "dim"))
        _print(summary_line(reports, duration_ms, paint=self._paint))


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
