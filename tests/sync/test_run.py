"""What runs do, one fact a test."""

from __future__ import annotations

from typing import Any

from support.handlers import entity, paged
from support.syncing import SyncBench, at

FIELDS = "id integer key, name string, updated timestamp"


def rows_of(*rows: tuple[int, str, float]) -> list[dict[str, Any]]:
    return [{"id": i, "name": n, "updated": at(s)} for i, n, s in rows]


def test_a_first_run_copies_every_row(bench: SyncBench) -> None:
    source = rows_of((1, "a", -100), (2, "b", -90))
    record = bench.synced(entity("items", FIELDS, source))
    assert bench.memory.rows("t") == source
    assert (record.status, record.mode, record.rows_read, record.inserted) == ("ok", "full", 2, 2)
    assert record.generation == 1


def test_an_incremental_run_asks_from_the_watermark_on_and_merges(bench: SyncBench) -> None:
    asked: list[Any] = []
    source = rows_of((1, "a", -100), (2, "b", -90))

    def handler(_config: Any, _filters: Any, options: Any) -> Any:
        asked.append(options.get("since"))
        return source

    table = entity("items", FIELDS, handler)
    bench.synced(table, on="updated")
    source[0] = {"id": 1, "name": "A", "updated": at(-50)}
    source.append({"id": 3, "name": "c", "updated": at(-40)})
    record = bench.synced(table, on="updated")
    assert asked == [None, "2026-01-02T03:02:35.000000Z"]
    assert sorted(r["name"] for r in bench.memory.rows("t")) == ["A", "b", "c"]
    assert (record.inserted, record.updated, record.unchanged) == (1, 1, 1)
    assert record.watermark_before == at(-90)
    assert record.watermark == at(-40)


def test_pages_are_committed_in_batches(bench: SyncBench) -> None:
    source = rows_of(*((i, "x", -1000 + i) for i in range(10)))
    table = entity("items", FIELDS, lambda *_: paged(source, 2))
    bench.synced(table, batch_rows=4)
    assert [sum(p.num_rows for p in b.rows) for b in bench.memory.commits] == [4, 4, 2]
    assert len(bench.memory.rows("t")) == 10
