"""Statements about tests: TEST, RUN TEST, and what only a test may say."""

from __future__ import annotations

from typing import Any

from moltler.lang import ast
from moltler.lang.cursor import BodyReader, Clause, Cursor
from moltler.lang.expr import array, document, interval
from moltler.lang.literals import duration, string_array

_STATEMENT = "TEST CONNECTOR TYPE"


def test(cursor: Cursor, read_body: BodyReader) -> ast.Statement:
    """Read TEST CONNECTOR of an instance, or the definition of a test."""
    opening = cursor.expect("TEST")
    cursor.expect("CONNECTOR")
    if not cursor.take("TYPE"):
        return ast.TestConnector(cursor.instance(), span=cursor.span_from(opening.start))
    type_name = cursor.quoted_name("type")
    head = cursor.span_from(opening.start)
    found: dict[str, Any] = cursor.clauses(
        _STATEMENT,
        Clause(("NAME",), lambda: cursor.string("the name of the test")),
        Clause(("DESCRIPTION",), lambda: cursor.string("a description")),
        Clause(("TAGS",), lambda: string_array(cursor)),
        Clause(("MOCK_API",), lambda: document(cursor)),
        Clause(("SECRETS",), lambda: document(cursor)),
        Clause(("ENV",), lambda: document(cursor)),
        Clause(("FAULTS",), lambda: array(cursor)),
        Clause(("TIMEOUT",), lambda: duration(cursor, "a duration")),
        Clause(("SKIP",), lambda: cursor.string("a reason")),
        Clause(("EXPECT", "ERROR"), lambda: _expected(cursor)),
    )
    if not cursor.at("BEGIN"):
        cursor.unexpected("BEGIN")
    cursor.note("clause")
    cursor.advance()
    body = read_body(cursor, "test")
    teardown = read_body(cursor, "test") if cursor.take("TEARDOWN") else ()
    _close(cursor, opening.start)
    cursor.require(found, _STATEMENT, head, "NAME")
    return ast.TestDefinition(
        type_name,
        found["NAME"],
        body,
        teardown,
        found.get("DESCRIPTION"),
        found.get("TAGS", ()),
        found.get("MOCK_API"),
        found.get("SECRETS"),
        found.get("ENV"),
        found.get("FAULTS"),
        found.get("TIMEOUT"),
        found.get("SKIP"),
        found.get("EXPECT ERROR"),
        span=cursor.span_from(opening.start),
    )


test.__test__ = False  # type: ignore[attr-defined] # pytest collects what is called test


def _close(cursor: Cursor, start: int) -> None:
    if cursor.take("END") and cursor.take("TEST"):
        return
    line, _ = cursor.scanner.position(start)
    cursor.fail(
        "SYN001",
        f"expected END TEST for the TEST of line {line}, found {cursor.token}",
        hint="close it with END TEST;",
    )


def _expected(cursor: Cursor) -> ast.ExpectError:
    start = cursor.position
    type_name = cursor.name("an error type") if cursor.take("TYPE") else None
    if cursor.take("LIKE"):
        pattern = cursor.string("a pattern")
        return ast.ExpectError(type_name, "LIKE", pattern, span=cursor.span_from(start))
    if cursor.take("MATCHES"):
        pattern = cursor.string("a pattern")
        return ast.ExpectError(type_name, "MATCHES", pattern, span=cursor.span_from(start))
    return ast.ExpectError(type_name, span=cursor.span_from(start))


def run(cursor: Cursor) -> ast.Statement:
    """Read RUN TEST, RUN TESTS and RUN ALL TESTS."""
    start = cursor.expect("RUN").start
    if cursor.take("ALL"):
        cursor.expect("TESTS")
        return ast.RunTests(span=cursor.span_from(start))
    if cursor.expect("TEST", "TESTS", "ALL").folded == "TEST":
        name = cursor.string("the name of a test")
        type_name = _for_type(cursor)
        return ast.RunTest(name, type_name, span=cursor.span_from(start))
    type_name = _for_type(cursor)
    tag = None
    if cursor.take("WHERE"):
        cursor.expect("TAGS")
        cursor.expect("CONTAINS")
        tag = cursor.string("a tag")
    return ast.RunTests(type_name, tag, span=cursor.span_from(start))


def _for_type(cursor: Cursor) -> ast.QuotedName:
    cursor.expect("FOR")
    cursor.expect("CONNECTOR")
    cursor.expect("TYPE")
    return cursor.quoted_name("type")


def advance_clock(cursor: Cursor) -> ast.AdvanceClock:
    """Read ADVANCE CLOCK."""
    start = cursor.expect("ADVANCE").start
    cursor.expect("CLOCK")
    return ast.AdvanceClock(interval(cursor), span=cursor.span_from(start))


def skip(cursor: Cursor) -> ast.SkipTest:
    """Read SKIP."""
    start = cursor.expect("SKIP").start
    return ast.SkipTest(cursor.string("a reason"), span=cursor.span_from(start))
