"""Running a plan: streaming, limits, completeness, failures, cancelling (LANGUAGE §6.5, §6.7)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from exec.conftest import Bench
from moltler.errors import MoltlerError
from moltler.flow.connector import CallLimits
from moltler.flow.predicate import OrderKey
from support.handlers import Block, PythonHandlers, entity, paged

FIELDS = "id integer key, name string"
ROWS = [{"id": i, "name": f"n{i}"} for i in range(20)]


def in_pages(_config: Any, _filters: Any, _options: Any) -> Iterator[Any]:
    return paged(ROWS, 5)


def cut_at_limit(_config: Any, _filters: Any, options: Any) -> list[dict[str, Any]]:
    """The page's pagination habit: filters ignored, stops at the limit."""
    return ROWS[: options.get("limit", len(ROWS))]


def test_a_limit_of_the_sql_pulls_no_more_pages_than_it_needs(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, in_pages)]})
    with bench.start(
        handlers, "SELECT * FROM t LIMIT 2", handlers.request("t", "shop.items")
    ) as result:
        assert list(result.rows()) == [(0, "n0"), (1, "n1")]
    assert handlers.last_call.pages == 1
    assert handlers.last_call.is_closed


def test_a_limited_scan_that_satisfies_the_query_is_called_once(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, cut_at_limit)]})
    request = handlers.request("t", "shop.items", limit=3)
    with bench.start(handlers, "SELECT id FROM t LIMIT 3", request) as result:
        assert list(result.rows()) == [(0,), (1,), (2,)]
    assert [c.options for c in handlers.calls] == [{"limit": 3}]


def test_a_handler_that_cuts_before_it_filters_is_called_again_without_the_limit(
    bench: Bench,
) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, cut_at_limit)]})
    check = "SELECT count(*) FROM t WHERE id > 10"
    request = handlers.request("t", "shop.items", limit=3, check_sql=check)
    with bench.start(handlers, "SELECT id FROM t WHERE id > 10 LIMIT 3", request) as result:
        assert list(result.rows()) == [(11,), (12,), (13,)]
    assert [c.options for c in handlers.calls] == [{"limit": 3}, {}]


def test_a_claimed_limit_is_believed_without_a_second_call(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, cut_at_limit, limit=True)]})
    request = handlers.request(
        "t", "shop.items", limit=3, limit_is_claimed=True, check_sql="SELECT 0"
    )
    with bench.start(handlers, "SELECT id FROM t WHERE id > 1 LIMIT 3", request) as result:
        assert list(result.rows()) == [(2,)]
    assert len(handlers.calls) == 1


def test_a_generator_in_a_claimed_order_is_stopped_once_the_limit_is_reached(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, in_pages, order_by=["id"])]})
    request = handlers.request(
        "t", "shop.items", limit=6, limit_is_claimed=True, order_by=(OrderKey("id"),)
    )
    with bench.start(handlers, "SELECT id FROM t ORDER BY id LIMIT 6", request) as result:
        assert [r[0] for r in result.rows()] == [0, 1, 2, 3, 4, 5]
    assert [c.pages for c in handlers.calls] == [2]


def test_a_short_answer_without_conditions_exhausts_the_source(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, cut_at_limit)]})
    request = handlers.request("t", "shop.items", limit=21)
    with bench.start(handlers, "SELECT id FROM t LIMIT 21", request) as result:
        assert len(list(result.rows())) == 20
    assert len(handlers.calls) == 1


def test_a_filter_asks_for_no_page_once_a_claimed_limit_is_reached(bench: Bench) -> None:
    # DuckDB's filter gathers small pages until they are worth handing on.
    pages = [[row] for row in ROWS]
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, lambda *_: iter(pages))]})
    check = "SELECT count(*) FROM t WHERE id >= 0"
    request = handlers.request("t", "shop.items", limit=2, limit_is_claimed=True, check_sql=check)
    with bench.start(handlers, "SELECT id FROM t WHERE id >= 0 LIMIT 2", request) as result:
        assert list(result.rows()) == [(0,), (1,)]
    assert [c.options for c in handlers.calls] == [{"limit": 2}]
    assert handlers.last_call.pages == 2


def test_pages_of_a_limited_generator_are_pulled_until_enough_rows_pass(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, in_pages)]})
    check = "SELECT count(*) FROM t WHERE id >= 6"
    request = handlers.request("t", "shop.items", limit=2, check_sql=check)
    with bench.start(handlers, "SELECT id FROM t WHERE id >= 6 LIMIT 2", request) as result:
        assert list(result.rows()) == [(6,), (7,)]
    assert [(c.options, c.pages) for c in handlers.calls] == [({"limit": 2}, 2)]


def test_contradicting_conditions_call_nothing(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, ROWS)]})
    request = handlers.request("t", "shop.items", is_empty=True)
    with bench.start(handlers, "SELECT * FROM t", request) as result:
        assert list(result.rows()) == []
        assert [c.name for c in result.columns] == ["id", "name"]
    assert handlers.calls == []


def test_each_reference_of_a_self_join_reads_a_stream_of_its_own(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, in_pages)]})
    requests = [handlers.request(name, "shop.items", "id") for name in ("a", "b")]
    with bench.start(
        handlers, "SELECT count(*) FROM a JOIN b ON b.id = a.id + 1", *requests
    ) as result:
        assert result.value == 19
    assert len(handlers.calls) == 2


def test_a_handler_is_at_work_before_anybody_reads_the_result(bench: Bench) -> None:
    began = threading.Event()

    def items(_config: Any, _filters: Any, _options: Any) -> list[dict[str, Any]]:
        began.set()
        return ROWS

    handlers = PythonHandlers({"shop": [entity("items", FIELDS, items)]})
    request = handlers.request("t", "shop.items")
    with bench.start(handlers, "SELECT count(*) FROM t", request) as result:
        assert began.wait(10)
        assert list(result.rows()) == [(20,)]
    assert len(handlers.calls) == 1


def test_a_result_that_nobody_reads_leaves_nothing_running(bench: Bench) -> None:
    began = threading.Event()

    def items(_config: Any, _filters: Any, _options: Any) -> Iterator[Any]:
        began.set()
        yield Block()

    handlers = PythonHandlers({"shop": [entity("items", FIELDS, items)]})
    with bench.start(handlers, "SELECT id FROM t", handlers.request("t", "shop.items")):
        assert began.wait(20)
    assert handlers.last_call.is_closed


def test_a_failed_page_is_the_handlers_own_error_and_never_fewer_rows(bench: Bench) -> None:
    failure = MoltlerError("API003", "slow down", retry_after=7)

    def failing(*_: Any) -> Iterator[Any]:
        yield ROWS[:3]
        raise failure

    with pytest.raises(MoltlerError) as caught:
        bench.rows(entity("items", FIELDS, failing), "SELECT count(*) FROM t")
    assert caught.value is failure
    assert (failure.context.connector, failure.context.entity) == ("shop", "items")
    assert bench.ended == [failure]


def test_the_engine_is_usable_after_a_failure(bench: Bench) -> None:
    table = entity("items", FIELDS, ROWS)
    with pytest.raises(MoltlerError, match="convert"):
        bench.rows(table, "SELECT CAST(name AS INTEGER) FROM t")
    assert bench.rows(table, "SELECT count(*) FROM t") == [(20,)]


def test_conversion_that_fails_in_the_middle_of_a_stream_is_a_value_error(bench: Bench) -> None:
    rows = [{"id": i, "name": str(i) if i < 900 else "x"} for i in range(1000)]
    with pytest.raises(MoltlerError) as caught:
        bench.rows(
            entity("items", FIELDS, lambda *_: paged(rows, 100)),
            "SELECT CAST(name AS INTEGER) FROM t",
        )
    assert caught.value.code == "PLN007"


def test_a_page_that_comes_twice_draws_a_warning(bench: Bench) -> None:
    handlers = PythonHandlers(
        {"shop": [entity("items", FIELDS, lambda *_: iter([ROWS[:2], ROWS[1:3]]))]}
    )
    with bench.start(
        handlers, "SELECT name FROM t", handlers.request("t", "shop.items", "name")
    ) as result:
        assert len(list(result.rows())) == 4
        assert [w.code for w in result.warnings] == ["duplicate_key"]


def test_the_third_page_without_a_new_key_ends_the_scan(bench: Bench) -> None:
    pulled: list[int] = []

    def endless(*_: Any) -> Iterator[Any]:
        while True:
            pulled.append(1)
            yield ROWS[:2]

    with pytest.raises(MoltlerError) as caught:
        bench.rows(entity("items", FIELDS, endless), "SELECT count(*) FROM t")
    assert caught.value.code == "JSR008"
    assert len(pulled) == 4


def test_an_incomplete_scan_marks_the_aggregate_over_it(bench: Bench) -> None:
    table = entity("items", FIELDS, in_pages, incomplete_reason="possibly_incomplete")
    handlers = PythonHandlers({"shop": [table]})
    with bench.start(
        handlers, "SELECT count(*) FROM t", handlers.request("t", "shop.items")
    ) as result:
        assert list(result.rows()) == [(20,)]
        assert (result.complete, result.incomplete_reason) == (False, "possibly_incomplete")


def test_pages_that_nobody_asked_for_do_not_make_a_result_incomplete(bench: Bench) -> None:
    table = entity("items", FIELDS, cut_at_limit, incomplete_reason="possibly_incomplete")
    handlers = PythonHandlers({"shop": [table]})
    request = handlers.request("t", "shop.items", limit=3)
    with bench.start(handlers, "SELECT id FROM t LIMIT 3", request) as result:
        assert len(list(result.rows())) == 3
        assert result.complete


@pytest.mark.parametrize(("limit", "fails"), [(19, True), (20, False), (21, False)])
def test_max_results_is_an_error_and_never_a_cut(bench: Bench, limit: int, fails: bool) -> None:
    handlers = PythonHandlers(
        {"shop": [entity("items", FIELDS, in_pages)]}, limits=CallLimits(max_results=limit)
    )
    with bench.start(
        handlers, "SELECT count(*) FROM t", handlers.request("t", "shop.items")
    ) as result:
        code = None
        try:
            assert list(result.rows()) == [(20,)]
        except MoltlerError as error:
            code = error.code
    assert (code == "PLN010") is fails


def test_closing_a_result_in_the_middle_stops_the_handler(bench: Bench) -> None:
    handlers = PythonHandlers({"shop": [entity("items", FIELDS, in_pages)]})
    result = bench.start(handlers, "SELECT * FROM t", handlers.request("t", "shop.items"))
    next(result.rows())
    result.close()
    assert handlers.last_call.is_closed
    assert bench.ended == [None]


def blocked_query(bench: Bench) -> tuple[PythonHandlers, Any]:
    blocking = entity("items", FIELDS, lambda *_: iter([ROWS[:2], Block()]))
    handlers = PythonHandlers({"shop": [blocking]})
    return handlers, bench.start(
        handlers, "SELECT count(*) FROM t", handlers.request("t", "shop.items")
    )


def test_another_thread_can_close_a_result_that_waits_for_a_page(bench: Bench) -> None:
    handlers, result = blocked_query(bench)
    outcome: list[object] = []

    def read() -> None:
        try:
            outcome.extend(result.rows())
        except MoltlerError as error:
            outcome.append(error.code)

    reader = threading.Thread(target=read)
    reader.start()
    while not handlers.calls:
        reader.join(0.01)
    assert handlers.last_call.blocked.wait(20)
    result.close()
    reader.join(20)
    assert not reader.is_alive()
    assert handlers.last_call.is_closed


def test_ctrl_c_stops_a_query_that_waits_for_a_page(bench: Bench) -> None:
    handlers, result = blocked_query(bench)

    def interrupt() -> None:
        while not handlers.calls:
            waiting.wait(0.01)
        handlers.last_call.blocked.wait(20)
        os.kill(os.getpid(), signal.SIGINT)

    waiting = threading.Event()
    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        list(result.rows())
    sender.join(20)
    assert handlers.last_call.is_closed
    assert isinstance(bench.ended[0], KeyboardInterrupt)
