"""Arithmetic over values in documents: whole numbers exactly, others as doubles.

An expression of + - * % // is written twice, over whole numbers of 128 bits and over doubles. The
first holds where every operand is whole, and is refused where a double would lose digits of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlglot import exp

from moltler.plan.kinds import EXACT, Kinds
from moltler.plan.macros import call, cast, once

_Pair = tuple[exp.Expr | None, exp.Expr]
"""The same value as a whole number (if it may be one) and as a double."""


class Arithmetic:
    """Writes arithmetic and sums."""

    def __init__(self, kinds: Kinds, nodes: Iterable[exp.Expr]) -> None:
        self._kinds = kinds
        # Asked before anything is replaced, which would hide what stands above a node.
        self._inner = {id(n) for n in nodes if self._is_exact(n) and self._is_exact(_above(n))}

    def written(self, node: exp.Expr) -> exp.Expr | None:
        """Give an operation written anew; ``None`` if it stays, or is part of a larger one."""
        if id(node) in self._inner:
            return None
        if self._is_exact(node):
            if not self._has_variant(node):
                return None
            return _settled(self._pair(node))
        sides = [s for s in (node.this, node.args.get("expression")) if isinstance(s, exp.Expr)]
        kinds = {self._kinds.of(s) for s in sides}
        if "variant" not in kinds:
            return None
        macro = "v__moment" if kinds & {"time", "interval"} else "v__double"
        made = node.copy()
        for key in ("this", "expression"):
            side = node.args.get(key)
            if isinstance(side, exp.Expr) and self._kinds.of(side) == "variant":
                made.set(key, once(macro, side.copy()))
        return made

    def _is_exact(self, node: exp.Expr | None) -> bool:
        if node is None or not isinstance(node, EXACT):
            return False
        sides = (node.this, node.args.get("expression"))
        kinds = {self._kinds.of(s) for s in sides if isinstance(s, exp.Expr)}
        return not kinds & {"time", "interval", "list", "variants"}

    def _has_variant(self, node: exp.Expr) -> bool:
        while isinstance(node, exp.Paren):
            node = node.this
        if self._is_exact(node):
            sides = (node.this, node.args.get("expression"))
            return any(self._has_variant(s) for s in sides if isinstance(s, exp.Expr))
        return self._kinds.of(node) == "variant"

    def _pair(self, node: exp.Expr) -> _Pair:
        while isinstance(node, exp.Paren):
            node = node.this
        if not self._is_exact(node):
            return self._leaf(node)
        left = self._pair(node.this)
        if isinstance(node, exp.Neg):
            whole = None if left[0] is None else exp.Neg(this=exp.Paren(this=left[0]))
            return whole, exp.Neg(this=exp.Paren(this=left[1]))
        right = self._pair(node.expression)
        if left[0] is not None and right[0] is not None:
            return _of(node, left[0], right[0]), _of(node, left[1], right[1])
        return None, _of(node, _settled(left), _settled(right))

    def _leaf(self, node: exp.Expr) -> _Pair:
        match self._kinds.of(node):
            case "variant":
                return once("v__whole", node.copy()), once("v__double", node.copy())
            case "whole" if isinstance(node, exp.Literal):
                return cast(node.copy(), "HUGEINT"), cast(node.copy(), "DOUBLE")
            case "whole" | "null":
                whole = cast(node.copy(), "HUGEINT")
                return whole, once("v__exact", whole.copy())
            case _:
                return None, node.copy()

    # ── sums ─────────────────────────────────────────────────────────────────────────────────

    def aggregate(self, node: exp.Expr) -> set[int]:
        """Write SUM or AVG with all that belongs to it; give the ids of the nodes that go."""
        held = node.this
        is_distinct = isinstance(held, exp.Distinct)
        value = held.expressions[0] if is_distinct and held.expressions else held
        while isinstance(value, exp.Paren):
            value = value.this
        parts = self._parts(value)
        if parts is None:
            return set()
        condition = filter_of(value)
        if condition is not None:
            # DuckDB evaluates arguments before it filters, and they may fail.
            parts = [exp.Case().when(condition.copy(), part, copy=False) for part in parts]
        top, gone = node, {id(node)}
        while isinstance(top.parent, exp.Filter | exp.Window) and top.parent.this is top:
            top = top.parent
            gone.add(id(top))
        node.meta["v__sum"] = True
        sums = [_with(top, lambda a=a: exp.Sum(this=_argument(a, is_distinct)))
                for a in parts]  # fmt: skip
        if isinstance(node, exp.Sum):
            made = call("v__total", *sums)
        else:
            count = _with(top, lambda: exp.Count(this=_argument(value.copy(), is_distinct)))
            made = call("v__mean", *sums, count)
        self._kinds.note(made, "number")
        top.replace(made)
        return gone

    def _parts(self, value: exp.Expr) -> tuple[exp.Expr, exp.Expr] | None:
        if isinstance(value, exp.Anonymous) and value.this == "v__settled":
            whole, double = (a.copy() for a in value.expressions)
            is_null = exp.Is(this=exp.Paren(this=whole.copy()), expression=exp.null())
            return whole, exp.Case().when(is_null, double, copy=False)
        if self._kinds.of(value) != "variant":
            return None
        return once("v__whole", value.copy()), once("v__fraction", value.copy())


def filter_of(argument: exp.Expr) -> exp.Expr | None:
    """Give a copy of the condition of FILTER for an aggregate's argument."""
    call_ = _above(argument)
    while isinstance(call_, exp.Distinct | exp.Order):
        call_ = call_.parent
    holder = call_.parent if call_ is not None else None
    if not isinstance(holder, exp.Filter) or holder.this is not call_:
        return None
    where = holder.expression
    return where.this.copy() if isinstance(where, exp.Where) else where.copy()


def _above(node: exp.Expr) -> exp.Expr | None:
    above = node.parent
    while isinstance(above, exp.Paren):
        above = above.parent
    return above


def _of(node: exp.Expr, left: exp.Expr, right: exp.Expr) -> exp.Expr:
    made = node.copy()
    made.set("this", exp.Paren(this=left))
    made.set("expression", exp.Paren(this=right))
    return made


def _settled(pair: _Pair) -> exp.Expr:
    whole, double = pair
    return exp.Paren(this=double) if whole is None else call("v__settled", whole, double)


def _argument(value: exp.Expr, is_distinct: bool) -> exp.Expr:  # noqa: FBT001 - of one call
    return exp.Distinct(expressions=[value]) if is_distinct else value


def _with(top: exp.Expr, make: Callable[[], exp.Expr]) -> exp.Expr:
    """Give a copy of FILTER and OVER around another aggregate."""
    if top.meta.get("v__sum"):
        return make()
    copy = top.copy()
    for part in copy.find_all(exp.Sum, exp.Avg):
        if part.meta.get("v__sum"):
            part.replace(make())
            break
    return copy
