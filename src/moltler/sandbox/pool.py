"""Which process serves which instance: claims, loaded handlers, idle exit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from moltler.flow.connector import ResolvedConnector
from moltler.model import Handler
from moltler.net.resealing import SealedTransport
from moltler.ports import Transport, WriteWatch
from moltler.sandbox.call import Broken, Call, Deadline, Death
from moltler.sandbox.child import Child
from moltler.sandbox.failures import session_closed
from moltler.sandbox.frames import BadFrame, Kind, Loaded, Thrown, encode_json
from moltler.sandbox.positions import Module
from moltler.sandbox.spares import Spares
from moltler.sandbox.turns import Turns

Redacted = Callable[[ResolvedConnector, str, str], None]


class NotLoaded(Exception):  # noqa: N818 - a verdict that becomes a MoltlerError
    """A handler did not load."""

    def __init__(self, reason: Thrown | Death, call: Call) -> None:
        self.reason = reason
        self.call = call
        super().__init__()


class Supply(Protocol):
    """Where the processes of instances come from, and where they go."""

    @property
    def idle_s(self) -> float:
        """Give the time without a call until an instance is retired."""
        ...

    async def claim(self, target: ResolvedConnector, modules: Mapping[int, Module]) -> Child:
        """Give a process that is ready, or dead if none could be started.

        `modules` will hold what is loaded into it.
        """
        ...

    async def release(self, child: Child) -> None:
        """Take a process back."""
        ...


class FromSpares:
    """Processes that serve one instance and end with it."""

    def __init__(self, spares: Spares) -> None:
        self._spares = spares

    @property
    def idle_s(self) -> float:
        """Give the time without a call until an instance is retired."""
        return self._spares.times.idle_s

    async def claim(self, target: ResolvedConnector, modules: Mapping[int, Module]) -> Child:
        """Give a blank process."""
        return await self._spares.claim(target.limits.memory_mb)

    async def release(self, child: Child) -> None:
        """End it."""
        child.kill(Death("closed"))
        await child.gone()


class Instance:
    """The process, transport and turns of one instance at one state of its definition."""

    def __init__(
        self,
        target: ResolvedConnector,
        transport: SealedTransport,
        supply: Supply,
        log: Callable[[str, str], None] | None,
    ) -> None:
        self.target = target
        self.transport = transport
        self.turns = Turns(target.limits.max_concurrency)
        self.open_calls = 0
        self.modules: dict[int, Module] = {}
        self._supply = supply
        self._log = log
        self._child: Child | None = None
        self._loaded: dict[tuple[Handler, str], Module] = {}
        self._claiming = asyncio.Lock()
        self._loading = asyncio.Lock()
        self._is_closed = False

    async def child(self) -> Child:
        """Give its process, claiming a new one if there is none; may be dead if none starts."""
        async with self._claiming:
            child = self._child
            if child is not None:
                await child.quiet()
            # What a call left running must not eat the time of the next one.
            if child and child.is_alive and (child.is_busy or await child.answers()):
                return child
            self._loaded = {}
            self.modules = {}
            self._child = child = await self._supply.claim(self.target, self.modules)
            child.adopt(self.transport, self._log, self.transport.book)
            return child

    async def module(
        self,
        child: Child,
        handler: Handler,
        entry: str,
        watch: WriteWatch | None = None,
        admit: Callable[[], Exception | None] | None = None,
    ) -> tuple[Module, float]:
        """Give a handler's module, loading it at its first call, and the seconds that this took.

        The time limit of a call counts from here.

        Raises:
            NotLoaded: It throws, hangs or does not compile.
        """
        async with self._loading:
            self.check_open()
            if child is self._child and (known := self._loaded.get((handler, entry))):
                return known, 0.0
            call = Call(child.next_id(), "load", watch, admit)
            module = Module(call.id, handler, typescript=False)
            self.modules[call.id] = module
            limit_s = self.target.limits.timeout_s
            answer = await ask(child, call, Kind.LOAD, handler, entry, limit_s, self.transport)
            if not isinstance(answer, Loaded):
                raise NotLoaded(answer, call)
            module = Module(call.id, handler, answer.typescript)
            self.modules[call.id] = module
            if child is self._child:
                self._loaded[handler, entry] = module
            return module, call.deadline.spent_s if call.deadline else 0.0

    def check_open(self) -> None:
        """Refuse a call that comes too late: the process may serve somebody else by now.

        Raises:
            MoltlerError: It is closed (JSR003).
        """
        if self._is_closed:
            raise session_closed()

    async def close(self) -> None:
        """Give the process back and end the connections."""
        self._is_closed = True
        child, self._child = self._child, None
        if child is not None:
            await self._supply.release(child)
        await self.transport.close()


async def ask(
    child: Child,
    call: Call,
    frame: Kind,
    handler: Handler,
    entry: str,
    limit_s: float,
    transport: Transport | None = None,
) -> Loaded | Thrown | Death:
    """Have a handler loaded or checked within a time limit, past which the process is killed."""
    call.deadline = Deadline(
        limit_s,
        transport.waits if transport else None,
        lambda: child.kill(Death("time", frozenset({call.id}))),
    )
    call.run()
    child.open(call, frame, encode_json({"source": handler.text, "entry": entry}))
    try:
        answer = await call.next()
    except asyncio.CancelledError:
        child.cancel(call)
        raise
    if isinstance(answer, (Loaded, Thrown, Death)):
        return answer
    child.kill(Death("stopped", frozenset({call.id})))
    if isinstance(answer, Broken):
        raise answer.error
    raise BadFrame(f"{type(answer).__name__} for a {call.kind}")


class Pool:
    """The instances that have a process; on the loop thread only."""

    def __init__(
        self,
        supply: Supply,
        open_transport: Callable[[ResolvedConnector], Transport],
        log: Redacted | None,
    ) -> None:
        self._supply = supply
        self._open_transport = open_transport
        self._log = log
        self._instances: dict[str, Instance] = {}
        self._retired: set[Instance] = set()
        self._timers: dict[Instance, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def enter(self, target: ResolvedConnector) -> Instance:
        """Give the instance for a call, until `leave`; an older state of it is retired.

        Raises:
            MoltlerError: The pool is closed (JSR003).
        """
        if self._is_closed:
            raise session_closed()
        name = target.name.lower()
        instance = self._instances.get(name)
        if instance is None or instance.target.runtime_key != target.runtime_key:
            transport = SealedTransport(target, self._open_transport(target))
            fresh = Instance(target, transport, self._supply, self._log_of(target))
            if instance is not None:
                self._retire(instance)
            self._instances[name] = instance = fresh
        instance.open_calls += 1
        if timer := self._timers.pop(instance, None):
            timer.cancel()
        return instance

    def leave(self, instance: Instance) -> None:
        """End the use of an instance for a call."""
        instance.open_calls -= 1
        if instance.open_calls:
            return
        if self._instances.get(instance.target.name.lower()) is instance:
            self._timers[instance] = asyncio.get_running_loop().call_later(
                self._supply.idle_s, self._retire, instance
            )
        else:
            self._end(instance)

    async def close(self) -> None:
        """End every process and connection."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for instance in [*self._instances.values(), *self._retired]:
            self._end(instance)
        self._instances.clear()
        while self._ending:
            await asyncio.gather(*self._ending)

    def _retire(self, instance: Instance) -> None:
        name = instance.target.name.lower()
        if self._instances.get(name) is instance:
            del self._instances[name]
        if timer := self._timers.pop(instance, None):
            timer.cancel()
        if instance.open_calls:
            self._retired.add(instance)
        else:
            self._end(instance)

    def _end(self, instance: Instance) -> None:
        self._retired.discard(instance)
        task = asyncio.get_running_loop().create_task(instance.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _log_of(self, target: ResolvedConnector) -> Callable[[str, str], None] | None:
        log = self._log
        if log is None:
            return None
        return lambda level, text: log(target, level, text)
