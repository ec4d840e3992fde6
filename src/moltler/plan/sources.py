"""What stands in FROM, as a source of columns."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from moltler.plan.scope import Block, Cte, Output, Query, Ref, SetQuery, Source, output_names
from moltler.schema import Property


def derived(node: exp.Expr, query: Query, cte: Cte | None) -> Source:
    """Give a subquery in FROM."""
    names = output_names(query)
    shown = _renamed(node, names or ())
    outputs: dict[str, Output] = {}
    for position, name in enumerate(shown):
        if name:
            output = Output(name, declared_column(query, position), position)
            outputs.setdefault(name.lower(), output)
    is_open = names is None or len(outputs) < len(shown)
    return Source(node.alias, outputs, None, query, cte, is_open=is_open)


def cte_source(node: exp.Table, cte: Cte) -> Source:
    """Give a reference to a CTE."""
    if cte.query is None:
        outputs = {c.lower(): Output(c) for c in cte.columns}
        return Source(node.alias_or_name, outputs, cte=cte, is_open=not cte.columns)
    names = output_names(cte.query)
    shown = [*cte.columns, *(names or [])[len(cte.columns) :]]
    shown = _renamed(node, shown)
    outputs = {}
    for position, name in enumerate(shown):
        if name:
            output = Output(name, declared_column(cte.query, position), position)
            outputs.setdefault(name.lower(), output)
    is_open = names is None or len(outputs) < len(shown)
    return Source(node.alias_or_name, outputs, None, cte.query, cte, is_open=is_open)


def function_source(node: exp.Expr) -> Source:
    """Give a table function, whose columns DuckDB may know better."""
    alias = node.args.get("alias")
    columns = [c.name for c in alias.columns] if isinstance(alias, exp.TableAlias) else []
    name = node.alias or ("unnest" if isinstance(node, exp.Unnest) else "")
    names = columns or ([name] if name else [])
    outputs = {n.lower(): Output(n) for n in names}
    # Unnesting documents may give several columns, and functions have names of their own.
    return Source(name, outputs, is_open=True)


def _renamed(node: exp.Expr, names: Sequence[str]) -> list[str]:
    alias = node.args.get("alias")
    columns = [c.name for c in alias.columns] if isinstance(alias, exp.TableAlias) else []
    return [*columns, *names[len(columns) :]]


def declared_column(query: Query, position: int) -> Property | None:
    """Give the field that a column of a query is, unchanged; ``None`` for any other column."""
    match query:
        case Block(outputs=list() as outputs) if position < len(outputs):
            value = outputs[position][1]
            return value.output.property if isinstance(value, Ref) and not value.path else None
        case SetQuery() if not query.node.args.get("by_name"):
            left, right = (
                declared_column(query.left, position),
                declared_column(query.right, position),
            )
            if left and right:
                return left if left.type == right.type else None
            # NULL takes the type of the other side.
            other = query.right if left else query.left
            return (left or right) if _is_null(other, position) else None
        case _:
            return None


def _is_null(query: Query, position: int) -> bool:
    match query:
        case Block(outputs=list() as outputs) if position < len(outputs):
            value = outputs[position][1]
            return isinstance(value, exp.Expr) and isinstance(value.unalias(), exp.Null)
        case SetQuery() if not query.node.args.get("by_name"):
            return _is_null(query.left, position) and _is_null(query.right, position)
        case _:
            return False
