"""Values of parameters reach DuckDB unchanged, and macros over documents stay small."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from moltler.exec.duck import Engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine(threads=1)
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ([1, "a"], "VARIANT[]"),
        ([True, 1], "VARIANT[]"),
        ([1.5, 2**53 + 1], "VARIANT[]"),
        ([{"a": 1}, {"b": 2}], "JSON[]"),
        ([1, {"x": 1}], "JSON[]"),
        ([{}, {"a": 1}, None], "JSON[]"),
        ([[1, "a"], [2]], "JSON[]"),
        ([2**60 + 1, 2], "BIGINT[]"),
        ([1.5, 2], "DOUBLE[]"),
        (["a", None], "VARCHAR[]"),
        ({"a": [1, "x", {"b": None}]}, "JSON"),
    ],
)
def test_arrays_and_documents_are_bound_with_every_item(
    engine: Engine, value: Any, type_: str
) -> None:
    assert engine.evaluate_constant("$v", {"v": value}) == value
    assert engine.evaluate_constant("typeof($v)", {"v": value}) == type_


def test_values_in_bound_documents_are_written_as_json_has_them(engine: Engine) -> None:
    value = {
        "whole": 3.0, "exact": Decimal("1.5"), "time": datetime(2024, 1, 2, tzinfo=UTC),
        "nan": float("nan"),
    }  # fmt: skip
    assert engine.evaluate_constant("$v", {"v": value}) == {
        "whole": 3, "exact": 1.5, "time": "2024-01-02T00:00:00.000Z", "nan": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("v__same(3.0::DOUBLE::VARIANT) = v__same(3::VARIANT)", True),
        ("v__same(0.1::VARIANT) = '0.1'::JSON::VARIANT", True),
        ("v__same(100000000000000000000::VARIANT) = '1e20'::JSON::VARIANT", True),
        ("v__same((2::HUGEINT ** 60 + 1)::HUGEINT::VARIANT) = '1152921504606846978'::JSON::VARIANT",
         False),
        ("v__number((2::HUGEINT ** 53)::BIGINT::VARIANT) < v__number(9007199254740993::VARIANT)",
         True),
        ("v__double('null'::JSON::VARIANT)", None),
        ("v__time('true'::JSON::VARIANT)", None),
        ("[DECIMAL '1.5']", [Decimal("1.5")]),
    ],
)  # fmt: skip
def test_numbers_have_one_spelling_and_an_exact_order(
    engine: Engine, expression: str, found: Any
) -> None:
    assert engine.evaluate_constant(expression) == found
