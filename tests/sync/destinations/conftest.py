"""Every destination, opened for one test, and read by its own means."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from moltler.ports import Destination
from moltler.sync.destinations.duckdb.destination import open_duckdb
from moltler.sync.destinations.postgres.destination import open_postgres
from moltler.sync.destinations.postgres.store import PostgresAddress
from moltler.sync.relational import RelationalDestination
from support.clock import HandClock
from support.postgres import PostgresServer
from sync.destinations.dying import Victims
from sync.destinations.making import Run


@dataclass
class Place:
    """A destination, what reads it from outside, and what moves the clock of its leases."""

    kind: str
    destination: RelationalDestination
    sql: Callable[[str], list[tuple[object, ...]]]
    pass_time: Callable[[float], None]
    open_again: Callable[[], Destination]
    """Gives the destination as another process has it."""
    victims: Callable[[], Victims]
    """Starts processes that act on it and die."""

    def rows(self, table: str = "items", order: str = "id") -> list[tuple[object, ...]]:
        return self.sql(f'SELECT * FROM "{table}" ORDER BY "{order}"')

    def column_types(self, table: str) -> list[tuple[object, ...]]:
        return self.sql(
            "SELECT column_name, data_type FROM information_schema.columns"
            f" WHERE table_name = '{table}' ORDER BY ordinal_position"
        )


@pytest.fixture
def duck_path(tmp_path: Path) -> Path:
    return tmp_path / "goods.duckdb"


@pytest.fixture
def duck(duck_path: Path) -> Iterator[Place]:
    clock = HandClock()
    destination = open_duckdb(duck_path, "goods", clock, wait_s=5.0)
    others: list[Destination] = []

    def sql(text: str) -> list[tuple[object, ...]]:
        for each in (destination, *others):
            each.close()
        with duckdb.connect(str(duck_path)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(text).fetchall()

    def again() -> Destination:
        others.append(open_duckdb(duck_path, "goods", clock, wait_s=5.0))
        return others[-1]

    yield Place(
        "duckdb", destination, sql, clock.advance, again,
        lambda: Victims("duckdb", str(duck_path), ""),
    )  # fmt: skip

    for each in (destination, *others):
        each.close()


@pytest.fixture
def postgres_schema(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a schema that does not exist yet and is dropped afterwards."""
    name = f"shop data {uuid.uuid4().hex}"
    yield name
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())


@pytest.fixture
def postgres(postgres_server: PostgresServer, postgres_schema: str) -> Iterator[Place]:
    opened: list[RelationalDestination] = []

    def again() -> RelationalDestination:
        address = PostgresAddress({"conninfo": postgres_server.url}, postgres_schema)
        opened.append(open_postgres(address, "goods"))
        return opened[-1]

    def run(text: str, parameters: list[object] | None = None) -> list[tuple[Any, ...]]:
        connection = psycopg.connect(postgres_server.url, autocommit=True)
        with closing(connection):
            connection.execute(f'SET search_path = "{postgres_schema}"'.encode())
            cursor = connection.execute(text.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    def pass_time(seconds: float) -> None:
        run(
            "UPDATE _moltler_scope SET lease_until = lease_until - make_interval(secs => %s)",
            [seconds],
        )

    yield Place(
        "postgres", again(), lambda text: run(text), pass_time, again,
        lambda: Victims("postgres", postgres_server.url, postgres_schema),
    )  # fmt: skip

    for each in opened:
        each.close()


@pytest.fixture(params=["duckdb", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind of destination in turn."""
    return request.getfixturevalue({"duckdb": "duck", "postgres": "postgres"}[request.param])


@pytest.fixture
def victims(place: Place) -> Iterator[Victims]:
    """Processes that act on the destination and die."""
    process = place.victims()
    yield process
    process.close()


@pytest.fixture
def run(place: Place) -> Run:
    """A run of shop.items that has no lease yet."""
    return Run(place.destination)
