"""Compare random queries with plain tables: ``python -m fuzz.campaign --count 100000`` in tests.

Each seed is one query. Of ten, five run as they are, two are joins whose keys feed other scans,
and three run over a cache that has seen scans like their own. A difference is printed with its
seed, which ``--first SEED --count 1`` repeats.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from dataclasses import dataclass, field

from fuzz.compare import Difference, Tally, run_seed
from fuzz.engine import EngineRun
from fuzz.world import World

CHUNK = 200
MODES = ("plain", "plain", "feed", "plain", "cached", "plain", "feed", "cached", "plain", "cached")


@dataclass
class Found:
    """What one chunk of seeds came to."""

    first: int
    count: int
    compared: int = 0
    fed: int = 0
    limits: int = 0
    hits: int = 0
    differences: list[str] = field(default_factory=list[str])


def run_chunk(first: int, count: int) -> Found:
    """Compare the queries of some seeds, each world after the other."""
    found, tally, engine = Found(first, count), Tally(), EngineRun()
    worlds: dict[int, World] = {}
    for seed in range(first, first + count):
        mode = MODES[seed % len(MODES)]
        try:
            run_seed(
                seed,
                engine.run_cached if mode == "cached" else engine.run,
                tally,
                worlds=worlds,
                fold=engine.fold,
                shape="feed" if mode == "feed" else None,
            )
        except Difference as difference:
            found.differences.append(f"[{mode}] {difference}")
    engine.close()
    found.compared, found.fed, found.limits = tally.compared, tally.fed, tally.limits
    found.hits = engine.hits
    return found


def main() -> int:
    """Run them, and tell what came of it."""
    parser = argparse.ArgumentParser(description="Compare random queries with plain tables.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=None, help="Stop after this time.")
    options = parser.parse_args()
    last = options.first + options.count
    starts = range(options.first, last, CHUNK)
    chunks = [(start, min(CHUNK, last - start)) for start in starts]
    began = time.monotonic()
    total = Found(options.first, 0)
    with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=25) as pool:
        for number, found in enumerate(pool.imap(_run, chunks), start=1):
            total.count += found.count
            total.compared += found.compared
            total.fed += found.fed
            total.limits += found.limits
            total.hits += found.hits
            total.differences += found.differences
            for difference in found.differences:
                sys.stdout.write(f"{difference}\n")
            minutes = (time.monotonic() - began) / 60
            if number % 10 == 0 or found.differences:
                sys.stdout.write(f"{_told(total, minutes)}\n")
                sys.stdout.flush()
            if options.minutes is not None and minutes >= options.minutes:
                pool.terminate()
                break
    sys.stdout.write(f"{_told(total, (time.monotonic() - began) / 60)}\n")
    return 1 if total.differences else 0


def _run(chunk: tuple[int, int]) -> Found:
    return run_chunk(*chunk)


def _told(total: Found, minutes: float) -> str:
    return (
        f"seeds {total.first} to {total.first + total.count - 1}: {total.compared:,} queries "
        f"compared ({total.fed:,} fed by joins, {total.limits:,} with a limit handed over, "
        f"{total.hits:,} scans from a cache), {len(total.differences)} differences, "
        f"{minutes:.1f} min"
    )


if __name__ == "__main__":
    sys.exit(main())
