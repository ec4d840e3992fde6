"""A lock between processes on a file, and who holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from moltler.errors import LookupFailed
from moltler.ports import Clock

BUSY_AFTER_S = 30.0
"""How long a busy home is waited for (LANGUAGE §12.1)."""
_POLL_S = 0.02


@contextmanager
def hold_lock(path: Path, clock: Clock, *, wait_s: float = BUSY_AFTER_S) -> Generator[None]:
    """Hold an exclusive lock on a file, which is made if need be and never removed.

    The lock belongs to the open file, so it also keeps threads of one process apart, and the
    kernel releases it when its process dies.

    Raises:
        LookupFailed: CAT009, somebody else held it for `wait_s`; CAT010, the file is unusable.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LookupFailed(
            "CAT010",
            f"cannot open `{path}` ({error.strerror})",
            hint="check the owner and the permissions of the home",
        ) from error
    try:
        _wait_for(descriptor, path, clock, wait_s)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, path: Path, clock: Clock, wait_s: float) -> None:
    deadline = clock.monotonic() + wait_s
    pause = threading.Event()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES, errno.EINTR}:
                raise
        else:
            return
        if clock.monotonic() >= deadline:
            raise busy(path.parent, holder_of(path), wait_s)
        # flock has no time limit of its own, and a lock is held for milliseconds.
        pause.wait(_POLL_S)


def busy(home: Path, holder: str | None, wait_s: float) -> LookupFailed:
    """Give the error CAT009 for a home that others held for too long."""
    who = holder or "another process"
    return LookupFailed(
        "CAT009",
        f"the home `{home}` is busy: {who} has been writing to it for {wait_s:g} seconds",
        hint="wait until it has finished, or end it, and try again",
    )


def holder_of(path: Path, locks: Path = Path("/proc/locks")) -> str | None:
    """Tell which process holds a write lock on a file, or ``None`` where that is unknown."""
    try:
        inode = path.stat().st_ino
        rows = locks.read_text().splitlines()
    except OSError:
        return None
    for row in rows:
        cells = row.split()
        # 1: FLOCK ADVISORY WRITE 4711 08:01:123456 0 EOF; a waiting process has "->" in front.
        if len(cells) < 6 or "->" in cells or cells[3] != "WRITE":
            continue
        if cells[5].rpartition(":")[2] == str(inode) and cells[4] != str(os.getpid()):
            return f"process {cells[4]}{_command_of(cells[4])}"
    return None


def _command_of(pid: str) -> str:
    # Only the program's name: its arguments may hold the value of a secret.
    try:
        return f" (`{Path('/proc', pid, 'comm').read_text().strip()}`)"
    except OSError:
        return ""
