"""Keys handed from scan to scan the short way: one call for each combination of keys.

It follows LANGUAGE §6.6 on its own, without chunks, so that planner and executor can be judged
apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from moltler.flow.predicate import Condition
from moltler.flow.scan import Feed, ScanRequest

Row = Mapping[str, Any]


def keyed_requests(
    request: ScanRequest, keys_of: Mapping[str, Sequence[Row]]
) -> list[ScanRequest]:
    """Give the calls of a scan.

    Args:
        request: The scan.
        keys_of: For each driver rows with the values that its columns have.
    """
    sets = [_keys(group, keys_of) for group in _groups(request.feeds)]
    return [_call(request, [pair for key in keys for pair in key]) for keys in product(*sets)]


def is_own(request: ScanRequest, fed: ScanRequest, row: Row) -> bool:
    """Tell whether a row belongs to a call."""
    return all(row[f.field] == fed.filters[f.field] for f in request.feeds)


def _groups(feeds: Sequence[Feed]) -> list[list[Feed]]:
    groups: dict[object, list[Feed]] = {}
    for feed in feeds:
        groups.setdefault(feed.field if feed.driver is None else feed.group, []).append(feed)
    return list(groups.values())


def _keys(
    group: list[Feed], keys_of: Mapping[str, Sequence[Row]]
) -> list[tuple[tuple[str, Any], ...]]:
    driver = group[0].driver
    if driver is None:
        return [((group[0].field, value),) for value in group[0].values]
    rows = [tuple(row[str(f.column)] for f in group) for row in keys_of[driver]]
    found = dict.fromkeys(r for r in rows if not any(v is None for v in r))
    return [tuple(zip((f.field for f in group), key, strict=True)) for key in found]


def _call(request: ScanRequest, told: Sequence[tuple[str, Any]]) -> ScanRequest:
    conditions = tuple(Condition(name, "=", value) for name, value in told)
    filters = {**request.filters, **dict(told)}
    return replace(request, where=(*request.where, *conditions), filters=filters, feeds=())
