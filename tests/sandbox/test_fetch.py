"""fetch inside a handler, over a real server (LANGUAGE §7.3)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from moltler.errors import MoltlerError
from moltler.flow.http import HttpRequest
from moltler.loop import LoopThread
from sandbox.conftest import Instance, Runtime
from support.http import HttpServer, Response, big_body, redirect, truncated_chunked


def run(shop: Instance, body: str) -> Any:
    """Give what an action with this body returns."""
    return shop.execute(f"async function execute(config) {{ const url = config.api_url; {body} }}")


def test_requests_leave_as_the_handler_wrote_them(shop: Instance, http_server: HttpServer) -> None:
    http_server.route("*", "/items", {})
    run(shop, """
        await fetch(new URL(url + '/items?'), {headers: new Headers([['X-One', '1']])});
        await fetch(new Request(url + '/items?a=%20b', {method: 'PUT', body: 'text'}));
        await fetch(url + '/items', {method: 'PATCH', body: new Uint8Array([1, 2])});
        await fetch(url + '/items', {method: 'POST', body: new URLSearchParams({a: 'ü'})});
    """)  # fmt: skip
    assert http_server.paths == [
        "GET /items?", "PUT /items?a=%20b", "PATCH /items", "POST /items",
    ]  # fmt: skip
    first, second, third, fourth = http_server.requests
    assert first.headers["x-one"] == "1"
    assert (second.body, second.headers["content-type"]) == (b"text", "text/plain;charset=UTF-8")
    assert third.body == b"\1\2"
    assert fourth.body == b"a=%C3%BC"


def test_responses_are_native_and_complete(shop: Instance, http_server: HttpServer) -> None:
    http_server.route("GET", "/items", Response(404, {"a": 1}, {"X-Two": "2"}))
    assert run(shop, """
        const r = await fetch(url + '/items');
        const copy = r.clone();
        return [r instanceof Response, r.ok, r.status, r.statusText, r.headers.get('x-two'),
                r.headers.get('missing'), r.redirected, r.url === url + '/items',
                copy.url === r.url, await r.json(), await copy.text(), r.bodyUsed];
    """) == [True, False, 404, "Not Found", "2", None, False, True, True, {"a": 1}, '{"a": 1}',
             True]  # fmt: skip


def test_redirects_are_followed_and_told(shop: Instance, http_server: HttpServer) -> None:
    http_server.route("GET", "/old", redirect("/new"))
    http_server.route("GET", "/new", {"a": 1})
    assert run(
        shop,
        """
        const r = await fetch(url + '/old');
        const kept = await fetch(url + '/old', {redirect: 'manual'});
        return [r.redirected, r.url.endsWith('/new'), kept.status, kept.headers.get('location')];
    """,
    ) == [True, True, 302, "/new"]


def test_answers_without_a_body(shop: Instance, http_server: HttpServer) -> None:
    http_server.route("DELETE", "/items", 204)
    http_server.route("HEAD", "/items", 200)
    assert run(
        shop,
        """
        const gone = await fetch(url + '/items', {method: 'DELETE'});
        const head = await fetch(url + '/items', {method: 'HEAD'});
        return [gone.status, gone.body, await gone.text(), head.status, await head.text()];
    """,
    ) == [204, None, "", 200, ""]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 5_000_000])
def test_bodies_of_any_size_arrive_whole(
    shop: Instance, http_server: HttpServer, size: int, chunked: bool
) -> None:
    http_server.route("GET", "/big", big_body(size, chunked=chunked))
    digest = run(
        shop,
        """
        const bytes = await (await fetch(url + '/big')).arrayBuffer();
        const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
        return [bytes.byteLength, digest.toHex()];
    """,
    )
    assert digest == [size, hashlib.sha256(b"x" * size).hexdigest()]


def test_large_bodies_can_be_read_piece_by_piece_and_left(
    shop: Instance, http_server: HttpServer
) -> None:
    http_server.route("GET", "/big", big_body(5_000_000))
    assert (
        run(
            shop,
            """
        const response = await fetch(url + '/big');
        for await (const piece of response.body) return piece.length > 0;
    """,
        )
        is True
    )
    http_server.wait_closed(1)


def test_a_response_is_there_before_its_slow_body(shop: Instance, http_server: HttpServer) -> None:
    gate = threading.Event()
    http_server.route("GET", "/slow", Response(200, "abcd", body_gate=gate))

    def open_gate(_: Any) -> int:
        gate.set()
        return 200

    http_server.route("GET", "/open", open_gate)
    assert run(
        shop,
        """
        const slow = await fetch(url + '/slow');
        await fetch(url + '/open');
        return [slow.status, await slow.text()];
    """,
    ) == [200, "abcd"]


def test_a_body_that_ends_early_fails_where_it_is_read(
    shop: Instance, http_server: HttpServer
) -> None:
    http_server.route("GET", "/cut", truncated_chunked("abc"))
    assert run(
        shop,
        """
        const response = await fetch(url + '/cut');
        return [response.status, await response.text().catch((e) => [e.name, e.code])];
    """,
    ) == [200, ["FetchError", "ECONNRESET"]]


def test_aborting_ends_the_request_at_the_server(shop: Instance, http_server: HttpServer) -> None:
    http_server.route("GET", "/hangs", Response(200, {}, head_gate=threading.Event()))
    http_server.route("GET", "/seen", lambda _: "GET /hangs" in http_server.paths)
    assert (
        run(
            shop,
            """
            const controller = new AbortController();
            const aborted = fetch(url + '/hangs', {signal: controller.signal});
            while (!await (await fetch(url + '/seen')).json());
            controller.abort();
            return await aborted.catch((e) => e.name);
            """,
        )
        == "AbortError"
    )
    assert http_server.gone.wait(10)


def test_signals_that_are_over_reject_with_their_reason(
    shop: Instance, http_server: HttpServer
) -> None:
    http_server.route("GET", "/hangs", Response(200, {}, head_gate=threading.Event()))
    assert run(
        shop,
        """
            const late = fetch(url + '/hangs', {signal: AbortSignal.timeout(5)});
            const never = fetch(url + '/never', {signal: AbortSignal.abort()});
            return [await late.catch((e) => e.name), await never.catch((e) => e.name)];
            """,
    ) == ["TimeoutError", "AbortError"]
    assert "GET /never" not in http_server.paths


def test_requests_left_behind_are_cancelled_with_the_call(
    shop: Instance, http_server: HttpServer
) -> None:
    http_server.route("GET", "/hangs", Response(200, {}, head_gate=threading.Event()))
    assert run(shop, "fetch(url + '/hangs').catch(() => {}); await 0; return 1;") == 1
    assert shop.evaluate("2") == 2
    assert all(r.path == "/hangs" for r in http_server.requests)
    if http_server.requests:
        assert http_server.gone.wait(10)


def test_at_most_32_requests_are_in_flight(shop: Instance, http_server: HttpServer) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def answer(_: Any) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        done.wait(0.02)
        with lock:
            now -= 1
        return {}

    done = threading.Event()
    http_server.route("GET", "/items", answer)
    assert (
        run(
            shop,
            """
        const all = Array.from({length: 100}, () => fetch(url + '/items'));
        return (await Promise.all(all)).length;
    """,
        )
        == 100
    )
    assert most <= 32


def test_bodies_that_nobody_reads_hold_no_request_up(
    shop: Instance, http_server: HttpServer
) -> None:
    http_server.route("GET", "/big", big_body(2_000_000))
    http_server.route("GET", "/items", {})
    assert (
        run(
            shop,
            """
        const unread = [];
        for (let i = 0; i < 40; i++) unread.push(await fetch(url + '/big'));
        return (await fetch(url + '/items')).status;
    """,
        )
        == 200
    )


@dataclass
class Gate:
    """A `ports.WriteWatch` that runs a callback before a write."""

    before: Callable[[], None]
    answers: int = 0
    losses: int = 0

    def stamped(self, request: HttpRequest) -> HttpRequest:
        return request

    def sent(self) -> None:
        self.before()

    def answered(self) -> None:
        self.answers += 1

    def lost(self) -> None:
        self.losses += 1


def test_the_gate_is_passed_before_a_write_and_not_before_a_read(
    shop: Instance, http_server: HttpServer
) -> None:
    http_server.route("*", "/items", {})
    seen: list[int] = []
    shop.execute(
        """async function execute(config) {
            await fetch(config.api_url + '/items');
            await fetch(config.api_url + '/items', {method: 'POST'});
        }""",
        watch=Gate(lambda: seen.append(len(http_server.paths))),
    )
    assert seen == [1]
    assert http_server.paths == ["GET /items", "POST /items"]


def test_a_gate_that_fails_stops_the_call_and_nothing_is_sent(
    shop: Instance, http_server: HttpServer
) -> None:
    def gate() -> None:
        raise OSError("disk full")

    text = """async function execute(config) {
        await fetch(config.api_url + '/items', {method: 'POST'});
    }"""
    with pytest.raises(OSError, match="disk full"):
        shop.execute(text, watch=Gate(gate))
    assert http_server.paths == []
    assert shop.evaluate("1") == 1


def test_log_lines_are_prefixed_capped_and_redacted(runtime: Runtime) -> None:
    from moltler.secret import Secret

    shop = runtime.instance({"key": "hunter2secret"}, secrets=[Secret("key", "hunter2secret")])
    runtime.log.clear()
    shop.execute("""function execute(config) {
        console.log('key', config.key, {a: [1]});
        for (let i = 0; i < 3000; i++) console.warn(i);
    }""")
    shop.evaluate("1")
    assert runtime.log[0] == f"[{shop.target.name}] info: key [secret key] {{ a: [ 1 ] }}"
    assert len(runtime.log) == 1001
    assert runtime.log[-1].endswith("more log lines are left out")


def test_every_method_of_the_console_leaves_the_stream_intact(shop: Instance) -> None:
    assert (
        shop.execute("""function execute() {
        for (const name of Object.keys(console)) console[name]('x', 'y');
        console.table([{a: 1}]); console.dir({a: 1}); console.time(); console.timeEnd();
        console.group('g'); console.log('in'); console.groupEnd(); console.trace();
        console.assert(0);
        console.log(Symbol('s'), 1n, null, undefined, {get x() { throw 1 }}, new Proxy({}, {}));
        return Object.keys(console).length;
    }""")
        == 22
    )


def test_a_closed_runtime_refuses_calls(http_server: HttpServer) -> None:
    from moltler.net.client import HttpTransport
    from moltler.net.settings import NetSettings
    from moltler.sandbox.handler import JavaScriptHandlers

    loop = LoopThread("moltler-test-loop")
    handlers = JavaScriptHandlers(loop, lambda t: HttpTransport(t, settings=NetSettings()))
    shop = Runtime(loop, handlers, []).instance()
    half_read = shop.open("function* query() { yield [{id: 1}]; yield [{id: 2}]; }")
    next(half_read)
    handlers.close()
    handlers.close()
    loop.close()
    with pytest.raises(MoltlerError, match="closed"):
        next(half_read)
    with pytest.raises(MoltlerError, match="closed"):
        shop.evaluate("1")
    half_read.close()
    assert not [t for t in threading.enumerate() if t.name == "moltler-test-loop"]


@pytest.mark.parametrize("user", ["user:pw@", "user@", ":pw@"])
def test_a_url_with_credentials_is_refused_as_the_standard_does(plain: Instance, user: str) -> None:
    for made in (f"'http://{user}127.0.0.1/'", f"new URL('http://{user}127.0.0.1/')"):
        tried = f"await fetch({made}).catch((e) => [e.constructor.name, e.name])"
        assert plain.evaluate(tried) == ["TypeError", "TypeError"]
