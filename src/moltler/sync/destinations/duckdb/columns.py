"""How DuckDB keeps the columns of synced tables, and how a column becomes a wider one."""

from __future__ import annotations

from collections.abc import Mapping

from moltler.sync.layout import Storage

SQL_TYPES: Mapping[Storage, str] = {
    "string": "VARCHAR",
    "number": "DOUBLE",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMPTZ",
    "date": "DATE",
    "strings": "VARCHAR[]",
    "numbers": "DOUBLE[]",
    "integers": "BIGINT[]",
    "booleans": "BOOLEAN[]",
    "timestamps": "TIMESTAMPTZ[]",
    "dates": "DATE[]",
    "json": "JSON",
}


def converted(value: str, old: Storage, new: Storage) -> str:
    """Give SQL for a value that is kept differently, upwards only.

    Args:
        value: SQL of the value.
        old: How it is kept.
        new: How it is to be kept.
    """
    match old, new:
        case _ if old == new:
            return value
        case "date", "timestamp":
            return f"CAST({value} AS TIMESTAMP) AT TIME ZONE 'UTC'"
        case _, "string":
            return _text(value, old)
        case _, "json":
            return f"CAST({_json(value, old)} AS JSON)"
        case _:
            return f"CAST({value} AS {SQL_TYPES[new]})"


def _text(value: str, storage: Storage) -> str:
    match storage:
        case "number":
            return _number(value)
        case "timestamp":
            return _moment(value)
        case "json":
            return f"CAST({value} AS VARCHAR)"
        case "strings" | "numbers" | "integers" | "booleans" | "timestamps" | "dates":
            return f"CAST({_json(value, storage)} AS VARCHAR)"
        case _:
            return f"CAST({value} AS VARCHAR)"


def _json(value: str, storage: Storage) -> str:
    match storage:
        case "timestamp":
            return f"to_json({_moment(value)})"
        case "number":
            return f"CAST({_number(value)} AS JSON)"
        case "timestamps":
            return f"to_json(list_transform({value}, lambda x: {_moment('x')}))"
        case "numbers":
            return (
                f"CASE WHEN {value} IS NOT NULL THEN '[' || array_to_string(list_transform({value},"
                f" lambda x: coalesce({_number('x')}, 'null')), ',') || ']' END"
            )
        case _:
            return f"to_json({value})"


def _moment(value: str) -> str:
    """Write a moment as borders do: milliseconds, and six digits only if they are needed."""
    utc = f"({value} AT TIME ZONE 'UTC')"
    return (
        f"CASE WHEN microsecond({utc}) % 1000 = 0"
        f" THEN strftime({utc}, '%Y-%m-%dT%H:%M:%S.%gZ')"
        f" ELSE strftime({utc}, '%Y-%m-%dT%H:%M:%S.%fZ') END"
    )


def _number(value: str) -> str:
    """Write a number as JavaScript does: whole ones without a point, exponents without zeros."""
    text = f"CAST({value} AS VARCHAR)"
    small = r"^(-?)(\d)\.?(\d*)e-0([56])$"
    return (
        f"CASE WHEN {value} = trunc({value}) AND abs({value}) < 1e21"
        f" THEN CAST(CAST({value} AS HUGEINT) AS VARCHAR)"
        f" WHEN regexp_matches({text}, '{small}')"
        f" THEN regexp_extract({text}, '{small}', 1) || '0.' ||"
        f" repeat('0', CAST(regexp_extract({text}, '{small}', 4) AS INTEGER) - 1) ||"
        f" regexp_extract({text}, '{small}', 2) || regexp_extract({text}, '{small}', 3)"
        f" ELSE regexp_replace({text}, 'e([+-])0+', 'e\\1') END"
    )
