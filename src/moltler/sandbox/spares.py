"""Blank processes that are started before anybody needs them."""

from __future__ import annotations

import asyncio
from collections import deque

from moltler.flow.connector import CallLimits
from moltler.loop import LoopThread
from moltler.sandbox.call import Death
from moltler.sandbox.child import Child
from moltler.sandbox.program import Program, Times, runtime

SPARES = 1
_USUAL_MEMORY_MB = CallLimits().memory_mb


class Spares:
    """Blank processes that wait to be claimed, so that nobody waits for a start.

    Made in any thread, before anything heavy is imported; its coroutines run on the loop.

    Args:
        loop: Where the processes live.
        size: How many wait.
        times: How long we wait for them.
        program: What they run.
    """

    def __init__(
        self,
        loop: LoopThread,
        *,
        size: int = SPARES,
        times: Times | None = None,
        program: Program = runtime,
    ) -> None:
        self.times = times or Times()
        self._program = program
        self._loop = loop
        self._size = size
        self._starting: deque[tuple[Child, asyncio.Future[None]]] = deque()
        self._all: set[Child] = set()
        self._refill: asyncio.TimerHandle | None = None
        self._is_closed = False

    def prewarm(self) -> None:
        """Begin to start one process, without waiting for it."""

        async def start() -> None:
            self._fill(1)

        self._loop.submit(start())

    async def claim(self, memory_mb: int, *, covers: bool = False) -> Child:
        """Give a blank process that is ready, or dead if none could be started."""
        self._refill_soon()
        while memory_mb == _USUAL_MEMORY_MB and not covers and self._starting:
            child, task = self._starting.popleft()
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                self._starting.appendleft((child, task))
                raise
            if child.is_alive:
                return child
        child = Child(memory_mb, self.times, covers=covers, program=self._program)
        self._keep(child)
        try:
            await child.start()
        except asyncio.CancelledError:
            child.kill(Death("closed"))
            raise
        return child

    def give_back(self, child: Child) -> None:
        """Take back a process that compiled handlers and ran none, so it is blank as before."""
        if not child.is_alive or self._is_closed or len(self._starting) >= self._size:
            child.kill(Death("closed"))
            return
        is_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        is_ready.set_result(None)
        self._starting.appendleft((child, is_ready))

    async def close(self) -> None:
        """End every process that was ever handed out or waits."""
        self._is_closed = True
        if self._refill is not None:
            self._refill.cancel()
        for child in self._all:
            child.kill(Death("closed"))
        await asyncio.gather(*(child.gone() for child in self._all))
        starting, self._starting = self._starting, deque()
        await asyncio.gather(*(task for _, task in starting))
        self._all.clear()

    def _refill_soon(self) -> None:
        if self._refill is not None:
            self._refill.cancel()
        self._refill = asyncio.get_running_loop().call_later(
            self.times.refill_s, self._fill, self._size
        )

    def _fill(self, size: int) -> None:
        while not self._is_closed and len(self._starting) < size:
            child = Child(_USUAL_MEMORY_MB, self.times, program=self._program)
            self._keep(child)
            task = asyncio.get_running_loop().create_task(child.start())
            self._starting.append((child, task))

    def _keep(self, child: Child) -> None:
        if self._is_closed:
            child.kill(Death("closed"))
        self._all = {known for known in self._all if not known.is_buried} | {child}
