"""One runtime process: start it, speak with it, watch it, end it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from moltler.ports import Transport
from moltler.sandbox.call import Call, Death, News, Page, Returned
from moltler.sandbox.connection import Connection
from moltler.sandbox.fetching import Fetching
from moltler.sandbox.frames import (
    MAX_HEAD,
    MAX_LOG_BYTES,
    MAX_LOG_LINE,
    MAX_LOG_LINES,
    MAX_SIZES,
    BadFrame,
    Clean,
    Covered,
    End,
    Fetch,
    Kind,
    Loaded,
    LogLine,
    Sign,
    Thrown,
    decode,
    decode_time,
    encode_json,
    encode_u32,
    split_body,
)
from moltler.sandbox.program import Program, Times, runtime
from moltler.sandbox.signing import Signing
from moltler.sandbox.usage import Leash, usage_of
from moltler.sandbox.walls import Wall, walls_of
from moltler.vault.seal import SealBook

_FETCH_S = 0.0001
"""What a request costs the loop after its frame was read."""
_LEVEL = 16
"""Letters of a log line's level."""
_HEARING_S = 0.25
"""How soon a process answers that is not kept busy."""
_SOCKET_BUFFER = 1 << 20
_REAP_S = (0.001, 0.05)
Log = Callable[[str, str], None]
"""Takes a level and a text; called on the loop thread."""


class Child:
    """A runtime process; everything here happens on the loop thread.

    It starts blank. `adopt` binds it to an instance: for good, unless it serves tests and `reset`
    finds it as it was.
    """

    def __init__(
        self, memory_mb: int, times: Times, *, covers: bool = False, program: Program = runtime
    ) -> None:
        self.memory_mb = memory_mb
        self.covers = covers
        """Whether it can tell which lines ran."""
        self.times = times
        self.walls: tuple[Wall, ...] | None = None
        """What its launcher says of the walls around it; ``None`` before it says so."""
        self.death: Death | None = None
        self._program = program
        self.calls: dict[int, Call] = {}
        self._ids = itertools.count(1)
        self._fetching: Fetching | None = None
        self._log: Log | None = None
        self._signing: Signing | None = None
        self._on_tick: Callable[[float], None] | None = None
        self._inquiring = asyncio.Lock()
        self._inquiry: asyncio.Future[Clean | Covered | None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._ready: asyncio.Future[None] | None = None
        self._gone = asyncio.Event()
        self._burial: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pings = 0
        self._pong = asyncio.Event()
        self._pong.set()
        self._silence: asyncio.TimerHandle | None = None
        self._idle_log = Call(0, "load")
        self._opened = 0
        self._leash = Leash(memory_mb, times.watch_s)

    @property
    def is_alive(self) -> bool:
        """Whether calls may still be sent to it."""
        return self.death is None

    @property
    def is_busy(self) -> bool:
        """Whether JavaScript may be running on behalf of a call."""
        return any(call.is_running for call in self.calls.values())

    @property
    def is_buried(self) -> bool:
        """Whether nothing is left of it."""
        return self._gone.is_set()

    @property
    def pid(self) -> int | None:
        """The process id, once started."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process and wait until it is ready; if that fails it is dead."""
        if self.death is not None:
            return
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        ours.setblocking(False)  # noqa: FBT003 - the standard library's way
        self._ready = loop.create_future()
        try:
            # The parent-death signal is tied to this very thread, which ends with the program.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603, RUF100
                self._program(self.memory_mb, self.covers),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            ours.close()
            self.death = Death("start", detail=str(error))
            self._gone.set()
            return
        finally:
            theirs.close()
        connection = Connection(self._on_head, self._on_frame, self._on_bad, self._on_lost)
        self._connection = connection
        await loop.create_unix_connection(lambda: connection, sock=ours)
        if self.death is not None:
            connection.abort()
            return
        self._spawn(self._watch())
        await asyncio.wait({self._ready}, timeout=self.times.start_s)
        if not self._ready.done():
            self.kill(Death("start", detail=f"not ready after {self.times.start_s:g} seconds"))

    def adopt(self, transport: Transport, log: Log | None, seals: SealBook) -> None:
        """Bind the process to an instance: its requests go out by this transport.

        Args:
            transport: Opens seals on the way out, and closes them on the way in.
            log: Takes what handlers print.
            seals: What its signatures may be made with.
        """
        self._fetching = Fetching(self._send, self._drained, self._hold, transport)
        self._signing = Signing(self._send, self._spawn, seals)
        self._log = log

    def follow(self, clock: Mapping[str, object], on_tick: Callable[[float], None] | None) -> None:
        """Tell it the time of a test; it tells when elapsed timers move a clock that stands."""
        self._on_tick = on_tick
        self._send(Kind.CLOCK, 0, encode_json(clock))

    async def reset(self) -> Clean | None:
        """Make it fit for another test; ``None`` if it is not, and then it must be killed.

        It forgets its handlers and ends what they left running. The first time it only notes
        how things are before the first handler.
        """
        if self.calls or self.death is not None:
            return None
        if self._fetching is not None:
            await self._fetching.close()
        self._fetching = self._signing = self._log = self._on_tick = None
        self._idle_log = Call(0, "load")
        answer = await self._inquire(Kind.RESET)
        return answer if isinstance(answer, Clean) and not self.calls else None

    async def coverage(self) -> Covered | None:
        """Tell what ran since the last time, if it can."""
        answer = await self._inquire(Kind.COVER) if self.covers else None
        return answer if isinstance(answer, Covered) else None

    def open(self, call: Call, frame: Kind, spec: bytes) -> None:
        """Send LOAD, CHECK or CALL; a dead process answers with its death."""
        if self.death is not None:
            call.deliver(self.death)
            return
        self.calls[call.id] = call
        self._opened += 1
        self._send(frame, call.id, spec)

    def next_id(self) -> int:
        """Give an id that no call of this process had."""
        return next(self._ids)

    def credit(self, call: Call, pages: int) -> None:
        """Let a call send that many more pages."""
        call.credit += pages
        if not call.is_running:
            call.run()
        self._send(Kind.CREDIT, call.id, encode_u32(pages))

    def cancel(self, call: Call) -> None:
        """Stop a call; if it has not ended after a while, the process is killed."""
        if call.is_over or call.is_cancelled or self.death is not None:
            return
        call.is_cancelled = True
        call.news.clear()
        if call.deadline is not None:
            call.deadline.stop()
        self._send(Kind.CANCEL, call.id)
        self._spawn(self._see_it_stop(call))

    def kill(self, death: Death) -> None:
        """End the process at once and tell every call why."""
        if self.death is not None:
            return
        self.death = death
        self._slay()
        if self._connection is not None:
            self._connection.abort()
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        calls, self.calls = self.calls, {}
        for call in calls.values():
            call.deliver(death)
        self._pong.set()
        self._answer(None)
        self._hush()
        self._burial = asyncio.get_running_loop().create_task(self._bury())

    async def gone(self) -> None:
        """Wait until a dead process is reaped and its requests are over."""
        await self._gone.wait()

    async def answers(self) -> bool:
        """Tell whether it is alive and idle; waits while something keeps it busy unasked."""
        await self._pong.wait()
        return self.death is None

    async def quiet(self) -> None:
        """Wait while only cancelled calls keep it busy, which it will not outlive for long."""
        while self.calls and all(call.is_cancelled for call in self.calls.values()):
            await next(iter(self.calls.values())).over.wait()

    # --- frames from the child ---

    def _on_head(self, kind: int, id_: int, size: int) -> None:
        """Refuse a frame before there is room for it."""
        if size > MAX_SIZES.get(kind, 0):
            raise BadFrame(f"a frame of kind {kind} and {size:,} bytes")
        if kind == Kind.PAGE and ((call := self.calls.get(id_)) is None or not call.credit):
            raise BadFrame("a page that nobody asked for")
        if kind == Kind.RESULT and id_ not in self.calls:
            raise BadFrame("a result that nobody asked for")

    def _on_frame(self, kind: int, id_: int, payload: bytes | bytearray) -> None:
        if self.death is not None:
            return
        match kind:
            case Kind.READY:
                if self._ready is None or self._ready.done() or self.walls is None:
                    raise BadFrame("READY out of order")
                self._ready.set_result(None)
            case Kind.WALLS:
                if self.walls is not None:
                    raise BadFrame("walls twice")
                self.walls = walls_of(payload)
            case Kind.LOADED:
                self._deliver(id_, decode(payload, Loaded))
            case Kind.RESULT:
                self._deliver(id_, Returned(payload))
            case Kind.PAGE:
                self._deliver(id_, Page(payload))
            case Kind.END:
                self._deliver(id_, decode(payload, End))
            case Kind.ERROR:
                self._deliver(id_, decode(payload, Thrown))
            case Kind.FETCH:
                self._on_fetch(id_, payload)
            case Kind.SIGN:
                self._on_sign(id_, payload)
            case Kind.ABORT:
                self._fetches().abort(id_)
            case Kind.PULL:
                self._fetches().pull(id_)
            case Kind.PONG:
                if id_ == self._pings:
                    self._pong.set()
                    self._hush()
            case Kind.CLEAN:
                self._answer(decode(payload, Clean))
            case Kind.COVERAGE:
                self._answer(decode(payload, Covered))
            case Kind.TICK:
                if self._on_tick is None:
                    raise BadFrame("a tick of a clock that does not stand")
                self._on_tick(decode_time(payload))
            case Kind.LOG:
                self._on_log(id_, decode(payload, LogLine))
            case _:
                raise BadFrame(f"a frame of kind {kind}")

    def _deliver(self, id_: int, item: News) -> None:
        call = self.calls.get(id_)
        if call is None:
            raise BadFrame(f"{type(item).__name__} for an unknown call")
        call.deliver(item)
        if call.is_over:
            del self.calls[id_]
            self._ping()

    async def _inquire(self, kind: Kind) -> Clean | Covered | None:
        async with self._inquiring:
            if self.death is not None:
                return None
            self._inquiry = inquiry = asyncio.get_running_loop().create_future()
            self._send(kind, 0)
            await asyncio.wait({inquiry}, timeout=self.times.grace_s)
            self._inquiry = None
            return inquiry.result() if inquiry.done() else None

    def _answer(self, answer: Clean | Covered | None) -> None:
        if self._inquiry is not None and not self._inquiry.done():
            self._inquiry.set_result(answer)
        elif answer is not None:
            raise BadFrame(f"{type(answer).__name__} unasked")

    def _fetches(self) -> Fetching:
        if self._fetching is None:
            raise BadFrame("a request of a blank process")
        return self._fetching

    def _on_fetch(self, id_: int, payload: bytes | bytearray) -> None:
        head, body = split_body(payload)
        fetch = decode(head, Fetch)
        call = self.calls.get(fetch.call)
        if call is None or call.kind == "check" or len(head) > MAX_HEAD:
            raise BadFrame("a request that no call can make")
        if self._connection is not None:
            self._connection.charge(_FETCH_S)
        if not call.may_fetch:
            call.wants_more = True
            call.wake()
        else:
            self._fetches().start(id_, fetch, bytes(body) if fetch.body else None, call)

    def _on_sign(self, id_: int, payload: bytes | bytearray) -> None:
        head, content = split_body(payload)
        sign = decode(head, Sign)
        call = self.calls.get(sign.call)
        if self._signing is None or call is None or call.kind == "check" or len(head) > MAX_HEAD:
            raise BadFrame("a signature that no call can ask for")
        self._signing.start(id_, sign, bytes(content))

    def _on_log(self, id_: int, line: LogLine) -> None:
        budget = self.calls.get(id_, self._idle_log)
        budget.log_lines += 1
        budget.log_bytes += len(line.text)
        if len(line.text) > MAX_LOG_LINE or len(line.level) > _LEVEL:
            raise BadFrame("a log line that is too long")
        # One line more than the child's own cap: its note that the rest is left out.
        if budget.log_lines > MAX_LOG_LINES + 1 or budget.log_bytes > 2 * MAX_LOG_BYTES:
            return
        if self._log is not None:
            self._log(line.level, line.text)

    def _on_bad(self, bad: BadFrame) -> None:
        self.kill(Death("forged", self._running(), str(bad)))

    def _on_lost(self) -> None:
        if self.death is None and self._process is not None:
            self._slay()  # it may have closed its end and live on
            self._spawn(self._find_out())

    async def _find_out(self) -> None:
        returncode = await self._reap()
        if self._ready is not None and not self._ready.done():
            self.kill(Death("start", detail=f"it ended with status {returncode}"))
        else:
            self.kill(Death("died", self._running(), returncode=returncode))

    def _running(self) -> frozenset[int]:
        running = [call.id for call in self.calls.values() if call.is_running]
        # Of several, nobody can tell which one it was.
        return frozenset(running if len(running) == 1 else ())

    # --- watching and ending ---

    def _send(self, kind: int, id_: int, *parts: bytes) -> None:
        if self.death is None and self._connection is not None:
            self._connection.send(kind, id_, *parts)

    def _ping(self) -> None:
        self._pings = (self._pings + 1) & 0xFFFFFFFF
        self._pong.clear()
        self._send(Kind.PING, self._pings)
        self._hush()
        self._silence = asyncio.get_running_loop().call_later(
            self.times.silence_s, self._on_silence
        )

    def _on_silence(self) -> None:
        # While a call runs its own time limit decides: a busy loop is legal until then.
        if self.is_busy:
            self._ping()
        else:
            self.kill(Death("looping"))

    def _hush(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    async def _watch(self) -> None:
        while self._process is not None:
            await asyncio.sleep(self.times.watch_s)
            usage = await usage_of(self._process.pid)
            if usage is not None and self._leash.is_memory_spent(usage):
                self.kill(Death("memory", self._running()))
            elif usage is not None and self._leash.is_astray(usage, self._opened, len(self.calls)):
                self.kill(Death("looping"))
            elif self._pong.is_set() and not self.calls:
                self._ping()

    async def _see_it_stop(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.times.grace_s
        while not call.is_over and self.death is None:
            await asyncio.sleep(min(_HEARING_S, max(deadline - loop.time(), 0.01)))
            if call.is_over or loop.time() < deadline:
                continue
            others = [c for c in self.calls.values() if c is not call and c.is_running]
            # Another call may rightly keep the process from hearing us; its time limit decides.
            if others and not await self._responds():
                continue
            if not call.is_over:
                self.kill(Death("stopped", frozenset({call.id})))

    async def _responds(self) -> bool:
        self._ping()
        try:
            await asyncio.wait_for(self._pong.wait(), _HEARING_S)
        except TimeoutError:
            return False
        return True

    async def _drained(self) -> None:
        if self._connection is not None:
            await self._connection.drained()

    def _hold(self, held: bool) -> None:  # noqa: FBT001 - like the transport's own
        if self._connection is not None and self.death is None:
            self._connection.hold(held)

    def _slay(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        # Its whole group: nothing that it may have started is left behind.
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()

    async def _reap(self) -> int | None:
        if self._process is None:
            return None
        pause, longest = _REAP_S
        while (returncode := self._process.poll()) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        return returncode

    async def _bury(self) -> None:
        await self._reap()
        if self._fetching is not None:
            await self._fetching.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        self._gone.set()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
