"""Requests are counted for a credential and host, by every process of a home."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moltler.catalog.budget import BudgetFile
from moltler.errors import LookupFailed
from moltler.flow.budget import Account, Pace, Standing
from moltler.secret import Secret
from support.catalog_workers import take_turns
from support.clock import HandClock

KEY = b"k" * 32
CONTEXT = multiprocessing.get_context("spawn")
SHOP = Account((Secret("api_key", "value-1"),), "api.shop.test")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def budget(home: Path, clock: HandClock) -> Iterator[BudgetFile]:
    file = BudgetFile(home, lambda: KEY, clock)
    yield file
    file.close()


def test_nothing_is_made_before_the_first_request_is_counted(
    home: Path, budget: BudgetFile
) -> None:
    assert budget.look(SHOP) == Standing()
    budget.forgive(SHOP.secrets)
    assert not home.exists()


@pytest.mark.parametrize(
    ("per_s", "burst", "arrivals", "waits"),
    [
        (2, 1, [0, 0, 0], [0, 0.5, 1.0]),
        (2, 3, [0, 0, 0, 0, 0], [0, 0, 0, 0.5, 1.0]),
        (2, 1, [0, 0.5, 1.0], [0, 0, 0]),
        (2, 1, [0, 0.25], [0, 0.25]),
        (2, 3, [0, 0, 0, 10, 10, 10, 10], [0, 0, 0, 0, 0, 0, 0.5]),
        (0.5, 1, [0, 0], [0, 2]),
    ],
)
def test_turns_come_at_the_rate_after_the_burst(
    budget: BudgetFile,
    clock: HandClock,
    per_s: float,
    burst: int,
    arrivals: list[float],
    waits: list[float],
) -> None:
    found: list[float] = []
    for moment, next_moment in itertools.pairwise([*arrivals, arrivals[-1]]):
        start = budget.take(SHOP, Pace(per_s, burst)).start
        found.append(round(max(start - clock.now().timestamp(), 0), 6))
        clock.advance(next_moment - moment)
    assert found == waits


@settings(max_examples=30, deadline=None)
@given(
    per_s=st.sampled_from([1.0, 7.0, 100.0, 1000.0]),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 8), st.floats(0, 2)), min_size=1),
)
def test_no_stretch_of_time_holds_more_than_burst_and_rate_allow(
    tmp_path_factory: pytest.TempPathFactory,
    per_s: float,
    burst: int,
    steps: list[tuple[int, int, float]],
) -> None:
    clock, home = HandClock(), tmp_path_factory.mktemp("home")
    files = [BudgetFile(home, lambda: KEY, clock) for _ in range(2)]
    times: list[float] = []
    for file, count, pause in steps:
        taken = files[file].take(SHOP, Pace(per_s, burst), min(count, burst))
        now = clock.now().timestamp()
        times += [max(taken.start + i * taken.interval_s, now) for i in range(taken.count)]
        clock.advance(pause)
    times.sort()
    for first, last in itertools.combinations(range(len(times)), 2):
        allowed = burst + (times[last] - times[first]) * per_s
        assert last - first + 1 <= allowed + 1e-3
    for file in files:
        file.close()


def test_turns_of_processes_are_one_row(home: Path) -> None:
    start = CONTEXT.Barrier(3)
    found: multiprocessing.Queue[list[float]] = CONTEXT.Queue()
    workers = [CONTEXT.Process(target=take_turns, args=(home, start, found)) for _ in range(3)]
    for worker in workers:
        worker.start()
    turns = sorted(t for _ in workers for t in found.get(timeout=60))
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0]
    assert len(turns) == 60
    assert min(b - a for a, b in itertools.pairwise(turns)) >= 9.99


def test_accounts_are_told_apart_by_the_value_of_the_key_and_the_host(
    budget: BudgetFile, clock: HandClock
) -> None:
    now, pace = clock.now().timestamp(), Pace(1)
    same = Account((Secret("token", "value-1"),), "api.shop.test")
    starts = [budget.take(a, pace).start for a in (SHOP, same)]
    assert starts == [pytest.approx(now), pytest.approx(now + 1)]
    others = [
        Account((Secret("api_key", "value-2"),), "api.shop.test"),
        Account(SHOP.secrets, "files.shop.test"),
        Account((), "api.shop.test"),
    ]
    assert [budget.take(a, pace).start for a in others] == [pytest.approx(now)] * 3


def test_turns_that_nobody_used_are_free_again_unless_others_came_after(
    budget: BudgetFile, clock: HandClock
) -> None:
    pace, now = Pace(0.1), clock.now().timestamp()
    budget.take(SHOP, pace)
    unused = budget.take(SHOP, pace)
    budget.give_back(SHOP, unused)
    assert budget.take(SHOP, pace).start == pytest.approx(now + 10)
    overtaken = budget.take(SHOP, pace)
    budget.take(SHOP, pace)
    budget.give_back(SHOP, overtaken)
    assert budget.take(SHOP, pace).start == pytest.approx(now + 40)


def test_a_pause_is_known_to_all_until_it_is_over(
    home: Path, budget: BudgetFile, clock: HandClock
) -> None:
    until = clock.now().timestamp() + 60
    budget.report(SHOP, "", until)
    budget.report(SHOP, "", until - 30)
    budget.report(SHOP, "/search", until - 30)
    other = BudgetFile(home, lambda: KEY, clock)
    assert other.look(SHOP).pauses == {"": until, "/search": until - 30}
    assert other.look(Account((), "api.shop.test")).pauses == {}
    clock.advance(45)
    assert other.look(SHOP).pauses == {"": until}
    clock.advance(45)
    assert other.look(SHOP).pauses == {}
    other.close()


def test_pauses_are_forgotten_when_somebody_asks_for_it(
    budget: BudgetFile, clock: HandClock
) -> None:
    budget.report(SHOP, "", clock.now().timestamp() + 3600)
    budget.forgive((Secret("api_key", "value-2"),))
    assert budget.look(SHOP).pauses
    budget.forgive(SHOP.secrets)
    assert budget.look(SHOP).pauses == {}


def test_a_clock_that_is_put_back_makes_nobody_wait_longer(
    budget: BudgetFile, clock: HandClock
) -> None:
    pace = Pace(0.1)
    budget.take(SHOP, pace)
    budget.report(SHOP, "", clock.now().timestamp() + 60)
    clock.advance(-86_400)
    now = clock.now().timestamp()
    assert budget.look(SHOP).pauses[""] == pytest.approx(now + 60)
    assert budget.take(SHOP, pace).start == pytest.approx(now + 10)


def test_what_has_been_over_for_long_is_removed(budget: BudgetFile, clock: HandClock) -> None:
    budget.take(SHOP, Pace(1))
    budget.report(SHOP, "", clock.now().timestamp() + 1)
    clock.advance(2 * 86_400)
    budget.report(Account((), "b"), "", clock.now().timestamp() + 1)
    assert budget.standings(SHOP.secrets) == {}
    clock.advance(-2 * 86_400)
    assert budget.standings(SHOP.secrets) == {}


def test_the_file_holds_no_secret(home: Path, budget: BudgetFile, clock: HandClock) -> None:
    budget.take(SHOP, Pace(1))
    budget.report(SHOP, "", clock.now().timestamp() + 1)
    budget.close()
    assert b"value-1" not in (home / "budget.db").read_bytes()
    assert (home / "budget.db").stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_is_told_and_not_changed(home: Path, budget: BudgetFile) -> None:
    home.mkdir()
    (home / "budget.db").write_bytes(b"not a database, though it is long enough to be one" * 50)
    with pytest.raises(LookupFailed) as caught:
        budget.take(SHOP, Pace(1))
    assert caught.value.code == "CAT010"
    assert (home / "budget.db").read_bytes().startswith(b"not a database")
