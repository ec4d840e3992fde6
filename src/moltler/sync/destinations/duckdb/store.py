"""A DuckDB file as a store of synced tables."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from moltler.ports import Clock
from moltler.sync.destinations.duckdb.columns import SQL_TYPES, converted
from moltler.sync.destinations.duckdb.file import DuckFile
from moltler.sync.layout import Storage, arrow_of, quoted
from moltler.sync.staging import storage_of_arrow

_INCOMING = "moltler_incoming"
_PAGE_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class DuckTransaction:
    """One transaction in a DuckDB file (`sync.sql.Sql`)."""

    raw: duckdb.DuckDBPyConnection
    file: DuckFile
    clock: Clock
    schema: str = "main"
    for_update: str = ""
    collate: str = ""
    has_upsert: bool = False

    @property
    def types(self) -> Mapping[Storage, str]:
        """The column type for each way to keep a value."""
        return SQL_TYPES

    def run(self, sql: str, parameters: Sequence[object] = ()) -> None:
        """Run a statement without a result."""
        with self.file.translated():
            self.raw.execute(sql, list(parameters))

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        with self.file.translated():
            return [
                tuple(v.astimezone(UTC) if isinstance(v, datetime) else v for v in row)
                for row in self.raw.execute(sql, list(parameters)).fetchall()
            ]

    def number(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Give the one number that a query returns."""
        return int(self.rows(sql, parameters)[0][0])

    def now(self) -> datetime:
        """Give the time."""
        return self.clock.now()

    def alone(self, what: str) -> None:
        """Do nothing: whoever writes a file is alone."""

    def stage(
        self, table: str, columns: Mapping[str, Storage], batches: Iterable[pa.RecordBatch]
    ) -> int:
        """Make a temporary table of rows that came as Arrow; give their number."""
        shown = ", ".join(f"{quoted(n)} {SQL_TYPES[s]}" for n, s in columns.items())
        self.run(f"CREATE TEMP TABLE {table} ({shown})")
        count = 0
        for batch in batches:
            values = ", ".join(
                converted(quoted(n), storage_of_arrow(batch.schema.field(n).type, s), s)
                for n, s in columns.items()
            )
            with self.file.translated():
                self.raw.register(_INCOMING, batch)
                try:
                    self.raw.execute(f"INSERT INTO {table} SELECT {values} FROM {_INCOMING}")
                finally:
                    self.raw.unregister(_INCOMING)
            count += batch.num_rows
        return count

    def index(self, table: str, key: Sequence[str]) -> None:
        """Do nothing: a join of columns is quicker than an index that must be kept."""

    def pages(
        self, sql: str, parameters: Sequence[object], columns: Mapping[str, Storage]
    ) -> Iterator[pa.RecordBatch]:
        """Run a query and give its rows as Arrow."""
        shown = ", ".join(
            f"CAST({quoted(n)} AS VARCHAR)" if s == "json" else quoted(n)
            for n, s in columns.items()
        )
        schema = pa.schema([(n, arrow_of(s)) for n, s in columns.items()])
        with self.file.translated():
            # Not `execute`: its readers copy the rows once more.
            found = self.raw.sql(f"SELECT {shown} FROM ({sql}) AS found", params=list(parameters))
            reader = found.to_arrow_reader(_PAGE_ROWS)
        while True:
            with self.file.translated():
                batch = next(reader, None)
            if batch is None:
                return
            arrays = [c.cast(f.type) for c, f in zip(batch.columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def add_column(self, table: str, column: str, storage: Storage) -> None:
        """Add a column."""
        self.run(f"ALTER TABLE {table} ADD COLUMN {column} {SQL_TYPES[storage]}")

    def widen(self, table: str, column: str, old: Storage, new: Storage) -> None:
        """Change how a column is kept."""
        self.run(
            f"ALTER TABLE {table} ALTER {column} TYPE {SQL_TYPES[new]}"
            f" USING {converted(column, old, new)}"
        )

    def show(self, view: str, select: str) -> None:
        """Make or replace a view."""
        self.run(f"CREATE OR REPLACE VIEW {view} AS {select}")


@dataclass(frozen=True, slots=True)
class DuckStore:
    """The connections to a DuckDB file (`sync.sql.Store`)."""

    file: DuckFile
    clock: Clock
    takes_nul: bool = True
    collate: str = ""
    no_escape: str = ""
    longest_name: int | None = None

    @property
    def name(self) -> str:
        """The destination, as messages name it."""
        return self.file.name

    @contextmanager
    def write(self, holder: str = "") -> Generator[DuckTransaction]:
        """Begin a transaction, which is committed at the end."""
        _ = holder
        with self.file.write() as raw:
            yield DuckTransaction(raw, self.file, self.clock)

    def read(self) -> AbstractContextManager[DuckTransaction] | None:
        """Give one state to read; ``None`` where there is no file."""
        return self._read() if self.file.exists else None

    @contextmanager
    def _read(self) -> Generator[DuckTransaction]:
        with self.file.read() as raw:
            yield DuckTransaction(raw, self.file, self.clock)

    def evict(self, holder: str) -> None:
        """Do nothing: a lost lease holds no file."""

    def close(self) -> None:
        """Close the file once nobody uses it."""
        self.file.close()
