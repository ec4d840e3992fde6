"""The catalog's SQLite file."""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from moltler.catalog.catalog import Catalog
from moltler.catalog.home import create_home
from moltler.catalog.wire import (
    BadRecord,
    decode_connector,
    decode_sync,
    decode_type,
    encode_connector,
    encode_sync,
    encode_type,
)
from moltler.errors import LookupFailed
from moltler.ports import Clock
from moltler.vault.locks import BUSY_AFTER_S, busy, hold_lock, holder_of

_Row = TypeVar("_Row")
Migration = Sequence[str]
"""The SQL that brings a file from one version to the next."""

_MIGRATIONS: Sequence[Migration] = (
    (
        "CREATE TABLE type (name TEXT PRIMARY KEY, body BLOB NOT NULL, sum INTEGER NOT NULL)",
        "CREATE TABLE connector (name TEXT PRIMARY KEY, body BLOB NOT NULL, sum INTEGER NOT NULL)",
        "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
        "INSERT INTO counter VALUES ('serial', 0)",
    ),
    ("CREATE TABLE sync (name TEXT PRIMARY KEY, body BLOB NOT NULL, sum INTEGER NOT NULL)",),
    ("CREATE TABLE destination (name TEXT PRIMARY KEY, body BLOB NOT NULL, sum INTEGER NOT NULL)",),
)


@dataclass(frozen=True, slots=True)
class _Known:
    """A catalog as read, and how to tell that the file has changed since."""

    catalog: Catalog
    data_version: int


class CatalogFile:
    """Loads and changes the catalog of a home; safe for threads and processes.

    Nothing is made before the first change; a home without a catalog is an empty one.

    Args:
        home: The folder.
        clock: For waiting.
        busy_s: Seconds to wait for other processes.
    """

    def __init__(self, home: Path, clock: Clock, *, busy_s: float = BUSY_AFTER_S) -> None:
        self.path = home / "catalog.db"
        self._clock = clock
        self._busy_s = busy_s
        self._mutex = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._known: _Known | None = None

    def load(self) -> Catalog:
        """Give the catalog as it is now; costs microseconds while nobody changes it.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._open()
            if connection is None:
                return Catalog()
            if self._known is not None and self._known.data_version == _data_version(connection):
                return self._known.catalog
            # One transaction, so that types and connectors are of the same moment.
            connection.execute("BEGIN")
            try:
                self._known = self._read(connection)
            finally:
                connection.rollback()
            return self._known.catalog

    def changed(self) -> bool:
        """Tell whether another process changed the catalog since the last `load` or `update`."""
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._open()
            if connection is None or self._known is None:
                return connection is not None or self._known is not None
            return self._known.data_version != _data_version(connection)

    def update(self, change: Callable[[Catalog], Catalog]) -> Catalog:
        """Change the catalog in one transaction and give it as saved.

        Args:
            change: Gets the catalog as it is under the lock and gives the new one. It should be
                quick, and may raise: then nothing is changed.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._open() or self._create()
            connection.execute("BEGIN IMMEDIATE")
            try:
                known = self._known
                if known is None or known.data_version != _data_version(connection):
                    known = self._read(connection)
                after = change(known.catalog)
                _write(connection, known.catalog, after)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
            self._known = replace(known, catalog=after)
            return after

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._known = None

    def _open(self) -> sqlite3.Connection | None:
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            inode = 0
        except OSError as error:
            raise unreadable(self.path, f"cannot be read ({error.strerror})") from error
        if inode != self._inode:
            # Somebody moved the file away, or put another in its place.
            self.close()
            self._inode = inode
        if inode and self._connection is None:
            self._connection = open_database(
                self.path, _MIGRATIONS, self._clock, busy_s=self._busy_s
            )
        return self._connection

    def _create(self) -> sqlite3.Connection:
        create_database(self.path, _MIGRATIONS, self._clock, busy_s=self._busy_s)
        opened = self._open()
        if opened is None:
            raise unreadable(self.path, "has been removed just now")
        return opened

    def _read(self, connection: sqlite3.Connection) -> _Known:
        try:
            types = {
                name: decode_type(_checked(body, total))
                for name, body, total in connection.execute("SELECT name, body, sum FROM type")
            }
            connectors = {
                name: decode_connector(_checked(body, total))
                for name, body, total in connection.execute("SELECT name, body, sum FROM connector")
            }
            syncs = {
                name: decode_sync(_checked(body, total))
                for name, body, total in connection.execute("SELECT name, body, sum FROM sync")
            }
            destinations = {
                name: decode_connector(_checked(body, total))
                for name, body, total in connection.execute(
                    "SELECT name, body, sum FROM destination"
                )
            }
            row = connection.execute("SELECT value FROM counter WHERE name = 'serial'").fetchone()
            serial = int(row[0])
        except (BadRecord, TypeError, ValueError) as error:
            raise damaged(self.path) from error
        catalog = Catalog(types, connectors, serial, syncs, destinations)
        return _Known(catalog, _data_version(connection))


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _checked(body: object, total: object) -> bytes:
    if not isinstance(body, bytes) or zlib.crc32(body) != total:
        raise BadRecord("checksum differs")
    return body


def _write(connection: sqlite3.Connection, before: Catalog, after: Catalog) -> None:
    if after is before:
        return
    _write_rows(connection, "type", before.types, after.types, encode_type)
    _write_rows(connection, "connector", before.connectors, after.connectors, encode_connector)
    _write_rows(connection, "sync", before.syncs, after.syncs, encode_sync)
    _write_rows(
        connection, "destination", before.destinations, after.destinations, encode_connector
    )
    connection.execute("UPDATE counter SET value = ? WHERE name = 'serial'", (after.serial,))


def _write_rows(
    connection: sqlite3.Connection,
    table: str,
    before: Mapping[str, _Row],
    after: Mapping[str, _Row],
    encode: Callable[[_Row], bytes],
) -> None:
    # `table` is one of the words above, never a value.
    for name in before.keys() - after.keys():
        connection.execute(f"DELETE FROM {table} WHERE name = ?", (name,))  # noqa: S608
    for name, row in after.items():
        if before.get(name) is not row:
            body = encode(row)
            connection.execute(
                f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608
                (name, body, zlib.crc32(body)),
            )


# ── databases of a home ──────────────────────────────────────────────────────────────────────


def create_database(
    path: Path, migrations: Sequence[Migration], clock: Clock, *, busy_s: float
) -> None:
    """Make a database file, unless it exists by now.

    It is built under another name and then moved into place, so a file of that name is always
    complete, and an empty one is damage rather than a beginning.
    """
    create_home(path.parent)
    with hold_lock(path.with_suffix(".lock"), clock, wait_s=busy_s):
        if path.exists():
            return
        fresh = path.with_name(path.name + ".new")
        for leftover in (path, fresh):
            for suffix in ("", "-wal", "-shm", "-journal"):
                leftover.with_name(leftover.name + suffix).unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(fresh, isolation_level=None)
        try:
            # The mode is written into the file; WAL lets readers read while one process writes.
            connection.execute("PRAGMA journal_mode = WAL")
            _migrate(connection, 0, migrations)
        finally:
            connection.close()
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def open_database(
    path: Path, migrations: Sequence[Migration], clock: Clock, *, busy_s: float
) -> sqlite3.Connection:
    """Open an existing database file and bring it to the newest version.

    Raises:
        LookupFailed: CAT010, it is damaged or of a newer version.
    """
    connection = sqlite3.connect(
        path.absolute().as_uri() + "?mode=rw",
        uri=True,
        timeout=busy_s,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        version = _version(connection)
        if version > len(migrations):
            raise LookupFailed(
                "CAT010",
                f"`{path}` was written by a newer Moltler (format {version}, this one reads up to"
                f" {len(migrations)})",
                hint="upgrade Moltler, or use another home; the file was not changed",
            )
        if version == 0:
            raise damaged(path)
        if version < len(migrations):
            with hold_lock(path.with_suffix(".lock"), clock, wait_s=busy_s):
                _migrate(connection, _version(connection), migrations)
        # Definitions and action journals must survive a power cut once they were reported.
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, version: int, migrations: Sequence[Migration]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


@contextmanager
def translated(path: Path, busy_s: float) -> Generator[None]:
    """Turn what SQLite raises about a file of the home into our errors."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
            raise
        # The module itself raises for text that is not UTF-8, and then gives no code.
        match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                holder = holder_of(path.with_name(path.name + "-shm"))
                raise busy(path.parent, holder, busy_s) from error
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_ERROR:
                raise damaged(path) from error
            case sqlite3.SQLITE_FULL:
                raise LookupFailed(
                    "CAT010",
                    f"the disk of `{path}` is full",
                    hint="free some space and try again; nothing was changed",
                ) from error
            case _:
                raise unreadable(path, f"cannot be used ({error})") from error


def damaged(path: Path) -> LookupFailed:
    """Give the error CAT010 for a file whose content is not what was written."""
    return LookupFailed(
        "CAT010",
        f"`{path}` is damaged",
        hint=f"restore it from a backup, or move it away (`mv {path} {path}.damaged`) and run your"
        " definition scripts again; the file was not changed",
    )


def unreadable(path: Path, why: str) -> LookupFailed:
    """Give the error CAT010 for a file that cannot be used."""
    return LookupFailed(
        "CAT010", f"`{path}` {why}", hint="check its owner and its permissions, and the disk"
    )
