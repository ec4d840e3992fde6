"""Requests of an action that is only rehearsed: reads go out, everything else is noted."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import HttpRequest, HttpResponse
from moltler.ports import Transport, Waits
from moltler.secret import redact
from moltler.vault.seal import given_to_btoa

_BASIC = re.compile(r"(?i)(basic) +([A-Za-z0-9+/]+={0,2})")


@dataclass(slots=True)
class Noted:
    """One request of a rehearsal, secrets masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None
    sent: bool = False
    """Whether it really went out and was answered."""


@dataclass(slots=True)
class Rehearsal:
    """What an action asked for, in order."""

    requests: list[Noted] = field(default_factory=list[Noted])
    has_intercepted: bool = False
    """Whether a request was answered here instead of by the API."""


class DryRunTransport:
    """Sends GET and HEAD, and answers everything else itself (`ports.Transport`).

    Args:
        target: The instance; its secrets are masked in what is noted.
        inner: Sends the reads.
        rehearsal: Where requests are noted.
    """

    def __init__(self, target: ResolvedConnector, inner: Transport, rehearsal: Rehearsal) -> None:
        self._target = target
        self._inner = inner
        self._rehearsal = rehearsal

    @property
    def waits(self) -> Waits:
        """The time reads spent in the queue and the throttle."""
        return self._inner.waits

    async def send(
        self, request: HttpRequest, *, before_write: Callable[[], None] | None = None
    ) -> HttpResponse:
        """Send a read, or note a write and answer it.

        Raises:
            FetchFailure: There is no response to a read.
        """
        noted = self._noted(request)
        self._rehearsal.requests.append(noted)
        if request.is_write:
            self._rehearsal.has_intercepted = True
            return _answer(request)
        response = await self._inner.send(request)
        noted.sent = True
        return response

    async def close(self) -> None:
        """Close the connections."""
        await self._inner.close()

    def _noted(self, request: HttpRequest) -> Noted:
        headers: dict[str, str] = {}
        for name, value in request.headers:
            shown = self._masked_header(value)
            headers[name] = f"{headers[name]}, {shown}" if name in headers else shown
        return Noted(
            request.method,
            redact(request.url, self._target.secrets),
            headers,
            None if request.body is None else self._masked_body(request.body),
        )

    def _masked_header(self, value: str) -> str:
        secrets = self._target.secrets
        kind, _, login = value.partition(" ")
        if kind.lower() == "basic" and (pair := given_to_btoa(login.strip())) is not None:
            return f"{kind} {redact(pair.decode('utf-8', 'replace'), secrets)}"
        found = _BASIC.fullmatch(value)
        if found is not None:
            try:
                pair = base64.b64decode(found[2], validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return redact(value, secrets)
            if (shown := redact(pair, secrets)) != pair:
                return f"{found[1]} {shown}"
        return redact(value, secrets)

    def _masked_body(self, body: bytes) -> str:
        try:
            return redact(body.decode(), self._target.secrets)
        except UnicodeDecodeError:
            return f"{len(body):,} bytes that are no text"


def _answer(request: HttpRequest) -> HttpResponse:
    headers = (("content-type", "application/json"), ("x-moltler-dry-run", "1"))
    return HttpResponse(200, "OK", headers, request.url, redirected=False, body=_empty_object())


async def _empty_object() -> AsyncGenerator[bytes]:
    yield b"{}"
