"""Moltler: connectors to HTTP APIs as text, queried with SQL.

import moltler

with moltler.connect() as session:
    for row in session.execute("SELECT id, name FROM shop.items LIMIT 5").dicts():
        print(row)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moltler.errors import (
    AssertionFailed,
    ConnectorAuthError,
    ConnectorConnectionError,
    ConnectorError,
    ConnectorRateLimitError,
    ConnectorUnknownOutcomeError,
    DefinitionError,
    EgressDenied,
    HandlerError,
    InternalError,
    LimitExceeded,
    LookupFailed,
    MoltlerError,
    PackageError,
    ParseError,
    PlanError,
    SyncError,
)

if TYPE_CHECKING:
    from moltler.compose import connect
    from moltler.exec.result import Result
    from moltler.session.session import Session

__all__ = [
    "AssertionFailed",
    "ConnectorAuthError",
    "ConnectorConnectionError",
    "ConnectorError",
    "ConnectorRateLimitError",
    "ConnectorUnknownOutcomeError",
    "DefinitionError",
    "EgressDenied",
    "HandlerError",
    "InternalError",
    "LimitExceeded",
    "LookupFailed",
    "MoltlerError",
    "PackageError",
    "ParseError",
    "PlanError",
    "Result",
    "Session",
    "SyncError",
    "connect",
]

_LATE = {
    "connect": "moltler.compose",
    "Result": "moltler.exec.result",
    "Session": "moltler.session.session",
}


def __getattr__(name: str) -> object:
    # Opened late (PEP 562): `import moltler` must not load DuckDB, Arrow and the HTTP client.
    if name not in _LATE:
        raise AttributeError(f"module 'moltler' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - see above

    return getattr(importlib.import_module(_LATE[name]), name)  # noqa: TID251 - see above
