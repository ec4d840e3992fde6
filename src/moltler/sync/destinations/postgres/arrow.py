"""Arrow batches as the CSV that COPY reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from moltler.sync.layout import Storage, arrow_of

_PIECE_BYTES = 1 << 20
_PLAIN_BELOW = 1e21
_ESCAPED = r'["\\\x00-\x1f]'
_OPTIONS = pa_csv.WriteOptions(include_header=False)


def as_csv(batch: pa.RecordBatch) -> Iterator[memoryview]:
    """Give a batch as CSV, in pieces; texts are quoted, so only NULL is an empty cell."""
    if not batch.num_rows:
        return
    columns = [_plain(column) for column in batch.columns]
    plain = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
    sink = pa.BufferOutputStream()
    pa_csv.write_csv(plain, sink, _OPTIONS)
    whole = memoryview(sink.getvalue())
    for start in range(0, len(whole), _PIECE_BYTES):
        yield whole[start : start + _PIECE_BYTES]


def as_batch(rows: Sequence[tuple[Any, ...]], columns: Mapping[str, Storage]) -> pa.RecordBatch:
    """Give rows as psycopg reads them as a batch; what is kept as JSON comes as its text."""
    cells: Sequence[tuple[Any, ...]] = list(zip(*rows, strict=True))
    arrays = [_column(c, s) for c, s in zip(cells, columns.values(), strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _column(cells: Sequence[Any], storage: Storage) -> pa.Array[Any]:
    wanted = arrow_of(storage)
    if not pa.types.is_list(wanted):
        return pa.array(cells, wanted)
    read = _ITEMS.get(storage)
    lists = [None if cell is None else json.loads(cell) for cell in cells]
    if read is not None:
        lists = [
            None if cell is None else [None if v is None else read(v) for v in cell]
            for cell in lists
        ]
    return pa.array(lists, wanted)


_ITEMS: Mapping[str, Callable[[Any], object]] = {
    "timestamps": datetime.fromisoformat,
    "dates": date.fromisoformat,
    "numbers": float,
}


def _plain(column: pa.Array[Any]) -> pa.Array[Any]:
    if not pa.types.is_list(column.type):
        return column
    if (
        pa.types.is_string(column.type.value_type)
        and (texts := _lists_of_texts(column)) is not None
    ):
        return texts
    cells = column.to_pylist()
    if pa.types.is_floating(column.type.value_type):
        cells = [None if cell is None else [_shortest(n) for n in cell] for cell in cells]
    texts = [None if cell is None else _json(cell) for cell in cells]
    return pa.array(texts, pa.string())


def _lists_of_texts(column: pa.Array[Any]) -> pa.Array[Any] | None:
    """Write arrays of plain texts as JSON, a whole column at once; ``None`` for any others."""
    lists: pa.ListArray[Any] = column  # type: ignore[assignment] # the caller has looked
    items = lists.flatten()
    if items.null_count or pc.any(pc.match_substring_regex(items, _ESCAPED)).as_py():
        return None
    joined: Any = pc.binary_join(column, pa.scalar('","'))
    parts: tuple[Any, ...] = (pa.scalar('["'), joined, pa.scalar('"]'), pa.scalar(""))
    written = pc.binary_join_element_wise(*parts)
    is_empty = pc.equal(pc.list_value_length(column), pa.scalar(0, pa.int32()))
    return pc.if_else(is_empty, pa.scalar("[]"), written)


def _json(cell: object) -> str:
    return json.dumps(cell, ensure_ascii=False, separators=(",", ":"), default=_moment)


def _shortest(number: float | None) -> float | int | None:
    """Give whole numbers as such: JavaScript writes them without a point."""
    if number is None or not number.is_integer() or abs(number) >= _PLAIN_BELOW:
        return number
    return int(number)


def _moment(value: object) -> str:
    match value:
        case datetime():
            precision = "milliseconds" if value.microsecond % 1000 == 0 else "microseconds"
            text = value.replace(tzinfo=None).isoformat(timespec=precision)
            return f"{text}Z"
        case date():
            return value.isoformat()
        case _:
            raise TypeError(f"no JSON for {type(value).__name__}")
