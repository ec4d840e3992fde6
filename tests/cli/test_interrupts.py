"""Ctrl-C, and a shell that is fed by a pipe."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import pytest

from support.command import Moltler
from support.http import HttpServer, Response

DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"}};
CREATE CONNECTOR ACTION 'shop.items.create'
HANDLER 'async function execute(config) {
    const answer = await fetch(config.api_url + "/items", {method: "METHOD", body: BODY});
    return await answer.json(); }';
REGISTER CONNECTOR TYPE 'shop'; CREATE CONNECTOR s TYPE 'shop' CONFIG {"api_url": "URL"}
"""


def interrupted(
    moltler: Moltler, server: HttpServer, method: str, *options: str
) -> tuple[int, str]:
    """Run the action and press Ctrl-C once its request has arrived."""
    gate = threading.Event()
    server.route("*", "/items", Response(200, {"id": 1}, head_gate=gate))
    body = '"{}"' if method == "POST" else "undefined"
    text = DEFINITION.replace("METHOD", method).replace("BODY", body).replace("URL", server.url)
    moltler("run", "-", stdin=text).ok()
    running = subprocess.Popen(
        [sys.executable, "-m", "moltler", *options, "query", "EXEC s.items.create()"],
        cwd=moltler.cwd,
        env=moltler.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with running:
        server.wait_requests(1)
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=60)
    gate.set()
    return running.returncode, stderr


def test_ctrl_c_while_a_write_is_on_its_way_says_that_its_outcome_is_unknown(
    moltler_command: Moltler, http_server: HttpServer
) -> None:
    status, stderr = interrupted(moltler_command, http_server, "POST", "--json")
    error = json.loads(stderr)["error"]
    assert (status, error["code"]) == (130, "API008")
    assert error["message"] == (
        "`s.items.create` was sent and you interrupted the wait, so the change may or may not "
        "have been made (journal 1)"
    )
    history = moltler_command("query", "SHOW CONNECTOR s ACTION HISTORY", "--format", "ndjson")
    assert [row["status"] for row in history.ok().json_lines] == ["UNKNOWN"]


def test_ctrl_c_while_a_write_is_on_its_way_says_so_in_words_too(
    moltler_command: Moltler, http_server: HttpServer
) -> None:
    status, stderr = interrupted(moltler_command, http_server, "POST")
    assert status == 130
    assert "API008" in stderr
    assert "ACTION HISTORY lists it" in " ".join(stderr.split())


def test_ctrl_c_while_nothing_changes_is_only_an_interrupt(
    moltler_command: Moltler, http_server: HttpServer
) -> None:
    assert interrupted(moltler_command, http_server, "GET") == (130, "interrupted\n")


def test_a_piped_shell_knows_its_words(moltler_command: Moltler) -> None:
    text = "DECLARE a = 1;\nhelp\nPRINT 'a' || a;\nexit\nPRINT 'b';\n"
    done = moltler_command("shell", stdin=text).ok()
    assert "Statements end with ;" in done.stdout
    assert done.stdout.endswith("a1\n")


@pytest.mark.parametrize(
    ("text", "status", "line"),
    [("help;\nPRINT 1;\nSELEC 1;\nexit\n", 2, 3), ("exit\nSELEC 1;\n", 0, None)],
)
def test_a_piped_shell_reads_all_up_to_exit_before_it_runs(
    moltler_command: Moltler, text: str, status: int, line: int | None
) -> None:
    done = moltler_command("--json", "shell", stdin=text).fails(status)
    assert done.stdout == ""
    assert line is None or done.error["line"] == line


def test_words_of_the_shell_inside_of_a_handler_belong_to_it(moltler_command: Moltler) -> None:
    text = (
        "CREATE CONNECTOR TYPE 'x' CONFIG_SCHEMA {};\n"
        "CREATE CONNECTOR ACTION 'x.do' HANDLER '''\nconst help = 1;\nhelp;\n"
        "function execute() {}\n''';\nPRINT 2;\nexit;\n"
    )
    assert moltler_command("shell", stdin=text).ok().stdout.splitlines()[-1] == "2"
