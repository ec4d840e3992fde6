"""Literal documents of definitions: their values, and where each stands in the text."""

from __future__ import annotations

from moltler.catalog.values import Misfit, Path
from moltler.errors import Problem, Span
from moltler.lang import ast
from moltler.schema import JsonValue


def literal_value(node: ast.Expr) -> JsonValue:
    """Give the value of a node that holds literals only, as the parser made sure.

    Raises:
        TypeError: It holds something else.
    """
    match node:
        case ast.Literal():
            return node.value
        case ast.Negate(operand=ast.Literal(value=int() | float() as number)):
            return -number
        case ast.Document():
            return {m.key: literal_value(m.value) for m in node.members}
        case ast.Array():
            return [literal_value(item) for item in node.items]
        case _:
            raise TypeError(f"{type(node).__name__} is not a literal")


def member(document: ast.Document, key: str) -> ast.DocumentMember | None:
    """Give the member of a document with that key, compared exactly, or ``None``."""
    return next((m for m in document.members if m.key == key), None)


def span_of(node: ast.Expr, path: Path) -> Span:
    """Give the span of the value at a path below a node, or of the nearest node above it.

    A key that is not there is placed at the document that lacks it.
    """
    if not path:
        return node.span
    first, rest = path[0], path[1:]
    match node:
        case ast.Document():
            found = member(node, str(first))
            if found is not None:
                return span_of(found.value, rest)
        case ast.Array(items=items) if isinstance(first, int) and first < len(items):
            return span_of(items[first], rest)
        case _:
            pass
    return node.span


def problem_of(code: str, misfit: Misfit, node: ast.Expr | None, skip: int = 0) -> Problem:
    """Give a misfit as a problem at the value, or at the unknown key, that it is about.

    Args:
        code: The code of the problem.
        misfit: What does not fit.
        node: The document that was measured; ``None`` if it has no place.
        skip: How many leading parts of the misfit's path only name the document.
    """
    span = None
    if node is not None:
        path = misfit.path[skip:]
        span = key_span_of(node, path) if misfit.is_unknown else span_of(node, path)
    return Problem(code, misfit.message, misfit.hint, span, misfit.allowed)


def key_span_of(node: ast.Expr, path: Path) -> Span:
    """Give the span of the last key of a path, or of the nearest node above it."""
    match node:
        case ast.Document() if path:
            found = member(node, str(path[0]))
            if found is not None:
                rest = path[1:]
                return key_span_of(found.value, rest) if rest else found.key_span
        case ast.Array(items=items) if path and isinstance(path[0], int) and path[0] < len(items):
            return key_span_of(items[path[0]], path[1:])
        case _:
            pass
    return node.span


def kind_of(node: ast.Expr) -> str:
    """Name the kind of a literal for messages."""
    match node:
        case ast.Document():
            return "a document"
        case ast.Array():
            return "an array"
        case ast.Literal(value=None):
            return "NULL"
        case ast.Literal(value=bool()):
            return "a boolean"
        case ast.Literal(value=str()):
            return "a string"
        case _:
            return "a number"
