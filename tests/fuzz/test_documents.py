"""Random conditions, sums and orders over documents give what Python finds in the same values.

MOLTLER_FUZZ=5000 MOLTLER_FUZZ_SEED=100000 pytest tests/fuzz/test_documents.py
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

from fuzz.engine import EngineRun
from support.handlers import PythonHandlers, Table, entity
from support.planning import plan

COUNT = int(os.environ.get("MOLTLER_FUZZ", "400"))
FIRST = int(os.environ.get("MOLTLER_FUZZ_SEED", "0"))
CHUNK = 100
FIELDS = "id integer key, doc document, a any, n number, s string, k integer"

Value = Any
Row = dict[str, Any]


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineRun]:
    run = EngineRun()
    yield run
    run.close()


# ── what is true ─────────────────────────────────────────────────────────────────────────────────


def kind(value: Value) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "truth"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "array"
        case _:
            return "document"


def spelled(value: Value) -> Value:
    """Tell TRUE from 1 and keep every digit."""
    match kind(value):
        case "number":
            return ("number", Fraction(value))
        case "array":
            return ("array", tuple(spelled(v) for v in value))
        case "document":
            return ("document", tuple(sorted((k, spelled(v)) for k, v in value.items())))
        case other:
            return (other, value)


def compared(operator: str, left: Value, right: Value) -> bool | None:
    if left is None or right is None:
        return None
    if operator in {"=", "<>"}:
        return (spelled(left) == spelled(right)) == (operator == "=")
    if kind(left) != kind(right) or kind(left) in {"array", "document"}:
        return None
    one, other = spelled(left)[1], spelled(right)[1]
    return {
        "<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other,
    }[operator]  # fmt: skip


def both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def negated(value: bool | None) -> bool | None:
    return None if value is None else not value


# ── random values, and expressions over them ─────────────────────────────────────────────────────


@dataclass(frozen=True)
class Term:
    """SQL of a value and what it is in a row."""

    sql: str
    of: Callable[[Row], Value]


def scalar(dice: random.Random) -> Value:
    return dice.choice(
        [
            dice.randint(-3, 3), dice.randint(-12, 12) / 4, dice.randint(0, 4) + 0.5,
            2**53 + dice.randint(0, 2), 2**60 + dice.randint(0, 2), -(2**60) - dice.randint(0, 2),
            1e20, 0.1, "a", "b", "", "2", "2.5", True, False, None,
        ]
    )  # fmt: skip


def value(dice: random.Random, depth: int = 0) -> Value:
    choice = dice.random()
    if depth < 2 and choice < 0.1:
        return [value(dice, depth + 1) for _ in range(dice.randint(0, 2))]
    if depth < 2 and choice < 0.2:
        return {k: value(dice, depth + 1) for k in dice.sample("xyz", dice.randint(0, 2))}
    return as_written_by_javascript(scalar(dice))


def as_written_by_javascript(given: Value) -> Value:
    is_whole = isinstance(given, float) and given.is_integer() and abs(given) < 2**53
    return int(given) if is_whole else given


def rows_of(dice: random.Random) -> list[Row]:
    return [
        {
            "id": i,
            "doc": {
                **{k: value(dice) for k in "xy" if dice.random() < 0.9},
                "l": [value(dice) for _ in range(dice.randint(0, 3))],
                "num": as_written_by_javascript(dice.choice([dice.randint(-9, 9) / 4, i, None])),
            },
            "a": value(dice),
            "n": dice.choice([dice.randint(-3, 3) / 2, 1e20, None]),
            "s": dice.choice(["a", "2", "2.5", None]),
            "k": dice.choice([0, 1, 2, 2**53 + 1, 2**60 + 1, None]),
        }
        for i in range(12)
    ]


def path(dice: random.Random) -> Term:
    position = dice.randint(-1, 3)
    return dice.choice(
        [
            Term("doc.x", lambda r: r["doc"].get("x")),
            Term("t.doc.y", lambda r: r["doc"].get("y")),
            Term("a", lambda r: r["a"]),
            Term(f"doc.l[{position}]", lambda r: item(r["doc"]["l"], position)),
            Term("doc.l[id]", lambda r: item(r["doc"]["l"], r["id"])),
            Term("coalesce(doc.x, 0.5)", lambda r: 0.5 if (x := r["doc"].get("x")) is None else x),
            Term("CASE WHEN id > 5 THEN a ELSE 2 END", lambda r: r["a"] if r["id"] > 5 else 2),
        ]
    )


def item(items: list[Value], position: int) -> Value:
    return items[position] if 0 <= position < len(items) else None


def literal(given: Value) -> str:
    match given:
        case None:
            return "NULL"
        case bool():
            return str(given).upper()
        case str():
            return f"'{given}'"
        case _:
            return repr(given)


def beside(dice: random.Random, bound: dict[str, Value]) -> Term:
    choice = dice.random()
    if choice < 0.35:
        given = scalar(dice)
        return Term(literal(given), lambda _: given)
    if choice < 0.6:
        given = value(dice)
        name = f"v{len(bound)}"
        bound[name] = given
        return Term(f"@{name}", lambda _: given)
    if choice < 0.8:
        return path(dice)
    column = dice.choice("nsk")
    return Term(column, lambda r: r[column])


def condition(dice: random.Random, bound: dict[str, Value], depth: int = 0) -> Term:
    choice = dice.random()
    left = path(dice)
    if depth < 2 and choice < 0.15:
        one, other = condition(dice, bound, depth + 1), condition(dice, bound, depth + 1)
        return Term(f"({one.sql} AND {other.sql})", lambda r: both(one.of(r), other.of(r)))
    if depth < 2 and choice < 0.3:
        inner = condition(dice, bound, depth + 1)
        return Term(f"NOT ({inner.sql})", lambda r: negated(inner.of(r)))
    if choice < 0.4:
        low, high = beside(dice, bound), beside(dice, bound)
        return Term(
            f"{left.sql} BETWEEN {low.sql} AND {high.sql}",
            lambda r: both(
                compared(">=", left.of(r), low.of(r)), compared("<=", left.of(r), high.of(r))
            ),
        )
    if choice < 0.5:
        options = [beside(dice, bound) for _ in range(dice.randint(1, 3))]
        return Term(
            f"{left.sql} IN ({', '.join(o.sql for o in options)})",
            lambda r: negated(_none_of(left.of(r), [o.of(r) for o in options])),
        )
    if choice < 0.6:
        right = beside(dice, bound)
        return Term(
            f"{left.sql} IS NOT DISTINCT FROM {right.sql}",
            lambda r: spelled(left.of(r)) == spelled(right.of(r)),
        )
    if choice < 0.7:
        right = beside(dice, bound)
        return Term(f"doc.l CONTAINS {right.sql}", lambda r: _contains(r["doc"]["l"], right.of(r)))
    right = beside(dice, bound)
    operator = dice.choice(["=", "<>", "<", "<=", ">", ">="])
    one, other = (left, right) if dice.random() < 0.7 else (right, left)
    return Term(
        f"{one.sql} {operator} {other.sql}",
        lambda r: compared(operator, one.of(r), other.of(r)),
    )


def _none_of(given: Value, options: list[Value]) -> bool | None:
    found: bool | None = True
    for option in options:
        found = both(found, compared("<>", given, option))
    return found


def _contains(items: list[Value], given: Value) -> bool | None:
    return None if given is None else spelled(given) in [spelled(i) for i in items]


# ── comparing ────────────────────────────────────────────────────────────────────────────────────


def run(engine: EngineRun, rows: list[Row], sql: str, bound: dict[str, Value]) -> list[Any]:
    connectors: dict[str, list[Table]] = {"f": [entity("t", FIELDS, rows)]}
    planned = plan(sql, connectors, bound, fold=engine.fold)
    return engine.run(planned, PythonHandlers(connectors))


@pytest.mark.parametrize("start", range(FIRST, FIRST + COUNT, CHUNK))
def test_random_conditions_keep_the_rows_that_fulfil_them(start: int, engine: EngineRun) -> None:
    for seed in range(start, min(start + CHUNK, FIRST + COUNT)):
        dice = random.Random(seed)
        rows, bound = rows_of(dice), dict[str, Value]()
        wanted = condition(dice, bound)
        sql = f"SELECT id FROM f.t WHERE {wanted.sql} ORDER BY id"
        found = [r[0] for r in run(engine, rows, sql, bound)]
        assert found == [r["id"] for r in rows if wanted.of(r) is True], (seed, sql, bound, rows)


@pytest.mark.parametrize("start", range(FIRST, FIRST + COUNT // 4, CHUNK))
def test_random_orders_sums_and_products_are_those_of_the_values(
    start: int, engine: EngineRun
) -> None:
    for seed in range(start, min(start + CHUNK, FIRST + COUNT // 4)):
        dice = random.Random(seed)
        rows = rows_of(dice)
        key = path(dice)
        direction = dice.choice(["", " DESC"])
        sql = f"SELECT id, {key.sql} AS v FROM f.t ORDER BY {dice.choice([key.sql, '2', 'v'])}"
        found = [r[0] for r in run(engine, rows, f"{sql}{direction}", {})]
        ranked = [r for r in rows if kind(key.of(r)) in {"truth", "number", "text"}]
        ids = {r["id"] for r in ranked}
        order = [_rank(key.of(rows[i])) for i in found if i in ids]
        assert order == sorted(order, reverse=bool(direction)), (seed, sql, rows)
        numbers = [r["doc"]["num"] for r in rows if r["doc"]["num"] is not None]
        sums = run(
            engine, rows,
            "SELECT sum(doc.num), avg(doc.num), min(doc.num), max(doc.num), "
            "sum(doc.num * 2 + id), sum(doc.num * doc.num) FROM f.t", {},
        )  # fmt: skip
        pairs = [(r["doc"]["num"], r["id"]) for r in rows if r["doc"]["num"] is not None]
        expected = (
            sum(numbers), sum(numbers) / len(numbers), min(numbers), max(numbers),
            sum(n * 2 + i for n, i in pairs), sum(n * n for n in numbers),
        ) if numbers else (None,) * 6  # fmt: skip
        assert sums == [pytest.approx(expected)], (seed, rows)


def _rank(given: Value) -> tuple[int, Any]:
    return (("truth", "number", "text").index(kind(given)), spelled(given)[1])
