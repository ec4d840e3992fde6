"""Tests that share processes and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.flow.http import FetchCode, FetchFailure, HttpRequest, HttpResponse
from moltler.sandbox.reuse import MAX_FREE
from sandbox.conftest import Instance, Room, Runtime, is_running, runtime_of
from sandbox.test_confinement import GLOBALS
from support.http import HttpServer

COUNTER = "let n = 0; function execute() { n += 1; return n; }"
LIMITS = CallLimits(timeout_s=0.5)


def test_a_process_serves_test_after_test_without_their_modules(runtime: Runtime) -> None:
    seen: list[object] = []
    pids: set[int | None] = set()
    for _ in range(3):
        with runtime.room() as room:
            shop = room.instance()
            seen += [shop.execute(COUNTER), shop.execute(COUNTER)]
            pids |= room.pids
    assert (seen, len(pids)) == ([1, 2] * 3, 1)


def test_instances_of_one_test_have_processes_of_their_own(runtime: Runtime) -> None:
    with runtime.room() as room:
        first, second = room.instance(), room.instance()
        both = "globalThis.shared = (globalThis.shared ?? 0) + 1"
        assert (first.evaluate(both), second.evaluate(both)) == (1, 1)
        assert len(room.pids) == 2


def test_tests_of_two_types_never_share_a_process(runtime: Runtime) -> None:
    def pids_of(name: str) -> set[int | None]:
        with runtime.room() as room:
            shop = room.instance()
            other = replace(shop.target, type=replace(shop.target.type, name=name))
            replace(shop, target=other).evaluate("1")
            return room.pids

    assert not pids_of("one") & pids_of("two")


CHANGES = {
    "a new global": "globalThis.left = 1",
    "a changed global": "globalThis.fetch = () => 1",
    "a lazy global": "globalThis.Headers = 1",
    "a deleted global": "delete globalThis.structuredClone",
    "a global's handler": "globalThis.onerror = () => {}",
    "a global's listener": "addEventListener('message', () => {})",
    "a prototype": "Array.prototype.last = 1",
    "a changed method": "String.prototype.trim = () => ''",
    "a symbol": "Array.prototype[Symbol.toStringTag] = 'x'",
    "a getter": "Object.defineProperty(Object.prototype, 'get', {get: () => 1})",
    "a prototype link": "Object.setPrototypeOf(Map.prototype, null)",
    "an iterator": "Object.getPrototypeOf([].values()).next = () => ({done: true})",
    "a generator": "Object.getPrototypeOf(function* () {}).left = 1",
    "an attribute": "Object.defineProperty(Math, 'max', {enumerable: true})",
    "a frozen object": "Object.freeze(JSON)",
    "a closed object": "Object.preventExtensions(Reflect)",
    "an error class": "ConnectorError.prototype.left = 1",
    "a forged answer": "Object.prototype.toJSON = () => ({heap_bytes: 0, typescript: false})",
    "the console": "console.left = 1",
    "a finalizer": "new FinalizationRegistry(() => 0)",
    "stack traces": "Error.prepareStackTrace = () => 'x'",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_process_that_was_changed_is_ended(runtime: Runtime, change: str) -> None:
    with runtime.room() as room:
        shop = room.instance(limits=LIMITS)
        try:
            shop.execute(f"async function execute() {{ {change}; return 1; }}")
        except Exception as error:  # noqa: BLE001 - any error of its own is fine
            assert getattr(error, "code", "").startswith("JSR")  # noqa: PT017
        (pid,) = room.pids or {None}
    assert pid is None or not is_running(pid)


def test_what_uses_the_web_without_changing_it_leaves_the_process_usable(runtime: Runtime) -> None:
    text = """async function execute() {
        await crypto.subtle.digest('SHA-256', new Uint8Array(4));
        const form = new FormData();
        form.append('a', 'b');
        await new Response(form).text();
        const zipped = new Blob(['a']).stream().pipeThrough(new CompressionStream('gzip'));
        await new Response(zipped).arrayBuffer();
        const stop = new AbortController();
        stop.signal.addEventListener('abort', () => 0);
        stop.abort();
        AbortSignal.timeout(60000);
        setInterval(() => 0, 60000);
        setTimeout(() => 0, 60000);
        performance.mark('begun');
        console.count();
        console.group('deep');
        URL.createObjectURL(new Blob([]));
        navigator.userAgent;
        new Intl.DateTimeFormat('de').format();
        structuredClone(new Map());
        new URLPattern({pathname: '/x'}).test('http://a/x');
        return 'abc'.match(/b/)[0];
    }"""
    after = "[RegExp.lastMatch === 'b', performance.getEntries().length]"
    with runtime.room() as room:
        assert room.instance().execute(text) == "b"
        pids = room.pids
    runtime.log.clear()
    with runtime.room() as room:
        shop = room.instance()
        assert shop.evaluate(after) == [False, 0]
        shop.execute("function execute() { console.count(); }")
        assert room.pids == pids
    assert runtime.log == [f"[{shop.target.name}] info: default: 1"]


@pytest.mark.parametrize(
    "left",
    [
        "const {port1, port2} = new MessageChannel(); port1.onmessage = () => port1.postMessage(1);"
        " port2.onmessage = () => port2.postMessage(1); port1.postMessage(1)",
        "const {port1, port2} = new MessageChannel(); port1.onmessage = () => { while (true); };"
        " port2.postMessage(1)",
    ],
)
def test_a_process_that_still_runs_is_ended(runtime: Runtime, left: str) -> None:
    with runtime.room() as room:
        room.instance(limits=LIMITS).execute(f"function execute() {{ {left}; }}")
        pids = room.pids
    assert not [pid for pid in pids if pid and is_running(pid)]


def test_timers_of_a_test_never_fire_in_the_next(runtime: Runtime) -> None:
    late = """let more; function execute() {
        setTimeout(() => console.log('late'), 5);
        Promise.resolve().then(async () => {
            for (let i = 0; i < 100; i++) await null;
            setInterval(() => console.log('late'), 1);
        });
    }"""
    with runtime.room() as room:
        room.instance().execute(late)
    runtime.log.clear()
    with runtime.room() as room:
        room.instance().evaluate("await new Promise((resolve) => setTimeout(resolve, 20))")
    assert runtime.log == []


def test_globals_of_a_room_are_those_of_any_runtime(runtime: Runtime) -> None:
    with runtime.room() as room:
        found = room.instance().evaluate("Object.getOwnPropertyNames(globalThis).sort()")
    assert found == GLOBALS.read_text().split()


def test_limits_hold_and_a_killed_process_is_replaced(runtime: Runtime) -> None:
    with runtime.room() as room:
        shop = room.instance(limits=LIMITS)
        assert shop.execute(COUNTER) == 1
        error = shop.execute_fails("function execute() { while (true); }")
        assert (error.code, shop.execute(COUNTER)) == ("JSR002", 1)
        assert shop.execute_fails("async function execute() { await new Promise(() => 0); }").code


def test_a_query_stopped_early_leaves_the_process_usable(runtime: Runtime) -> None:
    text = "function* query() { for (let id = 0; ; id++) yield [{id}]; }"
    with runtime.room() as room:
        pages = room.instance().open(text, "id integer")
        assert next(pages).num_rows == 1
        pages.close()
        pids = room.pids
    assert [pid for pid in pids if pid and is_running(pid)] == list(pids)


def test_closing_a_room_ends_what_runs_in_it(runtime: Runtime) -> None:
    runtime.log.clear()
    with runtime.room() as room:
        shop = room.instance()
        closing = threading.Thread(target=_close_once_it_runs, args=(room, runtime))
        closing.start()
        error = shop.execute_fails("function execute() { console.log('on'); while (true); }")
        closing.join()
        assert (error.code, shop.execute_fails(COUNTER).code) == ("JSR003", "JSR003")


def _close_once_it_runs(room: Room, runtime: Runtime) -> None:
    while not runtime.log:
        threading.Event().wait(0.005)
    room.handlers.close()


def test_an_open_stream_ends_with_its_room(runtime: Runtime) -> None:
    with runtime.room() as room:
        pages = room.instance().open("function* query() { while (true) yield [{id: 1}]; }")
        next(pages)
    with pytest.raises(Exception, match="closed"):
        next(pages)
    pages.close()


def test_closing_the_handlers_closes_their_rooms() -> None:
    with runtime_of() as runtime:
        room = runtime.handlers.for_test(_unused)
    room.close()


def _unused(target: ResolvedConnector) -> Refusing:
    return Refusing("ECONNREFUSED", "nobody there")


class _NoWaits:
    def read(self) -> float:
        return 0.0


class Refusing:
    """A transport that answers nothing."""

    waits = _NoWaits()

    def __init__(self, code: FetchCode, message: str) -> None:
        self._failure = FetchFailure(code, message)

    async def send(
        self, request: HttpRequest, *, before_write: Callable[[], None] | None = None
    ) -> HttpResponse:
        raise self._failure

    async def close(self) -> None:
        return None


@pytest.mark.parametrize(
    ("fetch_code", "code"), [("MOCK_UNMATCHED", "TST002"), ("MOCK_EXHAUSTED", "TST003")]
)
def test_what_no_mock_answers_is_an_error_of_the_test(
    runtime: Runtime, fetch_code: FetchCode, code: str
) -> None:
    message = "GET /item matches no route of MOCK_API"
    text = """async function execute() {
        try { await fetch('http://shop.test/item'); }
        catch (e) {
            console.log(e.name, e instanceof FetchError, e instanceof TypeError);
            throw e;
        }
    }"""
    runtime.log.clear()
    with runtime.room(lambda _: Refusing(fetch_code, message)) as room:
        shop = room.instance()
        error = shop.execute_fails(text)
        assert (error.code, error.message) == (code, message)
    assert runtime.log == [f"[{shop.target.name}] info: MockUnmatchedError false false"]


def test_requests_of_a_room_go_to_its_own_transport(
    runtime: Runtime, http_server: HttpServer
) -> None:
    text = "async function execute(config) { return (await fetch(config.api_url)).status; }"
    with runtime.room() as room:
        assert room.instance({"api_url": http_server.url}).execute(text) in {200, 404}
    with runtime.room(_unused) as room:
        assert room.instance({"api_url": http_server.url}).execute_fails(text).code == "API001"


def test_memory_is_level_over_many_rooms() -> None:
    text = "const kept = Array.from({length: 2000}, (_, i) => ({i}));" + COUNTER

    def run(rooms: int) -> int:
        """Run that many tests and give the megabytes of the process that served the last."""
        pid: int | None = None
        for _ in range(rooms):
            with runtime.room() as room:
                assert Instance(room, shop.target).execute(text) == 1
                (pid,) = room.pids
        with open(f"/proc/{pid}/statm") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) // 256

    with runtime_of() as runtime:
        shop = runtime.instance()
        early = run(150)
        assert run(420) < early + 40
        waiting = runtime.handlers.idle_for_tests
        assert 0 < waiting <= MAX_FREE
