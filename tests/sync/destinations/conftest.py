"""Every destination, opened for one test, and read by its own means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from moltler.ports import Destination
from moltler.sync.destinations.duckdb.destination import open_duckdb
from moltler.sync.relational import RelationalDestination
from support.clock import HandClock
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

    yield Place("duckdb", destination, sql, clock.advance, again)
    for each in (destination, *others):
        each.close()


@pytest.fixture(params=["duckdb"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind of destination in turn."""
    return request.getfixturevalue({"duckdb": "duck", "postgres": "postgres"}[request.param])


@pytest.fixture
def run(place: Place) -> Run:
    """A run of shop.items that has no lease yet."""
    return Run(place.destination)
