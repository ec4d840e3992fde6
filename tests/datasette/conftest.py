from __future__ import annotations

import re
import runpy
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples/datasette"
_ADDRESS = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:\d+)")
_REQUEST = re.compile(r'"GET (\S+) HTTP')


class Datasette:
    """A real ``datasette serve`` on a free port; knows what it was asked by its own log."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.url = ""
        self._asked: list[str] = []
        self._markers = 0
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "datasette", "serve", str(database), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        with self._news:
            assert self._news.wait_for(lambda: self.url, timeout=60), "datasette did not start"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                if found := _ADDRESS.search(line):
                    self.url = found[1]
                if found := _REQUEST.search(line):
                    self._asked.append(found[1])
                self._news.notify_all()

    def asked(self) -> list[str]:
        """Give the targets of the requests since the last call."""
        self._markers += 1
        marker = f"/-/versions.json?marker={self._markers}"
        with urllib.request.urlopen(self.url + marker) as answer:
            answer.read()
        with self._news:
            # The log arrives through a pipe; what stands before the marker is complete.
            assert self._news.wait_for(lambda: marker in self._asked, timeout=20)
            asked, self._asked = self._asked, []
        return asked[: asked.index(marker)]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    database = tmp_path_factory.mktemp("datasette") / "shop.db"
    runpy.run_path(str(FOLDER / "make_shop.py"))["main"](database)
    server = Datasette(database)
    yield server
    server.close()


@pytest.fixture
def sqlite(datasette: Datasette) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(datasette.database)) as connection:
        # As in the SQL of Moltler.
        connection.execute("PRAGMA case_sensitive_like = 1")
        yield connection
