"""What the host knows of one call in a child, and its time limit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from moltler.flow.http import FetchFailure
from moltler.ports import Waits, WriteWatch
from moltler.sandbox.frames import BadFrame, End, Loaded, Thrown
from moltler.sandbox.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True)
class Death:
    """Why a process is no more."""

    cause: Literal["time", "died", "memory", "forged", "stopped", "looping", "start", "closed"]
    culprits: frozenset[int] = frozenset()
    """Ids of the calls that brought it about; empty if nobody can tell."""
    detail: str = ""
    returncode: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """The bytes of one page."""

    payload: bytes | bytearray


@dataclass(frozen=True, slots=True)
class Returned:
    """The JSON of what an action returned."""

    payload: bytes | bytearray


@dataclass(frozen=True, slots=True)
class Broken:
    """Something of ours failed on the call's behalf, such as the gate before a write."""

    error: Exception


News: TypeAlias = Page | Returned | End | Thrown | Loaded | Death | Broken
_TAKES: dict[str, tuple[type, ...]] = {
    "query": (Page, End, Thrown),
    "value": (Returned, End, Thrown),
    "load": (Loaded, Thrown),
    "check": (Loaded, Thrown),
}


@dataclass(eq=False)
class Call:
    """One LOAD, CHECK or CALL frame that has not been answered to its end.

    `deliver` is called by the child as frames arrive; `next` waits for them.
    """

    id: int
    kind: Literal["query", "value", "load", "check"]
    watch: WriteWatch | None = None
    admit: Callable[[], Exception | None] | None = None
    """Asked before each request; see `ScanRequest.admit`."""
    is_refused: bool = False
    """A request was not admitted, so it ends, whatever its handler makes of that."""
    credit: int = 0
    """Pages the child may still send."""
    is_running: bool = True
    """Whether JavaScript may be running for it."""
    may_fetch: bool = True
    """False while we only look whether a handler goes on; `wants_more` says that it would."""
    wants_more: bool = False
    is_cancelled: bool = False
    is_over: bool = False
    requests: int = 0
    refusals: int = 0
    """Requests that were not sent because they may not be."""
    api: Stopwatch = field(default_factory=Stopwatch)
    """Runs while a request of it is not answered to its end."""
    busy: Stopwatch = field(default_factory=Stopwatch)
    """Runs while its JavaScript runs, or waits for an API."""
    failures: list[FetchFailure] = field(default_factory=list[FetchFailure])
    """The last failures of its requests, newest last."""
    server_time: datetime | None = None
    """The ``Date`` of its first response, if it had one."""
    log_lines: int = 0
    log_bytes: int = 0
    on_pause: Callable[[], None] | None = None
    """Called when its JavaScript stops running: no credit left, or over."""
    deadline: Deadline | None = None
    news: deque[News] = field(default_factory=deque[News])
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _waiter: asyncio.Future[None] | None = None

    def deliver(self, item: News) -> None:
        """Take what arrived.

        Raises:
            BadFrame: It is nothing that may arrive now.
        """
        if self.is_over:
            return
        if isinstance(item, Death):
            self.news.append(item)
            self._end()
            return
        if not isinstance(item, (*_TAKES[self.kind], Broken)):
            raise BadFrame(f"{type(item).__name__} for a {self.kind}")
        if isinstance(item, Page):
            self._page(item)
        elif isinstance(item, Broken):
            self.news.append(item)
        else:
            if isinstance(item, End) and self.kind == "value" and not self.is_cancelled:
                raise BadFrame("END for a value")
            self.news.append(item)
            self._end()
        self.wake()

    async def next(self) -> News | None:
        """Wait for what arrives next; ``None`` if only `wants_more` was found out.

        One waiter at a time.
        """
        while not self.news:
            if self.wants_more:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.news.popleft()

    def wake(self) -> None:
        """Let the waiter look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def run(self) -> None:
        """Note that JavaScript runs from now on, and count its time."""
        self.is_running = True
        if not self.busy.is_running:
            self.busy.start()
        if self.deadline is not None:
            self.deadline.start()

    def _page(self, page: Page) -> None:
        if self.credit == 0:
            raise BadFrame("a page that nobody asked for")
        self.credit -= 1
        if not self.may_fetch:
            self.wants_more = True
        elif not self.is_cancelled:
            self.news.append(page)
        if self.credit == 0:
            self._pause()
        elif self.deadline is not None:
            self.deadline.start()

    def _pause(self) -> None:
        self.is_running = False
        if self.busy.is_running:
            self.busy.stop()
        if self.deadline is not None:
            self.deadline.stop()
        if self.on_pause is not None:
            self.on_pause()

    def _end(self) -> None:
        self.is_over = True
        self.over.set()
        self._pause()
        self.wake()


class Deadline:
    """A time limit that does not count the time spent in the queue and the throttle.

    Args:
        limit_s: Seconds from each start.
        waits: What does not count.
        on_expired: Called when the time is over.
        spent_s: Seconds that count as gone at the first start.
    """

    def __init__(
        self,
        limit_s: float,
        waits: Waits | None,
        on_expired: Callable[[], None],
        spent_s: float = 0.0,
    ) -> None:
        self._limit_s = limit_s
        self._spent_s = spent_s
        self._waits = waits
        self._on_expired = on_expired
        self._timer: asyncio.TimerHandle | None = None
        self._started = self._waited = 0.0

    def start(self) -> None:
        """Count from now on, from zero."""
        loop = asyncio.get_running_loop()
        spent, self._spent_s = self._spent_s, 0.0
        self._started = loop.time() - spent
        self._waited = self._waits.read() if self._waits else 0.0
        if self._timer is None:
            # Later starts leave the timer alone; when it rings it looks at the clock.
            self._timer = loop.call_later(max(self._limit_s - spent, 0), self._ring)

    @property
    def spent_s(self) -> float:
        """Seconds that count, since the last start."""
        waited = self._waits.read() - self._waited if self._waits else 0.0
        return asyncio.get_running_loop().time() - self._started - waited

    def stop(self) -> None:
        """Count no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._limit_s - self.spent_s
        if left > 0:
            self._timer = loop.call_later(left, self._ring)
        else:
            self._timer = None
            self._on_expired()
