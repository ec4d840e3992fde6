"""A transport of one instance, driven from synchronous tests over the real loop thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.flow.http import FetchFailure, HttpRequest, HttpResponse
from moltler.loop import LoopThread
from moltler.model import Connector, ConnectorType
from moltler.ports import Transport
from moltler.secret import Secret


def resolved(
    config: Mapping[str, Any],
    *,
    hosts: Sequence[str] = (),
    secrets: Sequence[Secret] = (),
    defaults: Mapping[str, Any] | None = None,
    limits: CallLimits | None = None,
) -> ResolvedConnector:
    """An instance `shop` with this config; `defaults` come from its type."""
    return ResolvedConnector(
        Connector("shop", "myservice", config=dict(config)),
        ConnectorType("myservice", allowed_hosts=tuple(hosts)),
        revision=1,
        config={**(defaults or {}), **config},
        secrets=tuple(secrets),
        credential_version="1",
        limits=limits or CallLimits(),
    )


@dataclass
class Answer:
    """A response that was read to its end."""

    status: int
    status_text: str
    headers: dict[str, str]
    url: str
    redirected: bool
    pieces: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


@dataclass
class Client:
    """A transport and the loop it lives on."""

    loop: LoopThread
    transport: Transport

    def send(
        self, method: str, url: str, *, before_write: Callable[[], None] | None = None, **more: Any
    ) -> Answer:
        """Send and read the whole body."""
        return self.loop.run(self._send(HttpRequest(method, url, **more), before_write))

    def get(self, url: str, **more: Any) -> Answer:
        return self.send("GET", url, **more)

    def head_of(self, request: HttpRequest) -> HttpResponse:
        """Send and leave the body unread."""
        return self.loop.run(self.transport.send(request))

    def start(self, method: str, url: str, **more: Any) -> Future[Answer]:
        """Send without waiting."""
        return self.loop.submit(self._send(HttpRequest(method, url, **more), None))

    def fails(self, method: str, url: str, **more: Any) -> FetchFailure:
        """Give the failure that sending, or reading the body, ends with."""
        with pytest.raises(FetchFailure) as caught:
            self.send(method, url, **more)
        return caught.value

    async def _send(self, request: HttpRequest, before_write: Callable[[], None] | None) -> Answer:
        response = await self.transport.send(request, before_write=before_write)
        return Answer(
            response.status,
            response.status_text,
            {name.lower(): value for name, value in response.headers},
            response.url,
            response.redirected,
            [piece async for piece in response.body],
        )
