"""The conditions that AND joins at the top of a WHERE or ON, and what they talk about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from moltler.flow.predicate import Predicate
from moltler.plan.bound import Bound
from moltler.plan.constant import Constant, Constants, as_text
from moltler.plan.scope import Block, JoinStep, Ref, Scan, Source
from moltler.plan.text import DIALECT

_COMPARED = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
COMPARISONS: tuple[type[exp.Expr], ...] = _COMPARED


@dataclass(eq=False, slots=True)
class Conjunct:
    """One condition, where it stands, and what becomes of it."""

    node: exp.Expr
    block: Block
    join: JoinStep | None
    """The JOIN whose ON holds it; ``None`` for WHERE."""
    leaves: dict[int, Ref]
    """What its names refer to, by node id."""
    source: Source | None
    """The one source of the block that it uses, if it uses nothing else."""
    constant: Constant | None
    """Its value, if it names no column."""
    start: int
    """Where it stands in the text, to keep its order."""
    text: str = ""
    rule: str | None = None
    """What keeps it from being handed over; ``None`` once it was."""
    pushed: list[tuple[Scan, Predicate]] = field(default_factory=list[tuple[Scan, Predicate]])
    is_never: bool = False
    """It stands in WHERE and is TRUE for no row."""
    is_filter_only: bool = False
    """Handed over and counted as TRUE in the SQL."""


def conditions(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """Give the conditions that AND joins, in the order of the text."""
    match node:
        case None:
            return
        case exp.Paren() if isinstance(_inner(node), exp.And):
            yield from conditions(_inner(node))
        case exp.And():
            yield from conditions(node.this)
            yield from conditions(node.expression)
        case _:
            yield node


def _inner(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def conjuncts_of(bound: Bound, block: Block, constants: Constants) -> list[Conjunct]:
    """Give the conjuncts of a block: those of each ON, then those of WHERE."""
    found: list[Conjunct] = []
    for join in block.joins:
        found.extend(
            _conjunct(bound, block, join, node, constants)
            for node in conditions(join.node.args.get("on"))
        )
    where = block.node.args.get("where")
    found.extend(
        _conjunct(bound, block, None, node, constants)
        for node in conditions(where.this if where is not None else None)
    )
    return found


def _conjunct(
    bound: Bound,
    block: Block,
    join: JoinStep | None,
    node: exp.Expr,
    constants: Constants,
) -> Conjunct:
    leaves: dict[int, Ref] = {}
    starts: list[int] = []
    is_closed = True
    for part in node.walk(prune=lambda n: id(n) in bound.refs):
        ref = bound.refs.get(id(part))
        if ref is not None:
            leaves[id(part)] = ref
            starts.append(bound.span(part).start)
        elif isinstance(part, exp.Column | exp.Query | exp.Star):
            is_closed = False
    sources = {id(ref.source): ref.source for ref in leaves.values()}
    source = next(iter(sources.values())) if len(sources) == 1 and is_closed else None
    if source is not None and source not in block.sources:
        source = None
    constant = constants.of(node) if not leaves and is_closed else None
    start = min(starts, default=0)
    is_never = join is None and (
        _is_beside_null(node, constants) if constant is None else constant.value is not True
    )
    return Conjunct(node, block, join, leaves, source, constant, start, is_never=is_never)


def _is_beside_null(node: exp.Expr, constants: Constants) -> bool:
    """Tell whether a condition compares with NULL, and so is NULL whatever the other side is."""
    node = node.unnest()
    if isinstance(node, COMPARISONS):
        sides = [node.this, node.expression]
        return any(isinstance(s, exp.Null | exp.Placeholder) and _is_null(s, constants)
                   for s in sides)  # fmt: skip
    if isinstance(node, exp.In) and not node.args.get("query") and not node.args.get("field"):
        items = node.expressions
        return bool(items) and all(
            isinstance(i, exp.Null | exp.Placeholder) and _is_null(i, constants) for i in items
        )
    return False


def _is_null(node: exp.Expr, constants: Constants) -> bool:
    constant = constants.of(node)
    return constant is not None and constant.value is None


def own_nodes(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """Give the nodes of an expression, not those of queries inside it."""
    if node is None:
        return
    for part in node.walk(prune=lambda n: isinstance(n, exp.Query)):
        if not isinstance(part, exp.Query):
            yield part


def shown_text(node: exp.Expr, constants: Constants) -> str:
    """Give a condition as normalised SQL with its constants, without table names."""
    # A parent of its own, so that the root can be replaced like any part.
    holder = exp.Paren(this=node.copy())
    for part in reversed(list(holder.find_all(exp.Column, exp.Overlaps, exp.Placeholder))):
        match part:
            case exp.Column():
                part.set("table", None)
            case exp.Overlaps():
                sides = [part.this, part.expression]
                part.replace(exp.Anonymous(this="contains", expressions=sides))
            case _:
                constant = constants.of(part)
                if constant is not None:
                    part.replace(literal(constant.value))
    for name in holder.find_all(exp.Identifier):
        name.set("quoted", not name.name.isidentifier())
    return holder.this.sql(DIALECT)


def literal(value: object) -> exp.Expr:
    """Give a constant as SQL for people and caches to read."""
    match value:
        case None:
            return exp.null()
        case bool():
            return exp.Boolean(this=value)
        case int():
            return exp.Literal.number(str(value))
        case str():
            return exp.Literal.string(value)
        case _:
            text = as_text(value)
            return exp.Literal.string(text if text is not None else repr(value))
