"""A SELECT, or the short form QUERY, planned: what each handler is asked, and SQL over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from sqlglot import exp

from moltler.errors import MoltlerError, Span, error_class
from moltler.flow.scan import Feed, QueryPlan, ScanRequest, Warning
from moltler.lang import ast
from moltler.lang.ast import SqlText
from moltler.plan.bind import bind
from moltler.plan.bound import Bound, Tables, Variables
from moltler.plan.conjunct import COMPARISONS, Conjunct
from moltler.plan.constant import Constants, Fold
from moltler.plan.factoring import factor
from moltler.plan.joins import plan_feeds
from moltler.plan.kept import is_about, kept_keys, own_scans
from moltler.plan.keys import KeysOfScans, keys_read
from moltler.plan.limit import LimitPlan, check_numbers, nothing_wanted, plan_limit, sole_scan
from moltler.plan.pushdown import Pushed, equalities, is_null_supplied, push_down
from moltler.plan.rewrite import rewrite
from moltler.plan.scope import Block, Ref, Scan
from moltler.plan.text import DIALECT, read_select
from moltler.plan.through import passed_through


def plan_select(
    sql: SqlText,
    tables: Tables,
    variables: Variables,
    *,
    now: datetime,
    fold: Fold | None = None,
) -> QueryPlan:
    """Plan a SELECT.

    Args:
        sql: Its text.
        tables: What may stand in FROM.
        variables: What the text may name; their values are bound, never spliced.
        now: The statement's time.
        fold: Evaluates SQL without columns; without it such constants stay local.

    Raises:
        MoltlerError: SYN, CAT or PLN, with the place in the text.
    """
    bound = bind(read_select(sql), tables, variables, now=now)
    factor(bound)
    constants = Constants(bound.parameters, fold)
    check_numbers(bound, constants)
    warnings = (*bound.warnings, *_suspicious(bound, constants))
    pushed = push_down(bound, constants)
    _settle_filter_only(bound, pushed)
    pushed.empty.update(nothing_wanted(bound, constants))
    feeds = plan_feeds(bound, constants, pushed)
    limits: dict[Scan, tuple[Block, LimitPlan]] = {}
    for block in bound.blocks:
        scan, limit = sole_scan(block), plan_limit(bound, constants, pushed, block)
        if scan is not None and limit is not None:
            limits[scan] = (block, limit)
        elif block.node.args.get("limit") is not None:
            limits.update((s, (block, LimitPlan(rule="L1"))) for s in own_scans(block))
        for sorted_scan, key in kept_keys(bound, constants, block, limit):
            pushed.local.setdefault(sorted_scan, []).append(key)
    through, columns = passed_through(bound)
    keys = KeysOfScans.of(pushed)
    rewrite(bound, constants, pushed.conjuncts)
    requests = tuple(
        replace(
            _request(scan, pushed, limits.get(scan)),
            through=through.get(scan, frozenset()),
            keys_sql=keys.sql(scan, keys_read(scan, feeds)),
        )
        for scan in bound.scans
    )
    requests = tuple(_fed(r, feeds.get(s, ())) for r, s in zip(requests, bound.scans, strict=True))
    text = bound.text.tree.sql(DIALECT)
    return QueryPlan(text, dict(bound.parameters), requests, warnings, columns)


def plan_query(
    statement: ast.Query,
    tables: Tables,
    variables: Variables,
    *,
    now: datetime,
    fold: Fold | None = None,
) -> QueryPlan:
    """Plan the short form, whose conditions are read by SQL's rules.

    Raises:
        MoltlerError: As `plan_select`.
    """
    sql = short_form_sql(statement)
    try:
        return plan_select(sql, tables, variables, now=now, fold=fold)
    except MoltlerError as error:
        if sql.span.source is not statement.span.source:
            error.problems = tuple(replace(p, span=statement.span) for p in error.problems)
        raise


def short_form_sql(statement: ast.Query) -> SqlText:
    """Give QUERY as SELECT text whose places are those of the script where that can be.

    ``QUERY c.e WHERE …`` becomes ``FROM  c.e WHERE …``, letter under letter, unless its clauses
    stand in another order than SQL's; then the text is a source of its own.
    """
    span = statement.span
    parts: list[tuple[str, Span]] = []
    if statement.where is not None:
        parts.append(("WHERE", statement.where.span))
    if statement.order_by:
        keys = statement.order_by[0].span.to(statement.order_by[-1].span)
        parts.append(("ORDER BY", keys))
    if statement.limit is not None:
        parts.append(("LIMIT", statement.limit.span))
    first = _first_positional(statement)
    starts = [part.start for _, part in parts]
    is_in_order = starts == sorted(starts) and (
        not parts or statement.into is None or _ends_with_clause(span, parts[-1][1])
    )
    if is_in_order:
        end = parts[-1][1].end if parts else _end_of_name(statement)
        text = "FROM " + span.source.text[span.start + 5 : end]
        return SqlText(text=text, first_positional=first, span=Span(span.source, span.start, end))
    clauses = " ".join(f"{word} {part.text}" for word, part in parts)
    text = f'FROM "{statement.connector}"."{statement.entity}" {clauses}'
    source = replace(span.source, text=text)
    return SqlText(text=text, first_positional=first, span=Span(source, 0, len(text)))


def _ends_with_clause(span: Span, last: Span) -> bool:
    """Tell whether INTO stands behind the other clauses."""
    return "into" in span.source.text[last.end : span.end].lower()


def _end_of_name(statement: ast.Query) -> int:
    text, start = statement.span.source.text, statement.span.start + len("QUERY")
    for name in (statement.connector, statement.entity):
        start = text.index(name, start) + len(name)
    return start


def _first_positional(statement: ast.Query) -> int:
    found = [
        node.index
        for clause in (statement.where, statement.limit)
        if clause is not None
        for node in _nodes(clause)
        if isinstance(node, ast.Positional)
    ]
    return min(found, default=0)


def _nodes(value: object) -> Iterator[ast.Node]:
    if isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)
    elif isinstance(value, ast.Node):
        yield value
        for name in value.__dataclass_fields__:
            if name != "span":
                yield from _nodes(getattr(value, name))


# ── parts of the plan ────────────────────────────────────────────────────────────────────────────


def _request(scan: Scan, pushed: Pushed, limited: tuple[Block, LimitPlan] | None) -> ScanRequest:
    fields = scan.entity.fields
    visible = [p for p in fields if not p.filter_only]
    columns = tuple(p.name for p in visible if scan.needs_all or p.name in scan.needed)
    if not columns:
        # `count(*)` reads no field, and rows without any column cannot be counted.
        columns = tuple(p.name for p in sorted(visible, key=lambda p: not p.primary_key)[:1])
    where = pushed.where(scan)
    block, limit = limited or (None, LimitPlan())
    # Without a limit it only serves to tell how many rows were kept.
    is_checked = limit.limit is not None or (block is not None and is_about(scan, block, pushed))
    return ScanRequest(
        scan=scan.name,
        connector=scan.connector,
        entity=scan.entity,
        columns=columns,
        fields=None if scan.needs_all else columns,
        filters=equalities(scan, where) or {},
        where=where,
        order_by=limit.order_by,
        limit=limit.limit,
        limit_is_claimed=limit.is_claimed,
        check_sql=_check_sql(scan, block) if block and is_checked else None,
        is_empty=scan in pushed.empty,
        local=tuple(pushed.local.get(scan, ())),
        limit_rule=limit.rule,
    )


def _fed(request: ScanRequest, feeds: tuple[Feed, ...]) -> ScanRequest:
    """Give the request of a scan that is called with keys; several calls take no limit (L5)."""
    if not feeds:
        return request
    rule = request.limit_rule if request.limit is None else "L5"
    return replace(request, feeds=feeds, limit=None, limit_is_claimed=False, limit_rule=rule)


def _check_sql(scan: Scan, block: Block) -> str | None:
    where = block.node.args.get("where")
    if where is None:
        return None
    count = exp.Select(expressions=[exp.Count(this=exp.Star())])
    count.set("from_", exp.From(this=scan.node.copy()))
    count.set("where", where.copy())
    return count.sql(DIALECT)


def _settle_filter_only(bound: Bound, pushed: Pushed) -> None:
    """Find the conjuncts that count as TRUE, and refuse other uses of search terms.

    Raises:
        PlanError: PLN009.
    """
    allowed: set[int] = set()
    for conjunct in pushed.conjuncts:
        if _is_search(conjunct):
            conjunct.is_filter_only = True
            allowed.update(conjunct.leaves)
    for node, ref in bound.refs.items():
        declared = ref.output.property
        if declared is None or not declared.filter_only or node in allowed:
            continue
        raise error_class("PLN009")(
            "PLN009",
            f"`{declared.name}` is a search term of `{ref.source.alias}`, not a column",
            hint=f"use it as a condition of its own: WHERE {declared.name} = 'text' AND …",
            span=bound.spans.get(node),
        )


def _is_search(conjunct: Conjunct) -> bool:
    refs = list(conjunct.leaves.values())
    is_about_terms = bool(refs) and all(
        ref.output.property is not None and ref.output.property.filter_only for ref in refs
    )
    source, join = conjunct.source, conjunct.join
    if not is_about_terms or not conjunct.pushed or source is None:
        return False
    # Counted as TRUE it would keep rows of NULLs, for which the handler was never asked.
    is_own = join is not None and join.source is source
    return is_own or not is_null_supplied(conjunct.block, source, join)


def _suspicious(bound: Bound, constants: Constants) -> Iterator[Warning]:
    """Find comparisons that cannot mean what they say."""
    for node in bound.text.tree.find_all(*COMPARISONS):
        left, right = bound.ref(node.this), bound.ref(node.expression)
        if left is not None and right is not None and _is_same(left, right):
            place = bound.span(node.this)
            yield Warning(
                "self_comparison",
                f"`{place.text}` is compared with itself; a variable of that name is written "
                f"`@{place.text.rsplit('.', 1)[-1]}`",
                f"line {place.line}",
            )
        for side in (node.this, node.expression):
            if isinstance(side, exp.Null | exp.Placeholder):
                constant = constants.of(side)
                if constant is not None and constant.value is None:
                    place = bound.span(node)
                    yield Warning(
                        "null_comparison",
                        "a comparison with NULL is never true; use IS NULL",
                        f"line {place.line}",
                    )
                    break


def _is_same(left: Ref, right: Ref) -> bool:
    return (left.source, left.output, left.path) == (right.source, right.output, right.path)
