"""Functions that exist only in expressions, and how all of them refuse arguments."""

from __future__ import annotations

from typing import Any

import pytest

from moltler.exec.functions import FUNCTIONS
from support.expressions import NOW, FixedEnvironment, error_of, value_of

DOCUMENT: dict[str, Any] = {"a": {"b": [{"c": 1}, 2]}, "x.y": 5, "n": None}

VALUES: list[tuple[str, object]] = [
    ("ARRAY_MAP([1, 2], x => x * 2)", [2, 4]),
    ("array_map([], x => x)", []),
    ("ARRAY_MAP(NULL, x => x)", None),
    ("ARRAY_MAP([[1], [2, 3]], row => ARRAY_MAP(row, x => x + 1))", [[2], [3, 4]]),
    ("ARRAY_MAP(rows, row => row.id)", [1, 2]),
    ("ARRAY_FILTER([1, NULL, 3], x => x > 1)", [3]),
    ("ARRAY_REDUCE([1, 2, 3], (sum, x) => sum + x, 0)", 6),
    ("ARRAY_REDUCE([], (sum, x) => sum + x, 'start')", "start"),
    ("ARRAY_FIND(rows, row => row.id = 2).name", "two"),
    ("ARRAY_FIND([1], x => x > 1)", None),
    ("ARRAY_FIND_INDEX([5, 6], x => x = 6)", 1),
    ("ARRAY_FIND_INDEX([5, 6], x => x = 7)", None),
    ("ARRAY_EVERY([1, 2], x => x > 0)", True),
    ("ARRAY_EVERY([1, NULL], x => x > 0)", False),
    ("ARRAY_EVERY([], x => FALSE)", True),
    ("ARRAY_SOME([1, NULL], x => x > 0)", True),
    ("ARRAY_SOME([], x => TRUE)", False),
    ("ARRAY_REVERSE([1, 2, NULL])", [None, 2, 1]),
    ("ARRAY_CONTAINS([{\"a\": 1}], {\"a\": 1.0})", True),
    ("ARRAY_DISTINCT([{\"a\": 1}, 1, {\"a\": 1}, TRUE])", [{"a": 1}, 1, True]),
    ("DOCUMENT_KEYS(d)", ["a", "x.y", "n"]),
    ("DOCUMENT_VALUES({\"a\": 1, \"b\": NULL})", [1, None]),
    ("DOCUMENT_GET(d, 'a.b[0].c')", 1),
    ("DOCUMENT_GET(d, 'a.b[5].c')", None),
    ("DOCUMENT_GET(d, 'a.b.c')", None),
    ("DOCUMENT_GET(d, '[\"x.y\"]')", 5),
    ("DOCUMENT_GET(d, '\"x.y\"')", 5),
    ("DOCUMENT_GET(d, 'A')", None),
    ("DOCUMENT_GET([1, 2], '[1]')", 2),
    ("DOCUMENT_MERGE({\"a\": 1, \"b\": 1}, {\"b\": 2}, {\"c\": 3})", {"a": 1, "b": 2, "c": 3}),
    ("DOCUMENT_REMOVE({\"a\": 1, \"b\": 2, \"c\": 3}, 'a', 'c')", {"b": 2}),
    ("DOCUMENT_CONTAINS(d, 'n')", True),
    ("DOCUMENT_CONTAINS(d, 'N')", False),
    ("DOCUMENT_CONTAINS({\"a\": {\"b\": 1, \"c\": 2}}, {\"a\": {\"b\": 1}})", True),
    ("DOCUMENT_CONTAINS({\"a\": 1}, {\"a\": 1, \"b\": 2})", False),
    ("DOCUMENT_TO_JSON(d)", '{"a":{"b":[{"c":1},2]},"x.y":5,"n":null}'),
    ("DOCUMENT_TO_JSON({\"t\": NOW(), \"f\": 2.0, \"s\": 'ä\"'})",
     '{"t":"2024-01-02T03:04:05.678Z","f":2,"s":"ä\\""}'),
    ("DOCUMENT_TO_JSON(NULL)", "null"),
    ("JSON_PARSE('{\"a\": [1, 2.5, null, true]}')", {"a": [1, 2.5, None, True]}),
    ("JSON_PARSE('9007199254740993')", 9007199254740993),
    ("JSON_PARSE(NULL)", None),
    ("COALESCE(1, nothing_here)", 1),
    ("ENV('A')", "set"),
    ("ENV('B', 'fallback')", "fallback"),
    ("ENV('B', 5)", "5"),
    ("ENV('B')", ""),
    ("DATE_DIFF('day', '2024-01-01', NOW())", 1),
    ("YEAR('2024-05-06T00:00:00Z')", 2024),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), VALUES, ids=[text for text, _ in VALUES])
def test_function_gives(text: str, expected: object) -> None:
    rows = [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
    environment = FixedEnvironment(variables={"A": "set"})
    value = value_of(text, environment, d=DOCUMENT, rows=rows)
    assert (value, type(value)) == (expected, type(expected))


ERRORS: list[tuple[str, str, str]] = [
    ("LPAD('a')", "PLN004", "write LPAD(text, length [, fill])"),
    ("NOW(1)", "PLN004", "write NOW()"),
    ("COALESCE()", "PLN004", "write COALESCE(value [, values, …])"),
    ("UPPER(5)", "PLN004", "write UPPER(text)"),
    ("SUBSTR('a', 1.5)", "PLN004", "write SUBSTR(text, start [, length])"),
    ("ARRAY_LENGTH('abc')", "PLN004", "write ARRAY_LENGTH(array)"),
    ("ARRAY_MAP([1], 2)", "PLN004", "write ARRAY_MAP(array, x => …)"),
    ("ARRAY_MAP([1], (a, b) => a)", "PLN004", "write ARRAY_MAP(array, x => …)"),
    ("ARRAY_REDUCE([1], x => x, 0)", "PLN004", "write ARRAY_REDUCE(array, (a, b) => …, start)"),
    ("UPPER(x => x)", "PLN004", "write UPPER(text)"),
    ("ARRAY_FILTER([1], x => x)", "PLN004", "compare it with something"),
    ("ARRAY_SORT([1, 'a'])", "PLN004", "convert one of them with CAST"),
    ("DATE_TRUNC('dai', NOW())", "PLN007", "did you mean `day`?"),
    ("JSON_PARSE('{')", "PLN007", "check the text"),
    ("JSON_PARSE('NaN')", "PLN007", "use null"),
    ("DOCUMENT_GET({}, 'a..b')", "PLN007", "write one such as 'a.b[0].c'"),
    ("ARRAY_LENGHT([1])", "PLN003", "did you mean `ARRAY_LENGTH`?"),
    ("MOCK_CALLED('GET /')", "PLN003",
     "move the statement into TEST CONNECTOR TYPE … BEGIN … END TEST"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "hint"), ERRORS, ids=[row[0] for row in ERRORS])
def test_function_refuses(text: str, code: str, hint: str) -> None:
    error = error_of(text)
    assert (error.code, error.hint) == (code, hint)


@pytest.mark.parametrize(
    "text",
    [
        "JSON_PARSE('18446744073709551616')",
        "REGEXP_EXTRACT(half, 'a')",
        "JSON_PARSE(nested)",
        "LPAD('a', 1000000000)",
    ],
)
def test_function_refuses_what_does_not_fit(text: str) -> None:
    assert error_of(text, nested="[" * 100_000, half="\ud83d").code == "PLN007"


def test_error_is_placed_at_the_argument() -> None:
    error = error_of("LENGTH('a') + LENGTH(5 + 1)")
    span = error.problems[0].span
    assert getattr(span, "text", None) == "5 + 1"


def test_time_is_one_value_in_a_statement() -> None:
    assert value_of("NOW() = CURRENT_TIMESTAMP AND CURRENT_TIMESTAMP() = NOW()") is True
    assert value_of("NOW()") == NOW


def test_action_in_an_argument_that_is_not_needed_does_not_run() -> None:
    environment = FixedEnvironment()
    value_of("COALESCE(1, CONNECTOR_EXEC c.make())", environment)
    assert environment.executed == []


CLOSED = sorted(
    n for n, f in FUNCTIONS.items() if not f.parameters[-1:] or not f.parameters[-1].is_repeated
)


@pytest.mark.parametrize("name", CLOSED)
def test_function_refuses_far_too_many_arguments(name: str) -> None:
    arguments = ", ".join(["NULL"] * 50)
    assert error_of(f"{name}({arguments})").code == "PLN004"
