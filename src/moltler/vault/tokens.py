"""Tokens of OAuth: in memory, or in the secret file of a home where they must outlive a process."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from moltler.ports import Clock
from moltler.vault.locks import hold_lock
from moltler.vault.store import SecretFile

_PREFIX = "_oauth."
_DIGITS = 24


def _system_time() -> datetime:
    return datetime.now(UTC)


class MemoryTokens:
    """The tokens of one process or test (`ports.TokenStore`).

    Args:
        now: Gives the time, aware and in UTC.
    """

    def __init__(self, now: Callable[[], datetime] = _system_time) -> None:
        self.now: Callable[[], datetime] = now
        self._states: dict[str, str] = {}
        self._mutex = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def load(self, credential: str, *, durable: bool) -> str | None:
        """Give what was saved for a credential, or ``None``."""
        return self._states.get(credential)

    def save(self, credential: str, state: str, *, durable: bool) -> None:
        """Save or replace."""
        self._states[credential] = state

    @contextmanager
    def lock(self, credential: str) -> Generator[None]:
        """Keep other threads from renewing."""
        with self._mutex:
            lock = self._locks.setdefault(credential, threading.Lock())
        with lock:
            yield


class HomeTokens:
    """The tokens of a home (`ports.TokenStore`): durable ones are among its secrets, encrypted.

    Args:
        home: The folder, for the locks.
        secrets: Its secrets.
        clock: Gives the time.
    """

    def __init__(self, home: Path, secrets: SecretFile, clock: Clock) -> None:
        self._home = home
        self._secrets = secrets
        self._clock = clock
        self._memory = MemoryTokens(clock.now)

    def load(self, credential: str, *, durable: bool) -> str | None:
        """Give what was saved for a credential, or ``None``.

        Raises:
            LookupFailed: CAT010.
        """
        if not durable:
            return self._memory.load(credential, durable=False)
        return self._secrets.get(_PREFIX + self._digest(credential))

    def save(self, credential: str, state: str, *, durable: bool) -> None:
        """Save or replace; a durable one is on the disk when this returns.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        if durable:
            self._secrets.put(_PREFIX + self._digest(credential), state)
        else:
            self._memory.save(credential, state, durable=False)

    @contextmanager
    def lock(self, credential: str) -> Generator[None]:
        """Keep other threads and processes of the home from renewing.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold_lock(self._home / f"oauth-{self._digest(credential)}.lock", self._clock):
            yield

    def now(self) -> datetime:
        """Give the time in UTC."""
        return self._clock.now()

    def _digest(self, credential: str) -> str:
        # Under the home's key, so that nobody can try out credentials against the name.
        digest = hmac.new(self._secrets.seal_key(), b"oauth\0" + credential.encode(), "sha256")
        return digest.hexdigest()[:_DIGITS]
