from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest

from moltler.errors import LookupFailed
from moltler.vault.locks import hold_lock, holder_of
from moltler.vault.store import SecretFile
from support.clock import HandClock

CONTEXT = multiprocessing.get_context("spawn")
KEY = {"MOLTLER_KEY": "11" * 32}


def put_many(home: Path, prefix: str, start: Barrier) -> None:
    store = SecretFile(home, {}, HandClock())
    start.wait()
    for number in range(25):
        store.put(f"{prefix}_{number}", f"value {number}")


def test_two_processes_that_write_at_once_lose_nothing(home: Path) -> None:
    start = CONTEXT.Barrier(2)
    workers = [CONTEXT.Process(target=put_many, args=(home, p, start)) for p in ("left", "right")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0]
    store = SecretFile(home, {}, HandClock())
    assert len(store.list()) == 50
    assert {store.get(r.name) for r in store.list()} == {f"value {n}" for n in range(25)}


def put_forever(home: Path, written: Event) -> None:
    store = SecretFile(home, KEY, HandClock())
    number = 0
    while True:
        store.put("a", f"value {number}" + "x" * 50_000)
        number += 1
        if number == 20:
            written.set()


def test_a_killed_writer_leaves_a_whole_file_and_no_lock(home: Path) -> None:
    for _ in range(3):
        written = CONTEXT.Event()
        worker = CONTEXT.Process(target=put_forever, args=(home, written))
        worker.start()
        written.wait()
        worker.kill()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
        store = SecretFile(home, KEY, HandClock())
        assert (store.get("a") or "").startswith("value ")
        store.put("b", "still works")
        assert store.get("b") == "still works"


def hold(path: Path, held: Event, done: Event) -> None:
    with hold_lock(path, HandClock()):
        held.set()
        done.wait()


def test_a_busy_file_says_who_holds_it(home: Path) -> None:
    home.mkdir()
    path = home / "secrets.lock"
    held, done = CONTEXT.Event(), CONTEXT.Event()
    worker = CONTEXT.Process(target=hold, args=(path, held, done))
    worker.start()
    held.wait()
    try:
        with pytest.raises(LookupFailed) as caught, hold_lock(path, HandClock(), wait_s=0.05):
            pass
    finally:
        done.set()
        worker.join()
    assert caught.value.code == "CAT009"
    assert f"process {worker.pid}" in str(caught.value)
    with hold_lock(path, HandClock(), wait_s=0):
        pass


def test_who_holds_a_lock_is_unknown_where_the_kernel_does_not_tell(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    path.touch()
    assert holder_of(path, locks=tmp_path / "no such list") is None
