"""Which statement a failure belongs to, also where it comes out later, while rows are read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moltler.errors import MoltlerError, ScriptPosition, Span
from moltler.flow.result import Column, RowStream
from moltler.flow.scan import IncompleteReason, Warning
from moltler.lang.ast import SqlText

if TYPE_CHECKING:
    from moltler.flow.result import Page, PageSchema

_STATEMENT = "in the statement at "


def place(error: MoltlerError, statement: Span) -> None:
    """Let an error say which statement failed.

    It gets the statement's place if it has none; if it points elsewhere, into a handler for
    example, a note names the statement. The innermost statement of several is kept.
    """
    error.at(statement)
    notes: list[str] = getattr(error, "__notes__", [])
    if _is_within(error.problems[0].span, statement) or any(_STATEMENT in n for n in notes):
        return
    error.add_note(f"{_STATEMENT}{statement.source.name}:{statement.line}:{statement.column}")


@contextmanager
def placed_in(sql: SqlText) -> Generator[None]:
    """Place what fails inside at the part of a SELECT that it is about, if that can be told."""
    try:
        yield
    except MoltlerError as error:
        # Only failures need the parser of SELECTs here.
        from moltler.plan.places import pinpoint

        pinpoint(error, sql)
        raise


def _is_within(place: Span | ScriptPosition | None, statement: Span) -> bool:
    match place:
        case Span():
            return place.source == statement.source and (
                statement.start <= place.start <= statement.end
            )
        case ScriptPosition():
            last = statement.source.position(statement.end)[0]
            is_same_file = place.file == statement.source.name
            return is_same_file and statement.line <= place.line <= last
        case None:
            return False


class ExplainedStream:
    """Rows whose failures are explained before they reach the reader (`flow.result.RowStream`).

    Args:
        stream: The rows.
        explain: Told of each failure, to add what it knows.
        owner: What must live as long as the rows are read.
    """

    def __init__(
        self, stream: RowStream, explain: Callable[[MoltlerError], None], owner: object = None
    ) -> None:
        self._stream = stream
        self._explain = explain
        self._owner = owner

    @property
    def columns(self) -> tuple[Column, ...]:
        """Name and type of each column."""
        return self._stream.columns

    @property
    def schema(self) -> PageSchema:
        """The Arrow schema of every batch."""
        return self._stream.schema

    @property
    def incomplete_reason(self) -> IncompleteReason | None:
        """Why rows may be missing; final once the rows have been read."""
        return self._stream.incomplete_reason

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """What users should know; final once the rows have been read."""
        return self._stream.warnings

    def __iter__(self) -> Iterator[Page]:
        """Give the batches; read once.

        Raises:
            MoltlerError: A handler, a value or the SQL failed.
        """
        try:
            yield from self._stream
        except MoltlerError as error:
            self._explain(error)
            raise

    def close(self) -> None:
        """Stop the scans; may be repeated."""
        self._stream.close()
