"""The SQL that the engine runs: the author's tree with a short, fixed list of edits.

Names of scans, variables and quoting were settled by `bind`. Here: what counts as TRUE, indices
from 0, CONTAINS, constants beside text, and the names of columns that an edit would change. It
runs last, since it replaces nodes that everything else looks up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlglot import exp

from moltler.errors import error_class
from moltler.plan.bind import Bound
from moltler.plan.conjunct import COMPARISONS, Conjunct
from moltler.plan.constant import Constants, as_text
from moltler.plan.scope import Block
from moltler.plan.text import DIALECT
from moltler.schema import TypeName

_ORDERED = (exp.LT, exp.LTE, exp.GT, exp.GTE)
_NUMBERS: frozenset[TypeName] = frozenset({"integer", "number"})
_OPEN: frozenset[TypeName] = frozenset({"document", "any"})
_LONGEST = 2**31 - 2
_CHANGED = (exp.Placeholder, exp.Bracket, exp.Overlaps)


def rewrite(bound: Bound, constants: Constants, conjuncts: Iterable[Conjunct]) -> None:
    """Make the tree DuckDB's SQL, in place.

    Raises:
        PlanError: PLN004, text is compared with a number.
    """
    editor = _Editor(bound, constants)
    editor.name_columns()
    editor.compare_text()
    for conjunct in conjuncts:
        if conjunct.is_filter_only:
            conjunct.node.replace(exp.true())
    editor.edit_operators()


@dataclass(slots=True)
class _Editor:
    bound: Bound
    constants: Constants

    def _type(self, node: exp.Expr) -> TypeName | None:
        """Give the declared type of a name, as far as it is one."""
        while isinstance(node, exp.Paren):
            node = node.this
        ref = self.bound.ref(node)
        if ref is None:
            return None
        if ref.path:
            return "any"
        return ref.output.property.type.name if ref.output.property else None

    # ── names of columns ─────────────────────────────────────────────────────────────────────

    def name_columns(self) -> None:
        """Keep the names of columns whose expression an edit changes."""
        for block in self.bound.blocks:
            self._name_columns(block)

    def _name_columns(self, block: Block) -> None:
        if block.is_exists:
            return
        taken = _bare_names(block)
        for projection in list(block.node.expressions):
            if isinstance(projection, exp.Alias | exp.Column | exp.Star):
                continue
            if projection.find(*_CHANGED) is None or projection.find(exp.Columns):
                continue
            name = projection.meta.get("shown") or _last_segment(projection)
            name = name or _as_written(projection)
            if name.lower() not in taken:
                _give_alias(projection, name)

    # ── constants beside text ────────────────────────────────────────────────────────────────

    def compare_text(self) -> None:
        """Turn constants beside string fields into text, and refuse text beside numbers."""
        kinds = (*COMPARISONS, exp.In, exp.Between, exp.NullSafeEQ, exp.NullSafeNEQ)
        for node in list(self.bound.text.tree.find_all(*kinds)):
            match node:
                case exp.In():
                    if self._type(node.this) == "string":
                        for item in list(node.expressions):
                            self._as_text(item)
                case exp.Between():
                    for bound in (node.args["low"], node.args["high"]):
                        self._refuse_mixed(node, node.this, bound)
                case _:
                    for this, other in (
                        (node.this, node.expression),
                        (node.expression, node.this),
                    ):
                        self._refuse_mixed(node, this, other)
                        if self._type(this) == "string" and not isinstance(node, _ORDERED):
                            self._as_text(other)

    def _refuse_mixed(self, node: exp.Expr, text: exp.Expr, other: exp.Expr) -> None:
        if self._type(text) != "string":
            return
        is_number = self._type(other) in _NUMBERS
        constant = self.constants.of(other) if isinstance(node, (*_ORDERED, exp.Between)) else None
        value = constant.value if constant is not None else None
        is_number = is_number or (
            value is not None and _is_number(value) and not isinstance(value, bool)
        )
        if not is_number:
            return
        ref = self.bound.ref(text)
        name = ref.output.name if ref is not None else text.sql()
        raise error_class("PLN004")(
            "PLN004",
            f"`{name}` is text and cannot be compared with a number",
            hint=f"convert one side: CAST({name} AS DOUBLE)",
            span=self.bound.span(text),
        )

    def _as_text(self, node: exp.Expr) -> None:
        constant = self.constants.of(node)
        if constant is None or constant.value is None or isinstance(constant.value, str):
            return
        text = as_text(constant.value)
        if text is not None:
            node.replace(exp.Literal.string(text))

    # ── operators ────────────────────────────────────────────────────────────────────────────

    def edit_operators(self) -> None:
        """Give CONTAINS and indices their meaning, the inner before the outer."""
        found = list(self.bound.text.tree.find_all(exp.Bracket, exp.Overlaps, bfs=False))
        for node in reversed(found):
            if isinstance(node, exp.Overlaps):
                node.replace(self._contains(node))
            else:
                self._index(node)

    def _contains(self, node: exp.Overlaps) -> exp.Expr:
        left, right = node.this, node.expression
        type_ = self._type(left)
        plain = exp.Anonymous(this="contains", expressions=[left.copy(), right.copy()])
        if type_ in {"string", "array"} or (type_ is not None and type_ not in _OPEN):
            return plain
        variant = _cast(left, "VARIANT")
        kind = exp.Anonymous(this="variant_typeof", expressions=[variant])
        member = exp.Anonymous(
            this="list_contains",
            expressions=[_cast(variant, "VARIANT[]"), _cast(right, "VARIANT")],
        )
        part = exp.Anonymous(
            this="contains", expressions=[_cast(variant, "TEXT"), _cast(right, "TEXT")]
        )
        return (
            exp.Case()
            .when(exp.Like(this=kind.copy(), expression=exp.Literal.string("ARRAY%")), member)
            .when(exp.EQ(this=kind.copy(), expression=exp.Literal.string("VARCHAR")), part)
        )

    def _index(self, node: exp.Bracket) -> None:
        if len(node.expressions) != 1:
            return
        index = node.expressions[0]
        if isinstance(index, exp.Literal):
            if index.is_string:
                return
            if str(index.this).isdigit():
                node.set("expressions", [exp.Literal.number(int(index.this) + 1)])
                return
        constant = self.constants.of(index)
        if constant is not None and isinstance(constant.value, str):
            return
        type_ = self._type(index)
        if type_ == "string" or (isinstance(index, exp.Cast) and index.is_type("text")):
            return
        bare = exp.Paren(this=index.copy()) if isinstance(index, exp.Binary) else index.copy()
        if type_ in _OPEN:
            bare = _cast(bare, "BIGINT")
        moved = exp.Add(this=bare.copy(), expression=exp.Literal.number(1))
        shifted = exp.Bracket(this=node.this.copy(), expressions=[moved])
        # The upper bound keeps the addition from overflowing; no list is that long.
        guard = exp.Between(
            this=bare, low=exp.Literal.number(0), high=exp.Literal.number(_LONGEST)
        )
        node.replace(exp.Case().when(guard, shifted))


def _is_number(value: object) -> bool:
    return not isinstance(value, str) and as_text(value) is not None and hasattr(value, "__trunc__")


def _cast(node: exp.Expr, type_: str) -> exp.Expr:
    return exp.Cast(this=node.copy(), to=exp.DataType.build(type_, udt=True, dialect="duckdb"))


def _last_segment(node: exp.Expr) -> str | None:
    while isinstance(node, exp.Paren):
        node = node.this
    return node.expression.name if isinstance(node, exp.Dot) else None


def _bare_names(block: Block) -> set[str]:
    """Give the names in clauses that would read an alias before a column."""
    clauses = (block.node.args.get(k) for k in ("order", "group", "having", "qualify"))
    columns = (c for clause in clauses if clause is not None for c in clause.find_all(exp.Column))
    return {c.name.lower() for c in columns if not c.table}


def _give_alias(projection: exp.Expr, name: str) -> None:
    holder = exp.Alias(this=exp.null(), alias=exp.to_identifier(name, quoted=True))
    projection.replace(holder)
    holder.set("this", projection)


def _as_written(node: exp.Expr) -> str:
    copy = node.copy()
    for part in list(copy.find_all(exp.Placeholder)):
        part.replace(exp.column(part.meta.get("shown", part.name)))
    for part in list(copy.find_all(exp.Overlaps)):
        words = exp.Anonymous(this="contains", expressions=[part.this, part.expression])
        part.replace(words)
    for name in copy.find_all(exp.Identifier):
        name.set("quoted", False)  # noqa: FBT003 - sqlglot's own signature
    return copy.sql(DIALECT)
