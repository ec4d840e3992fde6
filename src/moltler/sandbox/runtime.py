"""Calls of handlers for synchronous callers, over one pool of processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from moltler.errors import ErrorContext, MoltlerError
from moltler.flow.connector import ResolvedConnector
from moltler.flow.scan import ScanRequest
from moltler.loop import LoopThread
from moltler.model import Action
from moltler.ports import Transport, WriteWatch
from moltler.sandbox.failures import Failing, session_closed
from moltler.sandbox.pages import JavaScriptPages
from moltler.sandbox.pool import Pool, Supply
from moltler.sandbox.stream import Stream, Work, run_value
from moltler.sandbox.values import action_spec, query_spec, result_of, test_spec
from moltler.schema import JsonValue
from moltler.secret import redact

OpenTransport = Callable[[ResolvedConnector], Transport]
Print = Callable[[str], None]


class Runtime:
    """Runs handlers; may be shared by threads.

    Args:
        loop: Where processes and requests live.
        supply: Where processes come from.
        open_transport: Makes the transport of an instance; it is closed with the instance.
        log: Takes what handlers print, a line at a time, redacted; called on the loop thread.
    """

    def __init__(
        self, loop: LoopThread, supply: Supply, open_transport: OpenTransport, log: Print | None
    ) -> None:
        self._loop = loop
        self._print = log
        self._pool = Pool(supply, open_transport, self._log if log else None)
        self._over = threading.Event()

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
        spec = query_spec(target, request)
        work = Work(target, entity.handler, "query", source, failing, spec, admit=request.admit)
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

    def _log(self, target: ResolvedConnector, level: str, text: str) -> None:
        if self._print is not None:
            shown = redact(text, target.secrets)
            for line in shown.split("\n"):
                self._print(f"[{target.name}] {level}: {line}")
