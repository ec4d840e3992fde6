"""A loop thread and clients of it, closed after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from moltler.loop import LoopThread
from moltler.net.client import HttpTransport
from moltler.net.settings import NetSettings
from support.net import Client, resolved


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def connect(loop: LoopThread) -> Iterator[Callable[..., Client]]:
    """Make clients: ``connect({"api_url": url}, settings=…, hosts=…, secrets=…)``."""
    made: list[HttpTransport] = []

    def make(config: Mapping[str, Any], settings: NetSettings | None = None, **more: Any) -> Client:
        transport = HttpTransport(resolved(config, **more), settings=settings or NetSettings())
        made.append(transport)
        return Client(loop, transport)

    yield make
    for transport in made:
        loop.run(transport.close())
