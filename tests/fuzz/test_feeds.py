"""Dependent joins give the rows of plain joins; a rule that is switched off is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import pytest

from exec import test_feeding as traps
from exec.conftest import Bench
from fuzz import direct
from fuzz.compare import Difference, Tally, run_seed
from fuzz.engine import EngineRun
from fuzz.test_differential import COUNT, FIRST
from fuzz.world import World
from moltler.exec import calls, feeding
from moltler.exec.duck import Engine
from moltler.flow.predicate import Scalar
from moltler.plan import edges, pushdown
from moltler.schema import TypeName
from plan import test_joins as planned

JOINS = max(COUNT // 10, 1)
SABOTAGE = 700
"""Queries within which a switched-off rule must be noticed."""


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineRun]:
    run = EngineRun()
    yield run
    run.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    engine = Engine()
    yield Bench(engine)
    engine.close()


def _run(engine: EngineRun, count: int, first: int = FIRST) -> Tally:
    tally = Tally()
    worlds: dict[int, World] = {}
    for seed in range(first, first + count):
        run_seed(seed, engine.run, tally, worlds=worlds, fold=engine.fold, shape="feed")
    return tally


def test_joins_that_feed_keys_give_the_rows_of_plain_tables(engine: EngineRun) -> None:
    tally = _run(engine, JOINS)
    assert tally.fed * 5 >= tally.compared


def test_so_they_do_where_keys_are_many_for_the_limits(
    engine: EngineRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With so few keys allowed, lists are cut and drivers are given up in the middle.
    monkeypatch.setattr(feeding, "KEYS_PER_CALL", 2)
    _run(engine, JOINS)
    monkeypatch.setattr(feeding, "MOST_KEYS", 3)
    _run_optional(engine, JOINS)


def _run_optional(engine: EngineRun, count: int) -> None:
    worlds: dict[int, World] = {}
    for seed in range(FIRST, FIRST + count):
        try:
            run_seed(seed, engine.run, Tally(), worlds=worlds, fold=engine.fold, shape="feed")
        except Difference as difference:
            if "PLN010" not in difference.what:  # a required field
                raise


# ── sabotage ─────────────────────────────────────────────────────────────────────────────────────


def _always(*_: object) -> bool:
    return True


def _all_but_the_last(values: Sequence[Scalar], size: int) -> list[Sequence[Scalar]]:
    return _CHUNKS(values, size)[:-1]


def _rounded(value: object, type_: TypeName) -> Scalar:
    match type_, value:
        case "number", int():
            return float(value)
        case "integer", float():
            return int(value)
        case "date", datetime():
            return value.date()
        case _:
            return _TYPED(value, type_)


_CHUNKS = feeding.chunks
_TYPED = feeding.typed_key
_PLANNED: dict[str, list[tuple[object, str, Callable[..., object]]]] = {
    "the null-extended side of an outer join drives": [
        (edges, "may_feed", _always),
        (pushdown, "may_push_from_on", _always),
    ],
    "keys go through LIMIT": [(pushdown, "is_barrier", lambda _: False)],
}
_RUN: dict[str, tuple[object, str, Callable[..., object]]] = {
    "a chunk of keys is dropped": (feeding, "chunks", _all_but_the_last),
}


@pytest.mark.parametrize("rule", _PLANNED)
def test_a_rule_of_the_planner_that_is_switched_off_is_noticed(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, replacement in _PLANNED[rule]:
        monkeypatch.setattr(module, name, replacement)
    worlds: dict[int, World] = {}

    def run() -> None:
        for seed in range(SABOTAGE):
            run_seed(
                seed, direct.run_directly, Tally(), worlds=worlds, fold=direct.fold, shape="feed"
            )

    with pytest.raises(Difference):
        run()


@pytest.mark.parametrize("rule", _RUN)
def test_a_rule_of_the_executor_that_is_switched_off_is_noticed(
    rule: str, engine: EngineRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name, replacement = _RUN[rule]
    monkeypatch.setattr(module, name, replacement)
    with pytest.raises(Difference):
        _run(engine, SABOTAGE, 0)


def test_null_keys_that_are_sent_are_noticed_by_their_trap(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "without_null", tuple)
    with pytest.raises(AssertionError):
        traps.test_dependent_join_null_keys(bench)


def test_aggregates_in_exists_that_feed_are_noticed_by_their_trap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(edges, "is_empty_without_rows", _always)
    sql = (
        "SELECT 1 FROM t.users u WHERE EXISTS "
        "(SELECT count(*) FROM t.issues i WHERE i.author = u.id AND i.status = 'a')"
    )
    with pytest.raises(AssertionError):
        planned.test_the_filtered_side_of_a_join_feeds_the_other(sql, {})


def test_keys_that_are_rounded_are_noticed_by_their_trap(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "typed_key", _rounded)
    with pytest.raises(AssertionError):
        traps.test_keys_are_typed_to_the_fed_column_or_stay(
            bench, "number", [2.0**53, 2.0], "integer", [2**53 + 1, 2], None
        )


def test_rows_of_other_calls_that_are_kept_are_noticed_by_their_trap(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls.KeyedCall, "own", lambda _, page: page)
    with pytest.raises(AssertionError):
        traps.test_what_belongs_to_another_call_is_left_out(bench)
