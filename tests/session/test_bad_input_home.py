"""Homes that are damaged, newer or shared, and queries that are interrupted: nothing is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import moltler
from support.command import Moltler
from support.http import HttpServer, Response

TYPE = """CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"}};
CREATE CONNECTOR ENTITY 'shop.items' FIELDS {"id": {"type": "integer"}}
QUERY_HANDLER '''
async function query(config) { return await (await fetch(config.api_url + '/items')).json(); }
''';
CREATE CONNECTOR ENTITY 'shop.spinning' FIELDS {"id": {"type": "integer"}}
QUERY_HANDLER '''
async function query(config) { await fetch(config.api_url + '/go'); for (;;); }
''';
REGISTER CONNECTOR TYPE 'shop';
"""


def filled(home: Path, url: str = "http://127.0.0.1:1") -> Path:
    """Make a home with a connector and give its catalog file."""
    with moltler.connect(home) as session:
        session.execute(TYPE + f"""CREATE CONNECTOR c TYPE 'shop' CONFIG {{"api_url": "{url}"}}""")
    return home / "catalog.db"


def failing(home: Path, text: str) -> moltler.MoltlerError:
    with moltler.connect(home) as session, pytest.raises(moltler.MoltlerError) as caught:
        list(session.execute(text).rows())
    return caught.value


@pytest.mark.parametrize("text", ["SHOW CONNECTORS", "DROP CONNECTOR c"])
def test_catalog_of_a_newer_version_is_refused_and_left_as_it_is(home: Path, text: str) -> None:
    file = filled(home)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = file.read_bytes()
    error = failing(home, text)
    assert (error.code, error.exit_code) == ("CAT010", 1)
    assert "written by a newer Moltler (format 999" in error.message
    assert "upgrade Moltler" in (error.hint or "")
    assert file.read_bytes() == before


@pytest.mark.parametrize("text", ["SHOW CONNECTORS", "DROP CONNECTOR c"])
@pytest.mark.parametrize("damage", ["text", "half", "empty"])
def test_damaged_catalog_is_refused_and_left_as_it_is(home: Path, text: str, damage: str) -> None:
    file = filled(home)
    whole = file.read_bytes()
    damaged = {
        "text": b"not a database at all" * 500,
        "half": whole[: len(whole) // 2],
        "empty": b"",
    }
    file.write_bytes(damaged[damage])
    before = file.read_bytes()
    error = failing(home, text)
    assert (error.code, error.exit_code) == ("CAT010", 1)
    assert str(file) in error.message
    assert error.hint
    assert file.read_bytes() == before


def test_doctor_says_how_to_mend_a_damaged_catalog(home: Path, moltler_command: Moltler) -> None:
    filled(home).write_bytes(b"not a database at all" * 500)
    run = moltler_command("doctor").fails(1)
    assert "CAT010" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


def test_two_programs_that_define_at_once_lose_nothing(
    home: Path, tmp_path: Path, moltler_command: Moltler
) -> None:
    filled(home)
    runs = []
    for side in ("left", "right"):
        script = tmp_path / f"{side}.moltler"
        lines = [f"CREATE CONNECTOR {side}_{n} TYPE 'shop' CONFIG {{}};" for n in range(20)]
        script.write_text("\n".join(lines), encoding="utf-8")
        runs.append(
            subprocess.Popen(
                [sys.executable, "-m", "moltler", "run", str(script)],
                env=moltler_command.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    outputs = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    with moltler.connect(home) as session:
        names = {row[0] for row in session.execute("SHOW CONNECTORS").rows()}
    assert names == {"c", *(f"{side}_{n}" for side in ("left", "right") for n in range(20))}


# ── Ctrl-C ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def stuck_server() -> Iterator[HttpServer]:
    gate = threading.Event()
    with HttpServer() as server:
        server.route("GET", "/items", Response(200, [{"id": 1}], head_gate=gate))
        server.route("GET", "/go", {})
        yield server
        gate.set()


def children_of(pid: int) -> set[int]:
    """Give the processes that descend from one, as the kernel lists them."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found |= {int(child), *children_of(int(child))}
    return found


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc for the child processes")
@pytest.mark.parametrize(
    ("arguments", "entity"),
    [
        (["query"], "items"),
        (["--json", "query"], "items"),
        (["query", "-o", "out.csv"], "items"),
        (["query"], "spinning"),
    ],
)
def test_ctrl_c_during_a_query_ends_everything_and_keeps_the_home(
    home: Path,
    tmp_path: Path,
    stuck_server: HttpServer,
    moltler_command: Moltler,
    arguments: list[str],
    entity: str,
) -> None:
    filled(home, stuck_server.url)
    with subprocess.Popen(
        [sys.executable, "-m", "moltler", *arguments, f"SELECT * FROM c.{entity}"],
        env=moltler_command.environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        stuck_server.wait_requests(1)
        children = children_of(running.pid)
        assert children
        os.kill(running.pid, signal.SIGINT)
        _, stderr = running.communicate(timeout=20)
    assert running.returncode == 130
    assert stderr == "interrupted\n"
    assert not [pid for pid in children if is_running(pid)]
    assert not list(tmp_path.glob("out.csv*"))
    with moltler.connect(home) as session:
        (row,) = session.execute("SHOW CONNECTORS").rows()
    assert row[0] == "c"
