"""User code that must type-check (pyright strict reads it; nobody runs it)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import moltler
from moltler import MoltlerError, Result, Session


def names(session: Session) -> list[object]:
    result: Result = session.execute(
        "SELECT name FROM shop.items WHERE made > @since", {"since": datetime.now(UTC)}
    )
    return [row["name"] for row in result.dicts()]


def ids(home: Path) -> list[tuple[object, ...]]:
    with moltler.connect(home) as session, session.execute("SELECT ?", [1]) as result:
        return list(result.rows())


def create(session: Session) -> object:
    try:
        return session.action("shop.items.create", {"name": "Lamp"})
    except moltler.ConnectorRateLimitError as error:
        return error.retry_after
    except MoltlerError as error:
        return error.code, error.hint, error.line


def summary(result: Result) -> str:
    kinds = [f"{c.name}: {c.type}" for c in result.columns]
    warnings = [w.message for w in result.warnings]
    return f"{kinds} {result.row_count} {result.complete} {result.incomplete_reason} {warnings}"
