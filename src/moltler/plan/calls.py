"""Calls of functions with values in documents: each argument in the type the function takes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from moltler.plan import functions
from moltler.plan.arithmetic import filter_of
from moltler.plan.kind import Kind
from moltler.plan.kinds import arguments, names_of
from moltler.plan.macros import around, call, cast, once
from moltler.plan.values import Values


class Calls:
    """Writes calls."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def function(self, node: exp.Expr) -> None:
        """Write a call whose arguments need it."""
        given = arguments(node)
        if not any(self._values.is_(g) for g in given):
            return
        names = names_of(node)
        if names & {"length", "len"}:
            self._length(node, given, "v__length")
        elif names & {"array_size", "array_length", "list_length"}:
            self._length(node, given, "v__size")
        elif names & (functions.LISTS_IN | functions.SORTS | functions.ITEM_FIRST):
            self._list_function(node, names, given)
        elif any(name.startswith("json") for name in names):
            if self._values.is_(given[0], "variant"):
                self._values.kinds.note(around(given[0], _json), "other")
        elif names & functions.TRUTHS_IN:
            self._values.wrap_all(given, "v__truth", "truth")
        elif names & functions.TEXTS_IN:
            counted = next((functions.COUNTED[n] for n in names if n in functions.COUNTED), ())
            self._wrap_by_place(given, counted, "v__string", "text")
        elif names & functions.WHOLES_IN:
            self._values.wrap_all(given, "v__integer", "whole")
        elif names & functions.NUMBERS:
            counted = (1,) if names & {"round", "trunc"} else ()
            self._wrap_by_place(given, counted, "v__double", "number")
        elif names & functions.TIMES_IN:
            self._values.wrap_all(given, "v__moment", "time")
        elif names & {"arg_max", "arg_min", "max_by", "min_by", "arg_max_null", "arg_min_null"}:
            self._values.wrap_all(given[1:2], "v__sort", "other")

    def _wrap_by_place(
        self, given: Sequence[exp.Expr], counted: Sequence[int], macro: str, kind: Kind
    ) -> None:
        for place, node in enumerate(given):
            if not self._values.is_(node, "variant"):
                continue
            is_count = place in counted
            condition = filter_of(node)
            made = self._values.wrap(
                node, "v__integer" if is_count else macro, "whole" if is_count else kind
            )
            if condition is not None:
                # DuckDB evaluates arguments before it filters, and they may fail.
                guarded = around(made, lambda n, c=condition: exp.Case().when(c, n, copy=False))
                self._values.kinds.note(guarded, kind)

    def _length(self, node: exp.Expr, given: Sequence[exp.Expr], macro: str) -> None:
        if self._values.is_(given[0], "variant"):
            self._values.replace(node, once(macro, given[0]))

    def _list_function(self, node: exp.Expr, names: frozenset[str], given: list[exp.Expr]) -> None:
        if names & functions.TWO_LISTS:
            for each in given:
                self._values.list_of(each)
            return
        place = 1 if names & functions.ITEM_FIRST and len(given) > 1 else 0
        if self._values.is_(given[place], "variant"):
            given[place] = self._values.list_of(given[place])
        if names & functions.ITEMS_IN and len(given) > 1:
            items, item = self._values.list_of(given[place]), self._values.same(given[1 - place])
            if names & functions.MEMBERSHIPS:
                self._values.replace(node, call("v__has", items, item))
            return
        items = given[place]
        if not self._values.is_(items, "variants"):
            return
        if names & functions.SORTS and len(given) == 1:
            self._values.replace(node, call("v__sorted", items))
        elif extreme := next((functions.EXTREMES[n] for n in names if n in functions.EXTREMES), ""):
            self._values.replace(node, call(extreme, items))
        elif names & functions.NUMBER_LISTS:
            self._map(items, "v__double")
        elif names & {"array_flatten", "flatten"}:
            self._map(items, "v__list")
        elif names & {"array_join", "array_to_string"}:
            self._map(items, "v__string")

    def _map(self, items: exp.Expr, macro: str) -> None:
        item = exp.to_identifier("v__e")
        each = exp.Lambda(this=call(macro, item), expressions=[item.copy()], colon=True)
        around(items, lambda n: call("list_transform", n, each))


def _json(node: exp.Expr) -> exp.Expr:
    return cast(node, "JSON")
