"""A process that lies: every frame is judged, and the host lives (RUNTIME §3, §12)."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from hostile.conftest import SECRET, Arena, child_of, code_of, everything, outcome, shown
from moltler.errors import MoltlerError
from moltler.loop import LoopThread
from moltler.sandbox.program import Times
from sandbox.conftest import Instance
from support.http import Response, big_body

QUERY = "async function query() {}"
BROKEN = "the connector's process was ended because it broke the protocol"

VALUES = {
    "unknown_kind": BROKEN,
    "kind_of_the_host": BROKEN,
    "ready_again": BROKEN,
    "walls_again": BROKEN,
    "result_of_nobody": BROKEN,
    "page_for_a_value": BROKEN,
    "end_of_a_value": BROKEN,
    "loaded_again": BROKEN,
    "tick_unasked": BROKEN,
    "clean_unasked": BROKEN,
    "coverage_unasked": BROKEN,
    "frame_beyond_the_cap": BROKEN,
    "log_of_60_mb": BROKEN,
    "log_line_of_200_kb": BROKEN,
    "error_of_2_mb": BROKEN,
    "pong_with_a_payload": BROKEN,
    "error_of_another_kind": BROKEN,
    "error_without_json": BROKEN,
    "error_nested_deeply": BROKEN,
    "error_in_bad_utf8": BROKEN,
    "log_with_a_number": BROKEN,
    "fetch_of_nobody": BROKEN,
    "fetch_id_twice": BROKEN,
    "fetch_id_backwards": BROKEN,
    "fetch_short": BROKEN,
    "fetch_redirect_elsewhere": BROKEN,
    "fetch_address_of_200_kb": BROKEN,
    "fetch_5000_headers": BROKEN,
    "fetch_head_of_2_mb": BROKEN,
    "fetch_100_at_once": BROKEN,
    "sign_of_nobody": BROKEN,
    "sign_without_hex": BROKEN,
    "sign_with_a_key_of_1_mb": BROKEN,
    "sign_two_at_once": BROKEN,
    "sign_by_md5": BROKEN,
    "exit_0": "the connector's process died with status 0",
    "exit_77": "the connector's process died with status 77",
    "segfault": "the handler needed more than",
    "abort": "the handler needed more than",
    "close_and_live_on": "the connector's process died of signal SIGKILL",
    "ready_without_walls": BROKEN,
    "no_json_for_walls": BROKEN,
}


@pytest.mark.parametrize("lie", VALUES)
def test_a_process_that_lies_is_ended_and_only_its_call_fails(arena: Arena, lie: str) -> None:
    liar = arena.liar(lie)
    error = outcome(liar, "")
    assert code_of(error) == "JSR003"
    assert error.message.startswith(VALUES[lie])
    child = child_of(liar)
    assert not child.is_alive
    liar.runtime.loop.run(child.gone())
    assert not Path(f"/proc/{child.pid}").exists()


@pytest.mark.parametrize(
    "lie",
    ["page_beyond_credit", "page_of_nobody", "page_empty", "page_of_zeros", "page_short",
     "page_with_more", "page_offsets_past_the_end", "page_offsets_decreasing",
     "page_offsets_negative", "page_bad_utf8", "page_of_2_to_the_31_rows", "page_one_column",
     "page_other_kinds", "page_unknown_kind"],
)  # fmt: skip
def test_a_forged_page_is_never_read(arena: Arena, lie: str) -> None:
    liar = arena.liar(lie)
    error = liar.fails(QUERY)
    assert (error.code, error.message) == ("JSR003", BROKEN)
    assert not child_of(liar).is_alive


@pytest.mark.parametrize(
    "lie",
    ["result_without_json", "result_nested_deeply", "result_nan", "result_with_a_million_digits",
     "result_in_bad_utf8"],
)  # fmt: skip
def test_a_result_that_cannot_be_read_is_an_error_of_its_call(arena: Arena, lie: str) -> None:
    liar = arena.liar(lie)
    assert code_of(outcome(liar, "")) == "JSR004"
    assert child_of(liar).is_alive


def test_what_comes_after_a_result_ends_the_process_and_changes_nothing(arena: Arena) -> None:
    liar = arena.liar("result_twice")
    assert outcome(liar, "") in {1} or code_of(outcome(liar, "")) == "JSR003"
    liar.runtime.loop.run(child_of(liar).gone())


@pytest.mark.parametrize("lie", ["silence", "deaf", "stop", "half_a_frame"])
def test_silence_ends_at_the_time_limit(arena: Arena, lie: str) -> None:
    liar = arena.liar(lie, timeout_s=0.5)
    running = arena.start(liar, "")
    assert arena.is_fine()  # meanwhile
    assert code_of(running.result(20)) == "JSR002"
    liar.runtime.loop.run(child_of(liar).gone())


def test_a_process_that_never_starts_is_given_up() -> None:
    from hostile.conftest import FAKE
    from moltler.sandbox.child import Child

    def program(memory_mb: int, covers: bool) -> list[str]:
        import sys

        return [sys.executable, "-I", str(FAKE), "never_ready"]

    loop = LoopThread()
    child = Child(64, Times(start_s=0.3), program=program)
    loop.run(child.start())
    assert child.death is not None
    assert child.death.detail == "not ready after 0.3 seconds"
    loop.run(child.gone())
    loop.close()
    assert not Path(f"/proc/{child.pid}").exists()


def test_log_lines_beyond_the_cap_are_dropped_and_keep_nobody_waiting(arena: Arena) -> None:
    liar = arena.liar("log_flood", timeout_s=30)
    running = arena.start(liar, "")
    served = 0
    while not running.done():
        assert arena.is_fine()
        served += 1
    assert running.result() == "flooded"
    assert served > 0
    assert sum(map(len, liar.runtime.log)) < 3 << 20


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_process_that_reads_nothing_gets_no_more_than_it_can_hold(arena: Arena) -> None:
    arena.api.route("GET", "/large", big_body(40_000_000))
    liar = arena.liar("pull_flood", timeout_s=3)
    before = memory()
    running = arena.start(liar, "")
    most = before
    while not running.done():
        assert arena.is_fine()
        most = max(most, memory())
    assert code_of(running.result()) == "JSR002"
    assert most - before < 300 << 20  # of 1,280 MB that were asked for


def test_bodies_of_requests_wait_in_the_process_that_sends_them(arena: Arena) -> None:
    gate = threading.Event()
    arena.api.route("POST", "/slow", Response(200, {}, head_gate=gate))
    liar = arena.liar("request_bodies", timeout_s=3)
    before = memory()
    running = arena.start(liar, "")
    most = before
    while not running.done():
        assert arena.is_fine()
        most = max(most, memory())
    gate.set()
    assert code_of(running.result()) == "JSR002"
    assert most - before < 600 << 20  # of 960 MB that were sent, each copied on its way


def test_requests_that_no_handler_can_write_get_no_secret_out(arena: Arena) -> None:
    sent = len(arena.api.requests)
    liar = arena.liar("steal")
    answers: Any = outcome(liar, "")
    codes = [head.get("error", {}).get("code") for head, _ in answers["answers"]]
    assert codes == ["EGRESS_BLOCKED"] * len(codes)
    assert SECRET not in str(answers)
    assert len(arena.api.requests) == sent


def test_framing_that_a_process_writes_does_not_reach_the_wire(arena: Arena) -> None:
    arena.api.route("POST", "/smuggled", {})
    sent = len(arena.api.requests)
    outcome(arena.liar("smuggle"), "")
    (request,) = arena.api.requests[sent:]
    assert request.body == b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"
    assert request.headers["host"] == f"127.0.0.1:{arena.api.port}"
    assert request.headers["content-length"] == "27"
    assert {"transfer-encoding", "expect", "upgrade", "te"}.isdisjoint(request.headers)
    assert SECRET not in everything(arena.api)


def test_what_a_lie_is_told_with_shows_no_secret(arena: Arena) -> None:
    for lie in ("error_without_json", "result_without_json", "unknown_kind"):
        error = outcome(arena.liar(lie), "")
        assert isinstance(error, MoltlerError)
        assert SECRET not in shown(error)


def test_a_lie_hits_no_other_call_of_another_instance(arena: Arena) -> None:
    gate = threading.Event()
    arena.api.route("GET", "/slow", Response(200, {"late": 1}, head_gate=gate))
    honest = arena.attacker()
    waiting = arena.start(honest, "return (await fetch(url + '/slow')).json()")
    arena.api.wait_requests(len(arena.api.requests))
    for lie in ("unknown_kind", "segfault", "frame_beyond_the_cap"):
        assert code_of(outcome(arena.liar(lie), "")) == "JSR003"
    gate.set()
    assert waiting.result(20) == {"late": 1}


def test_instances_are_what_they_are_told_to_be(arena: Arena) -> None:
    assert isinstance(arena.neighbour, Instance)
    assert outcome(arena.attacker(), "return 1") == 1
