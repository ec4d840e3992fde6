"""What an expression and a SELECT write alike means the same in both (LANGUAGE §3)."""

from __future__ import annotations

from decimal import Decimal

import pytest

import moltler
from support.expressions import FixedEnvironment, value_of

ALIKE = r"""
ARRAY_JOIN([1, 2.5, 3], ',')
ARRAY_JOIN([1.0, 2.5], ',')
ARRAY_JOIN([0.125, 100000000000, 3], ',')
ARRAY_JOIN([CAST(3 AS number)], ',')
ARRAY_JOIN([1e20, 1], ',')
ARRAY_JOIN([CAST('2024-01-02T01:04:05Z' AS timestamp)], ',')
ARRAY_JOIN([CAST('2024-01-02' AS date)], ',')
ARRAY_JOIN([TRUE, NULL, FALSE], ' ')
CAST([1, 2] AS string)
CAST([1, 2.5] AS string)
CAST([1.0, 2] AS string)
CAST(['a', NULL, 'it''s "q"'] AS string)
CAST([[1], [2, 3]] AS string)
CAST([TRUE, NULL] AS string)
CAST([] AS string)
CAST(ARRAY_APPEND([1], 2) AS string)
CAST(ARRAY_SLICE(['a', 'b'], 0, 1) AS string)
CAST([CAST('2024-01-02T01:04:05Z' AS timestamp)] AS string)
CAST([CAST('2024-01-02T01:04:05.000123Z' AS timestamp)] AS string)
CAST([CAST('2024-01-02' AS date)] AS string)
CAST(CAST('2024-01-02T01:04:05Z' AS timestamp) AS string)
CAST(CAST('2024-01-02T01:04:05.123456+02:00' AS timestamp) AS string)
CAST(DATE_TRUNC('hour', CAST('2024-01-02T01:04:05Z' AS timestamp)) AS string)
CAST(DATE_TRUNC('day', CAST('2024-01-02' AS date)) AS string)
CAST(CAST('2024-01-02' AS date) AS string)
CAST(CAST('2024-01-02T01:04:05Z' AS timestamp) + INTERVAL '1d' AS string)
CAST('2024-01-02T01:04:05z' AS timestamp)
CAST('2024-01-02T01:04:05.25z' AS timestamp)
CAST('2024-01-02T23:04:05z' AS date)
CAST('2024-01-02T01:04:05z' AS string)
CAST('2024-01-02T01:04:05Z' AS timestamp) = '2024-01-02T01:04:05z'
CAST('2024-01-02T01:04:05Z' AS timestamp) < '2024-01-03T01:04:05z'
CAST('2024-01-02T01:04:05Z' AS timestamp) IN ('2024-01-03T01:04:05z', '2024-01-02T01:04:05z')
'2024-01-02T01:04:05z' = '2024-01-02T01:04:05Z'
CAST('1.23456' AS number)
CAST(3 AS number) / 2
CAST(CAST(3 AS number) AS string)
CAST('3000000000' AS integer)
CAST(3000000000 AS integer) + 1
CAST('2024-01-02 03:04' AS datetime)
"""


def _comparable(value: object) -> object:
    return float(value) if isinstance(value, int | Decimal) and value is not True else value


@pytest.mark.parametrize("text", ALIKE.strip().split("\n"))
def test_an_expression_means_the_same_in_select(session: moltler.Session, text: str) -> None:
    [(found,)] = session.execute(f"SELECT {text}").rows()
    assert _comparable(found) == _comparable(value_of(text, FixedEnvironment()))


@pytest.mark.parametrize(
    ("select", "shown"),
    [
        ("CAST(TIMESTAMP '2024-01-02 03:04:05' AS VARCHAR)", "2024-01-02 03:04:05+00"),
        ("CAST(make_timestamp(2024, 1, 2, 3, 4, 5) AS TEXT)", "2024-01-02 03:04:05+00"),
        ("(DATE '2024-01-02' + INTERVAL 1 DAY)::text", "2024-01-03 00:00:00+00"),
        ("CAST(max(t) AS VARCHAR) FROM range(DATE '2024-01-02', DATE '2024-01-04', INTERVAL 1 DAY)"
         " AS r(t)", "2024-01-03 00:00:00+00"),
        ("CAST(TIME '03:04:05' AS VARCHAR)", "03:04:05"),
        ("CAST(INTERVAL 1 DAY AS VARCHAR)", "1 day"),
        ("CAST(list(t) AS VARCHAR) FROM (VALUES ('a'), ('b')) AS v(t)", '["a","b"]'),
    ],
)  # fmt: skip
def test_what_only_select_has_is_written_the_same_way(
    session: moltler.Session, select: str, shown: str
) -> None:
    assert list(session.execute(f"SELECT {select}").rows()) == [(shown,)]


def test_bound_texts_with_a_small_z_are_read_as_times(session: moltler.Session) -> None:
    text = "SELECT CAST(@at AS timestamp) = TIMESTAMPTZ '2024-01-02T01:04:05Z'"
    assert list(session.execute(text, {"at": "2024-01-02T01:04:05z"}).rows()) == [(True,)]
