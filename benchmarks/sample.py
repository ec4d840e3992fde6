"""One sample of one workload by one contestant, in a fresh process; prints JSON."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 60
WIDTH = 20
"""Requests at once of W6."""


def floor_sample(workload: str, url: str) -> dict[str, float]:
    """Run the hand-written contestant."""
    from benchmarks import floor

    started = time.perf_counter()
    rows = 0
    match workload:
        case "W2a":
            rows = asyncio.run(floor.scan(url, size=100, total=100_000))
        case "W2b":
            rows = asyncio.run(floor.scan(url, size=1000, total=200_000))
        case "MEM":
            rows = asyncio.run(floor.scan(url, size=1000, total=1_000_000))
        case "W1":
            return {"seconds": statistics.median(asyncio.run(floor.warm_pages(url, REPEATS)))}
        case "W3":
            return {"seconds": statistics.median(asyncio.run(floor.warm_filtered(url, REPEATS)))}
        case "RTT":
            return {"seconds": statistics.median(asyncio.run(floor.warm_round_trips(url, REPEATS)))}
        case "W4":
            rows = asyncio.run(floor.joined(url))
        case "W6":
            rows = asyncio.run(floor.looked_up(url, WIDTH, 50))
        case "W7":
            rows = asyncio.run(floor.scan(url, size=100, total=100))
    return {"seconds": time.perf_counter() - started, "rows": rows}


def our_sample(workload: str, url: str) -> dict[str, float]:
    """Run Moltler; defining the connector is not part of the figure, starting a runtime is.

    Libraries are loaded first, as the floor's are; W7 measures them.
    """
    import moltler
    import moltler.exec.run
    import moltler.net.client
    import moltler.plan.planner
    import moltler.sandbox.handler
    from benchmarks import ours

    size = {"W2a": 100, "W1": 100}.get(workload, 1000)
    total = {"W2a": 100_000, "W1": 100, "W2b": 200_000, "MEM": 1_000_000}.get(workload, 100_000)
    with tempfile.TemporaryDirectory() as home, moltler.connect(Path(home)) as session:
        ours.define(session, url, size=size, total=total, width=WIDTH if workload == "W6" else 1)
        match workload:
            case "W1":
                measured = ours.times(session, "SELECT * FROM api.rows", REPEATS)
                return {"seconds": statistics.median(measured)}
            case "W3" | "RTT":
                sql = "SELECT * FROM api.rows WHERE status = 'active' LIMIT 10"
                measured = ours.times(session, sql, REPEATS)
                return {"seconds": statistics.median(measured)}
            case _:
                sql = {"W4": ours.JOINED, "W6": ours.LOOKED_UP}.get(workload, ours.ALL)
                started = time.perf_counter()
                rows = ours.scan(session, sql)
                return {"seconds": time.perf_counter() - started, "rows": rows}


if __name__ == "__main__":
    contestant, name, address = sys.argv[1:4]
    sample = floor_sample if contestant == "floor" else our_sample
    print(json.dumps(sample(name, address)))
