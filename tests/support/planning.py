"""Planning in tests: a catalog and variables as plain values, and short ways to plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from moltler.errors import Source, Span, error_class
from moltler.flow.scan import QueryPlan
from moltler.lang.ast import SqlText
from moltler.model import ConnectorType
from moltler.plan.constant import Fold
from moltler.plan.planner import plan_select
from support.handlers import Table

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


class FixedTables:
    """`plan.bind.Tables` over entities made by `support.handlers.entity`."""

    def __init__(self, connectors: Mapping[str, Sequence[Table]]) -> None:
        self._types = {
            name.lower(): ConnectorType(f"{name}_type", entities=tuple(t.entity for t in tables))
            for name, tables in connectors.items()
        }
        self._names = tuple(connectors)

    @property
    def names(self) -> tuple[str, ...]:
        """The instances."""
        return self._names

    @property
    def destinations(self) -> tuple[str, ...]:
        """There are none."""
        return ()

    def stored(self, destination: str) -> ConnectorType:
        """Give nothing: there are no destinations."""
        raise error_class("CAT008")("CAT008", f"there is no destination `{destination}`")

    def type_of(self, connector: str) -> ConnectorType:
        """Give the type of an instance."""
        found = self._types.get(connector.lower())
        if found is None:
            raise error_class("CAT001")("CAT001", f"there is no connector `{connector}`")
        return found


class FixedVariables:
    """`plan.bind.Variables` over a mapping; ``?`` takes from a sequence."""

    def __init__(
        self,
        values: Mapping[str, object] | None = None,
        positional: Sequence[object] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._values = {n.lower(): v for n, v in (values or {}).items()}
        self._names = tuple(values or ())
        self._positional = positional
        self._env = env or {}

    @property
    def names(self) -> tuple[str, ...]:
        """The variables."""
        return self._names

    def get(self, name: str) -> object:
        """Give a variable."""
        return self._values[name.lower()]

    def positional(self, index: int) -> object:
        """Give a positional parameter."""
        if index >= len(self._positional):
            raise error_class("PLN005")("PLN005", f"there is no parameter number {index + 1}")
        return self._positional[index]

    def env(self, name: str, default: str | None) -> str:
        """Give an environment variable."""
        return self._env.get(name, default or "")


def sql_text(text: str, *, before: str = "", first_positional: int = 0) -> SqlText:
    """Give SELECT text as the parser would, at its place behind other text of a script."""
    source = Source("test.moltler", before + text)
    span = Span(source, len(before), len(before) + len(text))
    return SqlText(span=span, text=text, first_positional=first_positional)


def plan(
    text: str,
    connectors: Mapping[str, Sequence[Table]],
    variables: Mapping[str, object] | None = None,
    *,
    positional: Sequence[object] = (),
    fold: Fold | None = None,
    before: str = "",
) -> QueryPlan:
    """Plan a SELECT over entities."""
    return plan_select(
        sql_text(text, before=before),
        FixedTables(connectors),
        FixedVariables(variables, positional),
        now=NOW,
        fold=fold,
    )
