"""Acts on a destination whose process dies, or stands still, before its n-th statement.

Run as a program it reads one order a line from its standard input, forks, lets the child act, and
answers with one line. Statements are counted in the drivers of the databases: nothing of ours is
replaced.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import duckdb
import psycopg

from moltler.compose import SystemClock
from moltler.errors import MoltlerError
from moltler.flow.sync import Lease, Scope, SyncState, Unfit
from moltler.ports import Destination
from moltler.sync.destinations.duckdb.destination import open_duckdb
from moltler.sync.destinations.postgres.destination import open_postgres
from moltler.sync.destinations.postgres.store import PostgresAddress
from sync.destinations.making import ITEMS, Run, columns, presence, rows_of

BEFORE = [("a", "Ann", 1), ("b", "Bob", 1), ("c", "Cid", 1), ("d", "Dan", 1)]
WIDER = (ITEMS[0], ITEMS[1], *columns(rank="number", price="number"))
MERGED = [("a", "Ann", 1.0, None), ("b", "Bea", 2.5, 9.5), ("e", "Eve", 2.0, None)]
LOADED = [("c", "Cid", 5), ("d", "Dee", 5), ("x", "Xan", 5)]


def table_of(number: int) -> str:
    """Give the target that the n-th victim writes to."""
    return f"items_{number}"


def run_on(destination: Destination, table: str, owner: str = "victim") -> Run:
    """Give a run on a target of its own."""
    return Run(destination, Scope("shop", "items", table), owner=owner, run_id=f"run-{table}")


def merge(run: Run) -> None:
    """Change columns and rows, sweep, set rows aside: all that one batch can hold."""
    run.columns = WIDER
    rows = rows_of([("b", "Bea", 2.5, 9.5), ("e", "Eve", 2.0, None), ("a", "old", 0.5, 1.0)], WIDER)
    run.commit(
        rows,
        batch_id=f"merge-{run.scope.table}",
        unfit=(Unfit("{}", "no key"),),
        presence=presence(["a", "b", "e"]),
        state=SyncState(1, ("id",), "rank", watermark=2.5),
    )


def load(run: Run) -> None:
    """Load a generation and make it visible."""
    number = run.held.target.last_generation + 1
    run.commit(
        rows_of(LOADED),
        batch_id=f"load-{run.scope.table}-{number}",
        generation=number,
        is_first=True,
        state=None,
    )
    run.swap(number, state=SyncState(number, ("id",), "rank", watermark=5))


def roll_back(run: Run) -> None:
    """Restore the generation before."""
    run.destination.rollback(run.scope.table)


ACTS: dict[str, Callable[[Run], None]] = {"merge": merge, "load": load, "roll_back": roll_back}


# ── the victim ───────────────────────────────────────────────────────────────────────────────


class _Fuse:
    """Counts statements, and does something before one of them."""

    def __init__(self, at: int, burn: Callable[[], None]) -> None:
        self._at = at
        self._burn = burn
        self.count = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self._at:
            self._burn()


class _Counted:
    """A DuckDB connection whose statements are counted."""

    def __init__(self, raw: duckdb.DuckDBPyConnection, fuse: _Fuse) -> None:
        self._raw = raw
        self._fuse = fuse

    def execute(self, *arguments: Any) -> duckdb.DuckDBPyConnection:
        self._fuse.step()
        return self._raw.execute(*arguments)

    def cursor(self) -> _Counted:
        return _Counted(self._raw.cursor(), self._fuse)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _count_statements(fuse: _Fuse) -> None:
    connect = duckdb.connect
    duckdb.connect = lambda *a, **k: _Counted(connect(*a, **k), fuse)  # type: ignore[assignment,misc] # the same shape
    for owner, name in (
        (psycopg.Cursor, "execute"), (psycopg.Cursor, "copy"), (psycopg.Connection, "commit"),
    ):  # fmt: skip
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def counted(self: Any, *arguments: Any, _plain: Any = plain, **options: Any) -> Any:
            fuse.step()
            return _plain(self, *arguments, **options)

        setattr(owner, name, counted)


def open_kind(kind: str, address: str, schema: str, wait_s: float = 5.0) -> Destination:
    """Open a destination as another process does."""
    if kind == "duckdb":
        return open_duckdb(Path(address), "goods", SystemClock(), wait_s=wait_s, keep_s=0.0)
    return open_postgres(PostgresAddress({"conninfo": address}, schema), "goods")


def _act(order: dict[str, Any]) -> str:
    fuse = _Fuse(order["at"], lambda: os.kill(os.getpid(), order["signal"]))
    destination = open_kind(order["kind"], order["address"], order["schema"])
    run = run_on(destination, order["table"])
    if order["counts_claim"]:
        _count_statements(fuse)
    claim = run.writer.claim(
        run.scope, run.owner, ttl_s=order["ttl_s"], is_dead=lambda _: order["others_are_dead"]
    )
    assert isinstance(claim, Lease)
    run.lease = claim
    if not order["counts_claim"]:
        _count_statements(fuse)
    if order["at"] == 0:
        os.kill(os.getpid(), order["signal"])
    codes: list[str] = []
    for _ in range(2):
        try:
            ACTS[order["act"]](run)
        except MoltlerError as error:
            codes.append(error.code)
        else:
            codes.append("done")
            break
    # The moment after the last COMMIT, before anybody knows of it.
    fuse.step()
    return " ".join((*codes, str(fuse.count)))


def _serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                said = _act(order)
            except BaseException as error:  # noqa: BLE001 - told to the test
                said = f"{type(error).__name__}: {error}"
            os.write(writing, said.replace("\n", " ").encode())
            os._exit(0)
        os.close(writing)
        if order["signal"] == signal.SIGSTOP:
            os.waitpid(pid, os.WUNTRACED)
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
            sys.stdin.readline()
            os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as told:
            said = told.read().decode()
        sys.stdout.write(f"{'killed' if os.WIFSIGNALED(status) else said}\n")
        sys.stdout.flush()


# ── the test's side ──────────────────────────────────────────────────────────────────────────


class Victims:
    """A process that forks one victim after the other."""

    def __init__(self, kind: str, address: str, schema: str) -> None:
        self._where = {"kind": kind, "address": address, "schema": schema}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self._process.communicate()

    def die(self, act: str, table: str, at: int) -> str:
        """Let a victim act until it is killed before its n-th statement; tell what became of it."""
        self._send(act, table, at, signal.SIGKILL, counts_claim=True, ttl_s=60.0)
        return self._answer()

    def count(self, act: str, table: str) -> int:
        """Let a victim act in peace; give the number of its statements, the end included."""
        told, count = self.die(act, table, -1).split()
        assert told == "done", told
        return int(count)

    def stand_still(self, act: str, table: str, at: int, ttl_s: float) -> int:
        """Let a victim act until it is stopped; give its process."""
        self._send(act, table, at, signal.SIGSTOP, counts_claim=False, ttl_s=ttl_s)
        return int(self._answer())

    def go_on(self) -> str:
        """Let the victim that was stopped go on; tell what became of it."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._answer()

    def _send(
        self, act: str, table: str, at: int, sent: int, *, counts_claim: bool, ttl_s: float
    ) -> None:
        order = {
            **self._where, "act": act, "table": table, "at": at, "signal": int(sent),
            "counts_claim": counts_claim, "ttl_s": ttl_s, "others_are_dead": True,
        }  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def kept_state(destination: Destination, table: str) -> SyncState | None:
    """Give the state of the victim's scope, taking its lease as that of a dead process."""
    run = run_on(destination, table, "survivor")
    state = run.claim(is_dead=lambda _: True).state
    run.release()
    return state


if __name__ == "__main__":
    _serve()
