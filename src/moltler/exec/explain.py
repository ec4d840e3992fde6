"""What a planned SELECT would ask of each handler, as rows (LANGUAGE §6.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from moltler.flow.connector import ResolvedConnector
from moltler.flow.result import Column
from moltler.flow.scan import QueryPlan, ScanRequest
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
    "P1": "P1: an outer join may give NULLs for this table, and they may pass the condition",
    "P2": "P2: the ON of this join does not choose among the rows of the joined table",
    "P3": "P3: the ON of this join does not choose among the rows of an earlier table",
    "P4": "P4: the ON of a FULL JOIN chooses among the rows of neither table",
    "P5": "P5: between it and the table stand LIMIT, a window, grouping, a computed column, or a "
    "query that is used more than once",
    "P6": "P6: the FROM holds what push-down does not follow, such as LATERAL or TABLESAMPLE",
    "value": "no operator says it: the column stands inside a function or cast, or the constant "
    "does not fit the field",
    "L1": "the handler knows no order across a join, grouping or window",
    "key": "the sort key is no plain field of this scan",
    "keys": "another key of this ORDER BY is no plain field",
}
_NO_LIMIT: Mapping[str, str] = {
    "L1": "L1: the rows of this scan are joined, grouped, counted or made distinct first",
    "L2": "L2: a condition of WHERE is not handed over",
    "L3": "L3: LIMIT or OFFSET is only known while the query runs",
    "L4": "L4: the handler does not claim the order of ORDER BY, with NULLs last",
    "L5": "L5: the scan takes several calls",
    "L6": "L6: more than 10,000 rows, and not everything is claimed",
}


def no_cache(request: ScanRequest, target: ResolvedConnector) -> tuple[str, str]:
    """Give the verdict on a scan that is never answered from rows kept here."""
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
    for request in plan.scans:
        target = targets[request.connector]
        rows.extend(masked(row, target.secrets) for row in _scan(request, target, verdict))
    return tuple(rows)


def _scan(request: ScanRequest, target: ResolvedConnector, verdict: CacheVerdict) -> Iterator[Row]:
    name, options = request.scan, options_of(target, request)
    handler = f"{target.type.name}.{request.entity.name}"
    yield name, "handler", handler, f"revision {target.revision}, instance {target.name}"
    yield name, "filters", filters_of(request), None
    yield name, "where", options.get("where"), None
    yield name, "order_by", options.get("order_by"), None
    yield name, "fields", options.get("fields"), None if "fields" in options else "all fields"
    for conjunct in request.local:
        yield name, "local", conjunct.text, _KEPT_HERE[conjunct.rule]
    yield name, "limit", request.limit, _limit_reason(request)
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


def _calls(request: ScanRequest) -> tuple[int, str | None]:
    if request.is_empty:
        return 0, "the conditions cannot hold together, or LIMIT is 0"
    return 1, None


def masked(row: Row, secrets: tuple[Secret, ...]) -> Row:
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
