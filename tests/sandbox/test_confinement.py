"""What a handler can reach, and what it can do to others: nothing (RUNTIME §7, §12)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from moltler.flow.connector import CallLimits
from sandbox.conftest import Instance, Runtime, is_running

pytestmark = pytest.mark.hostile

GLOBALS = Path(__file__).parent / "globals.txt"


def test_globals_are_those_of_the_committed_list(plain: Instance) -> None:
    found = plain.evaluate("Object.getOwnPropertyNames(globalThis).sort()")
    assert found == GLOBALS.read_text().split()


@pytest.mark.parametrize(
    "name",
    [
        "Deno",
        "process",
        "Buffer",
        "global",
        "Worker",
        "WebSocket",
        "EventSource",
        "localStorage",
        "caches",
        "indexedDB",
        "SharedArrayBuffer",
        "navigator.gpu",
        "navigator.locks",
        "require",
        "alert",
        "prompt",
        "close",
    ],
)
def test_what_could_reach_out_is_undefined(plain: Instance, name: str) -> None:
    root, _, rest = name.partition(".")
    assert plain.evaluate(f"typeof globalThis.{root}{'?.' if rest else ''}{rest}") == "undefined"


@pytest.mark.parametrize(
    "module",
    ["node:fs", "node:child_process", "node:async_hooks", "node:module", "fs", "npm:left-pad",
     "jsr:@std/path", "https://example.com/x.js", "file:///etc/passwd", "./runner.js", "./pipe.js",
     "data:text/javascript,export const a = 1", "blob:null/1", ""],
)  # fmt: skip
@pytest.mark.parametrize("form", ["import('{}')", "import.defer('{}')", "import/**/('{}')"])
def test_a_handler_that_imports_is_not_loaded(plain: Instance, module: str, form: str) -> None:
    text = f"async function execute() {{ return await {form.format(module)}; }}"
    error = plain.execute_fails(text)
    assert (error.code, error.message) == ("DEF005", "`import` is not available in connectors")


@pytest.mark.parametrize(
    "way",
    [
        "eval('1')",
        "(0, eval)('1')",
        "globalThis['ev' + 'al']('1')",
        "new Function('return 1')()",
        "(() => 0).constructor('return 1')()",
        "(function* () {}).constructor('yield 1')().next()",
        'await (async () => 0).constructor("return await imp" + "ort(\'node:fs\')")()',
        "(async function* () {}).constructor('yield 1')().next()",
        "Reflect.construct(Object.getPrototypeOf(async () => 0).constructor, ['return 1'])()",
    ],
)
def test_no_code_is_made_of_a_text(plain: Instance, way: str) -> None:
    """Such code could import modules, and leave variables that no object shows."""
    error = plain.execute_fails(f"async function execute() {{ return {way}; }}")
    assert (error.code, error.message) == (
        "JSR006",
        "code made of a text (`eval`, `new Function`) is not available in connectors",
    )
    assert plain.evaluate(f"await (async () => {way})().catch((e) => e.name)") == "EvalError"


def test_a_timer_takes_no_text(plain: Instance) -> None:
    assert plain.execute_fails("function execute() { setTimeout('1', 0); }").code == "JSR006"


@pytest.mark.parametrize(
    "bomb",
    [
        "const all = []; while (true) all.push(new Array(1e6).fill(1.5));",
        "const all = []; while (true) all.push(new Uint8Array(5e7).fill(1));",
        "let text = 'x'; const all = []; while (true) { all.push(('y' + text).repeat(1e6)"
        ".split('')); text += 'x'; }",
    ],
)
def test_memory_bombs_end_in_an_error_and_the_next_call_works(runtime: Runtime, bomb: str) -> None:
    shop = runtime.instance(limits=CallLimits(memory_mb=64))
    error = shop.execute_fails(f"function execute() {{ {bomb} }}")
    # Of a buffer that cannot be had the handler is told; of the heap's end nobody is.
    assert (error.code, shop.evaluate("1")) in {("JSR003", 1), ("JSR006", 1)}


@pytest.mark.parametrize(
    "loop",
    [
        "while (true);",
        "/(a+)+$/.test('a'.repeat(40) + 'b');",
        "const again = () => Promise.resolve().then(again); await again();"
        " await new Promise(() => {});",
        "return {toJSON() { while (true); }};",
        "return {then(f) { f(this); }};",
        "Atomics.wait(new Int32Array(new WebAssembly.Memory("
        "{initial: 1, maximum: 1, shared: true}).buffer), 0, 0);",
    ],
)
def test_loops_are_killed_at_the_time_limit(runtime: Runtime, loop: str) -> None:
    shop = runtime.instance(limits=CallLimits(timeout_s=0.3))
    error = shop.execute_fails(f"async function execute() {{ {loop} }}")
    assert (error.code, shop.evaluate("1")) == ("JSR002", 1)


def test_damaged_builtins_damage_only_the_instance_itself(runtime: Runtime) -> None:
    mean = runtime.instance(limits=CallLimits(timeout_s=0.5))
    text = """function execute() {
        JSON.stringify = () => 'forged'; Array.prototype.map = () => [];
        Object.prototype.items = [{id: 666}]; Promise.prototype.then = () => {};
        return 1;
    }"""
    try:
        mean.execute(text)
    except Exception as error:  # noqa: BLE001 - any error of its own is fine
        assert getattr(error, "code", "").startswith("JSR")  # noqa: PT017
    other = runtime.instance()
    assert other.rows("function query() { return [{id: 1}]; }", "id integer") == [{"id": 1}]


def test_late_rejections_and_throws_are_log_lines(runtime: Runtime) -> None:
    shop = runtime.instance()
    runtime.log.clear()
    assert (
        shop.execute("""async function execute() {
        Promise.reject(new Error('nobody looked'));
        setTimeout(() => { throw new Error('late') }, 1);
        await new Promise((resolve) => setTimeout(resolve, 20));
        return 1;
    }""")
        == 1
    )
    assert any("nobody looked" in line for line in runtime.log)
    assert any("late" in line for line in runtime.log)


def test_deep_recursion_is_the_handlers_own_error(plain: Instance) -> None:
    error = plain.execute_fails("function execute() { return execute(); }")
    assert (error.code, error.message) == ("JSR006", "Maximum call stack size exceeded")


HOST = """
import sys
from moltler.flow.connector import ResolvedConnector
from moltler.loop import LoopThread
from moltler.model import Action, Connector, ConnectorType, Handler
from moltler.net.client import HttpTransport
from moltler.net.settings import NetSettings
from moltler.sandbox.handler import JavaScriptHandlers
from moltler.schema import Schema

handlers = JavaScriptHandlers(
    LoopThread(), lambda target: HttpTransport(target, settings=NetSettings()),
    log=lambda line: print(line, flush=True),
)
target = ResolvedConnector(Connector("shop", "shop"), ConnectorType("shop"), 1, {}, (), "1")
text = "function execute() { console.log('looping'); while (true); }"
pids = lambda: [child.pid for child in handlers._spares._all]
handlers.execute(target, Action("a", None, Schema(), Handler("function execute() {}", "f", 1)), {})
print(*pids(), flush=True)
handlers.execute(target, Action("a", None, Schema(), Handler(text, "f", 1)), {})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_children_die_with_a_killed_host_even_while_they_loop() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as host:
        assert host.stdout is not None
        children = [int(pid) for pid in host.stdout.readline().split()]
        assert host.stdout.readline().strip() == "[shop] info: looping"
        assert [pid for pid in children if is_running(pid)] == children != []
        host.send_signal(signal.SIGKILL)
        host.wait()
        gone = [os.pidfd_open(pid) for pid in children if is_running(pid)]
        for pidfd in gone:
            _wait_for_end(pidfd)
    assert not [pid for pid in children if is_running(pid)]


def _wait_for_end(pidfd: int) -> None:
    import select

    try:
        assert select.select([pidfd], [], [], 10)[0]
    finally:
        os.close(pidfd)


def test_closing_leaves_no_process_and_no_descriptor() -> None:
    counting = HOST.partition("handlers = ")[0] + CLOSING
    done = subprocess.run(
        [sys.executable, "-c", counting], capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["0", "0"], "")


CLOSING = """
import os
def count():
    return len(os.listdir("/proc/self/fd"))
def measure():
    loop = LoopThread()
    handlers = JavaScriptHandlers(loop, lambda t: HttpTransport(t, settings=NetSettings()))
    handlers.prewarm()
    text = "function execute() { return 1; }"
    for name in "abc":
        target = ResolvedConnector(Connector(name, "t"), ConnectorType("t"), 1, {}, (), "1")
        handlers.execute(target, Action("a", None, Schema(), Handler(text, "f", 1)), {})
    pids = [child.pid for child in handlers._spares._all]
    assert len(pids) == 3, pids
    handlers.close()
    loop.close()
    return sum(os.path.exists(f"/proc/{pid}") for pid in pids)
measure()
before = count()
print(measure(), count() - before)
"""
