"""One conjunct written as a predicate for handlers, where that says the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from moltler.flow.predicate import (
    AllOf,
    AnyOf,
    Condition,
    NotOf,
    Operator,
    Predicate,
    Scalar,
)
from moltler.model import PushDown
from moltler.plan.constant import Constants, as_text, typed
from moltler.plan.listed import Listed
from moltler.plan.scope import Ref
from moltler.schema import SCALARS, DataType

_COMPARISONS: dict[type[exp.Expr], tuple[Operator, Operator]] = {
    exp.EQ: ("=", "="),
    exp.NEQ: ("!=", "!="),
    exp.LT: ("<", ">"),
    exp.LTE: ("<=", ">="),
    exp.GT: (">", "<"),
    exp.GTE: (">=", "<="),
}
"""The operator as written, and with its sides swapped."""


@dataclass(slots=True)
class Translation:
    """Turns conditions over the fields of one scan into predicates.

    `fields` gives, by the id of a Column or Dot node, the declared field or path and its type.
    """

    fields: dict[int, tuple[str, DataType]]
    constants: Constants
    claims: PushDown

    def predicate(self, node: exp.Expr) -> Predicate | None:
        """Give the predicate that says the same as a condition, or ``None``."""
        match node:
            case exp.Paren():
                return self.predicate(node.this)
            case exp.And() | exp.Or():
                return self._junction(node)
            case exp.Not():
                return self._negation(node.this)
            case exp.Is() if isinstance(node.expression, exp.Null):
                found = self._field(node.this)
                return Condition(found[0], "is_null") if found else None
            case exp.In():
                return self._in(node, "in")
            case exp.Between():
                return self._between(node)
            case exp.Like():
                return self._like(node, "like")
            case exp.Overlaps():
                return self._contains(node.this, node.expression)
            case exp.RegexpLike() if not node.args.get("flag"):
                return self._text("matches", node.this, node.expression)
            case exp.Column() | exp.Dot():
                found = self._field(node)
                if found and found[1].name == "boolean":
                    return Condition(found[0], "=", value=True)
                return None
            case _ if type(node) in _COMPARISONS:
                return self._comparison(node)
            case _:
                return None

    def _junction(self, node: exp.Expr) -> Predicate | None:
        members: list[Predicate] = []
        for part in node.flatten():
            member = self.predicate(part)
            if member is None:
                return None
            members.append(member)
        return AllOf(tuple(members)) if isinstance(node, exp.And) else AnyOf(tuple(members))

    def _negation(self, node: exp.Expr) -> Predicate | None:
        while isinstance(node, exp.Paren):
            node = node.this
        match node:
            case exp.Is() if isinstance(node.expression, exp.Null):
                found = self._field(node.this)
                return Condition(found[0], "is_not_null") if found else None
            case exp.In():
                return self._in(node, "not_in")
            case exp.Like():
                return self._like(node, "not_like")
            case exp.Column() | exp.Dot():
                found = self._field(node)
                if found and found[1].name == "boolean":
                    return Condition(found[0], "=", value=False)
                return None
            case _:
                member = self.predicate(node)
                return NotOf(member) if member is not None else None

    def _field(self, node: exp.Expr) -> tuple[str, DataType] | None:
        while isinstance(node, exp.Paren):
            node = node.this
        return self.fields.get(id(node))

    def _scalar(self, node: exp.Expr, type_: DataType, *, as_equal: bool) -> Scalar | None:
        constant = self.constants.of(node)
        if constant is None or constant.value is None:
            return None
        return _in_type(constant.value, type_, as_equal=as_equal)

    def _comparison(self, node: exp.Expr) -> Predicate | None:
        straight, swapped = _COMPARISONS[type(node)]
        sides: tuple[tuple[exp.Expr, exp.Expr, Operator], ...] = (
            (node.this, node.expression, straight),
            (node.expression, node.this, swapped),
        )
        for left, right, operator in sides:
            found = self._field(left)
            if found is None:
                continue
            name, type_ = found
            value = self._scalar(right, type_, as_equal=operator in {"=", "!="})
            if value is None or type_.name == "array":
                return None
            return Condition(name, operator, value)
        return None

    def _in(self, node: exp.In, operator: Operator) -> Predicate | None:
        found = self._field(node.this)
        if found is None or node.args.get("query") or node.args.get("field"):
            return None
        # Keyed by type as well: TRUE and 1 are different values here.
        distinct: dict[tuple[type, Scalar], Scalar] = {}
        for value in self._items(node, found[1]):
            if value is None:
                return None
            distinct.setdefault((type(value), value), value)
        values = list(distinct.values())
        if not values:
            return None
        if operator == "in" and len(values) == 1:
            return Condition(found[0], "=", values[0])
        return Condition(found[0], operator, tuple(values))

    def _items(self, node: exp.In, type_: DataType) -> Iterator[Scalar | None]:
        for item in node.expressions:
            if isinstance(item, Listed):
                yield from (_in_type(v, type_, as_equal=True) for v in item.values)
            else:
                yield self._scalar(item, type_, as_equal=True)

    def _between(self, node: exp.Between) -> Predicate | None:
        found = self._field(node.this)
        if found is None or node.args.get("symmetric"):
            return None
        name, type_ = found
        low = self._scalar(node.args["low"], type_, as_equal=False)
        high = self._scalar(node.args["high"], type_, as_equal=False)
        if low is None or high is None:
            return None
        claim = self.claims.filters.get(name)
        claimed = claim.operators if claim else frozenset[str]()
        if "between" not in claimed and {">=", "<="} <= claimed:
            return AllOf((Condition(name, ">=", low), Condition(name, "<=", high)))
        return Condition(name, "between", (low, high))

    def _like(self, node: exp.Like, operator: Operator) -> Predicate | None:
        is_negated = bool(node.args.get("negate"))
        if is_negated:
            operator = "not_like" if operator == "like" else "like"
            if operator == "like":
                return None
        return self._text(operator, node.this, node.expression)

    def _text(self, operator: Operator, left: exp.Expr, right: exp.Expr) -> Predicate | None:
        found = self._field(left)
        constant = self.constants.of(right)
        if found is None or found[1].name != "string" or constant is None:
            return None
        return (
            Condition(found[0], operator, constant.value)
            if isinstance(constant.value, str)
            else None
        )

    def _contains(self, left: exp.Expr, right: exp.Expr) -> Predicate | None:
        found = self._field(left)
        if found is None:
            return None
        name, type_ = found
        if type_.name == "string":
            return self._text("contains", left, right)
        if type_.name != "array" or type_.items is None or type_.items.name not in SCALARS:
            return None
        constant = self.constants.of(right)
        value = typed(constant.value, type_.items) if constant else None
        return Condition(name, "contains", value) if value is not None else None


def _in_type(value: object, type_: DataType, *, as_equal: bool) -> Scalar | None:
    if type_.name == "string" and as_equal:
        return as_text(value)
    return typed(value, type_)


def rejects_null(predicate: Predicate) -> bool:
    """Tell whether a predicate cannot be TRUE for a row of NULLs: no leaf asks for NULL."""
    return _rejects(predicate, is_negated=False)


def _rejects(predicate: Predicate, *, is_negated: bool) -> bool:
    match predicate:
        case Condition(operator="is_null"):
            return is_negated
        case Condition(operator="is_not_null"):
            return not is_negated
        case Condition():
            return True
        case NotOf():
            return _rejects(predicate.member, is_negated=not is_negated)
        case AnyOf() | AllOf():
            return all(_rejects(m, is_negated=is_negated) for m in predicate.members)
        case _:
            return False


def is_claimed(predicate: Predicate, claims: PushDown) -> bool:
    """Tell whether the author vouches for a conjunct; OR and NOT are never vouched for."""
    match predicate:
        case Condition():
            claim = claims.filters.get(predicate.field)
            if claim is None:
                return False
            if predicate.operator == "between" and {">=", "<="} <= claim.operators:
                return True
            return predicate.operator in claim.operators
        case AllOf():
            return all(is_claimed(m, claims) for m in predicate.members)
        case _:
            return False


def fields_of(ref: Ref, field: str, type_: DataType) -> tuple[str, DataType]:
    """Give the name and type under which handlers know a name."""
    if not ref.path:
        return field, type_
    return ".".join((field, *ref.path)), DataType("any")
