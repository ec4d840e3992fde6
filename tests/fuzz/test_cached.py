"""Rows kept from scans like those of a query give its rows; a rule that is off is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from fuzz.compare import Difference, Tally, run_seed
from fuzz.engine import EngineRun
from fuzz.test_differential import COUNT, FIRST
from fuzz.world import World
from moltler.exec import cache
from moltler.flow.scan import ScanRequest

CHUNK = 50
CACHED = max(COUNT // 10, 1)
SABOTAGE = 300
"""Queries within which a switched-off rule must be noticed."""


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineRun]:
    run = EngineRun()
    yield run
    run.close()


@pytest.mark.parametrize("start", range(FIRST, FIRST + CACHED, CHUNK))
def test_kept_rows_give_the_rows_of_plain_tables(start: int, engine: EngineRun) -> None:
    tally = Tally()
    worlds: dict[int, World] = {}
    before = engine.hits
    for seed in range(start, min(start + CHUNK, FIRST + CACHED)):
        run_seed(seed, engine.run_cached, tally, worlds=worlds, fold=engine.fold)
    assert engine.hits - before >= tally.compared // 2


def _both(change: Callable[[ScanRequest], ScanRequest]) -> Callable[..., bool]:
    return lambda kept, wanted: _ANSWERS(change(kept), change(wanted))


def _without_conditions(request: ScanRequest) -> ScanRequest:
    return replace(request, where=(), filters={})


def _without_limit(request: ScanRequest) -> ScanRequest:
    return replace(request, limit=None)


def _without_order(request: ScanRequest) -> ScanRequest:
    return replace(request, order_by=())


_ANSWERS = cache.answers
_RULES: dict[str, tuple[str, int, Callable[..., bool]]] = {
    "conditions of the kept scan": ("any", 0, _both(_without_conditions)),
    "its limit": ("page", 0, _both(_without_limit)),
    # Few queries have a claimed order and enough rows: begin near one.
    "its order": ("page", 600, _both(_without_order)),
}
"""The kind of query, and the first seed."""


@pytest.mark.parametrize("rule", _RULES)
def test_a_rule_of_the_cache_that_is_switched_off_is_noticed(
    rule: str, engine: EngineRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, first, replacement = _RULES[rule]
    monkeypatch.setattr(cache, "answers", replacement)
    worlds: dict[int, World] = {}

    def run() -> None:
        for seed in range(first, first + SABOTAGE):
            run_seed(seed, engine.run_cached, Tally(), worlds=worlds, fold=engine.fold, shape=shape)

    with pytest.raises(Difference):
        run()
