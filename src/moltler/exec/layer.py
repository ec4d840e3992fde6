"""What lies around handlers and changes a part of what they do."""

from __future__ import annotations

from collections.abc import Mapping

from moltler.errors import Problem
from moltler.flow.connector import ResolvedConnector
from moltler.flow.scan import ScanRequest
from moltler.model import Action, Handler
from moltler.ports import Handlers, PageStream, WriteWatch
from moltler.schema import JsonValue


class HandlersLayer:
    """Passes every call on (`ports.Handlers`); a layer overrides what it changes.

    Args:
        handlers: Below it; whoever lends them closes them.
    """

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def query(self, target: ResolvedConnector, request: ScanRequest) -> PageStream:
        """Start a query handler; nothing runs before the first page is pulled."""
        return self._handlers.query(target, request)

    def execute(
        self,
        target: ResolvedConnector,
        action: Action,
        parameters: Mapping[str, JsonValue],
        *,
        watch: WriteWatch | None = None,
    ) -> JsonValue:
        """Run an action and give what it returned."""
        return self._handlers.execute(target, action, parameters, watch=watch)

    def test(self, target: ResolvedConnector) -> JsonValue:
        """Run the type's TEST_HANDLER."""
        return self._handlers.test(target)

    def check(self, handler: Handler, entry: str) -> tuple[Problem, ...]:
        """Compile a handler without running it."""
        return self._handlers.check(handler, entry)

    def close(self) -> None:
        """Do nothing: whoever lent the handlers closes them."""
