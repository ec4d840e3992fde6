"""Conditions of a SELECT as SQL of a destination: what it cannot say exactly is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from moltler.flow.predicate import (
    AllOf,
    AnyOf,
    Condition,
    EngineText,
    NotOf,
    Operator,
    OrderKey,
    Predicate,
    Scalar,
)
from moltler.sync.layout import Storage, quoted

EXACT: frozenset[Operator] = frozenset(
    {"=", "!=", "<", "<=", ">", ">=", "in", "not_in", "between", "is_null", "is_not_null"}
)
"""Operators that a destination evaluates as the engine does, over scalars."""
_SPELLED: Mapping[Operator, str] = {
    "=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
    "like": "LIKE", "not_like": "NOT LIKE",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Conditions:
    """Writes conditions over the columns of one table.

    Args:
        storages: How each column is kept, by its name.
        collate: What follows a text so that it is compared by code point.
        no_escape: What follows LIKE so that a backslash is a character like any other.
        takes_nul: Whether texts may hold the character NUL.
    """

    storages: Mapping[str, Storage]
    collate: str = ""
    no_escape: str = ""
    takes_nul: bool = True
    values: list[object] = field(default_factory=list[object])
    """For the ``?`` of what was written, in order."""

    def where(self, predicates: Sequence[Predicate]) -> str:
        """Give WHERE with all that can be said of some conjuncts; empty if that is nothing."""
        parts = [text for text in map(self._conjunct, predicates) if text is not None]
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    def order_by(self, keys: Sequence[OrderKey]) -> str | None:
        """Give ORDER BY; ``None`` if it cannot be said, empty if there is none."""
        parts: list[str] = []
        for key in keys:
            storage = self.storages.get(key.field)
            if storage is None or storage == "json" or storage.endswith("s"):
                return None
            collate = self.collate if storage == "string" else ""
            direction = "DESC" if key.descending else "ASC"
            nulls = "FIRST" if key.nulls_first else "LAST"
            parts.append(f"{quoted(key.field)}{collate} {direction} NULLS {nulls}")
        return f" ORDER BY {', '.join(parts)}" if parts else ""

    def _conjunct(self, predicate: Predicate) -> str | None:
        known = len(self.values)
        text = self._text(predicate)
        if text is None:
            del self.values[known:]
            if isinstance(predicate, AllOf):
                # A conjunct that is left out only leaves more rows to the engine.
                parts = [t for t in map(self._conjunct, predicate.members) if t is not None]
                return f"({' AND '.join(parts)})" if parts else None
        return text

    def _text(self, predicate: Predicate) -> str | None:
        match predicate:
            case Condition():
                return self._condition(predicate)
            case AllOf():
                return self._joined(predicate.members, " AND ")
            case AnyOf():
                return self._joined(predicate.members, " OR ")
            case NotOf():
                text = self._text(predicate.member)
                return None if text is None else f"NOT {text}"
            case EngineText():
                return None

    def _joined(self, members: Sequence[Predicate], word: str) -> str | None:
        parts: list[str] = []
        for member in members:
            text = self._text(member)
            if text is None:
                return None
            parts.append(text)
        return f"({word.join(parts)})"

    def _condition(self, condition: Condition) -> str | None:
        storage = self.storages.get(condition.field)
        if storage is None or storage == "json" or storage.endswith("s"):
            return None
        column = quoted(condition.field)
        collate = self.collate if storage == "string" else ""
        match condition.operator, condition.value:
            case "is_null", _:
                return f"({column} IS NULL)"
            case "is_not_null", _:
                return f"({column} IS NOT NULL)"
            case "in" | "not_in" as operator, tuple() as values if values:
                if not self._take(values):
                    return None
                word = "IN" if operator == "in" else "NOT IN"
                return f"({column} {word} ({', '.join('?' for _ in values)}))"
            case "between", (low, high):
                if not self._take((low, high)):
                    return None
                return f"({column}{collate} BETWEEN ? AND ?)"
            case "like" | "not_like" as operator, str() as pattern if storage == "string":
                if not self._take((pattern,)):
                    return None
                return f"({column} {_SPELLED[operator]} ?{self.no_escape})"
            case "=" | "!=" | "<" | "<=" | ">" | ">=" as operator, value:
                if value is None or isinstance(value, tuple) or not self._take((value,)):
                    return None
                return f"({column}{collate} {_SPELLED[operator]} ?)"
            case _:
                return None

    def _take(self, values: Sequence[Scalar]) -> bool:
        if not self.takes_nul and any(isinstance(v, str) and "\0" in v for v in values):
            return False
        self.values.extend(values)
        return True
