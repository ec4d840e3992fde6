"""Which walls stand is told, and what lacks is made up for (RUNTIME §7.6–7.8)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hostile.conftest import Arena, child_of, code_of, outcome
from moltler.flow.connector import CallLimits
from moltler.loop import LoopThread
from moltler.sandbox.child import Child
from moltler.sandbox.launch import _Kernel
from moltler.sandbox.program import Times, runtime
from moltler.sandbox.usage import Leash, Usage, from_ps, usage_of
from moltler.sandbox.walls import walls_of
from sandbox.conftest import Runtime, runtime_of
from support.command import Moltler

WALLS = ["permissions", "limits", "parent", "files", "tcp", "signals", "system calls"]


@pytest.fixture(scope="module")
def times() -> Times:
    return Times(silence_s=1.0, watch_s=0.4)


def test_doctor_names_every_wall(moltler_command: Moltler) -> None:
    rows = [row for line in moltler_command("doctor", "--json").ok().json_lines for row in [line]]
    told = str(rows)
    for name in WALLS:
        assert f"wall: {name}" in told


def test_a_runtime_tells_its_walls(arena: Arena) -> None:
    assert [wall.name for wall in arena.runtime.handlers.walls()] == WALLS
    assert all(wall.keeps for wall in arena.runtime.handlers.walls())


@pytest.mark.skipif(sys.platform != "linux", reason="these walls are Linux's")
def test_every_wall_that_the_kernel_offers_stands(arena: Arena) -> None:
    import ctypes

    version = ctypes.CDLL(None).syscall(444, None, 0, 1)
    due = {"limits", "parent", *(n for n, v in (("files", 1), ("tcp", 4), ("signals", 6))
                                 if version >= v)}  # fmt: skip
    if os.uname().machine in {"x86_64", "aarch64"}:
        due.add("system calls")
    walls = {wall.name: wall.missing for wall in arena.runtime.handlers.walls()}
    assert {name: walls[name] for name in due} == dict.fromkeys(due, "")


def test_a_missing_wall_is_told_with_its_reason() -> None:
    _, files, tcp = walls_of(b'[["files",""],["tcp","needs Linux 6.7"]]')
    assert (files.missing, tcp.missing) == ("", "needs Linux 6.7")


# ── kernels ──────────────────────────────────────────────────────────────────────────────────

# What the kernel's documentation has: rights to files, rights to TCP, scopes, by version.
VERSIONS = {
    1: (0x1FFF, None, None),
    2: (0x3FFF, None, None),
    3: (0x7FFF, None, None),
    4: (0x7FFF, 3, None),
    5: (0xFFFF, 3, None),
    6: (0xFFFF, 3, 3),
    7: (0xFFFF, 3, 3),
    99: (0xFFFF, 3, 3),
}


class OtherKernel:
    """A C library on a kernel with another version of Landlock, as its documentation says."""

    c_ulong = int
    c_long = int

    def __init__(self, version: int) -> None:
        self.version = version
        self.attributes = b""
        self.rules: list[bytes] = []
        self.restricted = False
        self.errno = 0

    def CDLL(self, name: None, *, use_errno: bool) -> Any:  # noqa: N802 - the name of ctypes
        return SimpleNamespace(syscall=lambda *a: self.syscall(*a), prctl=lambda *_: 0)

    def get_errno(self) -> int:
        return self.errno

    def syscall(self, number: int, *args: Any) -> int:
        if self.version == 0:
            self.errno = 38
            return -1
        if number == 444 and args[0] is None:
            return self.version
        if number == 444:
            self.attributes = args[0]
            return os.open(os.devnull, os.O_RDONLY)
        if number == 445:
            assert args[1] == 1
            self.rules.append(args[2])
            return 0
        assert number == 446
        self.restricted = True
        return 0


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_landlock_is_used_as_far_as_it_goes(version: int, tmp_path: Path) -> None:
    kernel: Any = OtherKernel(version)
    walls = _Kernel(kernel).landlock(sys.executable, [str(tmp_path), str(tmp_path / "nothing")])
    numbers = [
        int.from_bytes(kernel.attributes[i : i + 8], "little")
        for i in range(0, len(kernel.attributes), 8)
    ]
    assert numbers == [n for n in VERSIONS[version] if n is not None]
    assert kernel.restricted
    assert [name for name, missing in walls if missing] == (
        ["tcp", "signals"] if version < 4 else ["signals"] if version < 6 else []
    )
    allowed = {int.from_bytes(rule[:8], "little") for rule in kernel.rules}
    assert allowed == {0b100, 0b101}  # read; read and execute
    assert {len(rule) for rule in kernel.rules} == {12}


def test_without_landlock_the_reason_is_told() -> None:
    kernel: Any = OtherKernel(0)
    walls = dict(_Kernel(kernel).landlock(sys.executable, []))
    assert walls.keys() == {"files", "tcp", "signals"}
    assert all("no Landlock (Function not implemented)" in missing for missing in walls.values())
    assert not kernel.restricted


WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
code = b"".join(struct.pack("<HBBI", *step) for step in [
    (0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050026), (0x06, 0, 0, 0x7fff0000)])
kept = ctypes.create_string_buffer(code, len(code))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("<QQ", 4, ctypes.addressof(kept)), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_a_runtime_starts_and_serves_on_a_kernel_without_landlock() -> None:
    def program(memory_mb: int, covers: bool) -> list[str]:
        return [sys.executable, "-c", WITHOUT_LANDLOCK, *runtime(memory_mb, covers)]

    with runtime_of(program=program) as older:
        walls = {wall.name: wall.missing for wall in older.handlers.walls()}
        assert "no Landlock (Function not implemented)" in walls["files"]
        assert walls["system calls"] == ""
        assert older.instance().evaluate("1 + 1") == 2


# ── watching where the kernel does not ───────────────────────────────────────────────────────


def test_memory_beyond_the_limit_is_seen_whoever_gave_it() -> None:
    leash = Leash(256, 5.0)
    assert not leash.is_memory_spent(Usage(1500 << 20, 0))
    assert leash.is_memory_spent(Usage(1540 << 20, 0))


def test_only_work_that_nobody_asked_for_is_astray() -> None:
    leash = Leash(256, 5.0)
    looks = [(0.0, 1, 0), (4.0, 2, 0), (5.0, 2, 0), (9.0, 2, 1), (12.0, 2, 0), (15.0, 2, 0)]
    found = [leash.is_astray(Usage(0, cpu), opened, running) for cpu, opened, running in looks]
    assert found == [False, False, False, False, False, True]


@pytest.mark.parametrize("look", [usage_of, from_ps])
def test_the_use_of_a_process_is_known(look: Any) -> None:
    loop = LoopThread()
    used = loop.run(look(os.getpid()))
    assert 10 << 20 < used.memory_bytes < 4 << 30
    assert 0 <= used.cpu_s <= sum(os.times()[:2]) + 1
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    assert loop.run(look(gone.pid)) is None
    loop.close()


@pytest.mark.parametrize(
    "left_behind",
    [
        # It answers every ping, and no timer or request of the call is left.
        "const {port1, port2} = new MessageChannel();"
        " port1.onmessage = () => { for (const end = Date.now() + 5; Date.now() < end;);"
        " port2.postMessage(0); }; port2.postMessage(0);",
        "const again = () => { for (const end = Date.now() + 5; Date.now() < end;);"
        " new Blob(['x']).arrayBuffer().then(again); }; again();",
    ],
)
def test_work_that_a_call_left_behind_is_ended(arena: Arena, left_behind: str) -> None:
    shop = arena.attacker()
    assert outcome(shop, f"{left_behind} return 1") == 1
    child = child_of(shop)
    shop.runtime.loop.run(child.gone())
    assert child.death is not None
    assert child.death.cause == "looping"
    assert outcome(shop, "return 2") == 2


EATER = "import time; kept = [bytearray(b'x') * (64 << 20) for _ in range(25)]; input()"


@pytest.mark.heavy
def test_a_process_that_got_more_memory_than_it_should_is_ended() -> None:
    def program(memory_mb: int, covers: bool) -> list[str]:
        return [
            sys.executable,
            "-c",
            "import os; os.write(1, bytes([2, 0, 0, 0, 47, 0, 0, 0, 0]) + b'[]'"
            " + bytes([0, 0, 0, 0, 32, 0, 0, 0, 0]));" + EATER,
        ]

    loop = LoopThread()
    child = Child(16, Times(watch_s=0.1), program=program)
    loop.run(child.start())
    loop.run(child.gone())
    assert child.death is not None
    assert child.death.cause == "memory"
    loop.close()


# ── limits ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def limited() -> Iterator[Runtime]:
    with runtime_of() as started:
        yield started


@pytest.mark.skipif(sys.platform != "linux", reason="limits are read from /proc")
def test_a_process_has_its_limits_and_a_session_of_its_own(limited: Runtime) -> None:
    shop = limited.instance(limits=CallLimits(memory_mb=300))
    assert shop.evaluate("1") == 1
    pid = child_of(shop).pid
    assert pid is not None
    limits = Path(f"/proc/{pid}/limits").read_text()
    known = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    data = str((300 + 1280) << 20)
    assert known["Max core file size"] == ["0", "0"]
    assert known["Max file size"] == ["0", "0"]
    assert known["Max open files"] == ["128", "128"]
    assert known["Max data size"] == [data, data]
    assert os.getsid(pid) == os.getpgid(pid) == pid
    assert {"0", "1", "2"} <= {entry.name for entry in Path(f"/proc/{pid}/fd").iterdir()}
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_a_descriptor_of_the_host_is_not_inherited(arena: Arena, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        shop = arena.attacker(limits=CallLimits(memory_mb=260))
        assert outcome(shop, "return 1") == 1
        pid = child_of(shop).pid
        held = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    assert file.name not in held


def test_the_command_line_dumps_no_core(moltler_command: Moltler, tmp_path: Path) -> None:
    script = (
        "import resource, sys; from moltler.cli import main as m\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, resource.RLIM_INFINITY))\n"
        "try: m.main(['--version'])\n"
        "except SystemExit: print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
    )
    hard = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[1])"
    if subprocess.check_output([sys.executable, "-c", hard]).strip() != b"-1":
        pytest.skip("core dumps are limited here already")
    shown = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()
    assert shown[-1] == "0"


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_handlers_are_in_utc_wherever_the_host_is(
    limited: Runtime, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    shop = limited.instance(limits=CallLimits(memory_mb=200))
    assert shop.evaluate("new Date(2024, 0, 1).toISOString()") == "2024-01-01T00:00:00.000Z"


def test_a_process_that_dies_of_its_limit_says_so(limited: Runtime) -> None:
    shop = limited.instance(limits=CallLimits(memory_mb=64))
    result = outcome(shop, "const all = []; for (;;) all.push(new Array(1e6).fill(1.5));")
    assert code_of(result) == "JSR003"
    assert "64 MB" in result.message
