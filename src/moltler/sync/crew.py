"""Several entities synced side by side, so that one that waits does not hold up the others."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from moltler.sync.job import Job
from moltler.sync.run import RunOutcome, Tools, run_job

MOST_AT_ONCE = 8
_ALL_BATCHES = 64 << 20
"""Bytes of the batches of all entities that are gathered at a time."""
_LEAST_BATCH = 4 << 20


def run_jobs(jobs: Sequence[Job], tools: Tools, *, width: int = MOST_AT_ONCE) -> list[RunOutcome]:
    """Sync entities, each on its own: a failure of one is an outcome like any other.

    Calls of one instance take turns page by page and share its `rate_limit`, so entities that run
    side by side advance in turn (round robin), and together hold no more rows than one would.

    Returns:
        The outcomes in the order of the jobs.
    """
    if len(jobs) <= 1:
        return [run_job(job, tools) for job in jobs]
    at_once = min(width, len(jobs))
    shared = replace(tools, batch_bytes=max(_ALL_BATCHES // at_once, _LEAST_BATCH))
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="moltler-sync")
    try:
        futures = [pool.submit(run_job, job, shared) for job in jobs]
        return [future.result() for future in futures]
    except BaseException:
        # An interrupt: runs that wait give up, those under way release their leases.
        tools.ender.end()
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
