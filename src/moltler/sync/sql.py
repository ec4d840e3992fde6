"""What the sync asks of a database with transactions, whichever it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa

from moltler.sync.layout import Storage


class Sql(Protocol):
    """One transaction of a relational destination.

    Values stand as ``?`` in the SQL; no text of ours holds that character otherwise.
    """

    @property
    def schema(self) -> str:
        """Where the tables lie."""
        ...

    @property
    def types(self) -> Mapping[Storage, str]:
        """The column type for each way to keep a value."""
        ...

    @property
    def for_update(self) -> str:
        """What follows a SELECT whose rows nobody else may change meanwhile."""
        ...

    @property
    def collate(self) -> str:
        """What follows a text so that it is compared by code point."""
        ...

    @property
    def has_upsert(self) -> bool:
        """Whether rows merge best by INSERT … ON CONFLICT over the index of the key."""
        ...

    def run(self, sql: str, parameters: Sequence[object] = ()) -> None:
        """Run a statement without a result."""
        ...

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        ...

    def number(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Give the one number that a query returns."""
        ...

    def now(self) -> datetime:
        """Give the time by the clock that leases are measured with."""
        ...

    def alone(self, what: str) -> None:
        """Keep other transactions from making the same things at the same time."""
        ...

    def stage(
        self, table: str, columns: Mapping[str, Storage], batches: Iterable[pa.RecordBatch]
    ) -> int:
        """Make a temporary table of rows that came as Arrow; give their number.

        Args:
            table: Its name, quoted.
            columns: Of the table, and how each is kept there.
            batches: Each with exactly these columns, in the types of `flow.sync.Batch`.
        """
        ...

    def index(self, table: str, key: Sequence[str]) -> None:
        """Do for a table what finds the rows of a key quickly; the table's name is quoted."""
        ...

    def pages(
        self, sql: str, parameters: Sequence[object], columns: Mapping[str, Storage]
    ) -> Iterator[pa.RecordBatch]:
        """Run a query and give its rows as Arrow, in the types of `flow.sync.Batch`.

        Args:
            sql: A SELECT.
            parameters: Its values.
            columns: Of the result, in order, and how each is kept.
        """
        ...

    def add_column(self, table: str, column: str, storage: Storage) -> None:
        """Add a column, both names quoted."""
        ...

    def widen(self, table: str, column: str, old: Storage, new: Storage) -> None:
        """Change how a column is kept, both names quoted."""
        ...

    def show(self, view: str, select: str) -> None:
        """Make or replace a view, its name quoted."""
        ...


class Store(Protocol):
    """A relational destination's connections."""

    @property
    def name(self) -> str:
        """The destination, as messages name it."""
        ...

    @property
    def takes_nul(self) -> bool:
        """Whether texts may hold the character NUL."""
        ...

    @property
    def collate(self) -> str:
        """What follows a text so that it is compared by code point."""
        ...

    @property
    def no_escape(self) -> str:
        """What follows LIKE so that a backslash is a character like any other."""
        ...

    @property
    def longest_name(self) -> int | None:
        """Bytes of a name; ``None`` for no limit worth mentioning."""
        ...

    def write(self, holder: str = "") -> AbstractContextManager[Sql]:
        """Begin a transaction, which is committed at the end.

        Args:
            holder: For which lease, so that `evict` can find it.

        Raises:
            SyncError: SNC006, also later, for whatever the database refuses.
        """
        ...

    def read(self) -> AbstractContextManager[Sql] | None:
        """Give one state to read; ``None`` where nothing was ever written."""
        ...

    def evict(self, holder: str) -> None:
        """Make sure that no transaction of a lease that was lost goes on.

        Args:
            holder: What `write` was told.
        """
        ...

    def close(self) -> None:
        """Release what is open."""
        ...
