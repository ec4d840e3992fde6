"""Comparisons with values in documents: of one kind or none, numbers by value (decision 0010)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from moltler.plan.kind import Kind
from moltler.plan.macros import around, call, cast, once
from moltler.plan.values import OPEN, Values

EQUALITIES = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ)
RANGES = (exp.LT, exp.LTE, exp.GT, exp.GTE)


_READ_AS: dict[Kind, str] = {"text": "v__text", "truth": "v__truth"}


class Comparisons:
    """Writes comparisons, BETWEEN and IN."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def equality(self, node: exp.Expr) -> None:
        """Write an equality, with ANY and rows too."""
        sides = (node.this, node.expression)
        quantified = next((s for s in sides if isinstance(s, exp.Any | exp.All)), None)
        if quantified is not None:
            self._quantified(node, quantified)
            return
        if any(isinstance(s, exp.Tuple) for s in sides):
            self._tuples(list(sides))
            return
        if any(self._values.is_(s) for s in sides):
            self.make_same(sides)

    def make_same(self, nodes: Sequence[exp.Expr]) -> None:
        """Make values VARIANTs that are equal if the values are."""
        has_time = any(self._values.is_(n, "time") for n in nodes)
        for each in nodes:
            self._values.same(each, is_beside_time=has_time)

    def _tuples(self, rows: Sequence[exp.Expr]) -> None:
        tuples = [r for r in rows if isinstance(r, exp.Tuple)]
        if len(tuples) != len(rows) or len({len(t.expressions) for t in tuples}) != 1:
            return
        for column in zip(*(list(t.expressions) for t in tuples), strict=True):
            if any(self._values.is_(c) for c in column):
                self.make_same(column)

    def _quantified(self, node: exp.Expr, quantified: exp.Expr) -> None:
        value = node.expression if quantified is node.this else node.this
        inner = quantified.this
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, exp.Query):
            if not self._values.is_(value) and self._values.kinds.column(inner, 0) not in OPEN:
                return
            if not isinstance(node, exp.EQ | exp.NEQ):
                self._values.refuse(node, "a comparison with ANY or ALL", "use EXISTS")
            self._values.same(value)
            self._select_same(inner)
            return
        if not self._values.is_(value) and not self._values.is_(inner):
            return
        if not isinstance(node, exp.EQ) or not isinstance(quantified, exp.Any):
            self._values.refuse(node, "a comparison with ANY or ALL of an array", "use list_filter")
        items, item = self._values.list_of(inner), self._values.same(value)
        self._values.replace(node, call("v__has", items, item))

    def order(self, node: exp.Expr) -> None:
        """Write < <= > >=, which hold between values of one kind only."""
        left, right = node.this, node.expression
        if not self._values.is_(left) and not self._values.is_(right):
            return
        for side in (left, right):
            if isinstance(side, exp.Any | exp.All):
                self._values.refuse(node, "a comparison with ANY or ALL", "use EXISTS")
        kinds = {self._values.kinds.of(left), self._values.kinds.of(right)}
        beside = next(iter(kinds - {"variant"}), "variant") if "variant" in kinds else "variants"
        match beside:
            case "number" | "whole":
                for side in (left, right):
                    if self._values.is_(side, "variant"):
                        self._values.wrap(side, "v__number", "other")
                    else:
                        around(side, _number)
            case "text" | "truth":
                self._values.wrap_all([left, right], _READ_AS[beside], beside)
            case "time":
                for side in (left, right):
                    if self._values.is_(side, "variant"):
                        self._values.wrap(side, "v__time", "time")
                    else:
                        around(side, _moment)
            case _:
                self._of_one_kind(node)

    def _of_one_kind(self, node: exp.Expr) -> None:
        left, right = self._values.same(node.this), self._values.same(node.expression)
        ranks = [once("v__rank", side.copy()) for side in (left, right)]
        is_alike = call("v__alike", *ranks)
        compared = type(node)(this=once("v__sort", left), expression=once("v__sort", right))
        self._values.replace(node, exp.Case().when(is_alike, compared, copy=False))

    def between(self, node: exp.Between) -> None:
        """Write BETWEEN as two comparisons."""
        value, low, high = node.this, node.args["low"], node.args["high"]
        if not any(self._values.is_(n) for n in (value, low, high)):
            return
        again = self._values.copy(value)
        above = exp.GTE(this=value, expression=low)
        below = exp.LTE(this=again, expression=high)
        both = exp.Paren(this=exp.And(this=above, expression=below))
        self._values.replace(node, both)
        self.order(above)
        self.order(below)

    def in_(self, node: exp.In) -> None:
        """Write IN with values, a query or an array."""
        query, listed = node.args.get("query"), node.args.get("field")
        if isinstance(query, exp.Expr):
            if self._values.is_(node.this) or self._values.kinds.column(query, 0) in OPEN:
                self._values.same(node.this)
                self._select_same(query)
        elif isinstance(listed, exp.Expr):
            if self._values.is_(node.this) or self._values.is_(listed):
                items, item = self._values.list_of(listed), self._values.same(node.this)
                self._values.replace(node, call("v__has", items, item))
        elif isinstance(node.this, exp.Tuple):
            self._tuples([node.this, *node.expressions])
        elif any(self._values.is_(n) for n in (node.this, *node.expressions)):
            self.make_same([node.this, *node.expressions])

    def _select_same(self, query: exp.Expr) -> None:
        """Make the one column of a query a VARIANT."""
        kind = self._values.kinds.column(query, 0)
        column = exp.column(exp.to_identifier("v__c", quoted=True))
        value = call("v__same", column if kind == "variant" else cast(column, "VARIANT"))

        def make(inner: exp.Expr) -> exp.Expr:
            body = inner.this if isinstance(inner, exp.Subquery) else inner
            alias = exp.TableAlias(
                this=exp.to_identifier("v__q", quoted=True),
                columns=[exp.to_identifier("v__c", quoted=True)],
            )
            source = exp.Subquery(this=body, alias=alias)
            select = exp.Select(expressions=[value])
            select.set("from_", exp.From(this=source))
            return exp.Subquery(this=select) if isinstance(inner, exp.Subquery) else select

        around(query, make)


def _number(node: exp.Expr) -> exp.Expr:
    return once("v__number", cast(node, "VARIANT"))


def _moment(node: exp.Expr) -> exp.Expr:
    return cast(node, "TIMESTAMPTZ")
