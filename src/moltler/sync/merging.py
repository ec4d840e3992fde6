"""The merge of staged rows into a table, as SQL that every relational destination runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moltler.flow.sync import DELETED_AT, RUN_ID, SYNCED_AT
from moltler.sync.layout import ARRIVAL, quoted, quoted_all


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge of rows that all have the same columns.

    Newest wins, and what is equal is left alone (`flow.sync.Batch`). The rows wait in a table
    `stage` with the columns `columns`, ``_deleted_at`` and a number of arrival ``_n``.

    Args:
        target: The physical table, quoted.
        stage: The table of staged rows, quoted.
        verdicts: A temporary table that is made and dropped, quoted.
        columns: The fields that the rows have.
        key: The primary key; all of it is among `columns`.
        cursor: The ordering field, or ``None``.
        collate: What follows a text cursor so that it is compared by code point.
        plain: Columns compared by their text, for types without an order or equality.
    """

    target: str
    stage: str
    verdicts: str
    columns: Sequence[str]
    key: Sequence[str]
    cursor: str | None = None
    collate: str = ""
    plain: frozenset[str] = frozenset()

    @property
    def has_repeats(self) -> str:
        """Count the rows that are too many for their key."""
        keys = quoted_all(self.key)
        return (
            f"SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {self.stage}) d)"
            f" FROM {self.stage}"
        )

    @property
    def drop_repeats(self) -> str:
        """Keep the newest row of each key among the staged ones, the later one of equals."""
        order = f"{quoted(ARRIVAL)} DESC"
        if self.cursor is not None:
            order = f"{quoted(self.cursor)}{self.collate} DESC NULLS LAST, {order}"
        return (
            f"DELETE FROM {self.stage} WHERE {quoted(ARRIVAL)} IN (SELECT {quoted(ARRIVAL)} FROM"
            f" (SELECT {quoted(ARRIVAL)}, row_number() OVER"
            f" (PARTITION BY {quoted_all(self.key)} ORDER BY {order}) AS place"
            f" FROM {self.stage}) ranked WHERE place > 1)"
        )

    @property
    def matches(self) -> str:
        """Count the staged rows that have a stored one; it reads keys only."""
        return (
            f"SELECT count(*) FROM {self.stage} s WHERE EXISTS"
            f" (SELECT 1 FROM {self.target} t WHERE {self._same_key})"
        )

    @property
    def judge(self) -> str:
        """Make the table of verdicts: what becomes of each staged row that has a stored one."""
        deletes = f"t.{quoted(DELETED_AT)} IS NULL AND s.{quoted(DELETED_AT)} IS NOT NULL"
        return (
            f"CREATE TEMP TABLE {self.verdicts} AS SELECT s.{quoted(ARRIVAL)},"
            f" {self._wins('s')} AS wins, {deletes} AS deletes"
            f" FROM {self.stage} s JOIN {self.target} t ON {self._same_key}"
        )

    @property
    def count(self) -> str:
        """Count the rows that replace, those of them that delete, and those that do not."""
        return (
            "SELECT coalesce(sum(CASE WHEN wins AND NOT deletes THEN 1 ELSE 0 END), 0),"
            " coalesce(sum(CASE WHEN wins AND deletes THEN 1 ELSE 0 END), 0),"
            f" coalesce(sum(CASE WHEN wins THEN 0 ELSE 1 END), 0) FROM {self.verdicts}"
        )

    def update(self, synced_at: str, run_id: str) -> str:
        """Replace the stored rows that lose; the arguments are places for values."""
        changed = [f"{quoted(c)} = s.{quoted(c)}" for c in self.columns if c not in self.key]
        changed += [
            f"{quoted(DELETED_AT)} = s.{quoted(DELETED_AT)}",
            f"{quoted(SYNCED_AT)} = {synced_at}",
            f"{quoted(RUN_ID)} = {run_id}",
        ]
        return (
            f"UPDATE {self.target} AS t SET {', '.join(changed)} FROM {self.stage} s"
            f" WHERE {self._same_key} AND s.{quoted(ARRIVAL)} IN"
            f" (SELECT {quoted(ARRIVAL)} FROM {self.verdicts} WHERE wins)"
        )

    def insert(self, synced_at: str, run_id: str, *, is_all: bool) -> str:
        """Add the rows that have no stored one; `is_all`: none of them has."""
        names = quoted_all((*self.columns, DELETED_AT))
        new = (
            ""
            if is_all
            else f" WHERE NOT EXISTS (SELECT 1 FROM {self.verdicts} v"
            f" WHERE v.{quoted(ARRIVAL)} = s.{quoted(ARRIVAL)})"
        )
        return (
            f"INSERT INTO {self.target} ({names}, {quoted(SYNCED_AT)}, {quoted(RUN_ID)})"
            f" SELECT {quoted_all((*self.columns, DELETED_AT), 's.')}, {synced_at}, {run_id}"
            f" FROM {self.stage} s{new}"
        )

    @property
    def tombstones(self) -> str:
        """Count the staged rows that are deletions."""
        return f"SELECT count(*) FROM {self.stage} WHERE {quoted(DELETED_AT)} IS NOT NULL"

    def upsert(self, synced_at: str, run_id: str) -> str:
        """Insert or replace at once; give how many were inserted and how many replaced.

        It needs a unique index on the key, and PostgreSQL's way to tell an inserted row.
        """
        names = quoted_all((*self.columns, DELETED_AT))
        return (
            f"WITH done AS (INSERT INTO {self.target} AS t"
            f" ({names}, {quoted(SYNCED_AT)}, {quoted(RUN_ID)})"
            f" SELECT {quoted_all((*self.columns, DELETED_AT), 's.')}, {synced_at}, {run_id}"
            f" FROM {self.stage} s ON CONFLICT ({quoted_all(self.key)}) DO UPDATE SET"
            f" {', '.join(f'{c} = excluded.{c}' for c in self._replaced)}"
            f" WHERE ({self._wins('excluded')})"
            " RETURNING (t.xmax = 0) AS is_new)"
            " SELECT coalesce(sum(CASE WHEN is_new THEN 1 ELSE 0 END), 0),"
            " coalesce(sum(CASE WHEN is_new THEN 0 ELSE 1 END), 0) FROM done"
        )

    @property
    def _replaced(self) -> list[str]:
        changed = [c for c in self.columns if c not in self.key]
        return [quoted(c) for c in (*changed, DELETED_AT, SYNCED_AT, RUN_ID)]

    def _wins(self, new: str) -> str:
        """Tell whether a row replaces the stored one `t`: it is as new, and differs."""
        differs = " OR ".join(
            [f"(t.{quoted(DELETED_AT)} IS NULL) <> ({new}.{quoted(DELETED_AT)} IS NULL)"]
            + [
                f"t.{self._compared(c)} IS DISTINCT FROM {new}.{self._compared(c)}"
                for c in self.columns
                if c not in self.key
            ]
        )
        return f"({self._is_newer(new)}) AND ({differs})"

    @property
    def _same_key(self) -> str:
        return " AND ".join(f"t.{quoted(k)} = s.{quoted(k)}" for k in self.key)

    def _is_newer(self, side: str) -> str:
        if self.cursor is None:
            return "TRUE"
        old, new = f"t.{quoted(self.cursor)}", f"{side}.{quoted(self.cursor)}"
        return (
            f"{old} IS NULL OR ({new} IS NOT NULL AND {new}{self.collate} >= {old}{self.collate})"
        )

    def _compared(self, column: str) -> str:
        return f"{quoted(column)}::text" if column in self.plain else quoted(column)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Deletion of what a complete scan of the keys did not find.

    Args:
        target: The physical table, quoted.
        present: A table of the keys that were found, quoted; it may repeat them.
        key: The primary key.
    """

    target: str
    present: str
    key: Sequence[str]

    @property
    def count(self) -> str:
        """Count the live rows, those of them that are absent, and the deleted ones present."""
        live = f"t.{quoted(DELETED_AT)} IS NULL"
        return (
            f"SELECT coalesce(sum(CASE WHEN {live} THEN 1 ELSE 0 END), 0),"
            f" coalesce(sum(CASE WHEN {live} AND NOT {self._is_present} THEN 1 ELSE 0 END), 0),"
            f" coalesce(sum(CASE WHEN NOT ({live}) AND {self._is_present} THEN 1 ELSE 0 END), 0)"
            f" FROM {self.target} t"
        )

    def delete(self, synced_at: str, run_id: str) -> str:
        """Mark live rows that are absent."""
        return (
            f"UPDATE {self.target} AS t SET {quoted(DELETED_AT)} = {synced_at},"
            f" {quoted(SYNCED_AT)} = {synced_at}, {quoted(RUN_ID)} = {run_id}"
            f" WHERE t.{quoted(DELETED_AT)} IS NULL AND NOT {self._is_present}"
        )

    def revive(self, synced_at: str, run_id: str) -> str:
        """Bring back deleted rows that are there again."""
        return (
            f"UPDATE {self.target} AS t SET {quoted(DELETED_AT)} = NULL,"
            f" {quoted(SYNCED_AT)} = {synced_at}, {quoted(RUN_ID)} = {run_id}"
            f" WHERE t.{quoted(DELETED_AT)} IS NOT NULL AND {self._is_present}"
        )

    @property
    def _is_present(self) -> str:
        keys = " AND ".join(f"p.{quoted(k)} = t.{quoted(k)}" for k in self.key)
        return f"EXISTS (SELECT 1 FROM {self.present} p WHERE {keys})"
