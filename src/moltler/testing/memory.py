"""Secrets, journal and budget of one test: in memory, gone with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime

from moltler.catalog.journal import ActionRecord, LastCall, Outcome
from moltler.errors import LookupFailed
from moltler.flow.budget import Standing
from moltler.flow.contact import Contact
from moltler.ports import Clock, SecretStore
from moltler.secret import Secret
from moltler.vault.store import SecretRow


class MemorySecrets:
    """The secrets that a test names, then those of a store if it may see it.

    Args:
        values: Of the clause SECRETS.
        clock: For the times of the list.
        behind: Asked for what is not here; ``None`` for a test with mocks.
    """

    def __init__(self, values: Mapping[str, str], clock: Clock, behind: SecretStore | None) -> None:
        self._values = dict(values)
        self._clock = clock
        self._behind = behind
        self._seal_key = os.urandom(32)

    def get(self, name: str) -> str | None:
        """Give the value, or ``None`` if there is no such secret."""
        found = self._values.get(name)
        return found if found is not None or self._behind is None else self._behind.get(name)

    def put(self, name: str, value: str) -> None:
        """Keep a value for this test."""
        self._values[name] = value

    def remove(self, name: str) -> None:
        """Forget a value of this test.

        Raises:
            LookupFailed: CAT005, the test has no such secret.
        """
        if self._values.pop(name, None) is None:
            raise LookupFailed("CAT005", f"no secret `{name}`")

    def list(self) -> tuple[SecretRow, ...]:
        """Give the names of this test's secrets."""
        now = self._clock.now().isoformat()
        return tuple(SecretRow(name, now, now) for name in sorted(self._values))

    def seal_key(self) -> bytes:
        """Give the key of this test's seals."""
        return self._seal_key

    def check(self) -> str:
        """Tell where the key comes from: there is none."""
        return "memory"


class MemoryJournal:
    """The journal of one test."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: dict[int, ActionRecord] = {}
        self._calls: dict[str, LastCall] = {}

    def open(self, connector: str, action: str, parameters: str) -> int:
        """Note that an action is about to run and give the id of its row."""
        record = len(self._records) + 1
        self._records[record] = ActionRecord(
            record, self._clock.now(), connector, action, parameters, "PENDING", None
        )
        return record

    def mark_sent(self, record: int) -> None:
        """Note that a request which may change something begins to leave."""
        self._settle(record, "SENT", None)

    def close(self, record: int, outcome: Outcome, error: str | None = None) -> None:
        """Note how an action ended."""
        self._settle(record, outcome, error)

    def recover(self) -> tuple[ActionRecord, ...]:
        """Give nothing: a test ends with its program."""
        return ()

    def history(
        self, connector: str | None = None, limit: int | None = None
    ) -> tuple[ActionRecord, ...]:
        """Give the executions, the latest first."""
        found = [
            r
            for r in reversed(self._records.values())
            if connector is None or r.connector.lower() == connector.lower()
        ]
        return tuple(found[:limit])

    def note_call(
        self, connector: str, error: str | None = None, contacts: Sequence[Contact] = ()
    ) -> None:
        """Note that a connector was called."""
        self._calls[connector.lower()] = LastCall(self._now(), error)

    def contacts(self, connector: str) -> tuple[Contact, ...]:
        """Give nothing: a test has MOCK_CALLS."""
        return ()

    def last_calls(self) -> Mapping[str, LastCall]:
        """Give the last call of each connector."""
        return dict(self._calls)

    def forget(self, connector: str) -> None:
        """Forget the last call of a connector."""
        self._calls.pop(connector.lower(), None)

    def _now(self) -> datetime:
        return self._clock.now()

    def _settle(self, record: int, status: Outcome | str, error: str | None) -> None:
        old = self._records[record]
        if old.status in {"PENDING", "SENT"}:
            self._records[record] = ActionRecord(
                old.id, old.started, old.connector, old.action, old.parameters,
                status, error,  # type: ignore[arg-type] # a status
            )  # fmt: skip


class NoBudget:
    """The budget of a test with its own clock: its API says itself what it takes."""

    def standings(self, secrets: tuple[Secret, ...]) -> Mapping[str, Standing]:
        """Give nothing."""
        return {}

    def forgive(self, secrets: tuple[Secret, ...]) -> None:
        """Do nothing."""
