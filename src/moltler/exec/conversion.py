"""Converts values to declared types: CAST, and DECLARE with a type."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from moltler.errors import near_match
from moltler.exec.values import (
    MOST_EXACT,
    as_instant,
    cast_text,
    checked_integer,
    described,
    is_number,
    shortened,
    type_error,
    value_error,
    whole,
)
from moltler.schema import TYPE_NAMES, TypeName

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)

_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
"""What CAST takes for a boolean, as DuckDB does."""
_LOOSE_MOMENT = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{1,2})(?::(\d{1,2}))?(\.\d{1,9})?)?\Z",
    re.ASCII,
)
"""Dates and times without all their zeros, which CAST takes as well."""


def type_named(name: str) -> TypeName:
    """Give the type of a name in any case.

    Raises:
        MoltlerError: PLN004, there is no such type.
    """
    found = TYPE_NAMES.get(name.lower())
    if found is None:
        near = near_match(name, list(TYPE_NAMES))
        raise type_error(
            f"there is no type `{name}`",
            f"did you mean `{near}`?" if near else None,
            tuple(TYPE_NAMES),
        )
    return found


def convert(value: object, type_: TypeName, *, rounding: bool = False) -> object:
    """Convert a value to a type; NULL stays NULL.

    Args:
        value: Any value.
        type_: The type wanted.
        rounding: CAST may drop a fraction or a time of day, and reads what DuckDB's CAST reads;
            a typed DECLARE may not.

    Raises:
        MoltlerError: PLN007, the value does not fit.
    """
    if value is None or type_ == "any":
        return value
    converted = _converted(value, type_, rounding=rounding)
    if converted is None:
        raise value_error(
            f"`{shortened(value)}` ({described(value)}) cannot be converted to {type_}",
            "read JSON text with JSON_PARSE"
            if isinstance(value, str) and type_ in {"document", "array"}
            else None,
        )
    return converted


def _converted(value: object, type_: TypeName, *, rounding: bool) -> object:
    match type_:
        case "string":
            return cast_text(value)
        case "integer":
            return _to_integer(value, rounding=rounding)
        case "number":
            return _to_double(value) if rounding else _to_number(value)
        case "boolean":
            return _to_boolean(value, lenient=rounding)
        case "timestamp":
            return _to_timestamp(value, lenient=rounding)
        case "date":
            return _to_date(value, rounding=rounding)
        case "document":
            return value if isinstance(value, dict) else None
        case "array":
            return value if isinstance(value, list) else None
        case "any":
            return value


def _to_number(value: object) -> int | float | Decimal | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.match(text):
            return None
        return int(text) if text.lstrip("+-").isdigit() and len(text) <= 20 else float(text)
    return value if is_number(value) else None


def _to_double(value: object) -> int | float | Decimal | None:
    number = _to_number(value)
    # A larger one would lose digits.
    return float(number) if isinstance(number, int) and abs(number) <= MOST_EXACT else number


def _to_integer(value: object, *, rounding: bool) -> int | None:
    number = _to_number(value)
    if number is None or not math.isfinite(number):
        return None
    result = whole(number)
    if result is None and rounding:
        result = rounded(number)
    return checked_integer(result) if result is not None else None


def rounded(number: float | Decimal) -> int:
    """Round a finite number to the nearest integer, half away from zero."""
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    return int(exact.to_integral_value("ROUND_HALF_UP"))


def _to_boolean(value: object, *, lenient: bool) -> bool | None:
    match value:
        case bool():
            return value
        case str() if lenient:
            return _WORDS.get(value.lower())
        case str():
            return {"true": True, "false": False}.get(value.strip().lower())
        case int() | float() | Decimal():
            return bool(value) if lenient or value in {0, 1} else None
        case _:
            return None


def _to_timestamp(value: object, *, lenient: bool) -> datetime | None:
    if is_number(value):
        return from_epoch_ms(value)
    if lenient and isinstance(value, str) and (found := _LOOSE_MOMENT.match(value.strip())):
        year, month, day, hour, minute, second, rest = found.groups("")
        value = f"{year}-{month:0>2}-{day:0>2}"
        if hour:
            value += f"T{hour:0>2}:{minute:0>2}:{second:0>2}{rest}"
    return as_instant(value)


def _to_date(value: object, *, rounding: bool) -> date | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    moment = _to_timestamp(value, lenient=rounding)
    if moment is None:
        return None
    utc = moment.astimezone(UTC)
    return utc.date() if rounding or utc.time() == time() else None


def from_epoch_ms(value: float | Decimal) -> datetime:
    """Give the instant so many milliseconds after 1970.

    Raises:
        MoltlerError: PLN007, it lies outside the calendar.
    """
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            microseconds=int(Decimal(value) * 1_000)
        )
    except (OverflowError, ValueError, ArithmeticError) as error:
        raise value_error(f"the time `{shortened(value)}` lies outside the calendar") from error
