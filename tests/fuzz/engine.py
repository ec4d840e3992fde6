"""A plan run as the program runs it: pages streamed through the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from moltler.exec.duck import Engine
from moltler.exec.run import run_select
from moltler.flow.scan import QueryPlan
from support.clock import HandClock
from support.handlers import PythonHandlers

_OPEN = {"document", "any"}


class EngineRun:
    """Runs plans on one engine; `close` when done."""

    def __init__(self) -> None:
        self.engine = Engine(threads=1)

    def run(self, plan: QueryPlan, handlers: PythonHandlers) -> list[tuple[Any, ...]]:
        """Run a plan and give its rows as DuckDB's own Python values."""
        rows = run_select(
            plan,
            engine=self.engine,
            handlers=handlers,
            resolve=handlers.resolve,
            clock=HandClock(),
        )
        try:
            batches = list(rows)
            types = [c.type for c in rows.columns]
        finally:
            rows.close()
        found: list[tuple[Any, ...]] = []
        for batch in batches:
            cells = [_cells(c, t) for c, t in zip(batch.columns, types, strict=True)]
            found.extend(zip(*cells, strict=True))
        return found

    def fold(self, sql: str, parameters: Mapping[str, object]) -> object:
        """Evaluate SQL without columns."""
        return self.engine.evaluate_constant(sql, parameters)

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()


def _cells(column: pa.Array, type_: str) -> list[Any]:
    values = column.to_pylist()
    if type_ not in _OPEN:
        return values
    return [None if v is None else json.loads(v) for v in values]
