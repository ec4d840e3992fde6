"""What a process uses of memory and of the processor."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

_BESIDE_THE_HEAP = 1280 << 20
"""Bytes of memory that a process may have beside its heap, as the launcher limits its data."""
_IDLE_SHARE = 0.5
"""Of the processor, for a process that nobody called; beyond it something was left behind."""
_TIME = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Usage:
    """At one moment."""

    memory_bytes: int
    """In main memory, shared pages included."""
    cpu_s: float
    """Since its start, by all its threads."""


class Leash:
    """What the use of one process says about it, looked at again and again.

    Args:
        memory_mb: What its heap may have.
        interval_s: The time between two looks.
    """

    def __init__(self, memory_mb: int, interval_s: float) -> None:
        self._memory = (memory_mb << 20) + _BESIDE_THE_HEAP
        self._idle_cpu_s = _IDLE_SHARE * interval_s
        self._idle: tuple[int, float] | None = None

    def is_memory_spent(self, usage: Usage) -> bool:
        """Tell whether it has more memory than the kernel should have given it."""
        return usage.memory_bytes > self._memory

    def is_astray(self, usage: Usage, opened: int, running: int) -> bool:
        """Tell whether it was busy since the last look although nobody called it.

        It may well answer: timers and promises of a call that is over keep it at work.

        Args:
            usage: Now.
            opened: How many calls it had so far.
            running: How many it has now.
        """
        before, self._idle = self._idle, None if running else (opened, usage.cpu_s)
        if running or before is None or before[0] != opened:
            return False
        return usage.cpu_s - before[1] > self._idle_cpu_s


async def usage_of(pid: int) -> Usage | None:
    """Look at a process; ``None`` if it is gone, or this system does not tell."""
    return _from_proc(pid) if sys.platform == "linux" else await from_ps(pid)


def _from_proc(pid: int) -> Usage | None:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        # The name of the program is in brackets and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[11]) + int(fields[12])
    return Usage(pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))


async def from_ps(pid: int) -> Usage | None:
    """Ask the program ``ps``, which every Unix has."""
    try:
        process = await asyncio.create_subprocess_exec(
            "ps", "-o", "rss=", "-o", "time=", "-p", str(pid),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:
        return None
    fields = (await process.communicate())[0].decode("ascii", "replace").split()
    spent = _TIME.fullmatch(fields[1]) if len(fields) == 2 else None
    if spent is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in spent.groups())
    return Usage(int(fields[0]) << 10, ((days * 24 + hours) * 60 + minutes) * 60 + seconds)
