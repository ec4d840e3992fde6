"""The result of a statement, read once as rows, dicts, Arrow batches or a data frame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from moltler.exec.border import BorderColumn, cells
from moltler.flow.result import ActionResult, Column, Done, Outcome, RowStream, Table
from moltler.flow.scan import IncompleteReason, Warning
from moltler.schema import TypeName

if TYPE_CHECKING:
    import types

    import pandas as pd

__all__ = ["Column", "Outcome", "Result"]

_ARROW: Mapping[TypeName, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}
"""How rows at hand leave as Arrow; other types are text."""


class Result:
    """What a statement gave; a context manager that stops the scan when left early.

    Rows stream: they are read once, by one of `rows`, `dicts`, `arrow` and `df`. `row_count`,
    `complete`, `incomplete_reason` and `warnings` are final once the rows have been read.
    """

    def __init__(self, outcome: Outcome | None) -> None:
        self._outcome: Outcome = Table((), ()) if outcome is None else outcome
        self._count = 0
        self._read = False

    # ── what it is ───────────────────────────────────────────────────────────────────────────

    @property
    def columns(self) -> tuple[Column, ...]:
        """Name and type of each column."""
        match self._outcome:
            case Done():
                return tuple(Column(n, "string") for n in ("statement", "name", "message"))
            case ActionResult():
                return (Column("result", _type_of(self._outcome.value)),)
            case stream:
                return stream.columns

    @property
    def value(self) -> object:
        """What an action returned; of other statements the first cell, ``None`` without rows."""
        if isinstance(self._outcome, ActionResult):
            return self._outcome.value
        row = next(self.rows(), None)
        self.close()
        return row[0] if row else None

    @property
    def row_count(self) -> int:
        """Rows read so far."""
        return self._count

    @property
    def complete(self) -> bool:
        """Whether no row may be missing."""
        return self.incomplete_reason is None

    @property
    def incomplete_reason(self) -> IncompleteReason | None:
        """Why rows may be missing, or ``None``."""
        outcome = self._outcome
        return (
            None if isinstance(outcome, Table | Done | ActionResult) else outcome.incomplete_reason
        )

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """What to know although the statement succeeded."""
        return self._outcome.warnings

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Read the rows as tuples of Python values.

        Raises:
            MoltlerError: The query fails while it is read.
        """
        match self._outcome:
            case Table() as table:
                yield from self._counted(table.rows)
            case Done() as done:
                yield from self._counted([(done.statement, done.name, done.message)])
            case ActionResult(value=value):
                yield from self._counted([(value,)])
            case stream:
                yield from self._stream_rows(stream)

    def dicts(self) -> Iterator[dict[str, object]]:
        """Read the rows as dicts, keyed by column name."""
        names = [c.name for c in self.columns]
        for row in self.rows():
            yield dict(zip(names, row, strict=True))

    def arrow(self) -> pa.RecordBatchReader:
        """Read the rows as Arrow batches; documents are JSON text.

        Errors of the query come out of the reader as they are.
        """
        outcome = self._outcome
        if isinstance(outcome, Table | Done | ActionResult):
            return _table(self.columns, list(self.rows())).to_reader()
        return pa.RecordBatchReader.from_batches(outcome.schema, self._batches(outcome))

    def df(self) -> pd.DataFrame:
        """Read the rows into a pandas data frame (needs the extra ``moltler[pandas]``).

        Raises:
            ImportError: pandas is not installed.
        """
        reader = self.arrow()
        table = pa.Table.from_batches(list(reader), reader.schema)
        try:
            return table.to_pandas()
        except ImportError as error:
            raise ImportError("this needs `moltler[pandas]`") from error

    def close(self) -> None:
        """Stop reading and release the scan; may be repeated."""
        if not isinstance(self._outcome, Table | Done | ActionResult):
            self._outcome.close()

    def __enter__(self) -> Result:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _counted(self, rows: Sequence[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
        if self._read:
            return
        self._read = True
        for row in rows:
            self._count += 1
            yield row

    def _stream_rows(self, stream: RowStream) -> Iterator[tuple[object, ...]]:
        border = [
            BorderColumn(c.name, c.type, f.type)
            for c, f in zip(stream.columns, stream.schema, strict=True)
        ]
        for batch in self._batches(stream):
            columns = [cells(batch.column(i), c) for i, c in enumerate(border)]
            yield from zip(*columns, strict=True)

    def _batches(self, stream: RowStream) -> Iterator[pa.RecordBatch]:
        if self._read:
            return
        self._read = True
        for batch in stream:
            self._count += batch.num_rows
            yield batch


def _type_of(value: object) -> TypeName:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float() | Decimal():
            return "number"
        case str():
            return "string"
        case datetime():
            return "timestamp"
        case date():
            return "date"
        case list() | tuple():
            return "array"
        case _:
            return "document"


def _table(columns: Sequence[Column], rows: Sequence[tuple[object, ...]]) -> pa.Table:
    """Give rows at hand in Arrow; structures, and values of any type, become JSON text."""
    arrays = [
        pa.array(
            [_arrow_cell(row[i], column.type) for row in rows], _ARROW.get(column.type, pa.string())
        )
        for i, column in enumerate(columns)
    ]
    return pa.table(arrays, names=[c.name for c in columns])


def _arrow_cell(value: object, type_: TypeName) -> object:
    if isinstance(value, dict | list | tuple) or (type_ == "any" and value is not None):
        return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
    return float(value) if isinstance(value, Decimal) else value
