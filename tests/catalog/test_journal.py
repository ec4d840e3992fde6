from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moltler.catalog.journal import ActionRecord, Journal, LastCall
from moltler.catalog.owner import life_of, this_process
from moltler.errors import LookupFailed
from support.catalog_workers import journal_many, leave_actions_open
from support.clock import HandClock

CONTEXT = multiprocessing.get_context("spawn")
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def journal(home: Path, clock: HandClock) -> Journal:
    return Journal(home, clock)


def statuses(journal: Journal) -> dict[str, str]:
    return {r.action: r.status for r in journal.history()}


def test_nothing_is_made_before_the_first_note(home: Path, journal: Journal) -> None:
    assert journal.history() == ()
    assert journal.last_calls() == {}
    assert journal.recover() == ()
    journal.forget("shop")
    assert not home.exists()


def test_an_action_goes_from_pending_over_sent_to_its_outcome(journal: Journal) -> None:
    record = journal.open("Shop", "items.create", '{"name": "Lamp"}')
    row = ActionRecord(record, START, "Shop", "items.create", '{"name": "Lamp"}', "PENDING", None)
    assert journal.history() == (row,)
    journal.mark_sent(record)
    assert statuses(journal) == {"items.create": "SENT"}
    journal.close(record, "FAILED", "API error: 500")
    (closed,) = journal.history()
    assert (closed.status, closed.error) == ("FAILED", "API error: 500")


def test_an_outcome_once_noted_stays(journal: Journal) -> None:
    record = journal.open("shop", "a", "{}")
    journal.close(record, "UNKNOWN", "lost")
    journal.mark_sent(record)
    journal.close(record, "OK")
    (row,) = journal.history()
    assert (row.status, row.error) == ("UNKNOWN", "lost")


def test_the_history_has_the_latest_first_and_can_be_narrowed(
    journal: Journal, clock: HandClock
) -> None:
    for connector, action in (("Shop", "a"), ("other", "b"), ("shop", "c")):
        journal.close(journal.open(connector, action, "{}"), "OK")
        clock.advance(1)
    assert [r.action for r in journal.history()] == ["c", "b", "a"]
    assert [r.action for r in journal.history("SHOP")] == ["c", "a"]
    assert [r.action for r in journal.history("shop", 1)] == ["c"]
    assert [r.action for r in journal.history(limit=0)] == []
    assert journal.history("shop")[0].started == START + timedelta(seconds=2)


def test_ids_are_never_given_twice(home: Path, journal: Journal) -> None:
    first = journal.open("shop", "a", "{}")
    journal.close_file()
    connection = sqlite3.connect(home / "journal.db", isolation_level=None)
    connection.execute("DELETE FROM action")
    connection.close()
    assert journal.open("shop", "a", "{}") > first


def test_long_texts_are_cut(journal: Journal) -> None:
    journal.close(journal.open("shop", "a", "p" * 20_000), "FAILED", "e" * 20_000)
    (row,) = journal.history()
    assert (len(row.parameters), len(row.error or "")) == (10_000, 10_000)


def test_the_last_call_of_a_connector_is_kept_and_forgotten(
    journal: Journal, clock: HandClock
) -> None:
    journal.note_call("Shop")
    clock.advance(1)
    journal.note_call("shop", "no such host")
    journal.note_call("other")
    later = START + timedelta(seconds=1)
    assert journal.last_calls() == {
        "shop": LastCall(later, "no such host"),
        "other": LastCall(later, None),
    }
    journal.forget("SHOP")
    assert list(journal.last_calls()) == ["other"]


def test_another_journal_of_the_home_sees_the_same(home: Path, journal: Journal) -> None:
    record = journal.open("shop", "a", "{}")
    other = Journal(home, HandClock())
    assert [r.id for r in other.history()] == [record]


def test_a_damaged_journal_is_refused(home: Path, journal: Journal) -> None:
    home.mkdir()
    journal.path.write_bytes(b"x" * 5000)
    with pytest.raises(LookupFailed) as caught:
        journal.open("shop", "a", "{}")
    assert caught.value.code == "CAT010"
    assert journal.path.read_bytes() == b"x" * 5000


# ── rows of processes that have ended ────────────────────────────────────────────────────────


def test_rows_of_a_killed_process_are_settled_by_how_far_it_came(
    home: Path, journal: Journal
) -> None:
    opened, end = CONTEXT.Event(), CONTEXT.Event()
    worker = CONTEXT.Process(target=leave_actions_open, args=(home, opened, end))
    worker.start()
    assert opened.wait(60)
    alive = {"items.pending": "PENDING", "items.sent": "SENT", "items.done": "OK"}
    assert statuses(journal) == alive
    worker.kill()
    worker.join()
    (lost,) = Journal(home, HandClock()).recover()
    assert (lost.action, lost.status) == ("items.sent", "SENT")
    assert statuses(journal) == alive | {"items.pending": "FAILED", "items.sent": "UNKNOWN"}
    errors = {r.action: r.error for r in journal.history()}
    assert errors["items.done"] is None
    assert "before anything was sent" in str(errors["items.pending"])
    assert "may or may not have happened" in str(errors["items.sent"])
    assert journal.recover() == ()


def test_rows_of_this_process_are_not_settled(journal: Journal) -> None:
    journal.open("shop", "a", "{}")
    assert journal.recover() == ()


def own(change: Callable[[str, str, str], str]) -> str:
    pid, started, room = this_process().split(" ")
    return change(pid, started, room)


@pytest.mark.parametrize(
    ("owner", "life"),
    [
        pytest.param(own(lambda p, s, r: f"{p} {s} {r}"), "alive", id="this one"),
        pytest.param(own(lambda p, s, r: f"{p} 1{s} {r}"), "dead", id="its id is used again"),
        pytest.param(own(lambda _p, s, r: f"99999999 {s} {r}"), "dead", id="no such process"),
        pytest.param(own(lambda p, s, r: f"{p} {s} x{r}"), "dead", id="before the restart"),
        pytest.param(own(lambda p, s, r: f"{p} {s} {r}x"), "elsewhere", id="other container"),
        pytest.param("", "dead", id="nothing"),
        pytest.param("none of these", "dead", id="no number"),
    ],
)
def test_whether_a_process_still_runs_is_told_by_more_than_its_id(owner: str, life: str) -> None:
    assert life_of(owner) == life


def test_a_row_of_another_container_is_settled_after_an_hour(
    home: Path, journal: Journal, clock: HandClock
) -> None:
    journal.open("shop", "a", "{}")
    connection = sqlite3.connect(home / "journal.db", isolation_level=None)
    connection.execute("UPDATE action SET owner = owner || 'x'")
    connection.close()
    clock.advance(3600)
    assert statuses(journal) == {"a": "PENDING"}
    clock.advance(1)
    assert statuses(journal) == {"a": "FAILED"}


def test_two_processes_that_write_at_once_lose_nothing(home: Path, journal: Journal) -> None:
    start = CONTEXT.Barrier(2)
    names = ("left", "right")
    workers = [CONTEXT.Process(target=journal_many, args=(home, n, start)) for n in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0]
    rows = journal.history()
    assert len({r.id for r in rows}) == 40
    assert {r.status for r in rows} == {"OK"}
    assert set(journal.last_calls()) == {"left", "right"}
