"""Dependent joins: which scans are read first, and which are called with their keys.

What is sound is settled by `edges`; here what is useful. A scan with conditions of its own, or
that others feed, feeds the scans it is joined with; a required field is fed by whatever can.
"""

from __future__ import annotations

from collections.abc import Iterator

from moltler.errors import MoltlerError, Span, error_class
from moltler.flow.predicate import AllOf, Condition, EngineText, Predicate, Scalar
from moltler.flow.scan import MOST_KEYS, Feed
from moltler.plan.bound import Bound
from moltler.plan.condition import is_claimed
from moltler.plan.constant import Constants
from moltler.plan.edges import Edge, Edges
from moltler.plan.keys import is_repeatable
from moltler.plan.pushdown import Pushed
from moltler.plan.scope import Scan


def plan_feeds(bound: Bound, constants: Constants, pushed: Pushed) -> dict[Scan, tuple[Feed, ...]]:
    """Decide which scans are read first and which get their keys.

    Raises:
        PlanError: PLN001, a required field is supplied by nothing; PLN010 or PLN011, by a list
            that is too long or has no column.
    """
    edges = list(dict.fromkeys(Edges(bound, constants, pushed).all()))
    feeds: dict[Scan, tuple[Feed, ...]] = {}
    restricted: set[Scan] = {s for s in bound.scans if s in pushed.empty}
    restricted.update(s for s in bound.scans if _is_told(pushed, s))
    restricted.update(s for s, own in pushed.engine.items() if any(map(is_repeatable, own)))
    needs: dict[Scan, set[str]] = {}
    for scan in bound.scans:
        listed, missing = _required(bound, scan, pushed)
        feeds[scan] = listed
        needs[scan] = set() if scan in pushed.empty else missing
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
    edges: list[Edge],
    needs: dict[Scan, set[str]],
    placed: list[Scan],
    restricted: set[Scan],
) -> Scan | None:
    """Give the scan that is read next: filtered ones first, then those that these feed."""
    best: tuple[tuple[bool, bool], Scan] | None = None
    for scan in bound.scans:
        if scan in placed:
            continue
        supplied = {e.field for e in edges if e.scan is scan and e.driver in placed and e.is_exact}
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
    edges: list[Edge],
    pushed: Pushed,
    placed: list[Scan],
    restricted: set[Scan],
    needed: set[str],
) -> tuple[Feed, ...]:
    """Give the feeds of a scan from those that are read before it, one for each field."""
    tied = {c.field for p in pushed.where(scan) for c in _leaves(p) if c.operator == "="}
    has_own = bool(needed) or _is_told(pushed, scan)
    claims = scan.entity.pushdown.filters
    chosen: dict[str, Edge] = {}
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
            if edge.driver not in restricted or edge.field in tied or (has_own and not is_list):
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
