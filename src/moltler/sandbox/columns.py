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
from moltler.schema import DataType, TypeName

Batch: TypeAlias = pa.RecordBatch
"""So that nobody else here needs pyarrow."""
MAX_ROWS = 50_000
MAX_COLUMNS = 2_000
_HEAD = struct.Struct("<IIII")
_UTF8, _INT64, _FLOAT64, _BITS, _LIST = range(5)
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


def decode_page(payload: bytes | bytearray, columns: Sequence[tuple[str, DataType]]) -> PageRows:
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
    lists = sum(type_.scalar_items is not None for _, type_ in columns)
    at = _HEAD.size * (1 + count + lists)
    if at + note_size > len(payload):
        raise BadFrame("a short page")
    note = PageNote()
    if note_size:
        note = decode(memoryview(payload)[at : at + note_size], PageNote)
        _check_note(note, rows, count)
    parts = _Parts(payload, at + _padded(note_size))
    try:
        arrays = [_column(parts, type_, rows) for _, type_ in columns]
        if parts.at != len(payload):
            raise BadFrame("bytes after a page")
        return PageRows(_batch(arrays, [name for name, _ in columns], rows), note)
    except pa.ArrowInvalid as error:
        raise BadFrame(f"a forged page: {error}") from error


class _Parts:
    """The columns' heads and buffers, one after the other.

    Args:
        payload: The page.
        at: Where the first buffer begins.
    """

    def __init__(self, payload: bytes | bytearray, at: int) -> None:
        self.at = at
        self._payload = payload
        self._head = 0
        self._whole = pa.py_buffer(payload)

    def head(self) -> tuple[int, int, int, int]:
        """Give the next column's kind and sizes."""
        self._head += _HEAD.size
        return _HEAD.unpack_from(self._payload, self._head)

    def buffer(self, size: int) -> pa.Buffer | None:
        """Give the next buffer; one without bytes is none.

        Raises:
            BadFrame: The page is too short for it.
        """
        at = self.at
        if at + size > len(self._payload):
            raise BadFrame("a short page")
        self.at += _padded(size)
        return self._whole.slice(at, size) if size else None


def _column(parts: _Parts, type_: DataType, rows: int) -> pa.Array[Any]:
    items = type_.scalar_items
    if items is None:
        return _cells(parts, type_.name, rows)
    kind, validity, offsets, count = parts.head()
    if kind != _LIST or validity not in {0, _bits(rows)} or offsets != 4 * (rows + 1):
        raise BadFrame("a column that is no list")
    buffers = [parts.buffer(validity), parts.buffer(offsets)]
    cells = _cells(parts, items.name, count)
    return pa.Array.from_buffers(pa.list_(cells.type), rows, buffers, children=[cells])


def _cells(parts: _Parts, type_: TypeName, count: int) -> pa.Array[Any]:
    kind, *sizes = parts.head()
    if kind not in _KINDS[type_] or sizes != _sizes(kind, count, sizes):
        raise BadFrame(f"a column that is not of {type_}")
    validity, offsets, cells = (parts.buffer(size) for size in sizes)
    cells = pa.py_buffer(b"") if cells is None else cells
    buffers = [validity, offsets, cells] if kind == _UTF8 else [validity, cells]
    return pa.Array.from_buffers(_ARROW[kind], count, buffers)


def _sizes(kind: int, count: int, sizes: list[int]) -> list[int]:
    """Give the only lengths the buffers may have, taking a text's own from what is given."""
    validity = _bits(count) if sizes[0] else 0
    if kind == _UTF8:
        return [validity, 4 * (count + 1), sizes[2]]
    return [validity, 0, _bits(count) if kind == _BITS else 8 * count]


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


def _bits(count: int) -> int:
    return (count + 7) >> 3


def _padded(size: int) -> int:
    return (size + 7) & ~7
