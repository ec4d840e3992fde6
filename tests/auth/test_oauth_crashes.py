"""Refresh tokens when programs refresh at once, and when one is killed on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import moltler
from auth.test_oauth import define
from moltler.errors import MoltlerError
from support.command import Finished, Moltler
from support.oauth import OAuthServer

QUERY = ("query", "SELECT id FROM s.items", "--json")


@pytest.fixture
def ready(home: Path, oauth: OAuthServer) -> OAuthServer:
    with moltler.connect(home) as session:
        define(session, oauth)
    return oauth


def killed_when(moltler_command: Moltler, is_time: Callable[[], None]) -> None:
    """Query in a program of its own and kill it."""
    running = subprocess.Popen(
        [sys.executable, "-m", "moltler", *QUERY],
        cwd=moltler_command.cwd,
        env=moltler_command.environment,
        stdout=subprocess.DEVNULL,
    )
    with running:
        is_time()
        running.kill()
    assert running.returncode == -signal.SIGKILL


def rows(home: Path) -> list[tuple[object, ...]]:
    with moltler.connect(home) as session:
        return list(session.execute("SELECT id FROM s.items").rows())


def test_programs_that_are_refused_at_once_refresh_once(
    home: Path, ready: OAuthServer, moltler_command: Moltler
) -> None:
    assert rows(home) == [(1,)]
    ready.expire()
    results: list[Finished] = []
    threads = [
        threading.Thread(target=lambda: results.append(moltler_command(*QUERY))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(r.status, r.stderr) for r in results] == [(0, "")] * 3
    assert ready.grants == ["refresh_token"] * 2
    assert not ready.is_revoked


def test_a_new_token_is_stored_before_it_is_used(
    home: Path, ready: OAuthServer, moltler_command: Moltler
) -> None:
    ready.api_gate = threading.Event()
    killed_when(moltler_command, lambda: ready.wait_requests(2))
    ready.api_gate.set()
    assert ready.grants == ["refresh_token"]
    ready.expire()
    assert rows(home) == [(1,)]
    assert ready.grants == ["refresh_token"] * 2
    assert not ready.is_revoked


def test_a_token_that_was_lost_on_the_way_asks_for_authorisation_and_blocks_nobody(
    home: Path, ready: OAuthServer, moltler_command: Moltler
) -> None:
    ready.gate = threading.Event()
    killed_when(moltler_command, lambda: ready.wait_requests(1))
    ready.gate.set()
    with pytest.raises(MoltlerError) as caught:
        rows(home)
    assert (caught.value.code, ready.is_revoked) == ("API002", True)
    assert "authorise again" in str(caught.value.hint)
    assert ready.api_requests == []


def test_a_server_that_still_takes_the_old_token_goes_on(
    home: Path, ready: OAuthServer, moltler_command: Moltler
) -> None:
    ready.gate, ready.rotates = threading.Event(), False
    killed_when(moltler_command, lambda: ready.wait_requests(1))
    ready.gate.set()
    assert rows(home) == [(1,)]


def test_after_authorising_again_the_new_secret_counts(home: Path, ready: OAuthServer) -> None:
    rows(home)
    ready.authorise("refresh-token-from-a-browser")
    with moltler.connect(home) as session:
        with pytest.raises(MoltlerError, match="refuses"):
            list(session.execute("SELECT id FROM s.items").rows())
        session.secrets.put("refresh", "refresh-token-from-a-browser")
        assert list(session.execute("SELECT id FROM s.items").rows()) == [(1,)]
