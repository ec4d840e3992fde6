"""The shell and the progress line on a real terminal (a pty), typed at key by key."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from cli.conftest import Cli
from support.command import Moltler

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pty")

# Makes the pty the controlling terminal, so that Ctrl-C typed there is a signal here.
START = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "moltler", *sys.argv[1:]])
"""
PROMPT = "moltler>"


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, moltler: Moltler, arguments: tuple[str, ...]) -> None:
        self.master, slave = os.openpty()
        self.slave = slave
        termios.tcsetwinsize(slave, (40, 120))
        self.before = termios.tcgetattr(slave)
        self.seen = ""
        self.program = subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            env=moltler.environment
            | {"TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": "120"},
            cwd=moltler.cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )

    def type(self, keys: str, awaited: str) -> str:
        """Type, and give what appears up to the awaited text (a regular expression)."""
        start = len(self.seen)
        os.write(self.master, keys.encode())
        return self.wait(awaited, start)

    def wait(self, awaited: str, start: int | None = None) -> str:
        start = len(self.seen) if start is None else start
        deadline = time.monotonic() + 20
        while not re.search(awaited, plain(self.seen[start:])):
            left = deadline - time.monotonic()
            assert left > 0, f"{awaited!r} did not appear in {plain(self.seen[start:])!r}"
            if select.select([self.master], [], [], left)[0]:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
        return plain(self.seen[start:])

    def ends(self) -> int:
        """Wait for the program, give its exit status, and see that the terminal is sane."""
        status = self.program.wait(20)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
        assert termios.tcgetattr(self.slave) == self.before
        shown, hidden = (self.seen.rfind(f"\x1b[?25{letter}") for letter in "hl")
        assert shown >= hidden
        return status

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.send_signal(signal.SIGKILL)
            self.program.wait()
        os.close(self.master)
        os.close(self.slave)


def plain(text: str) -> str:
    """Give text without its colours and cursor movements."""
    return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", text)


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(shop: Cli, moltler_command: Moltler) -> Iterator[Open]:
    assert shop("query", "SHOW CONNECTORS").status == 0
    opened: list[Terminal] = []

    def open_terminal(*arguments: str) -> Terminal:
        opened.append(Terminal(moltler_command, arguments))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def test_shell_reads_lines_up_to_a_semicolon_completes_and_remembers(terminal: Open) -> None:
    shell = terminal()
    shell.wait(PROMPT)
    shell.type("SELECT 40 +\r", r"\.\.\.>")
    assert "42" in shell.type("2 AS answer;\r", r"1 row\(s\)\s+(?s:.*)moltler>")
    assert "\x1b[0;38" in shell.seen, "keywords are coloured"

    shell.type("SELECT na\t", "SELECT name")
    shell.type(" FROM my_shop.items WHERE id = 2;\r", r"Item 2\s+1 row\(s\)(?s:.*)moltler>")

    text = shell.type("SELECT nope;\r", "error(?s:.*)moltler>")
    assert "--> <shell>:1:8" in text
    shell.type("SELECT half of it", "half of it")
    shell.type("\x03", PROMPT)
    shell.type("\x1b[A", "SELECT nope;")
    shell.type("\x03", PROMPT)

    shell.type("SELECT count(*) FROM my_shop.pages;\r", r"row\(s\) read, [\d,]+/s")
    shell.type("\x03", "interrupted(?s:.*)moltler>")
    shell.type("SELECT 'still' || ' here' AS a;\r", r"still here(?s:.*)moltler>")

    assert "CONNECTORS" in shell.type("help\r", r"Ctrl-D leaves(?s:.*)moltler>")
    history = shell.type("history\r", r"(?s)still.*moltler>")
    assert "SELECT 40 +\r\n2 AS answer;" in history
    shell.type("exit\r", "exit")
    assert shell.ends() == 0


def test_progress_is_one_line_that_ctrl_c_wipes(terminal: Open) -> None:
    query = terminal("query", "SELECT count(*) FROM my_shop.pages")
    query.wait(r"[\d,]+ row\(s\) read, [\d,]+/s, \d+ s")
    query.type("\x03", "interrupted")
    assert query.ends() == 130
    assert "\x1b[2K" in query.seen.rpartition("row(s) read")[2]
    assert "error" not in query.seen
