"""Calls of the macros of `exec.documents`, as nodes of a tree."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

_SIMPLE = (
    exp.Column, exp.Identifier, exp.Dot, exp.Literal, exp.Cast, exp.DataType, exp.Paren,
    exp.Placeholder, exp.Bracket, exp.Null, exp.Boolean, exp.Neg,
)  # fmt: skip
"""What may be repeated at no cost: DuckDB reads it once."""


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """Give a call by name, which may write its arguments several times."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def once(macro: str, value: exp.Expr) -> exp.Expr:
    """Give a macro over a value that is written and evaluated once.

    A macro repeats its argument; nested ones would make the SQL grow without bounds.
    """
    if all(isinstance(part, _SIMPLE) for part in value.walk()):
        return call(macro, value)
    name = exp.to_identifier("v__x")
    body = exp.Lambda(this=call(macro, name), expressions=[name.copy()], colon=True)
    return call("list_extract", call("list_transform", exp.Array(expressions=[value]), body),
                exp.Literal.number(1))  # fmt: skip


def cast(node: exp.Expr, type_: str) -> exp.Cast:
    """Give a value in another type."""
    return exp.Cast(this=node, to=exp.DataType.build(type_, udt=True, dialect="duckdb"))


def around(node: exp.Expr, make: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """Put something that is made around a node into its place."""
    hole = exp.null()
    node.replace(hole)
    made = make(node)
    hole.replace(made)
    return made
