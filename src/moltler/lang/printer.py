"""Text in canonical form: the formatter, and statements as text."""

from __future__ import annotations

from moltler.errors import Source
from moltler.lang import ast
from moltler.lang.cursor import Lexeme
from moltler.lang.layout import Layout
from moltler.lang.pieces import Grouper, read_pieces
from moltler.lang.reader import Reader
from moltler.lang.statement_wording import statement_text
from moltler.lang.wording import Wording


def format_text(source: Source) -> str:
    r"""Give a script in canonical layout; comments, SELECT text and handlers stay as they are.

    Raises:
        ParseError: The text is not a script.

    >>> format_text(Source("x", "set  x=[1,2] ;"))
    'SET x = [1, 2];\n'
    """
    return _laid_out(source, is_fragment=False)


def _laid_out(source: Source, *, is_fragment: bool) -> str:
    trace: list[Lexeme] = []
    reader = Reader(source, trace, is_fragment=is_fragment)
    reader.script()
    grouper = Grouper(read_pieces(reader.cursor.scanner, trace))
    statements = grouper.statements()
    return Layout().script(statements, grouper.end())


def print_statement(statement: ast.Statement) -> str:
    """Give a statement in canonical form, with its ``;`` and no line break behind it.

    What it reads back as is equal to the statement.
    """
    source = Source("<printed>", f"{statement_text(statement)};")
    return _laid_out(source, is_fragment=True).removesuffix("\n")


def print_expression(expression: ast.Expr) -> str:
    """Give an expression on one line.

    >>> from moltler.lang.parser import parse_expression
    >>> print_expression(parse_expression(Source("x", "(a+1)*((b))")))
    '(a + 1) * b'
    """
    return Wording().expression(expression)
