"""Where results, messages and failures go: stdout, stderr or a file, in the chosen format."""

from __future__ import annotations

import os
import sys
from typing import Literal, TextIO

from moltler.errors import MoltlerError

Format = Literal["table", "json", "ndjson", "csv", "markdown", "parquet", "arrow"]
FORMATS: tuple[Format, ...] = ("table", "json", "ndjson", "csv", "markdown", "parquet", "arrow")


def wants_color(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal whose owner wants colours."""
    return stream.isatty() and "NO_COLOR" not in os.environ


def print_failure(error: MoltlerError, *, as_json: bool) -> None:
    """Print an error to stderr, as text or as one JSON line."""
    if as_json:
        from moltler.render.record import error_record, json_text

        sys.stderr.write(json_text(error_record(error)) + "\n")
        return
    from moltler.render.text import print_error, stderr_console

    print_error(stderr_console(color=wants_color(sys.stderr)), error)
