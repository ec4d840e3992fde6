"""HTTP requests and responses as they cross from a handler to the network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

FetchCode = Literal[
    "ECONNREFUSED", "ENOTFOUND", "ETIMEDOUT", "ECONNRESET", "TLS",
    "TOO_MANY_REDIRECTS", "EGRESS_BLOCKED", "SECRET_OVER_HTTP", "TOO_LARGE",
    "MOCK_UNMATCHED", "MOCK_EXHAUSTED",
]  # fmt: skip
"""The last two are of tests only, and are no ``FetchError`` in JavaScript."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as the handler asked for it; secrets are still sealed in it."""

    method: str
    """Upper-case."""
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)
    redirect: Literal["follow", "manual", "error"] = "follow"

    @property
    def is_write(self) -> bool:
        """Whether the request may change something: any method but GET and HEAD."""
        return self.method not in {"GET", "HEAD"}


@dataclass(slots=True)
class HttpResponse:
    """A response whose head has arrived; the body streams and is read once."""

    status: int
    status_text: str
    headers: tuple[tuple[str, str], ...]
    url: str
    """The final address, after redirects."""
    redirected: bool
    body: AsyncIterator[bytes] = field(repr=False)
    """Decompressed pieces. Raises `FetchFailure` for an early end or a broken size cap.
    Closing it (``aclose``) releases the connection."""


class FetchFailure(Exception):  # noqa: N818 - becomes FetchError in JavaScript
    """No response could be had; becomes a JavaScript Error named ``FetchError``."""

    def __init__(
        self, code: FetchCode, message: str, *, hint: str | None = None, host: str | None = None
    ) -> None:
        self.code: FetchCode = code
        self.hint = hint
        self.host = host
        """Where the request should have gone, secrets masked; ``None`` if that is unknown."""
        super().__init__(message)
