"""The program that becomes a runtime process, and how long we wait for one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import deno

_HERE = Path(__file__).parent
_DENIED = ("read", "write", "net", "env", "run", "ffi", "import")
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/dev/urandom")
"""What a process may read beside its own program: shared libraries, and where seeds come from."""
_NURSERY_MB = 8
"""Room for new objects, and as much again to move them to. By the engine's own choice it would
double over a long scan, which saves no time."""

Program = Callable[[int, bool], list[str]]
"""Gives a command by megabytes of memory, and whether it shall tell which lines run."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long we wait for a process."""

    start_s: float = 20.0
    check_s: float = 5.0
    """For the compiling of a definition, which runs nothing of it."""
    silence_s: float = 10.0
    """Without an answer while no call runs: a loop that a call left behind."""
    watch_s: float = 5.0
    """How often a process is looked at: its memory, and what an idle one does."""
    grace_s: float = 1.0
    """For a cancelled call to stop."""
    idle_s: float = 600.0
    """Without a call until a process is ended."""
    refill_s: float = 0.5
    """Until spares are replaced: a program that runs one statement never pays for them."""


def runtime(memory_mb: int, covers: bool) -> list[str]:  # noqa: FBT001 - a `Program`
    """Give the command of the JavaScript runtime.

    With `covers` it may open the engine's inspector inside of itself; it revokes that itself
    before any handler is there (`js/cover.js`).
    """
    scripts = _HERE / "js"
    return walled(
        [
            deno.find_deno_bin(), "run", "--quiet", "--no-prompt", "--no-config", "--no-lock",
            "--no-remote", "--no-npm", "--cached-only", "--no-check",
            *(f"--deny-{what}" for what in _DENIED),
            "--allow-sys=inspector" if covers else "--deny-sys",
            f"--import-map={scripts / 'import_map.json'}",
            # Code of a text could `import()`; that of the handler itself is looked through.
            f"--v8-flags=--max-old-space-size={memory_mb},--max-semi-space-size={_NURSERY_MB}"
            ",--disallow-code-generation-from-strings",
            str(scripts / "runner.js"), *(["--coverage"] if covers else []),
        ],
        memory_mb,
        [str(scripts)],
    )  # fmt: skip


def walled(command: list[str], memory_mb: int, readable: list[str]) -> list[str]:
    """Give a command that builds the walls around itself and then becomes another one.

    Args:
        command: What it becomes; the program by its whole path.
        memory_mb: What its heap may have; the rest of its data may have 1.25 GB more.
        readable: Files and folders that it may read beside system libraries.
    """
    paths = [command[0], *readable, *_SYSTEM]
    return [
        sys.executable, "-I", "-S", str(_HERE / "launch.py"), str(os.getpid()), str(memory_mb),
        str(len(paths)), *paths, *command,
    ]  # fmt: skip
