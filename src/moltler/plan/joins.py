"""Dependent joins: which scans get the keys that they are called with from which others.

The keys of ``a.x`` may be handed to the scan of ``b`` where ``b.y IN (those keys)`` might be, were
it written in the place of ``a.x = b.y``: such rows of b have no partner in a, whatever else the
query says. So the rules P1 to P6 of `pushdown` decide here too, and only the kinds of joins that
the language names are used at all. Keys may come from any scan whose column is what the join
compares, even from behind a LIMIT: other values do not leave it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from moltler.errors import MoltlerError, Span, error_class
from moltler.flow.predicate import AllOf, Condition, EngineText, Predicate, Scalar
from moltler.flow.scan import MOST_KEYS, Feed
from moltler.plan.bound import Bound
from moltler.plan.condition import is_claimed
from moltler.plan.conjunct import Conjunct
from moltler.plan.constant import Constants
from moltler.plan.pushdown import Pushed, Target, merges_left, reached, reached_below
from moltler.plan.scope import Block, JoinStep, Query, Ref, Scan, Source
from moltler.plan.text import DIALECT
from moltler.schema import SCALARS, Property

_ALIKE = ({"integer", "number"}, {"date", "timestamp"})
"""Types that DuckDB compares without text between them."""
_FED = {"INNER", "SEMI", "LEFT", "RIGHT"}


@dataclass(frozen=True, slots=True)
class _Edge:
    """Keys of one scan that another may be called with."""

    driver: Scan
    column: str
    scan: Scan
    field: str
    place: tuple[int, int, int, int]
    """Equal for keys that are compared with the same row of the same tables at once."""
    is_exact: bool
    """Both fields have one type, so that no key can fail to fit, as required fields need."""


def plan_feeds(bound: Bound, constants: Constants, pushed: Pushed) -> dict[Scan, tuple[Feed, ...]]:
    """Decide which scans are read first and which get their keys.

    Raises:
        PlanError: PLN001, a required field is supplied by nothing; PLN010 or PLN011, by a list
            that is too long or has no column.
    """
    edges = list(dict.fromkeys(_Edges(bound, constants, pushed).all()))
    feeds: dict[Scan, tuple[Feed, ...]] = {}
    restricted: set[Scan] = {s for s in bound.scans if s in pushed.empty}
    restricted.update(s for s in bound.scans if _is_told(pushed, s))
    needs: dict[Scan, set[str]] = {}
    for scan in bound.scans:
        listed, missing = _required(bound, scan, pushed)
        feeds[scan] = listed
        needs[scan] = missing
    placed: list[Scan] = []
    while len(placed) < len(bound.scans):
        scan = _next(bound, edges, needs, placed, restricted)
        if scan is None:
            waiting = next(s for s in bound.scans if s not in placed and needs[s])
            raise _not_supplied(bound, waiting, min(needs[waiting]))
        if scan not in pushed.empty:
            feeds[scan] += _feeds_of(scan, edges, pushed, placed, restricted, needs[scan])
        if feeds[scan]:
            restricted.add(scan)
        placed.append(scan)
    return {scan: found for scan, found in feeds.items() if found}


def _next(
    bound: Bound,
    edges: list[_Edge],
    needs: dict[Scan, set[str]],
    placed: list[Scan],
    restricted: set[Scan],
) -> Scan | None:
    """Give the scan that is read next: filtered ones first, then those that these feed."""
    best: tuple[tuple[bool, bool], Scan] | None = None
    for scan in bound.scans:
        if scan in placed:
            continue
        supplied = {
            e.field for e in edges if e.scan is scan and e.driver in placed and e.is_exact
        }
        if not needs[scan] <= supplied:
            continue
        is_fed = any(e.scan is scan and e.driver in placed and e.driver in restricted
                     for e in edges)  # fmt: skip
        rank = (scan not in restricted, not is_fed)
        if best is None or rank < best[0]:
            best = (rank, scan)
    return best[1] if best is not None else None


def _feeds_of(
    scan: Scan,
    edges: list[_Edge],
    pushed: Pushed,
    placed: list[Scan],
    restricted: set[Scan],
    needed: set[str],
) -> tuple[Feed, ...]:
    """Give the feeds of a scan from those that are read before it, one for each field."""
    tied = {c.field for p in pushed.where(scan) for c in _leaves(p) if c.operator == "="}
    is_told = _is_told(pushed, scan)
    claims = scan.entity.pushdown.filters
    chosen: dict[str, _Edge] = {}
    usable = [e for e in edges if e.scan is scan and e.driver in placed]
    # Scans that are restricted themselves have fewer keys to give.
    for edge in sorted(usable, key=lambda e: e.driver not in restricted):
        claim = claims[edge.field]
        is_list = "in" in claim.operators
        if edge.field in needed:
            if not edge.is_exact:
                continue
        else:
            # A call for each key is not worth it where the handler has something to go by.
            if edge.driver not in restricted or edge.field in tied or (is_told and not is_list):
                continue
            if claim.required and not is_list:
                continue  # supplied by the text
        chosen.setdefault(edge.field, edge)
    places = list(dict.fromkeys(e.place for e in chosen.values()))
    return tuple(
        Feed(
            field,
            "in" if "in" in claims[field].operators else "=",
            edge.driver.name,
            edge.column,
            is_required=field in needed,
            group=places.index(edge.place),
        )
        for field, edge in chosen.items()
    )


def _is_told(pushed: Pushed, scan: Scan) -> bool:
    """Tell whether the handler knows a condition of the text."""
    return any(not isinstance(p, EngineText) for p in pushed.where(scan))


# ── required fields ──────────────────────────────────────────────────────────────────────────────


def _required(bound: Bound, scan: Scan, pushed: Pushed) -> tuple[tuple[Feed, ...], set[str]]:
    """Give the lists of the text that supply required fields, and what nothing supplies.

    Raises:
        PlanError: PLN010 or PLN011, a list cannot be used.
    """
    claims = scan.entity.pushdown
    told = [leaf for p in pushed.where(scan) for leaf in _leaves(p)]
    listed: list[Feed] = []
    missing: set[str] = set()
    for name, claim in claims.filters.items():
        own = [c for c in told if c.field == name]
        if not claim.required or any(c.operator == "=" or is_claimed(c, claims) for c in own):
            continue
        values = next((c.value for c in own if c.operator == "in"), None)
        if isinstance(values, tuple):
            listed.append(_listed(bound, scan, name, values))
        else:
            missing.add(name)
    return tuple(listed), missing


def _listed(bound: Bound, scan: Scan, name: str, values: tuple[Scalar, ...]) -> Feed:
    declared = scan.entity.fields.find(name)
    label, span = f"`{scan.connector}.{scan.entity.name}`", _span(bound, scan)
    if declared is None or declared.filter_only:
        # Rows do not tell to which of the values they belong, and may belong to several.
        raise error_class("PLN011")(
            "PLN011",
            f"the search term `{name}` of {label} takes one value at a time",
            hint="join the SELECTs of the single values with UNION",
            span=span,
        )
    if len(values) > MOST_KEYS:
        raise error_class("PLN010")(
            "PLN010",
            f"{label} is called once for each of {len(values):,} values of `{name}`; "
            f"{MOST_KEYS:,} are allowed",
            hint="shorten the list",
            span=span,
        )
    return Feed(name, "=", values=values, is_required=True)


def _not_supplied(bound: Bound, scan: Scan, name: str) -> MoltlerError:
    return error_class("PLN001")(
        "PLN001",
        f"`{scan.connector}.{scan.entity.name}` needs a condition on `{name}`",
        hint=f"add WHERE {name} = {_example(scan, name)}",
        span=_span(bound, scan),
    )


def _span(bound: Bound, scan: Scan) -> Span:
    return bound.span(scan.node)


def _example(scan: Scan, name: str) -> str:
    declared = scan.entity.fields.find(name)
    match declared.type.name if declared else "string":
        case "integer" | "number":
            return "1"
        case "boolean":
            return "TRUE"
        case "date":
            return "DATE '2024-01-02'"
        case "timestamp":
            return "TIMESTAMPTZ '2024-01-02 00:00:00Z'"
        case _:
            return "'…'"


def _leaves(predicate: Predicate) -> Iterator[Condition]:
    match predicate:
        case Condition():
            yield predicate
        case AllOf(members):
            for member in members:
                yield from _leaves(member)
        case _:
            return


# ── where keys may come from and go to ───────────────────────────────────────────────────────────


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
class _Edges:
    """Finds comparisons that can hand over keys."""

    bound: Bound
    constants: Constants
    pushed: Pushed

    def all(self) -> Iterator[_Edge]:
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

    def _compared(self, conjunct: Conjunct, node: exp.EQ) -> Iterator[_Edge]:
        left, right = self._plain(node.this), self._plain(node.expression)
        if left is None or right is None or left.source is right.source:
            return
        own = conjunct.block.sources
        if left.source in own and right.source in own:
            yield from self._both_ways(conjunct, left, right)

    def _shared(self, block: Block, join: JoinStep, column: exp.Expr) -> Iterator[_Edge]:
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

    def _both_ways(self, place: Conjunct, left: Ref, right: Ref) -> Iterator[_Edge]:
        for driver, fed in ((left, right), (right, left)):
            if may_feed(place.join, fed.source):
                targets = self._reached(place, fed)
                yield from self._edges(place, driver, place.block, targets, fed.source)

    def _among(self, conjunct: Conjunct, node: exp.In) -> Iterator[_Edge]:
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

    def _existing(self, conjunct: Conjunct, node: exp.Exists) -> Iterator[_Edge]:
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
            if _is_empty_without_rows(inner):
                targets = self._reached(conjunct, outer)
                yield from self._edges(condition, within, inner, targets, outer.source)

    def _edges(
        self,
        place: Conjunct,
        driver: Ref,
        block: Block,
        targets: list[Target],
        fed: Source | None,
    ) -> Iterator[_Edge]:
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
                yield _Edge(scan, column.name, target.scan, declared.name, where, is_exact)

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


def _is_empty_without_rows(block: Block) -> bool:
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


# ── keys of the rows that count ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a condition stands, so that it is found again once it was rewritten."""

    parent: exp.Expr
    key: str
    index: int | None

    @property
    def node(self) -> exp.Expr:
        """The condition, as it is now."""
        found = self.parent.args[self.key]
        return found if self.index is None else found[self.index]


def keys_read(scan: Scan, feeds: Mapping[Scan, tuple[Feed, ...]]) -> tuple[str, ...]:
    """Give the fields of a scan whose values feed others."""
    used = {f.column for found in feeds.values() for f in found if f.driver == scan.name}
    return tuple(p.name for p in scan.entity.fields if p.name in used)


@dataclass(slots=True)
class KeysOfScans:
    """Writes the SQL that finds the keys of a driver's own rows; made before `rewrite` runs."""

    _spots: dict[Scan, list[_Spot]]

    @staticmethod
    def of(pushed: Pushed) -> KeysOfScans:
        """Note the conditions that keep rows of a scan from mattering."""
        spots: dict[Scan, list[_Spot]] = {}
        for conjunct in pushed.conjuncts:
            scan = conjunct.source.scan if conjunct.source is not None else None
            parent, key = conjunct.node.parent, conjunct.node.arg_key
            # Only what was handed over: it cannot fail, and is the same each time it is asked.
            is_handed_over = any(s is scan for s, _ in conjunct.pushed)
            if scan is None or parent is None or key is None or not is_handed_over:
                continue
            if not conjunct.is_filter_only:
                spots.setdefault(scan, []).append(_Spot(parent, key, conjunct.node.index))
        return KeysOfScans(spots)

    def sql(self, scan: Scan, columns: tuple[str, ...]) -> str | None:
        """Give the SQL over a scan, after `rewrite`; ``None`` if all of its rows count."""
        spots = self._spots.get(scan, ())
        alias = scan.node.args.get("alias")
        if not spots or not columns or (isinstance(alias, exp.TableAlias) and alias.columns):
            return None
        shown = [exp.column(name, quoted=True) for name in columns]
        query = exp.Select(expressions=shown, distinct=exp.Distinct())
        query.set("from_", exp.From(this=scan.node.copy()))
        query.set("where", exp.Where(this=exp.and_(*(spot.node.copy() for spot in spots))))
        return query.sql(DIALECT)
