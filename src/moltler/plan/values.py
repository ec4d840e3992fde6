"""Values of unknown type put into a form that an operator can take, each in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from sqlglot import exp

from moltler.errors import error_class
from moltler.plan.bound import Bound
from moltler.plan.kind import Kind
from moltler.plan.kinds import Kinds
from moltler.plan.macros import around, call, cast, once

OPEN: frozenset[Kind] = frozenset({"variant", "variants"})


class Values:
    """Edits single values of a tree, and remembers what kind they are then."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self.kinds = Kinds(bound)

    def replace(self, node: exp.Expr, new: exp.Expr) -> None:
        """Put another node in the place of one, with the same kind of value."""
        if new is not node:
            self.kinds.note(new, self.kinds.of(node))
            if node.parent is not None:
                node.replace(new)

    def is_(self, node: object, *kinds: Kind) -> bool:
        """Tell whether a node is of one of some kinds, those of documents if none are named."""
        return isinstance(node, exp.Expr) and self.kinds.of(node) in (kinds or OPEN)

    def copy(self, node: exp.Expr) -> exp.Expr:
        """Give a copy of the same kind."""
        copy = node.copy()
        self.kinds.note(copy, self.kinds.of(node))
        return copy

    def wrap(self, node: exp.Expr, macro: str, kind: Kind) -> exp.Expr:
        """Put a macro around a value, in its place."""
        made = around(node, lambda n: once(macro, n))
        self.kinds.note(made, kind)
        return made

    def wrap_all(self, nodes: Sequence[object], macro: str, kind: Kind) -> None:
        """Put a macro around those that are VARIANTs."""
        for node in nodes:
            if isinstance(node, exp.Expr) and self.is_(node, "variant"):
                self.wrap(node, macro, kind)

    # ── values as VARIANTs that are equal if they are the same ───────────────────────────────

    def same(self, node: exp.Expr, *, is_beside_time: bool = False) -> exp.Expr:
        """Make any value a VARIANT, in one spelling, in its place."""
        kind = self.kinds.of(node)

        def make(inner: exp.Expr) -> exp.Expr:
            match kind:
                case "variant":
                    return once("v__when" if is_beside_time else "v__same", inner)
                case "text" | "truth" | "null" | "whole" | "variants":
                    return cast(inner, "VARIANT")
                case "time":
                    return cast(cast(inner, "TIMESTAMPTZ"), "VARIANT")
                case "list":
                    return cast(call("v__items", inner), "VARIANT")
                case _:
                    return once("v__same", cast(inner, "VARIANT"))

        if isinstance(node, exp.Anonymous) and node.this in {"v__greatest", "v__least"}:
            return node  # made of such values
        made = around(node, make)
        self.kinds.note(made, "variant")
        return made

    def list_of(self, node: exp.Expr) -> exp.Expr:
        """Make a list a VARIANT[], in its place."""
        kind = self.kinds.of(node)
        if kind == "variants":
            return node
        return self.wrap(node, "v__list" if kind == "variant" else "v__items", "variants")

    def refuse(self, node: exp.Expr, what: str, hint: str) -> NoReturn:
        """Refuse a form that cannot be written.

        Raises:
            PlanError: PLN004, always.
        """
        raise error_class("PLN004")(
            "PLN004",
            f"{what} cannot be used with a value in a document",
            hint=hint,
            span=self.bound.span(node),
        )
