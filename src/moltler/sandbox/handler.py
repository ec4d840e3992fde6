"""The JavaScript of connectors for synchronous callers (`ports.Handlers`)."""

from __future__ import annotations

import asyncio
import weakref

from moltler.errors import Problem
from moltler.flow.connector import CallLimits
from moltler.loop import LoopThread
from moltler.model import Handler
from moltler.sandbox.call import Call, Death
from moltler.sandbox.child import Child
from moltler.sandbox.failures import Failing, of_death, of_source, session_closed
from moltler.sandbox.frames import MAX_SOURCE, Kind, Loaded, Thrown
from moltler.sandbox.pool import FromSpares, ask
from moltler.sandbox.reuse import Reuse
from moltler.sandbox.room import TestRoom
from moltler.sandbox.runtime import OpenTransport, Print, Runtime
from moltler.sandbox.spares import Spares
from moltler.sandbox.walls import Wall

_ANY_LIMITS = CallLimits()


class JavaScriptHandlers(Runtime):
    """Runs handlers in processes of their own; may be shared by threads.

    Args:
        loop: Where processes and requests live.
        open_transport: Makes the transport of an instance; it is closed with its process.
        log: Takes what handlers print, a line at a time, redacted; called on the loop thread.
        spares: Processes that were begun to start earlier; ours to close.
    """

    def __init__(
        self,
        loop: LoopThread,
        open_transport: OpenTransport,
        *,
        log: Print | None = None,
        spares: Spares | None = None,
    ) -> None:
        self._spares = spares or Spares(loop)
        super().__init__(loop, FromSpares(self._spares), open_transport, log)
        self._reuse = Reuse(self._spares)
        self._rooms: weakref.WeakSet[TestRoom] = weakref.WeakSet()
        self._claiming = asyncio.Lock()

    def prewarm(self) -> None:
        """Begin to start a process, without waiting for it."""
        self._spares.prewarm()

    def for_test(
        self,
        open_transport: OpenTransport,
        *,
        log: Print | None = None,
        covers: bool = False,
    ) -> TestRoom:
        """Give the runtime of one test, which shares processes with others but no state.

        Args:
            open_transport: Makes the transport of an instance of the test.
            log: Takes what handlers print.
            covers: Whether to find out which lines of handlers run.
        """
        room = TestRoom(
            self._loop, self._reuse, open_transport, log, check=self.check, covers=covers
        )
        self._rooms.add(room)
        return room

    @property
    def idle_for_tests(self) -> int:
        """How many processes wait for another test."""
        return self._reuse.free

    def check(self, handler: Handler, entry: str) -> tuple[Problem, ...]:
        """Compile a handler without running it; tell what is wrong (DEF003, DEF005).

        Raises:
            MoltlerError: The runtime does not start (JSR003).
        """
        size = len(handler.text.encode("utf-8", "surrogatepass"))
        if size > MAX_SOURCE:
            return (
                Problem(
                    "DEF005",
                    f"the handler's text has {size:,} bytes; allowed are {MAX_SOURCE:,}",
                    "leave out what the handler does not need",
                ),
            )
        if self._over.is_set():
            raise session_closed()
        answer, call = self._loop.run(self._check(handler, entry))
        match answer:
            case Loaded():
                return ()
            case Thrown():
                return (of_source(answer, handler, entry),)
            case Death():
                raise of_death(answer, call, Failing("", (), _ANY_LIMITS, handler))

    def walls(self) -> tuple[Wall, ...]:
        """Tell which walls stand around a process on this machine.

        Raises:
            MoltlerError: The runtime does not start (JSR003).
        """
        if self._over.is_set():
            raise session_closed()
        child = self._loop.run(self._look())
        if child.walls is None:
            death = child.death or Death("start")
            failing = Failing("", (), _ANY_LIMITS, Handler("", "", 1))
            raise of_death(death, Call(0, "check"), failing)
        return child.walls

    def close(self) -> None:
        """End every process; may be repeated."""
        if not self._over.is_set():
            self._over.set()
            for room in list(self._rooms):
                room.close()
            self._loop.run(self._close())

    async def _close(self) -> None:
        await self._pool.close()
        await self._spares.close()

    async def _look(self) -> Child:
        async with self._claiming:
            child = await self._spares.claim(_ANY_LIMITS.memory_mb)
            self._spares.give_back(child)
        return child

    async def _check(self, handler: Handler, entry: str) -> tuple[Loaded | Thrown | Death, Call]:
        # The handler's own code does not run: a module that throws stands before it.
        async with self._claiming:
            child = await self._spares.claim(_ANY_LIMITS.memory_mb)
            call = Call(child.next_id(), "check")
            try:
                answer = await ask(child, call, Kind.CHECK, handler, entry, child.times.check_s)
            finally:
                self._spares.give_back(child)
        return answer, call
