"""Pages on demand, turns, cancelling, time limits and what happens after a kill."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from moltler.errors import MoltlerError
from moltler.flow.connector import CallLimits
from moltler.sandbox.program import Times
from sandbox.conftest import Instance, Runtime, runtime_of
from support.http import HttpServer, Request, Response, sequence

PAGES = """async function* query(config) {
    for (let page = 1;; page++) {
        const response = await fetch(config.api_url + '/items?page=' + page);
        const rows = await response.json();
        if (!rows.length) return;
        yield rows;
    }
}"""


@pytest.fixture
def pages_of_two(http_server: HttpServer) -> HttpServer:
    """Fifty pages of two rows."""

    def answer(request: Request) -> Any:
        page = int(request.query["page"])
        return [{"id": 2 * page}, {"id": 2 * page + 1}] if page <= 50 else []

    http_server.route("GET", "/items", answer)
    return http_server


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def test_one_page_that_is_pulled_is_one_page_that_is_fetched(
    shop: Instance, pages_of_two: HttpServer
) -> None:
    pages = shop.open(PAGES)
    assert next(pages).num_rows == 2
    pages.close()
    assert pages_of_two.paths == ["GET /items?page=1"]
    assert not pages.outcome.has_ended
    assert (pages.outcome.rows, pages.outcome.pages, pages.outcome.requests) == (2, 1, 1)


def test_two_pages_that_are_pulled_are_two_pages_that_are_fetched(
    shop: Instance, pages_of_two: HttpServer
) -> None:
    pages = shop.open(PAGES)
    assert [next(pages).num_rows for _ in range(2)] == [2, 2]
    pages.close()
    assert len(pages_of_two.paths) == 2


def test_a_long_scan_is_read_to_its_end_in_order(shop: Instance, pages_of_two: HttpServer) -> None:
    pages = shop.open(PAGES, "id integer")
    assert [row["id"] for page in pages for row in page.to_pylist()] == list(range(2, 102))
    assert pages.outcome.has_ended
    assert pages.outcome.requests == 51


def test_the_producer_is_at_most_four_pages_ahead(shop: Instance, pages_of_two: HttpServer) -> None:
    pages = shop.open(PAGES)
    for _ in range(6):
        next(pages)
    pages_of_two.wait_requests(9)
    # Its turn is free, which it gives up when it has used its credit.
    assert shop.evaluate("1") == 1
    assert len(pages_of_two.paths) <= 10
    pages.close()


def test_nothing_runs_before_the_first_pull_and_nothing_after_close(
    shop: Instance, pages_of_two: HttpServer
) -> None:
    pages = shop.open(PAGES)
    pages.close()
    assert list(pages) == []
    assert pages_of_two.paths == []


def test_single_rows_are_gathered_but_sent_before_the_next_request(
    shop: Instance, pages_of_two: HttpServer
) -> None:
    text = """async function* query(config) {
        for (let page = 1; page < 3; page++) {
            const response = await fetch(config.api_url + '/items?page=' + page);
            for (const row of await response.json()) yield row;
        }
    }"""
    pages = shop.open(text)
    assert next(pages).num_rows == 2
    assert len(pages_of_two.paths) == 1
    assert [page.num_rows for page in pages] == [2]


def test_closing_runs_finally_and_waits_for_it(runtime: Runtime, shop: Instance) -> None:
    text = """let stopped = 0;
    async function* query() {
        if (stopped) { yield {id: stopped}; return; }
        try { for (let id = 0;; id++) yield [{id}]; } finally { stopped = 7; }
    }"""
    pages = shop.open(text)
    next(pages)
    pages.close()
    pages.close()
    assert shop.rows(text, "id integer") == [{"id": 7}]


def test_a_stream_that_is_collected_on_the_loop_thread_stops_as_well(
    runtime: Runtime, plain: Instance
) -> None:
    text = """async function* query() {
        try { for (let id = 0;; id++) yield [{id}]; } finally { console.log('stopped'); }
    }"""
    pages = plain.open(text, "id integer")
    next(pages)

    async def collect() -> None:
        pages.close()  # the garbage collector runs in any thread

    runtime.loop.run(collect())
    assert next(pages, None) is None
    plain.rows("function query() { return []; }", "id integer")  # its turn comes after
    assert any("stopped" in line for line in runtime.log)


def test_finally_may_still_fetch(shop: Instance, pages_of_two: HttpServer) -> None:
    pages_of_two.route("DELETE", "/cursor", 204)
    pages = shop.open("""async function* query(config) {
        try { for (let id = 0;; id++) yield [{id}]; }
        finally { await fetch(config.api_url + '/cursor', {method: 'DELETE'}); }
    }""")
    next(pages)
    pages.close()
    assert pages_of_two.paths == ["DELETE /cursor"]


def test_close_ends_a_pull_of_another_thread_and_its_request(
    shop: Instance, http_server: HttpServer, pool: ThreadPoolExecutor
) -> None:
    http_server.route("GET", "/items", Response(200, [], head_gate=threading.Event()))
    pages = shop.open(PAGES)
    pulled = pool.submit(lambda: list(pages))
    http_server.wait_requests(1)
    pages.close()
    assert pulled.result(10) == []
    assert http_server.gone.wait(10)
    assert shop.evaluate("1") == 1


def test_a_handler_that_does_not_stop_is_killed(runtime: Runtime) -> None:
    shop = runtime.instance()
    pages = shop.open("""async function* query() {
        try { for (let id = 0;; id++) yield [{id}]; } finally { while (true); }
    }""")
    next(pages)
    pages.close()
    assert shop.evaluate("1") == 1


def test_an_interrupt_cancels_the_call_and_propagates(
    shop: Instance, http_server: HttpServer
) -> None:
    import signal

    def interrupt(_: Request) -> Response:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return Response(200, [], head_gate=threading.Event())

    http_server.route("*", "/items", interrupt)
    with pytest.raises(KeyboardInterrupt):
        shop.rows(PAGES)
    assert http_server.gone.wait(10)
    http_server.gone.clear()
    with pytest.raises(KeyboardInterrupt):
        shop.execute("""async function execute(config) {
            await fetch(config.api_url + '/items', {method: 'POST'});
        }""")
    assert http_server.gone.wait(10)
    assert shop.evaluate("1") == 1


def test_calls_of_one_instance_run_one_at_a_time(
    runtime: Runtime, pool: ThreadPoolExecutor
) -> None:
    shop = runtime.instance()
    text = """let running = 0, most = 0;
    async function execute() {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running--;
        return most;
    }"""
    assert list(pool.map(lambda _: shop.execute(text), range(8))) == [1] * 8


def test_calls_run_at_once_where_the_instance_allows_it(
    runtime: Runtime, http_server: HttpServer, pool: ThreadPoolExecutor
) -> None:
    barrier = threading.Barrier(3)

    def answer(_: Request) -> Any:
        barrier.wait(10)
        return [{"id": 1}]

    http_server.route("GET", "/items", answer)
    shop = runtime.instance({"api_url": http_server.url}, limits=CallLimits(max_concurrency=3))
    text = "async function query(c) { return (await fetch(c.api_url + '/items')).json(); }"
    done = [pool.submit(shop.rows, text, "id integer") for _ in range(3)]
    assert [d.result(10) for d in done] == [[{"id": 1}]] * 3


def test_two_half_read_results_of_one_instance_both_finish(
    shop: Instance, pages_of_two: HttpServer
) -> None:
    one, two = shop.open(PAGES, "id integer"), shop.open(PAGES, "id integer")
    read = [row["id"] for pair in zip(one, two, strict=True) for p in pair for row in p.to_pylist()]
    assert len(read) == 200


def test_module_state_lives_from_call_to_call(shop: Instance, http_server: HttpServer) -> None:
    http_server.route("GET", "/items", [{"id": 1}])
    text = """const cache = new Map();
    async function query(config, filters, options) {
        const key = JSON.stringify({config, filters, options});
        if (!cache.has(key))
            cache.set(key, await (await fetch(config.api_url + '/items')).json());
        return cache.get(key);
    }"""
    for limit in (None, None, 5):
        assert shop.rows(text, "id integer", limit=limit) == [{"id": 1}]
    assert len(http_server.paths) == 2


def test_timers_of_a_call_end_with_it(shop: Instance) -> None:
    text = """let ticks = 0;
    async function execute() {
        const before = ticks;
        setInterval(() => ticks++, 1);
        await new Promise((resolve) => setTimeout(resolve, 10));
        return [before, ticks > before];
    }"""
    first, second = shop.execute(text), shop.execute(text)
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert first[1] is True
    between = shop.execute(text)
    assert isinstance(between, list)
    assert second[0] != between[0]


def test_a_generator_has_its_time_limit_for_each_page(runtime: Runtime) -> None:
    shop = runtime.instance(limits=CallLimits(timeout_s=0.5))
    pages = shop.rows("""async function* query() {
        for (let id = 0; id < 6; id++) {
            await new Promise((resolve) => setTimeout(resolve, 120));
            yield [{id}];
        }
    }""")
    assert len(pages) == 6


def test_a_page_past_its_time_limit_kills_and_the_next_call_works(runtime: Runtime) -> None:
    shop = runtime.instance(limits=CallLimits(timeout_s=0.3))
    pages = shop.open("function* query() { yield [{id: 1}]; while (true); }")
    assert next(pages).num_rows == 1
    with pytest.raises(MoltlerError) as caught:
        next(pages)
    assert caught.value.code == "JSR002"
    assert shop.evaluate("1") == 1


def test_waiting_for_the_throttle_does_not_count(runtime: Runtime, http_server: HttpServer) -> None:
    http_server.route("GET", "/items", [{"id": 1}])
    limits = CallLimits(timeout_s=0.3, rate_per_s=5, rate_burst=1)
    shop = runtime.instance({"api_url": http_server.url}, limits=limits)
    rows = shop.rows("""async function query(config) {
        for (let i = 0; i < 3; i++) await fetch(config.api_url + '/items');
        return [{id: 1}];
    }""")
    assert len(rows) == 1


def test_waiting_for_a_turn_does_not_count(runtime: Runtime, pool: ThreadPoolExecutor) -> None:
    shop = runtime.instance(limits=CallLimits(timeout_s=0.4))
    text = """async function execute() {
        await new Promise((resolve) => setTimeout(resolve, 150));
        return 1;
    }"""
    assert list(pool.map(lambda _: shop.execute(text), range(4))) == [1] * 4


def test_a_query_that_died_of_another_call_runs_again(
    runtime: Runtime, http_server: HttpServer, pool: ThreadPoolExecutor
) -> None:
    held = Response(200, [{"id": 1}], head_gate=threading.Event())
    http_server.route("GET", "/guilty", held)
    http_server.route("GET", "/innocent", sequence(held, [{"id": 2}]))
    limits = CallLimits(timeout_s=0.5, max_concurrency=2)
    shop = runtime.instance({"api_url": http_server.url}, limits=limits)
    text = "async function query(c) { return (await fetch(c.api_url + '/%s')).json(); }"
    guilty = pool.submit(shop.fails, text % "guilty")
    http_server.wait_requests(1)  # so its time is up first
    innocent = pool.submit(shop.rows, text % "innocent", "id integer")
    assert guilty.result(10).code == "JSR002"
    assert innocent.result(10) == [{"id": 2}]


def test_an_action_is_never_run_again(
    runtime: Runtime, http_server: HttpServer, pool: ThreadPoolExecutor
) -> None:
    http_server.route("POST", "/items", Response(200, {}, head_gate=threading.Event()))
    limits = CallLimits(timeout_s=0.5, max_concurrency=2)
    shop = runtime.instance({"api_url": http_server.url}, limits=limits)
    action = pool.submit(
        shop.execute_fails,
        "async function execute(c) { await fetch(c.api_url + '/items', {method: 'POST'}); }",
    )
    http_server.wait_requests(1)
    shop.fails("function query() { while (true); }")
    assert action.result(10).code in {"JSR002", "JSR003"}
    assert http_server.paths == ["POST /items"]


def test_a_loop_left_behind_does_not_eat_the_next_calls_time() -> None:
    with runtime_of(Times(silence_s=0.3)) as impatient:
        shop = impatient.instance(limits=CallLimits(timeout_s=20))
        text = """async function execute() {
            (async () => { for (let i = 0; i < 100; i++) await 0; while (true); })();
            return 1;
        }"""
        assert shop.execute(text) == 1
        assert shop.evaluate("2") == 2


def test_top_level_code_that_loops_is_killed_and_told() -> None:
    with runtime_of() as started:
        shop = started.instance(limits=CallLimits(timeout_s=0.3))
        error = shop.fails("while (true); function query() {}")
        assert error.code == "JSR002"
        assert error.message == "the handler's top-level code did not finish within 0.3 seconds"
        assert shop.evaluate("2") == 2


def test_the_time_limit_counts_top_level_code_and_the_first_call_together() -> None:
    text = """await new Promise((go) => setTimeout(go, 700));
        async function query() { await new Promise((go) => setTimeout(go, 700)); return []; }"""
    with runtime_of() as started:
        shop = started.instance(limits=CallLimits(timeout_s=1.2))
        assert shop.fails(text).message == "the handler did not finish within 1.2 seconds"
        patient = started.instance(limits=CallLimits(timeout_s=5))
        assert patient.rows(text) == patient.rows(text) == []


def test_idle_processes_end_and_take_their_state_along() -> None:
    text = "let calls = 0; function execute() { return ++calls; }"
    with runtime_of(Times(idle_s=0.0)) as hasty:
        shop = hasty.instance()
        assert shop.execute(text) == 1
        assert shop.execute(text) == 1
