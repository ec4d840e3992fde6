from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from moltler.catalog.store import CatalogFile
from moltler.model import Connector
from support.catalog_workers import create_forever, create_many, serve_changes
from support.clock import HandClock

CONTEXT = multiprocessing.get_context("spawn")


def test_two_processes_that_write_at_once_lose_nothing(home: Path) -> None:
    start = CONTEXT.Barrier(2)
    names = ("left", "right")
    workers = [CONTEXT.Process(target=create_many, args=(home, n, start)) for n in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0]
    catalog = CatalogFile(home, HandClock()).load()
    assert len(catalog.connectors) == 40
    assert {c.version for c in catalog.connectors.values()} == set(range(1, 41))


def test_a_killed_writer_leaves_a_whole_catalog_and_no_lock(home: Path) -> None:
    for _ in range(3):
        written = CONTEXT.Event()
        worker = CONTEXT.Process(target=create_forever, args=(home, written))
        worker.start()
        assert written.wait(60)
        worker.kill()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
        file = CatalogFile(home, HandClock(), busy_s=1)
        catalog = file.load()
        assert catalog.connector("a").config == catalog.connector("b").config
        file.update(lambda c: c.create_connector(Connector("c", "t"), or_replace=True))


@pytest.fixture
def other_process(home: Path) -> Iterator[Connection]:
    here, there = CONTEXT.Pipe()
    worker = CONTEXT.Process(target=serve_changes, args=(home, there))
    worker.start()
    # So that a worker that ends too early is an error of `recv` here, and not a hang.
    there.close()
    yield here
    here.send(None)
    worker.join()
    assert worker.exitcode == 0


def test_a_change_of_another_process_is_seen_at_the_next_look(
    home: Path, other_process: Connection
) -> None:
    file = CatalogFile(home, HandClock())
    file.update(lambda c: c.create_connector(Connector("mine", "t")))
    for name in ("one", "two"):
        before = file.load()
        assert file.load() is before
        other_process.send(name)
        assert other_process.recv() == "done"
        assert name in file.load().connectors
