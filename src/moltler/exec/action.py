"""An action run at most once, with its journal row (LANGUAGE §8.2)."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace

from moltler.catalog.arguments import check_returns
from moltler.errors import (
    ErrorContext,
    InterruptedWrite,
    MoltlerError,
    ScriptPosition,
    Span,
    error_class,
)
from moltler.exec.masking import masked
from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import HttpRequest
from moltler.flow.result import ActionResult
from moltler.model import Action
from moltler.ports import ActionLog, Handlers
from moltler.schema import JsonValue
from moltler.secret import redact

_KEY_HEADER = "Idempotency-Key"


def _random() -> bytes:
    return os.urandom(16)


def run_action(
    target: ResolvedConnector,
    action: Action,
    parameters: Mapping[str, JsonValue],
    *,
    handlers: Handlers,
    journal: ActionLog,
    draw: Callable[[], bytes] = _random,
) -> ActionResult:
    """Run an action whose parameters have been checked.

    Args:
        target: The instance.
        action: What to run.
        parameters: Its arguments.
        handlers: Run it, and run it again if it is IDEMPOTENT.
        journal: Where it is noted.
        draw: Gives bytes that nobody else has; for the keys of an IDEMPOTENT action.

    Raises:
        MoltlerError: The handler failed and nothing is in doubt, or its result does not fit
            RETURNS (the journal then says OK: the change was made).
        ConnectorUnknownOutcomeError: API008, a request that changes something was sent and its
            answer was lost.
    """
    shown = json.dumps(parameters, ensure_ascii=False, separators=(",", ":"))
    record = journal.open(target.name, action.path, redact(shown, target.secrets))
    watch = _Watch(journal, record, draw() if action.idempotent else None)
    try:
        value = handlers.execute(target, action, parameters, watch=watch)
    except MoltlerError as error:
        error.within(ErrorContext(connector=target.name, entity=action.entity, action=action.path))
        message = redact(error.message, target.secrets)
        if not watch.is_in_doubt:
            journal.close(record, "FAILED", message)
            raise
        journal.close(record, "UNKNOWN", message)
        context = replace(error.context, cause=f"{error.code}: {error.message}")
        raise _unknown(
            target, action, record, "its answer was lost", context, error.problems[0].span
        ) from error
    except BaseException as error:
        # An interrupt, or a fault of ours: the journal must not stay open.
        outcome = "UNKNOWN" if watch.is_in_doubt else "FAILED"
        journal.close(record, outcome, f"interrupted ({type(error).__name__})")
        if isinstance(error, KeyboardInterrupt) and watch.is_in_doubt:
            context = ErrorContext(target.name, action.entity, action.path, cause="interrupted")
            raise InterruptedWrite(
                _unknown(target, action, record, "you interrupted the wait", context, None)
            ) from error
        raise
    journal.close(record, "OK")
    try:
        return ActionResult(check_returns(action, value))
    except MoltlerError as error:
        raise masked(error, target.secrets) from error.__cause__


class _Watch:
    """Counts the writes of one execution whose answers have not come (`ports.WriteWatch`).

    Args:
        journal: Where the execution is noted.
        record: Its row.
        seed: Of the keys that its writes carry; ``None`` for none.
    """

    def __init__(self, journal: ActionLog, record: int, seed: bytes | None) -> None:
        self._journal = journal
        self._record = record
        self._seed = seed
        self._lock = threading.Lock()
        self._open = 0
        self._lost = 0

    @property
    def is_in_doubt(self) -> bool:
        """Whether a write may or may not have had its effect."""
        with self._lock:
            return self._open > 0 or self._lost > 0

    def stamped(self, request: HttpRequest) -> HttpRequest:
        """Give a write of an IDEMPOTENT action with a key, unless the handler has set one.

        The same request of the same execution has the same key in every attempt, so that an API
        that knows such keys makes the change once (draft-ietf-httpapi-idempotency-key-header).
        """
        if self._seed is None or any(n.lower() == _KEY_HEADER.lower() for n, _ in request.headers):
            return request
        digest = hashlib.sha256(self._seed)
        for part in (request.method.encode(), request.url.encode(), request.body or b""):
            digest.update(len(part).to_bytes(8, "big") + part)
        key = str(uuid.UUID(bytes=digest.digest()[:16], version=4))
        return replace(request, headers=(*request.headers, (_KEY_HEADER, key)))

    def sent(self) -> None:
        """Note, durably, that a write begins to leave."""
        self._journal.mark_sent(self._record)
        with self._lock:
            self._open += 1

    def answered(self) -> None:
        """Note that the API has answered a write."""
        with self._lock:
            self._open -= 1

    def lost(self) -> None:
        """Note that the rest of a write's answer was lost."""
        with self._lock:
            self._lost += 1


def _unknown(
    target: ResolvedConnector,
    action: Action,
    record: int,
    reason: str,
    context: ErrorContext,
    span: Span | ScriptPosition | None,
) -> MoltlerError:
    return error_class("API008")(
        "API008",
        f"`{target.name}.{action.path}` was sent and {reason}, so the change may or "
        f"may not have been made (journal {record})",
        hint="look at the API whether it happened before you run it again; "
        f"SHOW CONNECTOR {target.name} ACTION HISTORY lists it",
        span=span,
        context=context,
    )
