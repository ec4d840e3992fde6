"""EXPLAIN of plans: what handlers would be told, and why the rest stays here (LANGUAGE §6.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from exec.conftest import Bench
from moltler.exec.analyze import analyze
from moltler.exec.explain import COLUMNS, Row, explain
from moltler.flow.connector import CallLimits
from moltler.flow.scan import Feed, QueryPlan
from moltler.secret import Secret
from support.handlers import PythonHandlers, Table, entity, paged
from support.planning import plan

FIELDS = "id integer key, name string, status string, price number, at timestamp, doc document"
ROWS: list[dict[str, Any]] = [
    {"id": i, "name": f"n{i}", "status": "open" if i % 2 else "closed", "price": i / 2}
    for i in range(20)
]


def items(rows: Any = ROWS, **claims: Any) -> Table:
    return entity("items", FIELDS, rows, **claims)


def explained(query: str, *tables: Table, **variables: Any) -> tuple[Row, ...]:
    known = {"shop": list(tables) or [items()]}
    return explain(plan(query, known, variables), PythonHandlers(known).resolve)


def of(rows: tuple[Row, ...], item: str, scan: str = "scan_0") -> list[tuple[object, str | None]]:
    return [(row[2], row[3]) for row in rows if row[:2] == (scan, item)]


def local(query: str, *tables: Table, scan: str = "scan_0") -> list[tuple[object, str]]:
    found = of(explained(query, *tables), "local", scan)
    return [(text, (reason or "").partition(":")[0]) for text, reason in found]


def test_a_scan_is_told_in_the_order_of_the_language() -> None:
    rows = explained("SELECT id FROM shop.items WHERE status = 'open' AND price >= 3 LIMIT 2")
    assert [c.name for c in COLUMNS] == ["scan", "item", "value", "reason"]
    assert rows == (
        ("scan_0", "handler", "shop_type.items", "revision 1, instance shop"),
        ("scan_0", "filters", {"status": "open"}, None),
        (
            "scan_0",
            "where",
            [
                {"field": "status", "op": "=", "value": "open"},
                {"field": "price", "op": ">=", "value": 3.0},
            ],
            None,
        ),
        ("scan_0", "order_by", None, None),
        ("scan_0", "fields", ["id", "status", "price"], None),
        ("scan_0", "limit", 2, "handed over, may need a second call"),
        ("scan_0", "calls", 1, None),
        ("scan_0", "cache", "off", "the option cache_ttl is not set"),
    )


def test_what_explain_shows_is_what_the_handler_gets(bench: Bench) -> None:
    known = {"shop": [items()]}
    query = (
        "SELECT id, name FROM shop.items WHERE (status = 'open' OR price > 3) AND id IN (1, 3) "
        "AND at < TIMESTAMPTZ '2024-01-02 00:00:00Z' ORDER BY name DESC NULLS FIRST"
    )
    planned = plan(query, known)
    handlers = PythonHandlers(known)
    rows = explain(planned, handlers.resolve)
    with bench.start(handlers, planned.sql, *planned.scans, **planned.parameters) as result:
        list(result.rows())
    told = {item: value for _, item, value, _ in rows}
    options = handlers.last_call.options
    # The stand-in for JavaScript writes microseconds.
    told["where"][-1]["value"] = "2024-01-02T00:00:00.000000Z"  # type: ignore[index]
    assert [told[k] for k in ("where", "order_by", "fields")] == [
        options[k] for k in ("where", "order_by", "fields")
    ]
    assert told["filters"] == handlers.last_call.filters


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT id FROM shop.items", "the SELECT of this scan has no LIMIT"),
        ("SELECT DISTINCT id FROM shop.items LIMIT 1", "L1"),
        ("SELECT count(*) FROM shop.items LIMIT 1", "L1"),
        ("SELECT a.id FROM shop.items a JOIN shop.items b ON a.name = b.name LIMIT 1", "L1"),
        ("SELECT id FROM shop.items WHERE lower(name) = 'x' LIMIT 1", "L2"),
        ("SELECT id FROM shop.items LIMIT (SELECT 3)", "L3"),
        ("SELECT id FROM shop.items ORDER BY price LIMIT 1", "L4"),
        ("SELECT id FROM shop.items LIMIT 10001", "L6"),
    ],
)
def test_a_limit_that_stays_here_says_which_rule_forbids_it(query: str, reason: str) -> None:
    ((value, told),) = of(explained(query), "limit")
    assert value is None
    assert told is not None
    assert told.startswith(reason)


def test_a_claimed_limit_says_so() -> None:
    table = items(claims={"status": ["="]}, limit=True)
    rows = explained("SELECT id FROM shop.items WHERE status = 'open' LIMIT 3 OFFSET 2", table)
    assert of(rows, "limit") == [(5, "handed over, claimed exact")]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("WHERE lower(name) = 'x'", [("LOWER(name) = 'x'", "no operator says it")]),
        ("WHERE id = 1.5", [("id = 1.5", "no operator says it")]),
        ("WHERE status = 'open'", []),
    ],
)
def test_a_condition_that_no_operator_says_is_local(
    condition: str, expected: list[tuple[str, str]]
) -> None:
    assert [(t, r[: len("no operator says it")]) for t, r in local(
        f"SELECT id FROM shop.items {condition}"
    )] == expected  # fmt: skip


@pytest.mark.parametrize(
    ("join", "scan", "expected"),
    [
        ("LEFT JOIN shop.items b ON b.id = a.id WHERE b.name IS NULL", 1, ("name IS NULL", "P1")),
        ("RIGHT JOIN shop.items b ON b.id = a.id AND b.name = 'x'", 1, ("name = 'x'", "P2")),
        ("LEFT JOIN shop.items b ON b.id = a.id AND a.name = 'x'", 0, ("name = 'x'", "P3")),
        ("FULL JOIN shop.items b ON b.id = a.id AND a.name = 'x'", 0, ("name = 'x'", "P4")),
    ],
)
def test_a_condition_of_an_outer_join_that_stays_here_names_its_rule(
    join: str, scan: int, expected: tuple[str, str]
) -> None:
    assert local(f"SELECT a.id FROM shop.items a {join}", scan=f"scan_{scan}") == [expected]


@pytest.mark.parametrize(
    "source",
    [
        "(SELECT * FROM shop.items LIMIT 5)",
        "(SELECT *, row_number() OVER (ORDER BY id) AS n FROM shop.items)",
    ],
)
def test_a_condition_outside_a_subquery_is_told_with_the_scan_inside(source: str) -> None:
    query = f"SELECT id FROM {source} AS t WHERE status = 'open'"
    assert local(query) == [("status = 'open'", "P5")]


def test_a_condition_on_a_cte_that_is_read_twice_is_told_once_for_each_reading() -> None:
    query = (
        "WITH t AS (SELECT * FROM shop.items) "
        "SELECT x.id FROM t x JOIN t y ON x.name = y.name WHERE x.status = 'open'"
    )
    assert local(query) == [("status = 'open'", "P5")]


def test_sort_keys_that_no_handler_is_told_are_local() -> None:
    query = "SELECT id FROM shop.items ORDER BY lower(name) DESC, price"
    assert local(query) == [
        ("ORDER BY LOWER(name) DESC", "the sort key is no plain field of this scan"),
        ("ORDER BY price", "another key of this ORDER BY is no plain field"),
    ]
    join = "SELECT a.id FROM shop.items a JOIN shop.items b ON a.name = b.name ORDER BY b.price"
    assert local(join) == []
    assert [text for text, _ in local(join, scan="scan_1")] == ["ORDER BY price"]
    assert local("SELECT id FROM shop.items ORDER BY price") == []


@pytest.mark.parametrize("rest", ["WHERE id = 1 AND id = 2", "LIMIT 0"])
def test_a_query_that_needs_no_row_calls_nothing(rest: str) -> None:
    ((calls, _),) = of(explained(f"SELECT id FROM shop.items {rest}"), "calls")
    assert calls == 0


def test_values_of_secrets_are_masked_wherever_they_stand() -> None:
    known = {"shop": [items()]}
    planned = plan(
        "SELECT id FROM shop.items WHERE name = @word AND lower(status) = @word",
        known,
        {"word": "hunter2-secret"},
    )
    target = replace(
        PythonHandlers(known).resolve("shop"), secrets=(Secret("token", "hunter2-secret"),)
    )
    rows = explain(planned, lambda _name: target)
    assert "hunter2" not in repr(rows)
    assert of(rows, "filters") == [({"name": "[secret token]"}, None)]


# ── keys of other scans ──────────────────────────────────────────────────────────────────────


def fed(*feeds: Feed) -> tuple[Row, ...]:
    handlers = PythonHandlers({"shop": [items()]})
    scans = (
        handlers.request("scan_0", "shop.items", feeds=feeds),
        handlers.request("scan_1", "shop.items"),
    )
    return explain(QueryPlan("SELECT 1", {}, scans), handlers.resolve)


def test_a_scan_that_waits_for_keys_stands_behind_the_one_that_gives_them() -> None:
    rows = fed(Feed("id", "in", "scan_1", "price"))
    assert [row[0] for row in rows if row[1] == "handler"] == ["scan_1", "scan_0"]
    assert of(rows, "join", "scan_1") == [("driver", "its keys go to scan_0.id")]
    assert of(rows, "join") == [("keys from scan_1.price", "id: IN, 50 keys a call")]
    assert of(rows, "calls")[0][0] == 0


def test_a_list_of_values_costs_a_call_for_each_part() -> None:
    rows = fed(Feed("id", "=", values=(1, 2, 3)), Feed("price", "in", values=tuple(range(60))))
    assert [value for value, _ in of(rows, "join")] == [
        "3 keys from a list",
        "60 keys from a list",
    ]
    assert of(rows, "calls")[0][0] == 6


# ── ANALYZE ──────────────────────────────────────────────────────────────────────────────────


def figures(
    bench: Bench, query: str, *tables: Table, limits: CallLimits | None = None
) -> dict[tuple[object, object], object]:
    known = {"shop": list(tables)}
    handlers = PythonHandlers(known, limits=limits)
    table = analyze(
        plan(query, known),
        engine=bench.engine,
        handlers=handlers,
        resolve=handlers.resolve,
        clock=bench.clock,
    )
    return {(scan, item): value for scan, item, value, _ in table.rows}


def in_pages(_config: Any, _filters: Any, _options: Any) -> Iterator[Any]:
    return paged(ROWS, 8)


def cut_at_limit(_config: Any, _filters: Any, options: Any) -> list[dict[str, Any]]:
    return ROWS[: options.get("limit", len(ROWS))]


def test_analyze_counts_what_a_scan_received_and_kept(bench: Bench) -> None:
    query = "SELECT id, doc.a AS a FROM shop.items WHERE price >= 4 AND lower(name) <> 'n19'"
    found = figures(bench, query, items(in_pages))
    wanted = ("calls_made", "second_calls", "requests", "pages", "rows_received", "rows_kept")
    assert [found["scan_0", item] for item in wanted] == [1, 0, 3, 3, 20, 11]
    assert found[None, "rows"] == 11
    assert found[None, "complete"] is True
    assert {item for _, item in found} >= {"api_ms", "javascript_ms", "engine_ms", "total_ms"}


def test_analyze_counts_a_second_call_and_keeps_only_its_rows(bench: Bench) -> None:
    query = "SELECT id FROM shop.items WHERE id >= 10 LIMIT 3"
    found = figures(bench, query, items(cut_at_limit))
    wanted = ("calls_made", "second_calls", "rows_received", "rows_kept")
    assert [found["scan_0", item] for item in wanted] == [2, 1, 23, 10]
    assert found[None, "rows"] == 3


def test_analyze_stops_where_the_query_would(bench: Bench) -> None:
    found = figures(bench, "SELECT id FROM shop.items LIMIT 2", items(in_pages))
    assert found["scan_0", "pages"] == 1
    assert found["scan_0", "rows_received"] == 8


def test_rows_kept_are_unknown_where_conditions_are_about_more_than_the_scan(
    bench: Bench,
) -> None:
    query = "SELECT a.id FROM shop.items a JOIN shop.items b ON a.id = b.id WHERE a.id > 3"
    found = figures(bench, query, items(in_pages))
    assert found["scan_0", "rows_kept"] is None
    assert found["scan_1", "rows_kept"] == 20
    correlated = (
        "SELECT a.id FROM shop.items a "
        "WHERE EXISTS (SELECT 1 FROM shop.items b WHERE b.id = a.id AND b.name = 'n3')"
    )
    assert figures(bench, correlated, items(in_pages))["scan_1", "rows_kept"] is None


def test_analyze_tells_that_rows_may_be_missing(bench: Bench) -> None:
    table = items(in_pages, incomplete_reason="possibly_incomplete")
    found = figures(bench, "SELECT id FROM shop.items", table)
    assert found[None, "complete"] is False


def test_analyze_fails_as_the_query_does(bench: Bench) -> None:
    limits = CallLimits(max_results=10)
    with pytest.raises(Exception, match="max_results") as caught:
        figures(bench, "SELECT id FROM shop.items", items(in_pages), limits=limits)
    assert getattr(caught.value, "code", None) == "PLN010"
