"""Statements of scripts: variables, branches, loops, failures."""

from __future__ import annotations

from moltler.lang import ast
from moltler.lang.cursor import BodyReader, Cursor
from moltler.lang.expr import call, expression, initialiser
from moltler.lang.tokens import Token

_OPERATOR_WORDS = ("IS", "IN", "NOT", "AND", "OR", "BETWEEN", "CONTAINS")


def declare(cursor: Cursor) -> ast.Statement:
    """Read DECLARE of variables, or of a cursor."""
    start = cursor.expect("DECLARE").start
    first = cursor.token.start
    name = cursor.name("a variable")
    if cursor.take_phrase("CURSOR", "FOR"):
        if not cursor.at_select():
            cursor.unexpected("SELECT")
        sql = cursor.sql_alone("in a cursor")
        return ast.DeclareCursor(name, sql, span=cursor.span_from(start))
    declarations = [_declaration(cursor, name, first)]
    while cursor.take_symbol(","):
        first = cursor.token.start
        declarations.append(_declaration(cursor, cursor.name("a variable"), first))
    return ast.Declare(tuple(declarations), span=cursor.span_from(start))


def _declaration(cursor: Cursor, name: str, start: int) -> ast.Declaration:
    type_name = cursor.name("a type") if cursor.token.kind == "word" else None
    value = None
    if cursor.take_symbol("=", ":=", role="operator"):
        value = initialiser(cursor, "in DECLARE")
    return ast.Declaration(name, type_name, value, span=cursor.span_from(start))


def assign(cursor: Cursor) -> ast.Set:
    """Read SET."""
    start = cursor.expect("SET").start
    target = _target(cursor)
    if not cursor.take_symbol("=", ":=", role="operator"):
        cursor.unexpected("`=`")
    return ast.Set(target, initialiser(cursor, "in SET"), span=cursor.span_from(start))


def _target(cursor: Cursor) -> ast.Name | ast.Member | ast.Index:
    start = cursor.token.start
    name = cursor.name("a variable")
    target: ast.Name | ast.Member | ast.Index = ast.Name(name, span=cursor.span_from(start))
    while True:
        if cursor.take_symbol("."):
            key = cursor.name("a key")
            target = ast.Member(target, key, span=cursor.span_from(start))
        elif cursor.take_symbol("[", role="tight"):
            index = expression(cursor)
            cursor.expect_symbol("]")
            target = ast.Index(target, index, span=cursor.span_from(start))
        else:
            return target
        cursor.higher()


def check(cursor: Cursor, read_body: BodyReader) -> ast.Statement:
    """Read ASSERT and ASSERT RAISES."""
    start = cursor.expect("ASSERT").start
    if cursor.at("RAISES"):
        expected = _raises(cursor)
        if expected is not None:
            body = _block(cursor, read_body)
            return ast.AssertRaises(expected, body, span=cursor.span_from(start))
    condition = expression(cursor)
    message = expression(cursor) if cursor.take_symbol(",") else None
    return ast.Assert(condition, message, span=cursor.span_from(start))


def _raises(cursor: Cursor) -> ast.ExpectError | None:
    """Read the head of ASSERT RAISES, or give ``None`` if `raises` is a variable here."""
    mark = cursor.mark()
    start = cursor.advance().start
    if cursor.token.kind != "word" or cursor.at(*_OPERATOR_WORDS):
        cursor.reset(mark)
        return None
    type_name = None if cursor.at("BEGIN", "LIKE", "MATCHES") else cursor.name("an error type")
    match, pattern = None, None
    if cursor.at("LIKE", "MATCHES"):
        match = "LIKE" if cursor.advance().folded == "LIKE" else "MATCHES"
        if cursor.at_kind("string"):
            pattern = cursor.string("a pattern")
    if type_name is None and match and not (pattern is not None and cursor.at("BEGIN")):
        cursor.reset(mark)
        return None
    if match and pattern is None:
        cursor.string("a pattern")
    return ast.ExpectError(type_name, match, pattern, span=cursor.span_from(start))


def output(cursor: Cursor) -> ast.Print:
    """Read PRINT."""
    start = cursor.expect("PRINT").start
    return ast.Print(expression(cursor), span=cursor.span_from(start))


def choose(cursor: Cursor, read_body: BodyReader) -> ast.If:
    """Read IF."""
    opening = cursor.expect("IF")
    branches = [_branch(cursor, read_body, opening.start)]
    while cursor.at("ELSEIF", "ELSIF"):
        first = cursor.advance().start
        branches.append(_branch(cursor, read_body, first))
    otherwise = read_body(cursor) if cursor.take("ELSE") else None
    _close(cursor, opening, "IF")
    return ast.If(tuple(branches), otherwise, span=cursor.span_from(opening.start))


def _branch(cursor: Cursor, read_body: BodyReader, start: int) -> ast.Branch:
    condition = expression(cursor)
    cursor.expect("THEN")
    return ast.Branch(condition, read_body(cursor), span=cursor.span_from(start))


def repeat_for(cursor: Cursor, read_body: BodyReader) -> ast.For:
    """Read FOR over rows, a range or an array."""
    opening = cursor.expect("FOR")
    variable = cursor.name("a variable")
    cursor.expect("IN")
    subject = _subject(cursor)
    cursor.expect("LOOP")
    body = read_body(cursor, "loop")
    _close(cursor, opening, "LOOP")
    return ast.For(variable, subject, body, span=cursor.span_from(opening.start))


def _subject(cursor: Cursor) -> ast.Expr | ast.SqlText | ast.Range:
    start = cursor.token.start
    first = expression(cursor)
    if cursor.take_symbol(".."):
        return ast.Range(first, expression(cursor), span=cursor.span_from(start))
    return first.select if isinstance(first, ast.Subquery) else first


def repeat_while(cursor: Cursor, read_body: BodyReader) -> ast.While:
    """Read WHILE."""
    opening = cursor.expect("WHILE")
    condition = expression(cursor)
    cursor.expect("LOOP")
    body = read_body(cursor, "loop")
    _close(cursor, opening, "LOOP")
    return ast.While(condition, body, span=cursor.span_from(opening.start))


def attempt(cursor: Cursor, read_body: BodyReader) -> ast.Try:
    """Read TRY."""
    opening = cursor.expect("TRY")
    body = read_body(cursor)
    catches: list[ast.Catch] = []
    while cursor.at("CATCH"):
        first = cursor.advance().start
        type_name = None
        if not cursor.take("THEN"):
            type_name = cursor.name("an error type or THEN")
            cursor.take("THEN")
        caught = read_body(cursor)
        catches.append(ast.Catch(type_name, caught, span=cursor.span_from(first)))
    final = read_body(cursor) if cursor.take("FINALLY") else None
    _close(cursor, opening, "TRY")
    return ast.Try(body, tuple(catches), final, span=cursor.span_from(opening.start))


def block(cursor: Cursor, read_body: BodyReader) -> ast.Block:
    """Read BEGIN … END."""
    start = cursor.token.start
    return ast.Block(_block(cursor, read_body), span=cursor.span_from(start))


def _block(cursor: Cursor, read_body: BodyReader) -> tuple[ast.Statement, ...]:
    opening = cursor.expect("BEGIN")
    body = read_body(cursor)
    _close(cursor, opening)
    return body


def _close(cursor: Cursor, opening: Token, word: str = "") -> None:
    end = f"END {word}".strip()
    mark = cursor.mark()
    if cursor.take("END") and (not word or cursor.take(word)):
        return
    line, _ = cursor.scanner.position(opening.start)
    found = cursor.token
    cursor.reset(mark)
    cursor.fail(
        "SYN001",
        f"expected {end} for the {opening.folded} of line {line}, found {found}",
        at=found,
        hint=f"close it with {end};",
    )


def throw(cursor: Cursor) -> ast.Throw:
    """Read THROW, also as RAISE."""
    start = cursor.expect("THROW", "RAISE").start
    value = None if _is_over(cursor) or cursor.at("WITH") else expression(cursor)
    code = None
    if cursor.take("WITH"):
        cursor.expect("CODE")
        code = expression(cursor)
    return ast.Throw(value, code, span=cursor.span_from(start))


def jump(cursor: Cursor) -> ast.Jump:
    """Read BREAK, its synonym EXIT, and CONTINUE."""
    token = cursor.expect("BREAK", "EXIT", "CONTINUE")
    kind = "CONTINUE" if token.folded == "CONTINUE" else "BREAK"
    return ast.Jump(kind, span=cursor.span_from(token.start))


def give_back(cursor: Cursor) -> ast.Return:
    """Read RETURN."""
    start = cursor.expect("RETURN").start
    value = None if _is_over(cursor) else initialiser(cursor, "in RETURN")
    return ast.Return(value, span=cursor.span_from(start))


def _is_over(cursor: Cursor) -> bool:
    return cursor.at_symbol(";") or cursor.at_end()


def step(cursor: Cursor) -> ast.CursorStep:
    """Read OPEN, FETCH … INTO and CLOSE of a cursor."""
    start = cursor.token.start
    verb = cursor.expect("OPEN", "FETCH", "CLOSE").folded
    name = cursor.name("a cursor")
    into = None
    if verb == "FETCH":
        cursor.expect("INTO")
        into = cursor.name("a variable")
    return ast.CursorStep(
        verb,  # type: ignore[arg-type] # one of the three above
        name,
        into,
        span=cursor.span_from(start),
    )


def call_alone(cursor: Cursor) -> ast.CallStatement:
    """Read a function call as a statement."""
    start = cursor.token.start
    return ast.CallStatement(call(cursor), span=cursor.span_from(start))
