"""The SQL that the engine runs: the author's tree with a short, fixed list of edits.

Names of scans, variables and quoting were settled by `bind`. Here: what counts as TRUE, indices
from 0, CONTAINS, constants beside text, and the names of columns that an edit would change. It
runs last, since it replaces nodes that everything else looks up.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from moltler.errors import error_class
from moltler.plan.bound import Bound
from moltler.plan.conjunct import COMPARISONS, Conjunct
from moltler.plan.constant import Constants, as_text
from moltler.plan.listed import Listed, listed, swap
from moltler.plan.rendering import render
from moltler.plan.scope import Block
from moltler.plan.text import DIALECT, WRITTEN
from moltler.plan.variants import Variants
from moltler.schema import TypeName

_RANGES = (exp.LT, exp.LTE, exp.GT, exp.GTE)
_NUMBERS: frozenset[TypeName] = frozenset({"integer", "number"})
_OPEN: frozenset[TypeName] = frozenset({"document", "any"})
_LONGEST = 2**31 - 2
"""No list has more elements, and 1 can be added to it."""
_LONGEST_NAME = 60


def rewrite(bound: Bound, constants: Constants, conjuncts: Iterable[Conjunct]) -> None:
    """Make the tree DuckDB's SQL, in place.

    Raises:
        PlanError: PLN004, text is compared with a number.
    """
    for block in bound.blocks:
        _name_columns(block)
    _compare_text(bound, constants)
    for conjunct in conjuncts:
        if conjunct.is_filter_only:
            conjunct.node.replace(exp.true())
    render(bound)
    edits = Variants(bound)

    def shape(node: exp.Expr) -> None:
        # Read here, so that the nodes inside are finished.
        if isinstance(node, exp.Overlaps):
            edits.replace(node, contains(node, _type(bound, node.this)))
        elif isinstance(node, exp.Bracket) and len(node.expressions) == 1:
            _index(bound, constants, node, edits)

    edits.edit(shape)


def _type(bound: Bound, node: exp.Expr) -> TypeName | None:
    """Give the declared type of a name, ``None`` for other expressions."""
    while isinstance(node, exp.Paren):
        node = node.this
    ref = bound.ref(node)
    if ref is None:
        return None
    if ref.path:
        return "any"
    return ref.output.property.type.name if ref.output.property else None


# ── names of columns ─────────────────────────────────────────────────────────────────────────────


def _name_columns(block: Block) -> None:
    """Name columns after the author's text: edits change what DuckDB would name them after."""
    if block.is_exists:
        return
    taken = _bare_names(block)
    for projection in list(block.node.expressions):
        if isinstance(projection, exp.Alias | exp.Column | exp.Star):
            continue
        if projection.find(exp.Columns) or _is_path(projection) or _spreads(projection):
            continue
        name = projection.meta.get("shown") or _last_segment(projection) or _as_written(projection)
        if name.lower() not in taken:
            _give_alias(projection, name)


def _bare_names(block: Block) -> set[str]:
    """Give the names in clauses that would read an alias before a column."""
    clauses = (block.node.args.get(k) for k in ("order", "group", "having", "qualify"))
    columns = (c for clause in clauses if clause is not None for c in clause.find_all(exp.Column))
    return {c.name.lower() for c in columns if not c.table}


def _give_alias(projection: exp.Expr, name: str) -> None:
    holder = exp.Alias(this=exp.null(), alias=exp.to_identifier(name, quoted=True))
    projection.replace(holder)
    holder.set("this", projection)


def _last_segment(node: exp.Expr) -> str | None:
    while isinstance(node, exp.Paren):
        node = node.this
    is_key = isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier)
    return node.expression.name if is_key else None


def _is_path(node: exp.Expr) -> bool:
    """Tell whether DuckDB names a column after its last key by itself."""
    while isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        node = node.this
    return isinstance(node, exp.Column)


def _spreads(node: exp.Expr) -> bool:
    """Tell whether a projection may give several columns, which one name would not fit."""
    return isinstance(node, exp.Explode) and isinstance(node.this, exp.Struct)


def _as_written(node: exp.Expr) -> str:
    name = " ".join(str(node.meta.get(WRITTEN) or node.sql(DIALECT)).split())
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


# ── constants beside text ────────────────────────────────────────────────────────────────────────


def _compare_text(bound: Bound, constants: Constants) -> None:
    """Turn constants beside string fields into text, and refuse text beside numbers."""
    kinds = (*COMPARISONS, exp.In, exp.Between, exp.NullSafeEQ, exp.NullSafeNEQ)
    for node in list(bound.text.tree.find_all(*kinds)):
        match node:
            case exp.In():
                if _type(bound, node.this) == "string":
                    for item in list(node.expressions):
                        _as_text(constants, item)
            case exp.Between():
                for limit in (node.args["low"], node.args["high"]):
                    _refuse_mixed(bound, constants, node.this, limit, is_range=True)
            case _:
                is_range = isinstance(node, _RANGES)
                for this, other in (
                    (node.this, node.expression),
                    (node.expression, node.this),
                ):
                    _refuse_mixed(bound, constants, this, other, is_range=is_range)
                    if _type(bound, this) == "string" and not is_range:
                        _as_text(constants, other)


def _refuse_mixed(
    bound: Bound, constants: Constants, text: exp.Expr, other: exp.Expr, *, is_range: bool
) -> None:
    if _type(bound, text) != "string":
        return
    is_number = _type(bound, other) in _NUMBERS
    constant = constants.of(other) if is_range and not is_number else None
    if not is_number and (constant is None or not _is_number(constant.value)):
        return
    ref = bound.ref(text)
    name = ref.output.name if ref is not None else text.sql(DIALECT)
    raise error_class("PLN004")(
        "PLN004",
        f"`{name}` is text and cannot be compared with a number",
        hint=f"convert one side: CAST({name} AS DOUBLE)",
        span=bound.span(text),
    )


def _is_number(value: object) -> bool:
    return hasattr(value, "__trunc__") and not isinstance(value, bool)


def _as_text(constants: Constants, node: exp.Expr) -> None:
    if isinstance(node, Listed):
        swap(node, listed([as_text(value) or "" for value in node.values]))
        return
    constant = constants.of(node)
    if constant is None or constant.value is None or isinstance(constant.value, str):
        return
    text = as_text(constant.value)
    if text is not None:
        swap(node, exp.Literal.string(text))


# ── operators ────────────────────────────────────────────────────────────────────────────────────


def contains(node: exp.Overlaps, type_: TypeName | None) -> exp.Expr:
    """Give ``x CONTAINS y`` as SQL: membership in an array, substring of a text.

    Args:
        node: The operator.
        type_: Of its left side, if it is declared; other values are asked when it runs.
    """
    left, right = node.this, node.expression
    if type_ is not None and type_ not in _OPEN:
        return exp.Anonymous(this="contains", expressions=[left.copy(), right.copy()])
    value = _cast(left, "VARIANT")
    kind = exp.Anonymous(this="variant_typeof", expressions=[value])
    member = exp.Anonymous(
        this="list_contains", expressions=[_cast(value, "VARIANT[]"), _cast(right, "VARIANT")]
    )
    part = exp.Anonymous(this="contains", expressions=[_cast(value, "TEXT"), _cast(right, "TEXT")])
    return (
        exp.Case()
        .when(exp.Like(this=kind.copy(), expression=exp.Literal.string("ARRAY%")), member)
        .when(exp.EQ(this=kind.copy(), expression=exp.Literal.string("VARCHAR")), part)
    )


def _index(bound: Bound, constants: Constants, node: exp.Bracket, edits: Variants) -> None:
    index = node.expressions[0]
    if _type(bound, index) == "string" or (
        isinstance(index, exp.Cast) and index.to.this in exp.DataType.TEXT_TYPES
    ):
        return
    is_literal = isinstance(index, exp.Literal)
    constant = None if is_literal else constants.of(index)
    if (is_literal and index.is_string) or (constant and isinstance(constant.value, str)):
        return  # a key of a document or map
    moved = shift_index(node, is_open=_type(bound, index) in _OPEN)
    if moved is not None:
        edits.replace(node, moved)


def shift_index(node: exp.Bracket, *, is_open: bool) -> exp.Expr | None:
    """Give ``x[i]`` counted from 1; NULL for a negative index, which DuckDB reads from the end.

    Args:
        node: Counted from 0.
        is_open: The index is a value of any type.
    """
    index = node.expressions[0]
    if isinstance(index, exp.Literal) and str(index.this).isdigit():
        return _bracket(node.this, exp.Literal.number(int(index.this) + 1))
    bare = exp.Paren(this=index.copy()) if isinstance(index, exp.Binary) else index.copy()
    if is_open:
        bare = _cast(bare, "BIGINT")
    guard = exp.Between(this=bare, low=exp.Literal.number(0), high=exp.Literal.number(_LONGEST))
    moved = exp.Add(this=bare.copy(), expression=exp.Literal.number(1))
    return exp.Case().when(guard, _bracket(node.this, moved))


def _bracket(target: exp.Expr, index: exp.Expr) -> exp.Expr:
    return exp.Bracket(this=target.copy(), expressions=[index])


def _cast(node: exp.Expr, type_: str) -> exp.Expr:
    return exp.Cast(this=node.copy(), to=exp.DataType.build(type_, udt=True, dialect="duckdb"))
