"""What only the real program shows: what it loads, pipes, closed readers and full disks."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cli.conftest import Cli
from support.command import Moltler

HEAVY = ("sqlglot", "duckdb", "pyarrow", "aiohttp", "rich", "cryptography", "prompt_toolkit")
REPORT = """
import contextlib, io, sys
from moltler.cli.main import run
with contextlib.redirect_stdout(io.StringIO()) as printed:
    status = run(sys.argv[1:])
assert printed.getvalue()
print(status, [name for name in %r if name in sys.modules])
"""


def loads(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", REPORT % (HEAVY,), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["query", "--help"],
        ["test", "--help"],
        ["new", "connector", "--help"],
        ["secrets", "--help"],
        ["explain", "CAT002"],
    ],
)
def test_commands_without_a_session_load_nothing_heavy(arguments: list[str]) -> None:
    assert loads(*arguments) == "0 []"


def test_fmt_loads_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("show   connectors")
    assert loads("fmt", str(tmp_path)) == "0 []"


def piped(moltler: Moltler, shell: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", "set -o pipefail; " + shell, sys.executable],
        env=moltler.environment,
        cwd=moltler.cwd,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["table", "csv", "json", "arrow"])
def test_reader_that_leaves_early_is_no_failure(moltler_command: Moltler, name: str) -> None:
    query = f'"$0" -m moltler query -f {name} "SELECT * FROM range(1000000)"'
    ran = piped(moltler_command, query + " | head -c 10 | wc -c")
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, b"10", b"")


def test_scan_stops_when_its_reader_leaves(shop: Cli, moltler_command: Moltler) -> None:
    assert shop("query", "SHOW CONNECTORS").status == 0
    query = '"$0" -m moltler query -f ndjson "SELECT * FROM my_shop.pages"'
    ran = piped(moltler_command, query + " | head -n 1")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b'{"id":0}\n', b"")


def test_bytes_go_through_a_pipe_untouched(moltler_command: Moltler) -> None:
    ran = piped(moltler_command, '"$0" -m moltler query -f parquet "SELECT 42 AS a" | cat')
    assert pq.read_table(io.BytesIO(ran.stdout)).to_pylist() == [{"a": 42}]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_full_disk_is_told_in_one_sentence(moltler_command: Moltler) -> None:
    ran = piped(moltler_command, '"$0" -m moltler query "SELECT 1" > /dev/full')
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"error[SYN900]: cannot write standard output: No space left")


def test_json_is_utf8_and_text_is_escaped_where_the_terminal_is_not(
    moltler_command: Moltler,
) -> None:
    latin = {"PYTHONIOENCODING": "latin-1"}
    run = moltler_command("query", "-f", "json", "SELECT '✓' AS a", env=latin).ok()
    assert run.json_lines[0]["rows"] == [["✓"]]
    assert "\\u2713" in moltler_command("query", "SELECT '✓' AS a", env=latin).ok().stdout


def test_a_pipe_into_the_shell_is_a_script(moltler_command: Moltler) -> None:
    run = moltler_command(stdin="SELECT 1 AS a; SELECT nope; SELECT 2 AS b").fails(1)
    assert run.stdout.startswith("a\n")
    assert "b" not in run.stdout
    assert "--> <stdin>:1:23" in run.stderr
