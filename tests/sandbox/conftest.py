"""A JavaScript runtime for the tests of a module, with a real server behind it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from moltler.errors import MoltlerError
from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.flow.scan import ScanRequest
from moltler.loop import LoopThread
from moltler.model import Action, Entity, Handler
from moltler.net.client import HttpTransport
from moltler.net.settings import NetSettings
from moltler.sandbox.handler import JavaScriptHandlers
from moltler.sandbox.pages import JavaScriptPages
from moltler.sandbox.program import Program, Times
from moltler.sandbox.program import runtime as deno_program
from moltler.sandbox.room import TestRoom
from moltler.sandbox.runtime import OpenTransport
from moltler.sandbox.runtime import Runtime as AnyHandlers
from moltler.sandbox.spares import Spares
from moltler.schema import JsonValue, Schema
from moltler.secret import Secret
from support.handlers import fields
from support.http import HttpServer
from support.net import resolved

FILE = "shop.moltler"
LINE = 11
"""Where the first line of a test's handler stands in its script."""
_names = itertools.count(1)


@dataclass(frozen=True)
class Host:
    """Something that runs handlers, and what they print."""

    loop: LoopThread
    handlers: AnyHandlers
    log: list[str]

    def instance(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        limits: CallLimits | None = None,
        secrets: Sequence[Secret] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> Instance:
        """A new instance, which has a process of its own."""
        target = resolved(config or {}, limits=limits, secrets=secrets)
        connector = replace(target.connector, name=f"shop_{next(_names)}")
        return Instance(self, replace(target, connector=connector, settings=settings or {}))


@dataclass(frozen=True)
class Room(Host):
    """The runtime of one test."""

    handlers: TestRoom

    @property
    def pids(self) -> set[int | None]:
        """The processes that serve it."""
        return {child.pid for child in self.handlers.children}


@dataclass(frozen=True)
class Runtime(Host):
    """Handlers over a loop of their own."""

    handlers: JavaScriptHandlers

    @contextmanager
    def room(
        self, open_transport: OpenTransport | None = None, *, covers: bool = False
    ) -> Generator[Room]:
        """The runtime of a test, closed in the end."""
        room = self.handlers.for_test(
            open_transport or open_http, log=self.log.append, covers=covers
        )
        try:
            yield Room(self.loop, room, self.log)
        finally:
            room.close()


@dataclass
class Instance:
    """An instance whose handlers are given with each call."""

    runtime: Host
    target: ResolvedConnector
    entity: Entity = field(
        default=Entity("items", fields("id integer key, name string"), Handler("", FILE, LINE))
    )

    def open(
        self, text: str, schema: str | Schema = "id integer key, name string", **request: Any
    ) -> JavaScriptPages:
        """Start a query handler."""
        known = schema if isinstance(schema, Schema) else fields(schema)
        rows_path = request.pop("rows_path", None)
        columns = request.pop("columns", known.names)
        entity = Entity("items", known, Handler(text, FILE, LINE), rows_path=rows_path)
        scan = ScanRequest("scan_0", self.target.name, entity, columns, **request)
        return self.runtime.handlers.query(self.target, scan)

    def rows(self, text: str, *schema: Any, **request: Any) -> list[dict[str, Any]]:
        """Run a query handler to its end."""
        return [row for page in self.open(text, *schema, **request) for row in page.to_pylist()]

    def fails(self, text: str, *schema: Any, **request: Any) -> MoltlerError:
        """Give what a query handler fails with."""
        with pytest.raises(MoltlerError) as caught:
            self.rows(text, *schema, **request)
        return caught.value

    def execute(
        self, text: str, parameters: Mapping[str, JsonValue] | None = None, **more: Any
    ) -> JsonValue:
        """Run an action."""
        action = Action("create", "items", Schema(), Handler(text, FILE, LINE))
        return self.runtime.handlers.execute(self.target, action, parameters or {}, **more)

    def execute_fails(self, text: str, **more: Any) -> MoltlerError:
        """Give what an action fails with."""
        with pytest.raises(MoltlerError) as caught:
            self.execute(text, **more)
        return caught.value

    def evaluate(self, expression: str) -> JsonValue:
        """Give the value of a JavaScript expression, evaluated inside an action."""
        return self.execute(f"async function execute(config, params) {{ return {expression}; }}")


def open_http(target: ResolvedConnector) -> HttpTransport:
    """Make a transport over real sockets."""
    return HttpTransport(target, settings=NetSettings())


@contextmanager
def runtime_of(times: Times | None = None, program: Program = deno_program) -> Generator[Runtime]:
    """Start a runtime of its own."""
    loop, log = LoopThread(), list[str]()
    handlers = JavaScriptHandlers(
        loop,
        open_http,
        log=log.append,
        spares=Spares(loop, times=times, program=program),
    )
    try:
        yield Runtime(loop, handlers, log)
    finally:
        handlers.close()
        loop.close()


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with runtime_of() as started:
        started.handlers.prewarm()
        yield started


@pytest.fixture(scope="module")
def plain(runtime: Runtime) -> Instance:
    """An instance without config, shared by a module's tests that keep no state."""
    return runtime.instance()


@pytest.fixture
def shop(runtime: Runtime, http_server: HttpServer) -> Instance:
    """An instance of its own whose `api_url` is the test's server."""
    return runtime.instance({"api_url": http_server.url})


def is_running(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
        return stat.read().rpartition(")")[2].split()[0] != "Z"
