"""Functions of text, with DuckDB's meaning."""

from __future__ import annotations

import re
import unicodedata

import pyarrow as pa
import pyarrow.compute as pc

from moltler.exec.functions_shape import function, table
from moltler.exec.operators import arrow_text, regex_found
from moltler.exec.values import shortened, value_error

_LONGEST = 100_000_000
"""Padding beyond this is a mistake, and would take the process down."""
_UPPER = {"ß": "ẞ"}
_LOWER = {"İ": "i"}


def length(value: str | list[object]) -> int:
    """Give the number of characters, or of items."""
    return len(value)


def upper(text: str) -> str:
    """Give upper case; a character that would become several stays."""
    return "".join(u if len(u := c.upper()) == 1 else _UPPER.get(c, c) for c in text)


def lower(text: str) -> str:
    """Give lower case; a character that would become several stays."""
    return "".join(u if len(u := c.lower()) == 1 else _LOWER.get(c, c) for c in text)


def _is_space(character: str) -> bool:
    return unicodedata.category(character) == "Zs"


def ltrim(text: str, characters: str | None = None) -> str:
    """Drop leading spaces, or other characters."""
    if characters is not None:
        return text.lstrip(characters) if characters else text
    start = next((i for i, c in enumerate(text) if not _is_space(c)), len(text))
    return text[start:]


def rtrim(text: str, characters: str | None = None) -> str:
    """Drop trailing spaces, or other characters."""
    if characters is not None:
        return text.rstrip(characters) if characters else text
    end = next((i for i in range(len(text), 0, -1) if not _is_space(text[i - 1])), 0)
    return text[:end]


def trim(text: str, characters: str | None = None) -> str:
    """Drop spaces, or other characters, from both ends."""
    return ltrim(rtrim(text, characters), characters)


def substr(text: str, start: int, count: int | None = None) -> str:
    """Give a part, counted from 1; a negative start counts from the end.

    >>> substr("hello", 2, 3), substr("hello", -3), substr("hello", 0, 2)
    ('ell', 'llo', 'h')
    """
    size = len(text)
    first = start - 1 if start > 0 else (size + start if start < 0 else -1)
    last = first + count if count is not None else max(first, size)
    if last < first:
        first, last = last, first
    return text[max(first, 0) : max(last, 0)]


def replace(text: str, old: str, new: str) -> str:
    """Replace every occurrence; an empty text is never found."""
    return text.replace(old, new) if old else text


def instr(text: str, part: str) -> int:
    """Give the place of a part, counted from 1; 0 if it is not there."""
    return text.find(part) + 1


def _padding(text: str, size: int, fill: str) -> str:
    missing = size - len(text)
    if missing <= 0:
        return ""
    if not fill:
        raise value_error("padding needs at least one character to fill with")
    if size > _LONGEST:
        raise value_error(f"a text of {size} characters is too long")
    return (fill * (missing // len(fill) + 1))[:missing]


def lpad(text: str, size: int, fill: str = " ") -> str:
    """Fill up at the left, or cut, to a number of characters."""
    return (
        (_padding(text, size, fill) + text)[: max(size, 0)]
        if size > len(text)
        else text[: max(size, 0)]
    )


def rpad(text: str, size: int, fill: str = " ") -> str:
    """Fill up at the right, or cut, to a number of characters."""
    return (text + _padding(text, size, fill))[: max(size, 0)]


def split(text: str, separator: str | None) -> list[object]:
    """Cut at every separator; an empty one cuts between the characters, NULL nowhere."""
    if separator is None:
        return [text]
    return list(text.split(separator)) if separator else list(text)


def reverse(text: str) -> str:
    """Give the characters in reverse order."""
    return text[::-1]


# ── regular expressions ──────────────────────────────────────────────────────────────────────

_GROUP_LIMIT = 9


def _with_options(pattern: str, options: str) -> tuple[str, bool]:
    # DuckDB's letters as RE2 flags, and whether every match is meant.
    flags, is_global = "", False
    for letter in options:
        match letter:
            case "i":
                flags += "i"
            case "c":
                flags = flags.replace("i", "")
            case "s":
                flags += "s"
            case "m" | "n" | "p":
                flags = flags.replace("s", "")
            case "l":
                pattern = re.escape(pattern)
            case "g":
                is_global = True
            case _:
                raise value_error(
                    f"`{letter}` is no option of a regular expression", "allowed are c i l m s g"
                )
    return (f"(?{flags}){pattern}" if flags else pattern), is_global


def regexp_matches(text: str, pattern: str, options: str = "") -> bool:
    """Tell whether a regular expression is found anywhere."""
    return regex_found(text, _with_options(pattern, options)[0])


def regexp_replace(text: str, pattern: str, new: str, options: str = "") -> str:
    r"""Replace the first match, or with ``g`` every match; ``\1`` is the first group."""
    expression, is_global = _with_options(pattern, options)
    try:
        return _replaced(text, expression, new, None if is_global else 1)
    except _BadReplacementError as error:
        raise value_error(
            f"`{shortened(new)}` is no replacement for `{shortened(pattern)}`",
            r"write \1 to \9 for groups that the pattern has, and \\ for a backslash",
        ) from error


def regexp_extract(text: str, pattern: str, group: int = 0, options: str = "") -> str:
    """Give the first match or one of its groups; ``""`` if there is none."""
    if not 0 <= group <= _GROUP_LIMIT:
        raise value_error(f"the group must be between 0 and {_GROUP_LIMIT}, found {group}")
    expression = _with_options(pattern, options)[0]
    if not regex_found(text, expression):
        return ""
    # Everything around the first match is matched too, so that the replacement is all there is.
    # The pattern is bracketed, so its alternatives and flags end with it.
    whole_or_part, number = ("(", 1) if group == 0 else ("(?:", group)
    around = rf"(?s:\A.*?){whole_or_part}{expression})(?s:.*\z)"
    try:
        return _replaced(text, around, f"\\{number}", 1)
    except _BadReplacementError:
        # The pattern has no group of that number.
        return ""


class _BadReplacementError(Exception):
    """The replacement names a group that is not there."""


def _replaced(text: str, pattern: str, new: str, most: int | None) -> str:
    try:
        replaced = pc.replace_substring_regex(
            arrow_text(text), pattern=pattern, replacement=new, max_replacements=most
        )
    except pa.ArrowInvalid as error:
        # Both mistakes are one kind of error in Arrow; the pattern alone tells them apart.
        regex_found("", pattern)
        raise _BadReplacementError from error
    result: str = replaced.as_py()
    return result


TEXT = table(
    function("LENGTH", "value:sized", length),
    function("UPPER", "text:text", upper),
    function("LOWER", "text:text", lower),
    function("TRIM", "text:text characters:text?", trim),
    function("LTRIM", "text:text characters:text?", ltrim),
    function("RTRIM", "text:text characters:text?", rtrim),
    function("SUBSTR", "text:text start:integer length:integer?", substr),
    function("REPLACE", "text:text old:text new:text", replace),
    function("INSTR", "text:text part:text", instr),
    function("LPAD", "text:text length:integer fill:text?", lpad),
    function("RPAD", "text:text length:integer fill:text?", rpad),
    function("SPLIT", "text:text separator:text~", split),
    function("REVERSE", "text:text", reverse),
    function("STARTS_WITH", "text:text start:text", str.startswith),
    function("ENDS_WITH", "text:text end:text", str.endswith),
    function("REGEXP_MATCHES", "text:text pattern:text options:text?", regexp_matches),
    function("REGEXP_REPLACE", "text:text pattern:text new:text options:text?", regexp_replace),
    function(
        "REGEXP_EXTRACT", "text:text pattern:text group:integer? options:text?", regexp_extract
    ),
)
