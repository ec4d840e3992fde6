"""Writing a result as Arrow or Parquet bytes, batch by batch."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from moltler.exec.result import Result


def write_arrow(result: Result, stream: BinaryIO) -> None:
    """Write an Arrow IPC stream; documents are JSON text."""
    reader = result.arrow()
    with pa.ipc.new_stream(stream, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)


def write_parquet(result: Result, stream: BinaryIO) -> None:
    """Write a Parquet file with zstd compression; documents are JSON text."""
    reader = result.arrow()
    with pq.ParquetWriter(stream, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)
