"""Rows and misfits gathered until they make a batch."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from moltler.errors import error_class
from moltler.flow.sync import StoredColumn, Unfit
from moltler.ports import Clock
from moltler.sync.job import Job
from moltler.sync.rows import fit

_BATCH_S = 10.0
_MOST_UNFIT = 1_000
"""Misfits without a row among them that make a batch."""


class Gather:
    """Gathers for one run.

    Args:
        job: Whose rows they are.
        columns: Of the table.
        clock: Times batches.
        most: Bytes of a batch.
    """

    def __init__(
        self, job: Job, columns: tuple[StoredColumn, ...], clock: Clock, most: int
    ) -> None:
        self._job = job
        self._clock = clock
        self._most = most
        self.columns = columns
        """Of the table, as wide as the rows taken so far need them."""
        self.types = {p.name.lower(): p.type for p in job.entity.fields}
        """The declared types, by name in lower case."""
        self._rows: list[pa.RecordBatch] = []
        self._count = self._bytes = 0
        self._since = 0.0
        self._unfit: list[Unfit] = []
        self._known: set[str] = set()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows in their declared types."""
        if not batch.num_rows:
            return
        if not self._rows:
            self._since = self._clock.monotonic()
        self._rows.append(batch)
        self._count += batch.num_rows
        self._bytes += batch.nbytes

    def add_unfit(self, unfit: Iterable[Unfit]) -> None:
        """Add rows that do not fit.

        Raises:
            SyncError: SNC005, there are more than MAX ERRORS.
        """
        for row in unfit:
            # Rows that are read again after a failure are the same misfits.
            if row.raw in self._known:
                continue
            self._known.add(row.raw)
            self._unfit.append(row)
            if len(self._known) > self._job.max_errors:
                raise error_class("SNC005")(
                    "SNC005",
                    f"{len(self._known)} row(s) of `{self._job.label}` do not fit, and MAX ERRORS"
                    f" is {self._job.max_errors}; the last: {row.reason}",
                    hint="correct the handler or the field, or let the run go on with MAX ERRORS",
                )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self._rows and not self._unfit

    @property
    def is_due(self) -> bool:
        """Whether what there is makes a batch."""
        if not self._rows:
            return len(self._unfit) >= _MOST_UNFIT
        if self._count >= self._job.batch_rows or self._bytes >= self._most:
            return True
        return self._clock.monotonic() - self._since >= _BATCH_S

    def take(self) -> tuple[tuple[pa.RecordBatch, ...], tuple[Unfit, ...]]:
        """Give all of it, rows in the types of `columns`, and begin anew."""
        while True:
            columns, rows = self.columns, list[pa.RecordBatch]()
            for batch in self._rows:
                fitted, columns = fit(batch, self.types, columns)
                rows.append(fitted)
            if columns == self.columns:
                break
            self.columns = columns
        self.drop_rows()
        unfit, self._unfit = tuple(self._unfit), []
        return tuple(rows), unfit

    def drop_rows(self) -> None:
        """Forget the rows that were gathered."""
        self._rows = []
        self._count = self._bytes = 0
