"""A planned SELECT run over live scans: rows out, with warnings and completeness."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import TypeVar, cast

import pyarrow as pa

from moltler.errors import MoltlerError, error_class
from moltler.exec.border import BorderColumn
from moltler.exec.budget import Budget
from moltler.exec.duck import Connection, Engine, Query
from moltler.exec.feeding import Feeder
from moltler.exec.pages import variants
from moltler.exec.scan import ScanSource
from moltler.exec.sources import Begun, Kept, Live, Source, stop
from moltler.flow.connector import ResolvedConnector
from moltler.flow.result import Column
from moltler.flow.scan import IncompleteReason, QueryPlan, ScanRequest, Warning
from moltler.model import Entity
from moltler.ports import Clock, Handlers

T = TypeVar("T")
Resolve = Callable[[str], ResolvedConnector]
"""Gives an instance, by its name, ready for a call."""

_STOPS_EARLY = re.compile(r"\b(LIMIT|FETCH)\b", re.IGNORECASE)
"""What may make one of several scans needless before it begins; in a text it costs only time."""
_MOST_BUFFERED = 50_000
"""Rows of a limited scan that are kept while it is not believed yet."""


OnEnd = Callable[[BaseException | None], None]
"""Told once that a query is over, and what it failed with."""


def run_select(
    plan: QueryPlan,
    *,
    engine: Engine,
    handlers: Handlers,
    resolve: Resolve,
    clock: Clock,
    on_end: OnEnd | None = None,
) -> SelectRows:
    """Start a query; its rows are pulled by whoever reads the result.

    Raises:
        MoltlerError: A secret is missing, a handler failed while a limit was verified, or DuckDB
            refuses the SQL.
    """
    with ExitStack() as cleanup:
        connection = cleanup.enter_context(engine.open())
        targets = {r.connector: resolve(r.connector) for r in plan.scans}
        budget = Budget(clock)
        scans = [ScanSource(r, targets[r.connector], handlers, budget) for r in plan.scans]
        rows = SelectRows(plan, scans, connection, budget, on_end)
        rows.own(cleanup.pop_all())
    try:
        rows.start()
    except BaseException as error:
        rows.close(error)
        raise
    return rows


def first_rows(
    target: ResolvedConnector, entity: Entity, *, handlers: Handlers, clock: Clock
) -> int:
    """Read the beginning of an entity, as TEST CONNECTOR does; give the number of rows.

    Raises:
        MoltlerError: The handler failed, or a value does not fit its field.
    """
    columns = tuple(p.name for p in entity.fields if not p.filter_only)
    request = ScanRequest("scan_0", target.name, entity, columns, limit=1)
    budget = Budget(clock)
    scan = ScanSource(request, target, handlers, budget)
    budget.start()
    pages = scan.pages(limit=1)
    try:
        return next((page.num_rows for page in pages), 0)
    finally:
        scan.close()
        budget.close()


def _is_read_first(request: ScanRequest, limit: int) -> bool:
    """Whether a limited scan is read before DuckDB runs, instead of by it.

    A sort reads a generator to its end, which a claimed order makes needless. A filter gathers
    small pages until they are worth handing on, which would be requests that nobody needs.
    """
    if not request.limit_is_claimed or request.order_by:
        return True
    return request.check_sql is not None and limit <= _MOST_BUFFERED


class SelectRows:
    """The rows of a running SELECT (`flow.result.RowStream`)."""

    def __init__(
        self,
        plan: QueryPlan,
        scans: list[ScanSource],
        connection: Connection,
        budget: Budget,
        on_end: OnEnd | None = None,
    ) -> None:
        self._plan = plan
        self._scans = scans
        self._sources: dict[str, Source] = {s.request.scan: Live(s, s.request.limit) for s in scans}
        self._connection = connection
        self._budget = budget
        self._begun: list[Begun] = []
        by_name = {s.request.scan: s for s in scans}
        self._feeder = Feeder(plan, by_name, connection, self._register)
        self._cleanup = ExitStack()
        self._query: Query | None = None
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._on_end = on_end
        self._failure: BaseException | None = None
        self._running: Future[object] | None = None
        self._closed = False

    # ── what the result is ───────────────────────────────────────────────────────────────────

    @property
    def scans(self) -> list[ScanSource]:
        """What it reads, for whoever looks into the scans while they run."""
        return self._scans

    @property
    def border(self) -> tuple[BorderColumn, ...]:
        """The columns with their Arrow types."""
        return self._query.columns if self._query is not None else ()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns as users see them."""
        return tuple(Column(c.name, c.type) for c in self.border)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every batch."""
        return pa.schema([(c.name, c.arrow) for c in self.border])

    @property
    def incomplete_reason(self) -> IncompleteReason | None:
        """Why rows may be missing; final once the rows have been read."""
        return next((s.incomplete_reason for s in self._scans if s.incomplete_reason), None)

    @property
    def warnings(self) -> tuple[Warning, ...]:
        """What users should know; final once the rows have been read."""
        found = [*self._plan.warnings, *(w for s in self._scans for w in s.warnings)]
        return tuple(dict.fromkeys(found))

    # ── running ──────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin the scans, register them, verify limited ones, read drivers and bind the SQL."""
        self._budget.start()
        for scan in self._needed():
            begun = Begun(scan, scan.request.limit, self._connection.read_ahead)
            self._begun.append(begun)
            self._sources[scan.request.scan] = begun
        for scan in self._scans:
            self._register(scan, self._sources[scan.request.scan])
        for scan in self._scans:
            limit = scan.request.limit
            if limit is not None and _is_read_first(scan.request, limit):
                self._wait(partial(self._verify, scan, limit))
        plan = self._plan
        if any(r.feeds for r in plan.scans):
            self._wait(lambda: self._feeder.run(self._sources))
        self._query = self._connection.query(plan.sql, plan.parameters, plan.through)
        self._batches = self._query.batches()

    def _needed(self) -> list[ScanSource]:
        """Give the scans that begin at once: those of which DuckDB reads at least a page."""
        scans = self._scans
        if len(scans) > 1 and _STOPS_EARLY.search(self._plan.sql):
            return []
        return [s for s in scans if not s.request.feeds and not s.request.is_empty]

    def own(self, cleanup: ExitStack) -> None:
        """Take over what must be released with the result."""
        self._cleanup = cleanup

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Give the batches, each pulled when asked for; read once.

        Raises:
            MoltlerError: A handler, a value or the SQL failed.
        """
        batches = self._batches
        if batches is None:
            return
        try:
            while (batch := self._wait(lambda: next(batches, None))) is not None:
                yield batch
        finally:
            self.close()

    def close(self, error: BaseException | None = None) -> None:
        """Stop the scans and release the engine; may be repeated.

        Args:
            error: What the query failed with, if `_wait` has not seen it: Ctrl-C may come at
                any moment.
        """
        if self._closed:
            return
        self._closed = True
        self._failure = self._failure or error
        self.stop()
        self._cleanup.close()
        for begun in self._begun:
            begun.close()
        self._feeder.close()
        self._budget.close()
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self._failure)

    def stop(self) -> None:
        """Cancel what runs: the pages first, for DuckDB notices only between them."""
        for scan in self._scans:
            scan.close()
        self._feeder.stop()
        if self._running is not None and not self._running.done():
            self._connection.interrupt()
        batches, self._batches = self._batches, None
        if batches is not None:
            self._connection.submit(lambda: _close(batches)).result()

    def _wait(self, work: Callable[[], T]) -> T:
        future: Future[T] = self._connection.submit(work)
        self._running = cast("Future[object]", future)
        try:
            result = future.result()
        except Exception as error:  # noqa: BLE001 - whatever it is, the scan's own error explains it
            if self._closed:
                raise _closed_meanwhile() from None
            self._failure = self._cause(error)
            raise self._failure from None
        except BaseException as error:
            self._failure = error
            # Ctrl-C: the worker must not go on pulling pages that nobody reads.
            self.stop()
            raise
        if self._closed:
            # What it is made of may lack the rows of scans that were stopped.
            raise _closed_meanwhile()
        return result

    def _cause(self, error: Exception) -> BaseException:
        # DuckDB keeps only the text of what a scan raised, so the scan keeps the error itself.
        return next((s.failure for s in self._scans if s.failure is not None), error)

    # ── limits ───────────────────────────────────────────────────────────────────────────────

    def _verify(self, scan: ScanSource, limit: int) -> None:
        """Call a limited scan and keep its rows if they may be believed (LANGUAGE §6.5).

        Otherwise the scan runs once more, without the limit, when DuckDB opens it.
        """
        is_claimed = scan.request.limit_is_claimed
        kept: list[pa.RecordBatch] = []
        received = 0
        is_believed = has_ended = False
        pages = self._sources[scan.request.scan].pages()
        try:
            for page in pages:
                kept.append(page)
                received += page.num_rows
                is_believed = received >= limit and self._passing(scan, kept) >= limit
                if is_believed or (received > max(_MOST_BUFFERED, limit) and not is_claimed):
                    break
            else:
                has_ended = True
        finally:
            stop(pages)
        is_exhausted = scan.request.check_sql is None and received < limit
        if is_believed or (has_ended and (is_claimed or is_exhausted)):
            self._give(scan, Kept(scan.schema, kept))
            return
        scan.disbelieve()
        self._give(scan, Live(scan, None))

    def _passing(self, scan: ScanSource, kept: list[pa.RecordBatch]) -> int:
        if scan.request.check_sql is None:
            return sum(p.num_rows for p in kept)
        self._register(scan, Kept(scan.schema, kept))
        return self._connection.count(scan.request.check_sql, self._plan.parameters)

    def _give(self, scan: ScanSource, source: Source) -> None:
        """Let the engine, and scans that are fed, read other rows in the place of a scan's."""
        self._sources[scan.request.scan] = source
        self._register(scan, source)

    def _register(self, scan: ScanSource, source: Source) -> None:
        looked_into = [p for p in scan.columns if p.name not in scan.request.through]
        self._connection.register(scan.request.scan, source, variants(looked_into))


def _closed_meanwhile() -> MoltlerError:
    return error_class("PLN006")(
        "PLN006",
        "the result was closed while another thread read its rows",
        hint="close it when the last row has been read",
    )


def _close(batches: Iterator[pa.RecordBatch]) -> None:
    batches.close()  # type: ignore[attr-defined] # a generator of `Query.batches`
