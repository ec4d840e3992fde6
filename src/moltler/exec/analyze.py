"""A SELECT that is run for its figures: EXPLAIN ANALYZE (LANGUAGE §6.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pyarrow as pa

from moltler.exec.duck import Connection, Engine
from moltler.exec.explain import COLUMNS, CacheVerdict, Row, explain, in_order, no_cache
from moltler.exec.measure import MeasuredHandlers, Tally
from moltler.exec.pages import variants
from moltler.exec.run import OnEnd, Resolve, SelectRows, run_select
from moltler.flow.result import Table
from moltler.flow.scan import QueryPlan, ScanRequest
from moltler.ports import Clock, Handlers


def analyze(
    plan: QueryPlan,
    *,
    engine: Engine,
    handlers: Handlers,
    resolve: Resolve,
    clock: Clock,
    on_end: OnEnd | None = None,
    verdict: CacheVerdict = no_cache,
) -> Table:
    """Run a query, drop its rows, and tell what was planned and what happened.

    Raises:
        MoltlerError: As the query itself.
    """
    planned = explain(plan, resolve, verdict)
    with engine.open() as counting:
        count = partial(_kept, counting, plan.parameters)
        measured = MeasuredHandlers(handlers, plan.scans, count, clock.monotonic)
        started = clock.monotonic()
        rows = run_select(
            plan, engine=engine, handlers=measured, resolve=resolve, clock=clock, on_end=on_end
        )
        returned = sum(batch.num_rows for batch in rows)
        seconds = clock.monotonic() - started
    found: list[Row] = []
    for request in in_order(plan.scans):
        found.extend(row for row in planned if row[0] == request.scan)
        found.extend(_happened(measured.tallies[request.scan]))
    found.extend(_of_query(rows, returned))
    found.extend(_times(seconds, measured.waiting.read()))
    return Table(COLUMNS, tuple(found), rows.warnings)


def _happened(tally: Tally) -> Iterator[Row]:
    name = tally.request.scan
    yield name, "calls_made", tally.calls, None
    yield name, "second_calls", tally.second_calls, None
    yield name, "requests", tally.requests, None
    yield name, "pages", tally.pages, None
    yield name, "rows_received", tally.received, None
    why = "only counted where a SELECT reads one scan alone" if tally.kept is None else None
    yield name, "rows_kept", tally.kept, why
    yield name, "retries", tally.retries, None
    yield name, "cache_hits", tally.cache_hits, None
    yield name, "api_ms", _ms(tally.api_s), "requests on their way, waits for rate_limit included"
    yield name, "javascript_ms", _ms(max(tally.call_s - tally.api_s, 0.0)), None


def _of_query(rows: SelectRows, returned: int) -> Iterator[Row]:
    yield None, "rows", returned, None
    reason = rows.incomplete_reason
    yield None, "complete", reason is None, reason


def _times(seconds: float, waiting: float) -> Iterator[Row]:
    yield None, "engine_ms", _ms(max(seconds - waiting, 0.0)), "all that was no wait for a page"
    yield None, "total_ms", _ms(seconds), None


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _kept(
    connection: Connection,
    parameters: Mapping[str, object],
    request: ScanRequest,
    check_sql: str,
    batch: pa.RecordBatch,
) -> int:
    work: Callable[[], int] = partial(_count, connection, parameters, request, check_sql, batch)
    return connection.submit(work).result()


def _count(
    connection: Connection,
    parameters: Mapping[str, object],
    request: ScanRequest,
    check_sql: str,
    batch: pa.RecordBatch,
) -> int:
    fields = request.entity.fields
    looked_into = [
        p
        for c in batch.schema.names
        if c not in request.through and (p := fields.find(c)) is not None
    ]
    connection.register(request.scan, _Page(batch), variants(looked_into))
    return connection.count(check_sql, parameters)


class _Page:
    """One page as the engine reads it (`exec.duck.ArrowSource`)."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __arrow_c_schema__(self) -> object:
        return self._batch.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._batch.__arrow_c_stream__()
