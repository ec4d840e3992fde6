"""When a LIMIT may be handed to a handler, and which order it is told (rules L1 to L6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from sqlglot import exp

from moltler.errors import error_class
from moltler.flow.predicate import OrderKey
from moltler.plan.bound import Bound
from moltler.plan.condition import is_claimed
from moltler.plan.conjunct import own_nodes
from moltler.plan.constant import Constants
from moltler.plan.pushdown import Pushed
from moltler.plan.scope import Block, Ref, Scan
from moltler.schema import SCALARS

MOST_UNCLAIMED = 10_000
"""Rows that are held back until a limit is believed (L6)."""
_ONE_ROW_EACH = {
    # Functions known to give one value for each row; any other may aggregate or multiply rows.
    "length", "upper", "lower", "trim", "ltrim", "rtrim", "substr", "substring", "replace",
    "instr", "lpad", "rpad", "split", "reverse", "starts_with", "ends_with", "regexp_matches",
    "regexp_replace", "regexp_extract", "abs", "ceil", "floor", "round", "trunc", "sign", "mod",
    "power", "pow", "sqrt", "ln", "log", "exp", "greatest", "least", "now", "date_trunc",
    "date_diff", "datediff", "year", "month", "day", "hour", "epoch_ms", "coalesce", "nullif",
    "ifnull", "concat", "concat_ws", "contains", "left", "right", "typeof", "if",
    "array_length", "array_contains", "array_append", "array_prepend", "array_remove",
    "array_distinct", "array_join", "array_reverse", "array_sort", "array_flatten",
    "array_slice", "list_contains", "list_value", "len", "strftime", "strptime", "date_part",
    "extract", "md5", "sha256", "printf", "format", "to_json", "struct_pack", "env",
}  # fmt: skip
_ONE_ROW_NODES = (
    exp.Cast, exp.TryCast, exp.Case, exp.If, exp.Coalesce, exp.RegexpLike, exp.RegexpILike,
    exp.TimestampTrunc, exp.DateTrunc, exp.Length, exp.StrPosition, exp.Substring, exp.Extract,
    exp.Array, exp.Struct, exp.DPipe, exp.Concat, exp.DateDiff, exp.Split, exp.Between,
    exp.ArrayContains, exp.ArraySize, exp.Ceil, exp.Floor, exp.Pow, exp.Ln, exp.Log, exp.Lower,
    exp.Upper, exp.Trim, exp.Year, exp.Month, exp.Day, exp.Hour, exp.TimestampDiff,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LimitPlan:
    """What becomes of the LIMIT and ORDER BY of one SELECT with a single scan."""

    order_by: tuple[OrderKey, ...] = ()
    limit: int | None = None
    is_claimed: bool = False
    rule: str | None = None
    """What forbids to hand over a LIMIT there is."""


def number(bound: Bound, constants: Constants, node: exp.Expr, clause: str) -> int | None:
    """Give the number of a LIMIT or OFFSET, or ``None`` if only the engine can find it.

    Raises:
        PlanError: PLN007, it is known and not a non-negative integer.
    """
    constant = constants.of(node)
    if constant is None:
        return None
    value = constant.value
    if isinstance(value, float | Decimal) and value == value.__trunc__():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise error_class("PLN007")(
        "PLN007",
        f"{clause} must be a whole number of 0 or more, and is `{_shown(value)}`",
        hint=f"write {clause} with an integer",
        span=bound.span(node),
    )


def _shown(value: object) -> str:
    return "NULL" if value is None else str(value)


def check_numbers(bound: Bound, constants: Constants) -> None:
    """Refuse any LIMIT or OFFSET whose value is known to be wrong.

    Raises:
        PlanError: PLN007.
    """
    for node in bound.text.tree.find_all(exp.Limit, exp.Offset):
        if not _is_share(node):
            clause = "LIMIT" if isinstance(node, exp.Limit) else "OFFSET"
            number(bound, constants, node.expression, clause)


def _is_share(node: exp.Expr) -> bool:
    """Tell whether a LIMIT is a percentage or counts ties."""
    return node.args.get("limit_options") is not None


def nothing_wanted(bound: Bound, constants: Constants) -> Iterator[Scan]:
    """Give the scans that stand below a LIMIT 0."""
    zero: set[int] = set()
    for node in bound.text.tree.find_all(exp.Limit):
        is_plain = isinstance(node.parent, exp.Query) and not _is_share(node)
        constant = constants.of(node.expression) if is_plain else None
        if constant is not None and constant.value == 0:
            zero.add(id(node.parent))
    for scan in bound.scans if zero else ():
        above: exp.Expr | None = scan.node
        while above is not None:
            if id(above) in zero:
                yield scan
                break
            above = above.parent


def plan_limit(
    bound: Bound, constants: Constants, pushed: Pushed, block: Block
) -> LimitPlan | None:
    """Decide over the LIMIT and ORDER BY of a SELECT; ``None`` if it does not read one scan only.

    The LIMIT is handed over if leaving out what follows it cannot change the answer, given that
    the engine counts what survives the local check and asks again if that is too little.
    """
    limit = block.node.args.get("limit")
    scan = sole_scan(block)
    if scan is None:
        return None
    if not is_row_by_row(block):
        return LimitPlan(rule="L1" if limit is not None else None)
    keys = order_keys(bound, block)
    plan = LimitPlan(order_by=keys or ())
    if limit is None:
        return plan
    wanted = _wanted(bound, constants, block)
    claims = scan.entity.pushdown
    conjuncts = [c for c in pushed.of(block) if c.constant is None]
    is_exact = (
        claims.limit
        and all(is_claimed(p, claims) for c in conjuncts for _, p in c.pushed)
        and all(c.pushed for c in conjuncts)
    )
    if not all_handed_over(pushed, block):
        rule = "L2"
    elif wanted is None:
        rule = "L3"
    elif not keeps_order(keys, scan):
        rule = "L4"
    elif wanted > MOST_UNCLAIMED and not is_exact:
        rule = "L6"
    else:
        return LimitPlan(plan.order_by, wanted, is_exact)
    return LimitPlan(plan.order_by, rule=rule)


def _wanted(bound: Bound, constants: Constants, block: Block) -> int | None:
    total = 0
    for key, clause in (("limit", "LIMIT"), ("offset", "OFFSET")):
        node = block.node.args.get(key)
        if node is None:
            continue
        if not isinstance(node, exp.Limit | exp.Offset) or _is_share(node):
            return None
        count = number(bound, constants, node.expression, clause)
        if count is None:
            return None
        total += count
    return total


def sole_scan(block: Block) -> Scan | None:
    """Give the scan of a SELECT that reads nothing else in its FROM (L1)."""
    if block.is_denied or block.joins or len(block.sources) != 1:
        return None
    return block.sources[0].scan


def is_row_by_row(block: Block) -> bool:
    """Tell whether each row of the source gives one row of the result, on its own (L1)."""
    node = block.node
    kinds = ("group", "having", "distinct", "qualify", "windows", "sample", "laterals", "connect")
    if any(node.args.get(kind) for kind in kinds):
        return False
    return all(
        _gives_one_row(part)
        for each in (*node.expressions, node.args.get("order"))
        for part in own_nodes(each)
    )


def _gives_one_row(node: exp.Expr) -> bool:
    if isinstance(node, exp.Window | exp.AggFunc | exp.UDTF | exp.AnonymousAggFunc | exp.Columns):
        return False
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower() in _ONE_ROW_EACH
    if isinstance(node, exp.Func) and not isinstance(node, _ONE_ROW_NODES):
        return any(name.lower() in _ONE_ROW_EACH for name in node.sql_names())
    return True


def all_handed_over(pushed: Pushed, block: Block) -> bool:
    """Tell whether the handler knows every condition of WHERE (L2)."""
    return all(
        c.pushed or (c.constant is not None and c.constant.value is True) for c in pushed.of(block)
    )


def keeps_order(keys: tuple[OrderKey, ...] | None, scan: Scan) -> bool:
    """Tell whether the handler vouches for the order asked for (L4).

    Args:
        keys: As `order_keys` gives them.
        scan: Its claims count.
    """
    claimed = scan.entity.pushdown.order_by
    return keys is not None and all(k.field in claimed and not k.nulls_first for k in keys)


def order_keys(
    bound: Bound, block: Block, only: exp.Expr | None = None
) -> tuple[OrderKey, ...] | None:
    """Give ORDER BY as fields of the scan, or ``None`` if a key is anything else.

    An empty tuple means that there is no ORDER BY.

    Args:
        bound: The tree.
        block: One SELECT.
        only: One key of it, to look at alone.
    """
    order = block.node.args.get("order")
    if order is None:
        return ()
    keys: list[OrderKey] = []
    for key in order.expressions if only is None else [only]:
        ref = ordered_by(bound, block, key.this) if isinstance(key, exp.Ordered) else None
        declared = ref.output.property if ref is not None else None
        if ref is None or ref.path or declared is None or declared.type.name not in SCALARS:
            return None
        if key.args.get("with_fill"):
            return None
        keys.append(
            OrderKey(declared.name, bool(key.args.get("desc")), bool(key.args.get("nulls_first")))
        )
    return tuple(keys)


def ordered_by(bound: Bound, block: Block, node: exp.Expr) -> Ref | None:
    """Give the column that a sort key means, by name, alias or position."""
    projections = block.node.expressions
    if isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit():
        if any(p.is_star for p in projections):
            return None
        position = int(node.this) - 1
        chosen = projections[position : position + 1]
        return bound.ref(chosen[0].unalias()) if chosen else None
    if isinstance(node, exp.Column) and not node.table:
        # SQL reads a bare name in ORDER BY as an alias first.
        named = [p for p in projections if p.alias.lower() == node.name.lower()]
        if named:
            return bound.ref(named[0].unalias()) if len(named) == 1 else None
    return bound.ref(node)
