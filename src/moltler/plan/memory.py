"""Plans of SELECTs, kept for the next time that the same is asked."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from moltler.catalog.catalog import Catalog
from moltler.flow.scan import QueryPlan
from moltler.lang.ast import SqlText

if TYPE_CHECKING:
    from moltler.plan.bound import Variables

_MOST_PLANS = 200
_LONGEST_SOURCE = 20_000
"""Characters of a script; of a longer one no plan is kept."""
_PLAIN = (str, int, bool, type(None))
"""Types whose equal values are written alike, so that a plan made with one fits the other."""

P = ParamSpec("P")
T = TypeVar("T")
_Look: TypeAlias = tuple[str, tuple[object, ...]]
_Key: TypeAlias = tuple[str, int, str, int]


class Witness:
    """Variables for one planning (`plan.bound.Variables`), noting what the plan came to depend on.

    Args:
        variables: The statement's.
    """

    def __init__(self, variables: Variables) -> None:
        self.looks: dict[_Look, object] = {}
        self._variables = variables
        self._is_fleeting = False

    @property
    def names(self) -> tuple[str, ...]:
        """Variables and named parameters."""
        return self._variables.names

    def get(self, name: str) -> object:
        """Give the value of a variable."""
        return self._noted("get", (name,))

    def positional(self, index: int) -> object:
        """Give the positional parameter of that number."""
        return self._noted("positional", (index,))

    def env(self, name: str, default: str | None) -> str:
        """Give an environment variable."""
        return str(self._noted("env", (name, default)))

    def once(self, give: Callable[P, T]) -> Callable[P, T]:
        """Give the function, noting whether it is asked: what it says may be true for once only.

        Args:
            give: Evaluates a constant, or looks at what lies outside of the catalog.
        """

        def given(*arguments: P.args, **named: P.kwargs) -> T:
            self._is_fleeting = True
            return give(*arguments, **named)

        return given

    def allows(self, plan: QueryPlan) -> bool:
        """Tell whether the plan can be used again."""
        return (
            not self._is_fleeting
            and all(type(v) in _PLAIN for v in self.looks.values())
            # The time of a statement is a parameter of its plan.
            and not any(isinstance(v, date) for v in plan.parameters.values())
        )

    def _noted(self, way: str, arguments: tuple[object, ...]) -> object:
        value = _looked(self._variables, (way, arguments))
        self.looks[way, arguments] = value
        return value


def _looked(variables: Variables, look: _Look) -> object:
    way, arguments = look
    return getattr(variables, way)(*arguments)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A plan, and what it depends on besides the text and the catalog."""

    plan: QueryPlan
    names: tuple[str, ...]
    looks: dict[_Look, object]

    def fits(self, variables: Variables) -> bool:
        if variables.names != self.names:
            return False
        for look, value in self.looks.items():
            now = _looked(variables, look)
            if type(now) is not type(value) or now != value:
                return False
        return True


class PlanMemory:
    """Plans by text, as long as the catalog stays what it is; may be shared by threads.

    A plan depends on the text, the catalog, and the variables it names: their values are bound,
    but also decide what a handler is asked.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._catalog: Catalog | None = None
        self._plans: OrderedDict[_Key, _Kept] = OrderedDict()

    def recall(self, sql: SqlText, catalog: Catalog, variables: Variables) -> QueryPlan | None:
        """Give the plan of a text, if it was planned before and would come out the same."""
        key = _key(sql)
        with self._lock:
            kept = self._plans.get(key) if self._catalog is catalog else None
            if kept is not None:
                self._plans.move_to_end(key)
        return kept.plan if kept is not None and kept.fits(variables) else None

    def keep(self, sql: SqlText, catalog: Catalog, witness: Witness, plan: QueryPlan) -> None:
        """Keep a plan that can be used again."""
        if not witness.allows(plan) or len(sql.span.source.text) > _LONGEST_SOURCE:
            return
        with self._lock:
            if self._catalog is not catalog:
                self._catalog = catalog
                self._plans.clear()
            self._plans[_key(sql)] = _Kept(plan, witness.names, witness.looks)
            while len(self._plans) > _MOST_PLANS:
                self._plans.popitem(last=False)


def _key(sql: SqlText) -> _Key:
    # Warnings name lines, so the place of the text counts.
    return sql.text, sql.first_positional, sql.span.source.text, sql.span.start
