from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from moltler.errors import ConnectorRateLimitError, LookupFailed, MoltlerError, Problem
from moltler.flow.result import Column
from moltler.render.record import (
    cell_text,
    csv_lines,
    error_record,
    json_text,
    markdown_lines,
    object_lines,
    result_text,
)

NOON = datetime(2024, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (2**63 - 1, "9223372036854775807"),
        (2**100, "1267650600228229401496703205376"),
        (1.5, "1.5"),
        (float("nan"), "null"),
        (float("-inf"), "null"),
        (Decimal("123456789012345678901.10"), "123456789012345678901.10"),
        ('a"b\n✓', '"a\\"b\\n✓"'),
        (NOON, '"2024-01-02T12:00:00.000Z"'),
        (NOON.replace(microsecond=5000), '"2024-01-02T12:00:00.005Z"'),
        (NOON.replace(microsecond=5), '"2024-01-02T12:00:00.000005Z"'),
        (NOON.astimezone(timezone(timedelta(hours=2))), '"2024-01-02T12:00:00.000Z"'),
        (date(2024, 1, 2), '"2024-01-02"'),
        ({"b": [1, None], "a": {"n": Decimal("1.0")}}, '{"b":[1,null],"a":{"n":1.0}}'),
        ({"x": float("inf"), "y": [NOON]}, '{"x":null,"y":["2024-01-02T12:00:00.000Z"]}'),
    ],
)
def test_json_has_every_digit_and_no_nan(value: object, text: str) -> None:
    assert json_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (False, "false"),
        (7, "7"),
        (Decimal("1E+3"), "1000"),
        ({"a": [1]}, '{"a":[1]}'),
        ([1, "x"], '[1,"x"]'),
        ("plain", "plain"),
    ],
)
def test_cell_is_plain_text(value: object, text: str) -> None:
    assert cell_text(value) == text


COLUMNS = [Column("id", "integer"), Column("odd, name", "string")]
ROWS: list[tuple[object, ...]] = [(1, 'a "quoted", text'), (2, "two\nlines | pipe"), (3, None)]


def test_csv_is_read_back_as_it_was() -> None:
    text = "".join(csv_lines(COLUMNS, ROWS))
    assert list(csv.reader(text.splitlines(keepends=True))) == [
        ["id", "odd, name"],
        ["1", 'a "quoted", text'],
        ["2", "two\nlines | pipe"],
        ["3", ""],
    ]
    assert text.endswith("3,\r\n")


def test_markdown_keeps_each_row_on_one_line() -> None:
    assert list(markdown_lines(COLUMNS, ROWS)) == [
        "| id | odd, name |",
        "| --- | --- |",
        '| 1 | a "quoted", text |',
        "| 2 | two<br>lines \\| pipe |",
        "| 3 |  |",
    ]


def test_objects_are_one_a_line() -> None:
    lines = list(object_lines(COLUMNS, ROWS))
    assert [json.loads(line)["odd, name"] for line in lines] == [row[1] for row in ROWS]
    assert not [line for line in lines if "\n" in line]


def test_result_text_asks_for_its_tail_after_the_rows() -> None:
    read: list[object] = []

    def rows() -> Iterator[tuple[object, ...]]:
        for row in ROWS:
            read.append(row)
            yield row

    def tail() -> Iterator[tuple[str, object]]:
        yield "complete", len(read) == len(ROWS)

    text = "".join(result_text(COLUMNS, rows(), tail()))
    assert json.loads(text) == {
        "columns": [{"name": "id", "type": "integer"}, {"name": "odd, name", "type": "string"}],
        "rows": [list(row) for row in ROWS],
        "row_count": 3,
        "complete": True,
    }


def test_error_record_has_nulls_for_what_is_unknown() -> None:
    assert error_record(LookupFailed("CAT001", "no connector `x`")) == {
        "error": {
            "code": "CAT001",
            "type": "not_found_error",
            "message": "no connector `x`",
            "hint": None,
            "file": None,
            "line": None,
            "column": None,
        }
    }


def test_error_record_adds_problems_notes_and_retry_after_only_where_there_are_any() -> None:
    error = MoltlerError.of((Problem("CAT004", "one"), Problem("CAT004", "two", "do it")))
    error.add_note("took effect before: CREATE CONNECTOR x")
    record = error_record(error)["error"]
    assert isinstance(record, dict)
    assert (record["message"], record["hint"]) == ("one\ntwo", "do it")
    assert [p["message"] for p in record["problems"]] == ["one", "two"]
    assert record["notes"] == ["took effect before: CREATE CONNECTOR x"]
    limited = error_record(ConnectorRateLimitError("API003", "slow down", retry_after=7))["error"]
    assert isinstance(limited, dict)
    assert limited["retry_after"] == 7
