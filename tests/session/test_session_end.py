"""What is left of a session that nobody closes, and what a running one notices."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

import moltler
from support.http import HttpServer, Request

PROGRAM = """
import sys, moltler
session = moltler.connect(sys.argv[1])
session.execute('''
CREATE CONNECTOR TYPE 'p' CONFIG_SCHEMA {};
CREATE CONNECTOR ENTITY 'p.rows' FIELDS {"id": {"type": "integer"}}
QUERY_HANDLER 'function* query() { for (let i = 0;; i++) yield [{id: i}]; }';
REGISTER CONNECTOR TYPE 'p'; CREATE CONNECTOR p TYPE 'p'
''')
result = session.execute("SELECT id FROM p.rows")
"""
ENDINGS = {
    "unread": "",
    "begun": "rows = result.rows(); next(rows)",
    "begun without a name": "next(result.rows())",
    "begun as Arrow": "reader = result.arrow(); reader.read_next_batch()",
    "session closed": "rows = result.rows(); next(rows); session.close()",
    "in a thread": "import threading; t = threading.Thread(target=lambda: next(result.rows()));"
    " t.start(); t.join()",
}
CHILDREN = """
import os, pathlib
for child in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
    print(child)
for task in pathlib.Path("/proc/self/task").iterdir():
    print(*(task / "children").read_text().split())
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("ending", list(ENDINGS))
def test_a_program_that_closes_nothing_ends_without_noise_and_children(
    home: Path, ending: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{PROGRAM}\n{ENDINGS[ending]}\n{CHILDREN}", str(home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(is_running(int(pid)) for pid in done.stdout.split())


def test_a_session_that_is_dropped_is_closed(home: Path) -> None:
    session = moltler.connect(home)
    dropped = weakref.ref(session)
    assert session.execute("SELECT 1").value == 1
    del session
    gc.collect()
    assert dropped() is None


def test_a_result_keeps_its_session(home: Path) -> None:
    result = moltler.connect(home).execute(PROGRAM.split("'''")[1] + ";SELECT id FROM p.rows")
    gc.collect()
    rows = result.rows()
    assert [next(rows)[0] for _ in range(3)] == [0, 1, 2]
    result.close()


def test_a_secret_that_is_set_later_in_the_environment_counts_at_the_next_use(
    session: moltler.Session, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def echo(request: Request) -> object:
        return [{"key": request.headers["x-key"]}]

    http_server.route("GET", "/", echo)
    session.execute(
        """
CREATE CONNECTOR TYPE 'k' CONFIG_SCHEMA {"api_url": {"type": "string"}, "key": {"type": "string"}};
CREATE CONNECTOR ENTITY 'k.rows' FIELDS {"key": {"type": "string"}}
QUERY_HANDLER 'async function query(config) {
    return await (await fetch(config.api_url, {headers: {"X-Key": config.key}})).json(); }';
REGISTER CONNECTOR TYPE 'k';
CREATE CONNECTOR k TYPE 'k' CONFIG {"api_url": "URL", "key": "{{secrets.later}}"}
        """.replace("URL", http_server.url + "/")
    )
    with pytest.raises(moltler.LookupFailed) as caught:
        session.execute("SELECT key FROM k.rows").value  # noqa: B018 - reads it
    assert caught.value.code == "CAT005"
    for value in ("first", "second"):
        monkeypatch.setitem(os.environ, "MOLTLER_SECRET_LATER", value)
        list(session.execute("SELECT key FROM k.rows").rows())
        assert http_server.requests[-1].headers["x-key"] == value
