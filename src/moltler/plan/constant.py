"""Constants of a SELECT: their values, and what they are in a field's type."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal

from sqlglot import exp

from moltler.errors import MoltlerError
from moltler.flow.predicate import Scalar
from moltler.plan.text import DIALECT
from moltler.schema import DataType

Fold = Callable[[str, Mapping[str, object]], object]
"""Evaluates SQL without columns; given by `exec`, which has the engine."""

_INTEGER = re.compile(r"[+-]?\d{1,19}\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d(?::\d\d)?)?)?\Z",
    re.ASCII,
)
_EXACT = 2**53
_VOLATILE = {
    "random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "now", "today", "get_current_time",
    "get_current_timestamp", "current_localtime", "current_localtimestamp", "transaction_timestamp",
    "rand", "unnest", "nextval",
}  # fmt: skip
_UNFOLDABLE = (
    exp.Column, exp.Query, exp.AggFunc, exp.Window, exp.Star, exp.CurrentTimestamp,
    exp.CurrentDate, exp.CurrentTime, exp.Localtime, exp.Localtimestamp, exp.Rand, exp.Uuid,
    exp.Explode, exp.Unnest, exp.Lambda, exp.Columns, exp.AnonymousAggFunc, exp.Var,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Constant:
    """A value known before anything runs; numbers with a fraction are `Decimal` or float."""

    value: object


@dataclass(slots=True)
class Constants:
    """Evaluates the parts of a SELECT that have no columns."""

    parameters: Mapping[str, object]
    fold: Fold | None = None
    _known: dict[str, Constant | None] = field(default_factory=dict[str, "Constant | None"])
    # By SQL: the same expression is asked about several times, and the engine is slow to ask.

    def of(self, node: exp.Expr) -> Constant | None:
        """Give the value of an expression, or ``None`` if it is not a known constant."""
        match node:
            case exp.Paren():
                return self.of(node.this)
            case exp.Null():
                return Constant(None)
            case exp.Boolean():
                return Constant(bool(node.this))
            case exp.Literal():
                return Constant(node.this if node.is_string else _number(node.this))
            case exp.Neg():
                inner = self.of(node.this)
                value = inner.value if inner else None
                if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
                    return Constant(-value)
                return None
            case exp.Placeholder():
                return Constant(self.parameters[node.name])
            case exp.Cast() if type(node) is exp.Cast and (cast := self._cast(node)):
                return cast
            case _:
                return self._folded(node)

    def _cast(self, node: exp.Cast) -> Constant | None:
        inner = self.of(node.this)
        if inner is None or not isinstance(inner.value, str):
            return None
        kind = node.to.this
        if kind == exp.DataType.Type.DATE:
            value = typed(inner.value, DataType("date"))
        elif kind in {exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPTZ}:
            has_zone = kind == exp.DataType.Type.TIMESTAMPTZ
            # Without zone DuckDB drops the offset; only what reads the same both ways is folded.
            if not has_zone and re.search(r"(Z|[+-]\d\d(:\d\d)?)$", inner.value[10:]):
                return None
            value = typed(inner.value, DataType("timestamp"))
        elif kind in exp.DataType.TEXT_TYPES and not node.to.expressions:
            value = inner.value
        else:
            return None
        return Constant(value) if value is not None else None

    def _folded(self, node: exp.Expr) -> Constant | None:
        if self.fold is None or not isinstance(node, exp.Condition):
            return None
        for part in node.walk():
            if isinstance(part, exp.Var) and isinstance(part.parent, exp.Interval):
                continue
            if isinstance(part, _UNFOLDABLE):
                return None
            if isinstance(part, exp.Anonymous) and str(part.this).lower() in _VOLATILE:
                return None
        sql = node.sql(DIALECT)
        if sql not in self._known:
            used = {p.name: self.parameters[p.name] for p in node.find_all(exp.Placeholder)}
            self._known[sql] = self._evaluated(self.fold, sql, used)
        return self._known[sql]

    @staticmethod
    def _evaluated(fold: Fold, sql: str, used: Mapping[str, object]) -> Constant | None:
        try:
            return Constant(fold(sql, used))
        except MoltlerError:
            # The engine will say the same, with its place, if it ever evaluates the expression.
            return None


def _number(text: str) -> int | Decimal:
    return int(text) if text.isdigit() else Decimal(text)


def typed(value: object, type_: DataType) -> Scalar | None:
    """Give a constant in a field's type, or ``None`` where that would lose or change anything.

    ``None`` too where DuckDB might read the constant differently: the condition then stays local.

    >>> typed("4", DataType("integer")), typed(4.5, DataType("integer"))
    (4, None)
    """
    match type_.name:
        case "string":
            return value if isinstance(value, str) else None
        case "integer":
            return _integer(value)
        case "number":
            return _float(value)
        case "boolean":
            if isinstance(value, str) and value.lower() in {"true", "false"}:
                return value.lower() == "true"
            return value if isinstance(value, bool) else None
        case "timestamp":
            return _timestamp(value)
        case "date":
            return _date(value)
        case "document" | "any":
            if isinstance(value, Decimal):
                return _float(value)
            if isinstance(value, float) and not math.isfinite(value):
                return None
            return value if isinstance(value, str | int | float | bool) else None
        case "array":
            return None


def as_text(value: object) -> str | None:
    """Give the text that a constant beside a string field stands for, ``None`` if there is none."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | str():
            return str(value)
        case Decimal():
            return format(value, "f")
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < _EXACT else repr(value)
        case datetime():
            utc = value.astimezone(UTC) if value.tzinfo else value
            micro = utc.microsecond % 1000
            return (
                utc.replace(tzinfo=None).isoformat(
                    timespec="microseconds" if micro else "milliseconds"
                )
                + "Z"
            )
        case date():
            return value.isoformat()
        case _:
            return None


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _INTEGER.match(value.strip(" ")):
        value = int(value.strip(" "))
    if isinstance(value, Decimal | float):
        if not math.isfinite(value) or value != int(value) or abs(value) >= _EXACT:
            return None
        value = int(value)
    return value if isinstance(value, int) and -(2**63) <= value < 2**63 else None


def _float(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _NUMBER.match(value.strip(" ")):
        value = Decimal(value.strip(" "))
    if isinstance(value, int):
        return float(value) if abs(value) <= _EXACT else None
    if isinstance(value, Decimal | float):
        result = float(value)
        return result if math.isfinite(result) else None
    return None


def _timestamp(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    if not isinstance(value, str) or not (found := _TIMESTAMP.match(value)):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        del found
        return None


def _date(value: object) -> date | None:
    if isinstance(value, datetime):
        utc = _timestamp(value)
        return utc.date() if utc is not None and utc.time() == time() else None
    if isinstance(value, date):
        return value
    if isinstance(value, str) and _DATE.match(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return None
