"""Where results, messages and failures go: stdout, stderr or a file, in the chosen format."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TextIO

from moltler.cli.base import Settings
from moltler.errors import InternalError, MoltlerError, ParseError

if TYPE_CHECKING:
    from moltler.exec.result import Outcome, Result
    from moltler.flow.scan import Warning
    from moltler.render.text import Console

Format = Literal["table", "json", "ndjson", "csv", "markdown", "parquet", "arrow"]
FORMATS: tuple[Format, ...] = ("table", "json", "ndjson", "csv", "markdown", "parquet", "arrow")
BINARY: frozenset[Format] = frozenset({"parquet", "arrow"})


def _nothing() -> None:
    pass


def wants_color(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal whose owner wants colours."""
    return stream.isatty() and "NO_COLOR" not in os.environ


def print_failure(error: MoltlerError, *, as_json: bool, color: bool | None = None) -> None:
    """Print an error to stderr, as text or as one JSON line."""
    sys.stdout.flush()
    if as_json:
        from moltler.render.record import error_record, json_text

        sys.stderr.write(json_text(error_record(error)) + "\n")
        return
    from moltler.render.text import print_error, stderr_console

    wanted = wants_color(sys.stderr) if color is None else color
    print_error(stderr_console(color=wanted), error)


def print_warnings(warnings: Iterable[Warning], *, as_json: bool, color: bool) -> None:
    """Print warnings that belong to no result to stderr, as text or as JSON lines."""
    if as_json:
        from moltler.render.record import json_text, warning_record

        for warning in warnings:
            sys.stderr.write(json_text({"warning": warning_record(warning)}) + "\n")
        return
    from moltler.render.text import print_warning, stderr_console

    for warning in warnings:
        print_warning(stderr_console(color=color and sys.stderr.isatty()), warning)


def print_fault(error: Exception, settings: Settings) -> int:
    """Print a fault of ours, with its traceback if asked for, and give the exit status."""
    if settings.verbose:
        traceback.print_exception(error)
    fault = InternalError(
        "INT001",
        f"a fault of Moltler itself: {type(error).__name__}: {error}",
        hint="run again with -v for the traceback, and please report it",
    )
    print_failure(fault, as_json=settings.json)
    return fault.exit_code


class Printer:
    """Prints the outcomes of statements in one format.

    Args:
        format: How rows are written.
        color: Whether tables and messages may be coloured.
        path: A file for the rows instead of stdout; written beside it first, so that a failed
            query leaves no half file.
    """

    def __init__(self, format: Format, *, color: bool, path: Path | None = None) -> None:  # noqa: A002 - the option's name
        if format in BINARY and path is None and sys.stdout.isatty():
            raise ParseError(
                "SYN900",
                f"`--format {format}` writes bytes that a terminal cannot show",
                hint="add `-o FILE`, or pipe the output into a program",
            )
        self._format: Format = format
        self._color = color
        self._path = path

    def show(self, outcome: Outcome, *, before_output: Callable[[], None] = _nothing) -> None:
        """Print one outcome; rows are read to their end, warnings go to stderr.

        Args:
            outcome: Of a statement.
            before_output: Called before each piece of output, for rows may take long to come.
        """
        from moltler.exec.result import Result
        from moltler.flow.result import Done

        if isinstance(outcome, Done) and self._format == "table":
            from moltler.render.text import print_done

            before_output()
            with self._text_stream() as stream:
                print_done(self._console(stream), outcome)
            self._warn(outcome.warnings)
            return
        with Result(outcome) as result:
            if self._format in BINARY:
                self._write_binary(result)
            else:
                with self._text_stream() as stream:
                    self._write_text(result, stream, before_output)
            if self._format != "json":
                before_output()
                if self._format != "table" and not result.complete:
                    sys.stderr.write(f"incomplete: {result.incomplete_reason}\n")
                self._warn(result.warnings)

    def _console(self, stream: TextIO) -> Console:
        from moltler.render.text import make_console

        return make_console(stream, color=self._color)

    def _write_text(
        self, result: Result, stream: TextIO, before_output: Callable[[], None]
    ) -> None:
        if self._format == "table":
            self._write_table(result, stream, before_output)
            return
        from moltler.render import record

        columns, rows = result.columns, result.rows()
        lines: Iterable[str]
        match self._format:
            case "json":
                lines = _one_line(record.result_text(columns, rows, _tail(result)))
            case "ndjson":
                lines = (line + "\n" for line in record.object_lines(columns, rows))
            case "csv":
                lines = record.csv_lines(columns, rows)
            case _:
                lines = (line + "\n" for line in record.markdown_lines(columns, rows))
        for line in lines:
            before_output()
            stream.write(line)

    def _write_table(
        self, result: Result, stream: TextIO, before_output: Callable[[], None]
    ) -> None:
        from moltler.render.text import print_rows

        console = self._console(stream)
        count = print_rows(console, result.columns, result.rows(), before_print=before_output)
        stream.write(f"{count} row(s)\n")
        if not result.complete:
            stream.write(f"incomplete: {result.incomplete_reason}\n")

    def _write_binary(self, result: Result) -> None:
        from moltler.exec.export import write_arrow, write_parquet

        write = write_parquet if self._format == "parquet" else write_arrow
        with self._byte_stream() as stream:
            write(result, stream)

    def _warn(self, warnings: Iterable[Warning]) -> None:
        print_warnings(warnings, as_json=False, color=self._color)

    @contextmanager
    def _text_stream(self) -> Generator[TextIO, None, None]:
        if self._path is None:
            if self._format != "table":
                accept_utf8()
            with _standard_output():
                yield sys.stdout
                sys.stdout.flush()
            return
        with (
            _replacing(self._path) as draft,
            draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
        ):
            yield stream

    @contextmanager
    def _byte_stream(self) -> Generator[BinaryIO, None, None]:
        if self._path is None:
            with _standard_output():
                yield sys.stdout.buffer
                sys.stdout.buffer.flush()
            return
        with _replacing(self._path) as draft, draft.open("wb") as stream:
            yield stream


def print_interrupt(stop: KeyboardInterrupt, *, as_json: bool) -> None:
    """Tell that Ctrl-C was heard, and what is not known because of it."""
    from moltler.errors import InterruptedWrite

    if isinstance(stop, InterruptedWrite):
        print_failure(stop.outcome, as_json=as_json)
    else:
        sys.stderr.write("interrupted\n")


def print_record(value: object) -> None:
    """Print one JSON value as a line of stdout."""
    from moltler.render.record import json_text

    accept_utf8()
    with _standard_output():
        sys.stdout.write(json_text(value) + "\n")
        sys.stdout.flush()


def accept_utf8() -> None:
    """Write UTF-8 to stdout, as programs read it, whatever a terminal of this machine shows."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def write_file(path: Path, text: str) -> None:
    """Write a text file as a whole or not at all; folders are made.

    Raises:
        ParseError: SYN900, it cannot be written.
    """
    with _replacing(path) as draft:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def _one_line(pieces: Iterator[str]) -> Iterator[str]:
    # The line ends also where a failure cuts it short, so that the next one is a line again.
    try:
        yield from pieces
    except (Exception, KeyboardInterrupt):
        yield "\n"
        raise
    yield "\n"


def _tail(result: Result) -> Iterator[tuple[str, object]]:
    from moltler.render.record import warning_record

    yield "complete", result.complete
    if not result.complete:
        yield "incomplete_reason", result.incomplete_reason
    yield "warnings", [warning_record(w) for w in result.warnings]


@contextmanager
def _standard_output() -> Generator[None, None, None]:
    try:
        yield
    except BrokenPipeError:
        # The reader has what it wanted; that is no failure.
        raise
    except OSError as error:
        forget_output()
        raise _unwritable("standard output", error) from error


def forget_output() -> None:
    """Drop what is still buffered for stdout, so that the flush at exit cannot fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _unwritable(where: str, error: OSError) -> ParseError:
    message = f"cannot write {where}: {error.strerror}"
    return ParseError("SYN900", message, hint="check the path and the space on the disk")


@contextmanager
def _replacing(path: Path) -> Generator[Path, None, None]:
    draft = path.with_name(path.name + ".tmp")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        raise _unwritable(f"`{path}`", error) from error
    finally:
        # A folder of the path may be a file; that has been told already.
        with suppress(OSError):
            draft.unlink(missing_ok=True)
