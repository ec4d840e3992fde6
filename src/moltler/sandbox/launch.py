"""The program that puts limits on itself and then becomes the JavaScript runtime.

It runs as ``python -I -S launch.py PARENT MEMORY_MB PROGRAM ARGUMENTS…`` and imports nothing of
Moltler. A program of its own replaces ``preexec_fn``, which is unsafe beside our threads.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_ROOM_BESIDE_THE_HEAP = 1280 << 20
# ArrayBuffers and code live outside the heap that V8 caps itself.
_OPEN_FILES = 128


def main() -> None:
    """Limit this process, then replace it; returns only if that fails."""
    parent, memory_mb, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.setsid()
    _die_with(parent)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_DATA, (memory_mb << 20) + _ROOM_BESIDE_THE_HEAP)
    # Ours to decide what the runtime sees: nothing of the environment, and no cache folder.
    environment = {"DENO_DIR": "/dev/null/none", "NO_COLOR": "1", "DENO_NO_UPDATE_CHECK": "1"}
    os.chdir("/")
    os.execve(program, sys.argv[3:], environment)  # noqa: S606 - replacing ourselves is the point


def _die_with(parent: int) -> None:
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGKILL)


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


if __name__ == "__main__":
    main()
