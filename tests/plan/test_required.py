"""Required filters, and the short form QUERY."""

from __future__ import annotations

import pytest

from moltler.errors import MoltlerError, Source
from moltler.exec.duck import Engine
from moltler.flow.scan import QueryPlan
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.plan.planner import plan_query
from support.handlers import entity
from support.planning import NOW, FixedTables, FixedVariables, plan

CONNECTORS = {
    "tracker": [
        entity(
            "issues",
            "id integer key, repo string, opened timestamp, title string",
            [],
            claims={"repo": ["="], "opened": [">=", "<="]},
            required=["repo"],
        ),
        entity("repos", "id integer key, name string", []),
        entity(
            "events",
            "id integer key, at timestamp",
            [],
            claims={"at": [">="]},
            required=["at"],
        ),
    ]
}


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM tracker.issues WHERE repo = 'a'",
        "SELECT id FROM tracker.issues WHERE 'a' = repo AND title LIKE 'x%'",
        "SELECT id FROM tracker.issues WHERE repo IN ('a')",
        "SELECT id FROM tracker.issues WHERE repo = @v",
        "SELECT id FROM (SELECT * FROM tracker.issues) x WHERE x.repo = 'a'",
        "SELECT r.id FROM tracker.repos r LEFT JOIN tracker.issues i ON i.repo = 'a' AND i.id = 1",
        "SELECT id FROM tracker.issues WHERE (repo = 'a' AND id = 1) OR (repo = 'a' AND id = 2)",
        "SELECT id FROM tracker.issues i WHERE i.REPO = 'a' AND id = 1 OR (title = 'x' AND"
        " repo = 'a') OR ((repo = 'a') AND id = 3 AND title IS NULL)",
        "SELECT id FROM tracker.issues WHERE repo = 'a' OR (repo = 'a' AND id = 2)",
        "SELECT id FROM tracker.issues WHERE (repo = @v AND id = 1 OR repo = @v AND id = 2)",
        "SELECT r.id FROM tracker.repos r LEFT JOIN tracker.issues i"
        " ON (i.repo = 'a' AND r.id = 1) OR (i.repo = 'a' AND i.id = 2)",
        "SELECT id FROM tracker.events WHERE at >= '2024-01-01'",
        "SELECT id FROM tracker.events WHERE at = '2024-01-01'",
    ],
)
def test_a_required_filter_may_come_from_where_or_on(text: str) -> None:
    assert plan(text, CONNECTORS, {"v": "x"}).scans


@pytest.mark.parametrize(
    "condition", ["repo = NULL", "repo = @v", "repo IN (NULL)", "id = 1 AND @v = repo"]
)
def test_a_required_filter_beside_null_is_empty_without_a_call(condition: str) -> None:
    (scan,) = plan(
        f"SELECT id FROM tracker.issues WHERE {condition}", CONNECTORS, {"v": None}
    ).scans
    assert scan.is_empty


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM tracker.issues",
        "SELECT id FROM tracker.issues WHERE repo > 'a'",
        "SELECT id FROM tracker.issues WHERE repo = 'a' OR id = 1",
        "SELECT id FROM tracker.issues WHERE (repo = 'a' AND id = 1) OR (repo = 'b' AND id = 2)",
        "SELECT id FROM tracker.issues WHERE (repo = 'a' AND id = 1) OR id = 2",
        "SELECT i.id FROM tracker.issues i, tracker.issues j WHERE j.repo = 'c' AND"
        " ((i.repo = 'a' AND i.id = 1) OR (j.repo = 'a' AND i.id = 2))",
        "SELECT id FROM tracker.issues WHERE NOT (repo = 'a' AND id = 1 OR repo = 'a' AND id = 2)",
        "SELECT id FROM tracker.issues WHERE upper(repo) = 'A'",
        "SELECT id FROM tracker.issues WHERE repo IN ('a', NULL)",
        "SELECT id FROM tracker.events WHERE at < '2024-01-01'",
    ],
)
def test_a_missing_required_filter_is_refused(text: str) -> None:
    with pytest.raises(MoltlerError) as caught:
        plan(text, CONNECTORS)
    assert caught.value.code == "PLN001"
    assert "add WHERE" in (caught.value.hint or "")
    assert caught.value.line == 1


def test_required_filter_left_join() -> None:
    with pytest.raises(MoltlerError) as caught:
        plan(
            "SELECT r.id FROM tracker.issues i RIGHT JOIN tracker.repos r "
            "ON r.id = i.id WHERE i.repo IS NULL",
            CONNECTORS,
        )
    assert caught.value.code == "PLN001"


@pytest.mark.parametrize(
    ("condition", "written"),
    [
        ("repo = 'a' AND id = 1 OR repo = 'a' AND id = 2", "repo = 'a' AND (id = 1 OR id = 2)"),
        ("repo = 'a' OR repo = 'a' AND id IS NULL", "repo = 'a'"),
        ("(id > 1 AND repo = 'a' AND repo = 'a') OR (repo = 'a' AND id < 0)",
         "repo = 'a' AND (id > 1 AND repo = 'a' OR id < 0)"),
    ],
)  # fmt: skip
def test_what_all_branches_share_keeps_the_same_rows(condition: str, written: str) -> None:
    """With every combination of values, NULL among them, DuckDB says the same of both."""
    (scan,) = plan(f"SELECT id FROM tracker.issues WHERE {condition}", CONNECTORS).scans
    assert scan.filters == {"repo": "a"}
    values = "(VALUES ('a'), ('b'), (NULL)) AS r(repo), (VALUES (-1), (1), (2), (NULL)) AS i(id)"
    engine = Engine(threads=1)
    both = f"(({condition}) IS NOT DISTINCT FROM ({written}))"
    assert engine.evaluate_constant(f"SELECT bool_and({both}) FROM {values}") is True
    engine.close()


# ── QUERY ────────────────────────────────────────────────────────────────────────────────────────


def _query(text: str, variables: dict[str, object] | None = None) -> QueryPlan:
    statement = parse(Source("test.moltler", text)).statements[-1]
    assert isinstance(statement, ast.Query)
    return plan_query(
        statement,
        FixedTables(CONNECTORS),
        FixedVariables(variables, positional=(1, 2)),
        now=NOW,
    )


def test_the_short_form_is_a_select_of_everything() -> None:
    planned = _query("QUERY tracker.repos WHERE name = 'a' ORDER BY id DESC LIMIT 3")
    assert planned.sql == (
        'SELECT * FROM scan_0 AS "repos" WHERE "name" = \'a\' ORDER BY "id" DESC LIMIT 3'
    )
    assert planned.scans[0].fields is None


def test_its_condition_is_read_by_the_rules_of_sql() -> None:
    planned = _query(r"""QUERY tracker.repos WHERE "name" = 'a\n' AND id = v""", {"v": 4})
    assert dict(planned.scans[0].filters) == {"id": 4, "name": r"a\n"}


def test_its_clauses_may_stand_in_any_order() -> None:
    planned = _query("QUERY tracker.repos LIMIT 3 WHERE id = ? ORDER BY name;")
    assert planned.sql == (
        'SELECT * FROM scan_0 AS "repos" WHERE "id" = $v0 ORDER BY "name" LIMIT 3'
    )
    assert list(planned.parameters.values()) == [1]


def test_it_may_do_without_clauses_and_with_into() -> None:
    assert _query("QUERY tracker.repos").sql == 'SELECT * FROM scan_0 AS "repos"'
    assert _query("QUERY tracker.repos INTO x").sql == 'SELECT * FROM scan_0 AS "repos"'
    planned = _query("QUERY tracker.repos WHERE id = 1 INTO x")
    assert planned.sql == 'SELECT * FROM scan_0 AS "repos" WHERE "id" = 1'
    planned = _query("QUERY tracker.repos INTO x WHERE id = 1")
    assert planned.sql == 'SELECT * FROM scan_0 AS "repos" WHERE "id" = 1'


def test_its_errors_point_into_the_script() -> None:
    with pytest.raises(MoltlerError) as caught:
        _query("PRINT 1;\nQUERY tracker.repos\n  WHERE nme = 'a'")
    assert (caught.value.code, caught.value.line, caught.value.column) == ("PLN002", 3, 9)


def test_its_errors_point_at_the_statement_where_clauses_are_out_of_order() -> None:
    with pytest.raises(MoltlerError) as caught:
        _query("PRINT 1;\nQUERY tracker.repos LIMIT 1 WHERE nme = 'a'")
    assert (caught.value.code, caught.value.line, caught.value.column) == ("PLN002", 2, 1)
