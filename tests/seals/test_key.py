"""The key of the seals: one for a home, however many ask for it first."""

from __future__ import annotations

import threading
from pathlib import Path

from moltler.vault.seal import SealKey
from support.clock import HandClock


def test_all_who_make_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    for attempt in range(20):
        home = tmp_path / str(attempt)
        start = threading.Barrier(8)
        keys: list[bytes] = []

        def ask(
            home: Path = home, start: threading.Barrier = start, keys: list[bytes] = keys
        ) -> None:
            key = SealKey(home, HandClock())
            start.wait()
            keys.append(key.get())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(keys) == 8
        assert len(set(keys)) == 1
