"""The shrink guard: a copy that lost most of its rows is an accident until somebody says not."""

from __future__ import annotations

from moltler.errors import SyncError


def is_shrunk(before: int, after: int) -> bool:
    """Tell whether live rows became suspiciously few: none, or fewer than half of what was there.

    >>> is_shrunk(0, 0), is_shrunk(1, 0), is_shrunk(10, 5), is_shrunk(10, 4)
    (False, True, False, True)
    """
    return before > 0 and (after == 0 or after * 2 < before)


def check_shrink(table: str, before: int, after: int) -> None:
    """Refuse to replace or delete most of a table.

    Args:
        table: As messages name it.
        before: Live rows that are visible now.
        after: Live rows that would be.

    Raises:
        SyncError: SNC003.
    """
    if is_shrunk(before, after):
        raise SyncError(
            "SNC003",
            f"`{table}` would have {after:,} row(s) instead of {before:,}",
            hint="look at the live entity; if that is right, add ALLOW EMPTY",
        )
