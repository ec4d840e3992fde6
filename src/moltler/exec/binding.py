"""Values as DuckDB takes them for parameters, with nothing changed on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

import duckdb

from moltler.plan.constant import as_text
from moltler.plan.kind import is_uniform

_JSON = duckdb.type("JSON")
_OPEN = duckdb.type("VARIANT[]")
_WIDEST = 2**64


def bindable(value: object) -> object:
    """Give a parameter's value: documents as JSON, arrays as lists of one type or of VARIANTs."""
    match value:
        case Mapping():
            return duckdb.Value(_json(value), _JSON)
        case list() | tuple():
            return _array(list(value))
        case _:
            return value


def _array(values: list[object]) -> object:
    if is_uniform(values):
        return values
    if any(isinstance(v, Mapping | list | tuple) for v in values):
        # DuckDB would make one STRUCT or list type of all items.
        return [None if v is None else duckdb.Value(_json(v), _JSON) for v in values]
    return duckdb.Value([_plain(v) for v in values], _OPEN)


def _json(value: object) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> object:
    """Give a value as documents hold it: whole numbers are integers, times ISO text."""
    match value:
        case Mapping():
            return {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case Decimal():
            return int(value) if value == value.to_integral_value() else _number(float(value))
        case float():
            return _number(value)
        case datetime() | date():
            return as_text(value)
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def _number(value: float) -> int | float | None:
    if value != value or value in (float("inf"), float("-inf")):
        return None
    return int(value) if value.is_integer() and abs(value) < _WIDEST else value
