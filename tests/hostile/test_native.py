"""The walls of the operating system, with an engine that was broken out of (RUNTIME §7).

The program behind them is the runtime with every permission and the C library at hand. What it
tries is in `native.js`; each of its tries is a test here.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import deno
import pytest

from moltler.sandbox.frames import HEADER, Kind
from moltler.sandbox.program import walled
from moltler.sandbox.walls import walls_of

SCRIPT = Path(__file__).parent / "native.js"
TRIES = re.findall(r'^  "(.+?)": \(\)', SCRIPT.read_text("utf-8"), re.MULTILINE)
COUNTED = "open all files there may be"
HARMLESS = ["read a file", "read the parent's environment", "list a folder", "write a file",
            "connect to a port", "make a UDP socket", "signal the parent",
            "signal by a handle", "make a folder"]  # fmt: skip
"""Of these, so much as the test of the tests itself may succeed in."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these walls are Linux's")


def attack(folder: Path, *only: str, behind_walls: bool = True) -> tuple[dict[str, Any], bytes]:
    """Run the program and give what came of its tries, and what came before them."""
    folder.mkdir(exist_ok=True)
    victim = folder / "victim.txt"
    victim.write_text("a secret of the user")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        arguments = [str(SCRIPT), str(victim), port, str(os.getpid()), *only]
        command = [deno.find_deno_bin(), "run", "-A", "--no-config", "--quiet", *arguments]
        done = subprocess.run(
            walled(command, 256, [str(SCRIPT)]) if behind_walls else command,
            capture_output=True,
            check=True,
            env={**os.environ, "MOLTLER_KEY": "what nobody may see"},
        )
        server.setblocking(False)
        if behind_walls:
            with pytest.raises(BlockingIOError):
                server.accept()
    assert victim.read_text() == "a secret of the user"
    head, mark, lines = done.stdout.partition(b'["environment"')
    found = [json.loads(line) for line in (mark + lines).splitlines()]
    return dict(found), head


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    folder = tmp_path_factory.mktemp("native")
    found, head = attack(folder)
    length, kind, _ = HEADER.unpack_from(head)
    assert kind == Kind.WALLS
    walls = walls_of(head[HEADER.size : HEADER.size + length])
    if missing := [f"{wall.name}: {wall.missing}" for wall in walls if wall.missing]:
        pytest.skip(f"not on this machine: {'; '.join(missing)}")
    assert [path.name for path in folder.iterdir()] == ["victim.txt"]
    return found


@pytest.mark.parametrize("attempt", [name for name in TRIES if name != COUNTED])
def test_native_code_is_refused(outcomes: Mapping[str, Any], attempt: str) -> None:
    assert str(outcomes[attempt]).startswith("refused")


def test_descriptors_end_in_the_process_that_wastes_them(outcomes: Mapping[str, Any]) -> None:
    assert outcomes[COUNTED] < 128


def test_the_environment_holds_nothing_of_ours(outcomes: Mapping[str, Any]) -> None:
    assert outcomes["environment"].keys() == {
        "DENO_DIR", "DENO_NO_UPDATE_CHECK", "HOME", "NO_COLOR", "TZ"
    }  # fmt: skip


def test_without_walls_the_same_tries_succeed(tmp_path: Path) -> None:
    found, head = attack(tmp_path / "bare", *HARMLESS, behind_walls=False)
    assert head == b""
    assert [name for name in HARMLESS if str(found[name]).startswith("refused")] == []
