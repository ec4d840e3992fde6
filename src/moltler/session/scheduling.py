"""Stored syncs by the clock: which are due, and what `moltler serve` keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from moltler.catalog.syncs import stored_syncs
from moltler.catalog.values import timestamp_text
from moltler.errors import Source
from moltler.flow.result import Table
from moltler.flow.sync import RunRecord
from moltler.model import StoredSync
from moltler.session.keeping import keep, note_due
from moltler.session.services import Services
from moltler.session.syncing import RUN_COLUMNS, stored_source

if TYPE_CHECKING:
    from moltler.sync.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class SyncDesk:
    """The stored syncs of a home.

    Args:
        services: Of the session.
        run_source: Runs a SYNC CONNECTOR.
    """

    services: Services
    run_source: Callable[[Source], Table]

    def due(self, syncs: Sequence[StoredSync]) -> tuple[StoredSync, ...]:
        """Give those of some syncs whose time has come, and note that somebody asked."""
        note_due(self.services.home)
        return tuple(s for s in syncs if self._is_due(s))

    def runs(self, sync: StoredSync) -> Sequence[RunRecord]:
        """Give the runs of a stored sync, the latest first."""
        from moltler.sync.due import runs_of

        records = self.services.destination(sync.destination).history(sync.connector, None)
        return runs_of(sync, records)

    def scheduler(self, tell: Callable[[Mapping[str, object]], None]) -> Scheduler:
        """Give what keeps the schedules of this home."""
        from moltler.sync.scheduler import Scheduler

        services = self.services
        return Scheduler(
            lambda: stored_syncs(services.catalog.load()),
            self.runs,
            lambda sync: _reports(self.run_source(stored_source(sync))),
            services.clock,
            tell,
        )

    def keeping(self) -> AbstractContextManager[None]:
        """Be the one process that keeps the schedules of this home.

        Raises:
            LookupFailed: CAT009, another one does.
        """
        return keep(self.services.home, self.services.clock)

    def _is_due(self, sync: StoredSync) -> bool:
        from moltler.sync.due import due_time

        found = due_time(sync, self.runs(sync))
        return found is not None and found <= self.services.clock.now()


def _reports(table: Table) -> list[Mapping[str, object]]:
    names = [c.name for c in RUN_COLUMNS]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def in_json(value: object) -> object:
    """Give a cell as JSON has it."""
    match value:
        case datetime():
            return timestamp_text(value)
        case date():
            return value.isoformat()
        case _:
            return value
