"""Schedules: ``moltler sync run --due`` and ``moltler serve``, a program of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from cli.conftest import Cli
from support.command import Moltler
from support.http import HttpServer

SYNC = "SYNC CONNECTOR my_shop.items TO items"


@pytest.fixture
def synced(shop: Cli) -> Cli:
    """The shop, with one stored sync."""
    assert shop("query", SYNC).status == 0
    return shop


def test_only_what_is_due_runs_with_due(synced: Cli, api: HttpServer) -> None:
    asked = len(api.requests)
    due = synced("sync", "run", "--due")
    assert (due.status, due.stdout, due.stderr) == (0, "", "nothing is due\n")
    assert len(api.requests) == asked


def test_a_schedule_that_nobody_keeps_is_warned_about_until_somebody_does(synced: Cli) -> None:
    assert "`moltler serve`" in synced("query", f"{SYNC} SCHEDULE '@daily'").stderr
    assert synced("sync", "run", "--due").status == 0
    assert synced("query", f"{SYNC} SCHEDULE '@daily'").stderr == ""
    (row,) = synced("sync", "list", "--json").rows
    assert row[5] == "@daily"
    assert row[6].endswith("T00:00:00.000Z")


def test_a_day_that_never_comes_is_no_schedule(synced: Cli) -> None:
    refused = synced("query", f"{SYNC} SCHEDULE '0 0 31 2 *'", "--json")
    assert (refused.status, refused.error["code"]) == (2, "SYN006")
    (row,) = synced("sync", "list", "--json").rows
    assert row[5] is None


# ── serve ────────────────────────────────────────────────────────────────────────────────────────


class Serving:
    """``moltler serve`` in a program of its own."""

    def __init__(self, command: Moltler) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moltler", "serve", "--port", "0"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=command.cwd,
            env=command.environment,
        )
        assert self.process.stderr is not None
        self.log: IO[str] = self.process.stderr

    def until(self, event: str) -> Any:
        """Read the log up to an event, and give it."""
        for line in self.log:
            found = json.loads(line)
            if found["event"] == event:
                return found
        raise AssertionError(f"the log ended without {event}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def serving(moltler_command: Moltler, script: Path) -> Iterator[Serving]:
    moltler_command("run", str(script)).ok()
    moltler_command("query", f"{SYNC} SCHEDULE '*/1 * * * *'").ok()
    found = Serving(moltler_command)
    yield found
    if found.process.poll() is None:
        found.process.kill()
    found.process.wait(60)
    found.log.close()


@pytest.mark.slow
def test_a_schedule_of_every_minute_really_fires(
    serving: Serving, moltler_command: Moltler
) -> None:
    begun = serving.until("serving")
    with urllib.request.urlopen(begun["health"]) as answer:
        health = json.load(answer)
    assert (health["status"], health["pid"], health["syncs"]) == ("ok", serving.process.pid, 1)
    busy = moltler_command("--json", "serve").fails(1)
    assert busy.error["code"] == "CAT009"
    assert f"process {serving.process.pid}" in busy.error["message"]
    ended = serving.until("ended")
    assert (ended["status"], ended["rows_read"]) == ("ok", 3)
    assert health["next_run"] <= ended["time"]
    assert serving.end() == 0
    assert [json.loads(line)["event"] for line in serving.log] == ["stopping", "stopped"]
    rows = moltler_command("--json", "sync", "history").ok().json_lines[0]["rows"]
    assert [row[0] for row in rows] == ["ok", "ok"]


def test_a_killed_server_leaves_the_schedules_to_the_next(
    serving: Serving, moltler_command: Moltler
) -> None:
    serving.until("serving")
    os.kill(serving.process.pid, signal.SIGKILL)
    serving.process.wait(60)
    following = Serving(moltler_command)
    assert following.until("serving")["pid"] == following.process.pid
    assert following.end() == 0
    following.log.close()
