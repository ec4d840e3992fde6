"""Figures that have a limit of their own instead of a floor to compare with.

Run as a module with a name and the address of the server it is one sample in a fresh process,
which prints JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import moltler
from benchmarks import processes

REPEATS = 40
EDITS = 5
FEW, MANY = 50, 250
"""Tests in a file."""
MOLTLER = (sys.executable, "-m", "moltler")
SHOP = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string", "required": true}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {"id": {"type": "integer", "primary_key": true}, "name": {"type": "string"}}
QUERY_HANDLER '''
async function query(config) {
    return await (await fetch(`${config.api_url}/items`)).json();
}
''';
REGISTER CONNECTOR TYPE 'shop';
"""
TEST = """
TEST CONNECTOR TYPE 'shop' NAME 'test %d'
MOCK_API {"GET /items": {"body": {"items": [{"id": %d, "name": "first"}, {"id": 0}]}}}
BEGIN
    CREATE CONNECTOR c TYPE 'shop' CONFIG {"api_url": "mock://api"};
    ASSERT (SELECT name FROM c.items WHERE id = %d) = 'first';
END TEST;
"""
SLOW = """
CREATE CONNECTOR TYPE 'slow' CONFIG_SCHEMA {"api_url": {"type": "string", "required": true}};
CREATE CONNECTOR ENTITY 'slow.items'
FIELDS {"id": {"type": "integer", "primary_key": true}}
QUERY_HANDLER '''
async function* query(config) {
    yield await (await fetch(`${config.api_url}/customers?id=2&delay=60000`)).json();
}
''';
REGISTER CONNECTOR TYPE 'slow';
CREATE CONNECTOR s TYPE 'slow' CONFIG {"api_url": "URL"} OPTIONS {"max_concurrency": 4};
"""
FIVE_TABLES = (
    "SELECT r.id, o.amount, c.name, p.quantity, d.country, count(*) FROM api.rows r "
    "JOIN api.orders o ON o.id = r.quantity JOIN api.customers c ON c.id = o.customer "
    "LEFT JOIN api.rows p ON p.id = r.name LEFT JOIN api.customers d ON d.id = p.quantity "
    "WHERE r.status = 'active' AND o.amount > 10 AND c.country IN ('c1', 'c2') AND p.price < 5 "
    "GROUP BY ALL ORDER BY r.id LIMIT 10"
)
BIG = """CREATE CONNECTOR big TYPE 'bench'
CONFIG {{"api_url": "{url}", "size": 1000, "total": 5000000}}"""
GROUPED = "SELECT status, count(*), sum(quantity), max(updated_at) FROM {name}.rows GROUP BY status"


@dataclass(frozen=True)
class Figure:
    """A figure, what it may be at most, and how one sample is taken."""

    label: str
    unit: str
    limit: float
    sample: Callable[[str], float]
    """Gets the address of the server."""
    rounds: int | None = None
    """If it takes too long to be measured as often as the others."""


@contextlib.contextmanager
def _session(url: str, *, total: int = 100_000) -> Iterator[moltler.Session]:
    from benchmarks import ours

    with tempfile.TemporaryDirectory() as home, moltler.connect(Path(home)) as session:
        ours.define(session, url, total=total)
        yield session


def _write_tests(path: Path, count: int) -> None:
    path.write_text(SHOP + "".join(TEST % (n, n, n) for n in range(1, count + 1)), "utf-8")


def _testing(count: int) -> float:
    """Give the seconds that `moltler test` takes for a file with that many tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.moltler"
        _write_tests(path, count)
        env = os.environ | {"MOLTLER_HOME": str(Path(folder) / "home")}
        started = time.perf_counter()
        subprocess.run([*MOLTLER, "test", str(path)], env=env, check=True, capture_output=True)
        return time.perf_counter() - started


def cold_tests(_url: str) -> float:
    """Give the seconds of 50 mocked tests from a cold process."""
    return _testing(FEW)


def further_test(_url: str) -> float:
    """Give the milliseconds of each further mocked test."""
    return (_testing(MANY) - _testing(FEW)) / (MANY - FEW) * 1000


def watch(_url: str) -> float:
    """Give the milliseconds from an edit to the outcome of the file's tests."""
    with tempfile.TemporaryDirectory() as folder:
        edited = Path(folder) / "shop.moltler"
        _write_tests(edited, 3)
        env = os.environ | {"MOLTLER_HOME": str(Path(folder) / "home"), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            [*MOLTLER, "test", "--watch", folder],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            measured: list[float] = []
            try:
                _read_to(process.stdout, "watching")
                for n in range(EDITS):
                    text = edited.read_text("utf-8")
                    started = time.perf_counter()
                    edited.write_text(text + f"-- edit {n}\n", "utf-8")
                    _read_to(process.stdout, " passed")
                    measured.append((time.perf_counter() - started) * 1000)
            finally:
                process.terminate()
    return statistics.median(measured)


def _read_to(lines: Iterator[str], text: str) -> None:
    if not any(text in line for line in lines):
        raise SystemExit(f"`{text}` never came")


def cancelling(url: str) -> float:
    """Give the milliseconds until a join is over whose three scans all wait for the API."""
    with _session(url) as session:
        session.execute(SLOW.replace("URL", url))
        measured: list[float] = []
        for _ in range(EDITS):
            _asked(url)
            result = session.execute("SELECT count(*) FROM s.items a, s.items b, s.items c")
            reader = threading.Thread(target=_read, args=(result,))
            reader.start()
            waiting = 0
            while waiting < 3:
                waiting += _asked(url)
            started = time.perf_counter()
            result.close()
            reader.join()
            measured.append((time.perf_counter() - started) * 1000)
    return statistics.median(measured)


def _read(result: moltler.Result) -> None:
    from moltler.errors import MoltlerError

    with contextlib.suppress(MoltlerError):
        list(result.rows())


def _asked(url: str) -> int:
    with urllib.request.urlopen(f"{url}/stats") as answer:
        return int(json.load(answer)["requests"])


def planning(url: str) -> float:
    """Give the milliseconds in which a query of five tables is parsed and planned."""
    from benchmarks import ours
    from moltler.catalog.store import CatalogFile
    from moltler.compose import SystemClock
    from moltler.errors import Source
    from moltler.exec.scope import Scope
    from moltler.lang import ast
    from moltler.lang.parser import parse
    from moltler.plan.planner import plan_select
    from moltler.session.environment import BoundValues, CatalogTables, SqlVariables

    with tempfile.TemporaryDirectory() as home:
        with moltler.connect(Path(home)) as session:
            ours.define(session, url)
        clock = SystemClock()
        tables = CatalogTables(CatalogFile(Path(home), clock).load())
        variables = SqlVariables(Scope(), BoundValues({}, (), {}))
        measured: list[float] = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            (statement,) = parse(Source("bench", FIVE_TABLES)).statements
            assert isinstance(statement, ast.Select)
            plan = plan_select(statement.sql, tables, variables, now=clock.now())
            measured.append((time.perf_counter() - started) * 1000)
            assert len(plan.scans) == 5
    return statistics.median(measured)


def growth(url: str) -> float:
    """Give the megabytes by which a 25 times longer aggregation makes the processes grow."""
    from benchmarks import ours

    with _session(url, total=200_000) as session:
        session.execute(BIG.format(url=url))
        ours.scan(session, GROUPED.format(name="api"))
        before = _high_water_mb()
        ours.scan(session, GROUPED.format(name="big"))
        # The instance has a process of its own, which the shorter one had as well.
        return _high_water_mb() - before


def _high_water_mb() -> float:
    marks = sorted(map(processes.high_water_kb, processes.tree(os.getpid())))
    # Ourselves and the busiest runtime; the others wait.
    return sum(marks[-2:]) / 1024


FIGURES = {
    "T50": Figure("50 mocked tests from a cold process", "s", 1.5, cold_tests),
    "T1": Figure("each further mocked test", "ms", 5, further_test),
    "WATCH": Figure("an edited file's tests run again (`--watch`)", "ms", 300, watch),
    "CANCEL": Figure("cancelling a join whose scans all wait", "ms", 50, cancelling),
    "PLAN": Figure("planning a query of five tables", "ms", 5, planning),
    "GROW": Figure("5,000,000 rows grouped: growth over 200,000", "MB", 100, growth, rounds=1),
}


if __name__ == "__main__":
    name, address = sys.argv[1:3]
    print(json.dumps({"value": FIGURES[name].sample(address)}))
