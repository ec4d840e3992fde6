"""Errors, tables and receipts as people read them on a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NoReturn, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from moltler.errors import MoltlerError, Problem, ScriptPosition, Span
from moltler.flow.result import Column, Done
from moltler.flow.scan import Warning
from moltler.render.printable import printable
from moltler.render.record import cell_text

_BLOCK = 1_000
# Rows laid out at a time: column widths need the rows at hand, memory must not grow with them.
_UNBOUNDED = 1_000_000
_NUMERIC = {"number", "integer"}
_ALLOWED_SHOWN = 12
_WIDEST = 120
_BEFORE = 60
"""Characters of a line that are shown, and how many of them before the place meant."""


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        # Rich would exit with status 1; whoever prints decides that, and knows of `head`.
        raise BrokenPipeError


def make_console(stream: TextIO, *, color: bool) -> Console:
    """Give a console that never wraps when the stream is a pipe or a file."""
    is_terminal = stream.isatty()
    return _Console(
        file=stream,
        force_terminal=is_terminal and color,
        no_color=not color,
        highlight=False,
        markup=False,
        emoji=False,
        width=shutil.get_terminal_size().columns if is_terminal else _UNBOUNDED,
    )


def _nothing() -> None:
    pass


def print_rows(
    console: Console,
    columns: Sequence[Column],
    rows: Iterable[tuple[object, ...]],
    *,
    before_print: Callable[[], None] = _nothing,
) -> int:
    """Print rows as a table, block by block, and give their number.

    Args:
        console: Where to.
        columns: Of the rows.
        rows: Pulled a block at a time.
        before_print: Called before each block is printed.
    """
    iterator = iter(rows)
    count = 0
    while (block := list(islice(iterator, _BLOCK))) or count == 0:
        before_print()
        _print_block(console, columns, block)
        if not block:
            break
        count += len(block)
    return count


def _print_block(
    console: Console, columns: Sequence[Column], rows: Sequence[tuple[object, ...]]
) -> None:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        table.add_column(
            Text(column.name),
            justify="right" if column.type in _NUMERIC else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: object) -> Text:
    if value is None:
        return Text("NULL", style="dim")
    return Text(printable(cell_text(value)))


def print_done(console: Console, done: Done) -> None:
    """Print the receipt of a statement without rows."""
    line = Text("✓ ", style="green")
    line.append(f"{done.statement} {done.name}".rstrip(), style="default")
    if done.message:
        line.append(f" ({done.message})", style="dim")
    console.print(line, soft_wrap=True)


def print_warning(console: Console, warning: Warning) -> None:
    """Print one warning."""
    line = Text(f"warning[{warning.code}]", style="yellow")
    where = f" ({warning.source})" if warning.source else ""
    line.append(f": {printable(warning.message)}{where}", style="default")
    console.print(line, soft_wrap=True)


def print_error(console: Console, error: MoltlerError) -> None:
    """Print every problem of an error with its place, what is allowed and what to do next."""
    console.print(Text("\n").join(error_lines(error)), soft_wrap=True)


def error_lines(error: MoltlerError) -> Iterator[Text]:
    """Give the lines of an error; each problem is a paragraph."""
    shown: Span | ScriptPosition | None = None
    for number, problem in enumerate(error.problems):
        if number:
            yield Text("")
        # Problems of one place follow each other: its lines are shown once.
        yield from _problem_lines(problem, with_text=problem.span != shown)
        shown = problem.span
    context = error.context
    frames = [f for f in (context.stack or "").splitlines() if f.lstrip().startswith("at ")]
    if len(frames) > 1:
        # A single frame is the place that stands above already.
        yield from (Text(f"   {printable(frame.strip())}", style="dim") for frame in frames)
    if context.status is not None and str(context.status) not in error.message:
        yield Text(f"   = the last response had status {context.status}")
    if context.cause and context.cause not in error.message:
        yield Text(f"   = cause: {printable(context.cause)}")
    if error.retry_after is not None:
        yield Text(f"   = retry after: {error.retry_after:g} s")
    for note in getattr(error, "__notes__", ()):
        yield Text(f"   = note: {printable(note)}")


def _problem_lines(problem: Problem, *, with_text: bool) -> Iterator[Text]:
    head = Text(f"error[{problem.code}]", style="bold red")
    head.append(f": {printable(problem.message)}", style="bold default")
    yield head
    if isinstance(problem.span, Span):
        excerpt = _excerpt(problem.span)
        yield from excerpt if with_text else islice(excerpt, 1)
    elif isinstance(problem.span, ScriptPosition):
        column = f":{problem.span.column}" if problem.span.column else ""
        yield Text(f"  --> {problem.span.file}:{problem.span.line}{column}", style="blue")
    if problem.allowed:
        shown = ", ".join(problem.allowed[:_ALLOWED_SHOWN])
        more = len(problem.allowed) - _ALLOWED_SHOWN
        yield Text(f"   = allowed: {shown}" + (f", and {more} more" if more > 0 else ""))
    if problem.hint:
        line = Text("hint", style="cyan")
        line.append(f": {printable(problem.hint)}", style="default")
        yield line


def _excerpt(span: Span) -> Iterator[Text]:
    line, column = span.source.position(span.start)
    yield Text(f"  --> {span.source.name}:{line}:{column}", style="blue")
    text = span.source.line_text(line)
    start = column - 1
    # A caret can only stand under what is shown: long lines become a window.
    window = max(0, start - _BEFORE)
    end = start + len(span.text.split("\n", 1)[0])
    yield Text("   | " + _shown(text[window : window + _WIDEST]))
    before = cell_len(_shown(text[window:start]))
    width = cell_len(_shown(text[start : min(end, window + _WIDEST)]))
    yield Text("   | " + " " * before + "^" * max(1, width), style="red")


def _shown(text: str) -> str:
    return printable(text.replace("\t", " "))


def stdout_console(*, color: bool) -> Console:
    """Give the console of results."""
    return make_console(sys.stdout, color=color)


def stderr_console(*, color: bool) -> Console:
    """Give the console of messages, warnings and errors."""
    return make_console(sys.stderr, color=color)
