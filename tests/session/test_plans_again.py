"""The same text asked again: its plan is kept only where it would come out the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import moltler
from moltler.plan import planner

FIELDS = '{"id": {"type": "integer"}, "name": {"type": "string"}, "told": {"type": "string"}}'
DEFINITION = """
CREATE CONNECTOR TYPE 'p' CONFIG_SCHEMA {};
CREATE CONNECTOR ENTITY 'p.rows' FIELDS %s PUSHDOWN {"filters": {"id": ["=", ">"]}}
QUERY_HANDLER '''function query(config, filters, options) {
    const told = JSON.stringify(options.where ?? []);
    return [{id: 1, name: 'true', told}, {id: 2, name: '2', told}];
}''';
REGISTER CONNECTOR TYPE 'p'; CREATE CONNECTOR p TYPE 'p'
"""


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were planned, and not recalled."""
    texts: list[str] = []
    plan_select = planner.plan_select

    def noting(sql: Any, *arguments: Any, **named: Any) -> Any:
        texts.append(sql.text)
        return plan_select(sql, *arguments, **named)

    monkeypatch.setattr(planner, "plan_select", noting)
    return texts


@pytest.fixture
def rows(session: moltler.Session) -> moltler.Session:
    session.execute(DEFINITION % FIELDS)
    return session


def told(session: moltler.Session, sql: str, given: Mapping[str, object] | Sequence[object]) -> Any:
    """What the handler was told of the conditions, or ``None`` where no row is left."""
    found = list(session.execute(sql, given).rows())
    return json.loads(str(found[0][0])) if found else None


def test_the_same_text_is_planned_once(rows: moltler.Session, planned: list[str]) -> None:
    for _ in range(3):
        assert list(rows.execute("SELECT id FROM p.rows WHERE id > 1").rows()) == [(2,)]
    assert planned == ["SELECT id FROM p.rows WHERE id > 1"]


def test_other_values_are_planned_anew_and_equal_ones_are_not(
    rows: moltler.Session, planned: list[str]
) -> None:
    for sql, name in (("SELECT told FROM p.rows WHERE id = ?", None),
                      ("SELECT told FROM p.rows WHERE id = @wanted", "wanted")):  # fmt: skip
        planned.clear()
        for value in (1, 2, 2, 1):
            given = [value] if name is None else {name: value}
            (condition,) = told(rows, sql, given)
            assert condition["value"] == value
        assert len(planned) == 3


@pytest.mark.parametrize(
    ("first", "second"), [(1, True), ("1", 1), (2, "2"), (2, 2.0), ("true", True)]
)
def test_equal_values_of_other_types_are_other_values(
    rows: moltler.Session, planned: list[str], first: object, second: object
) -> None:
    for value in (first, second):
        try:
            rows.execute("SELECT name FROM p.rows WHERE name = @v", {"v": value}).close()
        except moltler.PlanError:
            continue
    assert len(planned) == 2


def test_a_definition_that_changes_changes_the_plan(
    rows: moltler.Session, planned: list[str]
) -> None:
    with rows.execute("SELECT * FROM p.rows") as result:
        assert len(result.columns) == 3
    changed = DEFINITION % FIELDS.replace('"told": {"type": "string"}', '"more": {"type": "any"}')
    rows.execute(changed[: changed.index("CREATE CONNECTOR p ")].replace("CREATE CONNECTOR TYPE",
        "CREATE OR REPLACE CONNECTOR TYPE").replace("CREATE CONNECTOR ENTITY",
        "CREATE OR REPLACE CONNECTOR ENTITY"))  # fmt: skip
    rows.execute("DROP CONNECTOR p; CREATE CONNECTOR p TYPE 'p'")
    with rows.execute("SELECT * FROM p.rows") as result:
        assert [c.name for c in result.columns] == ["id", "name", "more"]
    rows.execute("DROP CONNECTOR p")
    with pytest.raises(moltler.LookupFailed):
        rows.execute("SELECT * FROM p.rows")


def test_the_time_of_a_statement_is_never_kept(rows: moltler.Session, planned: list[str]) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    times = [rows.execute("SELECT NOW()").value for _ in range(2)]
    assert all(isinstance(t, datetime) and t > before for t in times)
    assert times[0] != times[1]
    assert len(planned) == 2


def test_environment_and_variables_are_looked_at_each_time(
    rows: moltler.Session, planned: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("1", "2"):
        monkeypatch.setenv("WANTED", value)
        assert rows.execute("SELECT ENV('WANTED')").value == value
        rows.execute(f"{'DECLARE' if value == '1' else 'SET'} wanted = {value}")
        assert list(rows.execute("SELECT id FROM p.rows WHERE id = @wanted").rows()) == [
            (int(value),)
        ]
    assert len(planned) == 4


def test_a_variable_that_comes_into_being_is_seen(rows: moltler.Session) -> None:
    sql = "SELECT id, r.name FROM p.rows r WHERE r.id = 2"
    assert list(rows.execute(sql).rows()) == [(2, "2")]
    rows.execute("DECLARE r = 1; DECLARE id = 7")
    assert list(rows.execute(sql).rows()) == [(2, "2")]


def test_warnings_name_the_line_of_this_script(rows: moltler.Session) -> None:
    sql = "SELECT id FROM p.rows WHERE id = id"
    with rows.execute(sql) as first, rows.execute("\n\n" + sql) as second:
        assert [r.warnings[0].source for r in (first, second)] == ["line 1", "line 3"]
