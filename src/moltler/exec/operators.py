"""What the operators of expressions give for values that are known."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, DecimalException
from functools import lru_cache
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from moltler.errors import MoltlerError
from moltler.exec.values import (
    checked_integer,
    described,
    equal,
    finite,
    is_array,
    is_number,
    order,
    shortened,
    text_of,
    type_error,
    value_error,
    whole,
)
from moltler.lang import ast

_DECIMALS = Context(prec=80)
_LONG_TEXT = 1_000_000_000


def arithmetic(operator: ast.BinaryOperator, left: object, right: object) -> object:
    """Give ``+ - * / %`` of two values.

    Raises:
        MoltlerError: PLN004, wrong kinds; PLN007, the result does not fit.
    """
    if left is None or right is None:
        return None
    if is_number(left) and is_number(right):
        return _numbers(operator, left, right)
    if operator == "/" and isinstance(left, timedelta) and is_number(right) and not right:
        return None
    try:
        result = _times(operator, left, right)
    except OverflowError as error:
        raise value_error(
            f"`{shortened(left)} {operator} {shortened(right)}` lies outside the calendar"
        ) from error
    if result is None:
        hint = "join text with ||" if operator == "+" and isinstance(left, str) else None
        raise type_error(f"`{operator}` cannot join {described(left)} and {described(right)}", hint)
    return result


def _numbers(
    operator: ast.BinaryOperator, left: float | Decimal, right: float | Decimal
) -> int | float | Decimal | None:
    if operator == "/":
        # A number with all its digits may lie outside what a float holds.
        try:
            return finite(float(left) / float(right)) if right else None
        except OverflowError as error:
            raise value_error("the quotient does not fit into a number") from error
    if operator == "%":
        return remainder(left, right)
    if isinstance(left, int) and isinstance(right, int):
        match operator:
            case "+":
                return checked_integer(left + right)
            case "-":
                return checked_integer(left - right)
            case _:
                return checked_integer(left * right)
    if isinstance(left, float) or isinstance(right, float):
        first, second = float(left), float(right)
        match operator:
            case "+":
                return finite(first + second)
            case "-":
                return finite(first - second)
            case _:
                return finite(first * second)
    return _decimals(operator, Decimal(left), Decimal(right))


def _decimals(operator: ast.BinaryOperator, left: Decimal, right: Decimal) -> Decimal:
    try:
        match operator:
            case "+":
                return _DECIMALS.add(left, right)
            case "-":
                return _DECIMALS.subtract(left, right)
            case _:
                return _DECIMALS.multiply(left, right)
    except DecimalException as error:
        raise value_error("the number does not fit") from error


def remainder(left: float | Decimal, right: float | Decimal) -> int | float | Decimal | None:
    """Give what a division leaves, with the sign of the dividend; NULL if divided by zero.

    >>> remainder(-5, 3), remainder(5, 0)
    (-2, None)
    """
    if not right:
        return None
    if isinstance(left, int) and isinstance(right, int):
        size = abs(left) % abs(right)
        return -size if left < 0 else size
    if isinstance(left, Decimal) and isinstance(right, int | Decimal):
        return _DECIMALS.remainder(left, Decimal(right))
    return finite(math.fmod(float(left), float(right)))


def _times(operator: ast.BinaryOperator, left: object, right: object) -> object:
    match operator, left, right:
        case "+", timedelta(), date():
            return _moved(right, left)
        case "+", date(), timedelta():
            return _moved(left, right)
        case "-", date(), timedelta():
            return _moved(left, -right)
        case (("+" | "-"), date(), int()) if not isinstance(left, datetime | bool):
            if isinstance(right, bool):
                return None
            return left + timedelta(days=right if operator == "+" else -right)
        case "-", date(), date():
            return _between(left, right)
        case "+", timedelta(), timedelta():
            return left + right
        case "-", timedelta(), timedelta():
            return left - right
        case "*", timedelta(), _ if is_number(right):
            return left * float(right)
        case "*", _, timedelta() if is_number(left):
            return right * float(left)
        case "/", timedelta(), _ if is_number(right):
            return left / float(right)
        case _:
            return None


def _moved(moment: date, by: timedelta) -> datetime:
    return _as_datetime(moment) + by


def _between(left: date, right: date) -> int | timedelta:
    if not isinstance(left, datetime) and not isinstance(right, datetime):
        return (left - right).days
    return _as_datetime(left) - _as_datetime(right)


def _as_datetime(moment: date) -> datetime:
    if isinstance(moment, datetime):
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.combine(moment, time(), UTC)


def negated(value: object) -> object:
    """Give ``-value``.

    Raises:
        MoltlerError: PLN004, it is neither a number nor a duration; PLN007, overflow.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return checked_integer(-value)
    if isinstance(value, float | Decimal | timedelta):
        try:
            return -value
        except OverflowError as error:
            raise value_error("the duration is too long") from error
    raise type_error(f"`-` needs a number, found {described(value)}")


def joined(left: object, right: object) -> object:
    """Give ``left || right``: arrays one after the other, anything else as text."""
    if left is None or right is None:
        return None
    if is_array(left) and is_array(right):
        return [*left, *right]
    text, more = text_of(left), text_of(right)
    if len(text) + len(more) > _LONG_TEXT:
        raise value_error("the text is too long")
    return text + more


def truth(value: object, what: str) -> bool | None:
    """Give a condition's value.

    Raises:
        MoltlerError: PLN004, it is neither TRUE, FALSE nor NULL.
    """
    if value is None or isinstance(value, bool):
        return value
    problem = (
        f"a condition must be TRUE, FALSE or NULL, found {described(value)}"
        if what == "a condition"
        else f"{what} needs a condition, found {described(value)}"
    )
    raise type_error(problem, "compare it with something")


def inverted(value: bool | None) -> bool | None:  # noqa: FBT001 - a value of the language
    """Give NOT of a three-valued truth."""
    return None if value is None else not value


def compared(operator: ast.ComparisonOperator, left: object, right: object) -> bool | None:
    """Give a comparison's three-valued truth.

    Raises:
        MoltlerError: PLN004, the kinds do not fit; PLN007, a bad regular expression.
    """
    match operator:
        case "=":
            return equal(left, right)
        case "<>":
            return inverted(equal(left, right))
        case "CONTAINS":
            return contains(left, right)
        case "MATCHES":
            return matches(left, right)
        case _:
            pass
    sign = order(left, right)
    if sign is None:
        return None
    match operator:
        case "<":
            return sign < 0
        case "<=":
            return sign <= 0
        case ">":
            return sign > 0
        case _:
            return sign >= 0


def between(value: object, low: object, high: object) -> bool | None:
    """Give ``value BETWEEN low AND high``."""
    above = compared(">=", value, low)
    below = compared("<=", value, high)
    if above is False or below is False:
        return False
    return None if above is None or below is None else True


def member(value: object, items: list[object]) -> bool | None:
    """Give ``value IN items``: NULL where a NULL item may be the one."""
    if value is None:
        return None if items else False
    unknown = False
    for item in items:
        found = equal(value, item)
        if found:
            return True
        unknown = unknown or found is None
    return None if unknown else False


def contains(whole_: object, part: object) -> bool | None:
    """Give ``whole CONTAINS part``: membership in an array, or a substring."""
    if whole_ is None or part is None:
        return None
    if is_array(whole_):
        return any(equal(item, part) for item in whole_)
    if isinstance(whole_, str):
        if not isinstance(part, str):
            raise type_error(
                f"a string CONTAINS only strings, not {described(part)}",
                "convert it with CAST(… AS string)",
            )
        return part in whole_
    hint = "use DOCUMENT_CONTAINS" if isinstance(whole_, dict) else None
    raise type_error(f"CONTAINS needs an array or a string, found {described(whole_)}", hint)


# ── patterns ─────────────────────────────────────────────────────────────────────────────────


def matches(value: object, pattern: object) -> bool | None:
    """Give ``value MATCHES pattern``: the regular expression is found anywhere."""
    if value is None or pattern is None:
        return None
    return regex_found(_text(value, "MATCHES"), _text(pattern, "MATCHES"))


def regex_found(text: str, pattern: str) -> bool:
    """Tell whether a regular expression is found anywhere in a text.

    Arrow's RE2 is the engine that DuckDB has too, and takes linear time for any pattern.

    Raises:
        MoltlerError: PLN007, the expression is malformed.
    """
    try:
        found = pc.match_substring_regex(arrow_text(text), pattern=pattern)
    except pa.ArrowInvalid as error:
        raise _bad_regex(pattern, error) from error
    return bool(found.as_py())


def arrow_text(text: str) -> pa.StringScalar:
    """Give a text to Arrow.

    Raises:
        MoltlerError: PLN007, it holds half of a character, which JavaScript allows.
    """
    try:
        return pa.scalar(text, pa.string())
    except UnicodeEncodeError as error:
        raise value_error(f"`{shortened(ascii(text))}` holds half of a character") from error


def _bad_regex(pattern: str, error: Exception) -> MoltlerError:
    reason = str(error).removeprefix("Invalid regular expression: ").strip().rstrip(".")
    return value_error(f"`{shortened(pattern)}` is not a regular expression: {reason}")


def _text(value: object, operator: str) -> str:
    if isinstance(value, str):
        return value
    raise type_error(f"{operator} needs strings, found {described(value)}")


def like(value: object, pattern: object, escape: object, *, has_escape: bool) -> bool | None:
    """Give ``value LIKE pattern [ESCAPE escape]``, case-sensitive.

    Raises:
        MoltlerError: PLN004, not strings; PLN007, ESCAPE is not one character, or ends `pattern`.
    """
    if value is None or pattern is None or (has_escape and escape is None):
        return None
    text, shape = _text(value, "LIKE"), _text(pattern, "LIKE")
    mark = _text(escape, "ESCAPE") if has_escape else ""
    if len(mark) > 1:
        raise value_error(f"ESCAPE needs one character, found `{shortened(mark)}`")
    return _fits(text, _like_parts(shape, mark))


@lru_cache(maxsize=256)
def _like_parts(pattern: str, escape: str) -> tuple[re.Pattern[str], ...]:
    # One expression for each stretch between two %: matching each as early as possible is right,
    # and never tries a stretch twice at one place.
    parts: list[str] = [""]
    rest = iter(pattern)
    for character in rest:
        if character == escape:
            escaped = next(rest, None)
            if escaped is None:
                raise value_error("the LIKE pattern ends with its escape character")
            parts[-1] += re.escape(escaped)
        elif character == "%":
            parts.append("")
        else:
            parts[-1] += "." if character == "_" else re.escape(character)
    return tuple(re.compile(p, re.DOTALL) for p in parts)


def _fits(text: str, parts: tuple[re.Pattern[str], ...]) -> bool:
    first, *others = parts
    found = first.match(text) if others else first.fullmatch(text)
    if found is None:
        return False
    at = found.end()
    if not others:
        return True
    *middle, last = others
    for part in middle:
        found = part.search(text, at)
        if found is None:
            return False
        at = found.end()
    # Without repetitions a stretch has one length: its parsed width is the pattern's.
    start = len(text) - _width(last)
    return start >= at and last.fullmatch(text, start) is not None


@lru_cache(maxsize=256)
def _width(part: re.Pattern[str]) -> int:
    return len(re.sub(r"\\(.)", r"\1", part.pattern, flags=re.DOTALL))


# ── access ───────────────────────────────────────────────────────────────────────────────────


def key_of(target: object, name: str) -> object:
    """Give ``target.name``; NULL where the key is missing or the target is NULL.

    Raises:
        MoltlerError: PLN004, the target is neither a document nor NULL.
    """
    if isinstance(target, dict):
        return cast("dict[str, object]", target).get(name)
    if target is None:
        return None
    hint = None
    if isinstance(target, list):
        hint = "use ARRAY_LENGTH" if name.lower() == "length" else f"take one item: [0].{name}"
    raise type_error(f"{described(target)} has no key `{name}`", hint)


def item_of(target: object, index: object) -> object:
    """Give ``target[index]``; NULL where there is no such item or key.

    Raises:
        MoltlerError: PLN004, the target cannot be indexed so.
    """
    if target is None or index is None:
        return None
    if is_array(target):
        place = whole(index)
        if place is None:
            raise type_error(
                f"an array is indexed by whole numbers, not by {described(index)}",
                "arrays count from 0",
            )
        return target[place] if 0 <= place < len(target) else None
    if isinstance(target, dict):
        if not isinstance(index, str):
            raise type_error(f"a document is indexed by a key, not by {described(index)}")
        return cast("dict[str, object]", target).get(index)
    hint = "take a part with SUBSTR" if isinstance(target, str) else None
    raise type_error(f"{described(target)} has no items", hint)
