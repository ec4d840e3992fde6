"""The hosts that instances contact, counted until somebody writes them down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from moltler.flow.contact import OTHERS, Contact

_MOST_HOSTS = 200
"""Of one instance between two looks; a handler could make up names without end."""
_LONGEST_HOST = 300


class Contacts:
    """Counts requests by instance and host; safe for threads, and never waits for a file.

    Args:
        now: Gives the time, aware and in UTC.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._mutex = threading.Lock()
        self._found: dict[str, dict[str, Contact]] = {}

    def note(self, connector: str, host: str, *, is_blocked: bool = False) -> None:
        """Count a request.

        Args:
            connector: The instance's name.
            host: Where it went or should have gone, secrets masked.
            is_blocked: Nothing has left.
        """
        host = host[:_LONGEST_HOST]
        with self._mutex:
            hosts = self._found.setdefault(connector.lower(), {})
            if host not in hosts and len(hosts) >= _MOST_HOSTS:
                host = OTHERS
            new = Contact(host, int(not is_blocked), int(is_blocked), self._now())
            known = hosts.get(host)
            hosts[host] = new if known is None else known.plus(new)

    def drain(self, connector: str) -> tuple[Contact, ...]:
        """Give what was counted for an instance since the last time, and begin anew."""
        with self._mutex:
            return tuple(self._found.pop(connector.lower(), {}).values())

    @property
    def connectors(self) -> tuple[str, ...]:
        """The names, in lower case, of the instances that something was counted for."""
        with self._mutex:
            return tuple(self._found)
