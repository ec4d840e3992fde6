"""Which conditions each scan is told: a walk that pushes only what it can prove harmless.

A condition may be handed to a scan if leaving out the rows that fail it cannot change the answer
of the whole query, given that the SQL checks it again. The rules are named P1 to P6; whatever
the walk does not know stays local.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from moltler.flow.predicate import Condition, EngineText, Predicate, Scalar
from moltler.flow.scan import LocalConjunct
from moltler.plan.bound import Bound
from moltler.plan.condition import Translation, fields_of, rejects_null
from moltler.plan.conjunct import Conjunct, conjuncts_of, own_nodes, shown_text
from moltler.plan.constant import Constants
from moltler.plan.scope import Block, JoinStep, Output, Query, Ref, Scan, SetQuery, Source
from moltler.schema import SCALARS, DataType

NOT_EXPRESSIBLE = "value"
"""The rule of a conjunct that no predicate says."""
SEVERAL = "tables"
"""The rule of a conjunct that is not about one table."""


@dataclass(slots=True)
class Pushed:
    """What the walk found."""

    conjuncts: list[Conjunct] = field(default_factory=list[Conjunct])
    empty: set[Scan] = field(default_factory=set[Scan])
    """Scans whose rows cannot matter."""
    predicates: dict[Scan, list[tuple[int, Predicate]]] = field(
        default_factory=dict[Scan, list[tuple[int, Predicate]]]
    )
    engine: dict[Scan, list[Conjunct]] = field(default_factory=dict[Scan, list[Conjunct]])
    """Conjuncts that keep rows of a scan from mattering, but that no predicate says."""
    local: dict[Scan, list[LocalConjunct]] = field(default_factory=dict[Scan, list[LocalConjunct]])

    def where(self, scan: Scan) -> tuple[Predicate, ...]:
        """Give what the scan is told, in the order of the text."""
        found = sorted(self.predicates.get(scan, []), key=lambda p: p[0])
        return tuple(predicate for _, predicate in found)

    def of(self, block: Block) -> list[Conjunct]:
        """Give the conjuncts of a block's WHERE."""
        return [c for c in self.conjuncts if c.block is block and c.join is None]


@dataclass(frozen=True, slots=True)
class Target:
    """A scan that a condition may be handed to."""

    scan: Scan
    fields: dict[int, tuple[str, DataType]]
    """What the names of the condition are there, by node id."""
    must_reject_null: bool
    rule: str
    """What is broken if it must and does not."""
    is_direct: bool
    """Not through a derived table."""


def push_down(bound: Bound, constants: Constants) -> Pushed:
    """Decide for every conjunct of every block which scans are told about it."""
    pushed = Pushed()
    walk = _Walk(bound, constants, pushed)
    for block in bound.blocks:
        for conjunct in conjuncts_of(bound, block, constants):
            pushed.conjuncts.append(conjunct)
            walk.push(conjunct)
        if any(c.is_never for c in pushed.of(block)):
            pushed.empty.update(scans_in_from(bound, block))
    for scan in bound.scans:
        if equalities(scan, pushed.where(scan)) is None:
            pushed.empty.add(scan)
    return pushed


def reached(bound: Bound, constants: Constants, conjunct: Conjunct) -> list[Target]:
    """Give the scans that a condition in the place of this one may be handed to.

    The condition must reject NULL, as being one of some keys does.
    """
    found = _Walk(bound, constants, Pushed()).targets(conjunct)
    return [] if isinstance(found, str) else found


def reached_below(bound: Bound, constants: Constants, query: Query, key: int) -> list[Target]:
    """Give the scans that a condition on the first column of a query may be handed to (P5).

    Args:
        bound: The statement.
        constants: Its constants.
        query: Whose rows that fail the condition do not matter.
        key: What stands for the column in `Target.fields`.
    """
    way = _Way("P5", must_reject_null=False, is_direct=False)
    first = Ref(Source("", {}), Output("", position=0))
    found = _Walk(bound, constants, Pushed()).into_query(way, {key: first}, query)
    return [] if isinstance(found, str) else found


@dataclass(frozen=True, slots=True)
class _Way:
    """How a condition came to a source."""

    rule: str
    """What is broken if the condition must reject NULL and does not."""
    must_reject_null: bool
    is_direct: bool = True
    """Not through a derived table."""


@dataclass(slots=True)
class _Walk:
    bound: Bound
    constants: Constants
    pushed: Pushed

    def push(self, conjunct: Conjunct) -> None:
        """Hand a conjunct to every scan it may reach."""
        if conjunct.constant is not None:
            return
        if conjunct.source is None:
            conjunct.rule = SEVERAL
            return
        found = self.targets(conjunct)
        if isinstance(found, str):
            conjunct.rule = found
        else:
            for target in found:
                self._hand_over(conjunct, target)
        if conjunct.rule is not None:
            kept = LocalConjunct(shown_text(conjunct.node, self.constants), conjunct.rule)
            for scan in scans_behind(self.bound, conjunct.source):
                self.pushed.local.setdefault(scan, []).append(kept)

    def _hand_over(self, conjunct: Conjunct, target: Target) -> None:
        scan = target.scan
        told = self.pushed.predicates.setdefault(scan, [])
        translation = Translation(target.fields, self.constants, scan.entity.pushdown)
        predicate = translation.predicate(conjunct.node)
        if predicate is None:
            conjunct.rule = NOT_EXPRESSIBLE
            if target.is_direct and not target.must_reject_null:
                told.append((conjunct.start, EngineText(shown_text(conjunct.node, self.constants))))
                self.pushed.engine.setdefault(scan, []).append(conjunct)
        elif target.must_reject_null and not rejects_null(predicate):
            conjunct.rule = target.rule
        else:
            conjunct.pushed.append((scan, predicate))
            told.append((conjunct.start, predicate))

    def targets(self, conjunct: Conjunct) -> list[Target] | str:
        """Give the scans that a conjunct may reach, or the rule that stops it."""
        block, source, join = conjunct.block, conjunct.source, conjunct.join
        if block.is_denied or source is None:
            return "P6"
        if any(ref.is_merged for ref in conjunct.leaves.values()) and not merges_left(block):
            return "P6"
        if join is None:
            supplied = is_null_supplied(block, source)
            return self._into_source(_Way("P1", supplied), conjunct.leaves, source)
        if is_behind_comma(block, join, source):
            return "P6"
        if not may_push_from_on(join, source):
            return "P4" if join.side == "FULL" else "P2" if join.source is source else "P3"
        supplied = join.source is not source and is_null_supplied(block, source, join)
        return self._into_source(_Way("P3", supplied), conjunct.leaves, source)

    def _into_source(
        self, way: _Way, leaves: Mapping[int, Ref], source: Source
    ) -> list[Target] | str:
        if source.scan is not None:
            found: dict[int, tuple[str, DataType]] = {}
            for node, ref in leaves.items():
                declared = ref.output.property
                if declared is None:
                    return "P6"
                found[node] = fields_of(ref, declared.name, declared.type)
            return [Target(source.scan, found, way.must_reject_null, way.rule, way.is_direct)]
        cte = source.cte
        if cte is not None and (cte.uses != 1 or cte.is_recursive):
            return "P5"
        if source.query is None:
            return "P6"
        return self.into_query(replace(way, is_direct=False), leaves, source.query)

    def into_query(self, way: _Way, leaves: Mapping[int, Ref], query: Query) -> list[Target] | str:
        """Carry a condition through a derived table onto the columns behind it (P5)."""
        match query:
            case Block():
                return self._into_block(way, leaves, query)
            case SetQuery() if lets_through(query, leaves):
                found: list[Target] = []
                for side in (query.left, query.right):
                    reached = self.into_query(way, leaves, side)
                    if not isinstance(reached, str):
                        found.extend(reached)
                return found or "P5"
            case _:
                return "P5"

    def _into_block(self, way: _Way, leaves: Mapping[int, Ref], block: Block) -> list[Target] | str:
        if block.is_denied:
            return "P6"
        if block.outputs is None or is_barrier(block):
            return "P5"
        inner: dict[int, Ref] = {}
        for node, ref in leaves.items():
            position = ref.output.position
            if not 0 <= position < len(block.outputs):
                return "P5"
            column = block.outputs[position][1]
            if not isinstance(column, Ref) or not is_key(self.bound, block, position, column):
                return "P5"
            if column.is_merged and not merges_left(block):
                return "P6"
            inner[node] = Ref(column.source, column.output, (*column.path, *ref.path))
        sources = {id(ref.source): ref.source for ref in inner.values()}
        source = next(iter(sources.values()))
        if len(sources) != 1 or source not in block.sources:
            return "P5"
        if is_null_supplied(block, source):
            way = _Way("P1", must_reject_null=True, is_direct=False)
        return self._into_source(way, inner, source)


def may_push_from_on(join: JoinStep, source: Source) -> bool:
    """Tell whether a condition in ON may restrict a side of the join (P2, P3, P4)."""
    if join.source is source:
        return join.side in {"INNER", "LEFT", "SEMI", "ANTI"}
    return join.side in {"INNER", "RIGHT", "SEMI"}


def is_behind_comma(block: Block, join: JoinStep, source: Source) -> bool:
    """Tell whether a comma keeps a source out of the join whose ON names it.

    In ``a, b RIGHT JOIN c ON a.x = 1`` DuckDB joins b and c anew for each row of a, so that every
    row of a stays.
    """
    reached = block.sources.index(source)
    return any(
        reached < block.sources.index(other.source)
        for other in block.joins[: block.joins.index(join)]
        if other.is_comma
    )


def is_null_supplied(block: Block, source: Source, before: JoinStep | None = None) -> bool:
    """Tell whether an outer join of the block may give rows of NULLs for a source.

    Args:
        block: The SELECT.
        source: One of its sources.
        before: Only joins that stand before this one count.
    """
    for join in block.joins:
        if join is before:
            return False
        is_joined = join.source is source
        is_earlier = block.sources.index(source) < block.sources.index(join.source)
        if (
            (join.side == "LEFT" and is_joined)
            or (join.side == "RIGHT" and is_earlier)
            or (join.side == "FULL" and (is_joined or is_earlier))
        ):
            return True
    return False


def merges_left(block: Block) -> bool:
    """Tell whether USING gives the first table's column, as all but RIGHT and FULL do."""
    return all(j.side in {"INNER", "LEFT", "SEMI", "ANTI"} for j in block.joins)


def lets_through(query: SetQuery, leaves: Mapping[int, Ref]) -> bool:
    """Tell whether a condition on a set operation's columns says the same about each side's."""
    node = query.node
    if not isinstance(node, exp.Union) or node.args.get("by_name"):
        return False
    if any(node.args.get(k) for k in ("limit", "offset", "fetch")):
        return False
    # Where the two sides differ in type DuckDB casts one, and the condition is about that value.
    return all(ref.output.property is not None for ref in leaves.values())


def is_barrier(block: Block) -> bool:
    """Tell whether a row's place in the result depends on other rows, keys of GROUP BY aside."""
    node = block.node
    if any(node.args.get(k) for k in ("limit", "offset", "qualify", "fetch", "sample")):
        return True
    distinct = node.args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None:
        return True
    return any(
        isinstance(part, exp.Window)
        for each in (*node.expressions, node.args.get("order"))
        for part in own_nodes(each)
    )


def is_key(bound: Bound, block: Block, position: int, column: Ref) -> bool:
    """Tell whether a column of the result is a key of GROUP BY, where there is one."""
    group = block.node.args.get("group")
    if group is None:
        return not any(
            isinstance(part, exp.AggFunc | exp.AnonymousAggFunc)
            for each in (*block.node.expressions, block.node.args.get("having"))
            for part in own_nodes(each)
        )
    if any(value for key, value in group.args.items() if key not in {"expressions", "all"}):
        return False
    if group.args.get("all"):
        return not group.expressions
    name = (block.outputs or [])[position][0].lower()
    is_found = False
    for key in group.expressions:
        ref = bound.refs.get(id(key))
        if isinstance(key, exp.Literal) and not key.is_string:
            is_found = is_found or str(key.this) == str(position + 1)
        elif ref is not None:
            is_found = is_found or (ref.source, ref.output, ref.path) == (
                column.source, column.output, column.path,
            )  # fmt: skip
        elif isinstance(key, exp.Column):
            is_found = is_found or (not key.table and key.name.lower() == name)
        elif isinstance(key, exp.Rollup | exp.Cube | exp.GroupingSets | exp.Tuple):
            return False
    return is_found


# ── what follows ─────────────────────────────────────────────────────────────────────────────────


def equalities(scan: Scan, where: tuple[Predicate, ...]) -> dict[str, Scalar] | None:
    """Give what the conditions tie fields to, in declared order; ``None`` if they contradict."""
    tied: dict[str, Scalar] = {}
    for predicate in where:
        if not isinstance(predicate, Condition) or predicate.operator != "=":
            continue
        declared = scan.entity.fields.find(predicate.field)
        value = predicate.value
        if declared is None or declared.type.name not in SCALARS:
            continue
        if value is None or isinstance(value, tuple):
            continue
        if tied.setdefault(predicate.field, value) != value:
            return None
    return {p.name: tied[p.name] for p in scan.entity.fields if p.name in tied}


def scans_behind(bound: Bound, source: Source) -> Iterator[Scan]:
    """Give the scans that a source reads: itself, or those of its query."""
    if source.scan is not None:
        yield source.scan
    elif source.query is not None:
        for scan in bound.scans:
            if any(above is source.query.node for above in _ancestors(scan.node)):
                yield scan


def _ancestors(node: exp.Expr) -> Iterator[exp.Expr]:
    above = node.parent
    while above is not None:
        yield above
        above = above.parent


def scans_in_from(bound: Bound, block: Block) -> Iterator[Scan]:
    """Give the scans below a block's FROM."""
    roots = [block.node.args.get("from_"), *(block.node.args.get("joins") or ())]
    for scan in bound.scans:
        node: exp.Expr | None = scan.node
        while node is not None and node is not block.node:
            if any(node is root for root in roots):
                yield scan
                break
            node = node.parent
