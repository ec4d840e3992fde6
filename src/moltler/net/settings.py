"""What the operator decides about the network, read elsewhere and passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from moltler.net.contacts import Contacts
from moltler.ports import BudgetStore, TokenStore
from moltler.vault.tokens import MemoryTokens

Lookup: TypeAlias = Callable[[str, int], Sequence[str]]
"""Gives the IP addresses of a name; runs in a thread, raises ``OSError`` when there are none."""


@dataclass(frozen=True, slots=True)
class NetSettings:
    """Settings of every `HttpTransport` of a process."""

    proxy: str | None = None
    """``MOLTLER_PROXY``: an ``http://`` address; the only way to a proxy."""
    ca_file: Path | None = None
    """``MOLTLER_CA_FILE``: PEM certificates to trust besides the system's."""
    connect_timeout_s: float = 10.0
    """For looking the name up, and again for connecting; the overall limit is the caller's."""
    max_in_flight: int = 32
    """Requests of one instance that wait for their response's head."""
    max_response_bytes: int = 50_000_000
    """After decompression."""
    max_request_bytes: int = 16_000_000
    lookup: Lookup | None = None
    """``None`` asks the operating system."""
    tokens: TokenStore = field(default_factory=MemoryTokens)
    """Where tokens of OAuth are kept."""
    budget: BudgetStore | None = None
    """Where requests are counted and pauses kept; ``None``: each instance on its own."""
    contacts: Contacts | None = None
    """Where the hosts that instances contact are counted."""
