"""Pages of a child to validated Arrow record batches in wire types.

The bytes of a page become the buffers of its arrays; nothing is copied. The layout is described
in ``js/encode.js``. Everything is checked, because forged offsets would be reads of foreign memory.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import pyarrow as pa

from moltler.sandbox.frames import BadFrame, PageNote, decode
from moltler.schema import TypeName

Batch: TypeAlias = pa.RecordBatch
"""So that nobody else here needs pyarrow."""
MAX_ROWS = 50_000
MAX_COLUMNS = 2_000
_HEAD = struct.Struct("<IIII")
_UTF8, _INT64, _FLOAT64, _BITS = range(4)
_ARROW: Mapping[int, pa.DataType] = {
    _UTF8: pa.string(),
    _INT64: pa.int64(),
    _FLOAT64: pa.float64(),
    _BITS: pa.bool_(),
}
_KINDS: Mapping[TypeName, frozenset[int]] = {
    "string": frozenset({_UTF8}),
    "integer": frozenset({_INT64}),
    "number": frozenset({_FLOAT64}),
    "boolean": frozenset({_BITS}),
    "timestamp": frozenset({_INT64, _UTF8}),
    "date": frozenset({_INT64, _UTF8}),
    "array": frozenset({_UTF8}),
    "document": frozenset({_UTF8}),
    "any": frozenset({_UTF8}),
}


@dataclass(frozen=True, slots=True)
class PageRows:
    """A page that was read."""

    batch: pa.RecordBatch
    note: PageNote


def decode_page(payload: bytes | bytearray, columns: Sequence[tuple[str, TypeName]]) -> PageRows:
    """Read a page.

    Args:
        payload: The page's bytes; the arrays keep them alive.
        columns: Name and declared type of each column, in the order of the request.

    Raises:
        BadFrame: It is not what an honest runner sends.
    """
    if len(payload) < _HEAD.size:
        raise BadFrame("a page without a head")
    rows, count, note_size, _ = _HEAD.unpack_from(payload)
    if rows > MAX_ROWS or count != len(columns) or count > MAX_COLUMNS:
        raise BadFrame(f"a page of {rows} rows and {count} columns")
    at = _HEAD.size * (count + 1)
    if at + note_size > len(payload):
        raise BadFrame("a short page")
    note = PageNote()
    if note_size:
        note = decode(memoryview(payload)[at : at + note_size], PageNote)
        _check_note(note, rows, count)
    at += _padded(note_size)
    whole = pa.py_buffer(payload)
    parts: list[tuple[int, list[pa.Buffer | None]]] = []
    for index, (_, type_) in enumerate(columns):
        kind, *sizes = _HEAD.unpack_from(payload, _HEAD.size * (index + 1))
        if kind not in _KINDS[type_] or sizes != _sizes(kind, rows, sizes):
            raise BadFrame(f"column {index} is not a {type_}")
        buffers: list[pa.Buffer | None] = []
        for size in sizes:
            if at + size > len(payload):
                raise BadFrame("a short page")
            buffers.append(whole.slice(at, size) if size else None)
            at += _padded(size)
        parts.append((kind, buffers))
    if at != len(payload):
        raise BadFrame("bytes after a page")
    try:
        arrays = [_array(kind, rows, buffers) for kind, buffers in parts]
        return PageRows(_batch(arrays, [name for name, _ in columns], rows), note)
    except pa.ArrowInvalid as error:
        raise BadFrame(f"a forged page: {error}") from error


def _sizes(kind: int, rows: int, sizes: list[int]) -> list[int]:
    """Give the only lengths the buffers may have, taking a text's own from what is given."""
    bits = (rows + 7) >> 3
    validity = bits if sizes[0] else 0
    if kind == _UTF8:
        return [validity, 4 * (rows + 1), sizes[2]]
    return [validity, 0, bits if kind == _BITS else 8 * rows]


def _array(kind: int, rows: int, buffers: list[pa.Buffer | None]) -> pa.Array[Any]:
    validity, offsets, cells = buffers
    cells = pa.py_buffer(b"") if cells is None else cells
    parts = [validity, offsets, cells] if kind == _UTF8 else [validity, cells]
    return pa.Array.from_buffers(_ARROW[kind], rows, parts)


def _batch(arrays: list[pa.Array[Any]], names: list[str], rows: int) -> pa.RecordBatch:
    if not arrays:
        # Rows of which nothing is asked still count.
        empty = cast("pa.StructArray", pa.array([{}] * rows, pa.struct([])))
        return pa.RecordBatch.from_struct_array(empty)
    batch = pa.RecordBatch.from_arrays(arrays, names)
    batch.validate(full=True)
    return batch


def _check_note(note: PageNote, rows: int, columns: int) -> None:
    if note.count < len(note.misfits) or not note.misfits:
        raise BadFrame("misfits that do not add up")
    for misfit in note.misfits:
        if not (0 <= misfit.row < rows and 0 <= misfit.column < columns):
            raise BadFrame("a misfit outside the page")


def _padded(size: int) -> int:
    return (size + 7) & ~7
