"""Cron text as times, and which stored syncs are due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from moltler.errors import ParseError
from moltler.flow.sync import RunRecord, Scope
from moltler.model import StoredSync
from moltler.sync.due import NEVER_RAN, due_time, runs_of
from moltler.sync.schedule import next_time

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SYNC = StoredSync("shop", "items", "local", "items", "SYNC CONNECTOR shop.items TO items")
HOURLY = replace(SYNC, schedule="@hourly")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ran(started: datetime, **changes: object) -> RunRecord:
    scope = Scope("shop", "items", "items")
    record = RunRecord(started.isoformat(), scope, "incremental", "ok", started)
    return replace(record, **changes)  # type: ignore[arg-type] # names of its fields


@pytest.mark.parametrize(
    ("schedule", "timezone", "after", "expected"),
    [
        ("*/1 * * * *", None, "2026-03-10T12:00:00", "2026-03-10T12:01:00"),
        ("*/1 * * * *", None, "2026-03-10T12:00:59", "2026-03-10T12:01:00"),
        ("@hourly", None, "2026-03-10T12:00:01", "2026-03-10T13:00:00"),
        ("@WEEKLY", None, "2026-03-10T12:00:00", "2026-03-15T00:00:00"),
        ("@monthly", None, "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("@yearly", None, "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("0 9 * * MON-FRI", None, "2026-03-13T09:00:00", "2026-03-16T09:00:00"),
        ("0 3 * * *", "Europe/Berlin", "2026-01-01T00:00:00", "2026-01-01T02:00:00"),
        ("0 3 * * *", "Europe/Berlin", "2026-07-01T00:00:00", "2026-07-01T01:00:00"),
        # The night clocks go forward has no half past two, and that they go back has it twice.
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00", "2026-03-29T01:00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00", "2026-10-25T00:30:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-26T01:30:00"),
    ],
)
def test_next_times(schedule: str, timezone: str | None, after: str, expected: str) -> None:
    assert next_time(schedule, timezone, utc(after)) == utc(expected)


def test_a_day_that_never_comes_has_no_time() -> None:
    with pytest.raises(ParseError) as caught:
        next_time("0 0 31 2 *", None, NOON)
    assert caught.value.code == "SYN006"


def test_a_sync_is_due_once_its_next_time_after_the_last_run_has_come() -> None:
    started = NOON - timedelta(minutes=20)
    assert due_time(HOURLY, [ran(started)]) == NOON
    assert due_time(HOURLY, [ran(NOON), ran(started)]) == NOON + timedelta(hours=1)


def test_times_that_were_missed_make_one_run() -> None:
    assert due_time(HOURLY, [ran(NOON - timedelta(days=3))]) == NOON - timedelta(days=3, hours=-1)


def test_a_sync_without_a_schedule_is_never_due() -> None:
    assert due_time(SYNC, [ran(NOON)]) is None
    assert due_time(SYNC, []) is None


def test_a_scheduled_sync_that_never_ran_is_due_at_once() -> None:
    assert due_time(HOURLY, []) == NEVER_RAN


def test_a_suspended_run_is_due_when_the_api_said() -> None:
    later = NOON + timedelta(hours=3)
    suspended = ran(NOON, status="suspended", due=later)
    assert due_time(SYNC, [suspended]) == later
    assert due_time(HOURLY, [suspended]) == NOON + timedelta(hours=1)
    assert due_time(SYNC, [ran(later), suspended]) is None


def test_runs_of_other_tables_and_backfills_are_not_its_own() -> None:
    other = replace(ran(NOON), scope=Scope("shop", "items", "copies"))
    backfill = replace(ran(NOON), scope=Scope("shop", "items", "items", None, ("a", "b")))
    own = replace(ran(NOON), scope=Scope("SHOP", "Items", "ITEMS"))
    assert runs_of(SYNC, [other, backfill, own]) == (own,)
    every = replace(SYNC, entity=None, table="c_*")
    assert runs_of(every, [replace(own, scope=Scope("shop", "orders", "C_orders")), own])[
        0
    ].scope == (Scope("shop", "orders", "C_orders"))
