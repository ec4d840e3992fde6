"""Results of statements: streams of rows, single values, and plain receipts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from moltler.flow.scan import IncompleteReason, Warning
from moltler.schema import TypeName

if TYPE_CHECKING:
    import pyarrow as pa

    # For rooms that hand pages on and have no business with Arrow itself.
    Page: TypeAlias = pa.RecordBatch
    PageSchema: TypeAlias = pa.Schema


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a result."""

    name: str
    type: TypeName


class RowStream(Protocol):
    """Rows as they arrive; read once, closed by whoever reads them.

    `incomplete_reason` and `warnings` are final once the stream has been read to its end.
    Cells in the Arrow batches have the border types of LANGUAGE §3.2 (documents and untyped
    arrays as JSON text, marked by `columns`).
    """

    @property
    def columns(self) -> tuple[Column, ...]:
        """Name and type of each column."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every batch."""
        ...

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...
    def close(self) -> None:
        """Stop the scans; may be repeated."""
        ...

    @property
    def incomplete_reason(self) -> IncompleteReason | None:
        """Why rows may be missing."""
        ...

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """What to know although the query succeeded."""
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """Rows at hand: SHOW, DESCRIBE, receipts. Cells are Python values of the border types."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[object, ...], ...]
    warnings: tuple[Warning, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """A statement without rows of its own succeeded."""

    statement: str
    """Its leading keywords: ``CREATE CONNECTOR``."""
    name: str
    message: str | None = None
    warnings: tuple[Warning, ...] = ()


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What an action returned: any JSON value (Python form), NULL as ``None``."""

    value: object
    warnings: tuple[Warning, ...] = ()


Outcome: TypeAlias = RowStream | Table | Done | ActionResult
"""What a statement gives; `exec.result.Result` reads any of them as rows."""
