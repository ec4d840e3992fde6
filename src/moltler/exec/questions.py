"""The queries of a push-down proof, made from the rows that a mocked API has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import combinations

from moltler.flow.predicate import Condition, Operator, OrderKey, Scalar
from moltler.model import Entity
from moltler.schema import Property

Row = Mapping[str, object]
_SCALARS = frozenset({"string", "number", "integer", "boolean", "timestamp", "date"})
_ORDERED: tuple[Operator, ...] = ("<", "<=", ">", ">=")
_MOST_PAIRS = 300


@dataclass(frozen=True, slots=True)
class Question:
    """What a handler is asked, and what of it its author vouches for."""

    conditions: tuple[Condition, ...] = ()
    order: OrderKey | None = None
    limit: int | None = None

    @property
    def sql(self) -> str:
        """The clauses of a SELECT that would ask it."""
        parts: list[str] = []
        if self.conditions:
            parts.append("WHERE " + " AND ".join(map(told, self.conditions)))
        if self.order is not None:
            direction = " DESC" if self.order.descending else ""
            parts.append(f"ORDER BY {self.order.field}{direction}")
        if self.limit is not None:
            parts.append(f"LIMIT {self.limit}")
        return " ".join(parts)


def is_claimed(entity: Entity, condition: Condition) -> bool:
    """Tell whether the author vouches for a condition."""
    claim = entity.pushdown.filters.get(condition.field)
    if claim is None:
        return False
    operators = claim.operators
    return condition.operator in operators or (
        condition.operator == "between" and {">=", "<="} <= operators
    )


def questions(entity: Entity, rows: Sequence[Row], fixed: Sequence[Condition]) -> list[Question]:
    """Give the queries for one set of rows; the same for the same rows.

    Args:
        entity: Whose handler is asked.
        rows: All there are under the fixed conditions.
        fixed: What every query must say, because the API needs it.
    """
    singles = list(_singles(entity, rows))
    told_alone = [Question((*fixed, c)) for c in singles]
    claimed = [c for c in singles if is_claimed(entity, c)]
    pairs = [p for p in combinations(claimed, 2) if _is_worth_asking(*p)]
    step = max(1, -(-len(pairs) // _MOST_PAIRS))
    asked = [*told_alone, *(Question((*fixed, *pair)) for pair in pairs[::step])]
    keys = [OrderKey(f, descending=d) for f in _sortable(entity) for d in (False, True)]
    orders = [k for k in keys if k.field in entity.pushdown.order_by]
    asked += [Question(tuple(fixed), key) for key in keys]
    if not entity.pushdown.limit:
        return asked
    limits = list(dict.fromkeys((1, max(len(rows) // 2, 1), len(rows) + 1)))
    for limit in limits:
        asked.append(Question(tuple(fixed), limit=limit))
        asked += [Question((*fixed, c), limit=limit) for c in claimed]
        asked += [Question(tuple(fixed), key, limit) for key in orders]
    first = {c.field: c for c in reversed(claimed)}
    asked += [Question((*fixed, c), k, limits[0]) for c in first.values() for k in orders]
    return asked


def told(condition: Condition) -> str:
    """Give a condition as SELECT spells it."""
    name, value = condition.field, condition.value
    match condition.operator:
        case "is_null":
            return f"{name} IS NULL"
        case "is_not_null":
            return f"{name} IS NOT NULL"
        case "in" | "not_in" if isinstance(value, tuple):
            word = "IN" if condition.operator == "in" else "NOT IN"
            return f"{name} {word} ({', '.join(map(_literal, value))})"
        case "between" if isinstance(value, tuple):
            return f"{name} BETWEEN {_literal(value[0])} AND {_literal(value[1])}"
        case "not_like":
            return f"{name} NOT LIKE {_literal(value)}"
        case "like" | "contains" | "matches":
            return f"{name} {condition.operator.upper()} {_literal(value)}"
        case operator:
            return f"{name} {operator} {_literal(value)}"


def _literal(value: object) -> str:
    match value:
        case bool():
            return str(value).upper()
        case int() | float():
            return repr(value)
        case datetime():
            return f"TIMESTAMPTZ '{value.astimezone(UTC).isoformat()}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case _:
            return "'" + str(value).replace("'", "''") + "'"


def _sortable(entity: Entity) -> list[str]:
    return [p.name for p in entity.fields if p.type.name in _SCALARS and not p.filter_only]


def _is_worth_asking(first: Condition, second: Condition) -> bool:
    """Tell whether two conditions are about two fields, or are both ends of a range."""
    if first.field != second.field:
        return True
    ends = {first.operator[0], second.operator[0]}
    return ends == {"<", ">"} and {first.operator, second.operator} <= set(_ORDERED)


def _singles(entity: Entity, rows: Sequence[Row]) -> Iterator[Condition]:
    for field in entity.fields:
        if field.filter_only:
            continue
        claim = entity.pushdown.filters.get(field.name)
        wanted = claim.operators if claim is not None else frozenset[str]()
        if field.type.name == "array":
            yield from _about_arrays(field, rows)
            continue
        if field.type.name not in _SCALARS:
            continue
        if claim is not None and claim.required:
            continue  # it is fixed
        yield Condition(field.name, "is_null")
        yield Condition(field.name, "is_not_null")
        values = _values(field, rows)
        for operator in _operators(field, wanted):
            yield from _about(field, operator, values)


def _operators(field: Property, claimed: frozenset[str]) -> list[Operator]:
    """Give what is claimed, and of the rest what handlers are told most."""
    usual: tuple[Operator, ...] = ("=", "!=", "in")
    if field.type.name not in {"boolean"}:
        usual = (*usual, *_ORDERED)
    texts: tuple[Operator, ...] = ("like", "contains")
    if field.type.name == "string":
        usual = (*usual, *texts)
    every: tuple[Operator, ...] = (*usual, "not_in", "not_like", "between", "matches", "like")
    return list(dict.fromkeys(o for o in every if o in claimed or o in usual))


def _about(field: Property, operator: Operator, values: list[Scalar]) -> Iterator[Condition]:
    name = field.name
    if not values:
        return
    match operator:
        case "in" | "not_in":
            yield Condition(name, operator, tuple(values[:2]))
            yield Condition(name, operator, (values[-1],))
        case "between":
            low, high = _bounds(values)
            yield Condition(name, operator, (low, high))
            yield Condition(name, operator, (low, low))
        case "like" | "not_like" | "contains" | "matches" if field.type.name == "string":
            for value in values[:2]:
                yield from _about_texts(name, operator, str(value))
        case "like" | "not_like" | "contains" | "matches":
            return
        case _:
            for value in values:
                yield Condition(name, operator, value)


def _about_texts(name: str, operator: Operator, value: str) -> Iterator[Condition]:
    start = "".join(c for c in value[:2] if c.isalnum())
    if operator in {"like", "not_like"}:
        yield Condition(name, operator, f"{start}%")
        yield Condition(name, operator, f"%{start.swapcase()}%")
    elif start:
        yield Condition(name, operator, start)
        yield Condition(name, operator, start.swapcase())


def _about_arrays(field: Property, rows: Sequence[Row]) -> Iterator[Condition]:
    if field.type.items is None or field.type.items.name not in _SCALARS:
        return
    cells = (row[field.name] for row in rows)
    items = {i for c in cells if isinstance(c, list) for i in c if i is not None}  # type: ignore[union-attr] # what a list holds
    for item in sorted(items, key=repr)[:2]:
        yield Condition(field.name, "contains", item)


def _values(field: Property, rows: Sequence[Row]) -> list[Scalar]:
    """Give values to ask for: smallest, largest, one between, and one that no row has."""
    found = {v for row in rows if isinstance((v := row[field.name]), str | int | float | date)}
    if not found:
        return []
    ordered = sorted(found, key=lambda v: (str(type(v)), v))  # type: ignore[arg-type] # one type a field
    chosen = [ordered[0], ordered[-1], ordered[len(ordered) // 2]]
    if (absent := _absent(ordered[-1])) is not None:
        chosen.append(absent)
    if isinstance(ordered[0], str):
        chosen.append(ordered[0].swapcase())  # an API may not care about capitals
    return list(dict.fromkeys(chosen))


def _bounds(values: list[Scalar]) -> tuple[Scalar, Scalar]:
    low, high = values[0], values[min(1, len(values) - 1)]
    return low, high


def _absent(largest: Scalar) -> Scalar | None:
    match largest:
        case bool():
            return None
        case int() | float():
            return largest + 1
        case str():
            return f"{largest}~"
        case date():
            return largest + timedelta(days=1)
