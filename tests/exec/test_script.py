"""Script statements over a door that answers from a table."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from moltler.errors import ErrorContext, MoltlerError, Source, error_class
from moltler.exec.scope import Scope
from moltler.flow.result import ActionResult, Column, Done, Outcome, Table
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.session.script import Door, run
from support.expressions import NOW, FixedEnvironment

Row = dict[str, object]


@dataclass
class ListStream:
    """Rows of one integer column; may fail after the last of them."""

    rows: list[Row]
    failure: MoltlerError | None = None
    read: int = 0
    is_closed: bool = False
    incomplete_reason: None = None
    warnings: tuple[()] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        return (Column("id", "integer"),)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([("id", pa.int64())])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for row in self.rows:
            self.read += 1
            yield pa.record_batch([pa.array([row["id"]], pa.int64())], schema=self.schema)
        if self.failure:
            raise self.failure

    def close(self) -> None:
        self.is_closed = True


@dataclass
class TableDoor:
    """Answers SELECTs by their text; failing ones fail when they are read."""

    selects: Mapping[str, list[Row]] = field(default_factory=dict)
    failures: Mapping[str, MoltlerError] = field(default_factory=dict)
    result: object = None
    printed: list[str] = field(default_factory=list)
    asserted_errors: list[MoltlerError | None] = field(default_factory=list)
    streams: list[ListStream] = field(default_factory=list)
    ran: list[ast.Statement] = field(default_factory=list)
    clock: int = 0

    def run_statement(self, statement: ast.Statement, scope: Scope) -> Outcome | None:
        del scope
        self.ran.append(statement)
        match statement:
            case ast.Select(sql=sql, into=None):
                stream = ListStream(self.selects.get(sql.text, []), self.failures.get(sql.text))
                self.streams.append(stream)
                return stream
            case ast.ExecStatement():
                return ActionResult(self.result)
            case _:
                return Done(type(statement).__name__, "")

    def environment(self, scope: Scope) -> FixedEnvironment:
        self.clock += 1
        return SelectEnvironment(
            scope=scope, now=NOW + timedelta(seconds=self.clock), result=self.result, door=self
        )

    def rows(self, outcome: Outcome) -> Generator[Row, None, None]:
        assert isinstance(outcome, ListStream)
        try:
            for batch in outcome:
                yield from batch.to_pylist()
        finally:
            outcome.close()

    def print(self, text: str) -> None:
        self.printed.append(text)

    def asserted(self, error: MoltlerError | None) -> bool:
        self.asserted_errors.append(error)
        return False


@dataclass
class SelectEnvironment(FixedEnvironment):
    door: TableDoor = field(default_factory=TableDoor)

    def select(self, sql: ast.SqlText) -> list[Row]:
        return list(self.door.selects.get(sql.text, []))


def run_text(text: str, door: TableDoor | None = None) -> TableDoor:
    door = door or TableDoor()
    for _ in steps_of(text, door):
        pass
    return door


def steps_of(text: str, door: Door) -> Generator[tuple[ast.Statement, Outcome | None], None, None]:
    return run(parse(Source("tests.sql", text)).statements, Scope(), door)


def failure_of(text: str, door: TableDoor | None = None) -> MoltlerError:
    with pytest.raises(MoltlerError) as caught:
        run_text(text, door)
    return caught.value


THREE: dict[str, Any] = {"SELECT id FROM t": [{"id": 1}, {"id": 2}, {"id": 3}]}

PRINTED: list[tuple[str, list[str]]] = [
    (
        "PRINT 'a' || 1; PRINT NULL; PRINT [1, 'b']; PRINT {\"a\": 1}",
        ["a1", "NULL", '[1,"b"]', '{"a":1}'],
    ),
    ("DECLARE x = 1, y = x + 1; PRINT y", ["2"]),
    ("DECLARE x; PRINT x IS NULL", ["true"]),
    ("DECLARE x integer = '12'; PRINT x + 1", ["13"]),
    ("DECLARE Total = 1; SET total = Total + 1; PRINT TOTAL", ["2"]),
    ("DECLARE rows = SELECT id FROM t; PRINT rows[1].id; PRINT ARRAY_LENGTH(rows)", ["2", "3"]),
    ("SELECT id FROM t INTO found; PRINT ARRAY_LENGTH(found)", ["3"]),
    (
        "DECLARE found = 0; BEGIN SELECT id FROM t INTO FOUND; END; PRINT ARRAY_LENGTH(found)",
        ["3"],
    ),
    ("CONNECTOR_EXEC c.make() INTO made; PRINT made.id", ["7"]),
    (
        'DECLARE a = {"x": [1, 2]}, b = a; SET a.x[1] = 9; PRINT a; PRINT b',
        ['{"x":[1,9]}', '{"x":[1,2]}'],
    ),
    ("DECLARE a = [1]; SET a[1] = 2; SET a[0] = 0; PRINT a", ["[0,2]"]),
    ("DECLARE a = {}; SET a.New = 1; SET a['k'] = 2; PRINT a", ['{"New":1,"k":2}']),
    ("DECLARE x = 1; BEGIN DECLARE x = 2; PRINT x; END; PRINT x", ["2", "1"]),
    ("DECLARE x = 1; BEGIN SET x = 2; END; PRINT x", ["2"]),
    ("IF 1 > 2 THEN PRINT 'a'; ELSEIF NULL THEN PRINT 'b'; ELSE PRINT 'c'; END IF", ["c"]),
    ("IF TRUE THEN PRINT 'a'; ELSE PRINT 'c'; END IF", ["a"]),
    ("FOR i IN 1..3 LOOP PRINT i; END LOOP", ["1", "2", "3"]),
    ("FOR i IN 3..1 LOOP PRINT i; END LOOP; PRINT 'end'", ["end"]),
    ("FOR x IN ['a', NULL] LOOP PRINT x; END LOOP", ["a", "NULL"]),
    ("FOR row IN (SELECT id FROM t) LOOP PRINT row.id; END LOOP", ["1", "2", "3"]),
    (
        "FOR i IN 1..5 LOOP IF i = 2 THEN CONTINUE; END IF; IF i = 4 THEN EXIT; "
        "END IF; PRINT i; END LOOP",
        ["1", "3"],
    ),
    (
        "FOR i IN 1..2 LOOP FOR j IN 1..9 LOOP IF j = 2 THEN BREAK; END IF; "
        "PRINT i || ':' || j; END LOOP; END LOOP",
        ["1:1", "2:1"],
    ),
    ("FOR i IN 1..2 LOOP DECLARE x = i; PRINT x; END LOOP", ["1", "2"]),
    ("DECLARE n = 0; WHILE n < 3 LOOP SET n = n + 1; END LOOP; PRINT n", ["3"]),
    ("WHILE NULL LOOP PRINT 'never'; END LOOP; PRINT 'end'", ["end"]),
    (
        "DECLARE start = NOW(); WHILE NOW() < start + INTERVAL '4s' LOOP PRINT 'again'; END LOOP",
        ["again", "again"],
    ),
    ("PRINT 1; RETURN; PRINT 2", ["1"]),
    ("FOR i IN 1..3 LOOP TRY RETURN; FINALLY PRINT 'last'; END TRY; END LOOP", ["last"]),
    (
        "TRY THROW 'no'; "
        "CATCH user_error PRINT error.message || '|' || error.code || '|' || error.type; "
        "END TRY",
        ["no|PLN900|user_error"],
    ),
    (
        "TRY THROW 'no' WITH CODE 'E42'; "
        "CATCH error PRINT error.code || '|' || error.type; END TRY",
        ["E42|user_error"],
    ),
    (
        "TRY PRINT 1 + missing; "
        "CATCH name_error THEN PRINT error.line || ':' || error.column; END TRY",
        ["1:15"],
    ),
    ("TRY THROW 'no'; CATCH type_error PRINT 'a'; CATCH others PRINT 'b'; END TRY", ["b"]),
    ("TRY THROW 'no'; CATCH THEN PRINT 'all'; FINALLY PRINT 'last'; END TRY", ["all", "last"]),
    (
        "TRY PRINT 'fine'; CATCH error PRINT 'never'; FINALLY PRINT 'last'; END TRY",
        ["fine", "last"],
    ),
    (
        "TRY TRY THROW 'in'; CATCH error THROW; END TRY; CATCH error PRINT error.message; END TRY",
        ["in"],
    ),
    (
        "TRY TRY THROW 'in'; CATCH error THROW error; END TRY; "
        "CATCH error PRINT error.message; END TRY",
        ["in"],
    ),
    (
        "TRY TRY THROW 'in'; CATCH error THROW WITH CODE 'X'; END TRY; "
        "CATCH error PRINT error.code || error.message; END TRY",
        ["Xin"],
    ),
    (
        "TRY TRY THROW 'in'; FINALLY PRINT 'last'; END TRY; "
        "CATCH error PRINT error.message; END TRY",
        ["last", "in"],
    ),
    (
        "TRY TRY THROW 'in'; FINALLY THROW 'out'; END TRY; "
        "CATCH error PRINT error.message; END TRY",
        ["out"],
    ),
    ("TRY ASSERT FALSE; CATCH assertion_error PRINT error.code; END TRY", ["TST001"]),
    (
        "TRY SELECT id FROM broken; "
        "CATCH connector_error PRINT error.connector || error.status || error.retry_after; "
        "END TRY",
        ["shop4297"],
    ),
    (
        "TRY FOR r IN (SELECT id FROM broken) LOOP PRINT r; END LOOP; "
        "CATCH connector_rate_limit_error PRINT 'slow'; END TRY",
        ["slow"],
    ),
    (
        "TRY DECLARE error = 1; THROW 'x'; CATCH error DECLARE error = 2; PRINT error; END TRY",
        ["2"],
    ),
    (
        "ASSERT RAISES user_error LIKE '%out%' BEGIN THROW 'sold out'; END; PRINT 'after'",
        ["after"],
    ),
    (
        "ASSERT RAISES connector_error MATCHES 'slow' BEGIN SELECT id FROM broken; "
        "END; PRINT 'after'",
        ["after"],
    ),
    ("ASSERT RAISES assertion_error BEGIN ASSERT FALSE; END; PRINT 'after'", ["after"]),
    (
        "DECLARE c CURSOR FOR SELECT id FROM t; OPEN c; FETCH c INTO row; "
        "PRINT row.id; FETCH C INTO row; PRINT row.id; CLOSE c",
        ["1", "2"],
    ),
    (
        "DECLARE c CURSOR FOR SELECT id FROM none; OPEN c; FETCH c INTO row; PRINT row IS NULL",
        ["true"],
    ),
]


def failing() -> dict[str, MoltlerError]:
    error = error_class("API003")(
        "API003", "slow down", retry_after=7, context=ErrorContext(connector="shop", status=429)
    )
    return {"SELECT id FROM broken": error}


@pytest.mark.parametrize(("text", "printed"), PRINTED, ids=[text for text, _ in PRINTED])
def test_script_prints(text: str, printed: list[str]) -> None:
    door = TableDoor(selects=THREE, failures=failing(), result={"id": 7})
    assert run_text(text, door).printed == printed


FAILURES: list[tuple[str, str, str]] = [
    # the text, the code, and the text it is placed at
    ("DECLARE x = 1; DECLARE X = 2", "CAT003", "X = 2"),
    ("SET y = 1", "PLN003", "y"),
    ("DECLARE y = 1; SET y.a = 1", "PLN004", "y.a"),
    ("DECLARE y = [1]; SET y[5] = 1", "PLN004", "y[5]"),
    ("DECLARE y = [1]; SET y[TRUE] = 1", "PLN004", "TRUE"),
    ("DECLARE y = {}; SET y.a.b = 1", "PLN004", "y.a.b"),
    ("DECLARE x integer = 'a'", "PLN007", "x integer = 'a'"),
    ("DECLARE x integer = 2.5", "PLN007", "x integer = 2.5"),
    ("DECLARE x whole = 2", "PLN004", "x whole = 2"),
    ("FOR x IN 5 LOOP PRINT x; END LOOP", "PLN004", "5"),
    ("FOR x IN NULL LOOP PRINT x; END LOOP", "PLN004", "NULL"),
    ("FOR x IN 1..'a' LOOP PRINT x; END LOOP", "PLN004", "'a'"),
    ("FOR x IN 1..2.5 LOOP PRINT x; END LOOP", "PLN004", "2.5"),
    ("WHILE 5 LOOP PRINT 1; END LOOP", "PLN004", "5"),
    ("IF 'a' THEN PRINT 1; END IF", "PLN004", "'a'"),
    ("THROW 'no'", "PLN900", "THROW 'no'"),
    ("THROW 'no' WITH CODE ''", "PLN007", "THROW 'no' WITH CODE ''"),
    ("DECLARE y = [{}]; SET y[0].a.b = 1", "PLN004", "y[0].a.b"),
    ("DECLARE y = {}; SET y[0] = 1", "PLN004", "y[0]"),
    ("ASSERT 1 < 'a'", "PLN004", "1 < 'a'"),
    ("DECLARE c CURSOR FOR SELECT 1; DECLARE C CURSOR FOR SELECT 2", "CAT003", "DECLARE C"),
    ("THROW", "SYN007", "THROW"),
    ("TRY THROW 'x'; CATCH usr_error PRINT 1; END TRY", "PLN003", ""),
    ("ASSERT RAISES BEGIN PRINT 1; END", "TST004", "ASSERT RAISES BEGIN PRINT 1; END"),
    (
        "ASSERT RAISES type_error BEGIN THROW 'a'; END",
        "TST004",
        "ASSERT RAISES type_error BEGIN THROW 'a'; END",
    ),
    (
        "ASSERT RAISES LIKE 'b' BEGIN THROW 'a'; END",
        "TST004",
        "ASSERT RAISES LIKE 'b' BEGIN THROW 'a'; END",
    ),
    ("ASSERT RAISES BEGIN ASSERT 1 = 2; END", "TST001", "ASSERT 1 = 2"),
    ("DECLARE c CURSOR FOR SELECT 1; FETCH c INTO x", "PLN004", "FETCH c INTO x"),
    ("OPEN c", "PLN003", "OPEN c"),
    ("MOCK_CALLED('GET /')", "PLN003", "MOCK_CALLED('GET /')"),
]


@pytest.mark.parametrize(("text", "code", "place"), FAILURES, ids=[row[0] for row in FAILURES])
def test_script_fails_at_its_part(text: str, code: str, place: str) -> None:
    error = failure_of(text)
    span = error.problems[0].span
    assert (error.code, getattr(span, "text", "")[: len(place) or None]) == (
        code,
        place or getattr(span, "text", ""),
    )


def test_plain_statements_are_given_with_their_outcome_as_they_happen() -> None:
    door = TableDoor()
    steps = steps_of("BEGIN SHOW CONNECTORS; PRINT 'later'; END; DECLARE x = 1", door)
    statement, outcome = next(steps)
    assert (statement, outcome, door.printed) == (ast_show(), Done("Show", ""), [])
    assert [outcome for _, outcome in steps] == [None, None, None]


def ast_show() -> ast.Statement:
    return parse(Source("x", "SHOW CONNECTORS")).statements[0]


def test_rows_outside_of_try_are_not_read_ahead() -> None:
    door = TableDoor(selects=THREE)
    _, outcome = next(steps_of("SELECT id FROM t", door))
    assert (outcome is door.streams[0], door.streams[0].read) == (True, 0)


def test_rows_inside_try_are_there_for_the_reader() -> None:
    door = TableDoor(selects=THREE)
    _, outcome = next(steps_of("TRY SELECT id FROM t; CATCH error PRINT 1; END TRY", door))
    assert outcome is not None
    assert not isinstance(outcome, Table | Done | ActionResult)
    assert [batch.to_pylist() for batch in outcome] == [[{"id": i}] for i in (1, 2, 3)]
    assert door.streams[0].is_closed


def test_loop_over_a_query_stops_it_when_left() -> None:
    door = TableDoor(selects=THREE)
    run_text("FOR r IN (SELECT id FROM t) LOOP BREAK; END LOOP", door)
    assert (door.streams[0].read, door.streams[0].is_closed) == (1, True)


def test_cursor_left_open_is_closed_at_the_end() -> None:
    door = TableDoor(selects=THREE)
    run_text("DECLARE c CURSOR FOR SELECT id FROM t; OPEN c; FETCH c INTO r", door)
    assert (door.streams[0].read, door.streams[0].is_closed) == (1, True)


def test_finally_runs_when_nobody_reads_on() -> None:
    door = TableDoor()
    steps = steps_of("TRY SHOW CONNECTORS; FINALLY PRINT 'last'; SHOW CONNECTORS; END TRY", door)
    next(steps)
    steps.close()
    assert (door.printed, len(door.ran)) == (["last"], 2)


def test_time_is_one_value_in_a_statement_and_another_in_the_next() -> None:
    door = run_text("DECLARE a = NOW(), b = NOW(); PRINT a = b; PRINT a = NOW()")
    assert door.printed == ["true", "false"]


def test_return_gives_a_value() -> None:
    outcomes = [outcome for _, outcome in steps_of("PRINT 1; RETURN 2 + 3; PRINT 4", TableDoor())]
    assert outcomes == [None, ActionResult(5)]


def test_function_as_a_statement_gives_its_value() -> None:
    assert [o for _, o in steps_of("UPPER('a')", TableDoor())] == [ActionResult("A")]


def test_statement_with_into_reaches_the_door_without_it() -> None:
    door = run_text("SELECT id FROM t INTO x", TableDoor(selects=THREE))
    assert [getattr(statement, "into", "?") for statement in door.ran] == [None]


def test_each_assertion_is_told_to_the_door_even_if_its_failure_is_caught() -> None:
    door = run_text(
        "ASSERT TRUE; TRY ASSERT 1 = 2; CATCH error PRINT 'caught'; END TRY;"
        " ASSERT RAISES BEGIN THROW 'x'; END"
    )
    assert [e and e.code for e in door.asserted_errors] == [None, "TST001", None]


def test_failed_assertion_that_is_expected_is_not_held_against_a_test() -> None:
    door = run_text("ASSERT RAISES assertion_error BEGIN ASSERT 1 = 2; END")
    assert door.asserted_errors == [None]


REPORTS: list[tuple[str, str]] = [
    ("ASSERT ARRAY_LENGTH(results) = 1",
     "expected `ARRAY_LENGTH(results) = 1`, but ARRAY_LENGTH(results) is 2; "
     'results is [{"id":"1"},{"id":"3"}]'),
    ("ASSERT results[1].id = '1', 'the second'",
     "the second: expected `results[1].id = '1'`, but results[1].id is '3'; "
     'results is [{"id":"1"},{"id":"3"}]'),
    ("ASSERT n = m", "expected `n = m`, but n is 1; m is NULL"),
    ("ASSERT TRUE AND n > 0 AND n  >  5", "expected `n > 5`, but n is 1"),
    ("ASSERT n", "expected `n`, but n is 1, a number and no condition"),
    ("ASSERT m", "expected `m`, but m is NULL"),
    ("ASSERT 1 = 2", "expected `1 = 2`, but 1 = 2 is FALSE"),
    ("ASSERT n IS NULL", "expected `n IS NULL`, but n is 1"),
    ("ASSERT NOT n = 1", "expected `NOT n = 1`, but n = 1 is TRUE"),
    ("ASSERT word LIKE 'b%'", "expected `word LIKE 'b%'`, but word is 'abc'"),
    ("ASSERT n IN (2, 3)", "expected `n IN (2, 3)`, but n is 1"),
    ("ASSERT (CONNECTOR_EXEC c.get()).id = 8",
     "expected `(CONNECTOR_EXEC c.get()).id = 8`, but (CONNECTOR_EXEC c.get()).id is 7"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REPORTS, ids=[text for text, _ in REPORTS])
def test_failed_assertion_shows_both_sides(text: str, message: str) -> None:
    names = "DECLARE results = [{\"id\": '1'}, {\"id\": '3'}], n = 1, m = NULL, word = 'abc';\n"
    error = failure_of(names + text, TableDoor(result={"id": 7}))
    assert (error.code, error.message, error.line) == ("TST001", message, 2)


def test_long_value_in_a_report_is_shortened() -> None:
    error = failure_of("DECLARE x = LPAD('', 500, 'a'); ASSERT x = 'b'")
    assert error.message == f"expected `x = 'b'`, but x is '{'a' * 78}…"


def test_thrown_error_with_a_code_of_the_table_stays_a_user_error() -> None:
    error = failure_of("THROW 'x' WITH CODE 'API003'")
    assert (error.code, error.type, error.exit_code, error.is_a("connector_error")) == (
        "API003", "user_error", 1, False,
    )  # fmt: skip


def test_thrown_document_gives_message_and_code() -> None:
    error = failure_of("THROW {\"message\": 'gone', \"code\": 'E1'}")
    assert (error.code, error.message, error.blame) == ("E1", "gone", "user")


def test_return_of_a_query_gives_its_rows() -> None:
    door = TableDoor(selects=THREE)
    outcomes = [outcome for _, outcome in steps_of("RETURN SELECT id FROM t", door)]
    assert outcomes == [door.streams[0]]


def test_open_again_starts_a_cursor_anew() -> None:
    door = run_text(
        "DECLARE c CURSOR FOR SELECT id FROM t; OPEN c; FETCH c INTO a; OPEN c; FETCH c INTO b;"
        " PRINT a.id || b.id",
        TableDoor(selects=THREE),
    )
    assert (door.printed, [s.is_closed for s in door.streams]) == (["11"], [True, True])


def test_condition_of_a_failed_assertion_that_nests_too_deeply_is_an_error() -> None:
    door = TableDoor()
    error = failure_of(
        "DECLARE a = 1, b = 1; FOR i IN 1..3000 LOOP SET a = [a]; SET b = [b]; END LOOP;"
        " ASSERT a = b",
        door,
    )
    assert error.code == "PLN007"


def test_syntax_error_at_run_time_is_not_caught() -> None:
    assert failure_of("TRY THROW; CATCH error PRINT 1; END TRY").code == "SYN007"


def test_a_condition_of_a_wrong_kind_is_told_in_words_that_help() -> None:
    error = failure_of("IF 5 THEN PRINT 1; END IF")
    assert error.message == "a condition must be TRUE, FALSE or NULL, found a number"
