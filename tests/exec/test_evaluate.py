"""What expressions give, by the rules of the language."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from moltler.errors import MoltlerError, Source
from moltler.exec.evaluate import holds
from moltler.lang.parser import parse_expression
from support.expressions import NOW, FixedEnvironment, error_of, value_of

VARIABLES: dict[str, Any] = {
    "n": 7,
    "none": None,
    "text": "Hello",
    "tags": ["a", "b"],
    "rows": [{"id": 1, "name": "x"}, {"id": 2, "name": None}],
    "doc": {"a": {"b": [{"c": 1}]}, "Key": "upper", "key": "lower", "gone": None},
    "exact": Decimal("1.10"),
    "big": 2**70,
    "created": "2024-01-01T00:00:00Z",
    "status": "open",
    "half": "\ud83d",
}

VALUES: list[tuple[str, object]] = [
    # literals and access
    ("NULL", None),
    ("42", 42),
    ("1.5", 1.5),
    ("1e3", 1000.0),
    (r"'^\d+$'", r"^\d+$"),
    ("-9223372036854775808", -(2**63)),
    ("9223372036854775807", 2**63 - 1),
    ("N", 7),
    ("@n", 7),
    ("status", "open"),
    ("doc.a.b[0].c", 1),
    ("doc.key || doc.Key", "lowerupper"),
    ("doc['Key']", "upper"),
    ("doc.missing.further", None),
    ("doc?.missing?.further", None),
    ("doc.gone IS NULL", True),
    ("tags[1]", "b"),
    ("tags[2]", None),
    ("tags[-1]", None),
    ("tags[0.0]", "a"),
    ("tags[none]", None),
    ("none[0]", None),
    ('{"a": n, "b": [1, NULL],}', {"a": 7, "b": [1, None]}),
    # arithmetic
    ("1 + 2 * 3", 7),
    ("(1 + 2) * 3", 9),
    ("5 / 2", 2.5),
    ("6 / 2", 3.0),
    ("1 / 0", None),
    ("5 % 0", None),
    ("-7 % 3", -1),
    ("7.5 % 2", 1.5),
    ("none + 1", None),
    ("- n", -7),
    ("- none", None),
    ("exact + 1", Decimal("2.10")),
    ("big - big", 0),
    ("1e308 * 10", None),
    ("9007199254740993 + 0", 9007199254740993),
    ("exact - 1", Decimal("0.10")),
    ("exact * exact", Decimal("1.2100")),
    ("exact % 1", Decimal("0.10")),
    ("exact * 2.0", 2.2),
    ("1.5 - 1", 0.5),
    ("5 - 7", -2),
    # text
    ("'' || INTERVAL '36h'", "1 day 12:00:00"),
    ("'' || INTERVAL '14d'", "14 days"),
    ("'' || INTERVAL '-90s'", "-00:01:30"),
    ("'' || INTERVAL '250ms'", "00:00:00.25"),
    ("'a' || 1 || 2.0 || TRUE || 1.5", "a12true1.5"),
    ("'a' || NULL", None),
    ("[1] || [2, 3]", [1, 2, 3]),
    ("'x' || [1, 'a', NULL]", 'x[1,"a",null]'),
    ("'' || doc.a", '{"b":[{"c":1}]}'),
    ("NOW() || ''", "2024-01-02T03:04:05.678Z"),
    ("CAST('2024-01-02T03:04:05.678901Z' AS timestamp) || ''", "2024-01-02T03:04:05.678901Z"),
    ("CURRENT_DATE || ''", "2024-01-02"),
    ("'' || exact", "1.10"),
    ("'' || big", str(2**70)),
    ("NULL ?? 'x'", "x"),
    ("none ?? none ?? 3", 3),
    ("0 ?? 5", 0),
    ("1 + 2 ?? 3 || 'a'", "3a"),
    # comparisons
    ("1 = 1.0", True),
    ("5 = '5'", False),
    ("5 <> '5'", True),
    ("TRUE = 1", False),
    ("1 = NULL", None),
    ("n <> NULL", None),
    ("NULL = NULL", None),
    ("'a' < 'b'", True),
    ("'B' < 'a'", True),
    ("'😀' > 'ﬀ'", True),
    ("FALSE < TRUE", True),
    ('{"a": 1, "b": 2} = {"b": 2, "a": 1.0}', True),
    ('{"a": 1} = {"A": 1}', False),
    ("[1, NULL] = [1, NULL]", True),
    ("[1] = [TRUE]", False),
    ("[1, 2] = [2, 1]", False),
    ("NOW() > '2024-01-01'", True),
    ("created < NOW()", True),
    ("CURRENT_DATE = '2024-01-02'", True),
    ("CURRENT_DATE < NOW()", True),
    ("CAST('2024-01-01T01:00:00+01:00' AS timestamp) = '2024-01-01'", True),
    ("INTERVAL '7d' > INTERVAL '6d'", True),
    ("big = big", True),
    ('[CURRENT_DATE] = ["2024-01-02"]', True),
    ("[NOW()] = ['never']", False),
    ("[1] = ['1']", False),
    ("1 <= 1 AND 1 >= 1", True),
    ("NOW() >= CURRENT_DATE", True),
    ("none IS NULL", True),
    ("none IS NOT NULL", False),
    # three-valued logic
    ("NULL AND FALSE", False),
    ("NULL AND TRUE", None),
    ("NULL OR TRUE", True),
    ("NULL OR FALSE", None),
    ("NOT NULL", None),
    ("! FALSE", True),
    ("FALSE AND 1 / none = 'x'", False),
    ("TRUE OR unknown_variable", True),
    ("FALSE AND unknown_variable", False),
    # IN, BETWEEN, LIKE, CONTAINS, MATCHES
    ("2 IN (1, 2)", True),
    ("2 IN (1, NULL)", None),
    ("2 NOT IN (1, NULL)", None),
    ("2 IN (2, NULL)", True),
    ("none IN (1)", None),
    ("'a' IN tags", True),
    ("'z' NOT IN tags", True),
    ("'a' IN (tags)", True),
    ("'a' IN none", None),
    ("2 BETWEEN 1 AND 3", True),
    ("2 NOT BETWEEN 1 AND 3", False),
    ("2 BETWEEN NULL AND 1", False),
    ("2 BETWEEN NULL AND 3", None),
    ("'abc' LIKE 'a%'", True),
    ("'abc' LIKE 'A%'", False),
    ("'abc' LIKE '_b_'", True),
    ("'abc' LIKE 'abcd%'", False),
    ("'' LIKE '%'", True),
    ("'aab' LIKE '%ab'", True),
    ("'ab' LIKE 'ab%ab'", False),
    ("'a.c' LIKE 'a.c'", True),
    ("'abc' LIKE 'a.c'", False),
    ("'a\nb' LIKE 'a%b'", True),
    ("'10%' LIKE '10!%' ESCAPE '!'", True),
    ("'100' LIKE '10!%' ESCAPE '!'", False),
    (r"'a\b' LIKE 'a\b'", True),
    ("none LIKE 'a'", None),
    ("'a' NOT LIKE 'b'", True),
    ("tags CONTAINS 'a'", True),
    ("tags NOT CONTAINS 'z'", True),
    ("text CONTAINS 'ell'", True),
    ("none CONTAINS 'a'", None),
    ("tags CONTAINS NULL", None),
    ("text MATCHES 'l+o'", True),
    ("text MATCHES '^ello'", False),
    ("text NOT MATCHES '^ello'", True),
    ("none MATCHES 'a'", None),
    # choice
    ("n > 5 ? 'big' : 'small'", "big"),
    ("NULL ? 1 : 2", 2),
    ("CASE WHEN n = 7 THEN 'seven' ELSE 'other' END", "seven"),
    ("CASE n WHEN 1 THEN 'a' WHEN 7 THEN 'b' END", "b"),
    ("CASE none WHEN NULL THEN 'a' ELSE 'b' END", "b"),
    ("CASE WHEN NULL THEN 1 END", None),
    # CAST
    ("CAST('12' AS integer)", 12),
    ("CAST(2.5 AS INTEGER)", 3),
    ("CAST('2.5' AS number)", 2.5),
    ("CAST(7 AS string)", "7"),
    ("CAST('TRUE' AS boolean)", True),
    ("CAST(0 AS boolean)", False),
    ("CAST(NULL AS integer)", None),
    ("CAST(TRUE AS integer)", 1),
    ("CAST(TRUE AS string)", "true"),
    ("CAST(tags AS array)", ["a", "b"]),
    ("CAST(tags AS string)", '["a","b"]'),
    ("CAST(CURRENT_DATE AS date)", date(2024, 1, 2)),
    ("CAST(CURRENT_DATE AS timestamp)", datetime(2024, 1, 2, tzinfo=UTC)),
    ("CAST('2024-02-29' AS date)", date(2024, 2, 29)),
    ("CAST(NOW() AS date)", date(2024, 1, 2)),
    ("CAST('2024-02-29' AS timestamp)", datetime(2024, 2, 29, tzinfo=UTC)),
    ("CAST(1000 AS timestamp)", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    ("CAST(doc AS any)", VARIABLES["doc"]),
    # time
    ("NOW()", NOW),
    ("CURRENT_TIMESTAMP", NOW),
    ("current_timestamp()", NOW),
    ("CURRENT_DATE", date(2024, 1, 2)),
    ("NOW() - INTERVAL '7d' = '2023-12-26T03:04:05.678Z'", True),
    ("NOW() - INTERVAL n || 'd' = '2023-12-26T03:04:05.678Z'", True),
    ("INTERVAL '1h' + NOW() > NOW()", True),
    ("NOW() - CAST('2024-01-01' AS timestamp)", timedelta(days=1, seconds=11045, milliseconds=678)),
    ("INTERVAL '1.5h'", timedelta(minutes=90)),
    ("INTERVAL '250ms'", timedelta(milliseconds=250)),
    ("INTERVAL '1w' / 7 = INTERVAL '1d'", True),
    ("INTERVAL none || 'd'", None),
    ("INTERVAL '1d' * exact", timedelta(hours=26, minutes=24)),
    ("2 * INTERVAL '1d'", timedelta(days=2)),
    ("INTERVAL '1d' / 0", None),
    ("INTERVAL '1d' + INTERVAL '1h'", timedelta(hours=25)),
    ("INTERVAL '1d' - INTERVAL '1h'", timedelta(hours=23)),
    ("-INTERVAL '1d'", timedelta(days=-1)),
    ("CURRENT_DATE - 1", date(2024, 1, 1)),
    ("CURRENT_DATE - CAST('2024-01-01' AS date)", 1),
    ("CURRENT_DATE + 1", date(2024, 1, 3)),
    ("CURRENT_DATE + INTERVAL '1h'", datetime(2024, 1, 2, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize(("text", "expected"), VALUES, ids=[text for text, _ in VALUES])
def test_expression_gives(text: str, expected: object) -> None:
    value = value_of(text, **VARIABLES)
    assert (value, type(value)) == (expected, type(expected))


ERRORS: list[tuple[str, str, str]] = [
    # the text, the code, and the part it is placed at
    ("1 + nothing", "PLN003", "nothing"),
    ("@nothing", "PLN003", "@nothing"),
    ("NO_SUCH(1)", "PLN003", "NO_SUCH(1)"),
    ("TRUE AND 5", "PLN004", "5"),
    ("5 OR TRUE", "PLN004", "5"),
    ("NOT 'a'", "PLN004", "'a'"),
    ("5 ? 1 : 2", "PLN004", "5"),
    ("CASE WHEN 1 THEN 2 END", "PLN004", "1"),
    ("1 + (5 < '5' ? 1 : 2)", "PLN004", "5 < '5'"),
    ("TRUE < 1", "PLN004", "TRUE < 1"),
    ("[1] < [2]", "PLN004", "[1] < [2]"),
    ("doc < doc", "PLN004", "doc < doc"),
    ("NOW() = 'yesterday'", "PLN004", "NOW() = 'yesterday'"),
    ("n.key", "PLN004", "n.key"),
    ("text.length", "PLN004", "text.length"),
    ("tags.length || 'a'", "PLN004", "tags.length"),
    ("tags['a']", "PLN004", "tags['a']"),
    ("tags[0.5]", "PLN004", "tags[0.5]"),
    ("tags[TRUE]", "PLN004", "tags[TRUE]"),
    ("text[0]", "PLN004", "text[0]"),
    ("doc[0]", "PLN004", "doc[0]"),
    ("'a' + 'b'", "PLN004", "'a' + 'b'"),
    ("TRUE + 1", "PLN004", "TRUE + 1"),
    ("-'a'", "PLN004", "-'a'"),
    ("NOW() + 1", "PLN004", "NOW() + 1"),
    ("n CONTAINS 7", "PLN004", "n CONTAINS 7"),
    ("text CONTAINS 7", "PLN004", "text CONTAINS 7"),
    ("doc CONTAINS 'a'", "PLN004", "doc CONTAINS 'a'"),
    ("n MATCHES 'a'", "PLN004", "n MATCHES 'a'"),
    ("n LIKE '7'", "PLN004", "n LIKE '7'"),
    ("1 IN n", "PLN004", "n"),
    ("CAST(1 AS varchar)", "PLN004", "CAST(1 AS varchar)"),
    ("9223372036854775807 + 1", "PLN007", "9223372036854775807 + 1"),
    ("3037000500 * 3037000500", "PLN007", "3037000500 * 3037000500"),
    ("big + 1", "PLN007", "big + 1"),
    ("CAST('x' AS integer)", "PLN007", "CAST('x' AS integer)"),
    ("CAST('' AS number)", "PLN007", "CAST('' AS number)"),
    ("CAST(doc AS integer)", "PLN007", "CAST(doc AS integer)"),
    ("CAST('2024-02-30' AS date)", "PLN007", "CAST('2024-02-30' AS date)"),
    ("CAST(1e300 AS integer)", "PLN007", "CAST(1e300 AS integer)"),
    ("CAST(1e300 AS timestamp)", "PLN007", "CAST(1e300 AS timestamp)"),
    ("text MATCHES '('", "PLN007", "text MATCHES '('"),
    ("text LIKE 'a!' ESCAPE '!'", "PLN007", "text LIKE 'a!' ESCAPE '!'"),
    ("text LIKE 'a' ESCAPE '!!'", "PLN007", "text LIKE 'a' ESCAPE '!!'"),
    ("INTERVAL '999999999999d' || ''", "PLN007", "INTERVAL '999999999999d' || ''"),
    ("CURRENT_DATE + TRUE", "PLN004", "CURRENT_DATE + TRUE"),
    ("CAST('on' AS boolean)", "PLN007", "CAST('on' AS boolean)"),
    ("CAST(doc AS boolean)", "PLN007", "CAST(doc AS boolean)"),
    ("CAST('{}' AS document)", "PLN007", "CAST('{}' AS document)"),
    ("doc[1]", "PLN004", "doc[1]"),
    ("ARRAY_REDUCE(tags, (a, A) => a, 0)", "CAT003", "(a, A) => a"),
    ("ENV(5)", "PLN004", "ENV(5)"),
    ("half MATCHES 'a'", "PLN007", "half MATCHES 'a'"),
    ("INTERVAL n || 'x'", "PLN007", "INTERVAL n || 'x'"),
    ("NOW() + INTERVAL '999999w' * 1000", "PLN007", "INTERVAL '999999w' * 1000"),
    ("NOW() + INTERVAL '999999w'", "PLN007", "NOW() + INTERVAL '999999w'"),
    ("ARRAY_MAP(tags, x => x + 1)", "PLN004", "x + 1"),
]


@pytest.mark.parametrize(("text", "code", "place"), ERRORS, ids=[row[0] for row in ERRORS])
def test_expression_fails_at_its_part(text: str, code: str, place: str) -> None:
    error = error_of(text, **VARIABLES)
    span = error.problems[0].span
    assert (error.code, getattr(span, "text", None)) == (code, place)


def test_near_variable_is_named() -> None:
    error = error_of("reslts", results=[1])
    assert (error.hint, error.problems[0].allowed) == ("did you mean `results`?", ("results",))


def test_bare_function_name_says_how_to_call_it() -> None:
    assert error_of("upper").hint == "call the function: UPPER(text)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("TRUE", True), ("FALSE", False), ("NULL", False), ("1 = NULL", False)],
)
def test_condition_holds_on_true_only(text: str, expected: object) -> None:
    expr = parse_expression(Source("<test>", text))
    assert holds(expr, FixedEnvironment()) is expected


def test_number_is_no_condition() -> None:
    with pytest.raises(MoltlerError) as caught:
        holds(parse_expression(Source("<test>", "1")), FixedEnvironment())
    assert caught.value.code == "PLN004"


def test_comparison_with_null_warns_and_says_what_to_write() -> None:
    environment = FixedEnvironment()
    value_of("n = NULL OR n <> NULL", environment, n=1)
    assert [(w.code, w.message, w.source) for w in environment.warnings] == [
        ("null_comparison", "`n = NULL` is never true; use IS NULL", "<test>:1"),
        ("null_comparison", "`n <> NULL` is never true; use IS NOT NULL", "<test>:1"),
    ]


def test_comparison_with_a_variable_that_is_null_does_not_warn() -> None:
    environment = FixedEnvironment()
    value_of("n = m", environment, n=1, m=None)
    assert environment.warnings == []


@pytest.mark.parametrize(
    ("text", "rows", "expected"),
    [
        ("(SELECT count(*) AS n FROM t) = 3", [{"n": 3}], True),
        ("3 <= (SELECT count(*) AS n FROM t)", [{"n": 3}], True),
        ("(SELECT 1) = (SELECT 1)", [{"n": 3}], True),
        ("(SELECT n FROM t) = 3", [{"n": 3}, {"n": 4}], False),
        ("(SELECT a, b FROM t) = 3", [{"a": 3, "b": 4}], False),
        ('(SELECT n FROM t) = [{"n": 3}]', [{"n": 3}], True),
        ("(SELECT n FROM t)[0].n", [{"n": 3}], 3),
        ("3 IN (SELECT n FROM t)", [{"n": 1}, {"n": 3}], True),
        ("(SELECT n FROM t) CONTAINS 3", [{"n": 1}, {"n": 3}], True),
        ("(SELECT n FROM t) BETWEEN 1 AND 3", [{"n": 3}], True),
        ("ARRAY_LENGTH((SELECT n FROM t))", [{"n": 1}, {"n": 3}], 2),
    ],
)
def test_query_is_an_array_of_rows_and_one_value_beside_a_scalar(
    text: str, rows: list[dict[str, object]], expected: object
) -> None:
    assert value_of(text, FixedEnvironment(rows=rows)) == expected


def test_positional_parameter_is_read_by_its_number() -> None:
    assert value_of("? || ?", FixedEnvironment(parameters=["a", "b"])) == "ab"


def test_action_in_an_expression_sees_the_parameter_of_a_lambda() -> None:
    environment = FixedEnvironment(result={"ok": True})
    value = value_of("ARRAY_MAP(ids, id => CONNECTOR_EXEC c.get(id).ok)", environment, ids=[1, 2])
    assert value == [True, True]
    assert [seen["id"] for seen in environment.seen] == [1, 2]


def test_parameter_of_a_lambda_hides_a_variable_only_while_it_runs() -> None:
    assert value_of("ARRAY_MAP([1, 2], X => x * 10) || [x]", x=5) == [10, 20, 5]


def test_regular_expression_that_backtracks_elsewhere_takes_linear_time() -> None:
    text = "a" * 50_000 + "!"
    assert value_of("text MATCHES '^(a+)+$'", text=text) is False


def test_like_with_many_wildcards_takes_little_time() -> None:
    pattern = "%a" * 20 + "%b"
    assert value_of("text LIKE pattern", text="a" * 5_000, pattern=pattern) is False


def test_longest_chain_of_operators_is_evaluated() -> None:
    assert value_of(" + ".join(["1"] * 100)) == 100


def test_value_nested_beyond_measure_is_an_error_not_a_crash() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    codes = {error_of(text, deep=deep).code for text in ("'' || deep", "deep = [deep]")}
    assert codes == {"PLN007"}


def test_times_may_end_in_a_small_z() -> None:
    assert value_of("CAST('2024-01-02T03:04:05z' AS timestamp) = '2024-01-02T03:04:05Z'") is True
