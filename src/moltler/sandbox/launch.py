"""The program that walls itself in and then becomes the JavaScript runtime.

It runs as ``python -I -S launch.py PARENT MEMORY_MB COUNT PATHS… PROGRAM ARGUMENTS…`` and imports
nothing of Moltler, nor more of the standard library than it needs: each module costs time at
every start. A program of its own replaces ``preexec_fn``, which is unsafe beside our threads.

What stands in the end is written to standard output as one frame (kind WALLS), before anything of
a stranger can run: a list of ``[wall, "" or why it is missing]``.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # what `typing` has by this name, without loading it
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_ROOM_BESIDE_THE_HEAP = 1280 << 20
# ArrayBuffers and code live outside the heap that V8 caps itself.
_OPEN_FILES = 128
_SIGKILL = 9
_WALLS_FRAME = 47

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

# Landlock (kernel: include/uapi/linux/landlock.h); the numbers are those of every architecture.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_GIVE_VERSION = 1
_PATH_BENEATH = 1
_MAY_EXECUTE, _MAY_READ = 1 << 0, 1 << 2
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many of the rights to files each version of the interface knows."""
_ALL_TCP = 0b11
"""Bind and connect, since version 4."""
_ALL_SCOPES = 0b11
"""Abstract sockets and signals, since version 6."""

# System calls by processor: (x86-64, aarch64); -1 where there is none.
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_CLONE, _CLONE3, _KILL, _TGKILL = (56, 220), (435, 435), (62, 129), (234, 131)
_PRCTL, _PRLIMIT = (157, 167), (302, 261)
_REFUSED = (
    (41, 198),  # socket: UDP and raw sockets are none of Landlock's
    (57, -1), (58, -1),  # fork, vfork
    (101, 117), (310, 270), (311, 271),  # ptrace, process_vm_readv, process_vm_writev
    (200, 130), (129, 138), (297, 240), (424, 424), (434, 434),  # other ways to signal
    (160, 164),  # setrlimit: root could raise what we lowered
    (425, 425), (426, 426), (427, 427),  # io_uring: it opens sockets and files by itself
    (165, 40), (272, 97), (308, 268), (161, 51), (155, 41),  # mount, unshare, setns, chroot, pivot
    (248, 217), (249, 218), (250, 219),  # the kernel's keyrings
    (321, 280), (298, 241), (323, 282),  # bpf, perf_event_open, userfaultfd
    (175, 105), (313, 273), (246, 104), (320, 294),  # modules and kexec, if we are root
)  # fmt: skip
_CLONE_THREAD = 0x00010000
_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_X32 = 0x40000000


def main() -> None:
    """Wall this process in, then replace it; returns only if that fails."""
    parent, memory_mb, count = (int(text) for text in sys.argv[1:4])
    paths, command = sys.argv[4 : 4 + count], sys.argv[4 + count :]
    walls = [("limits", _limit(memory_mb))]
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - it takes a while to load, and other systems need none

        kernel = _Kernel(ctypes)
        walls += [
            ("parent", kernel.die_with(parent)),
            *kernel.landlock(command[0], paths),
            ("system calls", kernel.filter_calls()),
        ]
    else:
        absent = "only Linux has it"
        walls += [(name, absent) for name in ("parent", "files", "tcp", "signals", "system calls")]
    os.chdir("/")
    _report(walls)
    # Ours to decide what the runtime sees: no variable of ours, no folder for a cache or of a
    # user, and one time zone wherever it runs.
    environment = {
        "DENO_DIR": "/dev/null/none",
        "DENO_NO_UPDATE_CHECK": "1",
        "HOME": "/nonexistent",
        "NO_COLOR": "1",
        "TZ": "UTC",
    }
    os.execve(command[0], command, environment)  # noqa: S606 - replacing ourselves is the point


def _limit(memory_mb: int) -> str:
    import resource  # noqa: PLC0415 - see ctypes

    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ]
    if sys.platform == "linux":
        limits.append((resource.RLIMIT_DATA, (memory_mb << 20) + _ROOM_BESIDE_THE_HEAP))
    for which, value in limits:
        hard = resource.getrlimit(which)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (lower, lower))
    return "" if sys.platform == "linux" else "memory is watched instead; only Linux limits it"


def _report(walls: list[tuple[str, str]]) -> None:
    rows = ",".join(f'["{name}","{missing}"]' for name, missing in walls)
    text = f"[{rows}]".encode("ascii", "replace")
    os.write(1, len(text).to_bytes(4, "little") + bytes([_WALLS_FRAME, 0, 0, 0, 0]) + text)


class _Kernel:
    """What Linux offers to a process that wants less rights."""

    def __init__(self, ctypes: ModuleType) -> None:
        self._ctypes = ctypes
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = self._libc.prctl.restype = ctypes.c_long

    def die_with(self, parent: int) -> str:
        """Have this process killed when its parent's thread ends."""
        missing = self._prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), _SIGKILL)
        return missing

    def landlock(self, program: str, paths: list[str]) -> list[tuple[str, str]]:
        """Allow reading the paths and running the program, and no other use of files.

        Gives what stands and what this kernel has no wall for.
        """
        version = self._call(_LANDLOCK_CREATE_RULESET, None, 0, _GIVE_VERSION)
        missing = ""
        if version < 1:
            missing = f"the kernel offers no Landlock ({self._error()}); Linux 5.13 has it"
        else:
            missing = self._landlocked(version, program, paths)
        return [
            ("files", missing),
            ("tcp", missing or ("" if version >= 4 else "needs Linux 6.7")),
            ("signals", missing or ("" if version >= 6 else "needs Linux 6.12")),
        ]

    def _landlocked(self, version: int, program: str, paths: list[str]) -> str:
        rights = _FILE_RIGHTS[max(known for known in _FILE_RIGHTS if known <= version)]
        attributes = ((1 << rights) - 1).to_bytes(8, "little")
        if version >= 4:
            attributes += _ALL_TCP.to_bytes(8, "little")
        if version >= 6:
            attributes += _ALL_SCOPES.to_bytes(8, "little")
        ruleset = self._call(_LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
        if ruleset < 0:
            return f"Landlock makes no rules ({self._error()})"
        loaders = [p for p in _LOADERS if os.path.exists(p)]  # noqa: PTH110 - pathlib is slow to load
        runnable = {program, *loaders}
        for path in [*runnable, *paths]:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue  # what is not there needs no permission
            allowed = _MAY_READ | (_MAY_EXECUTE if path in runnable else 0)
            rule = allowed.to_bytes(8, "little") + place.to_bytes(4, "little")
            done = self._call(_LANDLOCK_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
            os.close(place)
            if done < 0:
                os.close(ruleset)
                return f"Landlock takes no rule ({self._error()})"
        missing = self._prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if not missing and self._call(_LANDLOCK_RESTRICT_SELF, ruleset, 0) < 0:
            missing = f"Landlock refuses ({self._error()})"
        os.close(ruleset)
        return missing

    def filter_calls(self) -> str:
        """Refuse system calls that no runtime needs: sockets, new processes, other processes."""
        machine = os.uname().machine
        if machine not in _ARCHITECTURES:
            return f"not known for {machine}"
        which, architecture = _ARCHITECTURES[machine]
        code = _filter(which, architecture, os.getpid())
        missing = self._prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if missing:
            return missing
        ctypes = self._ctypes
        kept = ctypes.create_string_buffer(code, len(code))
        address = ctypes.addressof(kept)
        program = (len(code) // 8).to_bytes(8, "little") + address.to_bytes(8, "little")
        return self._prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program)

    def _prctl(self, option: int, *arguments: int | bytes) -> str:
        done = self._invoke(self._libc.prctl, option, *arguments, *[0] * (4 - len(arguments)))
        return "" if done == 0 else f"the kernel refuses ({self._error()})"

    def _call(self, number: int, *arguments: int | bytes | None) -> int:
        return self._invoke(self._libc.syscall, number, *arguments)

    def _invoke(self, function: Callable[..., int], *arguments: int | bytes | None) -> int:
        # Variadic: a plain int would be passed in half a register.
        wide = [self._ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
        return function(*wide)

    def _error(self) -> str:
        return os.strerror(self._ctypes.get_errno())


_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")


def _filter(which: int, architecture: int, pid: int) -> bytes:
    """Give a BPF program over ``struct seccomp_data``: number, architecture, then arguments."""
    load, equal, at_least, has_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    refuse = (answer, 0, 0, _ERROR | _EPERM)
    allow = (answer, 0, 0, _ALLOW)

    def argument(index: int, half: int = 0) -> tuple[int, int, int, int]:
        return load, 0, 0, 16 + 8 * index + 4 * half

    def on(numbers: tuple[int, int], *then: tuple[int, int, int, int]) -> None:
        if numbers[which] >= 0:
            program.extend([(equal, 0, len(then), numbers[which]), *then])

    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), refuse, (load, 0, 0, 0)]
    if which == 0:
        program += [(at_least, 0, 1, _X32), refuse]
    for numbers in _REFUSED:
        on(numbers, refuse)
    # The C library takes this for an old kernel and makes its threads with clone.
    on(_CLONE3, (answer, 0, 0, _ERROR | _ENOSYS))
    on(_CLONE, argument(0), (has_bit, 0, 1, _CLONE_THREAD), allow, refuse)
    for numbers in (_KILL, _TGKILL):
        on(numbers, argument(0), (equal, 0, 1, pid), allow, refuse)
    on(_PRCTL, argument(0), (equal, 0, 1, _PR_SET_PDEATHSIG), refuse, allow)
    # Reading a limit is no harm: then there is no new one.
    on(_PRLIMIT, argument(2), (equal, 0, 2, 0), argument(2, 1), (equal, 1, 0, 0), refuse, allow)
    return b"".join(
        code.to_bytes(2, "little") + bytes([then, otherwise]) + value.to_bytes(4, "little")
        for code, then, otherwise, value in [*program, allow]
    )


if __name__ == "__main__":
    main()
