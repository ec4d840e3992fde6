"""Values that become texts by CAST, written as in expressions."""

from __future__ import annotations

from sqlglot import exp

from moltler.plan.bound import Bound
from moltler.plan.kinds import Kinds
from moltler.plan.macros import around, call, once


def render(bound: Bound) -> None:
    """Write arrays as JSON and times with their zone, in place."""
    kinds = Kinds(bound)
    casts = [c for c in bound.text.tree.find_all(exp.Cast) if c.to.this in exp.DataType.TEXT_TYPES]
    found = [(cast.this, kinds.of(cast.this)) for cast in casts]
    for node, kind in found:
        if kind in {"list", "variants"}:
            around(node, lambda value: call("v__json", value))
        elif kind in {"time", "other"}:
            # What the text does not tell is told when it runs.
            around(node, lambda value: once("v__written", value))
