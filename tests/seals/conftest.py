"""Handlers that hold seals, over a real runtime and a real server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from sandbox.conftest import Instance, Runtime, runtime_of
from support.http import HttpServer
from support.sealing import sealed

VALUE = 'sk/ü+1 "2&=%'
"""A secret that every place of a request writes differently."""
_names = itertools.count(1)

Shop = Callable[..., Instance]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with runtime_of() as started:
        started.handlers.prewarm()
        yield started


@pytest.fixture
def make(runtime: Runtime, http_server: HttpServer) -> Shop:
    """Make instances: ``make("the secret", name="a")``, or with `sealed`'s arguments."""

    def instance(
        value: str = VALUE,
        *,
        config: Mapping[str, Any] | None = None,
        name: str | None = None,
        **more: Any,
    ) -> Instance:
        target = sealed(
            {"api_url": http_server.url} if config is None else config,
            {"api_key": value},
            name=name or f"shop_{next(_names)}",
            **more,
        )
        return Instance(runtime, target)

    return instance


@pytest.fixture
def shop(make: Shop) -> Instance:
    return make()


def run(shop: Instance, body: str) -> Any:
    """Give what an action with this body returns."""
    return shop.execute(
        "async function execute(config, params) {"
        f" const url = config.api_url, key = config.api_key; {body} }}"
    )


def run_fails(shop: Instance, body: str) -> Any:
    """Give what such an action fails with."""
    return shop.execute_fails(
        "async function execute(config, params) {"
        f" const url = config.api_url, key = config.api_key; {body} }}"
    )
