"""Forged pages are refused, never read."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from moltler.sandbox.columns import decode_page
from moltler.sandbox.frames import BadFrame
from moltler.schema import DataType, TypeName

UTF8, INT64, FLOAT64, BITS, LIST = range(5)
NAME = (("name", DataType("string")),)
TAGS = (("tags", DataType("array", DataType("string"))),)


def pad(part: bytes) -> bytes:
    return part + bytes(-len(part) % 8)


def page(
    rows: int,
    kind: int,
    validity: bytes,
    offsets: bytes,
    cells: bytes,
    note: bytes = b"",
    **changes: Any,
) -> bytes:
    """A page of one column."""
    sizes = changes.get("sizes", (len(validity), len(offsets), len(cells)))
    head = struct.pack(
        "<IIII", rows, changes.get("columns", 1), changes.get("note_size", len(note)), 0
    )
    column = struct.pack("<IIII", kind, *sizes)
    return head + column + b"".join(map(pad, (note, validity, offsets, cells)))


def offsets(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}i", *values)


GOOD = page(2, UTF8, b"\3", offsets(0, 1, 3), b"abc")


def test_an_honest_page_is_read_without_a_copy() -> None:
    payload = bytearray(GOOD)
    batch = decode_page(payload, NAME).batch
    assert batch.to_pylist() == [{"name": "a"}, {"name": "bc"}]
    payload[payload.index(b"abc")] = ord("z")
    assert batch.to_pylist()[0] == {"name": "z"}


def test_a_note_tells_of_misfits() -> None:
    note = b'{"count":2,"misfits":[{"row":1,"column":0,"preview":"{}","reason":"not a text"}]}'
    read = decode_page(page(2, UTF8, b"\1", offsets(0, 1, 1), b"a", note), NAME)
    assert (read.note.count, read.note.misfits[0].preview) == (2, "{}")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        GOOD[:15],
        GOOD[:-1],
        GOOD + bytes(8),
        page(2, UTF8, b"", offsets(0, 1, 99), b"abc"),
        page(2, UTF8, b"", offsets(0, 3, 1), b"abc"),
        page(2, UTF8, b"", offsets(-5, 1, 3), b"abc"),
        page(2, UTF8, b"", offsets(0, 1), b"abc"),
        page(2, UTF8, b"", offsets(0, 1, 2), b"\xff\xfe"),
        page(2, UTF8, b"\3\3", offsets(0, 1, 3), b"abc"),
        page(2, UTF8, b"", offsets(0, 1, 3), b"abc", sizes=(0, 12, 2**31)),
        page(2, UTF8, b"", offsets(0, 1, 3), b"abc", columns=2),
        page(2, UTF8, b"", offsets(0, 1, 3), b"abc", note_size=2**32 - 1),
        page(2**32 - 1, UTF8, b"", offsets(0, 1, 3), b"abc"),
        page(50_001, BITS, b"", b"", bytes(6251)),
        page(2, INT64, b"", b"", bytes(16)),
        page(2, 7, b"", offsets(0, 1, 3), b"abc"),
        page(2, UTF8, b"", offsets(0, 1, 3), b"abc", b"not json"),
        page(2, UTF8, b"", offsets(0, 1, 3), b"abc", b'{"count":0}'),
        page(2, UTF8, b"", offsets(0, 1, 3), b"abc", b"[" * 100_000),
        page(2, UTF8, b"", offsets(0, 1, 3), b"abc",
             b'{"count":1,"misfits":[{"row":2,"column":0,"preview":""}]}'),
        page(2, UTF8, b"", offsets(0, 1, 3), b"abc",
             b'{"count":1,"misfits":[{"row":0,"column":-1,"preview":""}]}'),
    ],
)  # fmt: skip
def test_forged_pages_are_refused(payload: bytes) -> None:
    with pytest.raises(BadFrame):
        decode_page(payload, NAME)


@pytest.mark.parametrize(
    ("type_", "kind", "cells"),
    [("integer", INT64, bytes(8)), ("number", FLOAT64, bytes(8)), ("boolean", BITS, bytes(2))],
)
def test_cells_of_another_length_are_refused(type_: TypeName, kind: int, cells: bytes) -> None:
    with pytest.raises(BadFrame):
        decode_page(page(2, kind, b"", b"", cells), (("v", DataType(type_)),))


def test_a_time_may_be_a_number_or_a_text() -> None:
    columns = (("at", DataType("timestamp")),)
    milliseconds = page(1, INT64, b"", b"", struct.pack("<q", 5))
    text = page(1, UTF8, b"", offsets(0, 4), b"2024")
    assert decode_page(milliseconds, columns).batch.to_pylist() == [{"at": 5}]
    assert decode_page(text, columns).batch.to_pylist() == [{"at": "2024"}]


def listed(
    ends: bytes, count: int, items: tuple[int, bytes, bytes, bytes], validity: bytes = b""
) -> bytes:
    """A page of two rows with a column of lists."""
    kind, *parts = items
    head = struct.pack("<IIII", 2, 1, 0, 0)
    heads = struct.pack("<IIII", LIST, len(validity), len(ends), count)
    heads += struct.pack("<IIII", kind, *map(len, parts))
    return head + heads + b"".join(map(pad, (validity, ends, *parts)))


THREE = (UTF8, b"", offsets(0, 1, 2, 3), b"abc")


def test_a_list_is_read_without_a_copy() -> None:
    payload = bytearray(listed(offsets(0, 2, 3), 3, THREE))
    batch = decode_page(payload, TAGS).batch
    assert batch.to_pylist() == [{"tags": ["a", "b"]}, {"tags": ["c"]}]
    payload[payload.index(b"abc")] = ord("z")
    assert batch.to_pylist()[0] == {"tags": ["z", "b"]}
    missing = decode_page(listed(offsets(0, 0, 3), 3, THREE, b"\2"), TAGS).batch
    assert missing.to_pylist() == [{"tags": None}, {"tags": ["a", "b", "c"]}]


@pytest.mark.parametrize(
    "payload",
    [
        GOOD,
        listed(offsets(0, 2, 4), 3, THREE),
        listed(offsets(0, 3, 2), 3, THREE),
        listed(offsets(-1, 2, 3), 3, THREE),
        listed(offsets(0, 3), 3, THREE),
        listed(offsets(0, 2, 3), 2, THREE),
        listed(offsets(0, 2, 3), 2**32 - 1, THREE),
        listed(offsets(0, 2, 3), 3, THREE, b"\3\3"),
        listed(offsets(0, 2, 3), 3, THREE) + bytes(8),
        listed(offsets(0, 2, 3), 3, THREE)[:-8],
        listed(offsets(0, 2, 3), 3, THREE)[:40],
        listed(offsets(0, 2, 3), 3, (UTF8, b"", offsets(0, 1, 2, 9), b"abc")),
        listed(offsets(0, 2, 3), 3, (UTF8, b"", offsets(0, 1, 2, 3), b"\xff\xfe\xfd")),
        listed(offsets(0, 2, 3), 3, (INT64, b"", b"", bytes(24))),
        listed(offsets(0, 2, 3), 3, (LIST, b"", offsets(0, 1, 2, 3), b"")),
    ],
)
def test_forged_lists_are_refused(payload: bytes) -> None:
    with pytest.raises(BadFrame):
        decode_page(payload, TAGS)
