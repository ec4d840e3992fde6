"""Requests leave at the pace of their account, and not before the API wants them again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moltler.catalog.budget import BudgetFile
from moltler.compose import SystemClock
from moltler.errors import ConnectorRateLimitError
from moltler.flow.budget import Account
from moltler.flow.connector import CallLimits
from moltler.loop import LoopThread
from moltler.net.client import HttpTransport
from moltler.net.settings import NetSettings
from moltler.secret import Secret
from support.http import HttpServer, Response, sequence
from support.net import Client, resolved

KEY = Secret("api_key", "value-of-the-key")
Connect = Callable[..., Client]


@pytest.fixture
def budget(home: Path) -> Iterator[BudgetFile]:
    file = BudgetFile(home, lambda: b"k" * 32, SystemClock())
    yield file
    file.close()


@pytest.fixture
def connect(
    loop: LoopThread, home: Path, budget: BudgetFile, http_server: HttpServer
) -> Iterator[Connect]:
    """Make instances: ``connect(rate_per_s=5)``; with `apart`, as another process has them."""
    made: list[HttpTransport] = []
    files: list[BudgetFile] = []

    def make(*, apart: bool = False, secrets: tuple[Secret, ...] = (KEY,), **limits: Any) -> Client:
        store = budget
        if apart:
            store = BudgetFile(home, lambda: b"k" * 32, SystemClock())
            files.append(store)
        target = resolved(
            {"api_url": http_server.url}, secrets=secrets, limits=CallLimits(**limits)
        )
        transport = HttpTransport(target, settings=NetSettings(budget=store))
        made.append(transport)
        return Client(loop, transport)

    yield make
    for transport in made:
        loop.run(transport.close())
    for file in files:
        file.close()


def account(server: HttpServer, *secrets: Secret) -> Account:
    return Account(secrets or (KEY,), server.url.removeprefix("http://"))


def pauses(budget: BudgetFile, server: HttpServer) -> dict[str, float]:
    """Give the seconds that are left of each pause."""
    now = time.time()
    return {p: until - now for p, until in budget.look(account(server)).pauses.items()}


def test_instances_of_one_credential_share_its_rate(
    connect: Connect, http_server: HttpServer
) -> None:
    http_server.route("GET", "/*", 200)
    clients = [connect(rate_per_s=8), connect(rate_per_s=8, apart=True)]
    started = time.monotonic()
    sent = [c.start("GET", f"{http_server.url}/{n}") for n in range(4) for c in clients]
    assert [s.result().status for s in sent] == [200] * 8
    # One at once and then seven, an eighth of a second apart; on its own each would need half.
    assert time.monotonic() - started >= 7 / 8


def test_other_credentials_and_hosts_have_their_own_rate(
    connect: Connect, http_server: HttpServer
) -> None:
    http_server.route("GET", "/*", 200)
    other = Secret("api_key", "value-of-another-key")
    slow = {"rate_per_s": 0.001}
    with HttpServer() as elsewhere:
        elsewhere.route("GET", "/*", 200)
        assert connect(**slow).get(http_server.url).status == 200
        assert connect(secrets=(other,), **slow).get(http_server.url).status == 200
        assert connect(secrets=(), **slow).get(http_server.url).status == 200


def test_a_burst_leaves_at_once_and_redirects_count(
    connect: Connect, http_server: HttpServer, budget: BudgetFile
) -> None:
    http_server.route("GET", "/old", Response(302, headers={"Location": "/new"}))
    http_server.route("GET", "/new", 200)
    client = connect(rate_per_s=0.01, rate_burst=4)
    assert client.get(f"{http_server.url}/old").status == 200
    assert client.get(f"{http_server.url}/old").status == 200
    waiting = client.start("GET", f"{http_server.url}/new")
    turn = budget.look(account(http_server)).next_turn
    assert turn is not None
    assert not waiting.done()
    waiting.cancel()


def test_a_fast_rate_is_reserved_in_blocks(
    connect: Connect, http_server: HttpServer, budget: BudgetFile
) -> None:
    http_server.route("GET", "/*", 200)
    before = time.time()
    client = connect(rate_per_s=1000, rate_burst=1000)
    client.get(f"{http_server.url}/")
    first = budget.look(account(http_server)).next_turn
    assert first is not None
    client.get(f"{http_server.url}/")
    # The second used a turn of the first one's block, unless the machine dawdled meanwhile.
    second = budget.look(account(http_server)).next_turn
    assert second == first or time.time() - before > 0.05


def test_turns_that_were_reserved_and_not_used_are_given_back(
    connect: Connect, http_server: HttpServer, budget: BudgetFile, loop: LoopThread
) -> None:
    http_server.route("GET", "/*", 200)
    client = connect(rate_per_s=0.01)
    client.get(http_server.url)
    before = budget.look(account(http_server)).next_turn
    waiting = client.start("GET", http_server.url)
    deadline = time.monotonic() + 20
    while budget.look(account(http_server)).next_turn == before:
        assert time.monotonic() < deadline
    waiting.cancel()
    loop.run(client.transport.close())
    assert budget.look(account(http_server)).next_turn == pytest.approx(before)


@pytest.mark.parametrize(
    ("status", "headers", "part"),
    [
        (429, {"Retry-After": "3000"}, ""),
        (503, {"Retry-After": "3000"}, ""),
        (403, {"Retry-After": "3000"}, ""),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3000"}, ""),
        (200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3000"}, "/search"),
        (200, {"RateLimit": '"a";r=0;t=3000'}, "/search"),
    ],
)
def test_a_pause_that_is_asked_for_is_kept_by_every_process(
    connect: Connect,
    http_server: HttpServer,
    budget: BudgetFile,
    status: int,
    headers: dict[str, str],
    part: str,
) -> None:
    http_server.route("GET", "/*", Response(status, {}, headers))
    client, other = connect(), connect(apart=True)
    assert client.get(f"{http_server.url}/search/items").status == status
    assert pauses(budget, http_server)[part] == pytest.approx(3000, abs=60)
    for late in (client, other):
        with pytest.raises(ConnectorRateLimitError) as caught:
            late.get(f"{http_server.url}/search/other")
        assert caught.value.code == "API003"
        assert caught.value.retry_after == pytest.approx(3000, abs=60)
        assert "nothing was sent" in caught.value.message
    assert len(http_server.requests) == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {}),
        (403, {"X-RateLimit-Remaining": "4", "X-RateLimit-Reset": "3000"}),
        (429, {}),
        (429, {"Retry-After": "0"}),
        (500, {"Retry-After": "3000"}),
        (200, {"Retry-After": "3000"}),
    ],
)
def test_what_is_no_limit_holds_nobody_up(
    connect: Connect, http_server: HttpServer, status: int, headers: dict[str, str]
) -> None:
    http_server.route("GET", "/*", Response(status, {}, headers))
    client = connect()
    assert [client.get(http_server.url).status for _ in range(3)] == [status] * 3


def test_a_part_that_is_used_up_leaves_the_others_alone(
    connect: Connect, http_server: HttpServer
) -> None:
    used_up = Response(200, {}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3000"})
    http_server.route("GET", "/search/*", used_up)
    http_server.route("GET", "/items", 200)
    client = connect()
    client.get(f"{http_server.url}/search/items")
    assert client.get(f"{http_server.url}/items").status == 200
    with pytest.raises(ConnectorRateLimitError):
        client.get(f"{http_server.url}/search/items")


def test_a_short_pause_is_waited_for(connect: Connect, http_server: HttpServer) -> None:
    http_server.route("GET", "/*", sequence(Response(429, {}, {"Retry-After": "1"}), 200))
    client, started = connect(), time.monotonic()
    assert client.get(http_server.url).status == 429
    assert client.get(http_server.url).status == 200
    assert time.monotonic() - started >= 0.9


def test_no_more_requests_are_under_way_than_the_api_still_takes(
    connect: Connect, http_server: HttpServer
) -> None:
    gate = threading.Event()
    http_server.route("GET", "/part", Response(200, {}, {"RateLimit": '"a";r=2;t=600'}))
    held = Response(200, {}, {"RateLimit": '"a";r=1;t=599'}, head_gate=gate)
    http_server.route("GET", "/part/held", held)
    http_server.route("GET", "/other", 200)
    client = connect()
    client.get(f"{http_server.url}/part")
    sent = [client.start("GET", f"{http_server.url}/part/held") for _ in range(4)]
    http_server.wait_requests(3)
    # Asked for later, and answered while the rest waits.
    assert [client.get(f"{http_server.url}/other").status for _ in range(3)] == [200] * 3
    assert http_server.paths.count("GET /part/held") == 2
    gate.set()
    assert [s.result().status for s in sent] == [200] * 4


def test_a_pause_that_was_forgiven_is_over_at_the_next_look(
    connect: Connect, http_server: HttpServer, budget: BudgetFile
) -> None:
    http_server.route("GET", "/*", sequence(Response(429, {}, {"Retry-After": "20"}), 200))
    client = connect()
    client.get(http_server.url)
    waiting = client.start("GET", http_server.url)
    budget.forgive((KEY,))
    started = time.monotonic()
    assert waiting.result().status == 200
    assert time.monotonic() - started < 15


def test_time_in_the_throttle_is_told_to_the_time_limits(
    connect: Connect, http_server: HttpServer, loop: LoopThread
) -> None:
    http_server.route("GET", "/*", 200)
    client = connect(rate_per_s=4)
    for _ in range(3):
        client.get(http_server.url)

    async def waited() -> float:
        return client.transport.waits.read()

    assert loop.run(waited()) > 0.2
