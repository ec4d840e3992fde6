"""Processes killed before each statement of a transaction (SYNC.md: K3 to K8), or stopped (K11)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

import pytest

from moltler.errors import MoltlerError
from moltler.flow.sync import Lease
from sync.destinations.conftest import Place
from sync.destinations.dying import (
    ACTS,
    BEFORE,
    LOADED,
    MERGED,
    Victims,
    kept_state,
    run_on,
    table_of,
)
from sync.destinations.making import Run

Seen = tuple[Sequence[object], float | None, int]
"""Visible rows, watermark, and rows set aside."""


def _prepare(place: Place, act: str, table: str) -> tuple[Seen, Seen]:
    """Make a target; give what is seen of it before the act and after it."""
    run = run_on(place.destination, table, "owner")
    run.load(*BEFORE)
    before: Seen = (BEFORE, _watermark(place, table), 0)
    if act == "roll_back":
        run.load(*LOADED)
        after, before = before, (LOADED, _watermark(place, table), 0)
    elif act == "load":
        after = (LOADED, 5, 0)
    else:
        after = (MERGED, 2.5, 1)
    run.claim(is_dead=lambda _: True)
    run.release()
    place.destination.close()
    return before, after


def _watermark(place: Place, table: str) -> float | None:
    state = kept_state(place.destination, table)
    return None if state is None else state.watermark  # type: ignore[return-value] # a number here


def _seen(place: Place, table: str) -> Seen:
    rows = place.rows(table)
    ((aside,),) = place.sql(f"SELECT count(*) FROM _quarantine WHERE target = '{table}'")
    watermark = _watermark(place, table)
    place.destination.close()
    return rows, watermark, int(str(aside))


@pytest.mark.parametrize("act", ["merge", "load", "roll_back"])
def test_killed_before_any_statement_the_destination_is_as_before_or_as_after(
    place: Place, victims: Victims, act: str
) -> None:
    """Rows, watermark and rows set aside go together, and a rerun gives what no kill gives."""
    before, after = _prepare(place, act, "items_0")
    count = victims.count(act, "items_0")
    assert _seen(place, "items_0") == after
    for number in _points(count):
        table = table_of(number)
        before, after = _prepare(place, act, table)
        assert victims.die(act, table, number) == "killed"
        found = _seen(place, table)
        assert found == (after if number == count else before), f"before statement {number}"
        if act != "roll_back" or found == before:
            survivor = run_on(place.destination, table, "survivor")
            survivor.claim(is_dead=lambda _: True)
            ACTS[act](survivor)
        assert _seen(place, table) == after, f"rerun after a kill before statement {number}"


def _points(count: int) -> list[int]:
    """Give the statements to die before: the last ones and a spread of the others, or all."""
    if os.environ.get("MOLTLER_EVERY_KILL"):
        return list(range(1, count + 1))
    return [count // 2, count * 3 // 4, count - 1, count]


def test_what_a_killed_process_staged_is_gone(place: Place, victims: Victims) -> None:
    _prepare(place, "merge", "items_0")
    tables = "SELECT count(*) FROM information_schema.tables"
    count = place.sql(tables)
    for at in (12, 16, 20, 24):
        assert victims.die("merge", "items_0", at) == "killed"
    assert place.sql(tables) == count


def test_a_run_that_stood_still_for_longer_than_its_lease_cannot_commit(
    place: Place, victims: Victims
) -> None:
    """Stopped between its claim and its first batch, so that it holds no file."""
    _prepare(place, "merge", "items_0")
    victims.stand_still("merge", "items_0", at=0, ttl_s=0.5)
    place.pass_time(400 * 86_400)  # by the test's clock, which the victim does not have
    other = run_on(place.open_again(), "items_0", "other")
    _wait_for(lambda: _claimed(other))
    other.merge(("z", "Zoe", 9))
    assert "SNC004" in victims.go_on()
    assert place.rows("items_0") == [*BEFORE, ("z", "Zoe", 9)]


def test_a_run_that_stood_still_in_a_transaction_keeps_nobody_waiting(
    postgres: Place,
) -> None:
    """PostgreSQL: the session of a lost lease is ended, for it holds locks."""
    victims = postgres.victims()
    try:
        _prepare(postgres, "merge", "items_0")
        victims.stand_still("merge", "items_0", at=12, ttl_s=0.5)
        other = run_on(postgres.open_again(), "items_0", "other")
        _wait_for(lambda: _claimed(other))
        other.merge(("z", "Zoe", 9))
        assert victims.go_on().startswith("SNC006 SNC004")
    finally:
        victims.close()
    assert postgres.rows("items_0") == [*BEFORE, ("z", "Zoe", 9)]


def test_a_file_held_by_a_process_that_stands_still_is_named(duck: Place) -> None:
    """DuckDB: nobody can take a file away, so the message says who has it."""
    victims = duck.victims()
    try:
        _prepare(duck, "merge", "items_0")
        stopped = victims.stand_still("merge", "items_0", at=8, ttl_s=0.5)
        other = run_on(duck.open_again(), "items_0", "other")
        with pytest.raises(MoltlerError, match=f"process {stopped}") as caught:
            other.claim()
        assert caught.value.code == "SNC006"
        assert victims.go_on().startswith("done")
    finally:
        victims.close()
    assert duck.rows("items_0") == MERGED
    assert os.getpid() != stopped


def _claimed(run: Run) -> bool:
    claim = run.writer.claim(run.scope, run.owner, ttl_s=60, is_dead=lambda _: False)
    if isinstance(claim, Lease):
        run.lease = claim
        return True
    return False


def _wait_for(is_done: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(400):
        if is_done():
            return
        pause.wait(0.05)
    raise AssertionError("it never happened")
