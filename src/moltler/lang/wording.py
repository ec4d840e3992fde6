"""Expressions as text, with the fewest parentheses that read back as the same tree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import assert_never

from moltler.lang import ast

_LAMBDA, _TERNARY, _OR, _AND, _NOT, _COMPARE, _CONCAT, _FALLBACK, _SUM, _PRODUCT, _NEGATE = range(
    11
)
_POSTFIX, _PRIMARY = 11, 12
_BINDING: dict[ast.BinaryOperator, int] = {
    "OR": _OR, "AND": _AND, "||": _CONCAT, "??": _FALLBACK, "+": _SUM, "-": _SUM, "*": _PRODUCT,
    "/": _PRODUCT, "%": _PRODUCT,
}  # fmt: skip
_IDENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMED = re.compile(r"[A-Za-z_][A-Za-z0-9_]* (?:=|=>) ")
_MEANINGFUL = frozenset(
    "NULL TRUE FALSE NOT CASE CAST INTERVAL SELECT WITH VALUES CONNECTOR_EXEC EXEC".split()  # noqa: SIM905
)
_KEPT_BACKSLASH = re.compile(r"\\(?=[^ntru\\'\"])")
_CONTROL = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(text: str) -> str:
    """Give a string between single quotes.

    >>> quoted("it's")
    "'it''s'"
    """
    return f"'{_escaped(text).replace(chr(39), chr(39) * 2)}'"


def double_quoted(text: str) -> str:
    r"""Give a string between double quotes, as documents hold it.

    >>> double_quoted('say "a\nb"')
    '"say \\"a\\nb\\""'
    """
    return '"' + _escaped(text, more="bf/").replace('"', '\\"') + '"'


def _escaped(text: str, more: str = "") -> str:
    parts: list[str] = []
    for index, character in enumerate(text):
        if character == "\\":
            # A backslash is kept where it begins no escape, so that patterns stay readable.
            following = text[index + 1 : index + 2]
            is_free = following.isalnum() and following not in "ntru" + more
            parts.append("\\" if is_free else "\\\\")
        elif character in _CONTROL:
            parts.append(_CONTROL[character])
        elif character < " " or character == "\x7f":
            parts.append(f"\\u{ord(character):04x}")
        else:
            parts.append(character)
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Wording:
    """Writes expressions; the parts of it say how strings and names are quoted."""

    sql_names: bool = False
    """Whether SQL's rules hold, as in WHERE of QUERY and SYNC."""
    in_document: bool = False

    def expression(self, node: ast.Expr, level: int = _TERNARY) -> str:
        """Give the text of an expression; it is put in parentheses below a level."""
        text = self._text(node)
        return f"({text})" if _level(node) < level else text

    def document(self, node: ast.Document) -> str:
        """Give the text of a document."""
        inside = Wording(self.sql_names, in_document=True)
        members = (f"{inside._string(m.key)}: {inside.expression(m.value)}" for m in node.members)
        return "{" + ", ".join(members) + "}"

    def execution(self, node: ast.Exec) -> str:
        """Give the text of CONNECTOR_EXEC."""
        outside = Wording(self.sql_names)
        arguments = ", ".join(outside._argument(a) for a in node.arguments)
        return f"CONNECTOR_EXEC {'.'.join(map(self.name, node.path))}({arguments})"

    def name(self, name: str) -> str:
        """Give a name, quoted where SQL's names are read and it needs that."""
        if self.sql_names and (name.upper() in _MEANINGFUL or not _IDENT.fullmatch(name)):
            return '"' + name.replace('"', '""') + '"'
        return name

    def _string(self, text: str) -> str:
        if self.sql_names:
            return "'" + text.replace("'", "''") + "'"
        return double_quoted(text) if self.in_document else quoted(text)

    def _argument(self, node: ast.Argument) -> str:
        text = self.expression(node.value)
        if node.name is not None:
            return f"{self.name(node.name)} => {text}"
        # What looks like a named argument would be read as one.
        return f"({text})" if _NAMED.match(text) else text

    def _text(self, node: ast.Expr) -> str:
        match node:
            case ast.Literal():
                return self._literal(node)
            case ast.Document():
                return self.document(node)
            case ast.Array():
                return "[" + ", ".join(map(self.expression, node.items)) + "]"
            case ast.Name():
                return self.name(node.name)
            case ast.Variable():
                return f"@{self.name(node.name)}"
            case ast.Positional():
                return "?"
            case ast.Member():
                return f"{self._target(node.target)}.{self.name(node.name)}"
            case ast.Index():
                index = Wording(self.sql_names).expression(node.index)
                return f"{self._target(node.target)}[{index}]"
            case ast.Call():
                outside = Wording(self.sql_names)
                arguments = (outside.expression(a, _LAMBDA) for a in node.arguments)
                return f"{node.name}({', '.join(arguments)})"
            case ast.Exec():
                return self.execution(node)
            case ast.Subquery():
                return f"({node.select.text})"
            case _:
                return Wording(self.sql_names).operation(node)

    def operation(
        self,
        node: ast.Negate
        | ast.Not
        | ast.Binary
        | ast.Comparison
        | ast.IsNull
        | ast.In
        | ast.Like
        | ast.Between
        | ast.Ternary
        | ast.Case
        | ast.Cast
        | ast.Interval
        | ast.Lambda,
    ) -> str:
        """Give the text of what is made of other expressions."""
        match node:
            case ast.Negate():
                operand = self.expression(node.operand, _NEGATE)
                return f"- {operand}" if operand.startswith("-") else f"-{operand}"
            case ast.Not():
                return f"NOT {self.expression(node.operand, _NOT)}"
            case ast.Binary():
                binding = _BINDING[node.operator]
                left = self.expression(node.left, binding)
                if node.operator == "||" and _ends_in_interval(node.left):
                    left = f"({left})"
                return f"{left} {node.operator} {self.expression(node.right, binding + 1)}"
            case ast.Ternary():
                condition = self.expression(node.condition, _OR)
                then, otherwise = self.expression(node.then), self.expression(node.otherwise)
                return f"{condition} ? {then} : {otherwise}"
            case ast.Case():
                return self._case(node)
            case ast.Cast():
                return f"CAST({self.expression(node.operand)} AS {self.name(node.type_name)})"
            case ast.Interval():
                parts = (self._interval_part(p) for p in node.parts)
                return f"INTERVAL {' || '.join(parts)}"
            case ast.Lambda():
                names = ", ".join(node.parameters)
                head = names if len(node.parameters) == 1 else f"({names})"
                return f"{head} => {self.expression(node.body)}"
            case _:
                return self._comparison(node)

    def _comparison(
        self, node: ast.Comparison | ast.IsNull | ast.In | ast.Like | ast.Between
    ) -> str:
        negation = "NOT " if node.negated else ""
        match node:
            case ast.Comparison():
                left, right = self._side(node.left), self._side(node.right)
                return f"{left} {negation}{node.operator} {right}"
            case ast.IsNull():
                return f"{self._side(node.operand)} IS {negation}NULL"
            case ast.In():
                if node.items is not None:
                    values = f"({', '.join(map(self.expression, node.items))})"
                else:
                    assert node.container is not None  # noqa: S101 - one of the two is given
                    values = self._side(node.container)
                return f"{self._side(node.operand)} {negation}IN {values}"
            case ast.Like():
                escape = f" ESCAPE {self._side(node.escape)}" if node.escape else ""
                head = f"{self._side(node.operand)} {negation}LIKE"
                return f"{head} {self._side(node.pattern)}{escape}"
            case ast.Between():
                ends = f"{self._side(node.low)} AND {self._side(node.high)}"
                return f"{self._side(node.operand)} {negation}BETWEEN {ends}"
            case _:
                assert_never(node)

    def _side(self, node: ast.Expr) -> str:
        return self.expression(node, _CONCAT)

    def _case(self, node: ast.Case) -> str:
        parts = ["CASE"]
        if node.subject is not None:
            parts.append(self.expression(node.subject))
        for when in node.whens:
            condition, value = self.expression(when.condition), self.expression(when.value)
            parts.append(f"WHEN {condition} THEN {value}")
        if node.otherwise is not None:
            parts.append(f"ELSE {self.expression(node.otherwise)}")
        return " ".join([*parts, "END"])

    def _target(self, node: ast.Expr) -> str:
        text = Wording(self.sql_names).expression(node, _POSTFIX)
        return f"{text} " if text == "?" or text.endswith(("||", "?")) else text

    def _interval_part(self, node: ast.Expr) -> str:
        return self.expression(node, _PRIMARY + isinstance(node, ast.Interval))

    def _literal(self, node: ast.Literal) -> str:
        match node.value:
            case None:
                return "null" if self.in_document else "NULL"
            case bool():
                word = "true" if node.value else "false"
                return word if self.in_document else word.upper()
            case str():
                return self._string(node.value)
            case _:
                return repr(node.value)


def _level(node: ast.Expr) -> int:
    match node:
        case ast.Lambda():
            return _LAMBDA
        case ast.Ternary():
            return _TERNARY
        case ast.Binary():
            return _BINDING[node.operator]
        case ast.Not():
            return _NOT
        case ast.Comparison() | ast.IsNull() | ast.In() | ast.Like() | ast.Between():
            return _COMPARE
        case ast.Negate():
            return _NEGATE
        case ast.Member() | ast.Index():
            return _POSTFIX
        case _:
            return _PRIMARY


def _ends_in_interval(node: ast.Expr) -> bool:
    """Tell whether a ``||`` behind an expression would be taken into its INTERVAL."""
    match node:
        case ast.Interval():
            return True
        case ast.Binary():
            return _ends_in_interval(node.right)
        case ast.Negate():
            return _ends_in_interval(node.operand)
        case _:
            return False
