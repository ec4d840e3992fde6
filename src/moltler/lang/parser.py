"""The way from text to statements and expressions."""

from __future__ import annotations

from moltler.errors import Source
from moltler.lang import ast
from moltler.lang.cursor import Cursor
from moltler.lang.expr import expression
from moltler.lang.reader import Reader


def parse(source: Source) -> ast.Script:
    """Read a script whole, before anything of it runs.

    Raises:
        ParseError: Everything that is wrong with it, each with its place.

    >>> parse(Source("x", "PRINT 'a'; SHOW CONNECTORS")).statements[1]
    Show(subject='CONNECTORS')
    """
    return Reader(source).script()


def parse_expression(source: Source) -> ast.Expr:
    """Read a text that is one expression.

    Raises:
        ParseError: It is none, or something follows it.

    >>> parse_expression(Source("x", "NOT ready"))
    Not(operand=Name(name='ready'))
    """
    cursor = Cursor(source)
    found = expression(cursor)
    if not cursor.at_end():
        cursor.unexpected("the end of the expression")
    return found
