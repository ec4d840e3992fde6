"""How a data route compares the fields of its rows with what a request asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from moltler.net.mock_reading import to_json
from moltler.schema import JsonValue

Operator = Literal[
    "=", "!=", "<", "<=", ">", ">=", "in", "not_in", "like", "not_like", "between", "contains",
    "matches", "is_null", "is_not_null",
]  # fmt: skip
OPERATORS: tuple[Operator, ...] = (
    "=", "!=", "<", "<=", ">", ">=", "in", "not_in", "like", "not_like", "between", "contains",
    "matches", "is_null", "is_not_null",
)  # fmt: skip
Row = dict[str, JsonValue]
SortKey = tuple[int, Decimal | str | None]
_NUMBER = re.compile(r"-?\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_ANY_OF = frozenset({"=", "in"})


class BadParameter(ValueError):  # noqa: N818 - becomes status 400
    """A request's parameter has a value that the route cannot use."""


def value_at(row: JsonValue, field: str) -> JsonValue:
    """Give a field of a row; a dotted name that is no key leads inward; missing is ``None``."""
    if not isinstance(row, dict):
        return None
    if field in row:
        return row[field]
    head, dot, rest = field.partition(".")
    return value_at(row.get(head), rest) if dot else None


def keeps(operator: Operator, value: JsonValue, given: Sequence[str]) -> bool:
    """Tell whether a field satisfies a parameter that was given once or more.

    A repeated parameter of ``=`` or ``in`` accepts each of its values; every other operator must
    hold for all of them. A NULL field satisfies ``is_null`` only.

    Raises:
        BadParameter: The value cannot be read as the operator needs it.
    """
    if operator in {"is_null", "is_not_null"}:
        wanted = _boolean(given[-1]) is (operator == "is_null")
        return (value is None) is wanted
    if operator == "between" and len(given) == 2 and not any("," in text for text in given):
        given = [",".join(given)]
    test = _TESTS[operator]
    # All are tried: a bad parameter is refused no matter which rows there are.
    results = [test(value, text) for text in given]
    if value is None:
        return False
    return any(results) if operator in _ANY_OF else all(results)


def check(operator: Operator, given: Sequence[str]) -> None:
    """Refuse a parameter that no row could be compared with.

    Raises:
        BadParameter: It cannot be read as the operator needs it.
    """
    keeps(operator, None, given)


def ordered(rows: Sequence[Row], field: str, *, descending: bool) -> list[Row]:
    """Sort rows by a field: NULL last, text by code point, or as times if all of it is times.

    >>> [row["n"] for row in ordered([{"n": 9}, {"n": None}, {"n": 10}], "n", descending=True)]
    [10, 9, None]
    """
    present = [row for row in rows if value_at(row, field) is not None]
    absent = [row for row in rows if value_at(row, field) is None]
    values = [value_at(row, field) for row in present]
    as_times = all(isinstance(v, str) and _moment(v) is not None for v in values)

    def key(row: Row) -> SortKey:
        return _sort_key(value_at(row, field), as_times=as_times)

    return sorted(present, key=key, reverse=descending) + absent


def _sort_key(value: JsonValue, *, as_times: bool) -> SortKey:
    """Give what a value is ordered by; different kinds never meet."""
    match value:
        case bool():
            return 0, Decimal(value)
        case int() | float():
            return 1, _decimal(value)
        case str():
            return 2, _moment(value) if as_times else value
        case _:
            return 3, to_json(value)


def _decimal(value: float) -> Decimal:
    return Decimal(value) if isinstance(value, int) else Decimal(repr(value))


def _moment(text: str) -> Decimal | None:
    """Give an ISO 8601 date or time as microseconds; without a zone it is UTC."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = read if read.tzinfo else read.replace(tzinfo=UTC)
    passed = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return Decimal(passed.days * 86_400_000_000 + passed.seconds * 1_000_000 + passed.microseconds)


def _boolean(text: str) -> bool:
    folded = text.lower()
    if folded in {"true", "1", ""}:
        return True
    if folded in {"false", "0"}:
        return False
    raise BadParameter(f"`{text[:80]}` is not true or false")


def _order(value: JsonValue, text: str) -> int | None:
    """Compare a field with a text read as the field's kind: -1, 0, 1, or ``None`` if it is not."""
    match value:
        case bool():
            read = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
            return None if read is None else value - read
        case int() | float():
            if not _NUMBER.fullmatch(text):
                return None
            mine, other = _decimal(value), Decimal(text)
            return (mine > other) - (mine < other)
        case str():
            mine_at, other_at = _moment(value), _moment(text)
            if mine_at is not None and other_at is not None:
                return (mine_at > other_at) - (mine_at < other_at)
            return (value > text) - (value < text)
        case None:
            return None
        case _:
            return 0 if to_json(value) == text else None


def _equal(value: JsonValue, text: str) -> bool:
    return _order(value, text) == 0


def _holds(wanted: Callable[[int], bool]) -> Callable[[JsonValue, str], bool]:
    def test(value: JsonValue, text: str) -> bool:
        order = _order(value, text)
        return order is not None and wanted(order)

    return test


def _in(value: JsonValue, text: str) -> bool:
    return any(_equal(value, part) for part in text.split(","))


def _between(value: JsonValue, text: str) -> bool:
    low, comma, high = text.partition(",")
    if not comma or "," in high:
        raise BadParameter(f"`{text[:80]}` is not two values with a comma between them")
    return _holds(lambda o: o >= 0)(value, low) and _holds(lambda o: o <= 0)(value, high)


def _contains(value: JsonValue, text: str) -> bool:
    if isinstance(value, list):
        return any(_equal(item, text) for item in value)
    return isinstance(value, str) and text in value


def _matches(value: JsonValue, text: str) -> bool:
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadParameter(f"`{text[:80]}` is not a regular expression: {error}") from error
    return isinstance(value, str) and pattern.search(value) is not None


def _like(value: JsonValue, text: str) -> bool:
    return isinstance(value, str) and _is_like(value, text)


def _is_like(value: str, pattern: str) -> bool:
    """Match LIKE in bounded time: only the last ``%`` is ever tried again."""
    at = place = 0
    percent, resumed = -1, 0
    while at < len(value):
        if place < len(pattern) and pattern[place] == "%":
            percent, resumed = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in {"_", value[at]}:
            at, place = at + 1, place + 1
        elif percent >= 0:
            resumed += 1
            at, place = resumed, percent + 1
        else:
            return False
    return not pattern[place:].strip("%")


_TESTS: dict[Operator, Callable[[JsonValue, str], bool]] = {
    "=": _equal,
    "!=": lambda value, text: not _equal(value, text),
    "<": _holds(lambda order: order < 0),
    "<=": _holds(lambda order: order <= 0),
    ">": _holds(lambda order: order > 0),
    ">=": _holds(lambda order: order >= 0),
    "in": _in,
    "not_in": lambda value, text: not _in(value, text),
    "like": _like,
    "not_like": lambda value, text: isinstance(value, str) and not _is_like(value, text),
    "between": _between,
    "contains": _contains,
    "matches": _matches,
}
