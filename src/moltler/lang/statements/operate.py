"""Statements that look and act: SHOW, DESCRIBE, SELECT, QUERY, EXPLAIN, CONNECTOR_EXEC."""

from __future__ import annotations

from typing import Any

from moltler.lang import ast
from moltler.lang.cursor import Clause, Cursor
from moltler.lang.expr import condition, execution, expression


def show(cursor: Cursor) -> ast.Statement:
    """Read SHOW."""
    start = cursor.expect("SHOW").start
    match cursor.token.folded:
        case "CONNECTORS" | "DESTINATIONS" | "SYNCS" | "PACKAGES" | "CACHE":
            subject = cursor.advance().folded
            return ast.Show(
                subject,  # type: ignore[arg-type] # one of the five above
                span=cursor.span_from(start),
            )
        case "TESTS":
            cursor.advance()
            type_name = None
            if cursor.take("FOR"):
                cursor.expect("CONNECTOR")
                cursor.expect("TYPE")
                type_name = cursor.quoted_name("type")
            return ast.ShowTests(type_name, span=cursor.span_from(start))
        case "CONNECTOR":
            cursor.advance()
            return _show_connector(cursor, start)
        case _:
            return cursor.unexpected(
                "CONNECTORS", "CONNECTOR", "DESTINATIONS", "SYNCS", "PACKAGES", "TESTS", "CACHE"
            )


def _show_connector(cursor: Cursor, start: int) -> ast.Statement:
    if cursor.take("TYPES"):
        return ast.Show("TYPES", span=cursor.span_from(start))
    if cursor.at("TYPE"):
        cursor.advance()
        name = cursor.quoted_name("type")
        return ast.ShowType(name, span=cursor.span_from(start))
    connector = cursor.instance()
    aspect: ast.ConnectorAspect | None = None
    limit: int | None = None
    match cursor.token.folded if cursor.token.kind == "word" else "":
        case "STATUS" | "ENTITIES" | "ACTIONS":
            word = cursor.advance().folded
            aspect = word  # type: ignore[assignment] # one of the three above
        case "SYNC" | "ACTION":
            word = cursor.advance().folded
            cursor.expect("HISTORY")
            aspect = "SYNC HISTORY" if word == "SYNC" else "ACTION HISTORY"
            limit = cursor.integer("LIMIT") if cursor.take("LIMIT") else None
        case "":
            pass
        case _:
            cursor.unexpected("STATUS", "ENTITIES", "ACTIONS", "SYNC HISTORY", "ACTION HISTORY")
    return ast.ShowConnector(connector, aspect, limit, span=cursor.span_from(start))


def describe(cursor: Cursor) -> ast.Describe:
    """Read DESCRIBE."""
    start = cursor.expect("DESCRIBE", "DESC").start
    first = cursor.token.start
    path = [cursor.name("a connector")]
    cursor.expect_symbol(".")
    path.append(cursor.name("an entity or action"))
    if cursor.take_symbol("."):
        path.append(cursor.name("an action"))
    path_span = cursor.span_from(first)
    return ast.Describe(tuple(path), path_span, span=cursor.span_from(start))


def select(cursor: Cursor) -> ast.Select:
    """Read a SELECT statement."""
    start = cursor.token.start
    sql, into = cursor.sql()
    return ast.Select(sql, into, span=cursor.span_from(start))


def query(cursor: Cursor) -> ast.Query:
    """Read the short form QUERY."""
    start = cursor.expect("QUERY").start
    connector = cursor.name("a connector")
    cursor.expect_symbol(".")
    entity = cursor.name("an entity")
    found: dict[str, Any] = cursor.clauses(
        "QUERY",
        Clause(("WHERE",), lambda: condition(cursor)),
        Clause(("ORDER", "BY"), lambda: _sort_keys(cursor)),
        Clause(("LIMIT",), lambda: expression(cursor)),
        Clause(("INTO",), lambda: cursor.name("a variable")),
    )
    return ast.Query(
        connector,
        entity,
        found.get("WHERE"),
        found.get("ORDER BY", ()),
        found.get("LIMIT"),
        found.get("INTO"),
        span=cursor.span_from(start),
    )


def _sort_keys(cursor: Cursor) -> tuple[ast.SortKey, ...]:
    with cursor.sql_names():
        keys = [_sort_key(cursor)]
        while cursor.take_symbol(","):
            keys.append(_sort_key(cursor))
    return tuple(keys)


def _sort_key(cursor: Cursor) -> ast.SortKey:
    start = cursor.token.start
    name = cursor.name("a field")
    descending = cursor.at("DESC")
    cursor.take("ASC", "DESC")
    nulls_first = None
    if cursor.take("NULLS"):
        nulls_first = cursor.expect("FIRST", "LAST").folded == "FIRST"
    return ast.SortKey(name, descending, nulls_first, span=cursor.span_from(start))


def explain(cursor: Cursor) -> ast.Explain:
    """Read EXPLAIN [ANALYZE] of a SELECT or an action."""
    start = cursor.expect("EXPLAIN").start
    analyze = cursor.take("ANALYZE")
    if cursor.at("CONNECTOR_EXEC", "EXEC"):
        if analyze:
            cursor.fail(
                "SYN001",
                "EXPLAIN ANALYZE takes a SELECT only",
                hint="EXPLAIN without ANALYZE is the dry run of an action",
            )
        call = execution(cursor)
        return ast.Explain(call, span=cursor.span_from(start))
    if not cursor.at_select():
        cursor.unexpected("SELECT", "CONNECTOR_EXEC")
    sql = cursor.sql_alone("after EXPLAIN")
    return ast.Explain(sql, analyze, span=cursor.span_from(start))


def clear(cursor: Cursor) -> ast.ClearCache:
    """Read CLEAR CACHE."""
    start = cursor.expect("CLEAR").start
    cursor.expect("CACHE")
    connector = None
    if cursor.take("FOR"):
        cursor.expect("CONNECTOR")
        connector = cursor.name("a connector")
    return ast.ClearCache(connector, span=cursor.span_from(start))


def execute(cursor: Cursor) -> ast.ExecStatement:
    """Read CONNECTOR_EXEC as a statement."""
    start = cursor.token.start
    call = execution(cursor)
    into = cursor.name("a variable") if cursor.take("INTO") else None
    return ast.ExecStatement(call, into, span=cursor.span_from(start))
