"""A queue of processes, and of threads, for one file that only one of them may write."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

from moltler.ports import Clock
from moltler.vault.locks import holder_of

_POLL_S = 0.01


class Busy(Exception):  # noqa: N818 - a verdict that `duck_file` turns into an error of ours
    """Somebody else kept the file for too long."""

    def __init__(self, holder: str | None) -> None:
        self.holder = holder
        """Who, or ``None`` where that is unknown."""
        super().__init__(holder)


class FileQueue:
    """The right to open a file, between processes; used by one thread at a time.

    Whoever wants it first takes the lock file of those who wait, of which there is one place, and
    then the lock itself. So who holds the lock can see that somebody waits, and who gives it up
    for that reason comes behind them. The kernel releases both when a process dies.

    Args:
        path: The file; the lock files lie beside it.
        clock: Measures the waiting.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.lock = path.with_name(path.name + ".lock")
        self._door = path.with_name(path.name + ".next")
        self._clock = clock
        self._held: int | None = None

    def take(self, *, shared: bool, wait_s: float) -> None:
        """Wait for the lock.

        Args:
            shared: With others who read; otherwise alone.
            wait_s: How long.

        Raises:
            Busy: Others had it all the time.
            OSError: The lock files cannot be made.
        """
        deadline = self._clock.monotonic() + wait_s
        door = self._open(self._door)
        try:
            self._wait(door, fcntl.LOCK_EX, deadline)
            lock = self._open(self.lock)
            try:
                self._wait(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, deadline)
            except BaseException:
                os.close(lock)
                raise
            self._held = lock
        finally:
            os.close(door)

    def release(self) -> None:
        """Give the lock up."""
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def is_wanted(self) -> bool:
        """Tell whether somebody waits for it."""
        door = self._open(self._door)
        try:
            return not _try(door, fcntl.LOCK_EX)
        finally:
            os.close(door)

    def wait_until(self, is_done: Callable[[], bool], deadline: float) -> None:
        """Ask again and again.

        Raises:
            Busy: It was not done before the deadline (of the clock's monotonic time).
        """
        pause = threading.Event()
        while not is_done():
            if self._clock.monotonic() >= deadline:
                raise Busy(None)
            # flock has no time limit of its own.
            pause.wait(_POLL_S)

    def _wait(self, descriptor: int, mode: int, deadline: float) -> None:
        try:
            self.wait_until(lambda: _try(descriptor, mode), deadline)
        except Busy:
            raise Busy(holder_of(self.lock)) from None

    @staticmethod
    def _open(path: Path) -> int:
        with contextlib.suppress(PermissionError, IsADirectoryError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # A lock needs no right to write.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _try(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EAGAIN, errno.EACCES, errno.EINTR}:
            raise
        return False
    return True
