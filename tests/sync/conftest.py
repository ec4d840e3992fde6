"""Syncs into memory, and a server for those that go further."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from moltler.exec.duck import Engine
from support.postgres import PostgresServer
from support.syncing import SyncBench


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine that the tests of a module share."""
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests of this process."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def bench(engine: Engine) -> SyncBench:
    """A bench with an empty destination."""
    return SyncBench(engine)
