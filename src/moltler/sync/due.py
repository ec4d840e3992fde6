"""Which stored syncs are due, and when the others will be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from moltler.flow.sync import RunRecord
from moltler.model import StoredSync
from moltler.sync.schedule import next_time

NEVER_RAN = datetime.min.replace(tzinfo=UTC)
"""Due before anything else."""


def runs_of(sync: StoredSync, records: Iterable[RunRecord]) -> tuple[RunRecord, ...]:
    """Give the runs of a stored sync out of its destination's, in their order."""
    return tuple(r for r in records if _belongs(sync, r))


def due_time(sync: StoredSync, runs: Iterable[RunRecord]) -> datetime | None:
    """Give the time at which a sync is to run: in the past if it is due.

    However many times of its schedule have passed since its last run began, it runs once for
    them. A suspended run is due again when the API takes requests, with a schedule or without.

    Args:
        sync: As stored.
        runs: Its own, the latest first.

    Returns:
        In UTC; `NEVER_RAN` for one with a schedule and without a run; ``None`` for one that is
        only run by hand.
    """
    found = tuple(runs)
    latest = {r.scope.key: r for r in reversed(found)}
    suspended = [r.due for r in latest.values() if r.status == "suspended" and r.due is not None]
    times = [min(suspended)] if suspended else []
    if sync.schedule is not None:
        after = found[0].started if found else None
        following = next_time(sync.schedule, sync.timezone, after) if after else NEVER_RAN
        times += [] if following is None else [following]
    return min(times, default=None)


def _belongs(sync: StoredSync, record: RunRecord) -> bool:
    scope = record.scope
    return (
        scope.backfill is None
        and scope.connector.lower() == sync.connector.lower()
        and (sync.entity is None or scope.entity.lower() == sync.entity.lower())
        and scope.table.lower() == sync.table.replace("*", scope.entity).lower()
    )
