"""What the walls around handlers cost at a start, what idle instances take, and whether a hostile
neighbour slows anybody down.

Contestants take turns. The cost of the walls is processor time: a start waits for nothing else, and
the time on the clock of a busy machine says little.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moltler.flow.connector import ResolvedConnector
from moltler.loop import LoopThread
from moltler.model import Action, Connector, ConnectorType, Handler
from moltler.net.client import HttpTransport
from moltler.net.settings import NetSettings
from moltler.sandbox.frames import HEADER, Kind
from moltler.sandbox.handler import JavaScriptHandlers
from moltler.sandbox.program import runtime
from moltler.schema import Schema

STARTS = int(os.environ.get("STARTS", "15"))
INSTANCES = int(os.environ.get("INSTANCES", "200"))
CALLS = 200
_ATTACKS = {
    "a loop": "for (;;);",
    "two loops": "for (;;);",
    "a flood of refused requests": "for (;;) await Promise.all(Array.from({length: 32}, () =>"
    " fetch('http://198.51.100.7/').catch(() => {})));",
    "a flood of log lines": "const t = 'x'.repeat(60000); for (;;) console.log(t);",
}


def start(command: list[str]) -> tuple[float, float]:
    """Start a process, wait until it is ready, end it; give its seconds of processor and clock."""
    ours, theirs = socket.socketpair()
    environment = {"HOME": "/nonexistent", "DENO_DIR": "/dev/null/none", "TZ": "UTC"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, env=environment
    )
    theirs.close()
    seen = b""
    while not _is_ready(seen):
        piece = ours.recv(65536)
        if not piece:
            raise SystemExit(f"{command[0]} did not start")
        seen += piece
    wall = time.perf_counter() - began
    # Read while it lives: what it takes to end it is nobody's start.
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    spent = _schedstat(process.pid) if Path("/proc/self/schedstat").exists() else 0.0
    ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    process.kill()
    process.wait()
    ours.close()
    return spent or ticks, wall


def _schedstat(pid: int) -> float:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _is_ready(seen: bytes) -> bool:
    at = 0
    while len(seen) - at >= HEADER.size:
        length, kind, _ = HEADER.unpack_from(seen, at)
        if kind == Kind.READY:
            return True
        at += HEADER.size + length
    return False


def start_costs() -> tuple[list[float], list[float]]:
    """Give the extra milliseconds of processor and clock of each start behind walls."""
    walled = runtime(256, False)
    count = int(walled[6])
    bare = walled[7 + count :]
    cpu: list[float] = []
    wall: list[float] = []
    for _ in range(STARTS):
        without, within = start(bare), start(walled)
        cpu.append((within[0] - without[0]) * 1000)
        wall.append((within[1] - without[1]) * 1000)
    return cpu, wall


@contextmanager
def handlers() -> Iterator[JavaScriptHandlers]:
    """Give a runtime of its own."""
    loop = LoopThread()
    made = JavaScriptHandlers(loop, lambda t: HttpTransport(t, settings=NetSettings()))
    try:
        yield made
    finally:
        made.close()
        loop.close()


def run(made: JavaScriptHandlers, name: str, body: str) -> object:
    """Run an action of an instance."""
    target = ResolvedConnector(Connector(name, "t"), ConnectorType("t"), 1, {}, (), "1")
    handler = Handler(f"async function execute() {{ {body} }}", "bench", 1)
    return made.execute(target, Action("a", None, Schema(), handler), {})


def memory_mb(pid: int) -> float:
    """Give a process's own share of memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def instances() -> tuple[float, float, float]:
    """Open many instances; give MB of all children, MB of the host, and seconds to open them."""
    with handlers() as made:
        began = time.perf_counter()
        for number in range(INSTANCES):
            run(made, f"i{number}", "return 1")
        taken = time.perf_counter() - began
        pids = [child.pid for child in made._spares._all if child.is_alive and child.pid]
        return sum(map(memory_mb, pids)), memory_mb(os.getpid()), taken


def neighbours(attack: str) -> tuple[float, float]:
    """Give milliseconds of a neighbour's call without and with an attack, as medians."""
    with handlers() as made:
        run(made, "honest", "return 1")
        alone = _calls(made)
        attackers = [
            threading.Thread(target=_attack, args=(made, f"mean{number}", _ATTACKS[attack]))
            for number in range(2 if attack.startswith("two") else 1)
        ]
        for number, thread in enumerate(attackers):
            run(made, f"mean{number}", "return 1")
            thread.start()
        beside = _calls(made)
        made.close()
        for thread in attackers:
            thread.join()
    return alone, beside


def _attack(made: JavaScriptHandlers, name: str, body: str) -> None:
    try:
        run(made, name, body)
    except Exception:  # noqa: BLE001 - however it ends
        return


def _calls(made: JavaScriptHandlers) -> float:
    taken: list[float] = []
    for _ in range(CALLS):
        began = time.perf_counter()
        run(made, "honest", "return 1")
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def report() -> list[str]:
    """Measure everything and give the lines of a report."""
    cpu, wall = start_costs()
    lines = [
        "## Walls",
        "",
        f"Walls at a start: {statistics.median(cpu):.1f} ms of processor (median of {STARTS}; the "
        f"least {min(cpu):.1f}, target 15), {statistics.median(wall):.1f} ms on the clock; hidden "
        "by spares.",
        "",
    ]
    children, host, taken = instances()
    lines += [
        f"{INSTANCES} instances open at once: {children / INSTANCES:.1f} MB each (PSS), "
        f"{children:.0f} MB in all and {host:.0f} MB in the host; opened in {taken:.1f} s.",
        "",
        "| attack of a neighbour | call alone ms | call beside it ms | ratio |",
        "|---|--:|--:|--:|",
    ]
    for attack in _ATTACKS:
        alone, beside = neighbours(attack)
        lines.append(f"| {attack} | {alone:.2f} | {beside:.2f} | {beside / alone:.2f} |")
    return [*lines, ""]


if __name__ == "__main__":
    print("\n".join(report()))
