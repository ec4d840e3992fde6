"""Pages sorted into rows that fit their fields and rows that do not."""

from __future__ import annotations

import json
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from moltler.errors import MoltlerError
from moltler.exec.border import Cells
from moltler.exec.pages import PageReader
from moltler.flow.scan import UNFIT
from moltler.flow.sync import Unfit


def sort_out(
    reader: PageReader, page: pa.RecordBatch, first_row: int
) -> tuple[pa.RecordBatch, int, list[Unfit]]:
    """Give the rows that fit, in declared types, and the others as text.

    Args:
        reader: Of the page's columns.
        page: In wire types, with the column `UNFIT` at its end.
        first_row: Rows of the scan before the page.

    Returns:
        The rows, how many values became NULL because the instance's options say so, the misfits.
    """
    unfit: list[Unfit] = []
    told = page.column(UNFIT)
    page = page.select(page.schema.names[:-1])
    if told.null_count < len(told):
        unfit += [_read(text) for text in told.to_pylist() if text is not None]
        page = page.filter(cast("Cells", pc.is_null(told)))
    pieces: list[pa.RecordBatch] = []
    nulled = _pieces(reader, page, first_row, pieces, unfit)
    if len(pieces) == 1:
        return pieces[0], nulled, unfit
    whole = pa.Table.from_batches([_empty(reader, page), *pieces]).combine_chunks()
    batches = whole.to_batches()
    return (batches[0] if batches else _empty(reader, page)), nulled, unfit


def _pieces(
    reader: PageReader,
    page: pa.RecordBatch,
    first_row: int,
    pieces: list[pa.RecordBatch],
    unfit: list[Unfit],
) -> int:
    """Read what can be read of a page, halving it around the rows that cannot."""
    try:
        batch, nulled = reader.read(page, first_row)
    except MoltlerError as error:
        if page.num_rows == 1:
            unfit.append(Unfit(_as_text(page), error.message.partition(": ")[2] or error.message))
            return 0
        middle = page.num_rows // 2
        return _pieces(reader, page.slice(0, middle), first_row, pieces, unfit) + _pieces(
            reader, page.slice(middle), first_row + middle, pieces, unfit
        )
    pieces.append(batch)
    return nulled


def _empty(reader: PageReader, page: pa.RecordBatch) -> pa.RecordBatch:
    return reader.read(page.slice(0, 0), 0)[0]


def _read(text: str) -> Unfit:
    found = json.loads(text)
    return Unfit(str(found["raw"]), str(found["reason"]))


def _as_text(page: pa.RecordBatch) -> str:
    """Give one row as JSON again, without the keys that no field declares."""
    row = page.to_pylist()[0]
    return json.dumps(row, ensure_ascii=False, default=str)
