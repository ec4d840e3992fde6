"""Calls of handlers as coroutines: a query pulled page by page, and a single value."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from moltler.flow.connector import ResolvedConnector
from moltler.flow.scan import IncompleteReason, Warning
from moltler.model import Handler
from moltler.ports import WriteWatch
from moltler.sandbox.call import Broken, Call, Deadline, Death, Page, Returned
from moltler.sandbox.child import Child
from moltler.sandbox.failures import Failing, of_death, of_thrown
from moltler.sandbox.frames import BadFrame, End, Kind, Thrown
from moltler.sandbox.pool import Instance, NotLoaded, Pool
from moltler.sandbox.positions import Module
from moltler.sandbox.turns import Turn

WINDOWS = (1, 1, 2, 4)
"""How many pages may be on their way at the first, second … pull; the last one stays."""
_PART = slice(12, 16)
"""Where a page says that it is a part of an array and not what a generator yielded."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a call runs, and for whom."""

    target: ResolvedConnector
    handler: Handler
    entry: str
    source: str
    """The connector and entity, for warnings."""
    failing: Failing
    spec: bytes
    """The CALL frame's JSON object, without the handler's id."""
    watch: WriteWatch | None = None
    admit: Callable[[], Exception | None] | None = None
    """Asked before each request; see `ScanRequest.admit`."""


class Stream:
    """The loop's side of one query."""

    def __init__(self, pool: Pool, work: Work) -> None:
        self._pool = pool
        self._work = work
        self._limits = work.target.limits
        self._instance: Instance | None = None
        self._child: Child | None = None
        self._call: Call | None = None
        self._modules: Mapping[int, Module] = {}
        self._turn: Turn | None = None
        self._puller: asyncio.Task[object] | None = None
        self._pulls = 0
        self._counted = 0
        """Pages that a generator yielded."""
        self._is_rerun = False
        self._is_closed = False
        self.pages = 0
        self._past_requests = 0
        self._past_api_s = self._past_call_s = 0.0
        self.has_ended = False
        self.incomplete_reason: IncompleteReason | None = None
        self.warnings: tuple[Warning, ...] = ()

    @property
    def requests(self) -> int:
        """HTTP requests so far."""
        return self._past_requests + (self._call.requests if self._call else 0)

    @property
    def api_s(self) -> float:
        """Seconds with a request on its way, so far."""
        return self._past_api_s + (self._call.api.read() if self._call else 0.0)

    @property
    def call_s(self) -> float:
        """Seconds in which the handler ran or waited for a response, so far."""
        return self._past_call_s + (self._call.busy.read() if self._call else 0.0)

    @property
    def server_time(self) -> datetime | None:
        """The time of the API at its first response, if it told it."""
        return self._call.server_time if self._call else None

    async def pull(self) -> bytes | bytearray | None:
        """Give the next page, or ``None`` at the end.

        Raises:
            MoltlerError: The handler failed.
        """
        if self._is_closed or self.has_ended:
            return None
        self._puller = asyncio.current_task()
        self._pulls += 1
        try:
            return await self._next()
        except BaseException:
            self._finish()
            raise
        finally:
            self._puller = None

    async def stop(self) -> None:
        """Stop the handler, so that its ``finally`` runs; may be repeated."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._puller is not None:
            self._puller.cancel()
        call, child = self._call, self._child
        if call is not None and child is not None and not call.is_over:
            child.cancel(call)
            # By then it is killed, unless another call rightly keeps the process busy.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(call.over.wait(), 2 * child.times.grace_s)
        self._finish()

    async def abandon(self, death: Death) -> None:
        """Kill the process, which sent what no honest one sends."""
        if self._child is not None:
            self._child.kill(death)
        self._finish()

    async def _next(self) -> bytes | bytearray | None:
        while True:
            call = self._call
            if call is None:
                call = await self._begin()
            else:
                await self._grant(call)
            item = await call.next()
            match item:
                case Page(payload):
                    self.pages += 1
                    self._counted += not any(payload[_PART])
                    return payload
                case End():
                    self._end(item)
                    return None
                case None:
                    self.incomplete_reason = "page_cap"
                    self._cancel(call)
                    self._finish()
                    return None
                case Thrown():
                    raise of_thrown(item, call, self._work.failing, self._modules)
                case Death():
                    self._lost(item, call)
                case Broken(error):
                    raise error
                case _:
                    raise BadFrame(type(item).__name__)

    def _lost(self, death: Death, call: Call) -> None:
        """Begin anew, if nothing was delivered and the call was not what killed the process."""
        innocent = call.id not in death.culprits and death.cause not in {"start", "closed"}
        if self._is_rerun or self.pages or not innocent:
            raise of_death(death, call, self._work.failing)
        self._is_rerun = True
        self._past_requests += call.requests
        self._past_api_s += call.api.read()
        self._past_call_s += call.busy.read()
        self._call = None

    async def _begin(self) -> Call:
        work = self._work
        if self._instance is None:
            self._instance = self._pool.enter(work.target)
        turn = self._turn = self._turn or Turn(self._instance.turns)
        self._child, self._call = await begin(self._instance, turn, work, "query")
        self._modules = self._instance.modules
        return self._call

    async def _grant(self, call: Call) -> None:
        child, turn, instance = self._child, self._turn, self._instance
        if call.is_over or child is None or turn is None or instance is None:
            return
        buffered = len(call.news)
        window = WINDOWS[min(self._pulls, len(WINDOWS)) - 1]
        wanted = window - call.credit - buffered
        if 2 * wanted < window:
            return  # there is enough on its way; a frame for each page would cost both sides
        cap = self._limits.max_pages
        if cap is not None:
            wanted = min(wanted, cap - self._counted - call.credit - buffered)
            if wanted <= 0 and not call.credit and not buffered:
                call.may_fetch = False  # only see whether it ends by itself
                wanted = 1
        if wanted <= 0:
            return
        if call.credit:
            # Whoever waits gets the turn as soon as this handler has used its credit up.
            if not instance.turns.is_wanted:
                child.credit(call, wanted)
            return
        if buffered:
            if not turn.try_take():
                return
        else:
            await turn.take()
        if call.is_over:
            turn.end()
        else:
            child.credit(call, wanted)

    def _end(self, end: End) -> None:
        self.has_ended = True
        if end.more is not None:
            self.incomplete_reason = "possibly_incomplete"
        if end.nothing:
            message = "the handler returned nothing, which counts as no rows"
            warning = Warning("handler_returned_nothing", message, self._work.source)
            self.warnings = (*self.warnings, warning)
        self._finish()

    def _cancel(self, call: Call) -> None:
        if self._child is not None:
            self._child.cancel(call)

    def _finish(self) -> None:
        call = self._call
        if call is not None and not call.is_over:
            self._cancel(call)
        self._is_closed = True
        if self._turn is not None and (call is None or call.is_over):
            self._turn.end()
        if self._instance is not None:
            instance, self._instance = self._instance, None
            self._pool.leave(instance)


async def run_value(pool: Pool, work: Work) -> Returned:
    """Run a handler that returns one value.

    Raises:
        MoltlerError: It failed.
    """
    instance = pool.enter(work.target)
    try:
        child, call = await begin(instance, Turn(instance.turns), work, "value")
        modules = instance.modules
        try:
            item = await call.next()
        except asyncio.CancelledError:
            child.cancel(call)
            raise
        match item:
            case Returned():
                return item
            case Thrown():
                raise of_thrown(item, call, work.failing, modules)
            case Death():
                raise of_death(item, call, work.failing)
            case Broken(error):
                child.cancel(call)
                raise error
            case _:
                raise BadFrame(type(item).__name__)
    finally:
        pool.leave(instance)


async def begin(
    instance: Instance, turn: Turn, work: Work, kind: Literal["query", "value"]
) -> tuple[Child, Call]:
    """Wait for the turn, have the handler loaded and call it; a query gets one credit."""
    await turn.take()
    try:
        child = await instance.child()
        module, spent_s = await instance.module(
            child, work.handler, work.entry, work.watch, work.admit
        )
        instance.check_open()
    except NotLoaded as failed:
        turn.end()
        if isinstance(failed.reason, Death):
            raise of_death(failed.reason, failed.call, work.failing) from None
        raise of_thrown(failed.reason, failed.call, work.failing, instance.modules) from None
    except BaseException:
        turn.end()
        raise
    call = Call(child.next_id(), kind, work.watch, work.admit)
    call.deadline = Deadline(
        work.target.limits.timeout_s,
        instance.transport.waits,
        lambda: child.kill(Death("time", frozenset({call.id}))),
        spent_s,
    )
    call.on_pause = turn.end
    if kind == "query":
        call.credit = 1
    call.run()
    child.open(call, Kind.CALL, b'{"handler":%d,%b' % (module.id, work.spec[1:]))
    return child, call
