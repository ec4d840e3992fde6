"""Syncs in tests: handlers in Python, a destination in memory, a clock that is moved by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event
from typing import Any

from moltler.errors import Source, Span
from moltler.exec.duck import Engine
from moltler.exec.extract import Extractor
from moltler.flow.sync import RunRecord, Scope
from moltler.plan.synced import plan_entity
from moltler.ports import Destination
from moltler.sync.job import Deletes, Job, Overlap
from moltler.sync.run import RunOutcome, Tools, run_job
from support.clock import HandClock
from support.handlers import PythonHandlers, Table
from support.memory_destination import MemoryDestination
from support.planning import FixedTables, FixedVariables

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Give an instant some seconds after the beginning of a test."""
    return START + timedelta(seconds=seconds)


@dataclass
class SyncBench:
    """Runs syncs of one entity at a time."""

    engine: Engine
    clock: HandClock = field(default_factory=lambda: HandClock(START))
    pauses: list[float] = field(default_factory=list[float])
    records: list[RunRecord] = field(default_factory=list[RunRecord])
    on_pause: Callable[[float], None] = lambda _s: None
    batch_bytes: int = 64 << 20
    heartbeat_s: float = 20.0
    _ids: Any = field(default_factory=lambda: count(1))
    memory: MemoryDestination = field(init=False)
    destination: Destination = field(init=False)

    def __post_init__(self) -> None:
        self.memory = MemoryDestination(self.clock)
        self.destination = self.memory

    def job(
        self,
        table: Table,
        *,
        on: str | None = None,
        to: str = "t",
        where: str | None = None,
        connector: str = "shop",
        lookback: float | None = None,
        full: bool = False,
        deletes: Deletes = "NONE",
        deletes_field: str | None = None,
        max_errors: int = 0,
        allow_empty: bool = False,
        overlap: Overlap = "SKIP",
        bounds: tuple[object, object] | None = None,
        batch_rows: int = 50_000,
        retry_count: int = 0,
    ) -> Job:
        """Give the job of one entity."""
        fields = table.entity.fields
        span = Span(Source("test", where), 0, len(where)) if where else None
        planned = plan_entity(
            connector,
            table.entity.name,
            span,
            FixedTables({connector: [table]}),
            FixedVariables({}),
            now=self.clock.now(),
        )
        shown = None if bounds is None else (str(bounds[0]), str(bounds[1]))
        return Job(
            Scope(connector, table.entity.name, to, planned.where, shown),
            table.entity,
            planned.plan,
            fields.find(on) if on else None,
            None if lookback is None else timedelta(seconds=lookback),
            full,
            deletes,
            fields.find(deletes_field) if deletes_field else None,
            max_errors,
            allow_empty,
            overlap,
            bounds,
            batch_rows,
            retry_count,
        )

    def tools(self, handlers: PythonHandlers) -> Tools:
        """Give what a run needs."""
        return Tools(
            Extractor(self.engine, handlers, handlers.resolve, self.clock),
            self.destination,
            self.clock,
            pause=self._pause,
            draw=random.Random(7).random,
            new_id=lambda: f"run{next(self._ids)}",
            watch=self.records.append,
            batch_bytes=self.batch_bytes,
            heartbeat_s=self.heartbeat_s,
        )

    def sync(self, table: Table, **asked: Any) -> RunOutcome:
        """Run a sync; its error is a value."""
        connector = str(asked.get("connector", "shop"))
        return run_job(self.job(table, **asked), self.tools(PythonHandlers({connector: [table]})))

    def synced(self, table: Table, **asked: Any) -> RunRecord:
        """Run a sync that must succeed."""
        outcome = self.sync(table, **asked)
        if outcome.error is not None:
            raise outcome.error
        return outcome.record

    def _pause(self, seconds: float, _is_over: Event) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds)
        self.on_pause(seconds)
