"""Operators and functions over values inside documents, which have a type only when they run.

DuckDB orders VARIANTs by physical type before value and casts them to whatever an operator takes,
dropping fractions. So each place where such a value meets an operator or a function is written
with the macros of `exec.documents`, which look at the value (decision 0006). Nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from moltler.errors import error_class
from moltler.plan import functions
from moltler.plan.arithmetic import Arithmetic
from moltler.plan.bound import Bound
from moltler.plan.kinds import ARITHMETIC, Kind, Kinds, arguments, names_of
from moltler.plan.macros import around, call, cast, once
from moltler.plan.sorting import sort_in_queries, stands_for_output

OPEN: frozenset[Kind] = frozenset({"variant", "variants"})
_EQUALITIES = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ)
_RANGES = (exp.LT, exp.LTE, exp.GT, exp.GTE)
_PATTERNS = (exp.Like, exp.ILike, exp.RegexpLike, exp.RegexpILike, exp.SimilarTo, exp.Glob)
_BITS = (
    exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseLeftShift,
    exp.BitwiseRightShift,
)  # fmt: skip
_READ_AS = {"text": "v__text", "truth": "v__truth"}
_TRUTHS_IN = frozenset(
    "count_if countif bool_and bool_or logical_and logical_or booland_agg boolor_agg".split()
)
_DAYS = (exp.DataType.Type.DATE, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPTZ,
         exp.DataType.Type.TIMESTAMPNTZ)  # fmt: skip


class Variants:
    """Edits a tree in place, the inner before the outer."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self.kinds = Kinds(bound)
        self._nodes = list(bound.text.tree.walk(bfs=False))
        self._is_needed = any(
            self.kinds.of(n) in OPEN
            for n in self._nodes
            if isinstance(n, exp.Condition | exp.Identifier)
        )
        self._arithmetic = Arithmetic(self.kinds, self._nodes if self._is_needed else ())
        self._gone: set[int] = set()

    def edit(self, shape: Callable[[exp.Expr], None]) -> None:
        """Write every place that needs it.

        Args:
            shape: Called in turn for indices and CONTAINS, which are written elsewhere.

        Raises:
            PlanError: PLN004, a place that cannot be written.
        """
        for node in reversed(self._nodes):
            if id(node) in self._gone:
                continue
            if self._is_needed:
                self._edit(node)
            if isinstance(node, exp.Bracket | exp.Overlaps):
                shape(node)
        if self._is_needed:
            sort_in_queries(self._bound, self.kinds)

    def replace(self, node: exp.Expr, new: exp.Expr) -> None:
        """Put another node in the place of one, with the same kind of value."""
        if new is not node:
            self.kinds.note(new, self.kinds.of(node))
            if node.parent is not None:
                node.replace(new)

    def _is(self, node: object, *kinds: Kind) -> bool:
        return isinstance(node, exp.Expr) and self.kinds.of(node) in (kinds or OPEN)

    def _copy(self, node: exp.Expr) -> exp.Expr:
        copy = node.copy()
        self.kinds.note(copy, self.kinds.of(node))
        return copy

    def _wrap(self, node: exp.Expr, macro: str, kind: Kind) -> exp.Expr:
        made = around(node, lambda n: once(macro, n))
        self.kinds.note(made, kind)
        return made

    def _wrap_all(self, nodes: Sequence[object], macro: str, kind: Kind) -> None:
        for node in nodes:
            if isinstance(node, exp.Expr) and self._is(node, "variant"):
                self._wrap(node, macro, kind)

    # ── values as VARIANTs that are equal if they are the same ───────────────────────────────

    def same(self, node: exp.Expr, *, is_beside_time: bool = False) -> exp.Expr:
        """Make any value a VARIANT, in one spelling, in its place."""
        kind = self.kinds.of(node)

        def make(inner: exp.Expr) -> exp.Expr:
            match kind:
                case "variant":
                    return once("v__when" if is_beside_time else "v__same", inner)
                case "text" | "truth" | "null" | "whole" | "variants":
                    return cast(inner, "VARIANT")
                case "time":
                    return cast(cast(inner, "TIMESTAMPTZ"), "VARIANT")
                case "list":
                    return cast(call("v__items", inner), "VARIANT")
                case _:
                    return once("v__same", cast(inner, "VARIANT"))

        if isinstance(node, exp.Anonymous) and node.this in {"v__greatest", "v__least"}:
            return node  # made of such values
        made = around(node, make)
        self.kinds.note(made, "variant")
        return made

    def list_of(self, node: exp.Expr) -> exp.Expr:
        """Make a list a VARIANT[], in its place."""
        kind = self.kinds.of(node)
        if kind == "variants":
            return node
        return self._wrap(node, "v__list" if kind == "variant" else "v__items", "variants")

    def _select_same(self, query: exp.Expr) -> None:
        """Make the one column of a query a VARIANT."""
        kind = self.kinds.column(query, 0)
        column = exp.column(exp.to_identifier("v__c", quoted=True))
        value = call("v__same", column if kind == "variant" else cast(column, "VARIANT"))

        def make(inner: exp.Expr) -> exp.Expr:
            body = inner.this if isinstance(inner, exp.Subquery) else inner
            alias = exp.TableAlias(
                this=exp.to_identifier("v__q", quoted=True),
                columns=[exp.to_identifier("v__c", quoted=True)],
            )
            source = exp.Subquery(this=body, alias=alias)
            select = exp.Select(expressions=[value])
            select.set("from_", exp.From(this=source))
            return exp.Subquery(this=select) if isinstance(inner, exp.Subquery) else select

        around(query, make)

    # ── dispatch ─────────────────────────────────────────────────────────────────────────────

    def _edit(self, node: exp.Expr) -> None:  # noqa: C901, PLR0912 - one case for each kind of node
        match node:
            case exp.Placeholder() if self._is(node, "variants"):
                made = around(node, lambda n: cast(n, "VARIANT[]"))
                self.kinds.note(made, "variants")
            case _ if isinstance(node, _EQUALITIES):
                self._equality(node)
            case _ if isinstance(node, _RANGES):
                self._range(node)
            case exp.Between():
                self._between(node)
            case exp.In():
                self._in(node)
            case exp.And() | exp.Or():
                self._wrap_all([node.this, node.expression], "v__truth", "truth")
            case exp.Not() | exp.Where() | exp.Having():
                self._wrap_all([node.this], "v__truth", "truth")
            case exp.Join():
                self._wrap_all([node.args.get("on")], "v__truth", "truth")
                self._check_using(node)
            case exp.Case() | exp.If():
                self._choice(node)
            case exp.Coalesce():
                self._alike([node.this, *node.expressions])
            case exp.Nullif():
                self._nullif(node)
            case exp.Greatest() | exp.Least():
                self._extreme(node)
            case exp.Max() | exp.Min():
                self._most(node)
            case exp.ArgMax() | exp.ArgMin():
                self._wrap_all([node.expression], "v__sort", "other")
            case exp.Ordered() if not stands_for_output(node):
                self._wrap_all([node.this], "v__sort", "other")
            case exp.DPipe():
                self._joined(node)
            case exp.Array():
                if self._is(node, "variants"):
                    self._alike(node.expressions)
            case _ if isinstance(node, _PATTERNS):
                self._wrap_all([node.this, node.expression], "v__text", "text")
            case _ if isinstance(node, _BITS):
                parts = [node.this, node.args.get("expression")]
                self._wrap_all(parts, "v__integer", "whole")
            case _ if isinstance(node, ARITHMETIC):
                made = self._arithmetic.written(node)
                if made is not None:
                    self.replace(node, made)
            case exp.Sum() | exp.Avg():
                self._gone |= self._arithmetic.aggregate(node)
            case exp.Cast():
                self._cast(node)
            case exp.Bracket():
                self._bracket(node)
            case exp.Overlaps() | exp.Contains():
                self._contains(node)
            case exp.Explode():
                self._wrap_all([node.this], "v__list", "variants")
            case exp.Unnest():
                self._wrap_all(node.expressions, "v__list", "variants")
            case exp.Dot() if isinstance(node.expression, exp.Func) and self._is(node.this):
                self._refuse(node, "a function behind a dot", "write it before: f(value)")
            case exp.SetOperation():
                self._set_columns(node)
            case exp.Func():
                self._function(node)
            case _:
                pass

    def _refuse(self, node: exp.Expr, what: str, hint: str) -> None:
        raise error_class("PLN004")(
            "PLN004",
            f"{what} cannot be used with a value in a document",
            hint=hint,
            span=self._bound.span(node),
        )

    # ── comparisons ──────────────────────────────────────────────────────────────────────────

    def _equality(self, node: exp.Expr) -> None:
        sides = (node.this, node.expression)
        quantified = next((s for s in sides if isinstance(s, exp.Any | exp.All)), None)
        if quantified is not None:
            self._quantified(node, quantified)
            return
        if any(isinstance(s, exp.Tuple) for s in sides):
            self._tuples(list(sides))
            return
        if any(self._is(s) for s in sides):
            self._make_same(sides)

    def _make_same(self, nodes: Sequence[exp.Expr]) -> None:
        has_time = any(self._is(n, "time") for n in nodes)
        for each in nodes:
            self.same(each, is_beside_time=has_time)

    def _tuples(self, rows: Sequence[exp.Expr]) -> None:
        tuples = [r for r in rows if isinstance(r, exp.Tuple)]
        if len(tuples) != len(rows) or len({len(t.expressions) for t in tuples}) != 1:
            return
        for column in zip(*(list(t.expressions) for t in tuples), strict=True):
            if any(self._is(c) for c in column):
                self._make_same(column)

    def _quantified(self, node: exp.Expr, quantified: exp.Expr) -> None:
        value = node.expression if quantified is node.this else node.this
        inner = quantified.this
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, exp.Query):
            if not self._is(value) and self.kinds.column(inner, 0) not in OPEN:
                return
            if not isinstance(node, exp.EQ | exp.NEQ):
                self._refuse(node, "a comparison with ANY or ALL", "use EXISTS")
            self.same(value)
            self._select_same(inner)
            return
        if not self._is(value) and not self._is(inner):
            return
        if not isinstance(node, exp.EQ) or not isinstance(quantified, exp.Any):
            self._refuse(node, "a comparison with ANY or ALL of an array", "use list_filter")
        items, item = self.list_of(inner), self.same(value)
        self.replace(node, call("v__has", items, item))

    def _range(self, node: exp.Expr) -> None:
        left, right = node.this, node.expression
        if not self._is(left) and not self._is(right):
            return
        for side in (left, right):
            if isinstance(side, exp.Any | exp.All):
                self._refuse(node, "a comparison with ANY or ALL", "use EXISTS")
        kinds = {self.kinds.of(left), self.kinds.of(right)}
        beside = next(iter(kinds - {"variant"}), "variant") if "variant" in kinds else "variants"
        match beside:
            case "number" | "whole":
                for side in (left, right):
                    if self._is(side, "variant"):
                        self._wrap(side, "v__number", "other")
                    else:
                        around(side, lambda n: once("v__number", cast(n, "VARIANT")))
            case "text" | "truth":
                self._wrap_all([left, right], _READ_AS[beside], beside)
            case "time":
                for side in (left, right):
                    if self._is(side, "variant"):
                        self._wrap(side, "v__time", "time")
                    else:
                        around(side, lambda n: cast(n, "TIMESTAMPTZ"))
            case _:
                self._of_one_kind(node)

    def _of_one_kind(self, node: exp.Expr) -> None:
        left, right = self.same(node.this), self.same(node.expression)
        ranks = [once("v__rank", side.copy()) for side in (left, right)]
        is_alike = call("v__alike", *ranks)
        compared = type(node)(this=once("v__sort", left), expression=once("v__sort", right))
        self.replace(node, exp.Case().when(is_alike, compared, copy=False))

    def _between(self, node: exp.Between) -> None:
        value, low, high = node.this, node.args["low"], node.args["high"]
        if not any(self._is(n) for n in (value, low, high)):
            return
        again = self._copy(value)
        above = exp.GTE(this=value, expression=low)
        below = exp.LTE(this=again, expression=high)
        both = exp.Paren(this=exp.And(this=above, expression=below))
        self.replace(node, both)
        self._range(above)
        self._range(below)

    def _in(self, node: exp.In) -> None:
        query, listed = node.args.get("query"), node.args.get("field")
        if isinstance(query, exp.Expr):
            if self._is(node.this) or self.kinds.column(query, 0) in OPEN:
                self.same(node.this)
                self._select_same(query)
        elif isinstance(listed, exp.Expr):
            if self._is(node.this) or self._is(listed):
                items, item = self.list_of(listed), self.same(node.this)
                self.replace(node, call("v__has", items, item))
        elif isinstance(node.this, exp.Tuple):
            self._tuples([node.this, *node.expressions])
        elif any(self._is(n) for n in (node.this, *node.expressions)):
            self._make_same([node.this, *node.expressions])

    # ── choices ──────────────────────────────────────────────────────────────────────────────

    def _alike(self, nodes: Sequence[object]) -> None:
        """Make the other values VARIANTs too where some are."""
        given = [n for n in nodes if isinstance(n, exp.Expr)]
        if any(self._is(n, "variant") for n in given):
            for node in given:
                if not self._is(node, "variant", "null"):
                    self.same(node)

    def _choice(self, node: exp.Expr) -> None:
        if isinstance(node, exp.If):
            if isinstance(node.parent, exp.Case):
                return  # one WHEN: the CASE sees to it
            self._wrap_all([node.this], "v__truth", "truth")
            self._alike([node.args.get("true"), node.args.get("false")])
            return
        whens = list(node.args.get("ifs") or ())
        self._alike([*(w.args.get("true") for w in whens), node.args.get("default")])
        tests = [w.this for w in whens]
        if node.this is None:
            self._wrap_all(tests, "v__truth", "truth")
        elif any(self._is(n) for n in (node.this, *tests)):
            self._make_same([node.this, *tests])

    def _nullif(self, node: exp.Nullif) -> None:
        value, other = node.this, node.expression
        if not self._is(value) and not self._is(other):
            return
        again = self._copy(value)
        equal = exp.EQ(this=value, expression=other)
        self.replace(node, exp.Case().when(equal, exp.null(), copy=False).else_(again, copy=False))
        self._equality(equal)

    def _extreme(self, node: exp.Expr) -> None:
        given = [node.this, *node.expressions]
        if any(self._is(n) for n in given):
            made = [self.same(n) for n in given]
            macro = "v__greatest" if isinstance(node, exp.Greatest) else "v__least"
            self.replace(node, call(macro, exp.Array(expressions=made)))

    def _most(self, node: exp.Expr) -> None:
        value = node.this
        if isinstance(value, exp.Distinct) and len(value.expressions) == 1:
            value = value.expressions[0]  # it changes nothing here
        if self._is(value, "variant"):
            name = "arg_max" if isinstance(node, exp.Max) else "arg_min"
            key = once("v__sort", value.copy())
            self.replace(node, call(name, value, key, *node.expressions))

    # ── operators ────────────────────────────────────────────────────────────────────────────

    def _joined(self, node: exp.DPipe) -> None:
        left, right = node.this, node.expression
        kinds = {self.kinds.of(left), self.kinds.of(right)}
        if kinds == {"variant"}:
            pair = exp.Array(expressions=[left, right])
            self.replace(node, once("v__joined", pair))
        elif kinds & OPEN and kinds & {"list", "variants"}:
            self.list_of(left)
            self.list_of(right)
        else:
            self._wrap_all([left, right], "v__string", "text")

    def _contains(self, node: exp.Expr) -> None:
        left, right = node.this, node.expression
        if self._is(left, "text"):
            self._wrap_all([right], "v__text", "text")
        elif self._is(left, "variants") or (self._is(left, "list") and self._is(right)):
            items, item = self.list_of(left), self.same(right)
            self.replace(node, call("v__has", items, item))
        elif self._is(left, "variant"):
            # The function's SQL name would not find the items of an array in a document.
            member = call("v__has", once("v__list", left.copy()), self.same(self._copy(right)))
            part = self._text_of(right)
            kind = once("variant_type", left.copy())
            found = (
                exp.Case()
                .when(exp.EQ(this=kind, expression=exp.Literal.string("ARRAY")), member, copy=False)
                .else_(call("contains", once("v__text", left), part), copy=False)
            )
            self.replace(node, found)

    def _text_of(self, node: exp.Expr) -> exp.Expr:
        return once("v__text", node) if self._is(node, "variant") else cast(node, "TEXT")

    def _bracket(self, node: exp.Bracket) -> None:
        if len(node.expressions) != 1:
            return
        index = node.expressions[0]
        is_text = self._is(index, "text")
        if self._is(index, "variant"):
            index = self._wrap(index, "v__integer", "whole")
        is_literal = isinstance(index, exp.Literal) and str(index.this).isdigit()
        if self._is(node.this, "variant") and not is_text and not is_literal:
            items = once("v__list", node.this)
            self.replace(node, call("v__at", items, index))

    def _cast(self, node: exp.Cast) -> None:
        if not self._is(node.this, "variant"):
            return
        kind = node.to.this
        if kind in exp.DataType.TEXT_TYPES:
            self._wrap(node.this, "v__string", "text")
        elif kind in _DAYS:
            is_tried = isinstance(node, exp.TryCast)
            self._wrap(node.this, "v__time" if is_tried else "v__moment", "time")

    # ── functions ────────────────────────────────────────────────────────────────────────────

    def _function(self, node: exp.Expr) -> None:
        given = arguments(node)
        if not any(self._is(g) for g in given):
            return
        names = names_of(node)
        if names & {"length", "len"}:
            self._length(node, given, "v__length")
        elif names & {"array_size", "array_length", "list_length"}:
            self._length(node, given, "v__size")
        elif names & (functions.LISTS_IN | functions.SORTS | functions.ITEM_FIRST):
            self._list_function(node, names, given)
        elif names & _TRUTHS_IN:
            self._wrap_all(given, "v__truth", "truth")
        elif names & functions.TEXTS_IN:
            counted = next((functions.COUNTED[n] for n in names if n in functions.COUNTED), ())
            self._wrap_all([given[i] for i in counted if i < len(given)], "v__integer", "whole")
            self._wrap_all(given, "v__string", "text")
        elif names & functions.WHOLES_IN:
            self._wrap_all(given, "v__integer", "whole")
        elif names & functions.NUMBERS:
            if names & {"round", "trunc"}:
                self._wrap_all(given[1:], "v__integer", "whole")
            self._wrap_all(given, "v__double", "number")
        elif names & functions.TIMES_IN:
            self._wrap_all(given, "v__moment", "time")
        elif names & {"arg_max", "arg_min", "max_by", "min_by", "arg_max_null", "arg_min_null"}:
            self._wrap_all(given[1:2], "v__sort", "other")

    def _length(self, node: exp.Expr, given: Sequence[exp.Expr], macro: str) -> None:
        if self._is(given[0], "variant"):
            self.replace(node, once(macro, given[0]))

    def _list_function(self, node: exp.Expr, names: frozenset[str], given: list[exp.Expr]) -> None:
        if names & functions.TWO_LISTS:
            for each in given:
                self.list_of(each)
            return
        place = 1 if names & functions.ITEM_FIRST and len(given) > 1 else 0
        if self._is(given[place], "variant"):
            given[place] = self.list_of(given[place])
        if names & functions.ITEMS_IN and len(given) > 1:
            items, item = self.list_of(given[place]), self.same(given[1 - place])
            if names & functions.MEMBERSHIPS:
                self.replace(node, call("v__has", items, item))
            return
        items = given[place]
        if not self._is(items, "variants"):
            return
        if names & functions.SORTS and len(given) == 1:
            self.replace(node, call("v__sorted", items))
        elif extreme := next((functions.EXTREMES[n] for n in names if n in functions.EXTREMES), ""):
            self.replace(node, call(extreme, items))
        elif names & functions.NUMBER_LISTS:
            self._map(items, "v__double")
        elif names & {"array_flatten", "flatten"}:
            self._map(items, "v__list")
        elif names & {"array_join", "array_to_string"}:
            self._map(items, "v__string")

    def _map(self, items: exp.Expr, macro: str) -> None:
        item = exp.to_identifier("v__e")
        each = exp.Lambda(this=call(macro, item), expressions=[item.copy()], colon=True)
        around(items, lambda n: call("list_transform", n, each))

    # ── columns that become one ──────────────────────────────────────────────────────────────

    def _set_columns(self, node: exp.SetOperation) -> None:
        """Make the columns of both sides VARIANTs where one is."""
        selects = [s for s in _selects(node) if not any(p.is_star for p in s.expressions)]
        for position in range(min((len(s.expressions) for s in selects), default=0)):
            columns = [s.expressions[position].unalias() for s in selects]
            kinds = {self.kinds.of(c) for c in columns} - {"null"}
            if "variant" not in kinds or kinds == {"variant"}:
                continue
            for column in columns:
                if self._is(column, "variant"):
                    continue
                is_bare = not isinstance(column.parent, exp.Alias)
                name = column.output_name
                made = self.same(column)
                if is_bare and name:
                    around(made, lambda n, a=name: exp.Alias(this=n, alias=exp.to_identifier(a, quoted=True)))  # fmt: skip  # noqa: E501

    def _check_using(self, node: exp.Join) -> None:
        block = next((b for b in self._bound.blocks if any(j.node is node for j in b.joins)), None)
        if block is None:
            return
        for name, sources in block.merged.items():
            outputs = [(s, s.outputs[name]) for s in sources if name in s.outputs]
            kinds = {self.kinds.of_output(s, o) for s, o in outputs}
            if "variant" in kinds and len(kinds) > 1:
                self._refuse(node, f"USING over `{name}`", "write the condition with ON")


def _selects(node: exp.Expr) -> list[exp.Select]:
    match node:
        case exp.SetOperation():
            return [*_selects(node.this), *_selects(node.expression)]
        case exp.Subquery():
            return _selects(node.this)
        case exp.Select():
            return [node]
        case _:
            return []
