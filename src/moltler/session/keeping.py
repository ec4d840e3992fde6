"""Who keeps the schedules of a home: a server, or runs of what is due."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from moltler.errors import LookupFailed
from moltler.ports import Clock
from moltler.vault.locks import hold_lock, holder_of

_SERVED, _ASKED = "serve.lock", "sync-due.mark"
_STILL_KEPT = timedelta(hours=25)
"""Whoever runs what is due once a day or more often keeps the schedules."""


@contextmanager
def keep(home: Path, clock: Clock) -> Generator[None]:
    """Be the one process that keeps the schedules.

    Raises:
        LookupFailed: CAT009, another one does.
    """
    path = home / _SERVED
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(path, clock, wait_s=0))
        except LookupFailed as error:
            if error.code != "CAT009":
                raise
            raise LookupFailed(
                "CAT009",
                f"{holder_of(path) or 'another process'} keeps the schedules of the home `{home}`"
                " already",
                hint="end it first, or choose another home with --home",
            ) from None
        yield


def note_due(home: Path) -> None:
    """Note that what is due is being run."""
    (home / _ASKED).touch(mode=0o600)


def is_kept(home: Path, clock: Clock) -> bool:
    """Tell whether somebody keeps the schedules, other than this process."""
    if holder_of(home / _SERVED) is not None:
        return True
    try:
        asked = (home / _ASKED).stat().st_mtime
    except OSError:
        return False
    return clock.now().timestamp() - asked < _STILL_KEPT.total_seconds()
