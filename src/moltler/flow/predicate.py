"""Conditions as handlers get them in ``options.where``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias

Scalar: TypeAlias = str | int | float | bool | datetime | date
"""A constant in its field's type; datetimes are aware and in UTC."""

Operator = Literal[
    "=", "!=", "<", "<=", ">", ">=", "in", "not_in", "like", "not_like",
    "between", "contains", "matches", "is_null", "is_not_null",
]  # fmt: skip
OPERATORS: tuple[Operator, ...] = (
    "=", "!=", "<", "<=", ">", ">=", "in", "not_in", "like", "not_like",
    "between", "contains", "matches", "is_null", "is_not_null",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """``field operator value``."""

    field: str
    """A declared field, or a dotted path into a document field."""
    operator: Operator
    value: Scalar | tuple[Scalar, ...] | None = None
    """A tuple for ``in``, ``not_in`` and ``between`` (low, high); ``None`` for null tests."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True where one member is."""

    members: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """True where every member is."""

    members: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class NotOf:
    """SQL's NOT of a predicate."""

    member: Predicate


@dataclass(frozen=True, slots=True)
class EngineText:
    """A conjunct over one scan that only the engine can evaluate; it counts as not handed over."""

    text: str
    """Normalised SQL with its constants, so that two different conjuncts never look equal."""


Predicate: TypeAlias = Condition | AnyOf | AllOf | NotOf | EngineText


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One sort key over a plain field."""

    field: str
    descending: bool = False
    nulls_first: bool = False
