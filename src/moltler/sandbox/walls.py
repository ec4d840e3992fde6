"""The walls around a runtime process, as its launcher reports them (RUNTIME §7)."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from moltler.sandbox.frames import BadFrame

_KEEPS = {
    "permissions": "JavaScript has no files, network, environment, programs or imports",
    "limits": "memory and open files are limited; no file grows, no core is dumped",
    "parent": "ends at once when Moltler ends, however that happens",
    "files": "reads the runtime and system libraries only, writes nothing, runs no program",
    "tcp": "opens and accepts no TCP connection",
    "signals": "reaches no other process by a signal",
    "system calls": "makes no socket and no process, looks into no other one",
}
"""What each keeps, beyond the first even if JavaScript's engine were broken out of."""


@dataclass(frozen=True, slots=True)
class Wall:
    """One thing that a runtime process cannot do."""

    name: str
    keeps: str
    """What is kept by it."""
    missing: str = ""
    """Why it does not stand on this machine; empty if it does."""


PERMISSIONS = Wall("permissions", _KEEPS["permissions"])


def walls_of(payload: bytes | bytearray) -> tuple[Wall, ...]:
    """Read the launcher's report.

    Raises:
        BadFrame: It is none.
    """
    try:
        report = msgspec.json.decode(payload, type=list[tuple[str, str]])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadFrame(f"walls: {error}") from error
    return PERMISSIONS, *(Wall(n, _KEEPS.get(n, n), missing) for n, missing in report)
