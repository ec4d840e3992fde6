"""What kind of value an expression of a SELECT has, as far as its text tells.

The planner has no engine to ask. What matters is whether an expression is a VARIANT, and what
stands beside it; everything else may be unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from moltler.plan.bound import Bound
from moltler.plan.functions import NUMBERS, TEXTS, TIMES, WHOLES, words
from moltler.plan.kind import Kind, of_declared, of_type, of_value, one_of
from moltler.plan.scope import Block, Output, Query, Ref, SetQuery, Source, Unknown

_TRUTHS = (
    exp.Predicate, exp.And, exp.Or, exp.Not, exp.Boolean, exp.Overlaps, exp.Exists, exp.RegexpLike,
)  # fmt: skip
EXACT: tuple[type[exp.Expr], ...] = (exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.IntDiv, exp.Neg)
"""Arithmetic that gives whole numbers for whole numbers."""
ARITHMETIC: tuple[type[exp.Expr], ...] = (*EXACT, exp.Div, exp.Pow)
_SAME = (
    exp.Paren, exp.Max, exp.Min, exp.AnyValue, exp.First, exp.Last, exp.FirstValue, exp.LastValue,
    exp.NthValue, exp.Lag, exp.Lead, exp.ArgMax, exp.ArgMin, exp.Mode, exp.Window, exp.Filter,
    exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls, exp.Order, exp.Nullif, exp.Ordered,
    exp.Alias, exp.Limit,
)  # fmt: skip
"""What gives a value of the kind of its first part."""
_CHOICES = (exp.Coalesce, exp.Greatest, exp.Least)
_LISTS_OF_FIRST = words(
    """
    filter list_filter array_filter list_sort array_sort list_reverse array_reverse
    list_distinct array_distinct list_slice array_slice list_append array_append
    array_push_back list_prepend array_prepend list_concat array_concat array_cat list_cat
    array_remove list_reverse_sort array_reverse_sort list_resize array_resize list_grade_up
    list_select list_where array_select array_where list_intersect array_intersect
    """
)
_ITEMS_OF_FIRST = words(
    """
    list_extract array_extract list_element list_first list_last list_any_value
    array_any_value list_max list_min array_first array_last list_mode
    """
)
_LISTS_OF_VALUES = frozenset({"list_value", "list_pack", "array_value", "list", "array_agg"})
_CHOICES_BY_NAME = frozenset({"ifnull", "least", "greatest", "max_by", "min_by", "arbitrary"})


def names_of(node: exp.Expr) -> frozenset[str]:
    """Give the names under which SQL knows a function, in lower case."""
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        return frozenset({str(node.this).lower()})
    if isinstance(node, exp.Func):
        return frozenset(n.lower() for n in node.sql_names())
    return frozenset()


def arguments(node: exp.Expr) -> list[exp.Expr]:
    """Give the arguments of a function in order, DISTINCT and ORDER BY inside it taken off."""
    found: list[exp.Expr] = []
    for part in node.iter_expressions():
        if isinstance(part, exp.Order) and isinstance(part.this, exp.Expr):
            found.append(part.this)
        elif isinstance(part, exp.Distinct):
            found.extend(part.expressions)
        else:
            found.append(part)
    return found


class Kinds:
    """Tells kinds of expressions; asks only about the tree as it was bound."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._known: dict[int, Kind] = {}
        self._items: dict[int, Kind] = {}
        self._keep: list[exp.Expr] = []
        self._asked: set[int] = set()
        self._queries = {id(b.node): b for b in bound.blocks}

    def of(self, node: exp.Expr) -> Kind:
        """Give the kind of an expression."""
        key = id(node)
        found = self._known.get(key)
        if found is not None:
            return found
        if key in self._asked:
            return "other"  # a recursive query asks about itself
        self._asked.add(key)
        found = self._kind(node)
        self._known[key] = found
        self._keep.append(node)
        self._asked.discard(key)
        return found

    def note(self, node: exp.Expr, kind: Kind) -> None:
        """Say the kind of an expression that was made after binding."""
        self._known[id(node)] = kind
        self._keep.append(node)

    def item(self, node: exp.Expr) -> Kind:
        """Give the kind of a list's items."""
        while isinstance(node, exp.Paren):
            node = node.this
        if self.of(node) in {"variant", "variants"}:
            return "variant"
        if self.of(node) != "list":
            return "other"
        ref = self._bound.ref(node)
        declared = ref.output.property if ref is not None and not ref.path else None
        if declared is not None and declared.type.items is not None:
            return of_declared(declared.type.items)
        if isinstance(node, exp.Array):
            return self._common(node.expressions)
        if isinstance(node, exp.Placeholder):
            value = self._bound.parameters.get(node.name)
            return one_of(map(of_value, value)) if isinstance(value, list | tuple) else "other"
        return "other"

    # ── expressions ──────────────────────────────────────────────────────────────────────────

    def _kind(self, node: exp.Expr) -> Kind:
        ref = self._bound.ref(node)
        if ref is not None:
            found = self._of_ref(ref)
            if found != "other" or ref.source.alias or ref.source.query is not None:
                return found
            kind = self._of_name(node, ref.output.name)  # a parameter of a comprehension
            return kind if not ref.path or kind == "variant" else "other"
        match node:
            case exp.Literal():
                if node.is_string:
                    return "text"
                return "whole" if str(node.this).isdigit() else "number"
            case exp.Null():
                return "null"
            case exp.Placeholder():
                return of_value(self._bound.parameters.get(node.name))
            case exp.Cast():
                return of_type(node.to)
            case exp.Interval():
                return "interval"
            case exp.Bracket():
                return self.item(node.this)
            case exp.Dot():
                return self._of_key(node)
            case exp.Column() | exp.Identifier():
                return self._of_name(node, node.name)
            case exp.Case():
                ends = [i.args["true"] for i in node.args.get("ifs") or ()]
                return self._common([*ends, node.args.get("default")])
            case exp.If():
                return self._common([node.args.get("true"), node.args.get("false")])
            case _ if isinstance(node, _CHOICES):
                return self._common([node.this, *node.expressions])
            case exp.Subquery() | exp.Select() | exp.SetOperation():
                return self._of_query(node)
            case exp.Array():
                return "variants" if self._common(node.expressions) == "variant" else "list"
            case exp.ArrayAgg() | exp.List():
                return "variants" if self._first(node) == "variant" else "list"
            case exp.Comprehension():
                return "variants" if self.of(node.this) == "variant" else "list"
            case exp.Explode() | exp.Unnest():
                return self._unnested(node)
            case exp.Distinct():
                return self.of(node.expressions[0]) if node.expressions else "other"
            case exp.DPipe():
                return self._joined(node)
            case _ if isinstance(node, _SAME) and isinstance(node.this, exp.Expr):
                return self.of(node.this)
            case _ if isinstance(node, ARITHMETIC):
                return self._of_arithmetic(node)
            case _ if isinstance(node, _TRUTHS):
                return "truth"
            case _:
                return self._of_function(node)

    def _of_key(self, node: exp.Dot) -> Kind:
        key = node.expression
        return (
            self._of_member(node.this, (key.name,)) if isinstance(key, exp.Identifier) else "other"
        )

    def _common(self, nodes: Sequence[exp.Expr | None]) -> Kind:
        found: list[Kind] = [self.of(n) for n in nodes if n is not None]
        return one_of(found)

    def _first(self, node: exp.Expr) -> Kind:
        given = arguments(node)
        return self.of(given[0]) if given else "other"

    def _joined(self, node: exp.DPipe) -> Kind:
        kinds = {self.of(node.this), self.of(node.expression)}
        if kinds == {"variant"}:
            return "variant"
        return ("variants" if kinds & {"variant", "variants"} else "list") if (
            kinds & {"list", "variants"}
        ) else "text"  # fmt: skip

    def _of_arithmetic(self, node: exp.Expr) -> Kind:
        sides = [s for s in (node.this, node.args.get("expression")) if isinstance(s, exp.Expr)]
        kinds = {self.of(side) for side in sides}
        if kinds & {"time", "interval"}:
            is_span = kinds == {"time"} or "time" not in kinds
            return "interval" if is_span and isinstance(node, exp.Sub | exp.Add) else "time"
        if "variant" in kinds:
            return "number"
        return "whole" if kinds == {"whole"} and not isinstance(node, exp.Div) else "number"

    def _of_function(self, node: exp.Expr) -> Kind:
        names = names_of(node)
        if isinstance(node, exp.Count | exp.Length | exp.ArraySize) or names & WHOLES:
            return "whole"
        if names & NUMBERS or isinstance(node, exp.Sum | exp.Avg):
            return "number"
        if names & TIMES:
            return "time"
        if names & TEXTS:
            return "text"
        if names & _LISTS_OF_VALUES:
            return "variants" if self._first(node) == "variant" else "list"
        given = arguments(node)
        if given and names & _LISTS_OF_FIRST:
            return "variants" if self.of(given[0]) in {"variant", "variants"} else "list"
        if given and names & _ITEMS_OF_FIRST:
            return self.item(given[0])
        if names & _CHOICES_BY_NAME:
            return self._common(given)
        return "other"

    # ── names ────────────────────────────────────────────────────────────────────────────────

    def _of_ref(self, ref: Ref) -> Kind:
        kind = self._of_output(ref.source, ref.output)
        if not ref.path or kind == "variant":
            return kind
        query = ref.source.query or (ref.source.cte.query if ref.source.cte is not None else None)
        value: exp.Expr | Ref | None = None
        if isinstance(query, Block) and query.outputs is not None:
            value = query.outputs[ref.output.position][1]
        return self._of_member(value, ref.path) if isinstance(value, exp.Expr) else "other"

    def _of_member(self, node: exp.Expr, path: Sequence[str]) -> Kind:
        """Give the kind of a key of a structure that SQL made."""
        while isinstance(node, exp.Paren):
            node = node.this
        kind: Kind = self.of(node)
        if not path or kind == "variant":
            return kind
        if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
            return self._of_member(node.this, (node.expression.name, *path))
        if isinstance(node, exp.Explode | exp.Bracket) and isinstance(node.this, exp.Array):
            return one_of(self._of_member(item, path) for item in node.this.expressions)
        if isinstance(node, exp.Struct):
            for member in node.expressions:
                if isinstance(member, exp.PropertyEQ | exp.Alias) and _key(member) == path[0]:
                    value = member.expression if isinstance(member, exp.PropertyEQ) else member.this
                    return self._of_member(value, path[1:])
        return "other"

    def _of_output(self, source: Source, output: Output) -> Kind:
        if output.property is not None:
            return of_declared(output.property.type)
        query = source.query or (source.cte.query if source.cte is not None else None)
        if query is not None:
            return self._of_column(query, output.position, output.name)
        return self._of_table_function(source.alias, output.name)

    def _of_column(self, query: Query, position: int, name: str) -> Kind:
        match query:
            case Block(outputs=list() as outputs) if 0 <= position < len(outputs):
                value = outputs[position][1]
                if isinstance(value, Ref):
                    return self._of_ref(value)
                return self.of(value) if value is not None else "other"
            case Block():
                return self._by_name(query, name)
            case SetQuery():
                sides = (query.left, query.right)
                found: list[Kind] = [self._of_column(side, position, name) for side in sides]
                return one_of(found)
            case Unknown(node=exp.Subquery() as node):
                inner = next(self._blocks_in(node), None)
                return self._of_column(inner, position, name) if inner is not None else "other"
            case Unknown():
                return "other"

    def _by_name(self, block: Block, name: str) -> Kind:
        """Give the kind of a column of a query whose columns were not listed."""
        lowered = name.lower()
        for projection in block.node.expressions:
            if isinstance(projection, exp.Alias | exp.Column | exp.Dot) and (
                projection.alias_or_name.lower() == lowered
            ):
                return self.of(projection.unalias())
        if any(p.find(exp.Star) is not None for p in block.node.expressions):
            return self._among(block.visible, name)
        return "other"

    def _among(self, sources: Sequence[Source], name: str) -> Kind:
        for source in sources:
            output = source.outputs.get(name.lower())
            if output is not None:
                return self._of_output(source, output)
        for source in sources:
            if source.is_open and isinstance(source.query, Block):
                found = self._by_name(source.query, name)
                if found != "other":
                    return found
        return "other"

    def _of_name(self, node: exp.Expr, written: str) -> Kind:
        """Give the kind of a lambda's parameter, an alias, or a column of an open source."""
        name = written.lower()
        above = node.parent
        while above is not None:
            if isinstance(above, exp.Lambda) and name in _names(above.expressions):
                return self._of_parameter(above)
            if isinstance(above, exp.Comprehension) and above.expression.name.lower() == name:
                return self.item(above.args["iterator"])
            block = self._queries.get(id(above))
            if block is not None and isinstance(node, exp.Column):
                found = self._in_block(block, node)
                if found is not None:
                    return found
            elif isinstance(above, exp.SetOperation) and isinstance(node, exp.Column):
                return self._of_set_column(above, name)
            above = above.parent
        return "other"

    def _in_block(self, block: Block, node: exp.Column) -> Kind | None:
        if not node.table:
            for projection in block.node.expressions:
                if isinstance(projection, exp.Alias) and (
                    projection.alias.lower() == node.name.lower()
                ):
                    return self.of(projection.this)
        sources = [s for s in block.sources if not node.table or s.alias == node.table]
        found = self._among(sources, node.name)
        return found if found != "other" else None

    def _of_set_column(self, node: exp.SetOperation, name: str) -> Kind:
        for position, (known, _) in enumerate(self.columns(node) or ()):
            if known.lower() == name:
                return self.column(node, position)
        return "other"

    def _of_parameter(self, node: exp.Lambda) -> Kind:
        call = node.parent
        if call is None:
            return "other"
        # `u.filter(x -> …)` is a call behind a dot.
        target = call.parent.this if isinstance(call.parent, exp.Dot) else None
        if target is None or target is call:
            given = arguments(call)
            target = given[0] if given else None
        return self.item(target) if isinstance(target, exp.Expr) else "other"

    def _of_table_function(self, alias: str, name: str) -> Kind:
        for node in self._bound.text.tree.find_all(exp.Unnest):
            table = node.args.get("alias")
            is_named = node.alias == alias or (not node.alias and alias == "unnest")
            if not is_named or not node.expressions:
                continue
            columns = _names(table.columns) if isinstance(table, exp.TableAlias) else []
            position = columns.index(name.lower()) if name.lower() in columns else 0
            return self.item(node.expressions[min(position, len(node.expressions) - 1)])
        return "other"

    def _unnested(self, node: exp.Expr) -> Kind:
        given = arguments(node)
        return self.item(given[0]) if given else "other"

    # ── queries ──────────────────────────────────────────────────────────────────────────────

    def _blocks_in(self, node: exp.Expr) -> Iterator[Block]:
        for part in node.find_all(exp.Select, bfs=False):
            if id(part) in self._queries:
                yield self._queries[id(part)]

    def columns(self, node: exp.Expr) -> list[tuple[str, exp.Expr | Ref | None]] | None:
        """Give the columns of a SELECT, or of the first one of a set operation."""
        block = next(self._blocks_in(node), None)
        return block.outputs if block is not None else None

    def column(self, node: exp.Expr, position: int) -> Kind:
        """Give the kind of a column of a SELECT or set operation."""
        match node:
            case exp.Subquery():
                return self.column(node.this, position)
            case exp.SetOperation():
                sides = (node.this, node.expression)
                return one_of(self.column(side, position) for side in sides)
            case _:
                block = self._queries.get(id(node))
                return self._of_column(block, position, "") if block is not None else "other"

    def _of_query(self, node: exp.Expr) -> Kind:
        return self.column(node, 0)

    def of_output(self, source: Source, output: Output) -> Kind:
        """Give the kind of a column of a source."""
        return self._of_output(source, output)


def _key(member: exp.Expr) -> str:
    return member.this.name if isinstance(member, exp.PropertyEQ) else member.alias


def _names(nodes: Sequence[exp.Expr]) -> list[str]:
    return [n.name.lower() for n in nodes]
