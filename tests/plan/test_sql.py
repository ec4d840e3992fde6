"""The SQL that comes out means in DuckDB what the author's means in the language."""

from __future__ import annotations

from typing import Any

import pytest

from fuzz.direct import described, fold, run_directly
from moltler.errors import MoltlerError
from support.handlers import PythonHandlers, entity
from support.planning import plan

ROWS = [
    {"id": 1, "name": "ann", "n": 0, "tags": ["a", "b"], "doc": {"t": ["x", 2], "s": "word"}},
    {"id": 2, "name": "5", "n": -1, "tags": ["b"], "doc": {"t": [], "s": None}},
    {"id": 3, "name": None, "n": None, "tags": None, "doc": None},
]
CONNECTORS = {
    "shop": [
        entity(
            "items",
            "id integer key, name string, n integer, tags array<string>, doc document, "
            "q string only",
            ROWS,
        )
    ]
}


def _run(text: str, variables: dict[str, object] | None = None) -> list[tuple[Any, ...]]:
    planned = plan(text, CONNECTORS, variables, fold=fold)
    return run_directly(planned, PythonHandlers(CONNECTORS))


def _values(expression: str, variables: dict[str, object] | None = None) -> list[Any]:
    return [r[0] for r in _run(f"SELECT {expression} FROM shop.items ORDER BY id", variables)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("tags[0]", ["a", "b", None]),
        ("tags[1]", ["b", None, None]),
        ("tags[-1]", [None, None, None]),
        ("tags[n]", ["a", None, None]),
        ("tags[n + 1]", ["b", "b", None]),
        ("tags[@one]", ["b", None, None]),
        ("tags[one - 1]", ["a", "b", None]),
        ("items.doc.t[0]", ["x", None, None]),
        ("doc.t[1]", [2, None, None]),
        ("doc['s']", ["word", None, None]),
        ("tags CONTAINS 'a'", [True, False, None]),
        ("name CONTAINS 'n'", [True, False, None]),
        ("name NOT CONTAINS 'n'", [False, True, None]),
        ("doc.t CONTAINS 'x'", [True, False, None]),
        ("doc.t CONTAINS 2", [True, False, None]),
        ("doc.s CONTAINS 'or'", [True, None, None]),
        ("name MATCHES '^a'", [True, False, None]),
        ("name = 5", [False, True, None]),
        ("name IN (5, 'ann')", [True, True, None]),
        ("name = 2 + 3", [False, True, None]),
        ("name <> @five", [True, False, None]),
        ("name IS DISTINCT FROM 5", [True, False, True]),
    ],
)
def test_operators_mean_what_the_language_says(expression: str, expected: list[Any]) -> None:
    assert _values(expression, {"one": 1, "five": 5}) == expected


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("tags[0]", "tags[0]"),
        ("items.doc.t[0]", "items.doc.t[0]"),
        ("@one", "one"),
        ("one + 1", "one + 1"),
        ("doc.s", "s"),
        ("doc.t[0].deep", "deep"),
        ("ID", "id"),
        ("id AS Key", "Key"),
    ],
)
def test_result_columns_are_named_as_written(expression: str, name: str) -> None:
    planned = plan(f"SELECT {expression} FROM shop.items", CONNECTORS, {"one": 1})
    handlers = PythonHandlers(CONNECTORS)
    run_directly(planned, handlers)
    assert described(planned) == [name]


def test_a_column_named_after_a_variable_does_not_capture_order_by() -> None:
    rows = _run("SELECT id, @name FROM shop.items ORDER BY name DESC", {"name": 0})
    assert [r[0] for r in rows] == [1, 2, 3]


@pytest.mark.parametrize(
    "condition", ["name < 3", "name BETWEEN 1 AND 2", "name = n", "n >= name", "name > @one"]
)
def test_text_beside_a_number_is_a_type_error(condition: str) -> None:
    with pytest.raises(MoltlerError) as caught:
        plan(f"SELECT id FROM shop.items WHERE {condition}", CONNECTORS, {"one": 1})
    assert caught.value.code == "PLN004"
    assert "CAST(name AS DOUBLE)" in (caught.value.hint or "")


def test_a_search_term_counts_as_true() -> None:
    rows = _run("SELECT id FROM shop.items WHERE q = 'anything' AND id < 3 ORDER BY id")
    assert rows == [(1,), (2,)]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT q FROM shop.items",
        "SELECT id FROM shop.items WHERE q = 'a' OR id = 1",
        "SELECT id FROM shop.items WHERE NOT (q = 'a' AND id = 1)",
        "SELECT id FROM shop.items WHERE upper(q) = 'A'",
        "SELECT id FROM shop.items ORDER BY q",
        "SELECT a.id FROM shop.items a LEFT JOIN shop.items b ON a.id = b.id WHERE b.q = 'a'",
        "SELECT id FROM (SELECT id, q FROM shop.items) WHERE q = 'a'",
    ],
)
def test_a_search_term_is_refused_elsewhere(text: str) -> None:
    with pytest.raises(MoltlerError) as caught:
        plan(text, CONNECTORS)
    assert caught.value.code == "PLN009"


def test_a_search_term_may_stand_in_the_on_of_its_own_join() -> None:
    planned = plan(
        "SELECT a.id FROM shop.items a LEFT JOIN shop.items b ON a.id = b.id AND b.q = 'x'",
        CONNECTORS,
    )
    assert dict(planned.scans[1].filters) == {"q": "x"}


@pytest.mark.parametrize(
    ("clause", "shown"),
    [
        ("LIMIT -1", "-1"),
        ("LIMIT NULL", "NULL"),
        ("LIMIT 'x'", "x"),
        ("LIMIT 1.5", "1.5"),
        ("LIMIT 1 OFFSET -2", "-2"),
        ("LIMIT @word", "many"),
        ("LIMIT @flag", "True"),
    ],
)
def test_limits_that_are_no_numbers_of_rows_are_refused(clause: str, shown: str) -> None:
    with pytest.raises(MoltlerError) as caught:
        plan(f"SELECT id FROM shop.items {clause}", CONNECTORS, {"word": "many", "flag": True})
    assert caught.value.code == "PLN007"
    assert f"`{shown}`" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM 'file.csv'",
        "SELECT * FROM read_parquet('x')",
        "SELECT getenv('HOME')",
        "SELECT tags[0:1] FROM shop.items",
        "SELECT * FROM shop.items FOR UPDATE",
        "SELECT $1",
        "SELECT * FROM duckdb_settings()",
        "SELECT read_text('/etc/passwd') FROM shop.items",
        "WITH x AS (DELETE FROM shop.items RETURNING id) SELECT * FROM x",
    ],
)
def test_what_reaches_outside_is_refused(text: str) -> None:
    with pytest.raises(MoltlerError) as caught:
        plan(text, CONNECTORS)
    assert caught.value.code in {"PLN006", "SYN001"}


def test_the_limit_check_counts_rows_with_the_same_parameters() -> None:
    planned = plan(
        "SELECT id FROM shop.items i WHERE i.name = @name AND tags[0] = 'a' IS NOT NULL LIMIT 2",
        CONNECTORS,
        {"name": "ann"},
    )
    assert planned.scans[0].limit_rule == "L2"
    planned = plan(
        "SELECT id FROM shop.items i WHERE i.name = @name LIMIT 2", CONNECTORS, {"name": "ann"}
    )
    assert planned.scans[0].check_sql == (
        'SELECT COUNT(*) FROM scan_0 AS "i" WHERE "i"."name" = $v0'
    )


def test_texts_that_mention_a_scan_do_not_collide_with_it() -> None:
    planned = plan("WITH scan_0 AS (SELECT 1 AS one) SELECT * FROM scan_0, shop.items", CONNECTORS)
    assert planned.scans[0].scan != "scan_0"


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("SELECT * FORM shop.items", "FROM instead of `FORM`"),
        ("SELECT id FROM shop.items WERE id = 1", "WHERE instead of `WERE`"),
        ("SELECT id FROM shop.items x LIMTI 1", "LIMIT instead of `LIMTI`"),
    ],
)
def test_a_keyword_that_was_taken_for_an_alias_is_named(query: str, meant: str) -> None:
    with pytest.raises(MoltlerError) as caught:
        plan(query, CONNECTORS)
    assert caught.value.code == "SYN001"
    assert caught.value.hint == f"did you mean {meant}?"
