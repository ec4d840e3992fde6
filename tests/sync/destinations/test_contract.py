"""What every destination does; SYNC.md calls it the shared suite."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from moltler.errors import LookupFailed, SyncError
from moltler.flow.sync import Held, Scope, SyncState, Unfit
from moltler.schema import DataType
from sync.destinations.conftest import Place
from sync.destinations.making import ITEMS, NOW, Run, columns, presence, rows_of

OTHER = Scope("shop", "items", "items", where="status = 'new'")


# ── leases ───────────────────────────────────────────────────────────────────────────────────


def test_a_scope_without_history_has_no_state(run: Run) -> None:
    lease = run.claim()
    assert (lease.state, lease.target.generation, lease.target.scope) == (None, 0, None)


def test_each_claim_raises_the_fence(run: Run) -> None:
    first = run.claim().fence
    run.release()
    assert run.claim().fence > first


def test_a_lease_that_somebody_holds_is_not_given_away(run: Run, place: Place) -> None:
    run.claim()
    other = place.open_again().writer("items")
    held = other.claim(run.scope, "other", ttl_s=60, is_dead=lambda _: False)
    assert isinstance(held, Held)
    assert held.owner == "owner"


def test_a_lease_of_a_dead_process_is_taken_over_at_once(run: Run, place: Place) -> None:
    run.claim()
    other = Run(place.open_again(), owner="other")
    other.claim(is_dead=lambda owner: owner == "owner")
    with pytest.raises(SyncError, match="lost its lease") as caught:
        run.merge(("a", "Ann", 1), generation=1, is_first=True)
    assert caught.value.code == "SNC004"


def test_a_lease_that_ran_out_is_taken_over(run: Run, place: Place) -> None:
    run.claim()
    place.pass_time(61)
    Run(place.open_again(), owner="other").claim()


def test_a_renewed_lease_does_not_run_out(run: Run, place: Place) -> None:
    lease = run.claim()
    place.pass_time(50)
    run.writer.renew(lease, ttl_s=60)
    place.pass_time(50)
    held = place.open_again().writer("items").claim(
        run.scope, "other", ttl_s=60, is_dead=lambda _: False
    )  # fmt: skip
    assert isinstance(held, Held)


def test_force_takes_any_lease_and_the_run_before_it_cannot_commit(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    other = Run(place.open_again(), owner="other")
    other.claim(by_force=True)
    for act in (
        lambda: run.merge(("b", "Bob", 2)),
        lambda: run.swap(2),
        lambda: run.writer.renew(run.held, ttl_s=60),
        lambda: run.release(),
    ):
        with pytest.raises(SyncError) as caught:
            act()
        assert caught.value.code == "SNC004"
    other.merge(("c", "Cid", 3))
    assert place.rows() == [("a", "Ann", 1), ("c", "Cid", 3)]


def test_scopes_of_one_table_have_leases_of_their_own(run: Run, place: Place) -> None:
    run.claim()
    Run(place.open_again(), scope=OTHER, owner="other").claim()


def test_a_released_lease_is_free_and_its_state_stays(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    state = SyncState(1, ("id",), "rank", DataType("integer"), watermark=7)
    run.release(state=state)
    assert Run(place.open_again(), owner="other").claim().state == state


# ── generations ──────────────────────────────────────────────────────────────────────────────


def test_a_generation_is_seen_once_it_is_swapped_in(run: Run, place: Place) -> None:
    run.claim()
    run.merge(("a", "Ann", 1), generation=1, is_first=True)
    assert place.sql("SELECT count(*) FROM information_schema.views "
                     "WHERE table_name = 'items'") == [(0,)]  # fmt: skip
    run.swap(1)
    assert place.rows() == [("a", "Ann", 1)]
    target = Run(place.open_again(), owner="owner").claim().target
    assert (target.generation, target.scope, target.columns) == (1, run.scope.key, ITEMS)


def test_the_view_shows_live_rows_and_the_other_one_everything(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1), ("b", "Bob", 1))
    run.commit(rows_of([("a", "Ann", 2)], deleted=[NOW]))
    assert place.rows() == [("b", "Bob", 1)]
    synced, run_id = NOW, run.run_id
    assert [tuple(_utc(v) for v in row) for row in place.rows("items__all")] == [
        ("a", "Ann", 2, synced, run_id, NOW),
        ("b", "Bob", 1, synced, run_id, None),
    ]


def test_a_swap_replaces_all_rows_and_tells_how_many_went(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1), ("b", "Bob", 1), ("c", "Cid", 1))
    number = run.claim().target.last_generation + 1
    run.merge(("b", "Bea", 2), ("d", "Dan", 2), generation=number, is_first=True)
    receipt = run.swap(number)
    assert receipt.deleted == 2
    assert place.rows() == [("b", "Bea", 2), ("d", "Dan", 2)]


def test_a_swap_that_was_committed_may_be_repeated(run: Run, place: Place) -> None:
    run.claim()
    run.merge(("a", "Ann", 1), generation=1, is_first=True)
    swap = run.swap_of(1)
    run.writer.swap(swap, run.held)
    assert run.writer.swap(swap, run.held).is_repeat
    assert place.rows() == [("a", "Ann", 1)]


def test_a_generation_without_rows_can_be_the_first(run: Run, place: Place) -> None:
    run.load()
    assert place.rows() == []


def test_what_is_left_of_a_half_made_generation_goes_with_its_first_batch(
    run: Run, place: Place
) -> None:
    run.claim()
    run.merge(("a", "Ann", 1), generation=1, is_first=True)
    run.merge(("b", "Bob", 1), generation=1, is_first=True)
    run.swap(1)
    assert place.rows() == [("b", "Bob", 1)]


def test_a_generation_that_a_swap_dropped_takes_no_more_rows(run: Run, place: Place) -> None:
    other = Run(place.open_again(), scope=OTHER, owner="other")
    run.claim()
    other.claim()
    run.merge(("a", "Ann", 1), generation=1, is_first=True)
    other.merge(("b", "Bob", 1), generation=2, is_first=True)
    run.swap(1)
    with pytest.raises(SyncError) as caught:
        other.merge(("c", "Cid", 1), generation=2)
    assert caught.value.code == "SNC004"
    assert place.rows() == [("a", "Ann", 1)]


def test_rows_do_not_go_to_a_table_that_another_scope_took_over(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    other = Run(place.open_again(), scope=OTHER, owner="other")
    other.load(("b", "Bob", 1))
    with pytest.raises(SyncError) as caught:
        run.merge(("c", "Cid", 9))
    assert caught.value.code == "SNC004"
    assert place.rows() == [("b", "Bob", 1)]


def test_numbers_of_generations_are_never_used_twice(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    run.merge(("a", "Ann", 1), generation=5, is_first=True)
    assert run.claim().target.last_generation == 5


# ── the shrink guard ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("after", "is_refused"), [(0, True), (1, True), (2, False), (3, False)])
def test_a_generation_of_fewer_than_half_the_rows_is_refused(
    run: Run, place: Place, after: int, *, is_refused: bool
) -> None:
    before = [(name, "x", 1) for name in "abcd"]
    run.load(*before)
    if is_refused:
        with pytest.raises(SyncError) as caught:
            run.load(*[(name, "y", 2) for name in "abcd"[:after]])
        assert caught.value.code == "SNC003"
        assert place.rows() == before
        assert run.claim().state is not None
    else:
        run.load(*[(name, "y", 2) for name in "abcd"[:after]])
        assert len(place.rows()) == after


def test_a_small_generation_is_taken_where_that_is_allowed(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    run.load(allows_shrinking=True)
    assert place.rows() == []


def test_a_refused_generation_leaves_nothing_behind(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    with pytest.raises(SyncError):
        run.load()
    assert place.sql("SELECT count(*) FROM information_schema.tables WHERE table_name LIKE "
                     "'%moltler_rows%'") == [(1,)]  # fmt: skip


# ── rollback ─────────────────────────────────────────────────────────────────────────────────


def test_rollback_restores_rows_state_and_owner(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    first = run.claim().state
    other = Run(place.open_again(), scope=OTHER, owner="other")
    other.load(("b", "Bob", 1), ("c", "Cid", 1))
    back = place.destination.rollback("ITEMS")
    assert (back.rows, back.state) == (1, first)
    assert place.rows() == [("a", "Ann", 1)]
    lease = run.claim()
    assert (lease.state, lease.target.scope) == (first, run.scope.key)
    assert other.claim(by_force=True).state is None


def test_rollback_again_returns_to_the_newer_generation(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    run.load(("b", "Bob", 1))
    second = run.claim().state
    place.destination.rollback("items")
    back = place.destination.rollback("items")
    assert back.state == second
    assert place.rows() == [("b", "Bob", 1)]


def test_rollback_takes_the_lease_of_a_running_sync(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    run.load(("b", "Bob", 1))
    place.destination.rollback("items")
    with pytest.raises(SyncError) as caught:
        run.merge(("c", "Cid", 1))
    assert caught.value.code == "SNC004"


def test_one_generation_is_kept_and_only_one(run: Run, place: Place) -> None:
    for name in "abc":
        run.load((name, "x", 1))
    assert place.destination.rollback("items").generation == 2
    assert place.sql("SELECT count(*) FROM information_schema.tables WHERE table_name LIKE "
                     "'%moltler_rows%'") == [(2,)]  # fmt: skip


def test_rollback_without_an_earlier_generation_is_refused(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    with pytest.raises(LookupFailed) as caught:
        place.destination.rollback("items")
    assert caught.value.code == "CAT008"


def test_rollback_of_an_unknown_table_is_refused(place: Place) -> None:
    with pytest.raises(LookupFailed) as caught:
        place.destination.rollback("items")
    assert caught.value.code == "CAT002"


# ── merging ──────────────────────────────────────────────────────────────────────────────────


def test_newest_wins_and_equal_cursors_are_settled_by_arrival(run: Run, place: Place) -> None:
    run.load(("a", "first", 5), ("b", "first", 5), ("c", "first", 5), ("d", "first", None))
    receipt = run.merge(
        ("a", "older", 4), ("b", "equal", 5), ("c", "newer", 6), ("d", "value", 1), ("e", "new", 1)
    )
    assert (receipt.inserted, receipt.updated, receipt.unchanged) == (1, 3, 1)
    assert place.rows() == [
        ("a", "first", 5),
        ("b", "equal", 5),
        ("c", "newer", 6),
        ("d", "value", 1),
        ("e", "new", 1),
    ]


def test_a_null_cursor_never_replaces_a_value(run: Run, place: Place) -> None:
    run.load(("a", "first", 5), ("b", "first", None))
    run.merge(("a", "null", None), ("b", "null", None))
    assert place.rows() == [("a", "first", 5), ("b", "null", None)]


def test_rows_of_one_batch_count_as_if_they_came_one_at_a_time(run: Run, place: Place) -> None:
    run.load(("z", "z", 0))
    receipt = run.commit(
        rows_of([("a", "one", 2), ("a", "two", 2), ("b", "late", 9)]),
        rows_of([("a", "old", 1), ("b", "early", 3), ("c", "null", None), ("c", "null2", None)]),
    )
    assert place.rows() == [
        ("a", "two", 2),
        ("b", "late", 9),
        ("c", "null2", None),
        ("z", "z", 0),
    ]
    assert receipt.inserted + receipt.updated + receipt.unchanged == 7


def test_without_a_cursor_the_later_row_wins(run: Run, place: Place) -> None:
    run.cursor = None
    run.load(("a", "first", 5))
    run.merge(("a", "second", 1))
    assert place.rows() == [("a", "second", 1)]


def test_an_equal_row_is_left_alone(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    receipt = run.merge(("a", "Ann", 1), synced_at=NOW + timedelta(hours=1))
    assert (receipt.updated, receipt.unchanged) == (0, 1)
    assert [_utc(r[3]) for r in place.rows("items__all")] == [NOW]


def test_a_column_that_the_rows_lack_keeps_its_value(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    run.commit(rows_of([("a", 2), ("b", 2)], (ITEMS[0], ITEMS[2])))
    assert place.rows() == [("a", "Ann", 2), ("b", None, 2)]


def test_without_a_key_rows_are_appended(run: Run, place: Place) -> None:
    run.key, run.cursor = (), None
    run.load(("a", "Ann", 1), ("a", "Ann", 1))
    assert place.rows() == [("a", "Ann", 1), ("a", "Ann", 1)]


def test_keys_of_several_fields_are_compared_whole(run: Run, place: Place) -> None:
    run.key = ("id", "name")
    run.load(("a", "x", 1), ("a", "y", 1))
    receipt = run.merge(("a", "y", 2), ("b", "y", 1))
    assert (receipt.inserted, receipt.updated) == (1, 1)
    assert place.sql('SELECT * FROM items ORDER BY id, "name"') == [
        ("a", "x", 1), ("a", "y", 2), ("b", "y", 1),
    ]  # fmt: skip


def test_text_cursors_are_compared_by_code_point(run: Run, place: Place) -> None:
    run.columns = columns(id="string", mark="string")
    run.cursor = "mark"
    run.load(("a", "Z"), ("b", "a"), ("c", "é"))
    run.merge(("a", "a"), ("b", "Z"), ("c", "z"))
    assert place.rows() == [("a", "a"), ("b", "a"), ("c", "é")]


@pytest.mark.parametrize(
    ("type_", "older", "newer"),
    [
        ("integer", 9, 10),
        ("integer", -(2**63), 2**63 - 1),
        ("number", 9.5, 10.25),
        ("date", date(1999, 12, 31), date(2000, 1, 1)),
        (
            "timestamp",
            datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
            datetime(2024, 1, 1, 0, 0, 0, 2, tzinfo=UTC),
        ),
    ],
)
def test_cursors_are_compared_as_their_type(
    run: Run, place: Place, type_: str, older: object, newer: object
) -> None:
    run.columns = columns(id="string", moved=type_)
    run.cursor = "moved"
    run.load(("a", newer), ("b", older))
    run.merge(("a", older), ("b", newer))
    assert [_utc(r[1]) for r in place.rows()] == [newer, newer]


# ── repeats ──────────────────────────────────────────────────────────────────────────────────


def test_a_batch_that_comes_twice_has_no_effect(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    batch = run.batch(rows_of([("b", "Bob", 1)]), unfit=(Unfit("{}", "no id"),))
    first = run.writer.commit(batch, run.held, ttl_s=60)
    run.merge(("b", "Bea", 2))
    again = run.writer.commit(batch, run.held, ttl_s=60)
    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert (again.inserted, again.quarantined) == (1, 1)
    assert place.rows() == [("a", "Ann", 1), ("b", "Bea", 2)]
    assert place.sql('SELECT count(*) FROM "_quarantine"') == [(1,)]


# ── deletes ──────────────────────────────────────────────────────────────────────────────────


def test_tombstones_obey_newest_wins(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 5), ("b", "Bob", 5))
    receipt = run.commit(rows_of([("a", "Ann", 4), ("b", "Bob", 6)], deleted=[NOW, NOW]))
    assert (receipt.deleted, receipt.unchanged, receipt.updated) == (1, 1, 0)
    assert place.rows() == [("a", "Ann", 5)]


def test_a_tombstone_holds_back_older_versions_and_yields_to_newer_ones(
    run: Run, place: Place
) -> None:
    run.load(("z", "z", 0))
    run.commit(rows_of([("a", "gone", 5), ("b", "gone", 5)], deleted=[NOW, NOW]))
    run.merge(("a", "older", 4), ("b", "newer", 6))
    assert place.rows() == [("b", "newer", 6), ("z", "z", 0)]


def test_a_sweep_deletes_what_is_absent_and_revives_what_is_back(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1), ("b", "Bob", 1), ("c", "Cid", 1))
    first = run.commit(presence=presence(["a", "b", "a"]))
    assert first.deleted == 1
    assert place.rows() == [("a", "Ann", 1), ("b", "Bob", 1)]
    second = run.commit(presence=presence(["a", "c"]), synced_at=NOW + timedelta(hours=1))
    assert (second.deleted, second.updated) == (1, 1)
    assert place.rows() == [("a", "Ann", 1), ("c", "Cid", 1)]
    marks = {r[0]: _utc(r[5]) for r in place.rows("items__all")}
    assert marks == {"a": None, "b": NOW + timedelta(hours=1), "c": None}


def test_a_sweep_sees_the_rows_of_its_own_batch(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    run.merge(("b", "Bob", 1), presence=presence(["a", "b"]))
    assert len(place.rows()) == 2


def test_a_sweep_that_deletes_too_much_is_refused_with_its_whole_batch(
    run: Run, place: Place
) -> None:
    run.load(("a", "Ann", 1), ("b", "Bob", 1), ("c", "Cid", 1))
    with pytest.raises(SyncError) as caught:
        run.merge(("d", "Dan", 1), presence=presence([]))
    assert caught.value.code == "SNC003"
    assert len(place.rows()) == 3
    run.commit(presence=presence([], allows_shrinking=True))
    assert place.rows() == []


# ── columns ──────────────────────────────────────────────────────────────────────────────────


def test_new_fields_become_columns_and_gone_ones_stay(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    wider = (ITEMS[0], ITEMS[2], *columns(price="number"))
    receipt = run.merge(("b", 2, 1.5), columns=wider)
    assert [c.name for c in receipt.columns] == ["id", "rank", "price", "name"]
    assert place.sql("SELECT id, name, rank, price FROM items ORDER BY id") == [
        ("a", "Ann", 1, None),
        ("b", None, 2, 1.5),
    ]
    assert run.claim().target.columns == receipt.columns


@pytest.mark.parametrize(
    ("old", "new", "value", "widened"),
    [
        ("integer", "number", 3, 3.0),
        ("integer", "number", 2**53, float(2**53)),
        ("integer", "number", 2**53 + 1, "9007199254740993"),
        ("integer", "string", -7, "-7"),
        ("boolean", "string", True, "true"),
        ("number", "string", 2.0, "2"),
        ("number", "string", 2.75, "2.75"),
        ("number", "string", 1e20, "100000000000000000000"),
        ("number", "string", 1.5e300, "1.5e+300"),
        ("number", "string", 0.0000123, "0.0000123"),
        ("number", "string", 1.5e-7, "1.5e-7"),
        ("date", "string", date(2024, 2, 29), "2024-02-29"),
        ("date", "timestamp", date(2024, 2, 29), datetime(2024, 2, 29, tzinfo=UTC)),
        (
            "timestamp",
            "string",
            datetime(2024, 2, 29, 1, 2, 3, 4000, tzinfo=UTC),
            "2024-02-29T01:02:03.004Z",
        ),
        (
            "timestamp",
            "string",
            datetime(2024, 2, 29, 1, 2, 3, 4005, tzinfo=UTC),
            "2024-02-29T01:02:03.004005Z",
        ),
        ("array<string>", "string", ['a"b', None], '["a\\"b",null]'),
        ("document", "string", '{"b":1,"a":[2]}', '{"b":1,"a":[2]}'),
    ],
)
def test_columns_widen_without_loss(
    run: Run, place: Place, old: str, new: str, value: object, widened: object
) -> None:
    run.columns = columns(id="string", cell=old)
    run.cursor = None
    run.load(("a", value))
    run.columns = columns(id="string", cell=new)
    receipt = run.commit(rows_of([("b",)], run.columns[:1]))
    assert [_utc(v) for (v,) in place.sql("SELECT cell FROM items ORDER BY id")] == [widened, None]
    is_exact = isinstance(widened, str) and new == "number"
    assert str(receipt.columns[1].type) == ("string" if is_exact else new)


@pytest.mark.parametrize(
    ("old", "value", "widened"),
    [
        ("string", 'say "x"', '"say \\"x\\""'),
        ("integer", 2**60, str(2**60)),
        ("number", 1.5, "1.5"),
        ("number", 3.0, "3"),
        ("boolean", False, "false"),
        ("date", date(2024, 2, 29), '"2024-02-29"'),
        ("timestamp", datetime(2024, 2, 29, tzinfo=UTC), '"2024-02-29T00:00:00.000Z"'),
        ("array<integer>", [1, None], "[1,null]"),
        ("array<number>", [1.0, 2.5, None], "[1,2.5,null]"),
        (
            "array<timestamp>",
            [datetime(2024, 2, 29, tzinfo=UTC)],
            '["2024-02-29T00:00:00.000Z"]',
        ),
    ],
)
def test_anything_widens_to_a_document(
    run: Run, place: Place, old: str, value: object, widened: str
) -> None:
    run.columns = columns(id="string", cell=old)
    run.cursor = None
    run.load(("a", value), ("b", None))
    run.columns = columns(id="string", cell="any")
    run.merge(("c", '{"x":1}'))
    text = "CAST(cell AS VARCHAR)"
    assert place.sql(f"SELECT replace({text}, ', ', ',') FROM items ORDER BY id") == [
        (widened,), (None,), ('{"x":1}',),
    ]  # fmt: skip


def test_numbers_go_into_a_column_that_became_text_as_texts(run: Run, place: Place) -> None:
    run.columns = columns(id="string", cell="integer")
    run.cursor = None
    run.load(("a", 2**60))
    run.columns = columns(id="string", cell="number")
    run.merge(("b", 1.5))
    run.merge(("c", 2.0))
    assert place.rows() == [("a", str(2**60)), ("b", "1.5"), ("c", "2")]


def test_values_of_every_type_come_back_as_they_went(run: Run, place: Place) -> None:
    run.columns = columns(
        id="string", text="string", whole="integer", part="number", yes="boolean",
        moment="timestamp", day="date", tags="array<string>", doc="document",
    )  # fmt: skip
    run.cursor = None
    moment = datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    odd = "quote ' \" \\ tab\t new\nline \\N é 😀 end"
    first = ("a", odd, 2**63 - 1, 0.1 + 0.2, True, moment, date(1, 1, 1), ["x", odd, None, ""],
             '{"z":1.10,"a":[null,"é"],"n":12345678901234567890}')  # fmt: skip
    last = ("b", "", -(2**63), -1e308, False, datetime(9999, 12, 31, tzinfo=UTC),
            date(9999, 12, 31), [], "[]")  # fmt: skip
    nothing = ("c", None, None, None, None, None, None, None, None)
    run.load(first, last, nothing)
    found = [tuple(_utc(v) for v in row) for row in place.sql(
        'SELECT id, "text", whole, part, yes, moment, "day", tags, CAST(doc AS VARCHAR)'
        " FROM items ORDER BY id"
    )]  # fmt: skip
    assert found == [first, last, nothing]


# ── state, runs, quarantine ──────────────────────────────────────────────────────────────────


def test_the_state_is_the_one_of_the_last_commit(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    state = SyncState(
        1, ("id",), "rank", DataType("timestamp"), watermark=NOW, suspended_until=NOW, resume=NOW,
    )  # fmt: skip
    run.merge(("b", "Bob", 1), state=state)
    assert Run(place.open_again()).claim().state == state


def test_a_half_made_generation_that_is_gone_is_not_resumed(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    state = SyncState(1, watermark=5, resume=9, resume_generation=2)
    run.merge(("b", "Bob", 1), generation=2, is_first=True, state=state)
    assert Run(place.open_again()).claim().state == state
    run.claim()
    run.load(("c", "Cid", 1))
    run.release(state=state)
    assert run.claim().state == replace(state, resume=None, resume_generation=None)


def test_a_batch_without_a_state_leaves_it_as_it_is(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    before = run.claim().state
    run.merge(("b", "Bob", 1), state=None)
    assert Run(place.open_again()).claim().state == before


def test_a_backfill_has_a_state_of_its_own_and_sees_that_of_the_table(
    run: Run, place: Place
) -> None:
    run.load(("a", "Ann", 5))
    state = run.claim().state
    backfill = Run(place.open_again(), scope=replace(run.scope, backfill=("1", "3")), owner="b")
    lease = backfill.claim()
    assert (lease.state, lease.target.state) == (None, state)
    backfill.merge(("a", "older", 2), ("b", "Bob", 2), state=SyncState(1, watermark=2))
    assert place.rows() == [("a", "Ann", 5), ("b", "Bob", 2)]
    assert run.claim().state == state


def test_unfit_rows_are_kept_with_their_reason(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    receipt = run.commit(unfit=(Unfit('{"id": null}', "`id` is NULL"),))
    assert receipt.quarantined == 1
    assert place.sql('SELECT * FROM "_quarantine"') == [
        (run.run_id, "items", '{"id": null}', "`id` is NULL")
    ]


def test_history_lists_runs_of_a_connector_the_latest_first(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    run.release(inserted=1)
    later = replace(run.record(), run_id="later", started=NOW + timedelta(minutes=1))
    other = replace(later, run_id="other", scope=Scope("Depot", "goods", "goods"))
    skipped = replace(later, status="skipped", ended=NOW, message="busy", watermark=NOW)
    place.destination.note(other)
    place.destination.note(skipped)
    assert [r.run_id for r in place.destination.history("SHOP", None)] == ["later", run.run_id]
    assert place.destination.history("shop", 1) == (skipped,)
    assert len(place.destination.history(None, None)) == 3
    assert place.destination.history("shop", None)[1].inserted == 1


def test_reading_what_was_never_written_finds_nothing(place: Place) -> None:
    assert place.destination.history(None, None) == ()
    assert place.destination.tables() == ()


def test_synced_tables_are_listed_with_their_columns(run: Run, place: Place) -> None:
    run.load(("a", "Ann", 1))
    (table,) = place.destination.tables()
    assert (table.name, table.columns, table.primary_key) == ("items", ITEMS, ("id",))
    assert table.scope == "shop.items"


# ── names ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("table", ["_moltler_run", "_quarantine", "Items__ALL"])
def test_names_of_the_sync_itself_are_refused(run: Run, table: str) -> None:
    run.scope = replace(run.scope, table=table)
    with pytest.raises(SyncError) as caught:
        run.claim()
    assert caught.value.code == "SNC006"


def test_odd_names_are_names_like_any_other(run: Run, place: Place) -> None:
    table = 'my "odd" table; --'
    run.scope = replace(run.scope, table=table)
    run.columns = (*ITEMS[:1], *columns(**{'se"lect ?': "string", "Größe %s": "integer"}))
    run.cursor = "Größe %s"
    run.load(("a", "Ann", 1))
    run.merge(("a", "Ann", 2))
    quoted = table.replace('"', '""')
    assert place.sql(f'SELECT * FROM "{quoted}"') == [("a", "Ann", 2)]


def _utc(value: object) -> object:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
