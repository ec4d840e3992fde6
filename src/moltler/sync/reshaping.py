"""The columns of a generation brought to what its next batch needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from moltler.flow.sync import MOST_EXACT, StoredColumn
from moltler.schema import DataType
from moltler.sync.layout import quoted, storage_of
from moltler.sync.own_tables import Generation, OwnTables, Target
from moltler.sync.sql import Sql


def evolve_rows(
    own: OwnTables, target: Target, generation: Generation, wanted: Sequence[StoredColumn]
) -> tuple[Target, Generation]:
    """Bring the columns of a generation to what a batch needs; columns never go."""
    sql, rows = own.sql, target.rows_of(generation.number)
    stored = {c.name.lower(): c for c in generation.columns}
    columns: list[StoredColumn] = []
    is_hidden = generation.role == "visible" and any(_is_widened(stored, c) for c in wanted)
    if is_hidden:
        own.hide(target)
    for column in wanted:
        old = stored.pop(column.name.lower(), None)
        if old is None:
            sql.add_column(rows, quoted(column.name), storage_of(column.type))
            columns.append(column)
            continue
        columns.append(replace(old, type=_widened(sql, rows, old, column.type)))
    columns += stored.values()
    changed = replace(generation, columns=tuple(columns))
    if not is_hidden and changed == target.numbered(generation.number):
        return target, generation
    target = own.save_generation(target, changed)
    if generation.role == "visible":
        own.show(target)
    return target, changed


def _is_widened(stored: Mapping[str, StoredColumn], column: StoredColumn) -> bool:
    old = stored.get(column.name.lower())
    return old is not None and storage_of(old.type) != storage_of(column.type)


def _widened(sql: Sql, rows: str, column: StoredColumn, wanted: DataType) -> DataType:
    """Change a column, and give its type afterwards."""
    old, new = storage_of(column.type), storage_of(wanted)
    if old == new:
        return wanted
    name = quoted(column.name)
    if old == "string" and new != "json":
        # It became a text because its numbers had no exact form, and stays one.
        return column.type
    if old == "integer" and new == "number":
        inexact = (
            f"SELECT count(*) FROM {rows} WHERE {name} > {MOST_EXACT} OR {name} < -{MOST_EXACT}"
        )
        if sql.number(inexact):
            wanted, new = DataType("string"), "string"
    sql.widen(rows, name, old, new)
    return wanted
