"""Handlers without credential code, over a real runtime and a real authorisation server."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from sandbox.conftest import Instance, Runtime, runtime_of
from support.oauth import OAuthServer
from support.sealing import sealed

_names = itertools.count(1)
Authed = Callable[..., Instance]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with runtime_of() as started:
        started.handlers.prewarm()
        yield started


@pytest.fixture
def make(runtime: Runtime) -> Authed:
    """Make instances: ``make({"scheme": …}, {"api_url": url}, {"token": "…"})``."""

    def instance(
        auth: Mapping[str, Any],
        config: Mapping[str, Any],
        secrets: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Instance:
        name = more.pop("name", f"shop_{next(_names)}")
        return Instance(runtime, sealed(config, secrets or {}, name=name, auth=auth, **more))

    return instance


@pytest.fixture
def oauth() -> Iterator[OAuthServer]:
    with OAuthServer() as server:
        yield server


def run(shop: Instance, body: str) -> Any:
    """Give what an action with this body returns."""
    return shop.execute(f"async function execute(config) {{ const url = config.api_url; {body} }}")
