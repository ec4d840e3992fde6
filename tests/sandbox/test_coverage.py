"""Which lines of handlers ran."""

from __future__ import annotations

from moltler.flow.connector import CallLimits
from moltler.model import Handler
from moltler.sandbox.coverage import lines_of
from sandbox.conftest import FILE, LINE, Instance, Runtime

TEXT = """const limit = 10; // 'é€😀'

function unused(value) {
  return value + `
    text ${value}`;
}

async function execute(config, params) {
  /* a comment
     of two lines */
  if (params.big) {
    return 'big';
  } else {
    return '😀'; // 13
  }
}"""
HANDLER = Handler(TEXT, FILE, LINE)


def lines(*numbers: int) -> frozenset[int]:
    return frozenset(LINE + number - 1 for number in numbers)


def test_the_lines_of_both_branches_are_found_over_several_calls(runtime: Runtime) -> None:
    with runtime.room(covers=True) as room:
        shop = room.instance()
        assert shop.execute(TEXT, {}) == "😀"
        first = room.handlers.coverage()[HANDLER]
        assert first.executable == lines(1, 3, 4, 5, 8, 11, 12, 13, 14) - lines(5)
        assert first.executed == lines(1, 8, 11, 13, 14)
        assert shop.execute(TEXT, {"big": True}) == "big"
    assert room.handlers.coverage()[HANDLER].executed == lines(1, 8, 11, 12, 13, 14)


def test_a_process_that_covers_is_reused_and_counts_anew(runtime: Runtime) -> None:
    pids: set[int | None] = set()
    for big in (True, False):
        with runtime.room(covers=True) as room:
            room.instance().execute(TEXT, {"big": big})
            pids |= room.pids
        assert (12 + LINE - 1 in room.handlers.coverage()[HANDLER].executed) == big
    assert len(pids) == 1


def test_without_being_asked_nothing_is_known(runtime: Runtime) -> None:
    with runtime.room() as room:
        room.instance().execute(TEXT, {})
    assert room.handlers.coverage() == {}


def test_of_typescript_and_of_killed_processes_nothing_is_known(runtime: Runtime) -> None:
    with runtime.room(covers=True) as room:
        room.instance().execute("function execute(config: object): number { return 1; }")
        shop = room.instance(limits=CallLimits(timeout_s=0.3))
        shop.execute_fails("function execute() { while (true); }")
    assert room.handlers.coverage() == {}


def test_the_inspector_is_out_of_reach_of_handlers(runtime: Runtime) -> None:
    with runtime.room(covers=True) as room:
        shop: Instance = room.instance()
        for module in ("node:inspector", "node:inspector/promises", "node:process"):
            text = f"async function execute() {{ await import('{module}'); }}"
            assert shop.execute_fails(text).code == "DEF005"
        assert shop.evaluate("typeof Deno + typeof process") == "undefinedundefined"


def test_lines_that_never_ran_are_known_without_a_process() -> None:
    found = lines_of(HANDLER)
    assert (found.executed, found.executable) == (frozenset(), lines(1, 3, 4, 8, 11, 12, 13, 14))
