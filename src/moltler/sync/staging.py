"""The rows of a batch, staged beside a table and merged into it."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from moltler.flow.sync import DELETED_AT, Batch, StoredColumn
from moltler.sync.layout import ARRIVAL, Storage, quoted, storage_of
from moltler.sync.merging import Merge
from moltler.sync.sql import Sql

_UTC = pa.timestamp("us", "UTC")
_SCALARS: Mapping[pa.DataType, Storage] = {
    pa.string(): "string",
    pa.int64(): "integer",
    pa.float64(): "number",
    pa.bool_(): "boolean",
    _UTC: "timestamp",
    pa.date32(): "date",
}


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of the rows of a batch."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.deleted + other.deleted,
        )


def merge_rows(sql: Sql, rows: str, columns: Sequence[StoredColumn], batch: Batch) -> Merged:
    """Merge, or without a key append, the rows of a batch in the order of their arrival.

    Args:
        sql: The transaction.
        rows: The physical table, quoted.
        columns: As they are in the table.
        batch: With its rows.
    """
    stored = {c.name.lower(): c for c in columns}
    total = Merged()
    # Rows that lack a column keep its stored value, so they cannot be merged with others.
    for _, group in groupby(batch.rows, key=lambda b: sorted(b.schema.names)):
        batches = [b for b in group if b.num_rows]
        if batches:
            total += _merge(sql, rows, stored, batches, batch)
    return total


@contextmanager
def stage_keys(
    sql: Sql,
    columns: Sequence[StoredColumn],
    key: Sequence[str],
    batches: Iterable[pa.RecordBatch],
) -> Generator[str]:
    """Stage primary keys; give the name of their table, quoted, as long as it is there."""
    stored: dict[str, Storage] = {c.name.lower(): storage_of(c.type) for c in columns}
    table = _fresh_name()
    places: dict[str, Storage] = {k: stored[k.lower()] for k in key}
    sql.stage(table, places, batches)
    yield table
    sql.run(f"DROP TABLE {table}")


def _merge(
    sql: Sql,
    rows: str,
    stored: Mapping[str, StoredColumn],
    batches: Sequence[pa.RecordBatch],
    batch: Batch,
) -> Merged:
    names = {n: stored[n.lower()] for n in batches[0].schema.names if n != DELETED_AT}
    spelled = [c.name for c in names.values()]
    staged: dict[str, Storage] = {c.name: storage_of(c.type) for c in names.values()}
    places: dict[str, Storage] = {**staged, DELETED_AT: "timestamp", ARRIVAL: "integer"}
    stage, verdicts = _fresh_name(), _fresh_name()
    count = sql.stage(stage, places, _numbered(batches, names))
    cursor = None if batch.cursor is None else stored[batch.cursor.lower()]
    merge = Merge(
        rows,
        stage,
        verdicts,
        spelled,
        [stored[k.lower()].name for k in batch.key],
        None if cursor is None else cursor.name,
        sql.collate if cursor is not None and cursor.type.name == "string" else "",
        frozenset(n for n, s in staged.items() if s == "json" or s.endswith("s")),
    )
    marks = [batch.synced_at, batch.run_id]
    if not batch.key:
        sql.run(merge.insert("?", "?", is_all=True), marks)
        sql.run(f"DROP TABLE {stage}")
        return Merged(inserted=count)
    repeats = sql.number(merge.has_repeats)
    if repeats:
        sql.run(merge.drop_repeats)
    merged = (_upsert if sql.has_upsert else _join)(sql, merge, count - repeats, marks)
    sql.run(f"DROP TABLE {stage}")
    return merged + Merged(unchanged=repeats)


def _join(sql: Sql, merge: Merge, count: int, marks: Sequence[object]) -> Merged:
    """Merge staged rows of different keys by joins, of keys only where all of them are new."""
    matches = sql.number(merge.matches)
    updated = deleted = beaten = 0
    if matches:
        updated, deleted, beaten = _judge(sql, merge)
        if updated or deleted:
            sql.run(merge.update("?", "?"), marks)
    if count > matches:
        sql.run(merge.insert("?", "?", is_all=not matches), marks)
    if matches:
        sql.run(f"DROP TABLE {merge.verdicts}")
    return Merged(count - matches, updated, beaten, deleted)


def _upsert(sql: Sql, merge: Merge, count: int, marks: Sequence[object]) -> Merged:
    """Merge staged rows of different keys over the index of the key."""
    deleted = 0
    if sql.number(merge.tombstones):
        # Afterwards nobody knows which of them were live before.
        _, deleted, _ = _judge(sql, merge)
        sql.run(f"DROP TABLE {merge.verdicts}")
    inserted, replaced = (int(n) for n in sql.rows(merge.upsert("?", "?"), marks)[0])
    return Merged(inserted, replaced - deleted, count - inserted - replaced, deleted)


def _judge(sql: Sql, merge: Merge) -> tuple[int, int, int]:
    sql.run(merge.judge)
    updated, deleted, beaten = sql.rows(merge.count)[0]
    return int(updated), int(deleted), int(beaten)


def _numbered(
    batches: Sequence[pa.RecordBatch], names: Mapping[str, StoredColumn]
) -> Iterator[pa.RecordBatch]:
    """Give batches in the columns of the stage, with the number of each row."""
    start = 0
    for batch in batches:
        arrays = [batch.column(n) for n in names]
        if DELETED_AT in batch.schema.names:
            arrays.append(batch.column(DELETED_AT))
        else:
            arrays.append(pa.nulls(batch.num_rows, _UTC))
        arrays.append(pa.array(range(start, start + batch.num_rows), pa.int64()))
        start += batch.num_rows
        spelled = [*(c.name for c in names.values()), DELETED_AT, ARRIVAL]
        yield pa.RecordBatch.from_arrays(arrays, names=spelled)


def storage_of_arrow(type_: pa.DataType, wanted: Storage) -> Storage:
    """Tell how values of an Arrow type are kept; texts may be JSON, as their column says."""
    if pa.types.is_list(type_):
        return f"{_SCALARS[type_.value_type]}s"  # type: ignore[return-value] # a plural of one
    if pa.types.is_timestamp(type_):
        return "timestamp"
    found = _SCALARS.get(type_, "string")
    return "json" if found == "string" and wanted == "json" else found


def _fresh_name() -> str:
    return quoted(f"_moltler_stage_{uuid.uuid4().hex}")
