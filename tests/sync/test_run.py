"""What runs do, one fact a test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from moltler.errors import SyncError, error_class
from moltler.flow.sync import Lease, RunRecord, Scope
from moltler.sync.crew import run_jobs
from moltler.sync.lease import owner_text
from support.handlers import Block, Misfit, PythonHandlers, Table, entity, paged
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


# ── modes and scopes ─────────────────────────────────────────────────────────────────────────────


def code_of(bench: SyncBench, table: Table, **asked: Any) -> str | None:
    outcome = bench.sync(table, **asked)
    assert (outcome.record.status == "failed") is (outcome.error is not None)
    return outcome.error.code if outcome.error is not None else None


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ("id integer key, name string, updated string", {"on": "updated"}),
        ("id integer key, name string, updated boolean", {"on": "updated"}),
        ("id integer, name string, updated timestamp", {"on": "updated"}),
        ("id integer key, name string, updated integer", {"on": "updated", "lookback": 5.0}),
        (FIELDS, {"deletes": "SWEEP"}),
        (FIELDS, {"deletes": "SWEEP", "on": "updated", "where": "id > 1"}),
        (FIELDS, {"bounds": (at(0), at(9))}),
        (FIELDS, {"bounds": (at(0), at(9)), "on": "updated", "full": True}),
        (FIELDS, {"bounds": (None, at(9)), "on": "updated"}),
    ],
)
def test_what_cannot_be_exact_is_refused(
    bench: SyncBench, fields: str, asked: dict[str, Any]
) -> None:
    assert code_of(bench, entity("items", fields, []), **asked) == "SNC001"


def test_a_table_belongs_to_one_scope_until_full_takes_it_over(bench: SyncBench) -> None:
    source = rows_of(*((i, "x", -60) for i in range(4)))
    table = entity("items", FIELDS, source)
    bench.synced(table, on="updated")
    assert code_of(bench, table, on="updated", where="id >= 0") == "SNC009"
    assert code_of(bench, table, connector="other") == "SNC009"
    bench.synced(table, on="updated", where="id >= 1", full=True)
    assert sorted(r["id"] for r in bench.memory.rows("t")) == [1, 2, 3]
    assert code_of(bench, table, on="updated") == "SNC009"


def test_another_key_cursor_or_type_of_it_needs_full(bench: SyncBench) -> None:
    source = [{"id": 1, "n": 5, "a": 1, "b": 2}]
    bench.synced(entity("items", "id integer key, n integer, a integer, b integer", source), on="a")
    assert code_of(bench, entity("items", "id integer, n integer key, a integer, b integer",
                                 source), on="a") == "SNC009"  # fmt: skip
    same = entity("items", "id integer key, n integer, a integer, b integer", source)
    assert code_of(bench, same, on="b") == "SNC009"
    wider = entity("items", "id integer key, n integer, a number, b integer", source)
    assert code_of(bench, wider, on="a") == "SNC002"
    assert bench.synced(wider, on="a", full=True).watermark == 1.0


def test_where_is_checked_here_whatever_the_handler_returns(bench: SyncBench) -> None:
    source = rows_of((1, "a", -60), (2, "b", -50), (3, "a", -40))
    record = bench.synced(entity("items", FIELDS, source), where="name = 'a'", on="updated")
    assert [r["id"] for r in bench.memory.rows("t")] == [1, 3]
    assert (record.rows_read, record.rows_written) == (3, 2)


# ── generations ──────────────────────────────────────────────────────────────────────────────────


def test_an_incomplete_scan_replaces_nothing(bench: SyncBench) -> None:
    source = rows_of((1, "old", -60))
    bench.synced(entity("items", FIELDS, source))
    cut = entity("items", FIELDS, rows_of((1, "new", -50)), incomplete_reason="page_cap")
    assert code_of(bench, cut) == "SNC008"
    assert [r["name"] for r in bench.memory.rows("t")] == ["old"]


def test_an_incomplete_window_is_kept_but_moves_no_watermark(bench: SyncBench) -> None:
    bench.synced(entity("items", FIELDS, rows_of((1, "a", -60))), on="updated")
    cut = entity("items", FIELDS, rows_of((2, "b", -50)), incomplete_reason="page_cap")
    outcome = bench.sync(cut, on="updated")
    assert len(bench.memory.rows("t")) == 2
    assert (outcome.record.complete, outcome.record.watermark) == (False, at(-60))
    assert [w.code for w in outcome.warnings] == ["incomplete"]


# ── deletes ──────────────────────────────────────────────────────────────────────────────────────


def test_a_sweep_deletes_what_is_gone_and_revives_what_is_back(bench: SyncBench) -> None:
    source = rows_of((1, "a", -60), (2, "b", -50), (3, "c", -40))
    table = entity("items", FIELDS, lambda *_: list(source))
    bench.synced(table, on="updated", deletes="SWEEP")
    gone = source.pop(0)
    assert bench.synced(table, on="updated", deletes="SWEEP").deleted == 1
    assert sorted(r["id"] for r in bench.memory.rows("t")) == [2, 3]
    assert len(bench.memory.all_rows("t")) == 3
    source.append(gone)
    bench.synced(table, on="updated", deletes="SWEEP")
    assert sorted(r["id"] for r in bench.memory.rows("t")) == [1, 2, 3]


def test_a_sweep_that_would_delete_most_is_refused(bench: SyncBench) -> None:
    source = rows_of(*((i, "x", -60) for i in range(5)))
    table = entity("items", FIELDS, lambda *_: list(source))
    bench.synced(table, on="updated", deletes="SWEEP")
    del source[2:]
    assert code_of(bench, table, on="updated", deletes="SWEEP") == "SNC003"
    assert len(bench.memory.rows("t")) == 5
    assert bench.synced(table, on="updated", deletes="SWEEP", allow_empty=True).deleted == 3


def test_marked_rows_are_deletions_for_backfills_too(bench: SyncBench) -> None:
    fields = f"{FIELDS}, gone boolean"
    source = [r | {"gone": r["id"] == 1} for r in rows_of((1, "a", -60), (2, "b", -50))]
    table = entity("items", fields, source)
    bench.synced(table, on="updated", deletes="FIELD", deletes_field="gone")
    bench.synced(table, on="updated", bounds=(at(-90), at(0)))
    assert [r["id"] for r in bench.memory.rows("t")] == [2]


# ── misfits ──────────────────────────────────────────────────────────────────────────────────────


def misfits(*bad: int) -> list[dict[str, Any]]:
    rows = rows_of(*((i, f"n{i}", -60) for i in range(6)))
    return [r | {"id": Misfit("?")} if i in bad else r for i, r in enumerate(rows)]


def test_misfits_go_to_quarantine_up_to_the_budget(bench: SyncBench) -> None:
    record = bench.synced(entity("items", FIELDS, misfits(1, 4)), max_errors=2)
    assert record.quarantined == 2
    assert len(bench.memory.rows("t")) == 4
    (run, table, unfit), _ = bench.memory.store.quarantine
    assert (run, table) == (record.run_id, "t")
    assert '"n1"' in unfit.raw


def test_one_misfit_more_ends_the_run_before_its_batch(bench: SyncBench) -> None:
    table = entity("items", FIELDS, misfits(1, 4))
    assert code_of(bench, table, max_errors=1) == "SNC005"
    assert bench.memory.store.quarantine == []
    assert bench.memory.store.visible == {}


def test_a_null_key_and_a_text_that_is_no_time_are_misfits(bench: SyncBench) -> None:
    rows = rows_of((1, "a", -60), (2, "b", -50))
    bad = [{"id": None, "name": "x", "updated": "2026-01-01T00:00:00Z"},
           {"id": 9, "name": "y", "updated": "tomorrow"}]  # fmt: skip
    told = [r | {"updated": r["updated"].isoformat()} for r in rows]
    record = bench.synced(entity("items", FIELDS, [*told, *bad]), max_errors=9)
    assert [r["id"] for r in bench.memory.rows("t")] == [1, 2]
    reasons = [u.reason for _, _, u in bench.memory.store.quarantine]
    assert "`id` is NULL" in reasons[0]
    assert "tomorrow" in reasons[1]
    assert record.quarantined == 2


def test_texts_with_nul_are_misfits_where_the_destination_has_no_place(bench: SyncBench) -> None:
    bench.memory.takes_nul = False
    rows = rows_of((1, "a\x00b", -60), (2, "b", -50))
    assert code_of(bench, entity("items", FIELDS, rows)) == "SNC005"
    assert bench.synced(entity("items", FIELDS, rows), max_errors=1).quarantined == 1
    assert [r["id"] for r in bench.memory.rows("t")] == [2]


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────


def refusing(rows: list[dict[str, Any]], *answers: float | None) -> Table:
    """Refuse with each Retry-After in turn, behind the first row, and then answer."""
    left = list(answers)

    def pages(*_: Any) -> Iterator[list[dict[str, Any]]]:
        yield rows[:1]
        if left:
            raise error_class("API003")("API003", "slow down", retry_after=left.pop(0))
        yield rows[1:]

    return entity("items", FIELDS, pages)


def test_retry_after_is_waited_for_inside_the_run(bench: SyncBench) -> None:
    rows = rows_of((1, "a", -60), (2, "b", -50))
    record = bench.synced(refusing(rows, 600.0, 7.0))
    assert bench.pauses == [600.0, 7.0]
    assert len(bench.memory.rows("t")) == 2
    assert record.status == "ok"


def test_a_longer_retry_after_suspends_the_run_and_says_until_when(bench: SyncBench) -> None:
    bench.synced(entity("items", FIELDS, rows_of((9, "z", -70))), on="updated")
    outcome = bench.sync(refusing(rows_of((1, "a", -60), (2, "b", -50)), 601.0), on="updated")
    assert outcome.error is None
    assert outcome.record.status == "suspended"
    state = bench.memory.state(Scope("shop", "items", "t"))
    assert state is not None
    assert state.suspended_until == at(601)
    assert state.watermark == at(-70)
    assert bench.pauses == []
    assert bench.synced(refusing(rows_of((1, "a", -60))), on="updated").status == "ok"
    state = bench.memory.state(Scope("shop", "items", "t"))
    assert state is not None
    assert state.suspended_until is None


def test_refusals_without_an_end_end_the_run(bench: SyncBench) -> None:
    table = refusing(rows_of((1, "a", -60), (2, "b", -50)), *([None] * 99))
    assert code_of(bench, table) == "API003"
    assert len(bench.pauses) == 5


def test_a_broken_connection_is_tried_again_as_often_as_retry_count_says(bench: SyncBench) -> None:
    tries: list[int] = []

    def handler(*_: Any) -> Any:
        tries.append(1)
        raise error_class("API001")("API001", "refused")

    assert code_of(bench, entity("items", FIELDS, handler), retry_count=2) == "API001"
    assert len(tries) == 3


# ── leases ───────────────────────────────────────────────────────────────────────────────────────


def held(bench: SyncBench, owner: str = "elsewhere r1 4711 0 x") -> Lease:
    claim = bench.memory.writer("t").claim(
        Scope("shop", "items", "t"), owner, ttl_s=60.0, is_dead=lambda _o: False
    )
    assert isinstance(claim, Lease)
    return claim


def test_a_run_beside_another_is_skipped_and_recorded(bench: SyncBench) -> None:
    held(bench)
    outcome = bench.sync(entity("items", FIELDS, []))
    assert (outcome.record.status, outcome.error) == ("skipped", None)
    assert "process 4711 of elsewhere" in (outcome.record.message or "")
    assert bench.memory.history("shop", None)[0].status == "skipped"


def test_a_lease_that_ran_out_is_taken_over(bench: SyncBench) -> None:
    held(bench)
    bench.clock.advance(61)
    assert bench.synced(entity("items", FIELDS, [])).status == "ok"


def test_the_lease_of_a_dead_process_of_this_machine_is_taken_over_at_once(
    bench: SyncBench,
) -> None:
    _, _, process = owner_text("r1").split(" ", 2)
    held(bench, f"{socket.gethostname()} r1 999999999 1 {process.split(' ')[2]}")
    assert bench.synced(entity("items", FIELDS, [])).status == "ok"


def test_queue_waits_for_the_other_run(bench: SyncBench) -> None:
    lease = held(bench)
    record = RunRecord("r1", lease.scope, "full", "ok", at(0))

    def release(_seconds: float) -> None:
        bench.on_pause = lambda _s: None
        bench.memory.writer("t").release(lease, record)

    bench.on_pause = release
    assert bench.synced(entity("items", FIELDS, []), overlap="QUEUE").status == "ok"
    assert len(bench.pauses) == 1


def test_cancel_takes_the_lease_and_the_other_run_loses_its_commit(bench: SyncBench) -> None:
    lease = held(bench)
    bench.synced(entity("items", FIELDS, rows_of((1, "a", -60))), overlap="CANCEL")
    with pytest.raises(SyncError) as caught:
        bench.memory.writer("t").renew(lease, ttl_s=60.0)
    assert caught.value.code == "SNC004"


def test_a_run_that_lost_its_lease_commits_nothing_and_says_so(bench: SyncBench) -> None:
    def pages(*_: Any) -> Iterator[list[dict[str, Any]]]:
        yield rows_of((1, "a", -60))
        bench.memory.writer("t").claim(
            Scope("shop", "items", "t"), "x y 1", ttl_s=60.0, is_dead=lambda _o: False,
            by_force=True,
        )  # fmt: skip
        yield rows_of((2, "b", -60))

    assert code_of(bench, entity("items", FIELDS, pages)) == "SNC004"
    assert bench.memory.store.visible == {}
    assert bench.memory.history(None, None)[0].status == "failed"


def test_the_heartbeat_ends_a_run_that_waits_for_a_page(bench: SyncBench) -> None:
    bench.heartbeat_s = 0.01

    def pages(*_: Any) -> Iterator[object]:
        yield rows_of((1, "a", -60))
        bench.memory.writer("t").claim(
            Scope("shop", "items", "t"), "x y 1", ttl_s=60.0, is_dead=lambda _o: False,
            by_force=True,
        )  # fmt: skip
        yield Block()

    assert code_of(bench, entity("items", FIELDS, pages)) == "SNC004"


# ── several ──────────────────────────────────────────────────────────────────────────────────────


def test_entities_run_side_by_side_and_one_failure_is_one_outcome(bench: SyncBench) -> None:
    barrier = threading.Barrier(2, timeout=60)

    def meeting(rows: list[dict[str, Any]]) -> Any:
        def pages(*_: Any) -> Iterator[list[dict[str, Any]]]:
            barrier.wait()
            yield rows

        return pages

    def broken(*_: Any) -> Any:
        raise error_class("API002")("API002", "no")

    tables = [
        entity("one", FIELDS, meeting(rows_of((1, "a", -60)))),
        entity("two", FIELDS, meeting(rows_of((2, "b", -60)))),
        entity("three", FIELDS, broken),
    ]
    jobs = [bench.job(t, to=t.entity.name) for t in tables]
    outcomes = run_jobs(jobs, bench.tools(PythonHandlers({"shop": tables})))
    assert [o.record.status for o in outcomes] == ["ok", "ok", "failed"]
    assert [r["id"] for r in bench.memory.rows("two")] == [2]
