"""Values inside documents compare, sort and calculate as what they are (decision 0010)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from fuzz.engine import EngineRun
from moltler.errors import MoltlerError
from moltler.exec.run import run_select
from support.clock import HandClock
from support.handlers import PythonHandlers, entity
from support.planning import plan

BIG = 2**60 + 1
ROWS = [
    {"id": 1, "doc": {"price": 2.5, "q": 1, "s": "abc", "flag": True, "big": BIG,
                      "t": "2024-01-01T23:00:00-02:00", "l": {"b": [10, 20.5, "x"]}},
     "a": 2.5, "n": 2.5, "u": [2.5, 1], "d": "2024-01-02", "tags": ["abc"], "name": "abc"},
    {"id": 2, "doc": {"price": 3, "q": 2, "s": "x", "flag": False, "big": BIG + 1,
                      "t": "2024-01-02", "l": {"b": [1]}},
     "a": 3, "n": 3, "u": [3], "d": "2024-01-01", "tags": ["y"], "name": "2.5"},
    {"id": 3, "doc": {"price": "2.5", "q": None, "l": {"b": "tt"}}, "a": "2.5", "u": ["a"]},
    {"id": 4, "doc": {"price": 1e20, "q": True, "l": 5}, "a": 10.25},
    {"id": 5, "doc": {"price": {"x": 1}, "lines": [{"price": 2.5}]}, "a": {"b": 1, "a": 2},
     "u": []},
]  # fmt: skip
FIELDS = (
    "id integer, doc document, a any, n number, u array, d date, tags array<string>, name string"
)
NAMES = [part.split()[0] for part in FIELDS.split(", ")]
CONNECTORS = {
    "pr": [entity("p", FIELDS, [{name: row.get(name) for name in NAMES} for row in ROWS])]
}


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineRun]:
    run = EngineRun()
    yield run
    run.close()


def rows(engine: EngineRun, sql: str, variables: dict[str, object] | None = None) -> list[Any]:
    planned = plan(sql, CONNECTORS, variables, fold=engine.fold)
    return engine.run(planned, PythonHandlers(CONNECTORS))


def values(engine: EngineRun, expression: str, where: str = "id < 3") -> list[Any]:
    return [r[0] for r in rows(engine, f"SELECT {expression} FROM pr.p WHERE {where} ORDER BY id")]


def columns(engine: EngineRun, sql: str) -> list[tuple[str, str]]:
    handlers = PythonHandlers(CONNECTORS)
    result = run_select(
        plan(sql, CONNECTORS), engine=engine.engine, handlers=handlers, resolve=handlers.resolve,
        clock=HandClock(),
    )  # fmt: skip
    try:
        return [(c.name, c.type) for c in result.columns]
    finally:
        result.close()


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("doc.price = 2.5", [1]),
        ("doc.price <> 2.5", [2, 3, 4, 5]),
        ("doc.price < 2.6", [1]),
        ("doc.price BETWEEN 2.5 AND 3", [1, 2]),
        ("NOT doc.price BETWEEN 2.5 AND 3", [4]),
        ("doc.price IN (2.5, 'x', 1e20)", [1, 4]),
        ("doc.price NOT IN (2.5, 3)", [3, 4, 5]),
        ("a > 3", [4]),
        ("a >= '2'", [3]),
        ("3 < a", [4]),
        ("doc.q > FALSE", [4]),
        ("doc.q < 'a'", []),
        ("a = '2.5'", [3]),
        ("a = {'a': 2, 'b': 1}", [5]),
        ("doc.price = n", [1, 2]),
        ("n = doc.price", [1, 2]),
        ("a = doc.price", [1, 2, 3]),
        ("a < doc.price", [4]),
        ("a IS NOT DISTINCT FROM n", [1, 2]),
        ("doc.missing IS NULL AND doc.q IS NULL", [3, 5]),
        ("doc.big = 1152921504606846977", [1]),
        ("doc.big > 1152921504606846977", [2]),
        ("doc.s = 'x'", [2]),
        ("doc.s LIKE '%b%'", [1]),
        ("doc.s MATCHES '^a'", [1]),
        ("doc.s = name", [1]),
        ("doc.flag", [1]),
        ("NOT doc.flag", [2]),
        ("doc.flag = TRUE OR doc.q = 2", [1, 2]),
        ("doc.t = TIMESTAMP '2024-01-02 01:00:00'", [1]),
        ("doc.t < TIMESTAMP '2024-01-02 00:30:00'", [2]),
        ("doc.t > d", [1, 2]),
        ("doc.price = 1e20", [4]),
        ("u CONTAINS 2.5", [1]),
        ("u[0] = 2.5", [1]),
        ("u = [2.5, 1]", [1]),
        ("tags CONTAINS doc.s", [1]),
        ("doc.l.b CONTAINS 20.5", [1]),
        ("doc.s CONTAINS 'b'", [1]),
        ("doc.lines[0].price = 2.5", [5]),
        ("(a, id) IN ((2.5, 1), (3, 3))", [1]),
        ("doc.price IN (SELECT n FROM pr.p)", [1, 2]),
        ("n IN (SELECT a FROM pr.p)", [1, 2]),
        ("a = ANY (SELECT n FROM pr.p)", [1, 2]),
        ("a = (SELECT max(n) FROM pr.p)", [2]),
        ("doc = (SELECT doc FROM pr.p WHERE id = 4)", [4]),
        ("CASE a WHEN 2.5 THEN TRUE END", [1]),
        ("nullif(a, 2.5) IS NULL", [1]),
        ("doc.price * 2 = 5 AND id < 3", [1]),
    ],
)
def test_comparisons_are_about_values_of_one_kind(
    engine: EngineRun, condition: str, ids: list[int]
) -> None:
    sql = f"SELECT id FROM pr.p WHERE {condition} ORDER BY id"
    assert [r[0] for r in rows(engine, sql)] == ids


@pytest.mark.parametrize(
    ("condition", "value", "ids"),
    [
        ("doc.price > @v", 2.4, [1, 2, 4]),
        ("doc.price = @v", 3.0, [2]),
        ("a = @v", {"a": 2.0, "b": 1}, [5]),
        ("doc = @v", ROWS[4]["doc"], [5]),
        ("a IN @v", [2.5, "x"], [1]),
        ("u = @v", [2.5, 1], [1]),
        ("u = @v", ["a"], [3]),
        ("doc.l.b = @v", [10, 20.5, "x"], [1]),
        ("doc.big = @v", BIG, [1]),
        ("doc.t = @v", datetime(2024, 1, 2, 1, tzinfo=UTC), [1]),
    ],
)
def test_bound_values_compare_as_written_ones(
    engine: EngineRun, condition: str, value: object, ids: list[int]
) -> None:
    sql = f"SELECT id FROM pr.p WHERE {condition} ORDER BY id"
    assert [r[0] for r in rows(engine, sql, {"v": value})] == ids


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("doc.price * 2", [5, 6]),
        ("-doc.price", [-2.5, -3]),
        ("doc.price + 0.1", [2.6, 3.1]),
        ("(doc.price + doc.q) * 2", [7, 10]),
        ("doc.price / 2", [1.25, 1.5]),
        ("doc.q % 2", [1, 0]),
        ("doc.big - 1152921504606846976", [1, 2]),
        ("round(doc.price)", [3, 3]),
        ("abs(doc.price)", [2.5, 3]),
        ("u[0] + n", [5, 6]),
        ("CAST(doc.big AS BIGINT) + 1", [BIG + 1, BIG + 2]),
        ("doc.t + INTERVAL 1 day > d", [True, True]),
        ("year(doc.t)", [2024, 2024]),
        ("CAST(doc.t AS date)", [date(2024, 1, 2)] * 2),
        ("greatest(doc.price, 2.7)", [2.7, 3]),
        ("least(a, 2.6)", [2.5, 2.6]),
        ("coalesce(doc.missing, doc.q, 0.5) * 2", [2, 4]),
        ("doc.l.b[-1]", [None, None]),
        ("doc.l.b[id]", [20.5, None]),
        ("doc.l.b[3 - 4]", [None, None]),
        ("doc.l.b[3 - 1]", ["x", None]),
        ("array_length(doc.l.b)", [3, 1]),
        ("length(doc.l.b)", [3, 1]),
        ("length(doc.s)", [3, 1]),
        ("upper(doc.s)", ["ABC", "X"]),
        ("substr(doc.s, 1, doc.q)", ["a", "x"]),
        ("doc.s || doc.price", ["abc2.5", "x3"]),
        ("array_contains(doc.l.b, 20.5)", [True, False]),
        ("array_join(doc.l.b, '-')", ["10-20.5-x", "1"]),
        ("array_append(u, 0.5) = [3, 0.5]", [False, True]),
        ("array_sort(u) = [1, 2.5]", [True, False]),
        ("list_filter(u, lambda x: x > 1.5) = [2.5]", [True, False]),
        ("[x * 2 for x in u] = [5, 2]", [True, False]),
        ("list_sum(u)", [3.5, 3]),
        ("{'x': doc.price}.x * 2", [5, 6]),
        ("json_extract(doc, '$.price')", [2.5, 3]),
    ],
)
def test_operators_and_functions_read_values_in_documents(
    engine: EngineRun, expression: str, found: list[Any]
) -> None:
    assert values(engine, expression) == pytest.approx(found)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT sum(doc.price), avg(doc.price), min(doc.price), max(doc.price) FROM pr.p "
         "WHERE id < 3", [(5.5, 2.75, 2.5, 3)]),
        ("SELECT sum(doc.price) FILTER (id = 1), sum(DISTINCT doc.q) FILTER (id < 3), "
         "max(doc.price) FILTER (id = 1) FROM pr.p", [(2.5, 3, 2.5)]),
        ("SELECT sum(doc.price) OVER (ORDER BY id) FROM pr.p WHERE id < 3", [(2.5,), (5.5,)]),
        ("SELECT sum(doc.price * doc.q), median(doc.price) FROM pr.p WHERE id < 3", [(8.5, 2.75)]),
        ("SELECT sum(doc.big - 1152921504606846976) FROM pr.p", [(3,)]),
        ("WITH c AS (SELECT doc.price AS p FROM pr.p WHERE id < 3) SELECT p * 2 FROM c "
         "WHERE p = 2.5", [(5,)]),
        ("SELECT a * 2 FROM (SELECT * EXCLUDE (n) FROM pr.p) WHERE a = 2.5", [(5,)]),
        ("SELECT x FROM pr.p, unnest(doc.l.b) q(x) WHERE x = 20.5", [(20.5,)]),
        ("SELECT p.id, q.id FROM pr.p p JOIN pr.p q ON p.doc.price = q.n", [(1, 1), (2, 2)]),
        ("SELECT a FROM pr.p WHERE id < 3 UNION SELECT 2.5 ORDER BY 1", [(2.5,), (3,)]),
        ("SELECT a, count(*) FROM pr.p GROUP BY a HAVING a > 2.6 ORDER BY a", [(3, 1), (10.25, 1)]),
        ("SELECT doc.price AS p FROM pr.p ORDER BY p DESC LIMIT 2", [({"x": 1},), ("2.5",)]),
        ("SELECT a AS id FROM pr.p WHERE n IS NOT NULL ORDER BY id DESC", [(3,), (2.5,)]),
        ("SELECT a, id FROM pr.p WHERE id IN (1, 2, 4) ORDER BY ALL DESC",
         [(10.25, 4), (3, 2), (2.5, 1)]),
        ("SELECT s.x * 2, s.y * 2 FROM (SELECT {'x': id, 'y': a} AS s FROM pr.p WHERE id = 1)",
         [(2, 5)]),
        ("SELECT a * 2 AS v, count(*) FROM pr.p WHERE id < 3 AND v > 5 GROUP BY v", [(6, 1)]),
        ("SELECT a, sum(doc.q) FROM pr.p WHERE id < 3 GROUP BY ALL ORDER BY ALL",
         [(2.5, 1), (3, 2)]),
        ("SELECT [l.price * 2 for l in doc.lines] = [5] FROM pr.p WHERE id = 5", [(True,)]),
        ("SELECT DISTINCT a FROM pr.p WHERE id < 4 ORDER BY 1", [(2.5,), (3,), ("2.5",)]),
    ],
)  # fmt: skip
def test_sums_orders_and_tables_hold_the_same_values(
    engine: EngineRun, sql: str, found: list[Any]
) -> None:
    assert rows(engine, sql) == found


@pytest.mark.parametrize(
    "expression",
    ["doc.big + 1", "sum(doc.big)", "sum(doc.price)", "a * 2", "doc.s + 1", "doc.big * doc.big"],
)
def test_what_would_lose_digits_or_is_no_number_is_refused(
    engine: EngineRun, expression: str
) -> None:
    with pytest.raises(MoltlerError) as raised:
        rows(engine, f"SELECT {expression} FROM pr.p")
    assert raised.value.code == "PLN007"


@pytest.mark.parametrize("condition", ["doc.price.abs() = 2", "a < ANY (SELECT n FROM pr.p)"])
def test_forms_that_cannot_be_read_by_value_are_refused(engine: EngineRun, condition: str) -> None:
    with pytest.raises(MoltlerError) as raised:
        rows(engine, f"SELECT id FROM pr.p WHERE {condition}")
    assert raised.value.code == "PLN004"


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("d = '2024-01-01T23:00:00-02:00'", [True, False]),
        ("d IN ('2024-01-01T23:00:00-02:00')", [True, False]),
        ("d BETWEEN '2024-01-01T23:00:00-02:00' AND '2024-01-03'", [True, False]),
        ("d = '2024-01-02'", [True, False]),
        ("CAST('2024-01-01T23:00:00-02:00' AS timestamp) = TIMESTAMP '2024-01-02 01:00:00'",
         [True, True]),
        ("CAST('2024-01-01T23:00:00-02:00' AS date) = d", [True, False]),
    ],
)  # fmt: skip
def test_texts_with_an_offset_are_days_and_times_in_utc(
    engine: EngineRun, expression: str, found: list[bool]
) -> None:
    assert values(engine, expression) == found


def test_columns_have_the_authors_names_and_declared_types(engine: EngineRun) -> None:
    sql = """SELECT doc, a, doc.price, u, doc.price *
        2, count(*) OVER (), (SELECT max(id) FROM pr.p), @n + 1, upper(doc.s) AS up,
        EXISTS (SELECT 1 FROM pr.p WHERE id = 12345678901 OR name = 'a long condition') FROM pr.p
        WHERE doc.price = 2.5"""
    planned = plan(sql, CONNECTORS, {"n": 1})
    assert planned.through == {0: "document", 1: "any", 3: "array"}
    assert columns(engine, sql.replace("@n", "1")) == [
        ("doc", "document"), ("a", "any"), ("price", "any"), ("u", "array"),
        ("doc.price * 2", "number"), ("count(*) OVER ()", "integer"),
        ("(SELECT max(id) FROM pr.p)", "integer"), ("1 + 1", "integer"), ("up", "string"),
        ("EXISTS (SELECT 1 FROM pr.p WHERE id = 12345678901 OR name =…", "boolean"),
    ]  # fmt: skip


def test_sql_without_documents_is_left_as_it_is() -> None:
    sql = "SELECT id, n * 2 AS x FROM pr.p WHERE n > 2.5 AND name LIKE 'a%' ORDER BY n"
    assert "v__" not in plan(sql, CONNECTORS).sql.lower()


@pytest.mark.parametrize("both", ["{} UNION ALL {}", "{1} UNION ALL {0}", "{} EXCEPT {}"])
def test_a_side_of_nulls_leaves_a_column_its_type(engine: EngineRun, both: str) -> None:
    query = both.format("SELECT name FROM pr.p", "SELECT NULL AS name")
    found = rows(engine, f"SELECT name FROM ({query}) x WHERE name <> TRUE ORDER BY 1")
    assert found == [("2.5",), ("abc",)]
