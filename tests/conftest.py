"""Fixtures shared by all tests; what only one part needs lives in its own conftest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import moltler
from support.command import Moltler
from support.http import HttpServer


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """A scripted HTTP server on 127.0.0.1; see `support.http`."""
    with HttpServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep homes, keys and secrets of whoever runs the tests out of them."""
    monkeypatch.setenv("MOLTLER_KEY", "a key for tests only, long enough")
    for name in ("MOLTLER_HOME", "MOLTLER_PROXY", "MOLTLER_CA_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for a home that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture
def session(home: Path) -> Iterator[moltler.Session]:
    """A session in a fresh home, over the production path."""
    with moltler.connect(home) as opened:
        yield opened


@pytest.fixture
def moltler_command(home: Path, tmp_path: Path) -> Moltler:
    """The ``moltler`` program in the same fresh home as `session`."""
    return Moltler(home, tmp_path)
