"""How synced tables lie in a destination: names of tables and views, and how a type is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import pyarrow as pa

from moltler.errors import SyncError
from moltler.flow.sync import DELETED_AT, QUARANTINE, RUN_ID, SYNCED_AT, StoredColumn
from moltler.schema import SCALARS, DataType

SCOPES = "_moltler_scope"
"""One row for each scope: its lease, its fence and its state."""
TABLES = "_moltler_table"
"""One row for each target: which generation is visible."""
GENERATIONS = "_moltler_generation"
"""One row for each generation that has rows: visible, kept, or being made."""
BATCHES = "_moltler_batch"
"""The batches that were committed lately."""
RUNS = "_moltler_run"
"""One row for each run."""
OWN = "_moltler_"
"""How the names of our own tables begin."""
ALL = "__all"
"""What follows the name of a table in the name of its view with everything."""
ARRIVAL = "_n"
"""A column of staged rows: the number of a row in its batch."""
MARKS = (SYNCED_AT, RUN_ID, DELETED_AT)

Storage: TypeAlias = Literal[
    "string", "number", "integer", "boolean", "timestamp", "date",
    "strings", "numbers", "integers", "booleans", "timestamps", "dates",
    "json",
]  # fmt: skip
"""How a destination keeps a value; the plural is an array of them."""

_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "json": pa.string(),
}


def storage_of(type_: DataType) -> Storage:
    """Tell how the values of a type are kept.

    >>> storage_of(DataType("array", DataType("date"))), storage_of(DataType("array"))
    ('dates', 'json')
    """
    if type_.name in SCALARS:
        return type_.name  # type: ignore[return-value] # the scalars are among them
    if type_.name == "array" and type_.items is not None and type_.items.name in SCALARS:
        return f"{type_.items.name}s"  # type: ignore[return-value] # the same
    return "json"


def arrow_of(storage: Storage) -> pa.DataType:
    """Give the Arrow type of values kept in a way; JSON travels as text."""
    if storage in _ARROW:
        return _ARROW[storage]
    return pa.list_(_ARROW[storage.removesuffix("s")])


def quoted(name: str) -> str:
    """Give a name as SQL reads it in any case.

    >>> quoted('an "odd" one')
    '"an ""odd"" one"'
    """
    return '"' + name.replace('"', '""') + '"'


def quoted_all(names: Iterable[str], prefix: str = "") -> str:
    """Give several names, separated by commas, each behind a prefix as ``t.``."""
    return ", ".join(prefix + quoted(n) for n in names)


def physical(number: int, generation: int) -> str:
    """Give the name of the table that holds a generation of the target of that number."""
    return f"{OWN}rows_{number}_{generation}"


def check_target(table: str, destination: str, *, longest: int | None = None) -> None:
    """Refuse names that no synced table can have.

    Args:
        table: The target.
        destination: As messages name it.
        longest: Bytes that a name may have there, the ending of the second view included.

    Raises:
        SyncError: SNC006.
    """
    lowered = table.lower()
    if lowered.startswith(OWN) or lowered == QUARANTINE or lowered.endswith(ALL):
        raise SyncError(
            "SNC006",
            f"a synced table cannot be called `{table}`: names with `{OWN}` or `{ALL}` and"
            f" `{QUARANTINE}` are the sync's own",
            hint="choose another target",
        )
    if not table or "\0" in table:
        raise SyncError("SNC006", f"`{destination}` has no place for a table without a name")
    if longest is not None and len((table + ALL).encode()) > longest:
        raise SyncError(
            "SNC006",
            f"`{destination}` has no place for so long a name as `{table}`",
            hint=f"choose a target of at most {longest - len(ALL)} bytes",
        )


def check_columns(
    columns: Sequence[StoredColumn], destination: str, *, longest: int | None = None
) -> None:
    """Refuse columns whose names are too long for a destination.

    Raises:
        SyncError: SNC006.
    """
    for column in columns:
        if longest is not None and len(column.name.encode()) > longest:
            raise SyncError(
                "SNC006",
                f"`{destination}` has no place for a column of so long a name as `{column.name}`",
                hint=f"names there have at most {longest} bytes; sync to another destination",
            )
