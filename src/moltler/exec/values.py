"""Values of expressions: their kinds, how they compare, and how they read as text."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal, TypeGuard, cast

from moltler.errors import MoltlerError, error_class

Kind = Literal[
    "NULL", "boolean", "number", "string", "timestamp", "date", "duration", "document", "array"
]
"""What decides whether two values can be compared; integers and numbers are one kind."""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
MOST_EXACT = 2**53
"""From here on a float no longer tells neighbouring whole numbers apart."""

_KINDS: dict[type, Kind] = {
    type(None): "NULL",
    bool: "boolean",
    int: "number",
    float: "number",
    Decimal: "number",
    str: "string",
    datetime: "timestamp",
    date: "date",
    timedelta: "duration",
    dict: "document",
    list: "array",
}
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?\Z",
    re.ASCII,
)
_DURATION = re.compile(r"\s*(-?\d{1,15}(?:\.\d{1,6})?)\s*(ms|s|m|h|d|w)\s*\Z", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def value_error(message: str, hint: str | None = None) -> MoltlerError:
    """Make PLN007: a bad value at run time."""
    return error_class("PLN007")("PLN007", message, hint=hint)


def type_error(
    message: str, hint: str | None = None, allowed: tuple[str, ...] = ()
) -> MoltlerError:
    """Make PLN004: operands or access of the wrong kind."""
    return error_class("PLN004")("PLN004", message, hint=hint, allowed=allowed)


def kind_of(value: object) -> Kind:
    """Give the kind of a value.

    >>> kind_of(1.5), kind_of([]), kind_of(None)
    ('number', 'array', 'NULL')
    """
    found = _KINDS.get(type(value))
    if found is not None:
        return found
    # A driver may hand over a subclass, such as pandas' Timestamp.
    for base in (datetime, *_KINDS):
        if isinstance(value, base):
            return _KINDS[base]
    raise error_class("INT001")("INT001", f"`{type(value).__name__}` is not a value")


def is_number(value: object) -> TypeGuard[int | float | Decimal]:
    """Tell whether a value is a number; booleans are not."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def is_array(value: object) -> TypeGuard[list[object]]:
    """Tell whether a value is an array."""
    return isinstance(value, list)


def is_document(value: object) -> TypeGuard[dict[str, object]]:
    """Tell whether a value is a document."""
    return isinstance(value, dict)


def described(value: object) -> str:
    """Name a value's kind as messages do: ``a number``, ``an array``, ``NULL``."""
    kind = kind_of(value)
    return kind if kind == "NULL" else f"{'an' if kind == 'array' else 'a'} {kind}"


def checked_integer(value: int) -> int:
    """Give an integer that fits into 64 bits.

    Raises:
        MoltlerError: PLN007, it does not.
    """
    if INTEGER_MIN <= value <= INTEGER_MAX:
        return value
    raise value_error(f"the integer `{shortened(value)}` does not fit into 64 bits")


def finite(value: float) -> float | None:
    """Give a float, or NULL for what no border can show: NaN and the infinities."""
    return value if math.isfinite(value) else None


def whole(value: object) -> int | None:
    """Give a number without a fraction as an integer, anything else as ``None``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return int(value)
    return None


# ── comparisons ──────────────────────────────────────────────────────────────────────────────


def equal(left: object, right: object) -> bool | None:
    """Compare with ``=``: NULL with anything is NULL, different kinds are FALSE.

    Raises:
        MoltlerError: PLN004, a string beside a timestamp or date cannot be read as one.
    """
    if left is None or right is None:
        return None
    if type(left) is type(right) and not isinstance(left, list | dict):
        return left == right
    kinds = (kind_of(left), kind_of(right))
    if kinds[0] != kinds[1]:
        aligned = _aligned(left, right)
        return aligned is not None and aligned[0] == aligned[1]
    return same(left, right)


def same(left: object, right: object) -> bool:
    """Tell whether two values are the same one; NULL is the same as NULL, nothing raises."""
    if is_array(left) and is_array(right):
        return len(left) == len(right) and all(map(same, left, right))
    if is_document(left) and is_document(right):
        return left.keys() == right.keys() and all(same(v, right[k]) for k, v in left.items())
    kinds = (kind_of(left), kind_of(right))
    if kinds[0] == kinds[1]:
        return left == right
    if "timestamp" in kinds or "date" in kinds:
        try:
            aligned = _aligned(left, right)
        except MoltlerError:
            # Deep inside a document text that is no time is simply something else.
            return False
        return aligned is not None and aligned[0] == aligned[1]
    return False


def order(left: object, right: object) -> int | None:
    """Give a negative number, 0 or a positive one, or ``None`` if either is NULL.

    Raises:
        MoltlerError: PLN004, the two have no order.
    """
    if left is None or right is None:
        return None
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    if is_number(left) and is_number(right):
        return (left > right) - (left < right)
    kind, other = kind_of(left), kind_of(right)
    if kind != other:
        aligned = _aligned(left, right)
        if aligned is None:
            raise type_error(
                f"{described(left)} and {described(right)} have no order",
                "convert one of them with CAST",
            )
        first, second = aligned
        return (first > second) - (first < second)
    if isinstance(left, bool | date | timedelta):
        # Both have the same kind, so the comparison below is between equals.
        second = cast("timedelta", right)
        first = cast("timedelta", left)
        return (first > second) - (first < second)
    raise type_error(
        f"a {kind} has no order" if kind != "array" else "an array has no order",
        "compare a part of it",
    )


def _aligned(left: object, right: object) -> tuple[datetime, datetime] | None:
    # Strings beside times, and dates beside timestamps, are read as instants.
    first, second = _instant(left), _instant(right)
    if first is None and isinstance(left, str) and second is not None:
        first = _read_beside(left, right)
    elif second is None and isinstance(right, str) and first is not None:
        second = _read_beside(right, left)
    return (first, second) if first is not None and second is not None else None


def _instant(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), UTC) if isinstance(value, date) else None


def _read_beside(text: str, other: object) -> datetime:
    moment = read_timestamp(text)
    if moment is None:
        raise type_error(
            f"the string `{shortened(text)}` beside a {kind_of(other)} cannot be read as one",
            "write it as 2024-01-02T03:04:05Z",
        )
    return moment


def read_timestamp(text: str) -> datetime | None:
    """Read ISO text as an instant; without an offset it is UTC, ``None`` if it is no time.

    >>> read_timestamp("2024-01-02 03:04:05+01:00")
    datetime.datetime(2024, 1, 2, 2, 4, 5, tzinfo=datetime.timezone.utc)
    """
    stripped = text.strip()
    if not _MOMENT.match(stripped):
        return None
    try:
        moment = datetime.fromisoformat(stripped.upper())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def as_instant(value: object) -> datetime | None:
    """Give a timestamp, a date or their text as an instant, ``None`` if it is none."""
    return read_timestamp(value) if isinstance(value, str) else _instant(value)


# ── durations ────────────────────────────────────────────────────────────────────────────────


def parse_duration(text: str) -> timedelta:
    """Read a number with a unit: ``ms s m h d w``.

    >>> parse_duration("7d")
    datetime.timedelta(days=7)

    Raises:
        MoltlerError: PLN007, it is no duration.
    """
    found = _DURATION.match(text)
    if found is None:
        raise value_error(
            f"`{shortened(text)}` is not a duration",
            "write a number and one of ms s m h d w, such as '7d'",
        )
    try:
        return timedelta(
            microseconds=int(Decimal(found[1]) * _UNIT_MS[found[2]] * 1_000),
        )
    except OverflowError as error:
        raise value_error(f"the duration `{shortened(text)}` is too long") from error


def _duration_text(value: timedelta) -> str:
    sign = "-" if value < timedelta() else ""
    size = abs(value)
    minutes, seconds = divmod(size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours:02}:{minutes:02}:{seconds:02}"
    if size.microseconds:
        clock += f".{size.microseconds:06}".rstrip("0")
    days = f"{sign}{size.days} day{'' if size.days == 1 else 's'}" if size.days else ""
    if not size.seconds and not size.microseconds and days:
        return days
    return f"{days} {sign}{clock}".strip()


# ── text ─────────────────────────────────────────────────────────────────────────────────────


def text_of(value: object) -> str:
    """Render a value as ``||`` and PRINT do; NULL, which ``||`` never renders, is ``NULL``.

    >>> text_of(3.0), text_of(True), text_of({"a": [1, None]})
    ('3', 'true', '{"a":[1,null]}')
    """
    match value:
        case str():
            return value
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _float_text(value)
        case Decimal():
            return format(value, "f")
        case datetime():
            return timestamp_text(value)
        case date():
            return value.isoformat()
        case timedelta():
            return _duration_text(value)
        case _:
            return json_text(value)


def cast_text(value: object) -> str:
    """Render a value as CAST and functions do, which is DuckDB's way.

    >>> cast_text(3.0), cast_text(datetime(2024, 1, 2, 3, 4, 5, 500000, UTC))
    ('3.0', '2024-01-02 03:04:05.5+00')
    """
    match value:
        case float():
            return repr(value)
        case datetime():
            utc = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
            clock = utc.replace(tzinfo=None).isoformat(" ")
            return f"{clock.rstrip('0') if utc.microsecond else clock}+00"
        case _:
            return text_of(value)


def _float_text(value: float) -> str:
    if math.isfinite(value) and value.is_integer() and abs(value) < MOST_EXACT:
        return str(int(value))
    return repr(value)


def timestamp_text(value: datetime) -> str:
    """Render an instant in UTC: milliseconds, six digits only where microseconds are set."""
    utc = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    precision = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    return utc.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def json_text(value: object) -> str:
    """Render a value as JSON without blanks, numbers with all their digits.

    Raises:
        MoltlerError: PLN007, it is nested too deeply.
    """
    try:
        return _json(value)
    except RecursionError as error:
        raise too_deep() from error


def _json(value: object) -> str:
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case None:
            return "null"
        case bool() | int() | Decimal():
            return text_of(value)
        case float():
            return _float_text(value) if math.isfinite(value) else "null"
        case list():
            return f"[{','.join(map(_json, cast('list[object]', value)))}]"
        case dict():
            members = cast("dict[str, object]", value).items()
            return "{" + ",".join(f"{_json(k)}:{_json(v)}" for k, v in members) + "}"
        case _:
            return json.dumps(text_of(value), ensure_ascii=False)


def too_deep() -> MoltlerError:
    """Make the error for a document nested deeper than can be walked."""
    return value_error("the value is nested too deeply", "keep documents below 300 levels")


def literal_text(value: object) -> str:
    """Render a value as it is written in the language: strings in quotes, NULL, TRUE."""
    match value:
        case str():
            return "'" + value.replace("'", "''") + "'"
        case bool():
            return "TRUE" if value else "FALSE"
        case _:
            return text_of(value)


def shortened(value: object, most: int = 80) -> str:
    """Render a value for a message, cut to `most` characters.

    >>> shortened("a" * 100, 10)
    'aaaaaaaaa…'
    """
    text = text_of(value)
    return text if len(text) <= most else text[: most - 1] + "…"
