"""Results and errors as JSON, CSV and Markdown: one spelling of every value for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from moltler.errors import MoltlerError
from moltler.flow.result import Column
from moltler.flow.scan import Warning


def timestamp_text(value: datetime) -> str:
    """Give ISO text in UTC, six digits of fraction only if microseconds are set.

    >>> timestamp_text(datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC))
    '2024-01-02T01:04:05.000Z'
    """
    utc = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    precision = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    return utc.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def json_ready(value: object) -> object:
    """Give a value that `json.dumps` writes as LANGUAGE §3.2 has it; decimals keep all digits."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime():
            return timestamp_text(value)
        case date():
            return value.isoformat()
        case Decimal():
            return _Digits(format(value, "f"))
        case Mapping():
            return {str(k): json_ready(v) for k, v in value.items()}
        case list() | tuple():
            return [json_ready(v) for v in value]
        case _:
            return str(value)


@dataclass(frozen=True, slots=True)
class _Digits:
    # A decimal that json.dumps would round: written by `_spell`, digit by digit.
    text: str


def json_text(value: object) -> str:
    """Give compact JSON text of a value.

    >>> json_text({"n": Decimal("1.10"), "at": None})
    '{"n":1.10,"at":null}'
    """
    ready = json_ready(value)
    if _holds_digits(ready):
        return _spell(ready)
    return json.dumps(ready, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _holds_digits(value: object) -> bool:
    if isinstance(value, dict):
        return any(_holds_digits(v) for v in value.values())
    if isinstance(value, list):
        return any(_holds_digits(v) for v in value)
    return isinstance(value, _Digits)


def _spell(value: object) -> str:
    if isinstance(value, _Digits):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{_spell(str(k))}:{_spell(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_spell(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def cell_text(value: object) -> str:
    """Give the text of a cell in tables, CSV and Markdown; NULL is the empty text."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime():
            return timestamp_text(value)
        case date():
            return value.isoformat()
        case Mapping() | list() | tuple():
            return json_text(value)
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


def warning_record(warning: Warning) -> dict[str, object]:
    """Give a warning as programs read it."""
    return {"code": warning.code, "message": warning.message, "source": warning.source}


def result_text(
    columns: Sequence[Column],
    rows: Iterable[tuple[object, ...]],
    tail: Iterable[tuple[str, object]],
) -> Iterator[str]:
    """Give one result object as JSON text, piece by piece.

    Args:
        columns: Of the result.
        rows: Read while the text is written.
        tail: Further members, asked for once the rows have been read.
    """
    head = [{"name": c.name, "type": c.type} for c in columns]
    yield '{"columns":' + json_text(head) + ',"rows":['
    count = 0
    for row in rows:
        yield ("," if count else "") + json_text(list(row))
        count += 1
    yield f'],"row_count":{count}'
    for key, value in tail:
        yield f",{json_text(key)}:{json_text(value)}"
    yield "}"


def object_lines(columns: Sequence[Column], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    """Give one JSON object a row (NDJSON), without newlines."""
    names = [c.name for c in columns]
    for row in rows:
        yield json_text(dict(zip(names, row, strict=True)))


def csv_lines(columns: Sequence[Column], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    """Give RFC 4180 text, a header first; each piece ends with its line end."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")

    def taken() -> str:
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    writer.writerow([c.name for c in columns])
    yield taken()
    for row in rows:
        writer.writerow([cell_text(value) for value in row])
        yield taken()


def markdown_lines(columns: Sequence[Column], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    """Give a pipe table; each piece is a line without its newline."""
    yield _markdown_row(c.name for c in columns)
    yield _markdown_row("---" for _ in columns)
    for row in rows:
        yield _markdown_row(cell_text(value) for value in row)


def _markdown_row(cells: Iterable[str]) -> str:
    escaped = (
        c.replace("\\", "\\\\").replace("|", "\\|").replace("\r", "").replace("\n", "<br>")
        for c in cells
    )
    return "| " + " | ".join(escaped) + " |"


def error_record(error: MoltlerError) -> dict[str, object]:
    """Give an error as every door shows it; unknown parts are ``None``."""
    record: dict[str, object] = {
        "code": error.code,
        "type": error.type,
        "message": error.message,
        "hint": error.hint,
        "file": error.file,
        "line": error.line,
        "column": error.column,
    }
    if error.retry_after is not None:
        record["retry_after"] = error.retry_after
    if len(error.problems) > 1:
        record["problems"] = [
            {
                "code": p.code,
                "message": p.message,
                "hint": p.hint,
                "file": p.file,
                "line": p.line,
                "column": p.column,
            }
            for p in error.problems
        ]
    if notes := getattr(error, "__notes__", None):
        record["notes"] = list(notes)
    return {"error": record}
