"""Keys handed from scan to scan the short way: one call for each combination of keys.

It follows LANGUAGE §6.6 on its own, without chunks, so that planner and executor can be judged
apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pyarrow as pa

from moltler.flow.predicate import Condition
from moltler.flow.scan import Feed, ScanRequest
from moltler.plan.constant import typed

Row = Mapping[str, Any]
Key = tuple[tuple[str, Any], ...]


def keyed_requests(
    request: ScanRequest, keys_of: Mapping[str, Sequence[Row]]
) -> list[ScanRequest] | None:
    """Give the calls of a scan, ``None`` if no keys are handed to it.

    Args:
        request: The scan.
        keys_of: For each driver rows with the values that its columns have.
    """
    sets = [_keys(request, group, keys_of) for group in _groups(request.feeds)]
    used = [s for s in sets if s is not None]
    if not used:
        return None
    return [_call(request, [pair for key in keys for pair in key]) for keys in product(*used)]


def own_rows(request: ScanRequest, call: ScanRequest, table: pa.Table) -> pa.Table:
    """Give the rows of an answer that have the keys of the call."""
    mask = [
        all(row[f.field] == call.filters.get(f.field, row[f.field]) for f in request.feeds)
        for row in table.to_pylist()
    ]
    return table.filter(pa.array(mask, pa.bool_()))


def _groups(feeds: Sequence[Feed]) -> list[list[Feed]]:
    groups: dict[object, list[Feed]] = {}
    for feed in feeds:
        is_alone = feed.driver is None or feed.operator == "in"
        groups.setdefault(feed.field if is_alone else feed.group, []).append(feed)
    return list(groups.values())


def _keys(
    request: ScanRequest, group: list[Feed], keys_of: Mapping[str, Sequence[Row]]
) -> list[Key] | None:
    driver = group[0].driver
    if driver is None:
        return [((group[0].field, value),) for value in group[0].values]
    rows = [tuple(row[str(f.column)] for f in group) for row in keys_of[driver]]
    found: dict[Key, None] = {}
    for row in rows:
        if any(v is None for v in row):
            continue
        key: list[tuple[str, Any]] = []
        for feed, value in zip(group, row, strict=True):
            declared = request.entity.fields.find(feed.field)
            assert declared is not None
            cast = typed(value, declared.type)
            if cast is None:
                assert not any(f.is_required for f in group)
                return None
            key.append((feed.field, cast))
        found[tuple(key)] = None
    return list(found)


def _call(request: ScanRequest, told: Sequence[tuple[str, Any]]) -> ScanRequest:
    conditions = tuple(Condition(name, "=", value) for name, value in told)
    filters = {**request.filters, **dict(told)}
    return replace(request, where=(*request.where, *conditions), filters=filters, feeds=())
