"""How PostgreSQL keeps the columns of synced tables, and how a column becomes a wider one."""

from __future__ import annotations

from collections.abc import Mapping

from moltler.sync.layout import Storage

# Not jsonb: it forgets the order of keys, and refuses what JavaScript can write.
SQL_TYPES: Mapping[Storage, str] = {
    "string": "text",
    "number": "double precision",
    "integer": "bigint",
    "boolean": "boolean",
    "timestamp": "timestamp with time zone",
    "date": "date",
    "strings": "json",
    "numbers": "json",
    "integers": "json",
    "booleans": "json",
    "timestamps": "json",
    "dates": "json",
    "json": "json",
}


def converted(value: str, old: Storage, new: Storage) -> str:
    """Give SQL for a value that is kept differently, upwards only.

    Args:
        value: SQL of the value.
        old: How it is kept.
        new: How it is to be kept.
    """
    match old, new:
        case _ if SQL_TYPES[old] == SQL_TYPES[new]:
            return value
        case "date", "timestamp":
            return f"{value}::timestamp AT TIME ZONE 'UTC'"
        case _, "string":
            return _text(value, old)
        case "number" | "integer" | "boolean", "json":
            return f"({_text(value, old)})::json"
        case _, "json":
            return f"to_json({_text(value, old)})"
        case _:
            return f"{value}::{SQL_TYPES[new]}"


def _text(value: str, storage: Storage) -> str:
    match storage:
        case "number":
            return _number(value)
        case "timestamp":
            utc = f"({value} AT TIME ZONE 'UTC')"
            return (
                f"CASE WHEN date_part('microseconds', {utc})::bigint % 1000 = 0"
                f' THEN to_char({utc}, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\')'
                f' ELSE to_char({utc}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') END'
            )
        case _:
            return f"{value}::text"


def _number(value: str) -> str:
    """Write a number as JavaScript does: whole ones without a point, exponents without zeros."""
    text = f"{value}::text"
    return (
        f"CASE WHEN {value} = 0 THEN '0'"
        f" WHEN abs({value}) >= 1e-6 AND abs({value}) < 1e21"
        f" THEN trim_scale({text}::numeric)::text"
        f" ELSE regexp_replace({text}, 'e([+-])0+', 'e\\1') END"
    )
