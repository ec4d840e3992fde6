"""How the columns of a synced table follow the fields of its entity: upwards and without loss."""

from __future__ import annotations

from collections.abc import Sequence

from moltler.flow.sync import StoredColumn
from moltler.schema import DataType, Property, Schema

_DOCUMENTS = frozenset({"document", "array", "any"})
STRING, NUMBER, TIMESTAMP, ANY = (
    DataType("string"), DataType("number"), DataType("timestamp"), DataType("any"),
)  # fmt: skip


def wider(one: DataType, other: DataType) -> DataType:
    """Give the narrowest type that holds every value of both, each as what it is.

    Integers become numbers; where that would not be exact, `sync.rows` and the destination go on to
    strings.

    >>> str(wider(DataType("date"), DataType("timestamp")))
    'timestamp'
    >>> str(wider(DataType("boolean"), DataType("integer")))
    'string'
    >>> str(wider(DataType("array", DataType("integer")), DataType("string")))
    'any'
    """
    if str(one) == str(other):
        return other
    names = {one.name, other.name}
    if names & _DOCUMENTS:
        # Documents, and open or differently typed arrays, are all JSON.
        return DataType(one.name) if len(names) == 1 else ANY
    if names == {"integer", "number"}:
        return NUMBER
    if names == {"date", "timestamp"}:
        return TIMESTAMP
    return STRING


def evolve(stored: Sequence[StoredColumn], fields: Schema) -> tuple[StoredColumn, ...]:
    """Give the columns of a table whose rows have these fields from now on.

    Stored columns keep their names, places and, unless the field has become wider, their types;
    fields that are new come behind them. Columns whose fields are gone stay.
    """
    kept = [_kept(column, fields.find(column.name)) for column in stored]
    known = {column.name.lower() for column in stored}
    new = [
        StoredColumn(field.name, field.type)
        for field in fields
        if field.name.lower() not in known and not field.filter_only
    ]
    return (*kept, *new)


def _kept(column: StoredColumn, field: Property | None) -> StoredColumn:
    if field is None or field.filter_only:
        return column
    return StoredColumn(column.name, wider(column.type, field.type))


def columns_of(fields: Schema) -> tuple[StoredColumn, ...]:
    """Give the columns of a fresh table."""
    return evolve((), fields)
