"""Values that must be written out: definitions, tags, durations."""

from __future__ import annotations

from moltler.lang import ast
from moltler.lang.cursor import Cursor
from moltler.lang.expr import array, check_duration, document
from moltler.lang.tokens import Token


def duration(cursor: Cursor, what: str) -> str:
    """Take a string that holds a duration such as ``'60s'``."""
    start = cursor.token.start
    text = cursor.string(what)
    check_duration(cursor, text, ast.Literal(text, span=cursor.span_from(start)))
    return text


def literal_document(cursor: Cursor) -> ast.Document:
    """Read a document that holds literals only."""
    value = document(cursor)
    _check_literal(cursor, value)
    return value


def literal_array(cursor: Cursor) -> ast.Array:
    """Read an array that holds literals only."""
    value = array(cursor)
    _check_literal(cursor, value)
    return value


def string_array(cursor: Cursor) -> tuple[str, ...]:
    """Read an array of strings."""
    texts: list[str] = []
    for item in array(cursor).items:
        if not isinstance(item, ast.Literal) or not isinstance(item.value, str):
            at = Token("string", "", "", item.span.start, item.span.end)
            cursor.fail("SYN003", "only strings may stand in this array", at=at)
        texts.append(item.value)
    return tuple(texts)


def _check_literal(cursor: Cursor, value: ast.Expr) -> None:
    match value:
        case ast.Literal():
            return
        case ast.Negate(operand=ast.Literal(value=int() | float())):
            return
        case ast.Document():
            for member in value.members:
                _check_literal(cursor, member.value)
        case ast.Array():
            for item in value.items:
                _check_literal(cursor, item)
        case _:
            cursor.fail(
                "SYN003",
                "a definition holds literals only: strings, numbers, TRUE, FALSE, NULL, "
                "documents and arrays",
                at=Token("symbol", "", "", value.span.start, value.span.end),
                hint="write the value itself",
            )
