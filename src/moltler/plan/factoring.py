"""Conditions that every branch of an OR shares, taken out in front of it.

``(repo = 'x' AND a) OR (repo = 'x' AND b)`` is ``repo = 'x' AND (a OR b)``, also with NULL: AND
and OR distribute over each other with three values as they do with two. Alone it may be handed
over, and satisfies a required filter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

from sqlglot import exp

from moltler.plan.bound import Bound
from moltler.plan.conjunct import COMPARISONS, conditions

_PLAIN = (
    *COMPARISONS, exp.In, exp.Between, exp.Is, exp.Like, exp.Not, exp.Literal, exp.Column, exp.Dot,
    exp.Identifier, exp.Placeholder, exp.Null, exp.Boolean, exp.Neg, exp.Paren, exp.Tuple,
)  # fmt: skip
"""What gives the same value wherever it stands, and can be written once instead of twice."""


def factor(bound: Bound) -> None:
    """Write the WHERE and ON of every SELECT so, in place."""
    for block in bound.blocks:
        where = block.node.args.get("where")
        tops = [where.this if where is not None else None]
        tops += [join.node.args.get("on") for join in block.joins]
        for node in [n for top in tops for n in conditions(top)]:
            _factor(bound, node)


def _factor(bound: Bound, node: exp.Expr) -> None:
    inner = _bare(node)
    if not isinstance(inner, exp.Or):
        return
    first, *others = [list(conditions(branch)) for branch in _branches(inner)]
    shared: list[exp.Expr] = []
    for condition in list(first):
        found = [_find(bound, condition, other) for other in others]
        twins = [twin for twin in found if twin is not None]
        if len(twins) < len(others) or not all(isinstance(n, _PLAIN) for n in condition.walk()):
            continue
        shared.append(condition)
        _drop(condition, first)
        for twin, other in zip(twins, others, strict=True):
            _drop(twin, other)
            bound.keep.append(twin)
    if not shared:
        return
    span = bound.span(node)
    hole = exp.null()
    node.replace(hole)
    bound.keep.append(node)
    rest = [first, *others]
    # A branch that says nothing more makes the OR hold whenever what is shared does.
    if all(rest):
        branches = [_joined(exp.And, branch) for branch in rest]
        shared.append(exp.Paren(this=_joined(exp.Or, [exp.Paren(this=b) for b in branches])))
    made = _joined(exp.And, shared)
    for part in (made, shared[-1]):
        bound.spans.setdefault(id(part), span)
    hole.replace(exp.Paren(this=made) if len(shared) > 1 else made)


def _drop(node: exp.Expr, nodes: list[exp.Expr]) -> None:
    # Nodes that only look alike are equal.
    del nodes[next(i for i, other in enumerate(nodes) if other is node)]


def _joined(kind: Callable[..., exp.Expr], nodes: list[exp.Expr]) -> exp.Expr:
    return reduce(lambda left, right: kind(this=left, expression=right), nodes)


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _branches(node: exp.Expr) -> Iterator[exp.Expr]:
    inner = _bare(node)
    if isinstance(inner, exp.Or):
        yield from _branches(inner.this)
        yield from _branches(inner.expression)
    else:
        yield node


def _find(bound: Bound, condition: exp.Expr, among: list[exp.Expr]) -> exp.Expr | None:
    return next((other for other in among if _same(bound, condition, other)), None)


def _same(bound: Bound, one: object, other: object) -> bool:
    """Tell whether two conditions say the same about the same columns."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, [bound] * len(one), one, other))
    if not isinstance(one, exp.Expr) or not isinstance(other, exp.Expr):
        return one == other
    one, other = _bare(one), _bare(other)
    left, right = bound.ref(one), bound.ref(other)
    if left is not None or right is not None:
        return (
            left is not None
            and right is not None
            and left.source is right.source
            and left.output is right.output
            and left.path == right.path
        )
    if isinstance(one, exp.Column):
        return False  # a name that only the engine knows
    return (
        type(one) is type(other)
        and one.args.keys() == other.args.keys()
        and all(_same(bound, one.args[key], other.args[key]) for key in one.args)
    )
