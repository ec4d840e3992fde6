"""TEST CONNECTOR: whether an instance answers."""

from __future__ import annotations

import json

from moltler.flow.connector import ResolvedConnector
from moltler.session.services import Services


def probe(target: ResolvedConnector, services: Services) -> tuple[str, str | None]:
    """Run an instance's TEST_HANDLER, or read the first page of an entity that needs no filter.

    Returns:
        A status, ``ok`` or ``unknown``, and what to add to it.

    Raises:
        MoltlerError: The handler failed.
    """
    if target.type.test_handler is not None:
        value = services.handlers.test(target)
        if value is None or value is True:
            return "ok", None
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return "ok", text
    from moltler.exec.run import first_rows

    free = (
        e for e in target.type.entities if not any(c.required for c in e.pushdown.filters.values())
    )
    entity = next(free, None)
    if entity is None:
        return "unknown", "define TEST_HANDLER to have it tested"
    rows = first_rows(target, entity, handlers=services.handlers, clock=services.clock)
    return "ok", f"read {rows} row(s) of {entity.name}"
