"""Operators and functions over values inside documents, which have a type only when they run.

DuckDB orders VARIANTs by physical type before value and casts them to whatever an operator takes,
dropping fractions. So each place where such a value meets an operator or a function is written
with the macros of `exec.documents`, which look at the value (decision 0010). Nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sqlglot import exp

from moltler.plan.arithmetic import Arithmetic
from moltler.plan.bound import Bound
from moltler.plan.calls import Calls
from moltler.plan.comparisons import EQUALITIES, RANGES, Comparisons
from moltler.plan.kinds import ARITHMETIC
from moltler.plan.macros import around, call, cast, once
from moltler.plan.sorting import sort_in_queries, stands_for_output
from moltler.plan.values import OPEN, Values

_PATTERNS = (exp.Like, exp.ILike, exp.RegexpLike, exp.RegexpILike, exp.SimilarTo, exp.Glob)
_BITS = (
    exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot, exp.BitwiseLeftShift,
    exp.BitwiseRightShift,
)  # fmt: skip
_DAYS = (exp.DataType.Type.DATE, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPTZ,
         exp.DataType.Type.TIMESTAMPNTZ)  # fmt: skip


class Variants:
    """Edits a tree in place, the inner before the outer."""

    def __init__(self, bound: Bound) -> None:
        self._values = Values(bound)
        self._comparisons = Comparisons(self._values)
        self._calls = Calls(self._values)
        self._nodes = list(bound.text.tree.walk(bfs=False))
        self._is_needed = any(
            self._values.kinds.of(n) in OPEN
            for n in self._nodes
            if isinstance(n, exp.Condition | exp.Identifier)
        )
        self._arithmetic = Arithmetic(self._values.kinds, self._nodes if self._is_needed else ())
        self._gone: set[int] = set()

    def replace(self, node: exp.Expr, new: exp.Expr) -> None:
        """Put another node in the place of one, with the same kind of value."""
        self._values.replace(node, new)

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
            sort_in_queries(self._values.bound, self._values.kinds)

    # ── dispatch ─────────────────────────────────────────────────────────────────────────────

    def _edit(self, node: exp.Expr) -> None:
        match node:
            case exp.Placeholder() if self._values.is_(node, "variants"):
                made = around(node, lambda n: cast(n, "VARIANT[]"))
                self._values.kinds.note(made, "variants")
            case _ if isinstance(node, EQUALITIES):
                self._comparisons.equality(node)
            case _ if isinstance(node, RANGES):
                self._comparisons.order(node)
            case exp.Between():
                self._comparisons.between(node)
            case exp.In():
                self._comparisons.in_(node)
            case exp.And() | exp.Or():
                self._values.wrap_all([node.this, node.expression], "v__truth", "truth")
            case exp.Not() | exp.Where() | exp.Having():
                self._values.wrap_all([node.this], "v__truth", "truth")
            case exp.Join():
                self._values.wrap_all([node.args.get("on")], "v__truth", "truth")
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
                self._values.wrap_all([node.expression], "v__sort", "other")
            case exp.Ordered() if not stands_for_output(node):
                self._values.wrap_all([node.this], "v__sort", "other")
            case exp.DPipe():
                self._joined(node)
            case exp.Array():
                if self._values.is_(node, "variants"):
                    self._alike(node.expressions)
            case _ if isinstance(node, _PATTERNS):
                self._values.wrap_all([node.this, node.expression], "v__text", "text")
            case _ if isinstance(node, _BITS):
                parts = [node.this, node.args.get("expression")]
                self._values.wrap_all(parts, "v__integer", "whole")
            case _ if isinstance(node, ARITHMETIC):
                made = self._arithmetic.written(node)
                if made is not None:
                    self._values.replace(node, made)
            case exp.Sum() | exp.Avg():
                self._gone |= self._arithmetic.aggregate(node)
            case exp.Cast():
                self._cast(node)
            case exp.Bracket():
                self._bracket(node)
            case exp.Overlaps() | exp.Contains():
                self._contains(node)
            case exp.Comprehension():
                self._values.wrap_all([node.args["iterator"]], "v__list", "variants")
            case exp.Explode():
                self._values.wrap_all([node.this], "v__list", "variants")
            case exp.Unnest():
                self._values.wrap_all(node.expressions, "v__list", "variants")
            case exp.Dot() if isinstance(node.expression, exp.Func) and self._values.is_(node.this):
                self._values.refuse(node, "a function behind a dot", "write it before: f(value)")
            case exp.SetOperation():
                self._set_columns(node)
            case exp.Func():
                self._calls.function(node)
            case _:
                pass

    # ── choices ──────────────────────────────────────────────────────────────────────────────

    def _alike(self, nodes: Sequence[object]) -> None:
        """Make the other values VARIANTs too where some are."""
        given = [n for n in nodes if isinstance(n, exp.Expr)]
        if any(self._values.is_(n, "variant") for n in given):
            for node in given:
                if not self._values.is_(node, "variant", "null"):
                    self._values.same(node)

    def _choice(self, node: exp.Expr) -> None:
        if isinstance(node, exp.If):
            if isinstance(node.parent, exp.Case):
                return  # one WHEN: the CASE sees to it
            self._values.wrap_all([node.this], "v__truth", "truth")
            self._alike([node.args.get("true"), node.args.get("false")])
            return
        whens = list(node.args.get("ifs") or ())
        self._alike([*(w.args.get("true") for w in whens), node.args.get("default")])
        tests = [w.this for w in whens]
        if node.this is None:
            self._values.wrap_all(tests, "v__truth", "truth")
        elif any(self._values.is_(n) for n in (node.this, *tests)):
            self._comparisons.make_same([node.this, *tests])

    def _nullif(self, node: exp.Nullif) -> None:
        value, other = node.this, node.expression
        if not self._values.is_(value) and not self._values.is_(other):
            return
        again = self._values.copy(value)
        equal = exp.EQ(this=value, expression=other)
        self._values.replace(
            node, exp.Case().when(equal, exp.null(), copy=False).else_(again, copy=False)
        )
        self._comparisons.equality(equal)

    def _extreme(self, node: exp.Expr) -> None:
        given = [node.this, *node.expressions]
        if any(self._values.is_(n) for n in given):
            made = [self._values.same(n) for n in given]
            macro = "v__greatest" if isinstance(node, exp.Greatest) else "v__least"
            self._values.replace(node, call(macro, exp.Array(expressions=made)))

    def _most(self, node: exp.Expr) -> None:
        value = node.this
        if isinstance(value, exp.Distinct) and len(value.expressions) == 1:
            value = value.expressions[0]  # it changes nothing here
        if self._values.is_(value, "variant"):
            name = "arg_max" if isinstance(node, exp.Max) else "arg_min"
            key = once("v__sort", value.copy())
            self._values.replace(node, call(name, value, key, *node.expressions))

    # ── operators ────────────────────────────────────────────────────────────────────────────

    def _joined(self, node: exp.DPipe) -> None:
        left, right = node.this, node.expression
        kinds = {self._values.kinds.of(left), self._values.kinds.of(right)}
        if kinds == {"variant"}:
            pair = exp.Array(expressions=[left, right])
            self._values.replace(node, once("v__joined", pair))
        elif kinds & OPEN and kinds & {"list", "variants"}:
            self._values.list_of(left)
            self._values.list_of(right)
        else:
            self._values.wrap_all([left, right], "v__string", "text")

    def _contains(self, node: exp.Expr) -> None:
        left, right = node.this, node.expression
        if self._values.is_(left, "text"):
            self._values.wrap_all([right], "v__text", "text")
        elif self._values.is_(left, "variants") or (
            self._values.is_(left, "list") and self._values.is_(right)
        ):
            items, item = self._values.list_of(left), self._values.same(right)
            self._values.replace(node, call("v__has", items, item))
        elif self._values.is_(left, "variant"):
            # The function's SQL name would not find the items of an array in a document.
            member = call(
                "v__has", once("v__list", left.copy()), self._values.same(self._values.copy(right))
            )
            part = self._text_of(right)
            kind = once("variant_type", left.copy())
            found = (
                exp.Case()
                .when(exp.EQ(this=kind, expression=exp.Literal.string("ARRAY")), member, copy=False)
                .else_(call("contains", once("v__text", left), part), copy=False)
            )
            self._values.replace(node, found)

    def _text_of(self, node: exp.Expr) -> exp.Expr:
        return once("v__text", node) if self._values.is_(node, "variant") else cast(node, "TEXT")

    def _bracket(self, node: exp.Bracket) -> None:
        if len(node.expressions) != 1:
            return
        index = node.expressions[0]
        is_text = self._values.is_(index, "text")
        if self._values.is_(index, "variant"):
            index = self._values.wrap(index, "v__integer", "whole")
        is_literal = isinstance(index, exp.Literal) and str(index.this).isdigit()
        if self._values.is_(node.this, "variant") and not is_text and not is_literal:
            items = once("v__list", node.this)
            self._values.replace(node, call("v__at", items, index))

    def _cast(self, node: exp.Cast) -> None:
        if not self._values.is_(node.this, "variant"):
            return
        kind = node.to.this
        if kind in exp.DataType.TEXT_TYPES:
            self._values.wrap(node.this, "v__string", "text")
        elif kind in _DAYS:
            is_tried = isinstance(node, exp.TryCast)
            self._values.wrap(node.this, "v__time" if is_tried else "v__moment", "time")

    # ── columns that become one ──────────────────────────────────────────────────────────────

    def _set_columns(self, node: exp.SetOperation) -> None:
        """Make the columns of both sides VARIANTs where one is."""
        selects = [s for s in _selects(node) if not any(p.is_star for p in s.expressions)]
        for position in range(min((len(s.expressions) for s in selects), default=0)):
            columns = [s.expressions[position].unalias() for s in selects]
            kinds = {self._values.kinds.of(c) for c in columns} - {"null"}
            if "variant" not in kinds or kinds == {"variant"}:
                continue
            for column in columns:
                if self._values.is_(column, "variant"):
                    continue
                is_bare = not isinstance(column.parent, exp.Alias)
                name = column.output_name
                made = self._values.same(column)
                if is_bare and name:
                    around(made, partial(_named, name))

    def _check_using(self, node: exp.Join) -> None:
        block = next(
            (b for b in self._values.bound.blocks if any(j.node is node for j in b.joins)), None
        )
        if block is None:
            return
        for name, sources in block.merged.items():
            outputs = [(s, s.outputs[name]) for s in sources if name in s.outputs]
            kinds = {self._values.kinds.of_output(s, o) for s, o in outputs}
            if "variant" in kinds and len(kinds) > 1:
                self._values.refuse(node, f"USING over `{name}`", "write the condition with ON")


def _named(name: str, node: exp.Expr) -> exp.Expr:
    return exp.Alias(this=node, alias=exp.to_identifier(name, quoted=True))


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
