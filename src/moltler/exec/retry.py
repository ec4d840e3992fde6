"""Calls of handlers made again after a failure that may pass (LANGUAGE §7.4)."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from moltler.errors import MoltlerError
from moltler.exec.layer import HandlersLayer
from moltler.flow.connector import ResolvedConnector
from moltler.flow.scan import ScanOutcome, ScanRequest
from moltler.model import Action
from moltler.ports import Clock, Handlers, PageStream, WriteWatch
from moltler.schema import JsonValue

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_LONGEST_WAIT_S = 600.0
"""What an API may ask for; a call that should wait longer fails, and says until when."""
Pause = Callable[[float, threading.Event], None]
"""Waits for some seconds, or until the event is set."""


def sleep(seconds: float, is_over: threading.Event) -> None:
    """Wait in real time."""
    is_over.wait(seconds)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed call is made again, and after what pause.

    Args:
        clock: Times calls, for OPTIONS max_seconds.
        pause: Waits.
        draw: Gives random numbers from 0 to 1.
    """

    clock: Clock
    pause: Pause = sleep
    draw: Callable[[], float] = field(default=random.random)

    def seconds(
        self, error: MoltlerError, target: ResolvedConnector, attempt: int, started: float
    ) -> float | None:
        """Give how long to wait before another attempt; ``None`` if there is none.

        Args:
            error: What the attempt failed with.
            target: The instance.
            attempt: Its number, from 0.
            started: When the first one began.
        """
        limits = target.limits
        if attempt >= limits.retry_count or error.code not in {"API001", "API003"}:
            return None
        if error.code == "API003" and error.retry_after:
            pause = error.retry_after
            if pause > _LONGEST_WAIT_S:
                return None
        else:
            # From nothing to a bound that doubles: clients that failed together come back apart.
            pause = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S) * self.draw()
        elapsed = self.clock.monotonic() - started
        if limits.max_seconds is not None and elapsed + pause > limits.max_seconds:
            return None
        return pause


class RetryingHandlers(HandlersLayer):
    """Makes calls again, as OPTIONS retry_count allows (`ports.Handlers`).

    Queries, as long as no page was delivered, and actions that are IDEMPOTENT; nothing else.
    """

    def __init__(self, handlers: Handlers, policy: RetryPolicy) -> None:
        super().__init__(handlers)
        self._policy = policy

    def query(self, target: ResolvedConnector, request: ScanRequest) -> PageStream:
        """Start a query handler; nothing runs before the first page is pulled."""
        if not target.limits.retry_count:
            return self._handlers.query(target, request)
        return _RetriedPages(self._handlers, target, request, self._policy)

    def execute(
        self,
        target: ResolvedConnector,
        action: Action,
        parameters: Mapping[str, JsonValue],
        *,
        watch: WriteWatch | None = None,
    ) -> JsonValue:
        """Run an action and give what it returned."""
        policy, started, attempt = self._policy, self._policy.clock.monotonic(), 0
        while True:
            try:
                return self._handlers.execute(target, action, parameters, watch=watch)
            except MoltlerError as error:
                pause = policy.seconds(error, target, attempt, started)
                if pause is None or not action.idempotent:
                    raise
            policy.pause(pause, threading.Event())
            attempt += 1


class _RetriedPages:
    """The pages of one call, or of the last attempt at it (`ports.PageStream`)."""

    def __init__(
        self,
        handlers: Handlers,
        target: ResolvedConnector,
        request: ScanRequest,
        policy: RetryPolicy,
    ) -> None:
        self._handlers = handlers
        self._target = target
        self._request = request
        self._policy = policy
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._stream = handlers.query(target, request)
        self._failed: list[ScanOutcome] = []
        self._started: float | None = None
        self._has_delivered = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Give itself."""
        return self

    def __next__(self) -> pa.RecordBatch:
        """Give the next page; the first one may take several attempts."""
        if self._started is None:
            self._started = self._policy.clock.monotonic()
        while True:
            try:
                page = next(self._stream)
            except MoltlerError as error:
                pause = self._policy.seconds(error, self._target, len(self._failed), self._started)
                if self._has_delivered or pause is None:
                    raise
            else:
                # An empty page is no row yet, but what follows may depend on it.
                self._has_delivered = True
                return page
            self._policy.pause(pause, self._is_over)
            self._begin_anew()

    def close(self) -> None:
        """Stop the handler, or the wait for the next attempt; may be repeated."""
        with self._lock:
            self._is_over.set()
            stream = self._stream
        stream.close()

    @property
    def outcome(self) -> ScanOutcome:
        """What is known so far, over all attempts."""
        with self._lock:
            last, failed = self._stream.outcome, tuple(self._failed)
        if not failed:
            return last
        return replace(
            last,
            requests=last.requests + sum(o.requests for o in failed),
            api_s=last.api_s + sum(o.api_s for o in failed),
            call_s=last.call_s + sum(o.call_s for o in failed),
            retries=last.retries + len(failed),
        )

    def _begin_anew(self) -> None:
        with self._lock:
            self._failed.append(self._stream.outcome)
            self._stream.close()
            self._stream = self._handlers.query(self._target, self._request)
            if self._is_over.is_set():
                self._stream.close()
                raise StopIteration
