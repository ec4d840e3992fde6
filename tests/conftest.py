"""Fixtures shared by all tests; what only one part needs lives in its own conftest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.http import HttpServer


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """A scripted HTTP server on 127.0.0.1; see `support.http`."""
    with HttpServer() as server:
        yield server
