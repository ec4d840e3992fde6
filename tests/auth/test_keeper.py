"""The keeper of one credential's tokens, when things take their time (LANGUAGE §4.4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from moltler.flow.http import FetchFailure, HttpRequest
from moltler.loop import LoopThread
from moltler.net.oauth import Client, TokenAnswer, TokenKeeper
from moltler.ports import TokenStore
from moltler.vault.store import SecretFile
from moltler.vault.tokens import HomeTokens, MemoryTokens
from support.clock import HandClock

CLIENT = Client("refresh_token", "https://login.example/token?x", "id", "secret", "first")
T = TypeVar("T")


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(params=["memory", "home"])
def store(request: pytest.FixtureRequest, home: Path) -> TokenStore:
    if request.param == "memory":
        return MemoryTokens()
    return HomeTokens(home, SecretFile(home, {}, HandClock()), HandClock())


class Endpoint:
    """Grants tokens one after the other."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, request: HttpRequest) -> TokenAnswer:
        self.asked += 1
        await asyncio.sleep(0)
        body = {"access_token": f"token-{self.asked}", "expires_in": "3600"}
        return TokenAnswer(200, (), json.dumps(body).encode())


def keeper(store: TokenStore, ask: Any, **more: Any) -> TokenKeeper:
    return TokenKeeper(CLIENT, store, ask, lambda text: text, **more)


class Stuck:
    """Never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def __call__(self, request: HttpRequest) -> TokenAnswer:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError(request)


async def gather(*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    return await asyncio.gather(*coroutines)


def test_many_instances_of_one_credential_ask_once(loop: LoopThread, store: TokenStore) -> None:
    endpoint = Endpoint()
    # More than the loop has threads: none of them may keep the one that has the lock waiting.
    keepers = [keeper(store, endpoint) for _ in range(50)]
    found = loop.run(gather(*(k.access_token() for k in keepers)))
    assert (set(found), endpoint.asked) == ({"token-1"}, 1)


def test_an_endpoint_that_does_not_answer_is_given_up(loop: LoopThread, store: TokenStore) -> None:
    with pytest.raises(FetchFailure) as caught:
        loop.run(keeper(store, Stuck(), patience_s=0.05).access_token())
    assert caught.value.code == "ETIMEDOUT"
    assert "`https://login.example/token`" in str(caught.value)
    # The lock is free again.
    assert loop.run(keeper(store, Endpoint()).access_token()) == "token-1"


def test_closing_ends_a_renewal_and_frees_the_lock(loop: LoopThread, store: TokenStore) -> None:
    endpoint = Stuck()
    stuck = keeper(store, endpoint, patience_s=0.2)

    async def begin_and_close() -> None:
        asking = asyncio.create_task(stuck.access_token())
        await endpoint.asked.wait()
        asking.cancel()
        await stuck.close()

    loop.run(begin_and_close())
    assert loop.run(keeper(store, Endpoint()).access_token()) == "token-1"


def test_a_store_that_fails_is_the_callers_error(loop: LoopThread) -> None:
    class Full(MemoryTokens):
        def save(self, credential: str, state: str, *, durable: bool) -> None:
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        loop.run(keeper(Full(), Endpoint()).access_token())


def test_two_tokens_that_were_refused_at_once_are_replaced_once(loop: LoopThread) -> None:
    endpoint = Endpoint()
    one = keeper(MemoryTokens(), endpoint)

    async def refuse() -> list[bool]:
        token = await one.access_token()
        return [*await gather(one.replace(token), one.replace(token)), await one.replace(token)]

    assert loop.run(refuse()) == [True, True, True]
    assert endpoint.asked == 2
    assert loop.run(one.replace("token-2")) is False
