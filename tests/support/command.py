"""Runs the real ``moltler`` program in a process of its own, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Finished:
    """A finished run."""

    status: int
    stdout: str
    stderr: str

    def ok(self) -> Finished:
        assert self.status == 0, f"exit {self.status}\n{self.stdout}\n{self.stderr}"
        return self

    def fails(self, status: int) -> Finished:
        assert self.status == status, f"exit {self.status}\n{self.stdout}\n{self.stderr}"
        return self

    @property
    def json_lines(self) -> list[Any]:
        """Stdout read as one JSON value a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def error(self) -> Any:
        """The error record on the last line of stderr (with --json)."""
        return json.loads(self.stderr.splitlines()[-1])["error"]


class Moltler:
    """Calls ``moltler`` with arguments; everything it keeps is below `home`."""

    def __init__(self, home: Path, cwd: Path) -> None:
        self.home = home
        self.cwd = cwd
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "MOLTLER_HOME": str(home),
            "MOLTLER_KEY": "a key for tests only, long enough",
            "LANG": "C.UTF-8",
        }

    def __call__(
        self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None
    ) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", "moltler", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=self.cwd,
            env=self.environment | (env or {}),
            timeout=100,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)
