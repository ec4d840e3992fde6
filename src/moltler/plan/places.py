"""Where in a SELECT the engine's complaint belongs: it knows its own text, not the author's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from moltler.errors import MoltlerError, Span
from moltler.lang.ast import SqlText
from moltler.plan.text import DIALECT

_FUNCTIONS = (
    re.compile(r"there is no function `(\w+)`"),
    re.compile(r"`(\w+)\([^`]*\)` does not exist"),
    re.compile(r"^([A-Z_]+) (?:needs|can only)"),
)
_CLAUSE = re.compile(r"^(WHERE|HAVING|GROUP BY|QUALIFY|ON)\b")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"|`([^`]*)`")


def pinpoint(error: MoltlerError, sql: SqlText) -> None:
    """Place an error that has no place yet at the function, constant or word it is about."""
    if error.problems[0].span is not None or len(error.problems) != 1:
        return
    try:
        tokens = list(DIALECT.tokenize(sql.text))
    except SqlglotError:
        return
    token = next(_candidates(error.message, tokens), None)
    if token is not None:
        start = sql.span.start
        error.at(Span(sql.span.source, start + token.start, start + token.end + 1))


def _candidates(message: str, tokens: list[Token]) -> Iterator[Token]:
    for pattern in _FUNCTIONS:
        if found := pattern.search(message):
            yield from _functions(found[1], tokens)
    for quoted in _QUOTED.finditer(message):
        text = next(part for part in quoted.groups() if part is not None)
        yield from (
            t for t in tokens if t.token_type == TokenType.STRING and t.text == text and text
        )
        if message.startswith("`") and quoted.start() == 0:
            # ``near `BY` ``: the last one, after which the text did not go on as it should.
            yield from (t for t in reversed(tokens) if t.text.lower() == text.lower())
    if clause := _CLAUSE.match(message):
        yield from (t for t in tokens if t.text.upper() == clause[1])


def _functions(name: str, tokens: list[Token]) -> Iterator[Token]:
    for token, following in pairwise(tokens):
        if following.token_type == TokenType.L_PAREN and token.text.lower() == name.lower():
            yield token
