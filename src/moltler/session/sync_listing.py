"""What SHOW SYNCS and SYNC HISTORY list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from moltler.catalog.catalog import LOCAL_DESTINATION, Catalog
from moltler.catalog.syncs import stored_syncs
from moltler.flow.result import Column, Table
from moltler.flow.sync import RunRecord
from moltler.model import StoredSync
from moltler.session.services import Services
from moltler.session.syncing import HISTORY_COLUMNS, history_row

_SYNCS = (
    Column("connector", "string"),
    Column("entity", "string"),
    Column("target", "string"),
    Column("where", "string"),
    Column("incremental", "string"),
    Column("schedule", "string"),
    Column("next_run", "timestamp"),
    Column("last_status", "string"),
)


def show_syncs(services: Services) -> Table:
    """List the stored syncs of the home."""
    syncs = stored_syncs(services.catalog.load())
    runs: dict[str, tuple[RunRecord, ...]] = {}
    for sync in syncs:
        name = sync.destination.lower()
        if name not in runs:
            runs[name] = services.destination(name).history(None, None)
    now = services.clock.now()
    return Table(_SYNCS, tuple(_cells(s, runs[s.destination.lower()], now) for s in syncs))


def show_history(services: Services, connector: str | None, limit: int | None) -> Table:
    """List runs, the latest first.

    Args:
        services: Of the session.
        connector: Whose runs; ``None`` for all.
        limit: How many at most.
    """
    names = _destinations_of(services.catalog.load())
    found = [
        (record, name)
        for name in names
        for record in services.destination(name).history(connector, limit)
    ]
    found.sort(key=lambda pair: pair[0].started, reverse=True)
    return Table(HISTORY_COLUMNS, tuple(history_row(r, name) for r, name in found[:limit]))


def _destinations_of(catalog: Catalog) -> Iterable[str]:
    return sorted({LOCAL_DESTINATION, *(s.destination.lower() for s in catalog.syncs.values())})


def _cells(sync: StoredSync, records: Iterable[RunRecord], now: datetime) -> tuple[object, ...]:
    from moltler.sync.due import runs_of

    runs = runs_of(sync, records)
    last = next(iter(runs), None)
    target = sync.table
    if sync.destination.lower() != LOCAL_DESTINATION:
        target = f"{sync.destination}.{sync.table}"
    return (
        sync.connector,
        sync.entity,
        target,
        sync.where,
        sync.cursor_field,
        sync.schedule,
        _next_run(sync, runs, now),
        None if last is None else last.status,
    )


def _next_run(sync: StoredSync, runs: Iterable[RunRecord], now: datetime) -> datetime | None:
    """Give the next time of a schedule, or when a suspended run goes on if that is earlier."""
    from moltler.sync.due import due_time
    from moltler.sync.schedule import next_time

    suspended = due_time(replace(sync, schedule=None), runs)
    following = next_time(sync.schedule, sync.timezone, now) if sync.schedule else None
    return min((t for t in (suspended, following) if t is not None), default=None)
