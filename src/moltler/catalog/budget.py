"""Requests counted for every process of a home, and the pauses that APIs have asked for."""

from __future__ import annotations

import hmac
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from moltler.catalog.store import (
    Migration,
    create_database,
    open_database,
    translated,
    unreadable,
)
from moltler.flow.budget import Account, Grant, Pace, Standing
from moltler.ports import Clock
from moltler.secret import Secret
from moltler.vault.locks import BUSY_AFTER_S

_DIGITS = 32
_BACKWARDS_S = 1.0
"""A time of the file that is so far ahead was written before the clock was put back."""
_SAME_S = 1e-6
_KEPT_S = 86_400.0
_NOBODY = "-"
"""The credential of instances without secrets."""

_MIGRATIONS: Sequence[Migration] = (
    (
        "CREATE TABLE pace (credential TEXT NOT NULL, host TEXT NOT NULL, due REAL NOT NULL,"
        " written REAL NOT NULL, PRIMARY KEY (credential, host)) WITHOUT ROWID",
        "CREATE TABLE pause (credential TEXT NOT NULL, host TEXT NOT NULL, part TEXT NOT NULL,"
        " until REAL NOT NULL, written REAL NOT NULL,"
        " PRIMARY KEY (credential, host, part)) WITHOUT ROWID",
    ),
)


class BudgetFile:
    """The budgets of a home (`ports.BudgetStore`); safe for threads and processes.

    A bucket is one number, the time at which its next token is due if it had no burst (virtual
    scheduling, ITU-T I.371); whoever takes a token moves it on. Which credential a row belongs to
    is a digest under the home's key.

    Args:
        home: The folder; the file is made when the first request is counted.
        key: Gives the home's key; asked only for instances that have secrets.
        clock: Gives the times.
        busy_s: Seconds to wait for other processes.
    """

    def __init__(
        self, home: Path, key: Callable[[], bytes], clock: Clock, *, busy_s: float = BUSY_AFTER_S
    ) -> None:
        self.path = home / "budget.db"
        self._key = key
        self._clock = clock
        self._busy_s = busy_s
        self._mutex = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._credentials: dict[tuple[Secret, ...], str] = {}

    def now(self) -> datetime:
        """Give the time in UTC."""
        return self._clock.now()

    def take(self, account: Account, pace: Pace, count: int = 1) -> Grant:
        """Reserve the next turns of an account, after those that others have reserved.

        Args:
            account: Whose.
            pace: The throttle of who asks; instances of one account may have different ones.
            count: How many turns, at most the burst.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        credential = self._credential(account.secrets)
        with self._writing() as connection:
            now = self._seconds()
            row = connection.execute(
                "SELECT due, written FROM pace WHERE credential = ? AND host = ?",
                (credential, account.host),
            ).fetchone()
            due = now - pace.burst * pace.interval_s
            if row is not None:
                due, written = row
                if written > now + _BACKWARDS_S:
                    due += now - written
            # Turns handed out together may be used together, so they count against the burst.
            start = max(due, now - (pace.burst - count) * pace.interval_s)
            connection.execute(
                "INSERT OR REPLACE INTO pace VALUES (?, ?, ?, ?)",
                (credential, account.host, start + count * pace.interval_s, now),
            )
        return Grant(start, pace.interval_s, count)

    def give_back(self, account: Account, grant: Grant) -> None:
        """Take turns back that nobody used, unless others have reserved later ones.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        end = grant.start + grant.count * grant.interval_s
        with self._writing() as connection:
            connection.execute(
                "UPDATE pace SET due = ? WHERE credential = ? AND host = ? AND abs(due - ?) < ?",
                (grant.start, self._credential(account.secrets), account.host, end, _SAME_S),
            )

    def look(self, account: Account) -> Standing:
        """Give what is known of an account.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        return self.standings(account.secrets).get(account.host, Standing())

    def standings(self, secrets: tuple[Secret, ...]) -> dict[str, Standing]:
        """Give what is known of a credential, by host; pauses that are over are left out.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._reading()
            if connection is None:
                return {}
            credential = (self._credential(secrets),)
            turns = connection.execute(
                "SELECT host, due, written FROM pace WHERE credential = ?", credential
            ).fetchall()
            pauses = connection.execute(
                "SELECT host, part, until, written FROM pause WHERE credential = ?", credential
            ).fetchall()
        now = self._seconds()
        found = {host: Standing({}, _shifted(due, at, now)) for host, due, at in turns}
        for host, part, until, written in pauses:
            if (end := _shifted(until, written, now)) > now:
                known = found.get(host, Standing())
                found[host] = Standing({**known.pauses, part: end}, known.next_turn)
        return found

    def report(self, account: Account, part: str, until: float) -> None:
        """Note that an API takes no requests before a time; a later one that is known stays.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        row = (self._credential(account.secrets), account.host, part, until)
        with self._writing() as connection:
            now = self._seconds()
            connection.execute(
                "INSERT INTO pause VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE"
                " SET until = ?4, written = ?5 WHERE until < ?4 OR written > ?5 + ?6",
                (*row, now, _BACKWARDS_S),
            )
            for table, end in (("pace", "due"), ("pause", "until")):
                connection.execute(f"DELETE FROM {table} WHERE {end} < ?", (now - _KEPT_S,))  # noqa: S608 - our own words

    def forgive(self, secrets: tuple[Secret, ...]) -> None:
        """Forget the pauses of a credential, since somebody wants to ask its APIs again.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        with self._mutex, translated(self.path, self._busy_s):
            if self._reading() is None:
                return
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM pause WHERE credential = ?", (self._credential(secrets),)
            )

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _credential(self, secrets: tuple[Secret, ...]) -> str:
        if not secrets:
            return _NOBODY
        with self._mutex:
            known = self._credentials.get(secrets)
            if known is None:
                # By value: instances that name the same key differently are one to the API.
                digest = hmac.new(self._key(), b"budget", "sha256")
                for value in sorted({s.reveal() for s in secrets}):
                    encoded = value.encode("utf-8", "surrogatepass")
                    digest.update(len(encoded).to_bytes(8, "big") + encoded)
                known = self._credentials[secrets] = digest.hexdigest()[:_DIGITS]
            return known

    def _seconds(self) -> float:
        return self._clock.now().timestamp()

    def _reading(self) -> sqlite3.Connection | None:
        if self._connection is None:
            if not self.path.exists():
                return None
            self._connection = open_database(
                self.path, _MIGRATIONS, self._clock, busy_s=self._busy_s
            )
            # Nothing here is worth waiting for the disk.
            self._connection.execute("PRAGMA synchronous = NORMAL")
        return self._connection

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._mutex, translated(self.path, self._busy_s):
            connection = self._reading()
            if connection is None:
                create_database(self.path, _MIGRATIONS, self._clock, busy_s=self._busy_s)
                connection = self._reading()
            if connection is None:
                raise unreadable(self.path, "has been removed just now")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise


def _shifted(moment: float, written: float, now: float) -> float:
    """Give a moment by the present clock, if that was put back since it was written."""
    return moment if written <= now + _BACKWARDS_S else moment + now - written
