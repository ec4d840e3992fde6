"""The tables of one DuckDB connection: names that stay, and sources that come and go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import pyarrow as pa


class ArrowSource(Protocol):
    """Rows that DuckDB may open any number of times, from any of its threads."""

    def __arrow_c_schema__(self) -> object:
        """Give the schema as a PyCapsule."""
        ...

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Open a fresh stream and give it as a PyCapsule."""
        ...


def quoted(name: str) -> str:
    """Give a name as SQL reads it in any case.

    >>> quoted('an "odd" one')
    '"an ""odd"" one"'
    """
    return '"' + name.replace('"', '""') + '"'


class _Place:
    """What DuckDB knows as a source: that of the query that runs now."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self.source: ArrowSource | None = None

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        if self.source is None:
            raise RuntimeError("a table is read that the query does not have")
        return self.source.__arrow_c_stream__(requested_schema)


@dataclass(frozen=True, slots=True)
class _Table:
    """A registered name."""

    schema: pa.Schema
    variants: Mapping[str, bool]
    place: _Place


class Tables:
    """Gives sources names in a connection.

    Registering takes longer than planning and running a small query over the source, so a name
    stays registered while the schema behind it does not change.

    Args:
        register: Makes an object readable as a table.
        unregister: Takes it back.
        execute: Runs a statement.
    """

    def __init__(
        self,
        register: Callable[[str, object], object],
        unregister: Callable[[str], object],
        execute: Callable[[str], object],
    ) -> None:
        self._register = register
        self._unregister = unregister
        self._execute = execute
        self._known: dict[str, _Table] = {}

    def put(self, name: str, source: ArrowSource, variants: Mapping[str, bool]) -> None:
        """Make a source readable as the table `name`, in the place of another one.

        Args:
            name: The table.
            source: Its rows.
            variants: JSON text columns that become VARIANT, or VARIANT[] where true.
        """
        schema = pa.schema(cast("Any", source))
        known = self._known.get(name)
        if known is None or known.schema != schema or known.variants != variants:
            if known is not None:
                self._drop(name)
            known = self._known[name] = _Table(schema, dict(variants), _Place(schema))
            self._add(name, known)
        known.place.source = source

    def clear(self) -> None:
        """Let go of all sources."""
        for table in self._known.values():
            table.place.source = None

    def _add(self, name: str, table: _Table) -> None:
        if not table.variants:
            self._register(name, table.place)
            return
        self._register(_beneath(name), table.place)
        shown = ", ".join(_exposed(c, table.variants.get(c)) for c in table.schema.names)
        self._execute(
            f"CREATE TEMP VIEW {quoted(name)} AS SELECT {shown} FROM {quoted(_beneath(name))}"  # noqa: S608 - names are quoted
        )

    def _drop(self, name: str) -> None:
        if self._known.pop(name).variants:
            self._execute(f"DROP VIEW {quoted(name)}")
            self._unregister(_beneath(name))
        else:
            self._unregister(name)


def _beneath(name: str) -> str:
    return f"{name}_pages"


def _exposed(column: str, is_array: bool | None) -> str:  # noqa: FBT001 - from a mapping
    name = quoted(column)
    if is_array is None:
        return name
    if is_array:
        return f"CAST(CAST(CAST({name} AS JSON) AS JSON[]) AS VARIANT[]) AS {name}"
    return f"CAST(CAST({name} AS JSON) AS VARIANT) AS {name}"
