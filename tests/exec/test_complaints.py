"""What DuckDB says, as users read it: no word of its inside, and no first letter lost."""

from __future__ import annotations

import pytest

from moltler.errors import MoltlerError
from moltler.exec.duck import Engine


@pytest.mark.parametrize(
    ("sql", "code", "message"),
    [
        ("SELECT x FROM range(3) t(x) WHERE count(*) > 1", "PLN004",
         "WHERE cannot hold aggregates"),
        ("SELECT unnest(1)", "PLN004", "UNNEST needs an array, found integer"),
        ("SELECT CAST(0 AS TIMESTAMP)", "PLN007", "integer cannot be converted to timestamp"),
        ("SELECT CAST([1] AS INTEGER)", "PLN007", "array cannot be converted to integer"),
        ("SELECT CAST('x' AS BIGINT)", "PLN007", "the text 'x' cannot be converted to integer"),
        ("SELECT CAST(x AS BOOLEAN) FROM (VALUES ('m')) t(x)", "PLN007",
         "the text 'm' cannot be converted to boolean"),
        ("SELECT DATE '2024-13-01'", "PLN007",
         "'2024-13-01' is no date: one of its numbers is out of range"),
        ("SELECT CAST('soon' AS TIMESTAMPTZ)", "PLN007", "'soon' is no timestamp"),
        ("SELECT upper(5::BIGINT)", "PLN004",
         "`upper(integer)` does not exist; the function takes other types"),
        ("SELECT 1 + now()", "PLN004", "`+` does not work between integer and timestamp"),
        ("SELECT now() > 5", "PLN004", "timestamp and integer cannot be compared"),
        ("SELECT coalesce(now(), 5)", "PLN004", "COALESCE cannot mix timestamp and integer"),
        ("SELECT x, sum(x) FROM range(3) t(x)", "PLN004",
         "`x` is neither grouped by nor inside an aggregate"),
        ("SELECT 9223372036854775807 + x FROM (VALUES (1::BIGINT)) t(x)", "PLN007",
         "the addition `9223372036854775807 + 1` is too large for an integer"),
        ("SELECT (SELECT x FROM range(3) t(x))", "PLN007",
         "a query used as a value gives more than one row"),
        ("SELECT 1 ORDER BY 5", "PLN004",
         "ORDER BY names a column by number, and there are only 1"),
        ("SELECT CAST(1 AS foo)", "PLN003", "there is no type `foo`"),
        (f"SELECT {'(' * 1200}1{')' * 1200}", "SYN001",
         "this SELECT is nested deeper than 1,000 levels"),
        ("SELECT max(max(x)) FROM range(3) t(x)", "PLN004",
         "aggregate function calls cannot be nested"),
    ],
)  # fmt: skip
def test_complaints_are_worded_for_users(sql: str, code: str, message: str) -> None:
    with pytest.raises(MoltlerError) as caught, Engine().open() as connection:
        list(connection.query(sql, {}).batches())
    assert (caught.value.code, caught.value.message) == (code, message)


def test_a_bound_integer_that_no_column_holds_is_named() -> None:
    with pytest.raises(MoltlerError) as caught, Engine().open() as connection:
        connection.query("SELECT $x", {"x": 2**200})
    assert caught.value.message == "a bound integer has more than 128 bits"
