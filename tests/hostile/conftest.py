"""An arena: one host, a neighbour that must notice nothing, an API, and a stranger's server.

After every test the neighbour answers as before, the secret is in no log line, and the stranger
was never spoken to. After a module nothing is left: no process, task or descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moltler.errors import MoltlerError
from moltler.flow.connector import CallLimits
from moltler.sandbox.child import Child
from moltler.sandbox.program import Times, runtime
from sandbox.conftest import Instance, Runtime, runtime_of
from support.http import HttpServer
from support.sealing import sealed

SECRET = "hunter2-Sesame/open"
"""A value that is never to be seen outside of the host, but by the API."""
ROWS = [{"id": 1, "name": "untouched"}]
_FIRST_LIE = 2_000
FAKE = Path(__file__).parent / "fake.py"
_names = itertools.count(1)
_lies: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test of this folder; the heavy ones run only if asked for by the mark."""
    here = Path(__file__).parent
    asked = "hostile" in str(config.option.markexpr)
    kept: list[pytest.Item] = []
    for item in items:
        if here in item.path.parents:
            item.add_marker("hostile")
            if item.get_closest_marker("heavy") and not asked:
                continue
        kept.append(item)
    config.hook.pytest_deselected(items=[i for i in items if i not in kept])
    items[:] = kept


def program(memory_mb: int, covers: bool) -> list[str]:
    """An honest runtime, or for `Arena.liar` the program that lies."""
    if memory_mb < _FIRST_LIE:
        return runtime(memory_mb, covers)
    return [sys.executable, "-I", str(FAKE), _lies[memory_mb - _FIRST_LIE]]


@dataclass
class Arena:
    """Where attacks happen."""

    runtime: Runtime
    api: HttpServer
    """What attackers may reach; tests add routes."""
    foreign: HttpServer
    """What they may not."""
    neighbour: Instance
    pool: ThreadPoolExecutor

    def attacker(
        self,
        *,
        config: Mapping[str, Any] | None = None,
        secret: str = SECRET,
        limits: CallLimits | None = None,
        **more: Any,
    ) -> Instance:
        """A new instance that holds a sealed secret, in a process of its own."""
        known = {"api_url": self.api.url, "foreign": f"127.0.0.1:{self.foreign.port}"}
        target = sealed(
            {**known, **(config or {})},
            {"api_key": secret},
            name=f"attacker_{next(_names)}",
            limits=limits,
            **more,
        )
        return Instance(self.runtime, target)

    def liar(self, name: str, *, timeout_s: float = 5.0) -> Instance:
        """An instance whose process is no runtime but `fake.py`."""
        _lies.append(name)
        memory_mb = _FIRST_LIE + len(_lies) - 1
        return self.attacker(limits=CallLimits(timeout_s=timeout_s, memory_mb=memory_mb))

    def is_fine(self) -> bool:
        """Whether the neighbour answers as it always did."""
        text = "async function query(c) { return (await fetch(c.api_url + '/rows')).json(); }"
        return self.neighbour.rows(text) == ROWS

    def start(self, shop: Instance, text: str) -> Future[Any]:
        """Run an attack in another thread."""
        return self.pool.submit(outcome, shop, text)


def outcome(shop: Instance, body: str) -> Any:
    """Give what an action with this body returns, or the error it fails with."""
    text = (
        "async function execute(config, params) {"
        f" const url = config.api_url, key = config.api_key, foreign = config.foreign; {body} }}"
    )
    return attempt(lambda: shop.execute(text))


def attempt(call: Callable[[], Any]) -> Any:
    """Give what a call returns, or the error it fails with."""
    try:
        return call()
    except MoltlerError as error:
        return error


def code_of(result: Any) -> str:
    """The code of an error, or ``ok``."""
    return result.code if isinstance(result, MoltlerError) else "ok"


def child_of(shop: Instance) -> Child:
    """The process of an instance."""
    instance = shop.runtime.handlers._pool._instances[shop.target.name]
    assert instance._child is not None
    return instance._child


def everything(server: HttpServer) -> str:
    """All that arrived at a server."""
    return repr([(r.method, r.target, r.headers, r.body) for r in server.requests])


def shown(error: MoltlerError) -> str:
    """All that a user, or a log, can be shown of an error."""
    return f"{error} {error.hint} {error.context} {error.__cause__} {error.__context__!r}"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def living_children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended
            found |= set(map(int, (task / "children").read_text().split()))
    return found


async def _tasks() -> int:
    return len(asyncio.all_tasks()) - 1


@pytest.fixture(scope="module")
def times() -> Times:
    """How long the host of a module waits; modules may have their own."""
    return Times(start_s=10.0, silence_s=1.0)


@pytest.fixture(scope="module")
def arena(times: Times) -> Iterator[Arena]:
    with HttpServer() as api, HttpServer() as foreign, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: None, range(8)))
        api.route("GET", "/rows", ROWS)
        api.route("*", "/ok", {"ok": True})
        foreign.route("*", "/*", {"stolen": True})
        with runtime_of(times, program) as started:
            started.handlers.prewarm()
            neighbour = started.instance({"api_url": api.url})
            made = Arena(started, api, foreign, neighbour, pool)
            assert made.is_fine()
            yield made
            processes = {child.pid for child in started.handlers._spares._all}
            started.handlers.close()
            assert started.loop.run(_tasks()) == 0, "tasks are left"
            assert living_children() & processes == set(), "processes are left"


@pytest.fixture(autouse=True)
def bystanders(request: pytest.FixtureRequest) -> Iterator[None]:
    """See after each test in the arena that it harmed nobody."""
    if "arena" not in request.fixturenames:
        yield
        return
    arena: Arena = request.getfixturevalue("arena")
    arena.runtime.log.clear()
    arena.foreign.requests.clear()
    yield
    assert arena.is_fine()
    assert arena.foreign.connections == 0
    assert SECRET not in "\n".join(arena.runtime.log)
