"""Random histories: after every run the table is what the rule says, and what the API has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import moltler.sync.job
import moltler.sync.transfer
from moltler.exec.duck import Engine
from moltler.flow.predicate import Scalar
from moltler.sync.cursor import Cursor
from oracle.history import History, generate, read_history
from oracle.play import Count, Play, Wrong, shrink
from oracle.twin import Twin

CHUNK = 40


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An engine for conditions."""
    engine = Engine()
    yield engine
    engine.close()


def play(history: History, engine: Engine, count: Count, folder: Path) -> None:
    try:
        Play(history, engine, count).run()
    except Wrong as wrong:
        file = folder / f"history-{history.seed}.json"
        file.write_text(shrink(history, engine).to_json(), encoding="utf-8")
        pytest.fail(f"{wrong}\nreplay: PYTHONPATH=tests python -m oracle.campaign --replay {file}")


def play_all(seeds: range, engine: Engine) -> None:
    for seed in seeds:
        Play(generate(seed), engine, Count()).run()


@pytest.mark.parametrize("first", range(0, 6 * CHUNK, CHUNK))
def test_the_table_is_what_the_rule_says_after_every_run(
    first: int, engine: Engine, tmp_path: Path
) -> None:
    count = Count()

    for seed in range(first, first + CHUNK):
        play(generate(seed), engine, count, tmp_path)

    assert count.incremental > CHUNK
    assert count.crashes > CHUNK / 4
    assert count.waits > 0
    assert count.rows > 10 * CHUNK


@pytest.mark.parametrize("seed", range(3))
def test_a_real_destination_does_the_same_in_every_transaction(
    seed: int, engine: Engine, tmp_path: Path
) -> None:
    history = generate(seed)
    calm = tuple(
        replace(s, faults=tuple(f for f in s.faults if not f.kind.startswith("crash")))
        for s in history.steps
    )
    count = Count()

    Play(replace(history, steps=calm), engine, count, Twin(tmp_path / "data.duckdb")).run()

    assert count.runs >= 3


def test_a_history_is_read_as_it_was_written() -> None:
    history = generate(17)
    assert read_history(history.to_json()) == history


# ── the suite itself ─────────────────────────────────────────────────────────────────────────────


def _open_bound(watermark: Scalar | None, _lookback: timedelta | None) -> Scalar | None:
    """Ask for rows after the watermark, as most tools do."""
    if isinstance(watermark, datetime):
        return watermark + timedelta(microseconds=1)
    return watermark + 1 if isinstance(watermark, int) else watermark


def _no_margin(started: datetime, _server: datetime | None) -> datetime:
    """Believe that a row is visible as soon as it is stamped, by our own clock."""
    return started + timedelta(hours=2)


def _eager(cursor: Cursor, *, is_complete: bool) -> Scalar | None:
    """Move on with every batch, whatever the order."""
    del is_complete
    return cursor.start if cursor.greatest is None else cursor.greatest


@pytest.mark.parametrize(
    ("place", "name", "sabotage"),
    [
        (moltler.sync.job, "lower_bound", _open_bound),
        (moltler.sync.transfer, "latest_for", _no_margin),
        (Cursor, "watermark", _eager),
    ],
)
def test_a_broken_engine_is_noticed(
    place: Any,
    name: str,
    sabotage: Callable[..., Any],
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place, name, sabotage)

    with pytest.raises(Wrong):
        play_all(range(60), engine)
