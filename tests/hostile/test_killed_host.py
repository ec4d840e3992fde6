"""The host is killed at any moment: nothing of it lives on, and nothing is half written."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import moltler
from sandbox.conftest import is_running
from support.http import HttpServer

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux ends children with their parent"
)

HOST = '''
import sys, threading
import moltler

home, url = sys.argv[1:]
session = moltler.connect(home)

def step(name):
    print(name, flush=True)

DEFINE = """
CREATE OR REPLACE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"},
    "api_key": {"type": "string", "secret": true}, "number": {"type": "integer"}};
CREATE OR REPLACE CONNECTOR ENTITY 'shop.items' FIELDS {"id": {"type": "integer"}}
QUERY_HANDLER 'async function query(c) {
    return (await fetch(c.api_url + "/rows", {headers: {K: c.api_key}})).json(); }';
CREATE OR REPLACE CONNECTOR ACTION 'shop.items.add' PARAMETERS {}
HANDLER 'async function execute(c) {
    return (await fetch(c.api_url + "/add", {method: "POST", body: c.api_key})).json(); }';
REGISTER CONNECTOR TYPE 'shop';
"""

def loop():
    session.execute("""
    CREATE OR REPLACE CONNECTOR TYPE 'spin' CONFIG_SCHEMA {};
    CREATE OR REPLACE CONNECTOR ENTITY 'spin.items' FIELDS {"id": {"type": "integer"}}
    QUERY_HANDLER 'function query() { for (;;); }';
    REGISTER CONNECTOR TYPE 'spin';
    CREATE OR REPLACE CONNECTOR spinner TYPE 'spin' CONFIG {};
    """)
    step("spins")
    list(session.execute("SELECT * FROM spinner.items").rows())

threading.Thread(target=loop, daemon=True).start()
number = 0
while True:
    number += 1
    session.secrets.put("shop_key", f"value-{number}-" + "x" * 20_000 + "-end")
    step("secret")
    session.execute(DEFINE)
    step("defined")
    for name in ("a", "b"):
        session.execute(f"""CREATE OR REPLACE CONNECTOR {name} TYPE 'shop' CONFIG {{
            "api_url": "{url}", "api_key": "{{{{secrets.shop_key}}}}", "number": {number}}}""")
    step("created")
    list(session.execute("SELECT * FROM a.items").rows())
    step("queried")
    session.execute("EXEC b.items.add()")
    step("executed")
'''


def tree_of(pid: int) -> set[int]:
    """All that descends from a process."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= {child} | tree_of(child)
    return found


def wait_for_end(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert not is_running(pid) or select.select([handle], [], [], 10)[0]
    finally:
        os.close(handle)


MOMENTS = [1, 4, 7]


@pytest.mark.parametrize(
    "moment",
    [
        *MOMENTS,
        *(pytest.param(m, marks=pytest.mark.heavy) for m in range(1, 40) if m not in MOMENTS),
    ],
)
def test_a_killed_host_leaves_no_process_and_nothing_half_written(
    home: Path, http_server: HttpServer, moment: int
) -> None:
    http_server.route("GET", "/rows", [{"id": 1}])
    http_server.route("POST", "/add", {"added": 1})
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(home), http_server.url], stdout=subprocess.PIPE, text=True
    ) as host:
        assert host.stdout is not None
        for _ in range(moment):
            assert host.stdout.readline()
        host.send_signal(signal.SIGSTOP)  # so that it starts nothing while we look
        children = tree_of(host.pid)
        host.send_signal(signal.SIGKILL)
        host.wait()
    for pid in children:
        wait_for_end(pid)
    assert [pid for pid in children if is_running(pid)] == []

    with moltler.connect(home) as session:
        checks = {check.name: check for check in session.diagnose()}
        assert [c for c in checks.values() if c.status == "failed"] == []
        known = {str(row[0]) for row in session.execute("SHOW CONNECTORS").rows()}
        outcomes: set[str] = set()
        for name in known:
            session.execute(f"SHOW CONNECTOR {name}")
            history = session.execute(f"SHOW CONNECTOR {name} ACTION HISTORY")
            outcomes |= {str(value) for row in history.rows() for value in row}
        assert "PENDING" not in outcomes
        assert "SENT" not in outcomes
        value = session.secrets.get("shop_key")
        assert value is None or (value.startswith("value-") and value.endswith("x-end"))
        names = {path.name for path in home.rglob("*")}
        assert [name for name in names if ".tmp" in name or name.endswith("~")] == []
        # And everything goes on.
        session.secrets.put("shop_key", "value-after-x-end")
        if "a" in known:
            assert list(session.execute("SELECT * FROM a.items").rows()) == [(1,)]
