"""The destination type ``duckdb``."""

from __future__ import annotations

from pathlib import Path

from moltler.ports import Clock
from moltler.sync.destinations.duckdb.file import KEEP_S, DuckFile
from moltler.sync.destinations.duckdb.store import DuckStore
from moltler.sync.relational import RelationalDestination
from moltler.vault.locks import BUSY_AFTER_S


def open_duckdb(
    path: Path,
    name: str,
    clock: Clock,
    *,
    is_home: bool = False,
    wait_s: float = BUSY_AFTER_S,
    keep_s: float = KEEP_S,
) -> RelationalDestination:
    """Give a DuckDB file as a destination; it is opened, and made, when it is needed.

    Args:
        path: The file.
        name: The destination, as messages name it.
        clock: Measures leases and waiting.
        is_home: It is the file of the home.
        wait_s: How long other processes are waited for.
        keep_s: How long the file stays open after use, unless somebody waits for it.
    """
    file = DuckFile(path, name, clock, is_home=is_home, wait_s=wait_s, keep_s=keep_s)
    return RelationalDestination(DuckStore(file, clock))
