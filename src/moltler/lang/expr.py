"""Expressions, documents and calls, by operator precedence."""

from __future__ import annotations

import re
from math import isinf
from typing import NoReturn

from moltler.lang import ast
from moltler.lang.cursor import Cursor
from moltler.lang.tokens import Token

_TERNARY, _OR, _AND, _NOT, _COMPARE, _CONCAT, _FALLBACK, _SUM, _PRODUCT, _NEGATE = range(1, 11)

_BINARY: dict[str, tuple[int, ast.BinaryOperator]] = {
    "OR": (_OR, "OR"),
    "AND": (_AND, "AND"),
    "||": (_CONCAT, "||"),
    "??": (_FALLBACK, "??"),
    "+": (_SUM, "+"),
    "-": (_SUM, "-"),
    "*": (_PRODUCT, "*"),
    "/": (_PRODUCT, "/"),
    "%": (_PRODUCT, "%"),
}
_COMPARISONS: dict[str, ast.ComparisonOperator] = {
    "=": "=", "==": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
    "CONTAINS": "CONTAINS", "MATCHES": "MATCHES",
}  # fmt: skip
_DURATION = re.compile(r"\s*-?[0-9]{1,15}(?:\.[0-9]{1,6})?\s*(?:ms|s|m|h|d|w)\s*")
_COMPARISON_WORDS = frozenset({"IS", "IN", "LIKE", "BETWEEN", "NOT", "CONTAINS", "MATCHES"})


def expression(cursor: Cursor) -> ast.Expr:
    """Read one expression."""
    return _parse(cursor, _TERNARY)


def condition(cursor: Cursor) -> ast.Expr:
    """Read the WHERE of QUERY and SYNC: an expression with SQL's names and strings."""
    with cursor.sql_names():
        return expression(cursor)


def initialiser(cursor: Cursor, where: str) -> ast.Expr | ast.SqlText:
    """Read a value that may also be a bare SELECT reaching to the end of the statement."""
    if not cursor.at_select() or (cursor.at_symbol("(") and not _is_joined_select(cursor)):
        return expression(cursor)
    return cursor.sql_alone(where)


def _is_joined_select(cursor: Cursor) -> bool:
    # `(SELECT 1) UNION …` is SELECT text, `(SELECT 1)` and what calculates with it are values.
    close = cursor.scanner.matching_close(cursor.token.start)
    return close is not None and _joins_selects(cursor.scanner.token(close))


def _joins_selects(token: Token) -> bool:
    return token.folded in {"UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT", "OFFSET"}


def _parse(cursor: Cursor, level: int) -> ast.Expr:
    cursor.deeper()
    beside, cursor.height = cursor.height, 0
    start = cursor.token.start
    left = _prefix(cursor, level)
    # A comparison is no operand of what binds tighter, and comparisons do not chain.
    ceiling = _NEGATE
    while (binding := _binding(cursor.token)) is not None and level <= binding <= ceiling:
        if binding == _COMPARE == ceiling:
            cursor.fail(
                "SYN001", "comparisons do not chain", hint="combine two comparisons with AND"
            )
        left = _infix(cursor, left, binding, start)
        cursor.higher()
        ceiling = binding
    cursor.depth -= 1
    cursor.height = max(beside, cursor.height + 1)
    return left


def _prefix(cursor: Cursor, level: int) -> ast.Expr:
    start = cursor.token.start
    if level <= _NOT and (cursor.at("NOT") or cursor.at_symbol("!")):
        cursor.advance(None if cursor.at("NOT") else "prefix")
        return ast.Not(_parse(cursor, _NOT), span=cursor.span_from(start))
    if cursor.take_symbol("-", role="prefix"):
        operand = _parse(cursor, _NEGATE)
        return ast.Negate(operand, span=cursor.span_from(start))
    return _postfix(cursor)


def _binding(token: Token) -> int | None:
    """Give how tight an operator binds, or ``None`` for a token that is none."""
    if token.kind not in {"symbol", "word"}:
        return None
    if token.text == "?":
        return _TERNARY
    operator = _BINARY.get(token.folded)
    if operator is not None:
        return operator[0]
    return _COMPARE if token.folded in _COMPARISONS or token.folded in _COMPARISON_WORDS else None


def _infix(cursor: Cursor, left: ast.Expr, binding: int, start: int) -> ast.Expr:
    if binding == _TERNARY:
        return _ternary(cursor, left, start)
    if binding == _COMPARE:
        return _comparison(cursor, left, start)
    _, name = _BINARY[cursor.advance(_operator_role(cursor)).folded]
    right = _parse(cursor, binding + 1)
    return ast.Binary(name, left, right, span=cursor.span_from(start))


def _operator_role(cursor: Cursor) -> str | None:
    return "operator" if cursor.token.kind == "symbol" else None


def _ternary(cursor: Cursor, condition: ast.Expr, start: int) -> ast.Expr:
    cursor.advance("operator")
    then = _parse(cursor, _TERNARY)
    cursor.expect_symbol(":", "operator")
    otherwise = _parse(cursor, _TERNARY)
    return ast.Ternary(condition, then, otherwise, span=cursor.span_from(start))


def _comparison(cursor: Cursor, left: ast.Expr, start: int) -> ast.Expr:
    if cursor.take("IS"):
        negated = cursor.take("NOT")
        cursor.expect("NULL")
        return ast.IsNull(left, negated, span=cursor.span_from(start))
    negated = cursor.take("NOT")
    if negated and not cursor.at("IN", "LIKE", "BETWEEN", "CONTAINS", "MATCHES"):
        cursor.unexpected("IN", "LIKE", "BETWEEN", "CONTAINS", "MATCHES")
    if cursor.take("IN"):
        return _membership(cursor, left, start, negated=negated)
    if cursor.take("LIKE"):
        pattern = _parse(cursor, _CONCAT)
        escape = _parse(cursor, _CONCAT) if cursor.take("ESCAPE") else None
        return ast.Like(left, pattern, escape, negated, span=cursor.span_from(start))
    if cursor.take("BETWEEN"):
        low = _parse(cursor, _CONCAT)
        cursor.expect("AND")
        high = _parse(cursor, _CONCAT)
        return ast.Between(left, low, high, negated, span=cursor.span_from(start))
    operator = _COMPARISONS[cursor.advance(_operator_role(cursor)).folded]
    right = _parse(cursor, _CONCAT)
    return ast.Comparison(operator, left, right, negated, span=cursor.span_from(start))


def _membership(cursor: Cursor, left: ast.Expr, start: int, *, negated: bool) -> ast.Expr:
    if cursor.at_symbol("(") and not (cursor.at_select() and holds_select(cursor)):
        cursor.advance()
        items = [expression(cursor)]
        while cursor.take_symbol(","):
            items.append(expression(cursor))
        cursor.expect_symbol(")")
        return ast.In(left, tuple(items), None, negated, span=cursor.span_from(start))
    container = _parse(cursor, _CONCAT)
    return ast.In(left, None, container, negated, span=cursor.span_from(start))


def _postfix(cursor: Cursor) -> ast.Expr:
    start = cursor.token.start
    value = _primary(cursor)
    while True:
        if cursor.take_symbol(".", "?."):
            name = cursor.name("a key")
            value = ast.Member(value, name, span=cursor.span_from(start))
        elif cursor.take_symbol("[", role="tight"):
            index = expression(cursor)
            cursor.expect_symbol("]")
            value = ast.Index(value, index, span=cursor.span_from(start))
        else:
            return value
        cursor.higher()


def _primary(cursor: Cursor) -> ast.Expr:
    token = cursor.token
    match token.kind:
        case "word":
            return _word(cursor, token)
        case "string":
            value = cursor.scanner.string_value(token)
            cursor.advance()
            return ast.Literal(value, span=cursor.span_from(token.start))
        case "number":
            return _number(cursor, token)
        case "name":
            cursor.advance("plain")
            return ast.Name(token.text, span=cursor.span_from(token.start))
        case _:
            return _symbol(cursor, token)


def _number(cursor: Cursor, token: Token) -> ast.Literal:
    number = int(token.text) if token.text.isdigit() else float(token.text)
    if isinstance(number, float) and isinf(number):
        cursor.fail("SYN006", f"the number {token} is too large")
    cursor.advance()
    return ast.Literal(number, span=cursor.span_from(token.start))


def _symbol(cursor: Cursor, token: Token) -> ast.Expr:
    match token.text:
        case "{":
            return document(cursor)
        case "[":
            return array(cursor)
        case "(":
            return _parenthesised(cursor)
        case "@":
            cursor.advance("prefix")
            name = cursor.name("a variable")
            return ast.Variable(name, span=cursor.span_from(token.start))
        case "?":
            cursor.advance("plain")
            cursor.positionals += 1
            return ast.Positional(cursor.positionals - 1, span=cursor.span_from(token.start))
        case _:
            return _no_value(cursor)


def _no_value(cursor: Cursor) -> NoReturn:
    cursor.fail("SYN001", f"expected a value, found {cursor.token}")


def _parenthesised(cursor: Cursor) -> ast.Expr:
    start = cursor.token.start
    if cursor.at_select() and holds_select(cursor):
        cursor.advance()
        select = cursor.sql_alone("inside parentheses")
        cursor.expect_symbol(")")
        return ast.Subquery(select, span=cursor.span_from(start))
    cursor.advance()
    value = expression(cursor)
    cursor.expect_symbol(")")
    return value


def holds_select(cursor: Cursor) -> bool:
    """Tell whether parentheses before a SELECT belong to it as a whole."""
    # `((SELECT 1) + 1)` is an expression, `((SELECT 1) UNION (SELECT 2))` is SELECT text.
    inner = cursor.peek()
    if inner.text != "(":
        return True
    close = cursor.scanner.matching_close(inner.start)
    if close is None:
        return True
    return _joins_selects(cursor.scanner.token(close))


def _word(cursor: Cursor, token: Token) -> ast.Expr:
    match token.folded:
        case "NULL" | "TRUE" | "FALSE":
            cursor.advance("plain")
            value = {"NULL": None, "TRUE": True, "FALSE": False}[token.folded]
            return ast.Literal(value, span=cursor.span_from(token.start))
        case "CASE":
            return _case(cursor)
        case "CAST":
            return _cast(cursor)
        case "INTERVAL":
            return interval(cursor)
        case "CONNECTOR_EXEC" | "EXEC":
            return execution(cursor)
        case "SELECT" | "WITH" | "VALUES":
            return cursor.fail(
                "SYN001",
                f"{token.folded} cannot stand here without parentheses",
                hint="write ( SELECT … )",
            )
        case "NOT":
            return _no_value(cursor)
        case _:
            cursor.advance("plain")
            if cursor.at_symbol("("):
                return _call(cursor, token)
            return ast.Name(token.text, span=cursor.span_from(token.start))


def _call(cursor: Cursor, token: Token) -> ast.Call:
    cursor.advance()
    arguments: list[ast.Expr] = []
    while not cursor.at_symbol(")"):
        arguments.append(_argument_or_lambda(cursor))
        if not cursor.take_symbol(","):
            break
        if cursor.at_symbol(")"):
            _no_value(cursor)
    cursor.expect_symbol(")")
    return ast.Call(token.text, tuple(arguments), span=cursor.span_from(token.start))


def call(cursor: Cursor) -> ast.Call:
    """Read a function call."""
    token = cursor.advance("plain")
    return _call(cursor, token)


def _argument_or_lambda(cursor: Cursor) -> ast.Expr:
    start = cursor.token.start
    mark = cursor.mark()
    names = _lambda_parameters(cursor)
    if names is None:
        cursor.reset(mark)
        return expression(cursor)
    return ast.Lambda(names, expression(cursor), span=cursor.span_from(start))


def _lambda_parameters(cursor: Cursor) -> tuple[str, ...] | None:
    if cursor.token.kind == "word":
        name = cursor.advance("plain").text
        return (name,) if cursor.take_symbol("=>", role="operator") else None
    if not cursor.take_symbol("("):
        return None
    names: list[str] = []
    while cursor.at_kind("word"):
        names.append(cursor.advance("plain").text)
        if not cursor.take_symbol(","):
            break
    if names and cursor.take_symbol(")") and cursor.take_symbol("=>", role="operator"):
        return tuple(names)
    return None


def _case(cursor: Cursor) -> ast.Case:
    start = cursor.advance().start
    subject = None if cursor.at("WHEN") else expression(cursor)
    whens: list[ast.When] = []
    while cursor.at("WHEN"):
        first = cursor.advance().start
        condition = expression(cursor)
        cursor.expect("THEN")
        whens.append(ast.When(condition, expression(cursor), span=cursor.span_from(first)))
    if not whens:
        cursor.unexpected("WHEN")
    otherwise = expression(cursor) if cursor.take("ELSE") else None
    cursor.expect("END")
    return ast.Case(subject, tuple(whens), otherwise, span=cursor.span_from(start))


def _cast(cursor: Cursor) -> ast.Cast:
    start = cursor.advance().start
    cursor.expect_symbol("(")
    operand = expression(cursor)
    cursor.expect("AS")
    type_name = cursor.name("a type")
    cursor.expect_symbol(")")
    return ast.Cast(operand, type_name, span=cursor.span_from(start))


def interval(cursor: Cursor) -> ast.Interval:
    """Read ``INTERVAL '7d'`` or a concatenation such as ``INTERVAL days || 'd'``."""
    start = cursor.expect("INTERVAL").start
    parts = [_primary(cursor)]
    while cursor.take_symbol("||", role="operator"):
        parts.append(_primary(cursor))
        cursor.higher()
    found = ast.Interval(tuple(parts), span=cursor.span_from(start))
    texts = [p.value if isinstance(p, ast.Literal) else None for p in parts]
    if all(isinstance(text, str) for text in texts):
        check_duration(cursor, "".join(str(text) for text in texts), found)
    return found


def check_duration(cursor: Cursor, text: str, where: ast.Expr) -> None:
    """Fail with SYN006 if a text is no duration."""
    if not _DURATION.fullmatch(text):
        cursor.fail(
            "SYN006",
            f"'{text[:80]}' is not a duration",
            at=Token("string", "", "", where.span.start, where.span.end),
            hint="write a number and one of ms s m h d w: '7d'",
        )


def execution(cursor: Cursor) -> ast.Exec:
    """Read ``CONNECTOR_EXEC connector.entity.action(arguments)``."""
    start = cursor.expect("CONNECTOR_EXEC", "EXEC").start
    first = cursor.token.start
    path = [cursor.name("a connector")]
    cursor.expect_symbol(".")
    path.append(cursor.name("an entity or action"))
    if cursor.take_symbol("."):
        path.append(cursor.name("an action"))
    path_span = cursor.span_from(first)
    cursor.expect_symbol("(")
    arguments: list[ast.Argument] = []
    while not cursor.at_symbol(")"):
        arguments.append(_named_or_positional(cursor))
        if not cursor.take_symbol(","):
            break
    cursor.expect_symbol(")")
    return ast.Exec(tuple(path), tuple(arguments), path_span, span=cursor.span_from(start))


def _named_or_positional(cursor: Cursor) -> ast.Argument:
    start = cursor.token.start
    if cursor.token.kind == "word" and cursor.peek().text in {"=>", "="}:
        name = cursor.advance("plain").text
        cursor.advance("operator")
        return ast.Argument(name, expression(cursor), span=cursor.span_from(start))
    return ast.Argument(None, expression(cursor), span=cursor.span_from(start))


def document(cursor: Cursor) -> ast.Document:
    """Read ``{"key": expr, …}``; a duplicate key is SYN003 and names both places."""
    cursor.deeper()
    start = cursor.expect_symbol("{").start
    members: list[ast.DocumentMember] = []
    seen: dict[str, ast.DocumentMember] = {}
    while not cursor.at_symbol("}"):
        member = _member(cursor)
        if member.key in seen:
            first = seen[member.key].key_span
            cursor.fail(
                "SYN003",
                f"the key `{member.key}` stands twice; first at line {first.line}, "
                f"column {first.column}",
                at=Token("string", member.key, "", member.key_span.start, member.key_span.end),
                hint="keep one of them",
            )
        seen[member.key] = member
        members.append(member)
        if not cursor.take_symbol(","):
            break
    cursor.expect_symbol("}")
    cursor.depth -= 1
    return ast.Document(tuple(members), span=cursor.span_from(start))


def _member(cursor: Cursor) -> ast.DocumentMember:
    token = cursor.token
    if token.kind == "name":
        # Where SQL's names are read, double quotes still quote a key.
        cursor.advance("plain")
        key = token.text
    elif token.kind == "string":
        key = cursor.string("a key")
    else:
        hint = f'write "{token.text}"' if token.kind == "word" else None
        cursor.fail("SYN001", f"expected a key in quotes, found {token}", hint=hint)
    key_span = cursor.span_from(token.start)
    cursor.expect_symbol(":")
    value = expression(cursor)
    return ast.DocumentMember(key, value, key_span, span=cursor.span_from(token.start))


def array(cursor: Cursor) -> ast.Array:
    """Read ``[expr, …]``."""
    cursor.deeper()
    start = cursor.expect_symbol("[").start
    items: list[ast.Expr] = []
    while not cursor.at_symbol("]"):
        items.append(expression(cursor))
        if not cursor.take_symbol(","):
            break
    cursor.expect_symbol("]")
    cursor.depth -= 1
    return ast.Array(tuple(items), span=cursor.span_from(start))
