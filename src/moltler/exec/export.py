"""Writing a result as Arrow or Parquet bytes, batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from moltler.exec.result import Result

if TYPE_CHECKING:
    from io import IOBase


def write_arrow(result: Result, stream: BinaryIO) -> None:
    """Write an Arrow IPC stream; documents are JSON text."""
    reader = result.arrow()
    sink = cast("IOBase", stream)  # what a BinaryIO is in practice, and what Arrow's types ask for
    with pa.ipc.new_stream(sink, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def write_parquet(result: Result, stream: BinaryIO) -> None:
    """Write a Parquet file with zstd compression; documents are JSON text."""
    reader = result.arrow()
    with pq.ParquetWriter(stream, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
