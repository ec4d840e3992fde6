"""The clock of a test: shifted, or standing still but for timers; and its dice."""

from __future__ import annotations

import time

import pytest

from moltler.flow.connector import CallLimits
from moltler.schema import JsonValue
from sandbox.conftest import Instance, Runtime
from support.http import HttpServer, Response

NOW = 1_700_000_000_000
HOUR = 3_600_000
SLEEP = "await new Promise((resolve) => setTimeout(resolve, %d))"


def shifted(runtime: Runtime, expression: str, ms: float = 0) -> JsonValue:
    """Give the value of an expression in a room whose clock was moved on."""
    with runtime.room() as room:
        room.handlers.advance(ms)
        return room.instance().evaluate(expression)


def standing(runtime: Runtime, expression: str, *, seed: int = 7) -> JsonValue:
    """Give the value of an expression in a room whose clock stands."""
    with runtime.room() as room:
        room.handlers.set_virtual(NOW, seed)
        return room.instance().evaluate(expression)


CLOCKS = [
    "Date.now()",
    "new Date().getTime()",
    "Date.parse(Date())",
    "new (class extends Date {})().getTime()",
    "Reflect.construct(Date, []).getTime()",
    "Temporal.Now.instant().epochMilliseconds",
    "Temporal.Now.zonedDateTimeISO('Europe/Berlin').epochMilliseconds",
    "Temporal.Now.plainDateTimeISO('UTC').toZonedDateTime('UTC').epochMilliseconds",
    "performance.timeOrigin + performance.now()",
]


@pytest.mark.parametrize("clock", CLOCKS)
def test_every_clock_follows_the_test(runtime: Runtime, clock: str) -> None:
    real, moved = shifted(runtime, clock), shifted(runtime, clock, 24 * HOUR)
    assert isinstance(real, (int, float))
    assert isinstance(moved, (int, float))
    assert abs(real - time.time() * 1000) < 60_000
    assert 0 <= moved - real - 24 * HOUR < 60_000
    assert standing(runtime, clock) == NOW


def test_dates_stay_what_they_are(runtime: Runtime) -> None:
    facts = """[
        new Date() instanceof Date, Date() === String(new Date()), Date.name, Date.length,
        new Date().constructor === Date, new Date(5).getTime(), new Date(2000, 1, 2).getDate(),
        Number.isNaN(new Date(undefined).getTime()), Date.UTC(2000, 0), typeof Date.parse,
        Object.prototype.toString.call(new Date()), structuredClone(new Date()) instanceof Date,
        new (class Day extends Date { x() { return 1; } })().x(), 'now' in Date,
        Object.getOwnPropertyDescriptor(globalThis, 'Date').enumerable,
        setTimeout.name, Date.now.name, JSON.stringify(new Date(0)),
    ]"""
    assert standing(runtime, facts) == [
        True, True, "Date", 7, True, 5, 2, True, 946684800000, "function", "[object Date]", True,
        1, True, False, "setTimeout", "now", '"1970-01-01T00:00:00.000Z"',
    ]  # fmt: skip


def test_formatting_without_a_date_formats_the_tests_now(runtime: Runtime) -> None:
    format_ = "new Intl.DateTimeFormat('en-GB', {timeZone: 'UTC', dateStyle: 'short'})"
    assert standing(runtime, f"{format_}.format()") == "14/11/2023"
    assert standing(runtime, f"{format_}.formatToParts()[4].value") == "2023"
    assert standing(runtime, f"{format_}.format(0)") == "01/01/1970"


def test_a_cache_expires_when_the_clock_is_moved(runtime: Runtime) -> None:
    text = """let cached; function execute() {
        if (!cached || Date.now() - cached.at > 60000) cached = {at: Date.now()};
        else return 'hit';
        return 'miss';
    }"""
    with runtime.room() as room:
        shop = room.instance()
        seen = [shop.execute(text), shop.execute(text)]
        room.handlers.advance(59_000)
        seen.append(shop.execute(text))
        room.handlers.advance(2_000)
        assert [*seen, shop.execute(text)] == ["miss", "hit", "hit", "miss"]


def test_the_next_test_has_the_real_clock_and_dice(runtime: Runtime) -> None:
    standing(runtime, "1")
    now = shifted(runtime, "Date.now()")
    assert isinstance(now, int)
    assert abs(now - time.time() * 1000) < 60_000
    assert shifted(runtime, "Math.random()") != shifted(runtime, "Math.random()")


def test_production_has_the_native_clock(plain: Instance) -> None:
    for name in ("Date", "Date.now", "Date.prototype.constructor", "Math.random"):
        text = plain.evaluate(f"Function.prototype.toString.call({name})")
        assert isinstance(text, str)
        assert text.startswith("function " + name.rpartition(".")[2].replace("constructor", "Date"))
        assert text.endswith("{ [native code] }")


def test_pending_timers_fire_in_order_when_the_clock_passes_them(runtime: Runtime) -> None:
    text = """async function* query() {
        const fired = [];
        const note = (name, ms) =>
            new Promise((resolve) => setTimeout(() => resolve(fired.push(name)), ms));
        const all = Promise.all([note('b', 50000), note('a', 40000)]);
        const far = setTimeout(() => fired.push('never'), 70000);
        const again = setInterval(() => fired.push('each'), 20000);
        yield [{name: 'begun'}];
        await all;
        clearInterval(again);
        yield [{name: fired.join()}];
    }"""
    with runtime.room() as room:
        pages = room.instance(limits=CallLimits(timeout_s=5)).open(text, "name string")
        assert next(pages).to_pylist() == [{"name": "begun"}]
        room.handlers.advance(60_000)
        fired = next(pages).to_pylist()[0]["name"]
        pages.close()
    assert fired.replace("each,", "").removesuffix(",each") == "a,b"
    assert "each" in fired


def test_an_hour_passes_at_once_while_the_clock_stands(runtime: Runtime) -> None:
    started = time.monotonic()
    with runtime.room() as room:
        room.handlers.set_virtual(NOW, 1)
        shop = room.instance()
        waited = f"(({SLEEP % HOUR}), [Date.now(), performance.now()])"
        assert shop.evaluate(waited) == [NOW + HOUR, HOUR]
        assert room.handlers.virtual_now_ms == NOW + HOUR
        room.handlers.advance(1000)
        assert (shop.evaluate("Date.now()"), room.handlers.virtual_now_ms) == (
            NOW + HOUR + 1000,
            NOW + HOUR + 1000,
        )
        # A second process learns what the first one's timers did.
        assert room.instance().evaluate("Date.now()") == NOW + HOUR + 1000
    assert time.monotonic() - started < 10


def test_timers_elapse_in_order_while_the_clock_stands(runtime: Runtime) -> None:
    text = """async function execute() {
        const seen = [];
        const note = (name) => () => seen.push(name + (Date.now() - %d));
        setTimeout(note('c'), 3000); setTimeout(note('a'), 1000); setTimeout(note('b'), 1000);
        const stopped = setTimeout(note('x'), 500);
        clearTimeout(stopped);
        const each = setInterval(note('i'), 1500);
        await new Promise((resolve) => setTimeout(resolve, 3500));
        clearInterval(each);
        return seen;
    }"""
    with runtime.room() as room:
        room.handlers.set_virtual(NOW, 1)
        seen = room.instance().execute(text % NOW)
    assert seen == ["a1000", "b1000", "i1500", "c3000", "i3000"]


def test_a_timeout_does_not_elapse_while_a_request_is_under_way(
    runtime: Runtime, http_server: HttpServer
) -> None:
    http_server.route("GET", "/slow", Response(200, "done"))
    text = """async function execute(config) {
        const stop = new AbortController();
        const timer = setTimeout(() => stop.abort(), 5000);
        const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(9000)]);
        const body = await (await fetch(config.api_url + '/slow', {signal})).text();
        clearTimeout(timer);
        return [body, Date.now()];
    }"""
    with runtime.room() as room:
        room.handlers.set_virtual(NOW, 1)
        assert room.instance({"api_url": http_server.url}).execute(text) == ["done", NOW]


def test_signals_time_out_on_the_tests_clock(runtime: Runtime) -> None:
    text = """await new Promise((resolve) => {
        const signal = AbortSignal.timeout(30000);
        signal.onabort = () => resolve([signal.reason.name, Date.now()]);
    })"""
    assert standing(runtime, text) == ["TimeoutError", NOW + 30_000]


def test_without_timers_a_promise_that_nothing_settles_still_fails_at_once(
    runtime: Runtime,
) -> None:
    with runtime.room() as room:
        room.handlers.set_virtual(NOW, 1)
        error = room.instance().execute_fails(
            f"async function execute() {{ {SLEEP % HOUR}; await new Promise(() => 0); }}"
        )
    assert error.code == "JSR007"


def test_timers_without_end_are_stopped_by_the_real_time_limit(runtime: Runtime) -> None:
    text = "async function execute() { setInterval(() => 0, 1000); await new Promise(() => 0); }"
    with runtime.room() as room:
        room.handlers.set_virtual(NOW, 1)
        shop = room.instance(limits=CallLimits(timeout_s=0.3))
        assert shop.execute_fails(text).code == "JSR002"


def test_a_timer_that_throws_is_a_log_line_and_the_others_elapse(runtime: Runtime) -> None:
    runtime.log.clear()
    text = "setTimeout(() => { throw new Error('late') }, 5), await new Promise((resolve) =>"
    assert standing(runtime, f"({text} setTimeout(resolve, 10, 'on')))") == "on"
    assert any("late" in line for line in runtime.log)


def test_while_recording_timers_take_their_time_and_move_the_clock_exactly(
    runtime: Runtime,
) -> None:
    with runtime.room() as room:
        room.handlers.set_virtual(NOW, 1, is_instant=False)
        started = time.monotonic()
        assert room.instance().evaluate(f"({SLEEP % 60}, Date.now())") == NOW + 60
        assert time.monotonic() - started > 0.05


DICE = """[Math.random(), crypto.randomUUID(), ...crypto.getRandomValues(new Uint32Array(2)),
           Math.random()]"""


def test_dice_fall_alike_for_equal_seeds_and_instances(runtime: Runtime) -> None:
    def rolled(seed: int, names: tuple[str, ...] = ()) -> list[JsonValue]:
        with runtime.room() as room:
            room.handlers.set_virtual(NOW, seed)
            return [Instance(room, target).evaluate(DICE) for target in targets]

    targets = [runtime.instance().target, runtime.instance().target]
    first = rolled(3)
    assert (rolled(3), first[0] == first[1], rolled(4)[0] == first[0]) == (first, False, False)
    assert rolled(2**52 + 3) != first


def test_dice_are_fair_enough_and_ids_are_valid(runtime: Runtime) -> None:
    numbers = standing(runtime, "Array.from({length: 2000}, () => Math.random())")
    assert isinstance(numbers, list)
    floats = [number for number in numbers if isinstance(number, float)]
    assert 0 <= min(floats) < 0.01 < 0.99 < max(floats) < 1
    assert 0.45 < sum(floats) / len(floats) < 0.55
    uuid = standing(runtime, "crypto.randomUUID()")
    assert isinstance(uuid, str)
    assert (len(uuid), uuid[14], uuid[19] in "89ab") == (36, "4", True)
    refused = "(() => { try { crypto.getRandomValues([]); } catch (e) { return e.name; } })()"
    assert standing(runtime, refused) in {"TypeError", "TypeMismatchError"}


def test_a_date_that_asks_to_wait_counts_from_the_tests_now(
    runtime: Runtime, http_server: HttpServer
) -> None:
    later = "Tue, 14 Nov 2023 22:13:50 GMT"
    http_server.route("GET", "/busy", Response(429, headers={"Retry-After": later}))
    text = """async function execute(config) {
        await fetch(config.api_url + '/busy');
        throw new ConnectorRateLimitError('busy');
    }"""
    with runtime.room() as room:
        room.handlers.set_virtual(NOW, 1)
        error = room.instance({"api_url": http_server.url}).execute_fails(text)
    assert (error.code, error.retry_after) == ("API003", 30)
