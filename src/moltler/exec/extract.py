"""All rows of one entity that meet a condition, page by page, and what is known about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from moltler.exec.budget import Budget
from moltler.exec.duck import Engine
from moltler.exec.run import Resolve, SelectRows, run_select
from moltler.exec.scan import ScanSource
from moltler.flow.scan import IncompleteReason, QueryPlan, ScanRequest, Warning
from moltler.flow.sync import Unfit
from moltler.ports import Clock, Handlers


@dataclass(frozen=True, slots=True)
class Extractor:
    """Reads entities.

    Args:
        engine: Re-checks conditions.
        handlers: Run the scans; neither cached nor retried, for rows that are moved must be fresh
            and are read again from where the last commit ended.
        resolve: Gives instances.
        clock: Times scans.
    """

    engine: Engine
    handlers: Handlers
    resolve: Resolve
    clock: Clock

    def open(
        self, plan: QueryPlan, also: Callable[[ScanRequest], ScanRequest] = lambda r: r
    ) -> Extraction:
        """Begin to read; nothing is asked of the API before the first batch is pulled.

        Args:
            plan: Of one scan; its SQL gives the scan's fields in the order of its request.
            also: Adds hints to the request that nobody checks here.
        """
        planned = plan.scans[0]
        is_checked = planned.where or planned.local or planned.feeds or planned.is_empty
        request = replace(also(planned), keeps_unfit=True)
        if is_checked:
            return _Checked(replace(plan, scans=(request,)), self)
        return _Plain(request, self)


class Extraction:
    """Rows being read. `batches` is read once, by one thread; `close` may come from any."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give the rows in the order of the API, in the declared types of `exec.pages`.

        Raises:
            MoltlerError: The handler failed.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop the handler; may be repeated."""
        raise NotImplementedError

    @property
    def scans(self) -> list[ScanSource]:
        """What is being read."""
        raise NotImplementedError

    def take_unfit(self) -> list[Unfit]:
        """Give the rows that did not fit since the last call."""
        return [u for s in self.scans for u in s.take_unfit()]

    @property
    def incomplete_reason(self) -> IncompleteReason | None:
        """Why rows may be missing; final after the last batch."""
        return next((s.incomplete_reason for s in self.scans if s.incomplete_reason), None)

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """What users should know; final after the last batch."""
        return tuple(w for s in self.scans for w in s.warnings)

    @property
    def requests(self) -> int:
        """HTTP requests so far."""
        return sum(s.requests for s in self.scans)

    @property
    def rows(self) -> int:
        """Rows that the API gave so far."""
        return sum(s.rows for s in self.scans)

    @property
    def server_time(self) -> datetime | None:
        """The API's own time when it first answered, if it told it."""
        return min((s.server_time for s in self.scans if s.server_time), default=None)


class _Plain(Extraction):
    """A scan without a condition: its pages are the rows."""

    def __init__(self, request: ScanRequest, by: Extractor) -> None:
        self._budget = Budget(by.clock)
        self._scan = ScanSource(request, by.resolve(request.connector), by.handlers, self._budget)
        self._cleanup = ExitStack()
        self._cleanup.callback(self._budget.close)
        self._cleanup.callback(self._scan.close)

    def batches(self) -> Iterator[pa.RecordBatch]:
        self._budget.start()
        try:
            yield from self._scan.pages(limit=None)
        finally:
            self.close()

    def close(self) -> None:
        self._cleanup.close()

    @property
    def scans(self) -> list[ScanSource]:
        return [self._scan]


class _Checked(Extraction):
    """A scan whose rows the engine checks, and that may take several calls."""

    def __init__(self, plan: QueryPlan, by: Extractor) -> None:
        self._plan = plan
        self._by = by
        self._rows: SelectRows | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        by = self._by
        self._rows = run_select(
            self._plan,
            engine=by.engine,
            handlers=by.handlers,
            resolve=by.resolve,
            clock=by.clock,
        )
        yield from self._rows

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()

    @property
    def scans(self) -> list[ScanSource]:
        return [] if self._rows is None else self._rows.scans
