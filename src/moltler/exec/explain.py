"""What a planned SELECT would ask of each handler, as rows (LANGUAGE §6.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from moltler.flow.connector import ResolvedConnector
from moltler.flow.result import Column
from moltler.flow.scan import KEYS_PER_CALL, Feed, QueryPlan, ScanRequest
from moltler.sandbox.values import filters_of, options_of
from moltler.secret import Secret, redact

Row: TypeAlias = tuple[str | None, str, object, str | None]
"""``scan item value reason``."""
COLUMNS = (
    Column("scan", "string"),
    Column("item", "string"),
    Column("value", "any"),
    Column("reason", "string"),
)
CacheVerdict: TypeAlias = Callable[[ScanRequest, ResolvedConnector], tuple[str, str]]
"""Gives ``hit``, ``miss`` or ``off``, and why."""

_KEPT_HERE: Mapping[str, str] = {
    "P1": "P1: rows that an outer join fills with NULLs may pass it",
    "P2": "P2: the ON of this join does not choose among the rows of the joined table",
    "P3": "P3: the ON of this join does not choose among the rows of an earlier table",
    "P4": "P4: the ON of a FULL JOIN chooses among the rows of neither table",
    "P5": "P5: LIMIT, a window, grouping or a second use of the query stands in between",
    "P6": "P6: the FROM holds what push-down does not follow, such as LATERAL or TABLESAMPLE",
    "value": "no operator says it: a function or cast of the column, or a constant of another type",
    "L1": "the handler knows no order across a join, grouping or window",
    "key": "the sort key is no plain field of this scan",
    "keys": "another key of this ORDER BY is no plain field",
}
_NO_LIMIT: Mapping[str, str] = {
    "L1": "L1: its rows are joined, grouped, counted or made distinct first",
    "L2": "L2: a condition of WHERE is not handed over",
    "L3": "L3: LIMIT or OFFSET is only known while the query runs",
    "L4": "L4: the order is not claimed, or NULLs come first",
    "L5": "L5: the scan takes several calls",
    "L6": "L6: more than 10,000 rows, and not everything is claimed",
}


def no_cache(request: ScanRequest, target: ResolvedConnector) -> tuple[str, str]:
    """Give the verdict on a scan that is never answered from rows kept here."""
    if target.limits.cache_ttl_s > 0:
        return "off", "this version keeps no rows"
    return "off", "the option cache_ttl is not set"


def explain(
    plan: QueryPlan,
    resolve: Callable[[str], ResolvedConnector],
    verdict: CacheVerdict = no_cache,
) -> tuple[Row, ...]:
    """Tell what a query would do, without calling a handler.

    Args:
        plan: The query, as it would run.
        resolve: Gives an instance ready for a call.
        verdict: What the cache would do.

    Raises:
        MoltlerError: An instance cannot be called.
    """
    targets = {r.connector: resolve(r.connector) for r in plan.scans}
    rows: list[Row] = []
    for request in in_order(plan.scans):
        target = targets[request.connector]
        found = _scan(request, target, plan.scans, verdict)
        rows.extend(_masked_row(row, target.secrets) for row in found)
    return tuple(rows)


def in_order(scans: tuple[ScanRequest, ...]) -> tuple[ScanRequest, ...]:
    """Give the scans in the order in which they begin: those whose keys others wait for first."""
    ordered: list[ScanRequest] = []
    done: set[str] = set()
    while len(ordered) < len(scans):
        ready = [r for r in scans if r.scan not in done and _drivers(r) <= done]
        ordered.extend(ready)
        done.update(r.scan for r in ready)
    return tuple(ordered)


def _drivers(request: ScanRequest) -> set[str]:
    return {f.driver for f in request.feeds if f.driver is not None}


def _scan(
    request: ScanRequest,
    target: ResolvedConnector,
    scans: tuple[ScanRequest, ...],
    verdict: CacheVerdict,
) -> Iterator[Row]:
    name, options = request.scan, options_of(target, request)
    handler = f"{target.type.name}.{request.entity.name}"
    whose = f"revision {target.revision}, instance {target.name}"
    yield name, "handler", handler, whose if target.revision else "a synced table: no handler runs"
    yield name, "filters", filters_of(request), None
    yield name, "where", options.get("where"), None
    yield name, "order_by", options.get("order_by"), None
    yield name, "fields", options.get("fields"), None if "fields" in options else "all fields"
    for conjunct in request.local:
        yield name, "local", conjunct.text, _KEPT_HERE[conjunct.rule]
    yield name, "limit", request.limit, _limit_reason(request)
    yield from _joins(request, scans)
    yield name, "calls", *_calls(request)
    yield name, "cache", *verdict(request, target)


def _limit_reason(request: ScanRequest) -> str:
    if request.limit is None:
        if request.limit_rule is not None:
            return _NO_LIMIT[request.limit_rule]
        return "the SELECT of this scan has no LIMIT"
    if request.limit_is_claimed:
        return "handed over, claimed exact"
    return "handed over, may need a second call"


def _joins(request: ScanRequest, scans: tuple[ScanRequest, ...]) -> Iterator[Row]:
    fed = [f"{r.scan}.{f.field}" for r in scans for f in r.feeds if f.driver == request.scan]
    if fed:
        yield request.scan, "join", "driver", f"its keys go to {', '.join(fed)}"
    for feed in request.feeds:
        source = (
            f"keys from {feed.driver}.{feed.column}"
            if feed.driver is not None
            else f"{len(feed.values)} keys from a list"
        )
        yield request.scan, "join", source, f"{feed.field}: {_chunks(feed)}"


def _chunks(feed: Feed) -> str:
    return f"IN, {KEYS_PER_CALL} keys a call" if feed.operator == "in" else "=, one key a call"


def _calls(request: ScanRequest) -> tuple[int, str | None]:
    if request.is_empty:
        return 0, "the conditions cannot hold together, or LIMIT is 0"
    if _drivers(request):
        return 0, "as many as the keys need; none if there are none"
    least = 1
    for feed in request.feeds:
        size = KEYS_PER_CALL if feed.operator == "in" else 1
        least *= -(-len(feed.values) // size)
    return least, "one for each part of the list" if request.feeds else None


def _masked_row(row: Row, secrets: tuple[Secret, ...]) -> Row:
    """Give a row without the values of secrets."""
    scan, item, value, reason = row
    return scan, item, _masked(value, secrets), None if reason is None else redact(reason, secrets)


def _masked(value: object, secrets: tuple[Secret, ...]) -> object:
    match value:
        case str():
            return redact(value, secrets)
        case list():
            return [_masked(item, secrets) for item in value]
        case dict():
            return {key: _masked(item, secrets) for key, item in value.items()}
        case _:
            return value
