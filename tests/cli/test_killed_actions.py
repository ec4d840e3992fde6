"""A program that is killed in the middle of an action leaves the truth behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from typing import Any

import moltler
from support.command import Moltler
from support.http import HttpServer, Response

DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"}};
CREATE CONNECTOR ACTION 'shop.items.create' PARAMETERS {"name": {"type": "string"}}
HANDLER 'async function execute(config, params) {
    await (await fetch(config.api_url + "/before")).json();
    const answer = await fetch(config.api_url + "/items", {method: "POST", body: params.name});
    return await answer.json(); }';
REGISTER CONNECTOR TYPE 'shop'; CREATE CONNECTOR s TYPE 'shop' CONFIG {"api_url": "URL"}
"""


def killed(
    session: moltler.Session, moltler_command: Moltler, server: HttpServer, path: str
) -> None:
    """Run the action in a program, and kill it while a request to `path` is not answered."""
    gate = threading.Event()
    server.route("GET", "/before", [])
    server.route("POST", "/items", {"id": 1})
    server.route("*", path, Response(200, {"id": 1}, head_gate=gate))
    session.execute(DEFINITION.replace("URL", server.url))
    running = subprocess.Popen(
        [sys.executable, "-m", "moltler", "query", "EXEC s.items.create('Lamp')"],
        cwd=moltler_command.cwd,
        env=moltler_command.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with running:
        server.wait_requests(1 if path == "/before" else 2)
        running.kill()
        running.communicate(timeout=60)
    assert running.returncode == -signal.SIGKILL
    gate.set()


def history(session: moltler.Session) -> list[dict[str, Any]]:
    return list(session.execute("SHOW CONNECTOR s ACTION HISTORY").dicts())


def test_killed_between_sent_and_answered_it_is_unknown_and_the_next_start_says_so(
    session: moltler.Session, moltler_command: Moltler, http_server: HttpServer
) -> None:
    killed(session, moltler_command, http_server, "/items")
    next_start = moltler_command("query", "SELECT 1 AS one").ok()
    assert next_start.stderr.startswith(
        "warning[outcome_unknown]: the program that ran `s.items.create` at 20"
    )
    assert "(journal 1); look at the API before you run it again" in next_start.stderr
    # Once is enough; the history keeps it.
    assert session.lost_actions() == ()
    (row,) = history(session)
    assert (row["status"], row["action"]) == ("UNKNOWN", "items.create")
    assert "may or may not have happened" in row["error"]
    assert http_server.paths.count("POST /items") == 1


def test_killed_before_anything_was_sent_it_has_failed_and_nobody_needs_to_know(
    session: moltler.Session, moltler_command: Moltler, http_server: HttpServer
) -> None:
    killed(session, moltler_command, http_server, "/before")
    assert session.lost_actions() == ()
    (row,) = history(session)
    assert row["status"] == "FAILED"
    assert "before anything was sent" in row["error"]


def test_programs_read_the_warning_as_json(
    session: moltler.Session, moltler_command: Moltler, http_server: HttpServer
) -> None:
    killed(session, moltler_command, http_server, "/items")
    done = moltler_command("--json", "query", "EXEC s.items.create('Chair')").ok()
    warning = json.loads(done.stderr)["warning"]
    assert (warning["code"], warning["source"]) == ("outcome_unknown", "s.items.create")
    statuses = [row["status"] for row in history(session)]
    assert statuses == ["OK", "UNKNOWN"]


def test_a_reading_session_runs_no_action_and_sends_nothing(
    session: moltler.Session, moltler_command: Moltler, http_server: HttpServer
) -> None:
    session.execute(DEFINITION.replace("URL", http_server.url))
    statement = "SELECT 1 AS one; DECLARE made = CONNECTOR_EXEC s.create('x');"
    refused = moltler_command("--read-only", "--json", "run", "-", stdin=statement)
    assert refused.fails(1).error["code"] == "PLN012"
    assert http_server.paths == []
    assert history(session) == []
