"""Ways in which handlers treat what they are told, all of them allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from support.handlers import paged, plain

Row = Mapping[str, Any]
Rows = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Any]
HABITS = (
    "ignores", "applies", "applies", "applies half", "filters only", "cuts", "cuts half", "claims",
    "claims",
)  # fmt: skip
"""The last one may claim everything: it does exactly what it is asked."""
_UNSURE = object()


def handler(habit: str, rows: Sequence[Row], random: Random) -> Rows:
    """Give a handler over rows with a habit; it may deliver in pages."""
    size = random.choice([0, 0, 1, 3])
    seed = random.random()

    def answer(_: object, filters: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
        found = list(_answer(habit, rows, filters, options, Random(seed)))
        return paged(found, size) if size else found

    return answer


def _answer(
    habit: str,
    rows: Sequence[Row],
    filters: Mapping[str, Any],
    options: Mapping[str, Any],
    random: Random,
) -> Sequence[Row]:
    where = list(options.get("where", ()))
    limit = options.get("limit")
    match habit:
        case "ignores":
            return rows
        case "applies" | "claims":
            kept = [r for r in rows if all(holds(p, r) is not False for p in where)]
            return _ordered(kept, options)[:limit]
        case "applies half":
            where = [p for p in where if random.random() < 0.5]
            return [r for r in rows if all(holds(p, r) is not False for p in where)]
        case "filters only":
            return [r for r in rows if all(plain(r[n]) == v for n, v in filters.items())]
        case "cuts":
            return rows[:limit]
        case _:
            where = [p for p in where if random.random() < 0.5]
            kept = [r for r in rows if all(holds(p, r) is not False for p in where)]
            return kept[:limit]


def _ordered(rows: list[Row], options: Mapping[str, Any]) -> list[Row]:
    for key in reversed(options.get("order_by", [])):
        name, descending = key["field"], key["direction"] == "desc"
        nulls = [r for r in rows if r[name] is None]
        others = [r for r in rows if r[name] is not None]
        others.sort(key=lambda r, name=name: r[name], reverse=descending)
        rows = [*nulls, *others] if key.get("nulls") == "first" else [*others, *nulls]
    return rows


def holds(node: Mapping[str, Any], row: Row) -> bool | None:
    """Evaluate a node of ``options.where``: ``None`` where only the engine knows.

    NULL counts as FALSE at the top, which is all that a handler may use.
    """
    found = _three(node, row)
    return None if found is _UNSURE else found is True


def _three(node: Mapping[str, Any], row: Row) -> Any:
    if "any" in node:
        return _or([_three(n, row) for n in node["any"]])
    if "all" in node:
        return _not(_or([_not(_three(n, row)) for n in node["all"]]))
    if "not" in node:
        return _not(_three(node["not"], row))
    if node["op"] == "engine" or node["field"] not in row:
        return _UNSURE
    return _leaf(node["op"], row[node["field"]], node.get("value"))


def _or(values: Sequence[Any]) -> Any:
    if any(v is True for v in values):
        return True
    if any(v is _UNSURE for v in values):
        return _UNSURE
    return None if any(v is None for v in values) else False


def _not(value: Any) -> Any:
    return value if value is _UNSURE or value is None else not value


def _leaf(operator: str, value: Any, wanted: Any) -> Any:
    match operator:
        case "is_null":
            return value is None
        case "is_not_null":
            return value is not None
        case _ if value is None:
            return None
        case "contains":
            return _contains(value, wanted)
        case "like":
            return _like(wanted).match(value) is not None
        case "not_like":
            return _like(wanted).match(value) is None
        case "matches":
            return re.search(wanted, value) is not None
        case _:
            return _compare(operator, plain(value), wanted)


def _contains(value: Any, wanted: Any) -> Any:
    if isinstance(value, list):
        return any(plain(v) == wanted for v in value)
    return wanted in value


def _compare(operator: str, value: Any, wanted: Any) -> bool:
    match operator:
        case "=":
            return value == wanted
        case "!=":
            return value != wanted
        case "<":
            return value < wanted
        case "<=":
            return value <= wanted
        case ">":
            return value > wanted
        case ">=":
            return value >= wanted
        case "in":
            return value in wanted
        case "not_in":
            return value not in wanted
        case "between":
            return wanted[0] <= value <= wanted[1]
        case _:
            raise AssertionError(operator)


def _like(pattern: str) -> re.Pattern[str]:
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in pattern) + r"\Z", re.DOTALL)


def every_operator() -> Iterator[str]:
    """Give the operators that the claiming habit may claim."""
    yield from (
        "=", "!=", "<", "<=", ">", ">=", "in", "not_in", "like", "not_like", "between",
        "contains", "matches", "is_null", "is_not_null",
    )  # fmt: skip
