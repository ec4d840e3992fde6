from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from moltler.catalog.values import Rules, fit_document, fit_value, with_defaults
from moltler.schema import DataType, JsonValue, Property, Schema, TypeName

PLUS_TWO = timezone(timedelta(hours=2))
UNFIT = object()


def fitted(value: object, type_: TypeName, *, lenient: bool = False) -> object:
    """The JSON value, or UNFIT."""
    found, misfits = fit_value(
        value, Property("x", DataType(type_)), ("x",), Rules(lenient=lenient)
    )
    return UNFIT if misfits else found


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        ("a", "string", "a"),
        (1, "string", UNFIT),
        (True, "string", UNFIT),
        (1, "number", 1),
        (1.5, "number", 1.5),
        (Decimal("1.5"), "number", 1.5),
        (True, "number", UNFIT),
        ("1", "number", UNFIT),
        (float("nan"), "number", UNFIT),
        (3.0, "integer", 3),
        (Decimal(7), "integer", 7),
        (3.5, "integer", UNFIT),
        (2**63 - 1, "integer", 2**63 - 1),
        (2**63, "integer", UNFIT),
        (-(2**63), "integer", -(2**63)),
        (False, "boolean", False),
        (0, "boolean", UNFIT),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=PLUS_TWO), "timestamp", "2024-01-02T01:04:05.000Z"),
        (datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "timestamp", "2024-01-02T03:04:05.000006Z"),
        ("2024-01-02T03:04:05+02:00", "timestamp", "2024-01-02T01:04:05.000Z"),
        ("2024-01-02t03:04:05z", "timestamp", "2024-01-02T03:04:05.000Z"),
        ("2024-01-02", "timestamp", "2024-01-02T00:00:00.000Z"),
        (date(2024, 1, 2), "timestamp", "2024-01-02T00:00:00.000Z"),
        ("yesterday", "timestamp", UNFIT),
        (0, "timestamp", UNFIT),
        (date(2024, 1, 2), "date", "2024-01-02"),
        ("2024-01-02", "date", "2024-01-02"),
        ("2024-02-30", "date", UNFIT),
        (datetime(2024, 1, 2, tzinfo=UTC), "date", UNFIT),
        ({"a": [1, {"b": None}]}, "document", {"a": [1, {"b": None}]}),
        ([1], "document", UNFIT),
        ([1, "a", None], "array", [1, "a", None]),
        ({}, "array", UNFIT),
        ({"at": date(2024, 1, 2)}, "any", {"at": "2024-01-02"}),
        ([Decimal("1.5"), float("inf")], "any", [1.5, None]),
        ([datetime(2024, 1, 2, tzinfo=UTC)], "any", ["2024-01-02T00:00:00.000Z"]),
        (Decimal("NaN"), "number", UNFIT),
        (b"bytes", "any", UNFIT),
    ],
)
def test_a_value_is_taken_in_its_declared_type_or_not_at_all(
    value: object, type_: TypeName, expected: object
) -> None:
    found = fitted(value, type_)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize(
    ("value", "type_", "expected"),
    [
        (12, "string", "12"),
        (12.0, "string", "12"),
        (1.5, "string", "1.5"),
        (True, "string", "true"),
        ({}, "string", UNFIT),
        ("12", "integer", 12),
        (" 1e2 ", "integer", 100),
        ("12.5", "integer", UNFIT),
        ("12.5", "number", 12.5),
        ("12a", "number", UNFIT),
        ("", "number", UNFIT),
        ("1e9999", "integer", UNFIT),
        ("1e9999", "number", UNFIT),
        ("1e300", "number", 1e300),
        (datetime(2024, 1, 2, tzinfo=UTC), "string", "2024-01-02T00:00:00.000Z"),
        (date(2024, 1, 2), "string", "2024-01-02"),
        ("soon", "date", UNFIT),
        ([], "boolean", UNFIT),
        ("true", "boolean", True),
        ("TRUE", "boolean", UNFIT),
        (0, "boolean", False),
        (2, "boolean", UNFIT),
        (1_704_164_645_000, "timestamp", "2024-01-02T03:04:05.000Z"),
        (1e300, "timestamp", UNFIT),
        (1_704_164_645_000, "date", "2024-01-02"),
        ("2024-01-02T23:00:00-05:00", "date", "2024-01-03"),
    ],
)
def test_a_returned_value_is_converted(value: object, type_: TypeName, expected: object) -> None:
    found = fitted(value, type_, lenient=True)
    assert (type(found), found) == (type(expected), expected)


def misfits(value: object, declared: Property) -> list[str]:
    return [m.message for m in fit_value(value, declared, ("config", "x"))[1]]


STRING = DataType("string")


@pytest.mark.parametrize(
    ("value", "declared", "message"),
    [
        ("", Property("x", STRING, required=True), "is required and must not be empty"),
        ("c", Property("x", STRING, enum=("a", "b")), "must be one of 'a', 'b', found 'c'"),
        (True, Property("x", DataType("any"), enum=(1,)), "must be one of 1, found TRUE"),
        ("ab", Property("x", STRING, pattern="^b"), "must match the pattern `^b`, found 'ab'"),
        (0, Property("x", DataType("integer"), minimum=1), "must be at least 1, found 0"),
        (3, Property("x", DataType("number"), maximum=2.5), "must be at most 2.5, found 3"),
        (5, Property("x", STRING), "must be a string, found 5"),
        (None, Property("x", STRING), "must be a string, found NULL"),
        (datetime(2024, 1, 2, tzinfo=UTC), Property("x", STRING), "found 2024-01-02T00:00:00.000Z"),
        ("5", Property("x", DataType("integer")), "must be an integer, found '5'"),
        ("x" * 200, Property("x", DataType("date")), f"must be a date, found '{'x' * 78}…"),
        ([1], Property("x", DataType("array", STRING)), "must be a string, found 1"),
    ],
)
def test_a_misfit_says_what_is_allowed_and_what_was_found(
    value: object, declared: Property, message: str
) -> None:
    (found,) = misfits(value, declared)
    assert found.endswith(message)


@pytest.mark.parametrize(("value", "count"), [(1, 1), (2, 0), (3, 0), (4, 0), (5, 1)])
def test_both_ends_of_a_range_are_inside(value: int, count: int) -> None:
    declared = Property("x", DataType("integer"), minimum=2, maximum=4)
    assert len(misfits(value, declared)) == count


def test_the_value_of_a_secret_is_never_in_a_message() -> None:
    declared = Property("x", STRING, secret=True, pattern="^sk_", enum=("sk_a",))
    assert "hunter2" not in "".join(misfits("hunter2", declared) + misfits(["hunter2"], declared))


def document(**properties: Property) -> Schema:
    return Schema(tuple(properties.values()))


INNER = DataType(
    "document",
    properties=(
        Property("max", DataType("integer"), required=True, maximum=5),
        Property("pause", DataType("number"), has_default=True, default=1.5),
    ),
)
RETRY = Schema((Property("retry", INNER), Property("hosts", DataType("array", INNER))))


def test_misfits_inside_carry_their_path() -> None:
    values: dict[str, Any] = {"retry": {"max": 9, "wait": 1}, "hosts": [{"max": 1}, {}]}
    _, found = fit_document(values, RETRY, ("config",))
    assert [(m.path, m.message) for m in found] == [
        (("config", "retry", "wait"), "`config.retry.wait` is not declared"),
        (("config", "retry", "max"), "`config.retry.max` must be at most 5, found 9"),
        (("config", "hosts", 1, "max"), "`config.hosts[1].max` is required and is missing"),
    ]


def test_defaults_fill_in_at_any_depth_and_in_schema_order() -> None:
    schema = Schema((Property("a", STRING, has_default=True, default="z"), *RETRY.properties))
    filled = with_defaults({"retry": {"max": 1}}, schema)
    assert list(filled.items()) == [("a", "z"), ("retry", {"max": 1, "pause": 1.5})]


def test_a_missing_key_has_no_value_and_null_only_where_it_may() -> None:
    schema = Schema((Property("a", STRING), Property("b", STRING)))
    values: dict[str, JsonValue] = {"a": None}
    assert fit_document(values, schema, ("x",)) == ({}, ())
    assert fit_document(values, schema, ("x",), Rules(nulls=True)) == ({"a": None}, ())


def test_a_value_nested_too_deep_is_refused_and_not_crashed_on() -> None:
    value: Any = []
    for _ in range(900):
        value = [value]
    (found,) = misfits(value, Property("x", DataType("any")))
    assert "nested deeper than 256 levels" in found
