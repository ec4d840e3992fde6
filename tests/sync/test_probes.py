"""Nine things in which a widely used loader failed when we measured it; each must hold here.

The letters are those under which they were measured. Every test runs into a real DuckDB file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from moltler.exec.duck import Engine
from moltler.flow.sync import RunRecord
from moltler.sync.destinations.duckdb.destination import open_duckdb
from moltler.sync.relational import RelationalDestination
from moltler.sync.run import RunOutcome, run_job
from support.clock import HandClock
from support.handlers import PythonHandlers, Table, entity, paged
from support.syncing import START, SyncBench, at

FIELDS = "id integer key, name string, updated timestamp"


class Shop:
    """An entity whose rows are changed between syncs into a DuckDB file."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.path = folder / "data.duckdb"
        self.clock = HandClock(START)
        self.bench = SyncBench(engine, self.clock)
        self.source: list[dict[str, Any]] = []
        self.fields = FIELDS
        self.pages: Callable[[], Any] = lambda: list(self.source)
        self.order_by: list[str] = []
        self.open()

    def open(self) -> None:
        """Open the file as a program does that has just begun."""
        self.destination: RelationalDestination = open_duckdb(
            self.path, "local", self.clock, keep_s=0.0
        )
        self.bench.destination = self.destination

    def table(self) -> Table:
        """Give the entity as it is declared now."""
        return entity("items", self.fields, lambda *_: self.pages(), order_by=self.order_by)

    def sync(self, **asked: Any) -> RunOutcome:
        """Sync; a failure is a value."""
        return self.bench.sync(self.table(), **asked)

    def synced(self, **asked: Any) -> RunRecord:
        """Sync without a failure."""
        return self.bench.synced(self.table(), **asked)

    def rows(self, sql: str = "SELECT * FROM t ORDER BY id") -> list[tuple[Any, ...]]:
        """Read the table as anybody could."""
        self.destination.close()
        with duckdb.connect(str(self.path), read_only=True) as raw:
            raw.execute("SET TimeZone = 'UTC'")
            found = raw.execute(sql).fetchall()
        self.open()
        return found

    def set(self, *rows: tuple[Any, ...]) -> None:
        """Let the API have these rows."""
        names = [part.split()[0] for part in self.fields.split(", ")]
        self.source = [dict(zip(names, row, strict=True)) for row in rows]


@pytest.fixture
def shop(tmp_path: Path, engine: Engine) -> Iterator[Shop]:
    """A shop, and its table as a file."""
    shop = Shop(tmp_path, engine)
    yield shop
    shop.destination.close()


def test_t1c_a_row_that_changes_without_its_cursor_is_updated(shop: Shop) -> None:
    shop.set((1, "old", at(-60)), (2, "other", at(-90)))
    shop.synced(on="updated")
    shop.set((1, "new", at(-60)), (2, "other", at(-90)))

    record = shop.synced(on="updated")

    assert [r[:2] for r in shop.rows()] == [(1, "new"), (2, "other")]
    assert (record.updated, record.inserted) == (1, 0)


def test_t2c_rows_read_again_for_the_lookback_are_there_once(shop: Shop) -> None:
    shop.set(*((n, f"row {n}", at(-60 - n)) for n in range(20)))
    for _ in range(3):
        shop.synced(on="updated", lookback=3600.0)

    assert shop.rows("SELECT count(*), count(DISTINCT id) FROM t__all") == [(20, 20)]


def test_t3b_an_older_version_that_arrives_later_changes_nothing(shop: Shop) -> None:
    shop.set((1, "new", at(-60)))
    shop.synced(on="updated", lookback=3600.0)
    shop.set((1, "stale", at(-600)))

    record = shop.synced(on="updated", lookback=3600.0)

    assert [r[1] for r in shop.rows()] == ["new"]
    assert (record.rows_read, record.updated, record.unchanged) == (1, 0, 1)


def test_t4c_a_fraction_behind_integers_is_kept_with_all_its_digits(shop: Shop) -> None:
    shop.fields = "id integer key, price integer, updated timestamp"
    shop.set((1, 3, at(-90)))
    shop.synced(on="updated")
    shop.fields = "id integer key, price number, updated timestamp"
    shop.set((1, 3, at(-90)), (2, 2.7, at(-60)))

    shop.synced(on="updated")

    assert shop.rows("SELECT id, price FROM t ORDER BY id") == [(1, 3.0), (2, 2.7)]


def test_t5b_a_source_that_is_suddenly_empty_does_not_empty_the_table(shop: Shop) -> None:
    shop.set((1, "kept", at(-60)))
    shop.synced()
    shop.set()

    refused = shop.sync()

    assert refused.error is not None
    assert refused.error.code == "SNC003"
    assert [r[1] for r in shop.rows()] == ["kept"]
    assert shop.synced(allow_empty=True).status == "ok"
    assert shop.rows() == []
    shop.destination.rollback("t")
    assert [r[1] for r in shop.rows()] == ["kept"]


def test_t5c_a_copy_that_fails_half_way_leaves_the_old_one(shop: Shop) -> None:
    shop.set(*((n, "old", at(-60)) for n in range(10)))
    shop.synced()

    def broken() -> Iterator[list[dict[str, Any]]]:
        yield [{"id": n, "name": "new", "updated": at(-50)} for n in range(6)]
        raise OSError("the cable")

    shop.pages = broken
    job = shop.bench.job(shop.table(), batch_rows=2)
    tools = shop.bench.tools(PythonHandlers({"shop": [shop.table()]}))
    with pytest.raises(OSError, match="cable"):
        run_job(job, tools)

    assert shop.rows("SELECT count(*), min(name), max(name) FROM t") == [(10, "old", "old")]


def test_t8b_cursors_with_offsets_are_compared_as_instants(shop: Shop) -> None:
    early = "2026-01-02T02:30:00+02:00"  # 00:30 in UTC, although its text is greater
    late = "2026-01-02T01:00:00Z"
    asked: list[object] = []
    shop.set((1, "early", early), (2, "late", late))
    shop.synced(on="updated")
    answers = [{"id": 3, "name": "between", "updated": "2026-01-01T23:30:00-01:45"}]  # 01:15 UTC

    def handler(_config: Any, _filters: Any, options: Any) -> Any:
        asked.append(options["since"])
        return answers

    record = shop.bench.synced(entity("items", FIELDS, handler), on="updated")

    assert asked == ["2026-01-02T01:00:00.000000Z"]
    assert [r[1] for r in shop.rows()] == ["early", "late", "between"]
    assert record.watermark == datetime(2026, 1, 2, 1, 15, tzinfo=UTC)


def test_t9_a_row_dated_2999_does_not_end_the_sync(shop: Shop) -> None:
    future = datetime(2999, 1, 1, tzinfo=UTC)
    shop.set((1, "now", at(-60)), (2, "2999", future))
    outcome = shop.sync(on="updated")
    assert [w.code for w in outcome.warnings] == ["future_cursor"]
    assert outcome.record.watermark == at(-60)
    shop.clock.advance(3600)
    shop.set((1, "now", at(-60)), (2, "2999", future), (3, "after", at(3000)))

    record = shop.synced(on="updated")

    assert [r[1] for r in shop.rows()] == ["now", "2999", "after"]
    assert record.watermark == at(3000)


def test_c2_a_program_killed_between_rows_and_state_leaves_neither_alone(shop: Shop) -> None:
    class Killed(BaseException):
        pass

    rows = [(n, f"row {n}", at(-100 + n // 3)) for n in range(12)]
    shop.set(*rows[:4])
    shop.synced(on="updated")
    shop.set(*rows)
    shop.pages = lambda: paged(shop.source, 3)
    shop.order_by = ["updated"]

    class Dying:
        """The destination of a program that dies behind its second commit."""

        takes_nul = True
        commits = 0

        def writer(self, table: str) -> Any:
            real = shop.destination.writer(table)
            outer = self

            class Writer:
                claim = staticmethod(real.claim)
                renew = staticmethod(real.renew)

                def commit(self, *given: Any, **named: Any) -> Any:
                    receipt = real.commit(*given, **named)
                    outer.commits += 1
                    if outer.commits == 2:
                        raise Killed
                    return receipt

                def release(self, *_: Any) -> None:
                    raise Killed

            return Writer()

    tools = shop.bench.tools(PythonHandlers({"shop": [shop.table()]}))
    job = shop.bench.job(shop.table(), on="updated", batch_rows=3)
    with pytest.raises(Killed):
        run_job(job, replace(tools, destination=Dying()))  # type: ignore[arg-type] # what runs use of it
    shop.clock.advance(timedelta(seconds=61).total_seconds())
    shop.open()

    record = shop.synced(on="updated")

    assert shop.rows("SELECT count(*), count(DISTINCT id) FROM t__all") == [(12, 12)]
    assert record.watermark == at(-97)
