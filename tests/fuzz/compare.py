"""One random query: planned and run over handlers, and compared with the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import duckdb

from fuzz.generate import Generated, Generator
from fuzz.habits import HABITS, every_operator, handler
from fuzz.world import VARIABLES, World, make_world
from moltler.errors import MoltlerError
from moltler.flow.scan import QueryPlan, ScanRequest
from moltler.plan.planner import plan_select
from support.handlers import PythonHandlers, Table, entity
from support.planning import NOW, FixedTables, FixedVariables, sql_text

Execute = Callable[[QueryPlan, PythonHandlers], list[tuple[Any, ...]]]
Fold = Callable[[str, Mapping[str, object]], object]
QUERIES_PER_WORLD = 10
_CLAIMS = (list(every_operator()), list(every_operator()), ["=", "<", ">="])
"""What may be claimed for a field: with lists, and without."""


@dataclass
class Difference(Exception):  # noqa: N818 - what it is
    """The answer is not the truth."""

    seed: int
    what: str
    sql: str
    truth_sql: str
    plan: QueryPlan | None
    habits: Mapping[str, str]
    ours: object = None
    truth: object = None

    def __str__(self) -> str:
        scans = "\n".join(_told(s) for s in (self.plan.scans if self.plan else ()))
        planned = f"{self.plan.sql}  {dict(self.plan.parameters)}" if self.plan else "-"
        return (
            f"seed {self.seed}: {self.what}\n  query {self.sql}\n  truth {self.truth_sql}\n"
            f"  plan  {planned}\n{scans}\n  habits {self.habits}\n  ours  {self.ours}\n"
            f"  truth {self.truth}"
        )


def _told(scan: ScanRequest) -> str:
    told = f"where {list(scan.where)} order {list(scan.order_by)} limit {scan.limit}"
    told = f"{told} feeds {list(scan.feeds)}"
    return f"    {scan.scan} {scan.entity.name} {told} claimed {scan.limit_is_claimed}"


@dataclass
class Tally:
    """What a run of queries was about."""

    compared: int = 0
    refused: int = 0
    """Queries that DuckDB itself cannot run."""
    unsupplied: int = 0
    """Queries refused because a required field has no condition."""
    fed: int = 0
    """Queries in which keys of one scan feed another."""
    limits: int = 0
    told: int = 0
    rows: int = 0


def run_seed(
    seed: int,
    execute: Execute,
    tally: Tally,
    *,
    worlds: dict[int, World],
    fold: Fold | None = None,
    shape: str | None = None,
) -> None:
    """Generate the query of a seed, run it and compare.

    Raises:
        Difference: It is wrong.
    """
    number = seed // QUERIES_PER_WORLD
    if number not in worlds:
        worlds.clear()
        worlds[number] = make_world(Random(f"world {number}"))
    world = worlds[number]
    random = Random(f"query {seed}")
    made = Generator(world, random, shape=shape).query()
    truth = _truth(world.truth, made)
    if truth is None:
        tally.refused += 1
        return
    habits = {e.name: random.choice(HABITS) for e in world.entities}
    if shape == "feed":
        habits = dict.fromkeys(habits, "claims")
    connectors = {"shop": [_table(world, name, habit, random) for name, habit in habits.items()]}
    plan: QueryPlan | None = None

    def differs(what: str, ours: object = None, expected: object = None) -> Difference:
        return Difference(seed, what, made.ours, made.sql.truth, plan, habits, ours, expected)

    try:
        plan = plan_select(
            sql_text(made.ours),
            FixedTables(connectors),
            FixedVariables(VARIABLES),
            now=NOW,
            fold=fold,
        )
        rows = execute(plan, PythonHandlers(connectors))
    except MoltlerError as error:
        if error.code == "PLN001":
            tally.unsupplied += 1
            return
        raise differs(f"{error.code} {error}") from error
    except duckdb.Error as error:
        raise differs(f"DuckDB: {error}") from error
    tally.compared += 1
    tally.limits += any(s.limit is not None for s in plan.scans)
    tally.fed += any(s.feeds for s in plan.scans)
    tally.told += sum(len(s.where) for s in plan.scans)
    tally.rows += len(rows)
    ours = [tuple(_value(v) for v in row) for row in rows]
    last = None if made.limit is None else made.offset + made.limit
    expected = truth[made.offset : last]
    if made.cut is None:
        if Counter(ours) != Counter(truth):
            raise differs("other rows", ours, truth)
    elif len(ours) != len(expected):
        raise differs("other number of rows", ours, expected)
    elif Counter(ours) - Counter(truth):
        raise differs("rows that do not qualify", ours, truth)
    for position in made.sorted_by:
        if [row[position] for row in ours] != [row[position] for row in expected]:
            raise differs(f"other order of column {position}", ours, expected)


def _truth(connection: duckdb.DuckDBPyConnection, made: Generated) -> list[tuple[Any, ...]] | None:
    """Give the rows before LIMIT, or ``None`` if DuckDB cannot run the query.

    LIMIT is applied in Python: over tables with statistics DuckDB 2.0 loses it in some joins.
    """
    try:
        rows = connection.execute(made.sql.truth).fetchall()
    except duckdb.Error:
        return None
    return [tuple(_value(v) for v in row) for row in rows]


def _value(value: Any) -> Any:
    """Give a cell as something that can be counted and compared across both ways."""
    match value:
        case float():
            return int(value) if value.is_integer() else value
        case list():
            return ("list", *(_value(v) for v in value))
        case dict():
            return ("dict", *sorted((k, _value(v)) for k, v in value.items() if v is not None))
        case _:
            return value


def _table(world: World, name: str, habit: str, random: Random) -> Table:
    found = next(e for e in world.entities if e.name == name)
    rows = handler(habit, found.rows, random)
    if habit != "claims":
        return entity(name, found.schema_text, rows)
    scalars = [n for n, t in found.columns.items() if t != "document"]
    claimed = [n for n in scalars if random.random() < 0.7]
    orders = [n for n in scalars if not found.columns[n].startswith("array")]
    return entity(
        name,
        found.schema_text,
        rows,
        claims={n: random.choice(_CLAIMS) for n in claimed},
        required=claimed[:1] if random.random() < 0.12 else (),
        order_by=[n for n in orders if random.random() < 0.7],
        limit=random.random() < 0.8,
    )
