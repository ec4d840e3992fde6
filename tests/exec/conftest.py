"""Plans run over handlers written in Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from moltler.exec.duck import Engine
from moltler.exec.result import Result
from moltler.exec.run import run_select
from moltler.flow.scan import QueryPlan, ScanRequest
from support.clock import HandClock
from support.handlers import PythonHandlers, Table


@dataclass
class Bench:
    """Runs SQL over scans whose handlers are Python functions."""

    engine: Engine
    clock: HandClock = field(default_factory=HandClock)
    ended: list[BaseException | None] = field(default_factory=list[BaseException | None])

    def start(
        self, handlers: PythonHandlers, sql: str, *requests: ScanRequest, **parameters: Any
    ) -> Result:
        """Start a query and leave its rows unread."""
        rows = run_select(
            QueryPlan(sql, parameters, requests),
            engine=self.engine,
            handlers=handlers,
            resolve=handlers.resolve,
            clock=self.clock,
            on_end=self.ended.append,
        )
        return Result(rows)

    def rows(self, table: Table, sql: str, **changes: Any) -> list[tuple[Any, ...]]:
        """Run SQL over one scan called ``t`` and give every row."""
        handlers = PythonHandlers({"shop": [table]})
        request = handlers.request("t", f"shop.{table.entity.name}", **changes)
        with self.start(handlers, sql, request) as result:
            return list(result.rows())


@pytest.fixture
def bench() -> Iterator[Bench]:
    """An engine of its own."""
    engine = Engine()
    yield Bench(engine)
    engine.close()
