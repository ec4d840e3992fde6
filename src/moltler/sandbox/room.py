"""The JavaScript of one test: state, clock and dice of its own over shared processes."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping

from moltler.errors import Problem
from moltler.flow.connector import ResolvedConnector
from moltler.loop import LoopThread
from moltler.model import Handler
from moltler.ports import Transport
from moltler.sandbox.call import Death
from moltler.sandbox.child import Child
from moltler.sandbox.coverage import Lines, lines_of
from moltler.sandbox.frames import MAX_TIME_MS
from moltler.sandbox.positions import Module
from moltler.sandbox.reuse import Reuse
from moltler.sandbox.runtime import Print, Runtime

Check = Callable[[Handler, str], tuple[Problem, ...]]


class TestRoom(Runtime):
    """Runs the handlers of one test (`ports.Handlers`); made by `JavaScriptHandlers.for_test`.

    Its clock is the real one until `advance` shifts it, or `set_virtual` makes it stand.
    """

    def __init__(
        self,
        loop: LoopThread,
        reuse: Reuse,
        open_transport: Callable[[ResolvedConnector], Transport],
        log: Print | None,
        *,
        check: Check,
        covers: bool,
    ) -> None:
        self._supply = _Supply(reuse, covers=covers)
        super().__init__(loop, self._supply, open_transport, log)
        self._check_handler = check

    def check(self, handler: Handler, entry: str) -> tuple[Problem, ...]:
        """Compile a handler without running it; tell what is wrong (DEF003, DEF005).

        Raises:
            MoltlerError: The runtime does not start (JSR003).
        """
        return self._check_handler(handler, entry)

    def advance(self, ms: float) -> None:
        """Move the clock on; timers of handlers that it passes fire."""
        self._loop.run(self._supply.advance(ms))

    def set_virtual(self, now_ms: float, seed: int, *, is_instant: bool = True) -> None:
        """Make the clock stand; call it before the first handler runs.

        Args:
            now_ms: Milliseconds since 1970.
            seed: Where random numbers come from, differently for each instance.
            is_instant: Whether timers elapse at once; else they take their time, and move the
                clock as well.
        """
        self._loop.run(self._supply.set_virtual(now_ms, seed, is_instant=is_instant))

    @property
    def virtual_now_ms(self) -> float | None:
        """The time, if the clock stands: later than what was set if timers elapsed."""
        return self._supply.now_ms

    def coverage(self) -> dict[Handler, Lines]:
        """Tell which lines ran of the handlers that were loaded, if that was asked for.

        A process that was killed took its part with it.
        """
        if not self._over.is_set():
            self._loop.run(self._supply.cover_all())
        return dict(self._supply.lines)

    @property
    def children(self) -> tuple[Child, ...]:
        """The processes that serve it now."""
        return self._supply.children

    def close(self) -> None:
        """Stop what runs and give the processes back; may be repeated, from any thread."""
        if not self._over.is_set():
            self._over.set()
            self._loop.run(self._close())

    async def _close(self) -> None:
        self._supply.is_closed = True
        await self._pool.close()


class _Supply:
    """The processes that a test has got, and what they know of its time; on the loop thread."""

    def __init__(self, reuse: Reuse, *, covers: bool) -> None:
        self._reuse = reuse
        self._covers = covers
        self._children: dict[Child, Mapping[int, Module]] = {}
        self._offset_ms = 0.0
        self._seed = 0
        self._is_instant = True
        self.now_ms: float | None = None
        self.lines: dict[Handler, Lines] = {}
        self.is_closed = False

    @property
    def idle_s(self) -> float:
        """Give the time without a call until an instance is retired."""
        return self._reuse.idle_s

    @property
    def children(self) -> tuple[Child, ...]:
        """What was claimed and is neither dead nor given back."""
        return tuple(child for child in self._children if child.is_alive)

    async def claim(self, target: ResolvedConnector, modules: Mapping[int, Module]) -> Child:
        """Give a process that has the time of the test."""
        child = await self._reuse.claim(target, covers=self._covers)
        self._children = {c: known for c, known in self._children.items() if c.is_alive}
        self._children[child] = modules
        if self.is_closed:
            child.kill(Death("closed"))
        if self.now_ms is not None:
            own = zlib.crc32(target.name.lower().encode())
            clock = {
                "virtual_now_ms": self.now_ms,
                "seed": (self._seed ^ own << 21) % (1 << 53),
                "is_instant": self._is_instant,
            }
            child.follow(clock, lambda now_ms: self._tick(child, now_ms))
        elif self._offset_ms:
            child.follow({"offset_ms": self._offset_ms}, None)
        return child

    async def release(self, child: Child) -> None:
        """Give a process back."""
        await self._cover(child)
        self._children.pop(child, None)
        await self._reuse.release(child)

    async def advance(self, ms: float) -> None:
        """Move the clock of every process on."""
        if self.now_ms is None:
            self._offset_ms += ms
        else:
            self.now_ms = min(self.now_ms + ms, MAX_TIME_MS)
        for child in self._children:
            self._tell(child)

    async def set_virtual(self, now_ms: float, seed: int, *, is_instant: bool) -> None:
        """Make the clock stand, for processes that are claimed from now on."""
        self.now_ms, self._seed, self._is_instant = float(math.floor(now_ms)), seed, is_instant

    async def cover_all(self) -> None:
        """Find out what ran so far."""
        for child in list(self._children):
            await self._cover(child)

    def _tick(self, source: Child, now_ms: float) -> None:
        if self.now_ms is None or now_ms <= self.now_ms:
            return
        self.now_ms = now_ms
        for child in self._children:
            if child is not source:
                self._tell(child)

    def _tell(self, child: Child) -> None:
        if self.now_ms is None:
            child.follow({"offset_ms": self._offset_ms}, None)
        else:
            child.follow({"virtual_now_ms": self.now_ms}, lambda now_ms: self._tick(child, now_ms))

    async def _cover(self, child: Child) -> None:
        modules = self._children.get(child)
        if not self._covers or modules is None or child.calls:
            return  # one that runs does not answer, and will be killed
        covered = await child.coverage()
        if covered is None:
            return
        for ranges in covered.modules:
            module = modules.get(ranges.id)
            if module is None or module.typescript:
                continue  # the engine counts in the text without types
            found = lines_of(module.handler, ranges.ranges)
            known = self.lines.get(module.handler)
            self.lines[module.handler] = found if known is None else known | found
