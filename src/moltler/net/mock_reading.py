"""Documents of a test with the places of their parts, and the problems found in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import cast

from moltler.errors import MoltlerError, Problem, Span, error_class, near_match
from moltler.lang import ast
from moltler.schema import JsonValue

Evaluate = Callable[[ast.Expr], object]
"""Gives the value of an expression of the test; called once for each."""


@dataclass(frozen=True, slots=True)
class Located:
    """A JSON value that remembers where its parts were written."""

    value: JsonValue
    span: Span = field(compare=False, repr=False)
    members: Mapping[str, Located] | None = field(default=None, compare=False, repr=False)
    """Of a document."""
    items: tuple[Located, ...] | None = field(default=None, compare=False, repr=False)
    """Of an array."""
    key_spans: Mapping[str, Span] = field(
        default_factory=dict[str, Span], compare=False, repr=False
    )

    @property
    def shown(self) -> str:
        """The value as a message shows it, shortened."""
        text = shown(self.value)
        return text if len(text) <= 80 else text[:79] + "…"


class Problems:
    """What is wrong with the documents of one test (TST005), in order."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def add(
        self, span: Span, message: str, *, hint: str | None = None, allowed: tuple[str, ...] = ()
    ) -> None:
        """Note a problem."""
        self._found.append(Problem("TST005", message, hint, span, allowed))

    def unknown(self, located: Located, what: str, allowed: tuple[str, ...]) -> None:
        """Note every key of a document that is not allowed."""
        for key in located.members or {}:
            if key not in allowed:
                close = near_match(key, allowed)
                self.add(
                    located.key_spans.get(key, located.span),
                    f"{what} has no key `{key}`",
                    hint=f"did you mean `{close}`?" if close else "remove it",
                    allowed=allowed,
                )

    def settle(self) -> None:
        """Raise what was noted, if anything was.

        Raises:
            MoltlerError: TST005 with all problems.
        """
        if self._found:
            raise MoltlerError.of(tuple(self._found))


def locate(expr: ast.Expr, evaluate: Evaluate) -> Located:
    """Give an expression's value as JSON, with the places of what is written out in it."""
    match expr:
        case ast.Document():
            members = {m.key: locate(m.value, evaluate) for m in expr.members}
            keys = {m.key: m.key_span for m in expr.members}
            value: JsonValue = {key: found.value for key, found in members.items()}
            return Located(value, expr.span, members, None, keys)
        case ast.Array():
            items = tuple(locate(item, evaluate) for item in expr.items)
            return Located([item.value for item in items], expr.span, None, items)
        case ast.Literal():
            return Located(expr.value, expr.span)
        case _:
            return _spread(_json(evaluate(expr), expr.span), expr.span)


def shown(value: JsonValue) -> str:
    """Give a value as JSON on one line."""
    return to_json(value)


def to_json(value: JsonValue) -> str:
    """Give a value as compact JSON; integers keep their digits."""
    import json  # noqa: PLC0415 - only tests need it, and start-up must stay short

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _spread(value: JsonValue, span: Span) -> Located:
    match value:
        case dict():
            members = {key: _spread(inner, span) for key, inner in value.items()}
            return Located(value, span, members)
        case list():
            return Located(value, span, None, tuple(_spread(inner, span) for inner in value))
        case _:
            return Located(value, span)


def _json(value: object, span: Span) -> JsonValue:
    """Give a value of an expression in its JSON form (LANGUAGE §3.2)."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            moment = value.astimezone(UTC)
            precision = "microseconds" if moment.microsecond % 1000 else "milliseconds"
            return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"
        case date():
            return value.isoformat()
        case list():
            return [_json(inner, span) for inner in cast("list[object]", value)]
        case dict():
            pairs = cast("dict[object, object]", value).items()
            return {str(key): _json(inner, span) for key, inner in pairs}
        case _:
            raise error_class("TST005")(
                "TST005",
                f"a `{type(value).__name__}` cannot stand in a document of a test",
                hint="use text, numbers, booleans, timestamps, documents and arrays",
                span=span,
            )


# ── narrowing, with a problem where it fails ─────────────────────────────────────────────────


def text_of(located: Located, what: str, problems: Problems) -> str | None:
    """Give a text, or note that it is none."""
    if isinstance(located.value, str):
        return located.value
    problems.add(located.span, f"{what} must be text, not {located.shown}")
    return None


def integer_of(located: Located, what: str, problems: Problems, *, least: int = 0) -> int | None:
    """Give a whole number from `least` on, or note that it is none."""
    value = located.value
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    problems.add(
        located.span, f"{what} must be a whole number from {least} on, not {located.shown}"
    )
    return None


def milliseconds_of(located: Located, what: str, problems: Problems) -> float | None:
    """Give milliseconds, 0 or more, or note that there are none."""
    value = located.value
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    problems.add(located.span, f"{what} must be milliseconds, 0 or more, not {located.shown}")
    return None


def members_of(
    located: Located, what: str, problems: Problems
) -> Iterator[tuple[str, Located, Span]]:
    """Give the members of a document with the spans of their keys, or note that it is none."""
    if located.members is None:
        problems.add(located.span, f"{what} must be a document, not {located.shown}")
        return
    for key, member in located.members.items():
        yield key, member, located.key_spans.get(key, member.span)
