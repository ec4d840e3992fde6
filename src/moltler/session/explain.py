"""EXPLAIN: what a SELECT would ask, what it did, and what an action would send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from moltler.errors import ErrorContext, MoltlerError
from moltler.flow.connector import ResolvedConnector
from moltler.flow.result import Column, Table
from moltler.flow.scan import Warning
from moltler.model import Action
from moltler.net.dry_run import DryRunTransport, Rehearsal
from moltler.ports import Handlers, Transport
from moltler.schema import JsonValue
from moltler.secret import redact

_REQUESTS = (
    Column("n", "integer"),
    Column("method", "string"),
    Column("url", "string"),
    Column("headers", "document"),
    Column("body", "string"),
    Column("sent", "boolean"),
)


@runtime_checkable
class DryRunHost(Protocol):
    """What a session lends to a dry run."""

    def open_room(self, open_transport: Callable[[ResolvedConnector], Transport]) -> Handlers:
        """Give a runtime of its own, whose state nobody else sees."""
        ...

    def open_transport(self, target: ResolvedConnector) -> Transport:
        """Open the network for an instance."""
        ...


def dry_run(
    target: ResolvedConnector,
    action: Action,
    parameters: Mapping[str, JsonValue],
    host: DryRunHost,
) -> Table:
    """Run an action whose writes are noted instead of sent (LANGUAGE §8.3).

    Raises:
        MoltlerError: The handler failed before its first write.
    """
    rehearsal = Rehearsal()
    room = host.open_room(lambda t: DryRunTransport(t, host.open_transport(t), rehearsal))
    warnings: tuple[Warning, ...] = ()
    try:
        room.execute(target, action, parameters)
    except MoltlerError as error:
        error.within(ErrorContext(connector=target.name, entity=action.entity, action=action.path))
        if not rehearsal.has_intercepted:
            raise
        # It may well have wanted more of the answer than `{}`.
        message = redact(f"handler stopped: {error.message}", target.secrets)
        warnings = (Warning("handler_stopped", message, f"{target.name}.{action.path}"),)
    finally:
        room.close()
    rows = tuple(
        (n, r.method, r.url, r.headers, r.body, r.sent)
        for n, r in enumerate(rehearsal.requests, start=1)
    )
    return Table(_REQUESTS, rows, warnings)
