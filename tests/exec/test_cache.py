"""Rows that are kept for cache_ttl, and scans that are shared while they are under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from moltler.errors import MoltlerError
from moltler.exec.cache import ScanCache
from moltler.exec.duck import Engine
from moltler.exec.result import Result
from moltler.exec.run import run_select
from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.flow.predicate import Condition, OrderKey
from moltler.flow.scan import QueryPlan, ScanRequest, Warning
from moltler.model import Action
from moltler.ports import WriteWatch
from moltler.schema import JsonValue, Schema
from support.clock import HandClock
from support.handlers import Block, PythonHandlers, Table, entity, paged

FIELDS = "id integer key, name string, state string"
ROWS = [{"id": i, "name": f"n{i}", "state": "open" if i % 2 else "shut"} for i in range(12)]
OPEN = Condition("state", "=", "open")
FIRST = Condition("id", "<", 6)


class Acting(PythonHandlers):
    """Python handlers with actions that do nothing."""

    def execute(
        self,
        target: ResolvedConnector,
        action: Action,
        parameters: Any,
        *,
        watch: WriteWatch | None = None,
    ) -> JsonValue:
        """Do nothing."""
        return None


@dataclass
class Kept:
    """A cache over Python handlers, and queries on them."""

    engine: Engine
    table: Table
    ttl: float = 60.0
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.python = Acting({"shop": [self.table]}, limits=CallLimits(cache_ttl_s=self.ttl))
        self.cache = ScanCache(self.clock)
        self.handlers = self.cache.over(self.python)
        self.version = "1"

    def request(self, scan: str = "t", *columns: str, **changes: Any) -> ScanRequest:
        return self.python.request(scan, "shop.items", *columns, **changes)

    def resolve(self, name: str) -> ResolvedConnector:
        return replace(self.python.resolve(name), credential_version=self.version)

    def start(self, sql: str, *requests: ScanRequest) -> Result:
        rows = run_select(
            QueryPlan(sql, {}, requests),
            engine=self.engine,
            handlers=self.handlers,
            resolve=self.resolve,
            clock=self.clock,
        )
        return Result(rows)

    def rows(self, sql: str, *requests: ScanRequest) -> list[tuple[Any, ...]]:
        with self.start(sql, *(requests or (self.request(),))) as result:
            return list(result.rows())

    @property
    def calls(self) -> int:
        return len(self.python.calls)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


@pytest.fixture
def kept(engine: Engine) -> Kept:
    return Kept(engine, entity("items", FIELDS, ROWS))


COUNT = "SELECT count(*) FROM t"


def test_the_same_scan_is_answered_from_kept_rows_until_its_time_is_up(kept: Kept) -> None:
    assert kept.rows(COUNT) == kept.rows(COUNT) == [(12,)]
    assert kept.calls == 1
    kept.clock.advance(59.5)
    assert kept.rows(COUNT) == [(12,)]
    assert kept.calls == 1
    kept.clock.advance(0.5)
    assert kept.rows(COUNT) == [(12,)]
    assert kept.calls == 2


def test_without_the_option_nothing_is_kept(engine: Engine) -> None:
    kept = Kept(engine, entity("items", FIELDS, ROWS), ttl=0)
    assert kept.rows(COUNT) == kept.rows(COUNT)
    assert kept.calls == 2
    assert kept.cache.rows() == ()


WIDE: dict[str, Any] = {}
NARROW: dict[str, Any] = {"where": (OPEN,), "filters": {"state": "open"}}
BOTH: dict[str, Any] = {"where": (OPEN, FIRST), "filters": {"state": "open"}}


@pytest.mark.parametrize(
    ("first", "second", "calls"),
    [
        pytest.param(WIDE, NARROW, 1, id="fewer conditions"),
        pytest.param(NARROW, BOTH, 1, id="some of the conditions"),
        pytest.param(BOTH, {**BOTH, "where": (FIRST, OPEN)}, 1, id="another order of conditions"),
        pytest.param(NARROW, WIDE, 2, id="more conditions"),
        pytest.param({"where": (FIRST,)}, NARROW, 2, id="other conditions"),
        pytest.param(
            {"where": (Condition("doc.k", "=", 1),)},
            {"where": (Condition("doc.k", "=", True),)},
            2,
            id="TRUE is not 1 inside a document",
        ),
        pytest.param({"limit": 5}, {"limit": 5}, 1, id="the same limit"),
        pytest.param({"limit": 5}, {"limit": 3}, 1, id="a smaller limit"),
        pytest.param({"limit": 5}, {"limit": 8}, 2, id="a larger limit"),
        pytest.param({"limit": 5}, WIDE, 2, id="no limit after one"),
        pytest.param(WIDE, {"limit": 5}, 1, id="a limit after none"),
        pytest.param({"limit": 8}, {"limit": 5, **NARROW}, 2, id="a limit and more conditions"),
        pytest.param(
            {"limit": 8},
            {"limit": 5, "order_by": (OrderKey("id"),)},
            2,
            id="a limit and an order",
        ),
        pytest.param(
            WIDE, {"limit": 5, "order_by": (OrderKey("id"),)}, 2, id="an order after none"
        ),
        pytest.param({"order_by": (OrderKey("id"),)}, WIDE, 1, id="no order after one"),
        pytest.param({"fields": ("id",)}, {"fields": ("id", "name")}, 2, id="more fields asked"),
        pytest.param(WIDE, {"fields": ("id", "name")}, 1, id="fewer fields asked"),
    ],
)
def test_cache_subset(
    engine: Engine, first: dict[str, Any], second: dict[str, Any], calls: int
) -> None:
    """The trap: a wider answer for a narrower question, a limit, an order."""
    kept = Kept(engine, entity("items", f"{FIELDS}, doc document", ROWS))
    for told in (first, second):
        kept.rows(COUNT, kept.request(**told))
    assert kept.calls == calls


def test_fewer_columns_are_taken_from_more_and_not_the_other_way(kept: Kept) -> None:
    kept.rows("SELECT id FROM t", kept.request("t", "id"))
    assert kept.rows("SELECT name FROM t WHERE id = 3", kept.request("t", "id", "name")) == [
        ("n3",)
    ]
    assert kept.calls == 2
    assert kept.rows("SELECT max(name) FROM t", kept.request("t", "name")) == [("n9",)]
    assert kept.calls == 2


def test_fields_that_an_api_echoes_must_be_asked_for_alike(engine: Engine) -> None:
    table = entity("items", f"{FIELDS}, q string only", ROWS, claims={"state": ["="]})
    kept = Kept(engine, table)
    term = Condition("q", "=", "x")
    search: dict[str, Any] = {"where": (term,), "filters": {"q": "x"}}
    more: dict[str, Any] = search | {"where": (term, OPEN)}
    for told in (WIDE, search, search, more):
        kept.rows(COUNT, kept.request(**told))
    assert kept.calls == 2
    required = Kept(engine, entity("items", FIELDS, ROWS, required=["state"]))
    first: dict[str, Any] = {"where": (FIRST,)}
    for told in (NARROW, BOTH, first):
        required.rows(COUNT, required.request(**told))
    assert required.calls == 2


def test_cache_credentials(kept: Kept) -> None:
    """The trap: rows that another user may see."""
    assert kept.rows(COUNT) == [(12,)]
    kept.version = "2"
    assert kept.rows(COUNT) == [(12,)]
    assert kept.calls == 2
    assert len(kept.cache.rows()) == 1  # what the old credentials gave is gone


@pytest.mark.parametrize("reason", ["page_cap", "possibly_incomplete"])
def test_cache_incomplete(engine: Engine, reason: Any) -> None:
    """The trap: a part of the rows kept as all of them."""
    kept = Kept(engine, entity("items", FIELDS, ROWS, incomplete_reason=reason))
    kept.rows(COUNT)
    kept.rows(COUNT)
    assert kept.calls == 2
    assert kept.cache.rows() == ()


def test_a_scan_that_was_not_read_to_its_end_is_not_kept(engine: Engine) -> None:
    kept = Kept(engine, entity("items", FIELDS, lambda *_: paged(ROWS, 3)))
    assert len(kept.rows("SELECT id FROM t LIMIT 2")) == 2
    assert kept.python.last_call.pages == 1
    assert kept.cache.rows() == ()


def test_a_failed_scan_is_not_kept(engine: Engine) -> None:
    failures = [MoltlerError("API001", "gone")]

    def once(*_: Any) -> Iterator[Any]:
        yield ROWS[:3]
        if failures:
            raise failures.pop()
        yield ROWS[3:]

    kept = Kept(engine, entity("items", FIELDS, once))
    with pytest.raises(MoltlerError, match="gone"):
        kept.rows(COUNT)
    assert kept.rows(COUNT) == [(12,)]
    assert kept.calls == 2


def test_warnings_of_a_kept_scan_are_told_again(engine: Engine) -> None:
    warning = Warning("handler_returned_nothing", "nothing", "shop.items")
    kept = Kept(engine, entity("items", FIELDS, ROWS, warnings=(warning,)))
    for _ in range(2):
        with kept.start(COUNT, kept.request()) as result:
            assert list(result.rows()) == [(12,)]
            assert result.warnings == (warning,)
    assert kept.calls == 1


@pytest.mark.parametrize(
    ("name", "calls"), [("items.create", 2), ("things.create", 2), ("sync", 2), ("users.add", 1)]
)
def test_actions_drop_what_they_may_have_changed(engine: Engine, name: str, calls: int) -> None:
    kept = Kept(engine, entity("items", FIELDS, ROWS))
    users = entity("users", FIELDS, ROWS)
    kept.python = Acting({"shop": [kept.table, users]}, limits=CallLimits(cache_ttl_s=60))
    kept.handlers = kept.cache.over(kept.python)
    kept.rows(COUNT)
    entity_name, _, word = name.rpartition(".")
    action = Action(word, entity_name or None, Schema(()), kept.table.entity.handler)
    kept.handlers.execute(kept.resolve("shop"), action, {})
    kept.rows(COUNT)
    assert kept.calls == calls


def test_a_scan_under_way_is_not_kept_once_an_action_ran(engine: Engine) -> None:
    kept = Kept(engine, entity("items", FIELDS, lambda *_: paged(ROWS, 3)))
    with kept.start("SELECT id FROM t", kept.request()) as result:
        rows = result.rows()
        next(rows)
        kept.cache.clear("shop", "items")
        assert len(list(rows)) == 11
    assert kept.cache.rows() == ()


def test_what_was_used_longest_ago_makes_room(engine: Engine) -> None:
    kept = Kept(engine, entity("items", FIELDS, ROWS))
    kept.rows(COUNT, kept.request(where=(FIRST,)))
    (row,) = kept.cache.rows()
    kept.cache = ScanCache(kept.clock, most_bytes=2 * row.size)
    kept.handlers = kept.cache.over(kept.python)
    for value in (1, 2):
        kept.rows(COUNT, kept.request(where=(Condition("id", "=", value),)))
    kept.rows(COUNT, kept.request(where=(Condition("id", "=", 1),)))
    kept.rows(COUNT, kept.request(where=(Condition("id", "=", 3),)))
    told = [r.where for r in kept.cache.rows()]
    assert told == [[{"field": "id", "op": "=", "value": v}] for v in (1, 3)]


def test_a_scan_larger_than_the_cache_is_read_and_not_kept(engine: Engine) -> None:
    kept = Kept(engine, entity("items", FIELDS, lambda *_: paged(ROWS, 3)))
    kept.cache = ScanCache(kept.clock, most_bytes=10)
    kept.handlers = kept.cache.over(kept.python)
    assert kept.rows(COUNT) == kept.rows(COUNT) == [(12,)]
    assert kept.cache.rows() == ()


# ── one flight for equal scans ───────────────────────────────────────────────────────────────────

JOIN = "SELECT count(*) FROM a JOIN b ON b.id = a.id + 1"


def test_two_halves_of_a_self_join_share_one_call(engine: Engine) -> None:
    kept = Kept(engine, entity("items", FIELDS, lambda *_: paged(ROWS, 3)))
    halves = [kept.request(name, "id") for name in ("a", "b")]
    assert kept.rows(JOIN, *halves) == [(11,)]
    assert kept.calls == 1
    with kept.start(JOIN, *halves) as again:
        assert again.value == 11
    assert kept.calls == 1


def test_a_failure_reaches_every_reader_and_each_gets_an_error_of_its_own(engine: Engine) -> None:
    def failing(*_: Any) -> Iterator[Any]:
        yield ROWS[:3]
        raise MoltlerError("API003", "slow down", retry_after=7)

    kept = Kept(engine, entity("items", FIELDS, failing))
    target, request = kept.resolve("shop"), kept.request()
    streams = [kept.handlers.query(target, request) for _ in range(2)]
    caught: list[MoltlerError] = []
    for stream in streams:
        assert next(stream).num_rows == 3
        with pytest.raises(MoltlerError, match="slow down") as info:
            next(stream)
        caught.append(info.value)
        stream.close()
    assert caught[0] is not caught[1]
    assert {e.retry_after for e in caught} == {7}
    assert kept.calls == 1
    assert kept.cache.rows() == ()


def test_who_leaves_does_not_stop_the_others(engine: Engine) -> None:
    kept = Kept(engine, entity("items", FIELDS, lambda *_: paged(ROWS, 3)))
    target, request = kept.resolve("shop"), kept.request()
    first, second = (kept.handlers.query(target, request) for _ in range(2))
    assert next(first).num_rows == 3
    first.close()
    assert not kept.python.last_call.is_closed
    assert sum(page.num_rows for page in second) == 12
    # The first paid for what it saw, the second for the rest.
    assert (first.outcome.requests, second.outcome.requests) == (1, 3)
    assert kept.cache.rows()[0].rows == 12


def test_who_waits_for_a_page_can_leave_while_another_goes_on(engine: Engine) -> None:
    go_on = threading.Event()
    begun = threading.Event()

    def slow(*_: Any) -> Iterator[Any]:
        yield ROWS[:3]
        begun.set()
        go_on.wait(10)
        yield ROWS[3:]

    kept = Kept(engine, entity("items", FIELDS, slow))
    target, request = kept.resolve("shop"), kept.request()
    waiting, other = (kept.handlers.query(target, request) for _ in range(2))
    got: list[int] = []
    reading = threading.Thread(target=lambda: got.extend(p.num_rows for p in waiting))
    reading.start()
    assert begun.wait(10)
    waiting.close()
    reading.join(10)
    assert not reading.is_alive()
    assert got == [3]
    go_on.set()
    assert [p.num_rows for p in other] == [3, 9]


def test_the_last_who_leaves_stops_the_handler(engine: Engine) -> None:
    def blocked(*_: Any) -> Iterator[Any]:
        yield ROWS[:3]
        yield Block()

    kept = Kept(engine, entity("items", FIELDS, blocked))
    stream = kept.handlers.query(kept.resolve("shop"), kept.request())
    assert next(stream).num_rows == 3
    reading = threading.Thread(target=lambda: next(stream, None))
    reading.start()
    assert kept.python.last_call.blocked.wait(10)
    stream.close()
    reading.join(10)
    assert not reading.is_alive()
    assert kept.python.last_call.is_closed
    assert not [t for t in threading.enumerate() if t.name == "moltler-flight"]


def test_explain_tells_whether_rows_are_kept(kept: Kept) -> None:
    target, request = kept.resolve("shop"), kept.request()
    assert kept.cache.verdict(request, target)[0] == "miss"
    kept.rows(COUNT)
    kept.clock.advance(5)
    assert kept.cache.verdict(request, target) == ("hit", "rows of 5 s ago, kept for 60 s")
    off = replace(target, limits=CallLimits())
    assert kept.cache.verdict(request, off) == ("off", "the option cache_ttl is not set")
