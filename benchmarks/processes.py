"""Processes and their memory, as Linux shows them."""

from __future__ import annotations

import contextlib
from pathlib import Path


def tree(pid: int) -> list[int]:
    """Give a process and everything it started."""
    found = [pid]
    with contextlib.suppress(OSError):  # processes end while they are looked at
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in task.read_text().split():
                found += tree(int(child))
    return found


def high_water_kb(pid: int) -> int:
    """Give the most memory that a process ever had resident; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
