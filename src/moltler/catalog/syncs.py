"""The stored syncs of a catalog: found, put and taken off their schedules."""

from __future__ import annotations

from dataclasses import replace

from moltler.catalog.catalog import Catalog
from moltler.errors import LookupFailed, Span
from moltler.model import StoredSync


def stored_syncs(
    catalog: Catalog,
    connector: str | None = None,
    entity: str | None = None,
    span: Span | None = None,
) -> tuple[StoredSync, ...]:
    """Give the stored syncs by name, of one connector or entity or of all.

    Raises:
        LookupFailed: CAT001, there is no such connector; CAT008, it has no such sync.
    """
    found = sorted(
        catalog.syncs.values(),
        key=lambda s: (s.connector.lower(), (s.entity or "").lower(), s.destination, s.table),
    )
    if connector is None:
        return tuple(found)
    name = catalog.connector(connector, span).name
    chosen = tuple(s for s in found if _is_of(s, name, entity))
    if not chosen:
        shown = name if entity is None else f"{name}.{entity}"
        raise LookupFailed(
            "CAT008",
            f"there is no stored sync of `{shown}`",
            hint=f"run SYNC CONNECTOR {shown} TO table once, and it is stored",
            span=span,
        )
    return chosen


def put_sync(catalog: Catalog, sync: StoredSync) -> Catalog:
    """Give the catalog with a sync, which replaces the one of the same key."""
    if catalog.syncs.get(sync.key) == sync:
        return catalog
    return replace(catalog, syncs={**catalog.syncs, sync.key: sync})


def drop_schedule(
    catalog: Catalog, connector: str, entity: str | None, span: Span | None = None
) -> Catalog:
    """Give the catalog with syncs that are run by hand only.

    Args:
        catalog: As it is.
        connector: Whose syncs.
        entity: Of this entity alone; ``None`` for all of the connector.
        span: Where the name stands.

    Raises:
        LookupFailed: CAT001, there is no such connector; CAT008, no sync of it has a schedule.
    """
    name = catalog.connector(connector, span).name
    found = [s for s in catalog.syncs.values() if s.schedule and _is_of(s, name, entity)]
    if not found:
        shown = name if entity is None else f"{name}.{entity}"
        raise LookupFailed(
            "CAT008",
            f"no sync of `{shown}` has a schedule",
            hint="SHOW SYNCS lists those there are",
            span=span,
        )
    stopped = {s.key: replace(s, schedule=None, timezone=None) for s in found}
    return replace(catalog, syncs={**catalog.syncs, **stopped})


def _is_of(sync: StoredSync, connector: str, entity: str | None) -> bool:
    if sync.connector.lower() != connector.lower():
        return False
    return entity is None or (sync.entity or "").lower() == entity.lower()
