"""A plan run as the program runs it: pages streamed through the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pyarrow as pa

from moltler.exec.cache import CachingHandlers, ScanCache
from moltler.exec.duck import Engine
from moltler.exec.run import run_select
from moltler.flow.predicate import Condition
from moltler.flow.scan import QueryPlan, ScanRequest
from support.clock import HandClock
from support.handlers import PythonHandlers

_OPEN = {"document", "any"}


class EngineRun:
    """Runs plans on one engine; `close` when done."""

    def __init__(self) -> None:
        self.engine = Engine(threads=1)
        self.hits = 0
        """Scans that were answered from a cache."""

    def run(self, plan: QueryPlan, handlers: PythonHandlers | Cached) -> list[tuple[Any, ...]]:
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

    def run_cached(self, plan: QueryPlan, handlers: PythonHandlers) -> list[tuple[Any, ...]]:
        """Run a plan over a cache that has seen scans like its own; give what one run gave."""
        random = Random(plan.sql)
        handlers.limits = replace(handlers.limits, cache_ttl_s=60)
        cache = ScanCache(HandClock())
        cached = Cached(handlers, cache)
        for request in plan.scans:
            if not request.is_empty:
                for _ in range(random.choice([0, 1, 2])):
                    list(cached.query(handlers.resolve(request.connector), _like(request, random)))
        first = self.run(plan, cached)
        second = self.run(plan, cached)
        self.hits += sum(row.hits for row in cache.rows())
        return random.choice([first, second])

    def fold(self, sql: str, parameters: Mapping[str, object]) -> object:
        """Evaluate SQL without columns."""
        return self.engine.evaluate_constant(sql, parameters)

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()


class Cached(CachingHandlers):
    """Handlers over a cache, which still know their instances."""

    def __init__(self, handlers: PythonHandlers, cache: ScanCache) -> None:
        super().__init__(handlers, cache)
        self.resolve = handlers.resolve


def _like(request: ScanRequest, random: Random) -> ScanRequest:
    """Give a scan that knows some of another's conditions, in another order, with another limit."""
    fields = request.entity.fields
    where = [p for p in request.where if random.random() < 0.6]
    random.shuffle(where)
    told = {p.field for p in where if isinstance(p, Condition)}
    required = any(c.required for c in request.entity.pushdown.filters.values())
    changes: dict[str, Any] = (
        {}
        if required
        else {
            "where": tuple(where),
            "filters": {n: v for n, v in request.filters.items() if n in told},
        }
    )
    if random.random() < 0.5:
        changes |= {"columns": tuple(p.name for p in fields), "fields": None}
    limit = random.choice([None, None, request.limit, (request.limit or 0) + 2, 1])
    if limit is None or random.random() < 0.3:
        changes["order_by"] = ()
    return replace(request, limit=limit, **changes)


def _cells(column: pa.Array, type_: str) -> list[Any]:
    values = column.to_pylist()
    if type_ not in _OPEN:
        return values
    return [None if v is None else json.loads(v) for v in values]
