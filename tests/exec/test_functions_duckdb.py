"""The same function means the same in an expression as in a SELECT."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pytest

from moltler.errors import MoltlerError
from moltler.exec.duck import Engine
from support.expressions import FixedEnvironment, value_of

TEXTS = r"""
LENGTH('abc')
LENGTH('')
LENGTH('äöü')
LENGTH(NULL)
LENGTH([1, 2])
UPPER('straße')
LOWER('ÄÖ')
LOWER('İX')
ARRAY_SLICE('hello', 1, 3)
ARRAY_SLICE('hello', -1, 99)
ARRAY_JOIN([1.0, 2.5], ',')
ARRAY_JOIN([1, 2], ',')
CAST(1.0 AS string)
CAST(1.5 AS string)
CAST(2 AS boolean)
CAST(0.5 AS boolean)
CAST('yes' AS boolean)
CAST('N' AS boolean)
CAST('on' AS boolean)
CAST(' true' AS boolean)
CAST('2024-1-1' AS date)
CAST('2024/2/3' AS date)
CAST('20240101' AS date)
TRIM('  a b ')
TRIM('xxaxx', 'x')
TRIM('a', '')
LTRIM('  a ')
LTRIM('xyab', 'yx')
RTRIM('  a ')
SUBSTR('hello', 2)
SUBSTR('hello', 2, 3)
SUBSTR('hello', 0)
SUBSTR('hello', 0, 2)
SUBSTR('hello', -3)
SUBSTR('hello', -3, 2)
SUBSTR('hello', -2, -2)
SUBSTR('hello', 2, -1)
SUBSTR('hello', -10, 8)
SUBSTR('hello', -10)
SUBSTR('hello', -7, 1)
SUBSTR('hello', 7, -4)
SUBSTR('hello', 10)
SUBSTR('hello', 2, 100)
SUBSTR('hello', 3, 0)
SUBSTR('hello', NULL)
REPLACE('aaa', 'a', 'b')
REPLACE('aaa', '', 'b')
REPLACE('aaa', 'a', NULL)
INSTR('abc', 'c')
INSTR('abc', 'x')
INSTR('abc', '')
INSTR('', '')
LPAD('abc', 5, 'xy')
LPAD('abc', 2, 'x')
LPAD('abc', 5)
LPAD('abc', 0)
LPAD('abc', -1)
LPAD('abc', 5, '')
LPAD('abc', 2, '')
RPAD('abc', 5, 'xy')
RPAD('abc', 2)
RPAD('abc', -2)
SPLIT('a,b,,c', ',')
SPLIT('ab', '')
SPLIT('', ',')
SPLIT('a', NULL)
REVERSE('abc')
STARTS_WITH('abc', 'ab')
STARTS_WITH('abc', '')
STARTS_WITH(NULL, 'a')
ENDS_WITH('abc', 'bc')
ENDS_WITH('abc', 'x')
REGEXP_MATCHES('abc', 'b')
REGEXP_MATCHES('abc', '^b')
REGEXP_MATCHES('ABC', 'b', 'i')
REGEXP_MATCHES('a.c', 'a.c', 'l')
REGEXP_MATCHES('abc', 'a.c', 'l')
REGEXP_MATCHES('abc', '(')
REGEXP_MATCHES('a', 'b', 'q')
REGEXP_MATCHES(lines, 'a.b')
REGEXP_MATCHES(lines, 'a.b', 's')
REGEXP_MATCHES(lines, 'a.b', 'n')
REGEXP_MATCHES(lines, '^b')
REGEXP_MATCHES(lines, '^b', 'm')
REGEXP_REPLACE('aXbX', 'X', 'y')
REGEXP_REPLACE('aXbX', 'X', 'y', 'g')
REGEXP_REPLACE('aXbX', 'x', 'y', 'gi')
REGEXP_REPLACE('abc', '(b)', '[\1\0]')
REGEXP_REPLACE('abc', 'z', 'y')
REGEXP_REPLACE('abc', 'b', '')
REGEXP_REPLACE('abc', '(', 'x')
REGEXP_EXTRACT('abc123', '[0-9]+')
REGEXP_EXTRACT('abc', 'z')
REGEXP_EXTRACT('abc123', '([a-z]+)([0-9]+)', 2)
REGEXP_EXTRACT('xaab', 'a|ab')
REGEXP_EXTRACT('abc', '(b)', 2)
REGEXP_EXTRACT('abc', 'b', 10)
REGEXP_EXTRACT('ABC', 'b', 0, 'i')
REGEXP_EXTRACT('abcabc', 'b.?')
REGEXP_EXTRACT('abc', '(b)|(z)', 2)
REGEXP_EXTRACT('abc', NULL)
REGEXP_EXTRACT(lines, 'b$')
ABS(-5)
ABS(-2.5)
ABS(-9223372036854775807)
CEIL(1.2)
CEIL(-1.2)
CEIL(5)
FLOOR(1.8)
FLOOR(-1.2)
ROUND(2.5)
ROUND(-2.5)
ROUND(2.345, 2)
ROUND(25, -1)
ROUND(-25, -1)
ROUND(24.9)
ROUND(1e20)
ROUND(1.5, -1)
ROUND(7, 2)
ROUND(0.5)
ROUND(-0.4)
ROUND(1234.5678, -2)
TRUNC(1.9)
TRUNC(-1.9)
TRUNC(5)
TRUNC(1.29, 1)
TRUNC(-129, -1)
SIGN(-2.5)
SIGN(0)
SIGN(3)
MOD(5, 3)
MOD(-5, 3)
MOD(5, -3)
MOD(5, 0)
MOD(5.5, 2)
MOD(-5.5, 2)
POWER(2, 3)
POWER(2, 0.5)
POWER(-8, 0.5)
POWER(0, -1)
POWER(10, 400)
SQRT(4)
SQRT(2)
SQRT(-1)
LN(1)
LN(10)
LN(0)
LN(-1)
LOG(100)
LOG(2, 8)
LOG(0)
LOG(1, 5)
LOG(NULL, 1)
EXP(0)
EXP(1)
EXP(1000)
GREATEST(1, 3, 2)
GREATEST(1, NULL, 3)
GREATEST('a', 'B')
GREATEST(1, 2.5)
GREATEST(NULL)
LEAST(2, 1)
LEAST(NULL, NULL)
COALESCE(NULL, 2)
COALESCE(NULL, NULL)
NULLIF(1, 1)
NULLIF(1, 2)
NULLIF(NULL, 1)
NULLIF(1, NULL)
ARRAY_LENGTH([1, 2])
ARRAY_LENGTH([])
ARRAY_LENGTH(NULL)
ARRAY_CONTAINS([1, 2], 2)
ARRAY_CONTAINS([1, NULL], 3)
ARRAY_CONTAINS([1, 2], NULL)
ARRAY_CONTAINS([1, NULL], NULL)
ARRAY_CONTAINS(NULL, 1)
ARRAY_APPEND([1], 2)
ARRAY_APPEND([1], NULL)
ARRAY_APPEND(NULL, 1)
ARRAY_PREPEND([1], 2)
ARRAY_PREPEND(NULL, 1)
ARRAY_REMOVE([1, 2, 1], 1)
ARRAY_REMOVE([1, NULL], NULL)
ARRAY_REMOVE([1, NULL], 1)
ARRAY_REMOVE(NULL, 1)
ARRAY_DISTINCT([2, 1, 2])
ARRAY_DISTINCT([1, NULL, NULL, 1])
ARRAY_DISTINCT(NULL)
ARRAY_JOIN([1, 2], '-')
ARRAY_JOIN(['a', NULL, 'b'], ',')
ARRAY_JOIN([1.5, 2.5], ',')
ARRAY_JOIN([true], ',')
ARRAY_JOIN([], ',')
ARRAY_JOIN(['a', 'b'], NULL)
ARRAY_SORT([3, NULL, 1])
ARRAY_SORT(['b', 'a', 'B'])
ARRAY_SORT([3, NULL, 1], 'DESC')
ARRAY_SORT([3, NULL, 1], 'DESC', 'NULLS FIRST')
ARRAY_SORT([3, NULL, 1], 'ASC', 'NULLS FIRST')
ARRAY_FLATTEN([[1], [2, 3]])
ARRAY_FLATTEN([[1], NULL])
ARRAY_FLATTEN([[[1]], [[2]]])
ARRAY_SLICE([1, 2, 3, 4], 1, 3)
ARRAY_SLICE([1, 2, 3], 0, 10)
ARRAY_SLICE([1, 2, 3], -1, 2)
ARRAY_SLICE([1, 2, 3], 2, 1)
ARRAY_SLICE([1, 2, 3], 0, -1)
ARRAY_SLICE([1, 2, 3], 5, 9)
ARRAY_SLICE(NULL, 0, 1)
EPOCH_MS(1700000000123)
DATE_TRUNC('bad', NOW())
"""
UNITS = [
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
    "millennium",
    "mon",
    "yrs",
    "d",
    "h",
    "min",
    "s",
    "ms",
    "us",
    "weeks",
]
MOMENTS = [
    ("2024-01-31T23:59:59.999999Z", "2024-02-01T00:00:00Z"),
    ("2024-02-03T10:00:00Z", "2024-02-05T01:00:00Z"),
    ("2024-02-05T01:00:00Z", "2024-02-03T10:00:00Z"),
    ("2024-02-05T23:00:00Z", "2024-02-12T01:00:00Z"),
    ("2024-02-07T00:00:00Z", "2024-02-12T00:00:00Z"),
    ("1999-12-31T00:00:00Z", "2000-06-01T00:00:00Z"),
    ("1960-03-04T05:06:07.5Z", "1970-01-01T00:00:00Z"),
]
TIMES = [
    *(f"DATE_TRUNC('{u}', <{m[0]}>)" for u in UNITS for m in MOMENTS),
    *(f"DATE_TRUNC('{u}', <2000-01-01>)" for u in UNITS),
    *(f"DATE_DIFF('{u}', <{a}>, <{b}>)" for u in UNITS for a, b in MOMENTS),
    *(f"DATE_DIFF('{u}', <2024-02-03>, <2024-02-05>)" for u in UNITS),
    *(
        f"{part}(<{time}>)"
        for part in ("YEAR", "MONTH", "DAY", "HOUR", "EPOCH_MS")
        for time in ("2024-05-17T13:45:59.123456Z", "1960-05-17T13:45:59.9999Z", "2024-05-17")
    ),
    *(
        f"{before}<{time}>{after}"
        for before, after in (("EPOCH_MS(", ")"), ("CAST(", " AS string)"))
        for time in (
            "1969-12-31T23:59:59.9995Z",
            "1969-12-31T23:59:59.9996Z",
            "1970-01-01T00:00:00.0005Z",
            "2024-01-02T03:04:05Z",
            "2024-01-02T03:04:05.5Z",
        )
    ),
]
LINES = "a\nb"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine(threads=1)
    yield engine
    engine.close()


def _comparable(value: object) -> object:
    # Numbers of different width are one kind, and no border shows NaN and the infinities.
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, bool | datetime) or not isinstance(value, int | float | Decimal):
        return value
    number = float(value)
    return float(f"{number:.12g}") if math.isfinite(number) else None


def _ours(text: str) -> object:
    try:
        return _comparable(value_of(text, FixedEnvironment(), lines=LINES))
    except MoltlerError:
        return "an error"


def _duckdb(engine: Engine, text: str) -> object:
    try:
        return _comparable(engine.evaluate_constant(text))
    except MoltlerError:
        return "an error"


@pytest.mark.parametrize("text", TEXTS.split("\n")[1:-1])
def test_function_gives_what_duckdb_gives(engine: Engine, text: str) -> None:
    in_select = text.replace("lines", "'a' || chr(10) || 'b'")
    assert _ours(text) == _duckdb(engine, in_select)


@pytest.mark.parametrize("text", TIMES)
def test_function_of_time_gives_what_duckdb_gives(engine: Engine, text: str) -> None:
    parts = text.replace("<", "CAST('").split(">")
    as_types = ["date" if len(p) - p.rfind("'") <= 11 else "timestamp" for p in parts]
    ours = (
        "".join(f"{p}' AS {t})" for p, t in zip(parts[:-1], as_types[:-1], strict=True)) + parts[-1]
    )
    duckdb = ours.replace("AS timestamp)", "AS TIMESTAMPTZ)")
    assert _ours(ours) == _duckdb(engine, duckdb)
