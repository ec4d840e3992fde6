"""Random queries give the rows that plain tables give, whatever handlers do with hints.

    MOLTLER_FUZZ=5000 MOLTLER_FUZZ_SEED=100000 pytest tests/fuzz

The first sets how many queries are compared (2,000), the second the first seed (0). A failure
prints its seed; ``MOLTLER_FUZZ=1 MOLTLER_FUZZ_SEED=<seed>`` repeats it alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from fuzz import direct
from fuzz.compare import Difference, Tally, run_seed
from fuzz.engine import EngineRun
from fuzz.world import World
from moltler.plan import limit, planner, pushdown, rewrite
from moltler.plan.scope import Block, JoinStep, Scan, Source

COUNT = int(os.environ.get("MOLTLER_FUZZ", "2000"))
FIRST = int(os.environ.get("MOLTLER_FUZZ_SEED", "0"))
CHUNK = 50
SABOTAGE = 400
"""Queries within which a switched-off rule must be noticed."""


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineRun]:
    run = EngineRun()
    yield run
    run.close()


@pytest.mark.parametrize("start", range(FIRST, FIRST + COUNT, CHUNK))
def test_random_queries_give_the_rows_of_plain_tables(start: int, engine: EngineRun) -> None:
    tally = Tally()
    worlds: dict[int, World] = {}
    for seed in range(start, min(start + CHUNK, FIRST + COUNT)):
        run_seed(seed, engine.run, tally, worlds=worlds, fold=engine.fold)
    assert tally.compared >= tally.refused


def test_the_fuzz_sees_many_kinds_of_plans() -> None:
    tally = Tally()
    worlds: dict[int, World] = {}
    for seed in range(100):
        run_seed(seed, direct.run_directly, tally, worlds=worlds)
    assert tally.compared >= 90
    assert tally.rows >= 200
    assert tally.told >= 100
    assert tally.limits >= 5


# ── sabotage: a rule that is switched off must turn the fuzz red ─────────────────────────────────


def _always(*_: object, **__: object) -> bool:
    return True


def _never(*_: object) -> bool:
    return False


def _only_from_where(block: Block, source: Source, before: JoinStep | None = None) -> bool:
    return False if before is not None else _IS_NULL_SUPPLIED(block, source)


def _full_like_inner(join: JoinStep, source: Source) -> bool:
    return join.side == "FULL" or _MAY_PUSH_FROM_ON(join, source)


def _first_scan(block: Block) -> Scan | None:
    return next((s.scan for s in block.sources if s.scan is not None), None)


def _nothing(*_: object, **__: object) -> None:
    return None


_IS_NULL_SUPPLIED = pushdown.is_null_supplied
_MAY_PUSH_FROM_ON = pushdown.may_push_from_on
_RULES: dict[str, tuple[str, list[tuple[object, str, Callable[..., object]]]]] = {
    "P1, conditions that ask for NULL": ("join", [(pushdown, "rejects_null", _always)]),
    "P1, null-supplied tables": ("join", [(pushdown, "is_null_supplied", _never)]),
    "P2 and P3, sides of ON": ("join", [(pushdown, "may_push_from_on", _always)]),
    "P3, earlier outer joins": ("chain", [(pushdown, "is_null_supplied", _only_from_where)]),
    "P3, commas": ("chain", [(pushdown, "is_behind_comma", _never)]),
    "P4, FULL JOIN": ("join", [(pushdown, "may_push_from_on", _full_like_inner)]),
    "P5, LIMIT, windows, DISTINCT ON": ("derived", [(pushdown, "is_barrier", _never)]),
    "P5, keys of GROUP BY": ("derived", [(pushdown, "is_key", _always)]),
    "P5, set operations": ("derived", [(pushdown, "lets_through", _always)]),
    "L1, rows from rows": ("page", [(limit, "is_row_by_row", _always)]),
    "L1, one table": (
        "join",
        [(limit, "sole_scan", _first_scan), (planner, "sole_scan", _first_scan)],
    ),
    "L2, conditions": (
        "page",
        [(limit, "all_handed_over", _always), (direct, "is_believed", _always)],
    ),
    "L4, order": ("page", [(limit, "keeps_order", _always)]),
    "the second call": ("page", [(direct, "is_believed", _always)]),
    "index base": ("any", [(rewrite, "shift_index", _nothing)]),
}


@pytest.mark.parametrize("rule", _RULES)
def test_a_rule_that_is_switched_off_is_noticed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, changes = _RULES[rule]
    for module, name, replacement in changes:
        monkeypatch.setattr(module, name, replacement)
    worlds: dict[int, World] = {}

    def run() -> None:
        for seed in range(SABOTAGE):
            run_seed(
                seed, direct.run_directly, Tally(), worlds=worlds, fold=direct.fold, shape=shape
            )

    with pytest.raises(Difference):
        run()
