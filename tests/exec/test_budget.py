"""Budgets of a query, drift as an error, scans that begin together, and prompt cancelling."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from exec.conftest import Bench
from moltler.errors import MoltlerError
from moltler.flow.connector import CallLimits
from moltler.flow.predicate import Condition
from moltler.flow.scan import Feed
from support.handlers import Block, PythonHandlers, entity, paged

FIELDS = "id integer key, name string"
ROWS = [{"id": i, "name": f"n{i}"} for i in range(20)]


def in_pages(*_: Any) -> Iterator[Any]:
    return paged(ROWS, 5)


def shop(limits: CallLimits, rows: Any = in_pages, **more: Any) -> PythonHandlers:
    return PythonHandlers({"shop": [entity("items", FIELDS, rows, **more)]}, limits=limits)


def failure(bench: Bench, handlers: PythonHandlers, sql: str, *requests: Any) -> MoltlerError:
    with pytest.raises(MoltlerError) as caught, bench.start(handlers, sql, *requests) as result:
        list(result.rows())
    return caught.value


UNION = "SELECT id FROM a UNION ALL SELECT id FROM b"


# ── budgets ──────────────────────────────────────────────────────────────────────────────────────


def test_requests_of_all_scans_of_a_query_add_up(bench: Bench) -> None:
    handlers = shop(CallLimits(max_requests=6))
    requests = [handlers.request(name, "shop.items") for name in ("a", "b")]
    error = failure(bench, handlers, UNION, *requests)
    assert error.code == "PLN010"
    assert error.message.startswith("the query on `shop` needs more than max_requests = 6 requests")
    assert "so far: " in error.message
    assert sum(c.pages for c in handlers.calls) <= 6
    enough = shop(CallLimits(max_requests=8))
    with bench.start(enough, UNION, *requests) as result:
        assert len(list(result.rows())) == 40


def test_each_query_has_a_budget_of_its_own(bench: Bench) -> None:
    handlers = shop(CallLimits(max_requests=4))
    for _ in range(3):
        with bench.start(handlers, "SELECT * FROM t", handlers.request("t", "shop.items")) as rows:
            assert len(list(rows.rows())) == 20


def test_requests_of_all_calls_with_keys_add_up(bench: Bench) -> None:
    handlers = shop(CallLimits(max_requests=3), claims={"id": ["="]})
    feed = Feed("id", "=", values=tuple(range(10)))
    request = handlers.request(
        "t", "shop.items", where=(Condition("id", "in", tuple(range(10))),), feeds=(feed,)
    )
    error = failure(bench, handlers, "SELECT * FROM t", request)
    assert "max_requests = 3" in error.message
    assert len(handlers.calls) == 1  # of ten, each of four pages


def test_rows_of_all_calls_with_keys_add_up(bench: Bench) -> None:
    handlers = shop(CallLimits(max_results=30), claims={"id": ["="]})
    feed = Feed("id", "=", values=tuple(range(10)))
    request = handlers.request("t", "shop.items", feeds=(feed,))
    error = failure(bench, handlers, "SELECT * FROM t", request)
    assert error.message.startswith("the scan of `shop.items` took more than max_results = 30 rows")
    assert len(handlers.calls) == 2


def test_rows_of_an_answer_that_is_not_used_do_not_count(bench: Bench) -> None:
    def cut(_config: Any, _filters: Any, options: Any) -> list[dict[str, Any]]:
        return ROWS[: options.get("limit", 20)]

    handlers = shop(CallLimits(max_results=20), cut)
    request = handlers.request(
        "t", "shop.items", limit=8, check_sql="SELECT count(*) FROM t WHERE id > 9"
    )
    with bench.start(handlers, "SELECT id FROM t WHERE id > 9 LIMIT 8", request) as result:
        assert len(list(result.rows())) == 8
    assert len(handlers.calls) == 2


def test_time_ends_a_query_that_waits_for_a_page(bench: Bench) -> None:
    def blocked(*_: Any) -> Iterator[Any]:
        yield ROWS[:5]
        yield Block()

    handlers = shop(CallLimits(max_seconds=0.05), blocked)
    error = failure(bench, handlers, "SELECT * FROM t", handlers.request("t", "shop.items"))
    assert error.code == "PLN010"
    assert "max_seconds = 0.05; so far: 5 rows, 1 requests" in error.message
    assert handlers.last_call.is_closed
    assert not [t for t in threading.enumerate() if t.name == "moltler-budget"]


def test_a_query_within_its_time_leaves_no_watcher_behind(bench: Bench) -> None:
    handlers = shop(CallLimits(max_seconds=60))
    with bench.start(handlers, "SELECT * FROM t", handlers.request("t", "shop.items")) as result:
        assert len(list(result.rows())) == 20
    assert not [t for t in threading.enumerate() if t.name == "moltler-budget"]


# ── drift ────────────────────────────────────────────────────────────────────────────────────────


def test_page_drift_is_an_error_where_the_option_says_so(bench: Bench) -> None:
    def drifting(*_: Any) -> Iterator[Any]:
        yield ROWS[:5]
        yield ROWS[4:9]

    handlers = shop(CallLimits(duplicate_key_is_error=True), drifting)
    error = failure(bench, handlers, "SELECT * FROM t", handlers.request("t", "shop.items"))
    assert error.code == "JSR008"
    assert error.message == "`shop.items`: the primary key 4 was delivered more than once"


# ── several scans ────────────────────────────────────────────────────────────────────────────────


def test_several_scans_wait_for_their_first_pages_together(bench: Bench) -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meets(*_: Any) -> Iterator[Any]:
        meeting.wait()  # breaks unless both are under way
        yield ROWS

    tables = [entity(name, FIELDS, meets) for name in ("items", "others")]
    handlers = PythonHandlers({"shop": tables})
    requests = [handlers.request("a", "shop.items"), handlers.request("b", "shop.others")]
    with bench.start(handlers, UNION, *requests) as result:
        assert len(list(result.rows())) == 40
    assert not [t for t in threading.enumerate() if t.name == "moltler-first"]


def test_only_the_first_page_is_fetched_ahead(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, in_pages)]})
    requests = [handlers.request(name, "shop.items") for name in ("a", "b")]
    with bench.start(handlers, UNION, *requests):
        pass
    assert all(c.pages <= 1 for c in handlers.calls)
    assert all(c.is_closed for c in handlers.calls)


def test_a_limit_starts_no_scan_that_may_be_needless(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, in_pages)]})
    requests = [handlers.request(name, "shop.items") for name in ("a", "b")]
    with bench.start(handlers, f"{UNION} LIMIT 5", *requests):
        assert handlers.calls == []
    assert handlers.calls == []


def test_a_failure_of_a_scan_that_began_early_is_its_own_error(bench: Bench) -> None:
    error = MoltlerError("API001", "gone")

    def failing(*_: Any) -> Iterator[Any]:
        raise error
        yield

    tables = [entity("items", FIELDS, in_pages), entity("others", FIELDS, failing)]
    handlers = PythonHandlers({"shop": tables})
    requests = [handlers.request("a", "shop.items"), handlers.request("b", "shop.others")]
    assert failure(bench, handlers, UNION, *requests) is error


def test_closing_a_result_ends_the_scans_that_block_its_reader(bench: Bench) -> None:
    reached = threading.Semaphore(0)

    def blocked(*_: Any) -> Iterator[Any]:
        reached.release()
        yield Block()

    handlers = PythonHandlers({"shop": [entity("items", FIELDS, blocked)]})
    requests = [handlers.request(name, "shop.items") for name in ("a", "b", "c")]
    result = bench.start(handlers, "SELECT count(*) FROM a, b, c", *requests)
    found: list[object] = []

    def read() -> None:
        try:
            found.extend(result.rows())
        except MoltlerError as error:
            found.append(error.code)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    assert all(reached.acquire(timeout=10) for _ in requests)
    result.close()
    reading.join(10)
    assert not reading.is_alive()
    # Not the count of the rows so far.
    assert found == ["PLN006"]
    assert all(c.is_closed for c in handlers.calls)
