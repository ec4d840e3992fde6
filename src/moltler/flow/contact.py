"""Hosts that an instance has sent requests to, or has tried to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

OTHERS = "(others)"
"""Stands for the hosts beyond those that are listed one by one."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What an instance has had to do with one host."""

    host: str
    """With the port unless it is the scheme's own; secrets masked."""
    requests: int
    """That it sent, or could not connect for."""
    blocked: int
    """That were refused before anything left: a host, address or secret that is not allowed."""
    last: datetime
    """Aware, UTC."""

    def plus(self, other: Contact) -> Contact:
        """Give both in one, under this one's host."""
        return Contact(
            self.host,
            self.requests + other.requests,
            self.blocked + other.blocked,
            max(self.last, other.last),
        )
