"""Mocked networks from the text of MOCK_API and FAULTS, driven over a real loop thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from moltler.errors import MoltlerError, Source
from moltler.flow.connector import ResolvedConnector
from moltler.lang import ast
from moltler.lang.parser import parse_expression
from moltler.loop import LoopThread
from moltler.net.faults import Fault, read_faults
from moltler.net.mock import MockWorld
from moltler.net.routes import MockApi, read_mock_api
from moltler.ports import Transport
from support.expressions import value_of
from support.net import Answer, Client, resolved


def evaluate(expr: ast.Expr) -> object:
    """Evaluate what a test's document holds."""
    return value_of(expr.span.text)


def mock_api(text: str, evaluate: Callable[[ast.Expr], object] = evaluate) -> MockApi:
    """Read a text as MOCK_API."""
    document = parse_expression(Source("<test>", text))
    assert isinstance(document, ast.Document)
    return read_mock_api(document, evaluate)


def faults(text: str) -> tuple[Fault, ...]:
    """Read a text as FAULTS."""
    array = parse_expression(Source("<test>", text))
    assert isinstance(array, ast.Array)
    return read_faults(array, evaluate)


def problems_of(read: Callable[[str], object], text: str) -> list[tuple[str, str]]:
    """Give the message of each problem with the text that it points at."""
    with pytest.raises(MoltlerError) as caught:
        read(text)
    assert {p.code for p in caught.value.problems} == {"TST005"}
    return [(p.message, getattr(p.span, "text", "")) for p in caught.value.problems]


@dataclass
class Sleeper:
    """A clock for waits that are over at once."""

    slept: list[float] = field(default_factory=list[float])

    async def sleep(self, seconds: float) -> None:
        """Note a wait."""
        self.slept.append(seconds)

    def time(self) -> float:
        """Give the time that was waited for."""
        return sum(self.slept)


@dataclass
class Net:
    """A world, one instance in it, and the waits that nobody has to wait for."""

    loop: LoopThread
    world: MockWorld
    sleeper: Sleeper
    transport: Transport

    @property
    def client(self) -> Client:
        """The instance's requests."""
        return Client(self.loop, self.transport)

    def send(self, method: str, path: str, **more: Any) -> Answer:
        """Send to ``mock://``, or to an absolute address."""
        return self.client.send(method, path if "://" in path else f"mock://{path}", **more)

    def get(self, path: str, **more: Any) -> Any:
        """Give the JSON body of a GET."""
        return json.loads(self.send("GET", path, **more).body)

    def text(self, path: str, method: str = "GET", **more: Any) -> str:
        """Give the body as text."""
        return self.send(method, path, **more).body.decode()

    def fails(self, method: str, path: str, **more: Any) -> tuple[str, str]:
        """Give code and message of the failure of a request."""
        address = path if "://" in path else f"mock://{path}"
        failure = self.client.fails(method, address, **more)
        return failure.code, str(failure)


def net_of(
    loop: LoopThread,
    api: str | None,
    disturbed: str = "[]",
    config: Mapping[str, Any] | None = None,
    live: Callable[[ResolvedConnector], Transport] | None = None,
    **target: Any,
) -> Net:
    """Make a mocked network with one instance."""
    sleeper = Sleeper()
    world = MockWorld(
        None if api is None else mock_api(api),
        faults(disturbed),
        live=live,
        sleep=sleeper.sleep,
        time=sleeper.time,
    )
    instance = resolved(config or {"api_url": "mock://"}, **target)
    return Net(loop, world, sleeper, world.transport(instance))
