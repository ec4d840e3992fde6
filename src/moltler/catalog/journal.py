"""What was called: every execution of an action, and the last call of each connector."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from moltler.catalog.owner import life_of, this_process
from moltler.catalog.store import (
    Migration,
    create_database,
    open_database,
    translated,
    unreadable,
)
from moltler.flow.contact import OTHERS, Contact
from moltler.ports import Clock
from moltler.vault.locks import BUSY_AFTER_S

Status = Literal["PENDING", "SENT", "OK", "FAILED", "UNKNOWN"]
Outcome = Literal["OK", "FAILED", "UNKNOWN"]
_LONGEST_TEXT = 10_000
_COLUMNS = "id, started, connector, action, parameters, status, error"
_MOST_HOSTS = 1_000
"""Of one connector; what comes later is counted together."""
_ELSEWHERE_AFTER = timedelta(hours=1)
# No call lasts that long, so a row of another container that is older has no owner any more.

_MIGRATIONS: Sequence[Migration] = (
    (
        "CREATE TABLE action (id INTEGER PRIMARY KEY AUTOINCREMENT, started TEXT NOT NULL,"
        " connector TEXT NOT NULL COLLATE NOCASE, action TEXT NOT NULL, parameters TEXT NOT NULL,"
        " status TEXT NOT NULL, error TEXT, owner TEXT NOT NULL)",
        "CREATE INDEX action_of_connector ON action (connector, id)",
        "CREATE INDEX action_open ON action (status) WHERE status IN ('PENDING', 'SENT')",
        "CREATE TABLE call (connector TEXT PRIMARY KEY COLLATE NOCASE, at TEXT NOT NULL,"
        " error TEXT)",
    ),
    (
        "CREATE TABLE contact (connector TEXT NOT NULL COLLATE NOCASE, host TEXT NOT NULL,"
        " requests INTEGER NOT NULL, blocked INTEGER NOT NULL, last TEXT NOT NULL,"
        " PRIMARY KEY (connector, host)) WITHOUT ROWID",
    ),
)


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """One execution of an action."""

    id: int
    started: datetime
    """Aware, UTC."""
    connector: str
    action: str
    """The path within the type: ``items.create``."""
    parameters: str
    """JSON, secrets masked."""
    status: Status
    error: str | None


@dataclass(frozen=True, slots=True)
class LastCall:
    """The last call of a connector, whatever it was."""

    at: datetime
    error: str | None
    """``None`` if it ended well."""


class Journal:
    """The journal of one home; safe for threads and processes.

    Args:
        home: The folder; made when the first call is noted.
        clock: Gives the times.
        busy_s: Seconds to wait for other processes.
    """

    def __init__(self, home: Path, clock: Clock, *, busy_s: float = BUSY_AFTER_S) -> None:
        self.path = home / "journal.db"
        self._clock = clock
        self._busy_s = busy_s
        self._mutex = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    # ── actions ──────────────────────────────────────────────────────────────────────────────

    def open(self, connector: str, action: str, parameters: str) -> int:
        """Note that an action is about to run (PENDING) and give the id of its row.

        Args:
            connector: The instance's name.
            action: Its path within the type.
            parameters: JSON; the caller has masked the secrets.
        """
        with self._writing() as connection:
            row = connection.execute(
                "INSERT INTO action (started, connector, action, parameters, status, owner)"
                " VALUES (?, ?, ?, ?, 'PENDING', ?) RETURNING id",
                (self._now(), connector, action, parameters[:_LONGEST_TEXT], this_process()),
            ).fetchone()
            return int(row[0])

    def mark_sent(self, record: int) -> None:
        """Note, durably, that a request which may change something begins to leave (SENT)."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE action SET status = 'SENT' WHERE id = ? AND status = 'PENDING'", (record,)
            )

    def close(self, record: int, outcome: Outcome, error: str | None = None) -> None:
        """Note how an action ended; an outcome once noted stays.

        Args:
            record: What `open` gave.
            outcome: UNKNOWN if a sent request may or may not have had its effect.
            error: The message, secrets masked.
        """
        with self._writing() as connection:
            connection.execute(
                "UPDATE action SET status = ?, error = ?"
                " WHERE id = ? AND status IN ('PENDING', 'SENT')",
                (outcome, _cut(error), record),
            )

    def recover(self) -> tuple[ActionRecord, ...]:
        """Settle the rows whose process has ended; give those whose outcome is unknown.

        PENDING becomes FAILED, since nothing was sent; SENT becomes UNKNOWN. Each is given once,
        to whoever settles it.
        """
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._reading()
            if connection is None:
                return ()
            rows = connection.execute(
                "SELECT id, owner, started FROM action WHERE status IN ('PENDING', 'SENT')"
            ).fetchall()
        lost = [(record,) for record, owner, started in rows if self._is_lost(owner, started)]
        if not lost:
            return ()
        unknown: list[ActionRecord] = []
        with self._writing() as connection:
            for record in lost:
                found = connection.execute(
                    f"SELECT {_COLUMNS} FROM action"  # noqa: S608 - our own words
                    " WHERE id = ? AND status = 'SENT'",
                    record,
                ).fetchone()
                unknown += [] if found is None else [_record(found)]
                connection.execute(
                    "UPDATE action SET"
                    " status = CASE status WHEN 'SENT' THEN 'UNKNOWN' ELSE 'FAILED' END,"
                    " error = CASE status WHEN 'SENT' THEN 'the process ended before the answer;"
                    " the change may or may not have happened' ELSE 'the process ended before"
                    " anything was sent' END"
                    " WHERE id = ? AND status IN ('PENDING', 'SENT')",
                    record,
                )
        return tuple(unknown)

    def history(
        self, connector: str | None = None, limit: int | None = None
    ) -> tuple[ActionRecord, ...]:
        """Give the executions, the latest first, after settling those of ended processes.

        Args:
            connector: Only those of this instance, ignoring case.
            limit: At most so many.
        """
        self.recover()
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._reading()
            if connection is None:
                return ()
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM action"  # noqa: S608 - our own words
                " WHERE ?1 IS NULL OR connector = ?1 ORDER BY id DESC LIMIT ?2",
                (connector, -1 if limit is None else limit),
            ).fetchall()
        return tuple(map(_record, rows))

    # ── last calls ───────────────────────────────────────────────────────────────────────────

    def note_call(
        self, connector: str, error: str | None = None, contacts: Sequence[Contact] = ()
    ) -> None:
        """Note that a connector was called.

        Args:
            connector: The instance's name.
            error: Its error if it failed (secrets masked).
            contacts: The hosts that it contacted in the call.
        """
        # Bookkeeping that every query pays for, and that may be lost in a power cut.
        with self._writing(synchronous="NORMAL") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO call VALUES (?, ?, ?)",
                (connector, self._now(), _cut(error)),
            )
            _add_contacts(connection, connector, contacts)

    def note_contacts(self, connector: str, contacts: Sequence[Contact]) -> None:
        """Note the hosts that a connector contacted, outside of a call."""
        with self._writing(synchronous="NORMAL") as connection:
            _add_contacts(connection, connector, contacts)

    def contacts(self, connector: str) -> tuple[Contact, ...]:
        """Give the hosts that a connector ever contacted, those with most requests first."""
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._reading()
            if connection is None:
                return ()
            rows = connection.execute(
                "SELECT host, requests, blocked, last FROM contact WHERE connector = ?"
                " ORDER BY requests DESC, blocked DESC, host",
                (connector,),
            ).fetchall()
        return tuple(
            Contact(host, requests, blocked, datetime.fromisoformat(last))
            for host, requests, blocked, last in rows
        )

    def last_calls(self) -> Mapping[str, LastCall]:
        """Give the last call of each connector that was ever called, by lower-case name."""
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._reading()
            if connection is None:
                return {}
            rows = connection.execute("SELECT connector, at, error FROM call").fetchall()
        return {
            name.lower(): LastCall(datetime.fromisoformat(at), error) for name, at, error in rows
        }

    def forget(self, connector: str) -> None:
        """Forget the last call and the hosts of a dropped connector; its actions stay listed."""
        with self._mutex, translated(self.path, self._busy_s):
            if self._reading() is None:
                return
        with self._writing() as connection:
            connection.execute("DELETE FROM call WHERE connector = ?", (connector,))
            connection.execute("DELETE FROM contact WHERE connector = ?", (connector,))

    def close_file(self) -> None:
        """Close the file; it is opened again when needed."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _is_lost(self, owner: str, started: str) -> bool:
        match life_of(owner):
            case "alive":
                return False
            case "dead":
                return True
            case "elsewhere":
                return self._clock.now() - datetime.fromisoformat(started) > _ELSEWHERE_AFTER

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="microseconds")

    def _reading(self) -> sqlite3.Connection | None:
        if self._connection is None:
            if not self.path.exists():
                return None
            self._connection = open_database(
                self.path, _MIGRATIONS, self._clock, busy_s=self._busy_s
            )
        return self._connection

    @contextmanager
    def _writing(
        self, synchronous: Literal["FULL", "NORMAL"] = "FULL"
    ) -> Generator[sqlite3.Connection]:
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._reading()
            if connection is None:
                create_database(self.path, _MIGRATIONS, self._clock, busy_s=self._busy_s)
                connection = self._reading()
            if connection is None:
                raise unreadable(self.path, "has been removed just now")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise


def _add_contacts(
    connection: sqlite3.Connection, connector: str, contacts: Sequence[Contact]
) -> None:
    for contact in contacts:
        known = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE host = ?2) FROM contact WHERE connector = ?1",
            (connector, contact.host),
        ).fetchone()
        host = contact.host if known[1] or known[0] < _MOST_HOSTS else OTHERS
        connection.execute(
            "INSERT INTO contact VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE"
            " SET requests = requests + ?3, blocked = blocked + ?4, last = max(last, ?5)",
            (
                connector,
                host,
                contact.requests,
                contact.blocked,
                contact.last.isoformat(timespec="microseconds"),
            ),
        )


def _record(row: tuple[int, str, str, str, str, Status, str | None]) -> ActionRecord:
    id_, started, name, action, values, status, error = row
    return ActionRecord(id_, datetime.fromisoformat(started), name, action, values, status, error)


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:_LONGEST_TEXT]
