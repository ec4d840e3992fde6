"""What a handler tries against its own process, its neighbours and the host (RUNTIME §12)."""

from __future__ import annotations

from typing import Any

import pytest

from hostile.conftest import ROWS, SECRET, Arena, attempt, child_of, code_of, outcome
from moltler.flow.connector import CallLimits
from sandbox.conftest import Instance, is_running
from support.http import Response

# ── prototypes: each in a process of its own, which it may ruin ──────────────────────────────

GAMES = {
    "JSON.stringify": "JSON.stringify = () => '{\"forged\": 1}'",
    "JSON.parse": "JSON.parse = () => ({rows: [{id: 666}]})",
    "arrays": "for (const n of ['map', 'push', 'slice', 'filter', 'shift', 'join', 'includes'])"
    " Array.prototype[n] = () => []",
    "iteration": "Array.prototype[Symbol.iterator] = function* () { yield {id: 666} }",
    "promises": "Promise.prototype.then = function (f) { return f?.('forged') }",
    "promises that never settle": "Promise.prototype.then = () => new Promise(() => {})",
    "properties of all objects": "Object.assign(Object.prototype,"
    " {items: [{id: 666}], then: (f) => f([{id: 666}]), toJSON: () => 666, done: true})",
    "descriptors": "Object.prototype.get = () => 666; Object.prototype.value = 666;"
    " Object.prototype.writable = true",
    "maps": "Map.prototype.get = () => ({id: 666}); Map.prototype.has = () => true",
    "weak maps": "WeakMap.prototype.get = () => ({key: '00', hash: 'SHA-1'})",
    "frames read on their way": "const seen = []; const set = Uint8Array.prototype.set;"
    " Uint8Array.prototype.set = function (...a) { seen.push(a[0]); return set.apply(this, a) };"
    " globalThis.seen = seen",
    "frames of another kind": "DataView.prototype.setUint8 = function (at) {"
    " new Uint8Array(this.buffer)[at] = 42 }",
    "frames of another length": "const set = DataView.prototype.setUint32;"
    " DataView.prototype.setUint32 = function (at, n, e) { set.call(this, at, n + 1000, e) }",
    "frames for another call": "const set = DataView.prototype.setUint32;"
    " DataView.prototype.setUint32 = function (at, n, e) { set.call(this, at, at === 5 ? 1 : n, e)"
    " }",
    "text encoders": "TextEncoder.prototype.encode = () => new Uint8Array([123])",
    "text decoders": "TextDecoder.prototype.decode = () => '{}'",
    "regular expressions": "RegExp.prototype.exec = () => null; RegExp.prototype.test = () => true",
    "strings": "String.prototype.replaceAll = String.prototype.split = () => ['forged']",
    "calls of functions": "Function.prototype.call = Function.prototype.apply ="
    " Function.prototype.bind = () => () => 666",
    "stacks": "Error.prepareStackTrace = () => { while (true); };"
    " Error.captureStackTrace = () => {}",
    "errors": "globalThis.Error = class { constructor() { throw 1 } }",
    "numbers": "Number.isSafeInteger = () => true; BigInt.prototype.toJSON = () => 'NaN'",
    "dates": "Date.prototype.toISOString = () => 'x'; Date.parse = () => NaN",
    "requests": "Request = class {}; Object.defineProperty(globalThis, 'Headers', {value: null})",
    "responses": "Response.prototype.json = async () => [{id: 666}];"
    " Object.defineProperty(Response.prototype, 'ok', {value: true})",
    "abort signals": "AbortSignal.prototype.throwIfAborted = () => { throw 666 }",
    "streams": "ReadableStream.prototype.getReader = () => { throw 666 }",
    "proxies": "globalThis.Proxy = null; Reflect.ownKeys = () => []",
    "frozen built-ins": "for (const o of [Object, Array, Promise, Map]) Object.freeze(o.prototype)",
    "events": "EventTarget.prototype.dispatchEvent = () => true; onbeforeunload = () => {};"
    " addEventListener('beforeunload', (e) => e.stopImmediatePropagation())",
    "an event of ours": "dispatchEvent(new Event('beforeunload', {cancelable: true}))",
    "the global object": "for (const n of Object.getOwnPropertyNames(globalThis)) {"
    " try { delete globalThis[n] } catch {} }",
    "the chain of the global object": "try { Object.setPrototypeOf(globalThis, null) } catch {}",
}  # fmt: skip


@pytest.mark.parametrize("game", GAMES)
def test_games_with_built_ins_stay_in_their_process(arena: Arena, game: str) -> None:
    mean = arena.attacker(limits=CallLimits(timeout_s=0.7))
    for body in (f"{GAMES[game]}; return 1", "return [key, typeof Deno]"):
        result = outcome(mean, body)
        assert code_of(result) == "ok" or code_of(result).startswith("JSR")
        assert SECRET not in str(result)
    assert arena.is_fine()


def test_a_handler_that_reads_frames_sees_seals_only(arena: Arena) -> None:
    mean = arena.attacker()
    outcome(mean, GAMES["frames read on their way"])
    seen = outcome(mean, "await fetch(url + '/ok?k=' + key); return seen.map((b) =>"
                         " typeof b === 'object' ? new TextDecoder().decode(b) : '')")  # fmt: skip
    assert SECRET not in str(seen)


# ── after a call is over ─────────────────────────────────────────────────────────────────────

LATE = {
    "a timer": "setTimeout(() => fetch(url + '/late'), 1)",
    "an interval": "setInterval(() => fetch(url + '/late'), 1)",
    "a timer of a timer": "setTimeout(() => setTimeout(() => fetch(url + '/late'), 1), 0)",
    "a microtask": "queueMicrotask(async () => { for (let i = 0; i < 99; i++) await null;"
    " fetch(url + '/late') })",
    "a message": "const c = new MessageChannel(); c.port1.onmessage = () => { c.port1.close();"
    " fetch(url + '/late') }; setTimeout(() => {}, 0); c.port2.postMessage(1)",
    "a promise that settles late": "new Blob(['x'.repeat(1e6)]).arrayBuffer()"
    ".then(() => fetch(url + '/late'))",
    "an aborted request": "fetch(url + '/hangs').catch(() => fetch(url + '/late'))",
    "a finaliser": "new FinalizationRegistry(() => fetch(url + '/late')).register({}, 1)",
    "a late throw": "setTimeout(() => { throw new Error(key) }, 0)",
    "a late rejection": "Promise.reject(new Error(key))",
}


@pytest.mark.parametrize("late", LATE)
def test_what_a_call_leaves_behind_sends_nothing(arena: Arena, late: str) -> None:
    arena.api.route("GET", "/hangs", Response(200, b"half-half", then="close"))
    mean = arena.attacker()
    result = outcome(mean, f"{LATE[late]}; return 'settled'")
    assert result == "settled" or code_of(result) == "JSR007"
    # Calls and answers are in order, so by now anything late would have been sent.
    assert outcome(mean, "await fetch(url + '/ok'); return 2") == 2
    assert [r.path for r in arena.api.requests].count("/late") == 0


# ── results that are traps ───────────────────────────────────────────────────────────────────

TRAPS = {
    "a thenable that throws": ("return {then() { throw new Error('trap') }}", {"JSR001"}),
    "a thenable of itself": ("const a = {then(f) { f({b: 1}) }}; return a", {"ok"}),
    "a promise of a promise": ("return Promise.resolve(Promise.resolve(3))", {"ok"}),
    "a getter that throws": ("return {get a() { throw new Error('trap') }}", {"JSR001"}),
    "a getter that loops": ("return {get a() { for (;;); }}", {"JSR002"}),
    "a getter of getters": ("const g = () => ({get a() { return g() }}); return g()",
                            {"JSR004", "JSR006"}),
    "toJSON that throws": ("return {toJSON() { throw new Error('trap') }}", {"JSR001"}),
    "toJSON of itself": ("return {toJSON() { return this }}", {"ok", "JSR004", "JSR006"}),
    "toJSON deeper and deeper": ("const d = () => ({toJSON: () => ({a: d()})}); return d()",
                                 {"JSR004", "JSR006"}),
    "a proxy that throws": ("return new Proxy({}, {ownKeys() { throw new Error('trap') }})",
                            {"JSR001", "JSR006", "JSR004"}),
    "a proxy that lies": ("return new Proxy({}, {ownKeys: () => ['a', 'a'],"
                          " getOwnPropertyDescriptor: () => ({enumerable: true,"
                          " configurable: true})})",
                          {"ok", "JSR004", "JSR006"}),
    "a revoked proxy": ("const p = Proxy.revocable({}, {}); p.revoke(); return p.proxy",
                        {"JSR004", "JSR006"}),
    "a cycle": ("const a = {}; a.a = a; return a", {"JSR004"}),
    "a million levels": ("let a = 1; for (let i = 0; i < 1e6; i++) a = [a]; return a", {"JSR004"}),
    "a text of 512 MB": ("return 'x'.repeat(2 ** 29 - 24)", {"JSR003", "JSR006", "JSR004"}),
    "a buffer": ("return new Uint8Array(10)", {"ok"}),
    "a function": ("return () => key", {"JSR004"}),
    "a symbol": ("return Symbol(key)", {"JSR004"}),
    "a big integer": ("return 10n ** 5000n", {"JSR004", "ok"}),
    "a number that is none": ("return NaN", {"ok"}),
    "lone surrogates": ("return '\\ud800' + key", {"ok"}),
    "a response": ("return await fetch(url + '/ok')", {"JSR004"}),
    "a class with a hostile name": ("throw new (class extends Error { get name() { throw 1 }"
                                    " get message() { throw 2 } get stack() { throw 3 } })()",
                                    {"JSR001", "JSR006"}),
    "throw null": ("throw null", {"JSR001"}),
    "throw a proxy": ("throw new Proxy(new Error(), {get() { throw 1 }})", {"JSR001"}),
    "throw 64 MB": ("throw new Error('x'.repeat(2 ** 26))", {"JSR001"}),
    "throw an error of errors": ("let e = new Error('x'); for (let i = 0; i < 1e4; i++)"
                                 " e = new AggregateError([e], 'x', {cause: e}); throw e",
                                 {"JSR001"}),
    "never": ("return await new Promise(() => {})", {"JSR007"}),
    "never with a timer": ("setInterval(() => {}, 50); return await new Promise(() => {})",
                           {"JSR002"}),
}  # fmt: skip


HEAVY = {"a text of 512 MB", "throw 64 MB", "a million levels"}


@pytest.mark.parametrize(
    "trap", [pytest.param(t, marks=pytest.mark.heavy) if t in HEAVY else t for t in TRAPS]
)
def test_a_trap_as_a_result_is_an_error_of_its_call(arena: Arena, trap: str) -> None:
    body, codes = TRAPS[trap]
    mean = arena.attacker(limits=CallLimits(timeout_s=0.5 if codes == {"JSR002"} else 20))
    result = outcome(mean, body)
    assert code_of(result) in codes
    assert SECRET not in str(result)
    assert outcome(mean, "return 1") == 1


ROW_TRAPS = {
    "a row with a getter": "return [{get id() { throw new Error('trap') }}]",
    "a row that is a proxy": "return [new Proxy({}, {get() { throw new Error('trap') }})]",
    "a row that changes": "let n = 0; return [{get id() { return n++ % 2 ? 'x' : 1 }, name: 'a'}]",
    "__proto__ of JSON": 'return JSON.parse(\'[{"id": 1, "__proto__": {"name": "forged"}}]\')',
    "an iterator that never ends": "return {[Symbol.iterator]: () => ({next: () =>"
    " ({done: false, value: []})})}",
    "an iterator without next": "return {[Symbol.iterator]: () => ({})}",
    "an iterator that throws": "return {[Symbol.iterator]() { throw new Error('trap') }}",
    "a generator of itself": "const g = (async function* () { yield* g })(); return g",
    "items of a length": "return {items: {length: 1e9}}",
    "four thousand million rows": "return new Array(2 ** 32 - 1)",
    "a sparse array": "const a = []; a[2 ** 32 - 2] = {id: 1}; return a",
    "rows of rows": "return [[{id: 1}]]",
    "a row of 3,000 fields": "return [Object.fromEntries(Array.from({length: 3000},"
    " (_, i) => ['f' + i, i]))]",
    "a cell of 100 MB": "return [{id: 1, name: 'x'.repeat(1e8)}]",
    "a time that is none": "return [{id: new Date(NaN), name: new Date(8.64e15)}]",
    "a return that loops": "return {[Symbol.asyncIterator]: () => ({next: async () =>"
    " ({done: false, value: {id: 1}}), return() { for (;;); }})}",
}


@pytest.mark.parametrize("trap", ROW_TRAPS)
def test_a_trap_as_a_row_is_an_error_of_its_query(arena: Arena, trap: str) -> None:
    mean = arena.attacker(limits=CallLimits(timeout_s=2.0, max_pages=3))
    text = f"async function query(config) {{ const key = config.api_key; {ROW_TRAPS[trap]} }}"
    rows = attempt(lambda: mean.rows(text))
    assert code_of(rows) == "ok" or code_of(rows).startswith("JSR")
    assert "forged" not in str(rows)
    assert mean.rows("function query() { return [{id: 1, name: 'untouched'}]; }") == ROWS


# ── what an API sends ────────────────────────────────────────────────────────────────────────

BOMBS = {
    "a million brackets": (b"[" * 1_000_000, "json", {"JSR006", "API007", "JSR003"}),
    "a million objects": (b'{"a":' * 1_000_000, "json", {"JSR006", "API007", "JSR003"}),
    "a number of a million digits": (b"1" * 1_000_000, "json", {"ok", "JSR004", "JSR006"}),
    "an exponent": (b"1e999999999", "json", {"ok"}),
    "the same key a million times": (b"{" + b'"a":1,' * 500_000 + b'"a":1}', "json", {"ok"}),
    "__proto__": (b'{"__proto__": {"isAdmin": true}, "a": 1}', "json", {"ok"}),
    "constructor": (b'{"constructor": {"prototype": {"x": 1}}}', "json", {"ok"}),
    "no UTF-8": (b'{"a": "\xff\xfe\x80"}', "json", {"ok"}),
    "NUL": (b'{"a": "\\u0000"}', "json", {"ok"}),
    "HTML": (b"<html>" * 1000, "json", {"API007"}),
    "nothing": (b"", "json", {"API007"}),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_of_an_api_is_an_error_of_its_call(arena: Arena, bomb: str) -> None:
    body, method, codes = BOMBS[bomb]
    arena.api.route("GET", "/bomb", Response(200, body, {"Content-Type": "application/json"}))
    mean = arena.attacker(limits=CallLimits(timeout_s=5.0))
    result = outcome(mean, f"return await (await fetch(url + '/bomb')).{method}()")
    assert code_of(result) in codes
    assert outcome(mean, "return [({}).isAdmin, 1]") == [None, 1]


def test_headers_of_an_api_cannot_harm(arena: Arena) -> None:
    headers = {"X-Long": "y" * 60_000, "X-Odd": "\xff\xfe", "__proto__": "x", "Link": "<a>" * 999}
    arena.api.route("GET", "/headed", Response(200, {}, headers))
    result = outcome(arena.attacker(), "return [...(await fetch(url + '/headed')).headers].length")
    assert result >= 4


def test_codings_on_top_of_each_other_are_refused(arena: Arena) -> None:
    for coding in (", ".join(["gzip"] * 2_000), "compress", "gzip, xz"):
        arena.api.route("GET", "/coded", Response(200, b"x" * 99, {"Content-Encoding": coding}))
        result = outcome(
            arena.attacker(),
            "return await (await fetch(url + '/coded')).text().catch((e) => [e.name, e.code])",
        )
        assert result == ["FetchError", "ECONNRESET"]


# ── processor, memory, descriptors ───────────────────────────────────────────────────────────

LOOPS = {
    "a loop": "for (;;);",
    "a regular expression": "/(a+)+$/.test('a'.repeat(60) + 'b')",
    "microtasks": "const again = () => Promise.resolve().then(again); again();"
    " await new Promise(() => {})",
    "timers": "for (;;) { setTimeout(() => {}, 0); await null }",
    "a sort": "const a = Array.from({length: 1e7}, (_, i) => -i); for (;;) a.sort()",
    "a wait": "Atomics.wait(new Int32Array(new WebAssembly.Memory("
    "{initial: 1, maximum: 1, shared: true}).buffer), 0, 0)",
    "a module of wasm": "new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(["
    "0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,108,0,0,10,9,1,7,0,3,64,12,0,11,11])))"
    ".exports.l()",
    "big integers": "let n = 3n; for (;;) n = n * n % (1n << 60000n)",
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_is_ended_and_holds_up_nobody(arena: Arena, loop: str) -> None:
    mean = arena.attacker(limits=CallLimits(timeout_s=0.5))
    running = arena.start(mean, LOOPS[loop])
    assert arena.is_fine()  # meanwhile
    assert code_of(running.result(30)) == "JSR002"
    assert outcome(mean, "return 1") == 1


BOMBS_OF_MEMORY = {
    "arrays": "const a = []; for (;;) a.push(new Array(1e6).fill(1.5))",
    "one array": "new Array(2 ** 32 - 1).fill(0)",
    "texts": "const a = []; for (let i = 0;; i++) a.push(('y' + i).repeat(1e6).split(''))",
    "buffers": "const a = []; for (;;) a.push(new Uint8Array(5e7).fill(1))",
    "wasm": "const a = []; for (;;) { const m = new WebAssembly.Memory({initial: 1000});"
    " new Uint8Array(m.buffer).fill(1); a.push(m) }",
    "shared wasm": "const a = []; for (;;) { const m = new WebAssembly.Memory({initial: 1000,"
    " maximum: 1000, shared: true}); new Uint8Array(m.buffer).fill(1); a.push(m) }",
    "blobs": "const a = []; const b = new Uint8Array(5e7); for (;;) a.push(new Blob([b.fill(1)]))",
    "clones": "const a = [new Uint8Array(5e7)]; for (;;) a.push(structuredClone(a[0].fill(1)))",
    "closures": "let f = () => 1; for (;;) { const g = f; const h = new Array(1e4).fill(1);"
    " f = () => g() + h.length }",
    "promises": "const a = []; for (;;) a.push(new Promise(() => {}), new AbortController())",
}


@pytest.mark.parametrize(
    "bomb",
    [b if b == "arrays" else pytest.param(b, marks=pytest.mark.heavy)
     for b in BOMBS_OF_MEMORY],
)  # fmt: skip
def test_a_bomb_of_memory_ends_its_own_process(arena: Arena, bomb: str) -> None:
    mean = arena.attacker(limits=CallLimits(timeout_s=20, memory_mb=64))
    running = arena.start(mean, BOMBS_OF_MEMORY[bomb])
    assert arena.is_fine()  # meanwhile
    # Of a buffer that cannot be had the handler is told; of the heap's end nobody is.
    assert code_of(running.result(60)) in {"JSR003", "JSR006"}
    assert outcome(mean, "return 1") == 1


def test_a_process_that_was_ended_is_gone(arena: Arena) -> None:
    mean = arena.attacker(limits=CallLimits(timeout_s=0.3))
    assert code_of(outcome(mean, "for (;;);")) == "JSR002"
    pid = child_of(mean).pid
    assert pid is not None
    mean.runtime.loop.run(child_of(mean).gone())
    assert not is_running(pid)


# ── floods ───────────────────────────────────────────────────────────────────────────────────


def test_a_flood_of_log_lines_is_cut(arena: Arena) -> None:
    mean = arena.attacker()
    assert outcome(mean, "const t = 'x'.repeat(1e6); for (let i = 0; i < 800; i++) console.log(t);"
                         " return 1") == 1  # fmt: skip
    assert sum(map(len, arena.runtime.log)) < 3 << 20
    assert any("left out" in line for line in arena.runtime.log)


def test_a_flood_of_requests_waits_its_turn(arena: Arena) -> None:
    mean = arena.attacker(limits=CallLimits(timeout_s=30))
    running = arena.start(
        mean,
        "const body = 'x'.repeat(1e5); return (await Promise.all(Array.from({length: 400}, () =>"
        " fetch(url + '/ok', {method: 'POST', body})))).length",
    )
    assert arena.is_fine()  # meanwhile
    assert running.result(60) == 400


def test_a_flood_of_refused_requests_holds_up_nobody(arena: Arena) -> None:
    mean = arena.attacker(limits=CallLimits(timeout_s=1.5))
    running = arena.start(
        mean, "for (;;) await Promise.all(Array.from({length: 32}, () =>"
              " fetch('http://198.51.100.7/').catch(() => {})))",
    )  # fmt: skip
    served = 0
    while not running.done():
        assert arena.is_fine()
        served += 1
    assert code_of(running.result()) == "JSR002"
    assert served >= 3


def test_a_flood_of_aborted_requests_holds_up_nobody(arena: Arena) -> None:
    mean = arena.attacker(limits=CallLimits(timeout_s=1.5))
    running = arena.start(
        mean, "for (;;) { const c = new AbortController(); const f = fetch(url + '/ok',"
              " {signal: c.signal}).catch(() => {}); await null; await null; c.abort(); await f }",
    )  # fmt: skip
    served = 0
    while not running.done():
        assert arena.is_fine()
        served += 1
    assert code_of(running.result()) == "JSR002"
    assert served >= 3


OVERSIZE = {
    "an address": "fetch(url + '/' + 'a'.repeat(1e6))",
    "an address beyond all measure": "fetch(url + '/' + 'a'.repeat(6e7))",
    "a header": "fetch(url, {headers: {A: 'a'.repeat(6e5)}})",
    "many headers": "fetch(url, {headers: Array.from({length: 2000}, (_, i) => ['h' + i, 'x'])})",
    "a body": "fetch(url, {method: 'POST', body: 'x'.repeat(17e6)})",
    "a body beyond all measure": "fetch(url, {method: 'POST', body: new Uint8Array(8e7)})",
    "a body that is streamed": "fetch(url, {method: 'POST', duplex: 'half', body:"
    " new ReadableStream({pull(c) { c.enqueue(new Uint8Array(1e6));"
    " if (++globalThis.n > 40) c.close() }})})",
}


@pytest.mark.parametrize(
    "size", [pytest.param(s, marks=pytest.mark.heavy) if "measure" in s else s for s in OVERSIZE]
)
def test_a_request_that_is_too_large_is_the_handlers_error(arena: Arena, size: str) -> None:
    mean = arena.attacker()
    result = outcome(mean, f"globalThis.n = 0; return await {OVERSIZE[size]}"
                           ".then((r) => r.status, (e) => [e.name, e.code])")  # fmt: skip
    assert result == ["FetchError", "TOO_LARGE"]
    assert outcome(mean, "return 1") == 1


@pytest.mark.heavy
def test_answers_that_are_too_large_are_the_handlers_error(arena: Arena) -> None:
    from support.http import big_body, big_headers

    arena.api.route("GET", "/large", big_body(60_000_000, chunked=True))
    arena.api.route("GET", "/heads", big_headers(3_000_000))
    mean = arena.attacker()
    for path in ("/large", "/heads"):
        result = outcome(
            mean,
            f"return await fetch(url + '{path}').then((r) => r.arrayBuffer())"
            ".then((b) => b.byteLength, (e) => [e.name, e.code])",
        )
        assert result[0] == "FetchError"
        assert result[1] in {"TOO_LARGE", "ECONNRESET"}


def test_arguments_that_are_too_large_are_refused_before_they_are_sent(arena: Arena) -> None:
    error = arena.neighbour.execute_fails(
        "function execute() {}", parameters={"text": "x" * (5 << 20)}
    )
    assert error.code == "PLN005"


def test_instances_have_nothing_in_common(arena: Arena) -> None:
    one, two = arena.attacker(), arena.attacker()
    assert outcome(one, "globalThis.mark = key; performance.mark(key); return 1") == 1
    seen: Any = outcome(two, "return [globalThis.mark, performance.getEntries().length, key]")
    assert seen[:2] == [None, 0]
    assert seen[2] != outcome(one, "return key")


def test_a_neighbour_is_an_instance_of_its_own(arena: Arena) -> None:
    assert isinstance(arena.neighbour, Instance)
    assert child_of(arena.neighbour).is_alive
