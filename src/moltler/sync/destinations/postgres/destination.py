"""The destination type ``postgres``."""

from __future__ import annotations

from moltler.sync.destinations.postgres.store import PostgresAddress, PostgresStore
from moltler.sync.relational import RelationalDestination


def open_postgres(address: PostgresAddress, name: str) -> RelationalDestination:
    """Give a PostgreSQL database as a destination; it is connected to when it is needed.

    Args:
        address: Where it is and who asks.
        name: The destination, as messages name it.
    """
    return RelationalDestination(PostgresStore(address, name))
