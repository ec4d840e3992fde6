"""The keeper of schedules, with a clock that is moved by hand."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from moltler.errors import ParseError, SyncError
from moltler.flow.sync import RunRecord, Scope
from moltler.model import StoredSync
from moltler.sync.health import HealthServer
from moltler.sync.scheduler import Event, Scheduler
from support.clock import HandClock

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)  # of the clock
SYNC = StoredSync("shop", "items", "local", "items", "SYNC …", schedule="*/5 * * * *")


@dataclass
class Home:
    """Stored syncs, and what running one does."""

    syncs: list[StoredSync] = field(default_factory=lambda: [SYNC])
    records: list[RunRecord] = field(default_factory=list[RunRecord])
    ran: list[str] = field(default_factory=list[str])
    told: list[Event] = field(default_factory=list[Event])
    clock: HandClock = field(default_factory=HandClock)
    block: threading.Event | None = None
    error: SyncError | None = None

    def run(self, sync: StoredSync) -> Sequence[Mapping[str, object]]:
        self.ran.append(sync.table)
        if self.block is not None:
            assert self.block.wait(20)
        if self.error is not None:
            raise self.error
        return [{"status": "ok", "entity": sync.entity}]

    @property
    def scheduler(self) -> Scheduler:
        return Scheduler(
            lambda: tuple(self.syncs),
            lambda _: tuple(self.records),
            self.run,
            self.clock,
            self.told.append,
        )

    @property
    def events(self) -> list[object]:
        return [e["event"] for e in self.told]


def step(scheduler: Scheduler, home: Home, seconds: float) -> None:
    home.clock.advance(seconds)
    scheduler.look()
    if home.block is None:
        assert scheduler.finish(20)


def test_a_sync_runs_at_each_of_its_times_and_not_before() -> None:
    home = Home()
    scheduler = home.scheduler
    assert scheduler.look() == START.replace(minute=5, second=0)
    step(scheduler, home, 54)
    assert home.ran == []
    step(scheduler, home, 1)
    assert home.ran == ["items"]
    step(scheduler, home, 299)
    step(scheduler, home, 1)
    assert home.ran == ["items", "items"]
    assert home.events == ["started", "ended"] * 2
    assert home.told[1] == {"event": "ended", "status": "ok", "entity": "items"}


def test_times_that_pass_unseen_make_one_run() -> None:
    home = Home()
    scheduler = home.scheduler
    scheduler.look()
    step(scheduler, home, 3600)
    assert home.ran == ["items"]
    assert scheduler.next_run == START.replace(hour=4, minute=5, second=0)


def test_runs_that_were_missed_before_the_start_are_skipped() -> None:
    home = Home()
    old = START - timedelta(days=2)
    home.records = [RunRecord("r", Scope("shop", "items", "items"), "full", "ok", old)]
    home.scheduler.look()
    assert home.ran == []


def test_syncs_that_come_change_and_go_are_noticed() -> None:
    home = Home(syncs=[])
    scheduler = home.scheduler
    assert scheduler.look() is None
    home.syncs = [SYNC]
    step(scheduler, home, 1)
    assert scheduler.next_run == START.replace(minute=5, second=0)
    home.syncs = [replace(SYNC, schedule="@daily", timezone="Asia/Tokyo")]
    step(scheduler, home, 1)
    assert scheduler.next_run == START.replace(hour=15, minute=0, second=0)
    home.syncs = [replace(SYNC, schedule=None)]
    step(scheduler, home, 86_400)
    assert (scheduler.next_run, scheduler.counts, home.ran) == (None, (0, 0), [])


def test_a_failure_is_told_and_the_next_run_comes_in_time() -> None:
    home = Home(error=SyncError("SNC006", "the destination is away", hint="start it"))
    scheduler = home.scheduler
    scheduler.look()
    step(scheduler, home, 60)
    assert home.told[1] == {
        "event": "failed", "code": "SNC006", "message": "the destination is away",
        "hint": "start it", "sync": "shop.items", "target": "local.items",
    }  # fmt: skip
    home.error = None
    step(scheduler, home, 300)
    assert home.events == ["started", "failed", "started", "ended"]


def test_a_suspended_run_goes_on_when_the_api_takes_requests() -> None:
    home = Home()
    until = START + timedelta(minutes=2)
    scope = Scope("shop", "items", "items")
    home.records = [RunRecord("r", scope, "full", "suspended", START, due=until)]
    scheduler = home.scheduler
    home.syncs = [replace(SYNC, schedule=None)]
    assert scheduler.look() == until
    step(scheduler, home, 121)
    assert home.ran == ["items"]


def test_a_run_that_lasts_keeps_others_of_its_kind_few() -> None:
    home = Home(block=threading.Event())
    scheduler = home.scheduler
    scheduler.look()
    for _ in range(4):
        step(scheduler, home, 300)
    assert scheduler.counts == (1, 2)
    assert home.events.count("skipped") == 2
    assert not scheduler.finish(0)
    assert home.block is not None
    home.block.set()
    assert scheduler.finish(20)
    assert scheduler.counts == (1, 0)


def test_serving_ends_when_it_is_told_to() -> None:
    home, stop = Home(syncs=[]), threading.Event()
    thread = threading.Thread(target=home.scheduler.serve, args=(stop,), daemon=True)
    thread.start()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_health_is_told_over_http() -> None:
    with HealthServer(0, lambda: {"status": "ok", "running": 2}) as server:
        with urllib.request.urlopen(f"{server.url}/health?x=1") as answer:
            assert json.load(answer) == {"status": "ok", "running": 2}
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{server.url}/other")
        with caught.value as refused:
            assert refused.code == 404
        with pytest.raises(ParseError, match="cannot listen at"):
            HealthServer(int(server.url.rpartition(":")[2]), dict)
