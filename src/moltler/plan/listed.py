"""Long lists of literals, kept as one leaf of the tree: thousands of nodes are slow to walk."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias

from sqlglot import exp
from sqlglot.expressions.core import Expression
from sqlglot.tokenizer_core import Token, TokenType

LISTED = "\ue004"
"""First character of an identifier that stands for a list of literals."""
_FEWEST = 50
"""Shorter lists are left to the parser."""
_LITERALS = {TokenType.NUMBER, TokenType.STRING}

Literal: TypeAlias = str | int | Decimal


class Listed(Expression):
    """The items of ``IN (1, 2, …)``: literals only, as a tuple in `this`."""

    @property
    def values(self) -> tuple[Literal, ...]:
        """The literals."""
        return self.args["this"]

    @property
    def written(self) -> str:
        """The literals as SQL."""
        return ", ".join(map(_written, self.values))


def listed(values: Sequence[Literal]) -> Listed:
    """Make the leaf for literals."""
    return Listed(this=tuple(values))


def literals_at(tokens: list[Token], position: int) -> tuple[tuple[Literal, ...], int] | None:
    """Read a long list of literals behind ``IN (``.

    Args:
        tokens: Of a SELECT.
        position: Of the first item.

    Returns:
        The literals and the position of the closing parenthesis, or ``None`` if it is no such list.
    """
    values: list[Literal] = []
    count = len(tokens)
    while position + 1 < count:
        is_negative = tokens[position].token_type == TokenType.DASH
        position += is_negative
        token = tokens[position]
        if token.token_type not in _LITERALS or position + 1 >= count:
            return None
        if token.token_type == TokenType.STRING:
            if is_negative:
                return None
            values.append(token.text)
        else:
            number = int(token.text) if token.text.isdigit() else Decimal(token.text)
            values.append(-number if is_negative else number)
        following = tokens[position + 1].token_type
        if following == TokenType.R_PAREN:
            return (tuple(values), position + 1) if len(values) >= _FEWEST else None
        if following != TokenType.COMMA:
            return None
        position += 2
    return None


def swap(old: exp.Expr, new: exp.Expr) -> None:
    """Put a node in the place of another; sqlglot's own way visits all items of a list."""
    parent, key, index = old.parent, old.arg_key, old.index
    if parent is None or key is None or index is None or old is new:
        old.replace(new)
        return
    parent.args[key][index] = new
    new.parent, new.arg_key, new.index = parent, key, index
    old.parent = old.arg_key = old.index = None


def _written(value: Literal) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)
