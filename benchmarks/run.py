"""Measure Moltler against the floor in one run; print and keep medians and ratios.

Every sample is a fresh process; contestants take turns, so drift of the machine hits both, and
the ratio is the median of the ratios round by round. Peak memory is the sum over the process
tree of each process's high-water mark.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.figures import FIGURES

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = int(os.environ.get("ROUNDS", "5"))
WORKLOADS = {
    "W1": "one page of 100 rows, warm",
    "W2a": "scan 100,000 rows, 100 a page",
    "W2b": "scan 200,000 rows, 1,000 a page",
    "W3": "WHERE status = … LIMIT 10, warm",
    "W4": "join 20,000 rows with 1,000, grouped",
    "W6": "join that looks up 1,000 keys, 50 ms each, 20 at once (ideal 2.5 s)",
    "RTT": "the same against the bare HTTP round trip",
    "W7": "cold process to the first rows on stdout (`moltler query`)",
    "MEM": "scan 1,000,000 rows: peak memory",
}
VERSION_RUNS = 20


@dataclass(frozen=True)
class Sample:
    """What one process took."""

    seconds: float
    peak_mb: float
    requests: int
    rows: int


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run the API in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.stdin.close()


def measure(command: list[str], url: str, env: dict[str, str]) -> Sample:
    """Run one process to its end and watch its memory."""
    peaks: dict[int, int] = {}
    _requests(url)
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=env) as child:
        finished = threading.Event()

        def watch() -> None:
            while not finished.wait(0.02):
                for pid in processes.tree(child.pid):
                    peaks[pid] = max(peaks.get(pid, 0), processes.high_water_kb(pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        output, _ = child.communicate()
        wall = time.perf_counter() - started
        finished.set()
        watcher.join()
    if child.returncode:
        raise SystemExit(f"{command} ended with {child.returncode}")
    answer = json.loads(output) if output.startswith("{") and "seconds" in output else {}
    return Sample(
        seconds=answer.get("seconds", wall),
        peak_mb=sum(peaks.values()) / 1024,
        requests=_requests(url),
        rows=answer.get("rows", 0),
    )


def _requests(url: str) -> int:
    with urllib.request.urlopen(f"{url}/stats") as answer:
        return int(json.load(answer)["requests"])


def compare(workload: str, url: str, env: dict[str, str]) -> dict[str, object]:
    """Take turns for some rounds and give medians and the ratio ours / floor."""
    rounds = 1 if workload == "MEM" else ROUNDS
    floors: list[Sample] = []
    ours: list[Sample] = []
    for _ in range(rounds):
        floors.append(measure(_command("floor", workload, url), url, env))
        ours.append(measure(_command("ours", workload, url), url, env))
    ratios = [o.seconds / f.seconds for o, f in zip(ours, floors, strict=True)]
    return {
        "workload": workload,
        "floor_s": statistics.median(s.seconds for s in floors),
        "ours_s": statistics.median(s.seconds for s in ours),
        "ratio": statistics.median(ratios),
        "floor_mb": statistics.median(s.peak_mb for s in floors),
        "ours_mb": statistics.median(s.peak_mb for s in ours),
        "requests": f"{floors[0].requests} / {ours[0].requests}",
    }


def _command(contestant: str, workload: str, url: str) -> list[str]:
    if workload == "W7" and contestant == "ours":
        # Exactly what a person types, from a home in which the connector is defined.
        return [sys.executable, "-m", "moltler", "query", "SELECT * FROM api.rows LIMIT 100"]
    return [sys.executable, "-m", "benchmarks.sample", contestant, workload, url]


def version_times(env: dict[str, str]) -> float:
    """Give the median wall time of ``moltler --version``, in seconds."""
    measured: list[float] = []
    program = shutil.which("moltler", path=str(Path(sys.executable).parent)) or "moltler"
    for _ in range(VERSION_RUNS):
        started = time.perf_counter()
        subprocess.run([program, "--version"], env=env, check=True, capture_output=True)
        measured.append(time.perf_counter() - started)
    return statistics.median(measured)


def figure_line(name: str, url: str, env: dict[str, str]) -> str:
    """Take the samples of a figure and give its line of the table."""
    figure = FIGURES[name]
    samples: list[float] = []
    for _ in range(figure.rounds or ROUNDS):
        command = [sys.executable, "-m", "benchmarks.figures", name, url]
        output = subprocess.run(
            command, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        samples.append(json.loads(output.splitlines()[-1])["value"])
    value = statistics.median(samples)
    verdict = "yes" if value <= figure.limit else "**no**"
    unit = figure.unit
    return f"| {name} {figure.label} | {value:.3g} {unit} | {figure.limit:g} {unit} | {verdict} |"


def main() -> None:
    """Run what the arguments name, or everything, and write RESULTS.md."""
    everything = [*WORKLOADS, *FIGURES]
    chosen = sys.argv[1:] or everything
    lines: list[str] = []
    figures: list[str] = []
    load = os.getloadavg()[0]
    with server() as url, tempfile.TemporaryDirectory() as home:
        env = os.environ | {"MOLTLER_HOME": home, "MOLTLER_KEY": "benchmark key, not a secret"}
        import moltler
        from benchmarks import ours

        os.environ.update(env)
        with moltler.connect(Path(home)) as session:
            ours.define(session, url)
        for workload in chosen:
            if workload in FIGURES:
                figures.append(figure_line(workload, url, env))
                print(figures[-1], flush=True)
                continue
            row = compare(workload, url, env)
            line = (
                f"| {workload} {WORKLOADS[workload]} | {row['floor_s']:.4f} | {row['ours_s']:.4f} "
                f"| {row['ratio']:.2f} | {row['requests']} | {row['floor_mb']:.0f} "
                f"| {row['ours_mb']:.0f} |"
            )
            print(line, flush=True)
            lines.append(line)
        version = version_times(env)
        from benchmarks import registry, walls

        packages = registry.table(registry.measure()) if chosen == everything else []
        walled = walls.report() if chosen == everything else []
    text = "\n".join(
        [
            "# Results of `make bench`",
            "",
            f"Python {platform.python_version()}, {os.cpu_count()} cores, {ROUNDS} rounds; every "
            "sample a fresh process, contestants in turn; medians. *Floor* is "
            "`benchmarks/floor.py` (aiohttp, orjson, pyarrow by hand). Ratios are ours / floor: "
            "below 1 is faster. Memory is the sum of the high-water marks of the process tree. "
            f"Before the run {load:.1f} other processes wanted a core on average.",
            "",
            "| workload | floor s | ours s | ratio | requests floor / ours | floor MB | ours MB |",
            "|---|--:|--:|--:|--:|--:|--:|",
            *lines,
            "",
            "Figures with a limit of their own:",
            "",
            "| figure | measured | limit | kept |",
            "|---|--:|--:|---|",
            *figures,
            "",
            f"`moltler --version`: {version * 1000:.0f} ms (median of {VERSION_RUNS}).",
            "",
            *packages,
            "",
            *walled,
        ]
    )
    if chosen == everything:
        (ROOT / "benchmarks" / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
