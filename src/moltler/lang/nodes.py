"""Expressions of the language as frozen values, and what every node has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeAlias

from moltler.errors import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Anything read from a text."""

    span: Span = field(compare=False, repr=False)


# ── expressions ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """NULL, TRUE, FALSE, a number or a string."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class DocumentMember(Node):
    """One ``"key": value`` pair; the span of the key is kept for duplicate keys."""

    key: str
    value: Expr
    key_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Document(Node):
    """``{"key": expr, …}`` with its key order."""

    members: tuple[DocumentMember, ...]


@dataclass(frozen=True, slots=True)
class Array(Node):
    """``[expr, …]``."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A bare word: a variable, or a niladic function such as CURRENT_TIMESTAMP."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """``@name``: always a variable or a bound parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Positional(Node):
    """``?``: the next positional parameter."""

    index: int
    """Counted from 0 over the whole script."""


@dataclass(frozen=True, slots=True)
class Member(Node):
    """``target.name`` or ``target?.name``."""

    target: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    """``target[index]``, counted from 0."""

    target: Expr
    index: Expr


@dataclass(frozen=True, slots=True)
class Negate(Node):
    """``-operand``."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Not(Node):
    """``NOT operand`` or ``!operand``."""

    operand: Expr


BinaryOperator = OneOf["OR", "AND", "||", "??", "+", "-", "*", "/", "%"]
ComparisonOperator = OneOf["=", "<>", "<", "<=", ">", ">=", "CONTAINS", "MATCHES"]


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Two operands joined by a logical, text or arithmetic operator."""

    operator: BinaryOperator
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """Two operands compared; ``==`` reads as ``=`` and ``!=`` as ``<>``.

    `negated` is only ever set with CONTAINS and MATCHES (``NOT CONTAINS``).
    """

    operator: ComparisonOperator
    left: Expr
    right: Expr
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull(Node):
    """``operand IS [NOT] NULL``."""

    operand: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class In(Node):
    """``operand [NOT] IN (a, b)`` or ``operand [NOT] IN array``."""

    operand: Expr
    items: tuple[Expr, ...] | None
    """The parenthesised list, or ``None`` if `container` is given."""
    container: Expr | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Like(Node):
    """``operand [NOT] LIKE pattern [ESCAPE escape]``."""

    operand: Expr
    pattern: Expr
    escape: Expr | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Between(Node):
    """``operand [NOT] BETWEEN low AND high``."""

    operand: Expr
    low: Expr
    high: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """``condition ? then : otherwise``."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class When(Node):
    """One ``WHEN condition THEN value`` of a CASE."""

    condition: Expr
    value: Expr


@dataclass(frozen=True, slots=True)
class Case(Node):
    """``CASE [subject] WHEN … THEN … [ELSE …] END``."""

    subject: Expr | None
    whens: tuple[When, ...]
    otherwise: Expr | None


@dataclass(frozen=True, slots=True)
class Cast(Node):
    """``CAST(operand AS type)``; `type_name` as written."""

    operand: Expr
    type_name: str


@dataclass(frozen=True, slots=True)
class Interval(Node):
    """``INTERVAL '7d'``, or a concatenation of `parts` such as ``INTERVAL days || 'd'``."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``NAME(arguments)``; `name` as written, compared ignoring case."""

    name: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """``x => body`` or ``(a, b) => body``; only ever an argument of a function."""

    parameters: tuple[str, ...]
    body: Expr


@dataclass(frozen=True, slots=True)
class SqlText(Node):
    """SELECT text taken whole; `text` is the slice of the source without trailing blanks."""

    text: str
    first_positional: int = field(default=0, compare=False)
    """The number, counted from 0 over the whole script, of its first ``?``."""


@dataclass(frozen=True, slots=True)
class Subquery(Node):
    """``( select )`` as a value: an array of row documents."""

    select: SqlText


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """One argument of an action; `name` is ``None`` for a positional one."""

    name: str | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Exec(Node):
    """``CONNECTOR_EXEC connector.entity.action(arguments)``."""

    path: tuple[str, ...]
    """Two or three names: connector, then entity, then action."""
    arguments: tuple[Argument, ...]
    path_span: Span = field(compare=False, repr=False)


Expr: TypeAlias = (
    Literal
    | Document
    | Array
    | Name
    | Variable
    | Positional
    | Member
    | Index
    | Negate
    | Not
    | Binary
    | Comparison
    | IsNull
    | In
    | Like
    | Between
    | Ternary
    | Case
    | Cast
    | Interval
    | Call
    | Lambda
    | Subquery
    | Exec
)
