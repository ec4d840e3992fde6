"""ORDER BY where it names an output: a number, an alias, or ALL."""

from __future__ import annotations

from sqlglot import exp

from moltler.plan.bound import Bound
from moltler.plan.kinds import Kinds
from moltler.plan.macros import once
from moltler.plan.scope import Ref


def stands_for_output(key: exp.Ordered) -> bool:
    """Tell whether a sort key may be the name of an output: such keys come last."""
    order = key.parent
    query = order.parent if isinstance(order, exp.Order) and order.this is None else None
    is_bare = isinstance(key.this, exp.Column) and not key.this.table
    return is_bare and isinstance(query, exp.Select | exp.SetOperation)


def sort_in_queries(bound: Bound, kinds: Kinds) -> None:
    """Sort by the values of documents where a key stands for one; runs last."""
    for order in list(bound.text.tree.find_all(exp.Order)):
        query = order.parent
        if not isinstance(query, exp.Select | exp.SetOperation) or order.this is not None:
            continue
        for key in list(order.expressions):
            if isinstance(key, exp.Ordered):
                _sort(kinds, query, key)
        if any(_is_written(key) for key in order.expressions):
            _spell_out_groups(query)


def _is_written(key: exp.Expr) -> bool:
    return any(str(c.this).startswith("v__") for c in key.find_all(exp.Anonymous))


def _spell_out_groups(query: exp.Query) -> None:
    """Write GROUP BY ALL as numbers: with it DuckDB sorts by nothing but outputs."""
    group = query.args.get("group")
    if group is None or not group.args.get("all") or any(p.is_star for p in query.expressions):
        return
    keys = [
        exp.Literal.number(number)
        for number, projection in enumerate(query.expressions, 1)
        if not any(_is_aggregate(part) for part in projection.walk())
    ]
    if keys:
        query.set("group", exp.Group(expressions=keys))


def _is_aggregate(node: exp.Expr) -> bool:
    is_ours = isinstance(node, exp.Anonymous) and str(node.this) in {"arg_max", "arg_min"}
    return is_ours or isinstance(node, exp.AggFunc | exp.AnonymousAggFunc)


def _sort(kinds: Kinds, query: exp.Query, key: exp.Ordered) -> None:
    node = key.this
    if isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit():
        position = int(node.this) - 1
        found = _value(kinds, query, position)
        if found is not None and kinds.column(query, position) == "variant":
            node.replace(_key(found))
    elif stands_for_output(key):
        # SQL sorts by the alias even where a field has the same name.
        named = _named(query, node.name) if isinstance(query, exp.Select) else None
        if kinds.of(node if named is None else named) == "variant":
            node.replace(_key((node if named is None else named).copy()))
    elif isinstance(node, exp.Var) and node.name.upper() == "ALL":
        _sort_all(kinds, query, key)


def _named(query: exp.Query, name: str) -> exp.Expr | None:
    lowered = name.lower()
    for projection in query.expressions:
        if isinstance(projection, exp.Alias) and projection.alias.lower() == lowered:
            return projection.this
    return None


def _sort_all(kinds: Kinds, query: exp.Query, key: exp.Ordered) -> None:
    count = len(kinds.columns(query) or ())
    values = [_value(kinds, query, i) for i in range(count)]
    is_variant = [kinds.column(query, i) == "variant" for i in range(count)]
    if not any(is_variant) or any(v is None for v in values):
        return
    made: list[exp.Expr] = []
    for value, is_open in zip(values, is_variant, strict=True):
        if value is not None:
            each = key.copy()
            each.set("this", _key(value) if is_open else value)
            made.append(each)
    if key.parent is not None:
        key.parent.set("expressions", made)


def _key(value: exp.Expr) -> exp.Expr:
    return once("v__sort", value)


def _value(kinds: Kinds, query: exp.Query, position: int) -> exp.Expr | None:
    """Give an expression for a column of a query's result."""
    columns = kinds.columns(query)
    if columns is None or not 0 <= position < len(columns):
        return None
    name, value = columns[position]
    if isinstance(query, exp.SetOperation):
        return exp.column(exp.to_identifier(name, quoted=True)) if name else None
    has_star = any(p.is_star for p in query.expressions)
    if not has_star and position < len(query.expressions):
        return query.expressions[position].unalias().copy()
    if isinstance(value, Ref) and not value.path:
        table = exp.to_identifier(value.source.alias, quoted=True) if value.source.alias else None
        return exp.column(exp.to_identifier(value.output.name, quoted=True), table=table)
    return None
