"""Play many random histories: ``python -m oracle.campaign --count 5000`` in tests.

Each seed is one history. One that goes wrong is shortened and written to a file, which
``--replay FILE`` plays again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from moltler.exec.duck import Engine
from oracle.history import History, generate, read_history
from oracle.play import Count, Play, Wrong, shrink
from oracle.twin import Twin

CHUNK = 50


@dataclass
class Found:
    """What one chunk of seeds came to."""

    first: int
    count: Count = field(default_factory=Count)
    wrong: list[str] = field(default_factory=list[str])


def tell(text: str) -> None:
    """Write a line now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def run_chunk(first: int, last: int) -> Found:
    """Play the histories of some seeds."""
    found, engine = Found(first), Engine()
    for seed in range(first, last):
        history = generate(seed)
        try:
            Play(history, engine, found.count).run()
        except Wrong as wrong:
            file = Path(f"history-{seed}.json")
            file.write_text(shrink(history, engine).to_json(), encoding="utf-8")
            found.wrong.append(f"seed {seed}: {wrong}\n  replay it with --replay {file}")
    engine.close()
    return found


def _run(bounds: tuple[int, int]) -> Found:
    return run_chunk(*bounds)


def replay(history: History) -> int:
    """Play one history, in memory and in DuckDB."""
    engine = Engine()
    with tempfile.TemporaryDirectory() as folder:
        try:
            Play(history, engine, Count()).run()
            calm = tuple(
                replace(s, faults=tuple(f for f in s.faults if not f.kind.startswith("crash")))
                for s in history.steps
            )
            twin = Twin(Path(folder, "data.duckdb"))
            Play(replace(history, steps=calm), engine, Count(), twin).run()
        except Wrong as wrong:
            tell(str(wrong))
            return 1
        finally:
            engine.close()
    tell("nothing went wrong")
    return 0


def main() -> int:
    """Play them, and tell what came of it."""
    parser = argparse.ArgumentParser(description="Play random histories of an API and its syncs.")
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--replay", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.replay is not None:
        return replay(read_history(options.replay.read_text(encoding="utf-8")))
    last = options.first + options.count
    chunks = [(f, min(f + CHUNK, last)) for f in range(options.first, last, CHUNK)]
    began = time.monotonic()
    runs = crashes = rows = wrong = 0
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for found in pool.imap_unordered(_run, chunks):
            runs += found.count.runs
            crashes += found.count.crashes
            rows += found.count.rows
            wrong += len(found.wrong)
            for text in found.wrong:
                tell(text)
    seconds = time.monotonic() - began
    tell(
        f"{options.count:,} histories, {runs:,} runs, {crashes:,} crashes, {rows:,} rows compared,"
        f" {wrong} wrong, {seconds:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
