"""Sort keys that only the engine applies, for EXPLAIN to tell."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from moltler.flow.scan import LocalConjunct
from moltler.plan.bound import Bound
from moltler.plan.conjunct import shown_text
from moltler.plan.constant import Constants
from moltler.plan.limit import LimitPlan, is_row_by_row, order_keys, ordered_by, sole_scan
from moltler.plan.pushdown import Pushed
from moltler.plan.scope import Block, Scan

NOT_A_FIELD = "key"
"""The rule of a sort key that is no plain field."""
BESIDE_OTHERS = "keys"
"""The rule of a plain key beside one that is not."""


def own_scans(block: Block) -> Iterator[Scan]:
    """Give the scans that stand in a block's own FROM."""
    for source in block.sources:
        if source.scan is not None:
            yield source.scan


def is_about(scan: Scan, block: Block, pushed: Pushed) -> bool:
    """Tell whether the WHERE of a block is about the rows of one scan and nothing else."""
    return sole_scan(block) is scan and all(
        c.source is not None or c.constant is not None for c in pushed.of(block)
    )


def kept_keys(
    bound: Bound, constants: Constants, block: Block, plan: LimitPlan | None
) -> Iterator[tuple[Scan, LocalConjunct]]:
    """Give the keys of a block's ORDER BY that no handler is told, each with its scan.

    Args:
        bound: The tree.
        constants: Its values.
        block: One SELECT.
        plan: What is told about order and limit; ``None`` if it reads not just one scan.
    """
    order = block.node.args.get("order")
    if order is None or (plan is not None and plan.order_by):
        return
    for key in order.expressions:
        scan = _scan_of(bound, block, key)
        if scan is not None:
            yield (
                scan,
                LocalConjunct(f"ORDER BY {shown_text(key, constants)}", _rule(bound, block, key)),
            )


def _rule(bound: Bound, block: Block, key: exp.Expr) -> str:
    if sole_scan(block) is None or not is_row_by_row(block):
        return "L1"
    return NOT_A_FIELD if order_keys(bound, block, key) is None else BESIDE_OTHERS


def _scan_of(bound: Bound, block: Block, key: exp.Expr) -> Scan | None:
    """Give the one scan that a key is about."""
    scan = sole_scan(block)
    if scan is not None:
        return scan
    ref = ordered_by(bound, block, key.this) if isinstance(key, exp.Ordered) else None
    refs = [ref] if ref is not None else [r for n in key.walk() if (r := bound.ref(n)) is not None]
    found = {id(r.source.scan): r.source.scan for r in refs}
    return next(iter(found.values())) if len(found) == 1 else None
