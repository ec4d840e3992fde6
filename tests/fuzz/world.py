"""A random world: entities with rows, variables, and a plain DuckDB that knows the truth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import duckdb

Row = dict[str, Any]
POOL: Mapping[str, str] = {
    "k": "integer",
    "n": "integer",
    "big": "integer",
    "s": "string",
    "u": "string",
    "code": "string",
    "f": "number",
    "b": "boolean",
    "t": "timestamp",
    "d": "date",
    "tags": "array<string>",
    "nums": "array<integer>",
    "doc": "document",
}
"""Every field there is, by name; two entities that share a name share the type."""
VALUES: Mapping[str, Sequence[Any]] = {
    "k": [0, 1, 2, 3],
    "n": [-1, 0, 1, 2, 5, 10],
    "big": [2**53, 2**53 + 1, -(2**63) + 1, 2**63 - 1, 7],
    "s": ["a", "A", "ab", "b", "", "%", "_", "a%b"],
    "u": ["é", "e\u0301", "ß", "日本", "z", "Z", "null", "\U0001f600"],
    "code": ["1", "01", "5", "10", "x", "true"],
    "f": [-1.5, 0.0, -0.0, 0.5, 1.0, 2.0, 2.0**53],
    "b": [True, False],
    "t": [
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 12, 30, tzinfo=UTC),
        datetime(2024, 2, 29, 23, 59, 59, 999000, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
    "d": [date(2024, 1, 1), date(2024, 2, 29), date(1970, 1, 1)],
    "tags": [[], ["a"], ["a", "b"], ["b", None, "ab"], ["é"]],
    "nums": [[], [1], [2, 1], [0, None, 5]],
    "doc": [
        {},
        {"k": 1, "r": "eu"},
        {"k": 2, "r": "us", "l": ["a", "b"]},
        {"k": None, "r": "eu", "m": {"x": 1}},
        {"r": "a", "m": {"x": 2}},
    ],
}
DUCK_TYPES: Mapping[str, str] = {
    "integer": "BIGINT",
    "string": "VARCHAR",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "array<string>": "VARCHAR[]",
    "array<integer>": "BIGINT[]",
    "document": "JSON",
}
NULLS = 0.15
VARIABLES: Mapping[str, object] = {
    "v_int": 1,
    "v_text": "a",
    "v_flag": True,
    "v_time": datetime(2024, 1, 1, 12, tzinfo=UTC),
    "v_doc": {"k": 2, "list": [0, 1]},
    "v_null": None,
}


@dataclass(frozen=True)
class EntityWorld:
    """One entity: its columns by name with their types, and its rows."""

    name: str
    columns: Mapping[str, str]
    rows: Sequence[Row]

    @property
    def schema_text(self) -> str:
        """The fields, as `support.handlers.fields` reads them."""
        return ", ".join(f"{n} {t}{' key' if n == 'id' else ''}" for n, t in self.columns.items())


@dataclass(frozen=True)
class World:
    """What one run of queries is about."""

    entities: Sequence[EntityWorld]
    truth: duckdb.DuckDBPyConnection


def make_world(random: Random) -> World:
    """Make three entities with rows, and fill a DuckDB with them."""
    entities = [_entity(random, name) for name in ("items", "orders", "users")]
    truth = duckdb.connect(config={"threads": 1})
    truth.execute("SET TimeZone = 'UTC'")
    truth.execute("SET error_on_division_by_zero = false")
    for each in entities:
        _fill(truth, each)
    return World(entities, truth)


def _entity(random: Random, name: str) -> EntityWorld:
    chosen = random.sample(list(POOL), random.randint(5, 9))
    if "k" not in chosen:
        chosen.append("k")
    random.shuffle(chosen)
    columns = {"id": "integer", **{n: POOL[n] for n in chosen}}
    rows: list[Row] = []
    for number in range(random.choice([0, 5, 9, 12, 15])):
        if rows and random.random() < 0.1:
            rows.append(rows[-1] | {"id": number})
            continue
        row: Row = {"id": number}
        for field in chosen:
            is_null = random.random() < NULLS
            row[field] = None if is_null else random.choice(VALUES[field])
        rows.append(row)
    random.shuffle(rows)
    return EntityWorld(name, columns, rows)


def _fill(truth: duckdb.DuckDBPyConnection, entity: EntityWorld) -> None:
    columns = ", ".join(f'"{n}" {DUCK_TYPES[t]}' for n, t in entity.columns.items())
    truth.execute(f"CREATE TABLE raw_{entity.name} ({columns})")
    for row in entity.rows:
        values = [
            json.dumps(row[n]) if t == "document" and row[n] is not None else row[n]
            for n, t in entity.columns.items()
        ]
        marks = ", ".join("?" for _ in values)
        truth.execute(f"INSERT INTO raw_{entity.name} VALUES ({marks})", values)
    shown = ", ".join(
        f'CAST("{n}" AS VARIANT) AS "{n}"' if t == "document" else f'"{n}"'
        for n, t in entity.columns.items()
    )
    truth.execute(f"CREATE TABLE {entity.name} AS SELECT {shown} FROM raw_{entity.name}")
