"""`moltler demo` and its tour, as a person runs them."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request

from moltler.demo.server import DemoServer
from moltler.demo.tour import CONNECTOR_FILE, excerpt, read_connector
from support.command import Moltler


def test_the_tour_shows_each_step_and_what_the_shop_saw(moltler_command: Moltler) -> None:
    tour = moltler_command("demo", "--tour").ok()

    for shown in (
        "GET /items?limit=5 -> 200",
        "GET /items?limit=100&status=closed -> 200",
        "POST /items -> 201",
        "error[CAT002]",
        "did you mean `my_shop.items`?",
        "0 with the key",
        "What next",
    ):
        assert shown in tour.stdout
    assert "\x1b" not in tour.stdout
    assert "key-" not in tour.stdout + tour.stderr
    assert not moltler_command.home.exists()


def test_the_shop_stays_open_until_it_is_interrupted(moltler_command: Moltler) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "moltler", "demo", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=moltler_command.environment | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        opened = process.stdout.readline()
        url = opened.split()[5]
        with urllib.request.urlopen(url) as answer:
            assert b"demo shop" in answer.read()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)

    assert opened.startswith("The shop is open at http://127.0.0.1:")
    assert "GET / -> 200" in rest
    assert (errors, process.returncode) == ("", 0)
    assert "The shop is closed." in rest


def test_a_taken_port_is_explained(moltler_command: Moltler) -> None:
    with DemoServer() as server:
        port = server.url.rpartition(":")[2]
        failed = moltler_command("demo", "--port", port).fails(2)

    assert f"error[SYN900]: the shop cannot open port {port}" in failed.stderr
    assert "--port" in failed.stderr


def test_the_excerpt_is_one_whole_statement() -> None:
    shown = excerpt(read_connector())

    assert shown.startswith("CREATE OR REPLACE CONNECTOR ENTITY 'shop.items'")
    assert shown.endswith("''';")
    assert CONNECTOR_FILE.suffix == ".moltler"
