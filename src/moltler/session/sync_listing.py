"""What SHOW SYNCS and SYNC HISTORY list."""

from __future__ import annotations

from collections.abc import Iterable

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
    return Table(_SYNCS, tuple(_cells(s, runs[s.destination.lower()]) for s in syncs))


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


def _cells(sync: StoredSync, runs: Iterable[RunRecord]) -> tuple[object, ...]:
    last = next((r for r in runs if _belongs(sync, r)), None)
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
        None,
        None if last is None else last.status,
    )


def _belongs(sync: StoredSync, record: RunRecord) -> bool:
    scope = record.scope
    return (
        scope.connector.lower() == sync.connector.lower()
        and (sync.entity is None or scope.entity.lower() == sync.entity.lower())
        and scope.table.lower() == sync.table.replace("*", scope.entity).lower()
    )
