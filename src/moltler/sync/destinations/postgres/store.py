"""A PostgreSQL database as a store of synced tables."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import errors

from moltler.errors import SyncError
from moltler.secret import Secret, redact
from moltler.sync.destinations.postgres.arrow import as_batch, as_csv
from moltler.sync.destinations.postgres.columns import SQL_TYPES, converted
from moltler.sync.layout import Storage, quoted
from moltler.sync.staging import storage_of_arrow

LONGEST_NAME = 63
_COLLATE = ' COLLATE "C"'
_CONNECT_S = 10
_LOCK_S = 30
_IDLE_S = 45
"""A process that stands still in a transaction for longer loses it; a lease lasts 60 s."""
_PAGE_ROWS = 10_000
_KEPT = 4
"""Connections that wait for the next use."""
_SETTINGS = (
    "SET timezone = 'UTC'",
    "SET jit = off",
    "SET client_min_messages = error",
    "SET extra_float_digits = 1",
    f"SET lock_timeout = '{_LOCK_S}s'",
    f"SET idle_in_transaction_session_timeout = '{_IDLE_S}s'",
)
_TOKENS = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|\?|%")


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where a database is and who asks.

    Args:
        parameters: Of the connection, as libpq names them; ``conninfo`` is a whole address.
        schema: Where the tables lie; it is made if need be.
        secrets: That no message shows.
    """

    parameters: Mapping[str, str] = field(repr=False)
    schema: str = "public"
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class PostgresTransaction:
    """One transaction in PostgreSQL (`sync.sql.Sql`)."""

    raw: psycopg.Connection[tuple[Any, ...]]
    schema: str
    for_update: str = " FOR UPDATE"
    collate: str = _COLLATE
    has_upsert: bool = True

    @property
    def types(self) -> Mapping[Storage, str]:
        """The column type for each way to keep a value."""
        return SQL_TYPES

    def run(self, sql: str, parameters: Sequence[object] = ()) -> None:
        """Run a statement without a result."""
        self._execute(sql, parameters)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and give its rows."""
        return [
            tuple(v.astimezone(UTC) if isinstance(v, datetime) else v for v in row)
            for row in self._execute(sql, parameters).fetchall()
        ]

    def number(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Give the one number that a query returns."""
        return int(self.rows(sql, parameters)[0][0])

    def now(self) -> datetime:
        """Give the server's time."""
        return self.rows("SELECT clock_timestamp()")[0][0]

    def alone(self, what: str) -> None:
        """Keep other transactions from making the same things at the same time."""
        self.run("SELECT pg_advisory_xact_lock(hashtext(?))", [f"moltler {self.schema} {what}"])
        self.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(self.schema)}")

    def stage(
        self, table: str, columns: Mapping[str, Storage], batches: Iterable[pa.RecordBatch]
    ) -> int:
        """Make a temporary table of rows that came as Arrow; give their number."""
        arriving: dict[str, Storage] | None = None
        count = 0
        for batch in batches:
            found: dict[str, Storage] = {
                n: storage_of_arrow(batch.schema.field(n).type, s) for n, s in columns.items()
            }
            if arriving is None:
                self._make_stage(table, found)
                arriving = found
            with self.raw.cursor() as cursor:
                names = ", ".join(quoted(n) for n in columns)
                command = f"COPY {table} ({names}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
                with cursor.copy(command.encode()) as copy:
                    for piece in as_csv(batch.select(list(columns))):
                        copy.write(piece)
            count += batch.num_rows
        if arriving is None:
            self._make_stage(table, columns)
            return count
        for name, storage in columns.items():
            if SQL_TYPES[arriving[name]] != SQL_TYPES[storage]:
                self.widen(table, quoted(name), arriving[name], storage)
        return count

    def _make_stage(self, table: str, columns: Mapping[str, Storage]) -> None:
        shown = ", ".join(f"{quoted(n)} {SQL_TYPES[s]}" for n, s in columns.items())
        self.run(f"CREATE TEMP TABLE {table} ({shown}) ON COMMIT DROP")

    def index(self, table: str, key: Sequence[str]) -> None:
        """Keep a key unique, and quick to find."""
        self.run(f"CREATE UNIQUE INDEX ON {table} ({', '.join(map(quoted, key))})")

    def pages(
        self, sql: str, parameters: Sequence[object], columns: Mapping[str, Storage]
    ) -> Iterator[pa.RecordBatch]:
        """Run a query and give its rows as Arrow."""
        shown = ", ".join(
            f"{quoted(n)}::text" if SQL_TYPES[s] == "json" else quoted(n)
            for n, s in columns.items()
        )
        query = _TOKENS.sub(_placeholder, f"SELECT {shown} FROM ({sql}) AS found")
        with self.raw.cursor(f"moltler_{uuid.uuid4().hex}") as cursor:
            cursor.execute(query.encode(), list(parameters))
            while rows := cursor.fetchmany(_PAGE_ROWS):
                yield as_batch(rows, columns)

    def add_column(self, table: str, column: str, storage: Storage) -> None:
        """Add a column."""
        self.run(f"ALTER TABLE {table} ADD COLUMN {column} {SQL_TYPES[storage]}")

    def widen(self, table: str, column: str, old: Storage, new: Storage) -> None:
        """Change how a column is kept."""
        if SQL_TYPES[old] != SQL_TYPES[new]:
            self.run(
                f"ALTER TABLE {table} ALTER {column} TYPE {SQL_TYPES[new]}"
                f" USING {converted(column, old, new)}"
            )

    def show(self, view: str, select: str) -> None:
        """Make or replace a view."""
        try:
            # In place where that can be: it keeps grants, and the views of others over it.
            with self.raw.transaction():
                self.run(f"CREATE OR REPLACE VIEW {view} AS {select}")
        except errors.InvalidTableDefinition:
            self.run(f"DROP VIEW {view}")
            self.run(f"CREATE VIEW {view} AS {select}")

    def _execute(self, sql: str, parameters: Sequence[object]) -> psycopg.Cursor[tuple[Any, ...]]:
        if not parameters:
            return self.raw.execute(sql.encode())
        return self.raw.execute(_TOKENS.sub(_placeholder, sql).encode(), list(parameters))


def _placeholder(token: re.Match[str]) -> str:
    return "%s" if token[0] == "?" else token[0].replace("%", "%%")


class PostgresStore:
    """The connections to a PostgreSQL database (`sync.sql.Store`); safe for threads.

    Args:
        address: Where it is.
        name: The destination, as messages name it.
    """

    takes_nul = False
    collate = _COLLATE
    no_escape = " ESCAPE ''"
    longest_name = LONGEST_NAME

    def __init__(self, address: PostgresAddress, name: str) -> None:
        self._address = address
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[psycopg.Connection[tuple[Any, ...]]] = []

    @property
    def name(self) -> str:
        """The destination, as messages name it."""
        return self._name

    @contextmanager
    def write(self, holder: str = "") -> Generator[PostgresTransaction]:
        """Begin a transaction, which is committed at the end."""
        with self._translated():
            connection = self._take()
            try:
                if holder:
                    connection.execute(
                        "SELECT set_config('application_name', %s, false)", [_label(holder)]
                    )
                    connection.commit()
                yield PostgresTransaction(connection, self._address.schema)
                connection.commit()
            except BaseException:
                # It may be in the middle of anything.
                connection.close()
                raise
            self._give_back(connection)

    def read(self) -> AbstractContextManager[PostgresTransaction] | None:
        """Give one state to read."""
        return self._read()

    @contextmanager
    def _read(self) -> Generator[PostgresTransaction]:
        with self._translated():
            connection = self._take()
            try:
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield PostgresTransaction(connection, self._address.schema, for_update="")
                connection.rollback()
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)

    def evict(self, holder: str) -> None:
        """End the sessions of a lease that was lost: one that stands still would keep its locks."""
        with self.write() as sql:
            sql.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ?"
                " AND usename = current_user AND datname = current_database()"
                " AND pid <> pg_backend_pid()",
                [_label(holder)],
            )

    def close(self) -> None:
        """Close what waits for its next use; may be repeated."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    # ── connections ──────────────────────────────────────────────────────────────────────────

    def _take(self) -> psycopg.Connection[tuple[Any, ...]]:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed and _is_alive(connection):
                    return connection
                connection.close()
        parameters: dict[str, Any] = dict(self._address.parameters)
        conninfo = parameters.pop("conninfo", "")
        connection = psycopg.connect(
            conninfo, connect_timeout=_CONNECT_S, application_name="moltler", **parameters
        )
        try:
            for setting in _SETTINGS:
                connection.execute(setting.encode())
            connection.execute(f"SET search_path = {quoted(self._address.schema)}".encode())
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        with self._lock:
            if len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()

    # ── errors ───────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.DatatypeMismatch) as error:
            raise SyncError(
                "SNC006",
                f"the tables of destination `{self._name}` were changed by somebody else:"
                f" {self._said(error)}",
                hint="run the sync with FULL, which loads the table anew",
            ) from error
        except (errors.LockNotAvailable, errors.QueryCanceled) as error:
            raise SyncError(
                "SNC006",
                f"destination `{self._name}` is busy: somebody has locked its tables for"
                f" {_LOCK_S} seconds",
                hint="end the transaction that holds them, and try again",
            ) from error
        except (errors.InsufficientPrivilege, errors.DependentObjectsStillExist) as error:
            raise SyncError(
                "SNC006",
                f"destination `{self._name}` refuses: {self._said(error)}",
                hint="its account must own the schema's tables, and views of others over them"
                " must not stand in the way",
            ) from error
        except psycopg.OperationalError as error:
            raise SyncError(
                "SNC006",
                f"destination `{self._name}` cannot be reached: {self._said(error)}",
                hint="check its CONFIG, and whether the database is running; what was committed"
                " is safe",
            ) from error
        except (psycopg.Error, OSError) as error:
            raise SyncError(
                "SNC006",
                f"destination `{self._name}` refuses: {self._said(error)}",
                hint="what was committed is safe",
            ) from error

    def _said(self, error: Exception) -> str:
        first = str(error).strip().partition("\n")[0].removesuffix(".")
        return redact(first, self._address.secrets)


def _label(holder: str) -> str:
    return f"moltler sync {holder}"


def _is_alive(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    """Tell whether the server still knows a connection that was idle."""
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error:
        return False
    return True


__all__ = ["PostgresAddress", "PostgresStore", "PostgresTransaction"]
