"""The JavaScript of connectors for synchronous callers (`ports.Handlers`)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError

from moltler.errors import ErrorContext, MoltlerError, Problem, error_class
from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.flow.scan import ScanOutcome, ScanRequest, Warning
from moltler.loop import LoopThread
from moltler.model import Action, Handler
from moltler.ports import Transport, WriteWatch
from moltler.sandbox.call import Call, Death
from moltler.sandbox.child import Child
from moltler.sandbox.columns import Batch, decode_page
from moltler.sandbox.failures import Failing, of_death, of_source, session_closed
from moltler.sandbox.frames import MAX_SOURCE, BadFrame, Kind, Loaded, PageNote, Thrown
from moltler.sandbox.pool import Pool, ask
from moltler.sandbox.spares import Spares
from moltler.sandbox.stream import Stream, Work, run_value
from moltler.sandbox.values import action_spec, query_spec, result_of, test_spec
from moltler.schema import JsonValue, TypeName
from moltler.secret import redact

OpenTransport = Callable[[ResolvedConnector], Transport]
_PREVIEW = 80
_ANY_LIMITS = CallLimits()


class JavaScriptHandlers:
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
        log: Callable[[str], None] | None = None,
        spares: Spares | None = None,
    ) -> None:
        self._loop = loop
        self._spares = spares or Spares(loop)
        self._print = log
        self._pool = Pool(self._spares, open_transport, self._log if log else None)
        self._checker: Child | None = None
        self._checker_idle: asyncio.TimerHandle | None = None
        self._claiming = asyncio.Lock()
        self._over = threading.Event()

    def prewarm(self) -> None:
        """Begin to start a process, without waiting for it."""
        self._spares.prewarm()

    def query(self, target: ResolvedConnector, request: ScanRequest) -> JavaScriptPages:
        """Start a query handler; nothing runs before the first page is pulled.

        Raises:
            MoltlerError: The arguments are too large (PLN005).
        """
        entity = request.entity
        failing = Failing(
            target.name, target.secrets, target.limits, entity.handler, entity=entity.name
        )
        source = f"{target.name}.{entity.name}"
        work = Work(target, entity.handler, "query", source, failing, query_spec(target, request))
        stream = Stream(self._pool, work)
        return JavaScriptPages(self._loop, stream, work, request, self._over)

    def execute(
        self,
        target: ResolvedConnector,
        action: Action,
        parameters: Mapping[str, JsonValue],
        *,
        watch: WriteWatch | None = None,
    ) -> JsonValue:
        """Run an action and give what it returned; ``undefined`` is ``None``.

        Raises:
            MoltlerError: The handler failed, or its result is nested too deeply (JSR004).
        """
        failing = Failing(
            target.name, target.secrets, target.limits, action.handler, action.entity, action.path
        )
        spec = action_spec(target, parameters)
        source = f"{target.name}.{action.path}"
        return self._value(Work(target, action.handler, "execute", source, failing, spec, watch))

    def test(self, target: ResolvedConnector) -> JsonValue:
        """Run the type's TEST_HANDLER; without one the value is ``None``.

        Raises:
            MoltlerError: The handler failed.
        """
        handler = target.type.test_handler
        if handler is None:
            return None
        failing = Failing(target.name, target.secrets, target.limits, handler)
        return self._value(Work(target, handler, "test", target.name, failing, test_spec(target)))

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

    def close(self) -> None:
        """End every process; may be repeated."""
        if not self._over.is_set():
            self._over.set()
            self._loop.run(self._close())

    async def _close(self) -> None:
        if self._checker_idle is not None:
            self._checker_idle.cancel()
        await self._pool.close()
        await self._spares.close()

    def _value(self, work: Work) -> JsonValue:
        if self._over.is_set():
            raise session_closed()
        returned = self._loop.run(run_value(self._pool, work))
        try:
            return result_of(returned.payload)
        except MoltlerError as error:
            failing = work.failing
            context = ErrorContext(failing.connector, failing.entity, failing.action)
            raise error.within(context).at(failing.place) from None

    async def _check(self, handler: Handler, entry: str) -> tuple[Loaded | Thrown | Death, Call]:
        async with self._claiming:
            child = self._checker
            if child is None or not child.is_alive:
                self._checker = child = await self._spares.claim(_ANY_LIMITS.memory_mb)
            if self._checker_idle is not None:
                self._checker_idle.cancel()
            self._checker_idle = asyncio.get_running_loop().call_later(
                child.times.idle_s, child.kill, Death("closed")
            )
        call = Call(child.next_id(), "check")
        return await ask(child, call, Kind.CHECK, handler, entry, child.times.load_s), call

    def _log(self, target: ResolvedConnector, level: str, text: str) -> None:
        if self._print is not None:
            shown = redact(text, target.secrets)
            for line in shown.split("\n"):
                self._print(f"[{target.name}] {level}: {line}")


class JavaScriptPages:
    """The pages of one query (`ports.PageStream`); made by `JavaScriptHandlers.query`."""

    def __init__(
        self,
        loop: LoopThread,
        stream: Stream,
        work: Work,
        request: ScanRequest,
        over: threading.Event,
    ) -> None:
        fields = request.entity.fields
        self._columns: tuple[tuple[str, TypeName], ...] = tuple(
            (p.name, p.type.name) for c in request.columns if (p := fields.find(c)) is not None
        )
        self._loop = loop
        self._stream = stream
        self._over = over
        """Set when the handlers are closed; their loop may then be gone."""
        self._work = work
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._rows = 0
        self._nulled = 0

    def __iter__(self) -> Iterator[Batch]:
        """Give itself."""
        return self

    def __next__(self) -> Batch:
        """Run the handler to its next page.

        Raises:
            MoltlerError: The handler failed, or a value does not fit its field (JSR005).
        """
        with self._lock:
            if self._closed.is_set():
                raise StopIteration
            if self._over.is_set():
                self._closed.set()
                raise session_closed()
            try:
                payload = self._loop.run(self._stream.pull())
            except CancelledError:
                self._closed.set()
                raise StopIteration from None
            except MoltlerError:
                self._closed.set()
                raise
            except BaseException:
                # An interrupt: whoever waited is gone, so the handler must stop.
                self._closed.set()
                self._loop.submit(self._stream.stop())
                raise
            if payload is None:
                self._closed.set()
                raise StopIteration
            return self._read(payload)

    def close(self) -> None:
        """Stop the handler (its ``finally`` runs) and release the stream; may be repeated.

        From another thread it ends a pull that is under way.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        if not self._over.is_set():
            self._loop.run(self._stream.stop())

    @property
    def outcome(self) -> ScanOutcome:
        """What is known so far."""
        stream, warnings = self._stream, self._stream.warnings
        if self._nulled:
            message = f"{self._nulled} value(s) did not fit their field and became NULL"
            warnings = (*warnings, Warning("values_nulled", message, self._work.source))
        return ScanOutcome(
            stream.incomplete_reason,
            warnings,
            self._rows,
            stream.pages,
            stream.requests,
            stream.has_ended,
        )

    def _read(self, payload: bytes | bytearray) -> Batch:
        try:
            page = decode_page(payload, self._columns)
        except BadFrame as bad:
            death = Death("forged", detail=str(bad))
            self._closed.set()
            self._loop.run(self._stream.abandon(death))
            raise of_death(death, Call(0, "query"), self._work.failing) from bad
        if page.note.count:
            if not self._work.target.limits.null_on_type_error:
                self.close()
                raise self._misfit(page.note)
            self._nulled += page.note.count
        self._rows += page.batch.num_rows
        return page.batch

    def _misfit(self, note: PageNote) -> MoltlerError:
        first, failing = note.misfits[0], self._work.failing
        name, type_ = self._columns[first.column]
        shown = redact(first.preview[:_PREVIEW], failing.secrets)
        others = f" (and {note.count - 1} more values of the page)" if note.count > 1 else ""
        reason = first.reason[:_PREVIEW] or "does not fit"
        return error_class("JSR005")(
            "JSR005",
            f"row {self._rows + first.row}, field `{name}` ({type_}): `{shown}` is refused, "
            f"{reason}{others}",
            hint="convert it in the handler, declare another type, "
            "or set OPTIONS `on_type_error` to 'null'",
            span=failing.place,
            context=ErrorContext(failing.connector, failing.entity),
        )
