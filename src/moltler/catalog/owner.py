"""Which process a record belongs to, and whether that process still runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

_PROC = Path("/proc")


def this_process() -> str:
    """Give a text that names the running process and no other, also after its id is reused."""
    return f"{os.getpid()} {_started(os.getpid())} {_namespace()}"


def life_of(owner: str) -> Literal["alive", "dead", "elsewhere"]:
    """Tell whether the process that `this_process` named still runs.

    Returns:
        ``elsewhere`` if it ran in another container, where it cannot be seen.
    """
    pid, started, namespace = ([*owner.split(" "), "", "", ""])[:3]
    if not pid.isdigit():
        return "dead"
    boot, _, room = namespace.partition("/")
    own_boot, _, own_room = _namespace().partition("/")
    if boot != own_boot:
        return "dead"
    if room != own_room:
        return "elsewhere"
    if started:
        return "alive" if _started(int(pid)) == started else "dead"
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return "dead"
    except PermissionError:
        return "alive"
    return "alive"


def _started(pid: int) -> str:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return ""
    # Field 22, counted after the program's name, which may itself hold blanks and brackets.
    cells = stat.rpartition(")")[2].split()
    # A zombie has ended; only its parent has not noticed.
    return "" if cells[0] == "Z" else cells[19]


def _namespace() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""
