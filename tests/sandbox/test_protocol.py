"""Frames over the socket, and a child that sends what no honest runner sends."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from moltler.sandbox.child import Child
from moltler.sandbox.connection import Connection
from moltler.sandbox.frames import HEADER, MAX_FRAME, SMALL_FRAME, BadFrame, Kind
from sandbox.conftest import Instance
from support.http import HttpServer, Response

pytestmark = pytest.mark.hostile


def frame(kind: int, id_: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(len(payload), kind, id_) + payload


def feed(connection: Connection, data: bytes, step: int) -> None:
    """Let bytes arrive in pieces of at most that size."""
    view = memoryview(data)
    while view:
        room = connection.get_buffer(-1)
        size = min(step, len(room), len(view))
        room[:size] = view[:size]
        connection.buffer_updated(size)
        view = view[size:]


@pytest.mark.parametrize("step", [1, 7, 9, 100, 1 << 16, 1 << 30])
def test_frames_are_cut_wherever_the_bytes_break(step: int) -> None:
    sizes = [0, 1, 9, 4096, 70_000] if step < 100 else [0, 5, SMALL_FRAME, SMALL_FRAME + 1, 1 << 20]
    sent = [(35, number, bytes([number]) * size) for number, size in enumerate(sizes)]
    got: list[tuple[int, int, bytes]] = []
    connection = Connection(
        _nothing,
        lambda kind, id_, payload: got.append((kind, id_, bytes(payload))),
        _unexpected,
        _nothing,
    )
    feed(connection, b"".join(frame(*parts) for parts in sent), step)
    assert got == sent


def test_only_a_frame_beyond_the_cap_is_bad() -> None:
    verdicts: list[BadFrame] = []
    connection = Connection(_nothing, lambda *_: None, verdicts.append, _nothing)
    feed(connection, HEADER.pack(MAX_FRAME, 35, 1), 9)
    assert verdicts == []
    other = Connection(_nothing, lambda *_: None, verdicts.append, _nothing)
    feed(other, HEADER.pack(MAX_FRAME + 1, 35, 1) + bytes(100), 9)
    assert len(verdicts) == 1


def _unexpected(bad: BadFrame) -> None:
    raise bad


def _nothing(*_: object) -> None:
    return None


def with_head(head: bytes) -> bytes:
    return struct.pack("<I", len(head)) + head


@pytest.mark.parametrize(
    "forged",
    [
        frame(99, 1),
        frame(Kind.CALL, 1),
        frame(Kind.READY, 0),
        frame(Kind.CLEAN, 0, b'{"heap_bytes":1}'),
        frame(Kind.COVERAGE, 0, b'{"modules":[]}'),
        frame(Kind.TICK, 0, bytes(8)),
        frame(Kind.LOADED, 2, b'{"typescript":false}'),
        frame(Kind.RESULT, 2, b"1"),
        frame(Kind.PAGE, 77, b""),
        frame(Kind.PAGE, 2, b"") * 2,
        frame(Kind.END, 77, b"{}"),
        frame(Kind.END, 2, b"no json"),
        frame(Kind.ERROR, 2, b'{"kind":"other","name":"","message":""}'),
        frame(Kind.ERROR, 2, b"[" * 100_000),
        frame(Kind.ERROR, 2, b'{"kind":"plain","name":"\xff","message":""}'),
        frame(Kind.FETCH, 9, b"\xff\xff\xff\xff"),
        frame(Kind.FETCH, 9, b""),
        frame(Kind.FETCH, 9, with_head(b'{"call":77,"method":"GET","url":"http://x","headers":[],'
                                       b'"redirect":"follow","body":false}')),
        frame(Kind.FETCH, 1, with_head(b'{"call":2,"method":"GET","url":"http://x","headers":[],'
                                       b'"redirect":"follow","body":false}')),
        frame(Kind.FETCH, 9, with_head(b'{"call":2,"method":"GET","url":"http://x","headers":[],'
                                       b'"redirect":"elsewhere","body":false}')),
        frame(Kind.LOG, 2, b'{"level":1}'),
        HEADER.pack(MAX_FRAME + 1, Kind.PAGE, 2),
    ],
)  # fmt: skip
def test_a_child_that_breaks_the_protocol_is_killed_and_the_next_call_works(
    shop: Instance, http_server: HttpServer, forged: bytes
) -> None:
    http_server.route("GET", "/items", Response(200, [], head_gate=Event()))
    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(
            shop.fails,
            "async function query(c) { return (await fetch(c.api_url + '/items')).json(); }",
        )
        http_server.wait_requests(1)
        child = _child_of(shop)
        shop.runtime.loop.run(_receive(child, forged))
        error = failing.result(10)
    assert error.code == "JSR003"
    assert not child.is_alive
    assert shop.evaluate("1") == 1


def test_a_page_that_is_no_page_kills_the_child(shop: Instance, http_server: HttpServer) -> None:
    http_server.route("GET", "/items", Response(200, [], head_gate=Event()))
    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(
            shop.fails,
            "async function query(c) { return (await fetch(c.api_url + '/items')).json(); }",
        )
        http_server.wait_requests(1)
        child = _child_of(shop)
        shop.runtime.loop.run(_receive(child, frame(Kind.PAGE, 2, bytes(64))))
        assert failing.result(10).code == "JSR003"
    assert not child.is_alive


def _child_of(shop: Instance) -> Child:
    instance = shop.runtime.handlers._pool._instances[shop.target.name]
    assert instance._child is not None
    return instance._child


async def _receive(child: Child, data: bytes) -> None:
    assert child._connection is not None
    feed(child._connection, data, 1 << 30)
