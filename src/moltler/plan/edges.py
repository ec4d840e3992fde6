"""Comparisons through which keys of one scan may be handed to another, and which are sound.

The keys of ``a.x`` may be handed to the scan of ``b`` where ``b.y IN (those keys)`` might be, were
it written in the place of ``a.x = b.y``: other rows of b have no partner in a, whatever else the
query says. So the rules P1 to P6 of `pushdown` decide here too, and only the kinds of joins that
the language names are used at all. Keys may come from any scan whose column is what the join
compares, even from behind a LIMIT: other values do not leave it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from moltler.plan.bound import Bound
from moltler.plan.conjunct import Conjunct
from moltler.plan.constant import Constants
from moltler.plan.pushdown import Pushed, Target, merges_left, reached, reached_below
from moltler.plan.scope import Block, JoinStep, Query, Ref, Scan, Source
from moltler.schema import SCALARS, Property

_ALIKE = ({"integer", "number"}, {"date", "timestamp"})
"""Types that DuckDB compares without text between them."""
_FED = {"INNER", "SEMI", "LEFT", "RIGHT"}


@dataclass(frozen=True, slots=True)
class Edge:
    """Keys of one scan that another may be called with."""

    driver: Scan
    column: str
    scan: Scan
    field: str
    place: tuple[int, int, int, int]
    """Equal for keys that are compared with the same row of the same tables at once."""
    is_exact: bool
    """Both fields have one type, so that no key can fail to fit, as required fields need."""


def may_feed(join: JoinStep | None, source: Source) -> bool:
    """Tell whether a join of this kind hands keys to one of its sides.

    LEFT JOIN: to the joined table only, for rows of the other stay without a partner.

    Args:
        join: Whose ON compares the keys; ``None`` for WHERE.
        source: The side that would be called with the keys.
    """
    if join is None or join.side in {"INNER", "SEMI"}:
        return True
    return join.side in _FED and (join.source is source) == (join.side == "LEFT")


@dataclass(slots=True)
class Edges:
    """Finds comparisons that can hand over keys."""

    bound: Bound
    constants: Constants
    pushed: Pushed

    def all(self) -> Iterator[Edge]:
        """Give every possible feed, both ways where both are sound."""
        for conjunct in self.pushed.conjuncts:
            if conjunct.block.is_denied:
                continue
            node = _bare(conjunct.node)
            match node:
                case exp.EQ():
                    yield from self._compared(conjunct, node)
                case exp.In() if conjunct.join is None and node.args.get("query") is not None:
                    yield from self._among(conjunct, node)
                case exp.Exists() if conjunct.join is None:
                    yield from self._existing(conjunct, node)
                case _:
                    pass
        for block in self.bound.blocks:
            for join in block.joins if not block.is_denied else ():
                for column in join.node.args.get("using") or ():
                    yield from self._shared(block, join, column)

    def _compared(self, conjunct: Conjunct, node: exp.EQ) -> Iterator[Edge]:
        left, right = self._plain(node.this), self._plain(node.expression)
        if left is None or right is None or left.source is right.source:
            return
        own = conjunct.block.sources
        if left.source in own and right.source in own:
            yield from self._both_ways(conjunct, left, right)

    def _shared(self, block: Block, join: JoinStep, column: exp.Expr) -> Iterator[Edge]:
        """Read a column of USING as the comparison that it is."""
        name = column.name.lower()
        before = block.sources[: block.sources.index(join.source)]
        earlier = [s for s in before if not s.is_hidden and name in s.outputs]
        if any(s.is_open for s in before) or name not in join.source.outputs or not earlier:
            return
        if len(earlier) > 1 and not merges_left(block):
            return
        left = Ref(earlier[0], earlier[0].outputs[name])
        right = Ref(join.source, join.source.outputs[name])
        place = Conjunct(column, block, join, {}, None, None, 0)
        yield from self._both_ways(place, left, right)

    def _both_ways(self, place: Conjunct, left: Ref, right: Ref) -> Iterator[Edge]:
        for driver, fed in ((left, right), (right, left)):
            if may_feed(place.join, fed.source):
                targets = self._reached(place, fed)
                yield from self._edges(place, driver, place.block, targets, fed.source)

    def _among(self, conjunct: Conjunct, node: exp.In) -> Iterator[Edge]:
        """Read ``x IN (SELECT y …)``."""
        outer, inner = self._plain(node.this), self._block(node.args["query"])
        if outer is None or inner is None or outer.source not in conjunct.block.sources:
            return
        below = reached_below(self.bound, self.constants, inner, id(conjunct))
        yield from self._edges(conjunct, outer, conjunct.block, below, None)
        first = (inner.outputs or [("", None)])[0][1]
        if isinstance(first, Ref) and not inner.is_denied:
            targets = self._reached(conjunct, outer)
            yield from self._edges(conjunct, first, inner, targets, outer.source)

    def _existing(self, conjunct: Conjunct, node: exp.Exists) -> Iterator[Edge]:
        """Read ``EXISTS (SELECT … WHERE y = x)`` with an x from outside."""
        inner = self._block(node.this)
        if inner is None or inner.is_denied:
            return
        for condition in self.pushed.of(inner):
            compared = _bare(condition.node)
            if not isinstance(compared, exp.EQ):
                continue
            sides = [self._plain(compared.this), self._plain(compared.expression)]
            within = next((r for r in sides if r and r.source in inner.sources), None)
            outer = next((r for r in sides if r and r.source in conjunct.block.sources), None)
            if within is None or outer is None:
                continue
            targets = self._reached(condition, within)
            yield from self._edges(condition, outer, conjunct.block, targets, within.source)
            if is_empty_without_rows(inner):
                targets = self._reached(conjunct, outer)
                yield from self._edges(condition, within, inner, targets, outer.source)

    def _edges(
        self,
        place: Conjunct,
        driver: Ref,
        block: Block,
        targets: list[Target],
        fed: Source | None,
    ) -> Iterator[Edge]:
        origin = self._origin(driver, block)
        if origin is None:
            return
        scan, column = origin
        for target in targets:
            [(field, _)] = target.fields.values()
            declared = target.scan.entity.fields.find(field)
            claim = target.scan.entity.pushdown.filters.get(field)
            if declared is None or declared.filter_only or claim is None or target.scan is scan:
                continue
            can_take = claim.required or not claim.operators.isdisjoint({"in", "="})
            if can_take and _is_comparable(column, declared):
                where = (id(place.block), id(place.join), id(driver.source), id(fed))
                is_exact = column.type == declared.type
                yield Edge(scan, column.name, target.scan, declared.name, where, is_exact)

    def _reached(self, place: Conjunct, ref: Ref) -> list[Target]:
        asked = replace(place, leaves={id(ref): ref}, source=ref.source, constant=None)
        return reached(self.bound, self.constants, asked)

    def _origin(self, ref: Ref, block: Block) -> tuple[Scan, Property] | None:
        """Give the scan and field whose values a column has, all of them from there."""
        if block.is_denied or ref.path or (ref.is_merged and not merges_left(block)):
            return None
        source = ref.source
        if source.scan is not None:
            declared = ref.output.property
            is_plain = declared is not None and declared.type.name in SCALARS
            if declared is None or not is_plain or declared.filter_only:
                return None
            return source.scan, declared
        query = source.query
        if (source.cte is not None and source.cte.is_recursive) or not isinstance(query, Block):
            return None
        position = ref.output.position
        if query.outputs is None or not 0 <= position < len(query.outputs):
            return None
        below = query.outputs[position][1]
        return self._origin(below, query) if isinstance(below, Ref) else None

    def _plain(self, node: exp.Expr) -> Ref | None:
        ref = self.bound.ref(_bare(node))
        return ref if ref is not None and not ref.path else None

    def _block(self, node: Query | exp.Expr | None) -> Block | None:
        while isinstance(node, exp.Subquery):
            if any(node.args.get(key) for key in ("limit", "offset", "order", "with_")):
                return None
            node = node.this
        return next((b for b in self.bound.blocks if b.node is node), None)


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def is_empty_without_rows(block: Block) -> bool:
    """Tell whether a SELECT gives no row where its WHERE leaves none, as aggregates do not."""
    node = block.node
    if any(node.args.get(key) for key in ("group", "having", "qualify")):
        return False
    return all(isinstance(p.unalias(), exp.Literal | exp.Star | exp.Column | exp.Null | exp.Boolean)
               for p in node.expressions)  # fmt: skip


def _is_comparable(driver: Property, fed: Property) -> bool:
    """Tell whether keys of one field can be turned into values of the other without text."""
    mine, other = driver.type.name, fed.type.name
    if mine not in SCALARS or other not in SCALARS:
        return False
    return mine == other or any({mine, other} <= alike for alike in _ALIKE)
