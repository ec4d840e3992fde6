"""Processes that serve one test after another."""

from __future__ import annotations

from dataclasses import dataclass

from moltler.flow.connector import ResolvedConnector
from moltler.sandbox.call import Death
from moltler.sandbox.child import Child
from moltler.sandbox.spares import Spares

MAX_FREE = 4
"""How many processes wait for another test; beyond that the oldest is ended."""
_MAX_TESTS = 200
"""The engine never forgets a module that was loaded, so memory would grow without end."""
_MAX_HEAP_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class _Use:
    """What a process may be used for.

    The tests of one type: a type that knows a way around the reset fools only its own.
    """

    type_name: str
    memory_mb: int
    covers: bool


class Reuse:
    """Lends processes to tests and takes them back if they are as they were; on the loop thread."""

    def __init__(self, spares: Spares) -> None:
        self._spares = spares
        self._uses: dict[Child, tuple[_Use, int]] = {}
        """For what and how often each process of ours was lent."""
        self._free: list[Child] = []

    @property
    def idle_s(self) -> float:
        """The time without a call until an instance is retired."""
        return self._spares.times.idle_s

    @property
    def free(self) -> int:
        """How many processes wait for another test."""
        return len(self._free)

    async def claim(self, target: ResolvedConnector, *, covers: bool) -> Child:
        """Give a process as good as new, or a dead one if none could be started."""
        use = _Use(target.type.name.lower(), target.limits.memory_mb, covers)
        self._free = [child for child in self._free if child.is_alive]
        self._uses = {child: used for child, used in self._uses.items() if child.is_alive}
        for child in reversed(self._free):
            known, times = self._uses[child]
            if known == use:
                self._free.remove(child)
                self._uses[child] = use, times + 1
                return child
        child = await self._spares.claim(use.memory_mb, covers=covers)
        if child.is_alive and await child.reset() is None:
            child.kill(Death("start", detail="it does not take tests"))
        self._uses[child] = use, 1
        return child

    async def release(self, child: Child) -> None:
        """Take a process back; it is ended if it is no longer as it was."""
        clean = await child.reset()
        use, times = self._uses.get(child, (None, 0))
        if (
            clean is None
            or use is None
            or times >= _MAX_TESTS
            or clean.heap_bytes > (use.memory_mb << 20) * _MAX_HEAP_SHARE
        ):
            self._uses.pop(child, None)
            child.kill(Death("closed"))
            await child.gone()
            return
        self._free.append(child)
        while len(self._free) > MAX_FREE:
            self._free.pop(0).kill(Death("closed"))
