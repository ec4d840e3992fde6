"""Values bound to one call: what they win against, and what does not fit (LANGUAGE §3.3, §13)."""

from __future__ import annotations

from typing import Any

import pytest

import moltler

DEFINITION = """
CREATE CONNECTOR TYPE 'p' CONFIG_SCHEMA {};
CREATE CONNECTOR ENTITY 'p.rows' FIELDS {"id": {"type": "integer"}, "name": {"type": "string"}}
QUERY_HANDLER 'function query() { return [{id: 2, name: "b"}, {id: 1, name: "a"}]; }';
CREATE CONNECTOR ACTION 'p.rows.tell' PARAMETERS {"v": {"type": "any"}, "w": {"type": "string"}}
HANDLER 'function execute(config, params) { return Object.keys(params).join() + params.v; }';
REGISTER CONNECTOR TYPE 'p'; CREATE CONNECTOR p TYPE 'p'
"""


@pytest.fixture
def rows(session: moltler.Session) -> moltler.Session:
    session.execute(DEFINITION)
    return session


def test_a_parameter_of_this_call_wins_over_a_variable_of_the_session(
    rows: moltler.Session,
) -> None:
    rows.execute("DECLARE id = 1; DECLARE word = 'old'")
    assert rows.execute("SELECT @id AS v", {"id": 42}).value == 42
    assert rows.execute("SELECT word", {"WORD": "new"}).value == "new"
    assert rows.execute("CONNECTOR_EXEC p.rows.tell(v => @id)", {"id": 7}).value == "v7"
    assert rows.execute("DECLARE x = @id || word; SELECT @x", {"id": 5, "word": "!"}).value == "5!"
    assert rows.execute("SELECT @id || word").value == "1old"


def test_a_script_declares_no_variable_that_is_named_like_a_parameter(
    rows: moltler.Session,
) -> None:
    with pytest.raises(moltler.LookupFailed, match="`Id` is a parameter of this call") as caught:
        rows.execute("DECLARE Id = 1", {"id": 42})
    assert (caught.value.code, caught.value.column) == ("CAT003", 9)
    nested = "BEGIN DECLARE id = 1; ASSERT id = 1; END; SELECT @id"
    assert rows.execute(nested, {"id": 42}).value == 42


def test_positional_values_without_a_place_are_refused_and_named_ones_are_not(
    rows: moltler.Session,
) -> None:
    rows.execute("DECLARE before = 1")
    with pytest.raises(moltler.PlanError, match=r"3 values were given for 2 `\?`") as caught:
        rows.execute("SET before = 2; SELECT ?; PRINT ?", [1, 2, 3])
    assert caught.value.code == "PLN005"
    assert rows.execute("SELECT @before").value == 1  # nothing ran
    assert rows.execute("SELECT '?', @a", {"a": 1, "unused": 2}).value == "?"


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("SELECT id FROM p.rows ORDER BY @c", 32),
        ("SELECT count(*) FROM p.rows GROUP BY @c", 38),
        ("SELECT count(*) FROM p.rows GROUP BY ROLLUP (@c)", 46),
        ("SELECT DISTINCT ON (@c) id FROM p.rows", 21),
        ("SELECT id, row_number() OVER (ORDER BY (@c)) FROM p.rows", 41),
        ("SELECT id FROM p.rows UNION ALL SELECT 1 ORDER BY @c", 51),
    ],
)
def test_a_value_does_not_sort_or_group(rows: moltler.Session, text: str, column: int) -> None:
    with pytest.raises(moltler.PlanError, match="needs a column, and `@c` is a value") as caught:
        rows.execute(text, {"c": "name"})
    assert (caught.value.code, caught.value.column) == ("PLN006", column)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM p.rows ORDER BY CASE WHEN @c = 'name' THEN name END",
        "SELECT count(DISTINCT @c) FROM p.rows",
        "SELECT id FROM p.rows ORDER BY name || @c",
    ],
)
def test_a_value_may_be_part_of_what_sorts(rows: moltler.Session, text: str) -> None:
    assert rows.execute(text, {"c": "name"}).value == 1


@pytest.mark.parametrize(
    ("arguments", "given"),
    [("v => NULL", "undefined"), ("{'v': NULL, 'w': 'x'}", "wundefined"), ("v => [1]", "v1")],
)
def test_an_argument_that_is_null_is_absent(
    rows: moltler.Session, arguments: str, given: Any
) -> None:
    assert rows.execute(f"CONNECTOR_EXEC p.rows.tell({arguments})").value == given
