"""Runs the statements of a script: variables, conditions, loops, errors."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeAlias

from moltler.errors import MoltlerError, Span, error_class
from moltler.exec.assertion import check_error_type, failure, unexpected
from moltler.exec.conversion import convert, type_named
from moltler.exec.evaluate import Environment, evaluate, holds
from moltler.exec.scope import Scope, step_of
from moltler.exec.values import described, is_array, text_of, whole
from moltler.exec.values import type_error as wrong_kind
from moltler.flow.result import ActionResult, Done, Outcome, RowStream, Table
from moltler.lang import ast
from moltler.session.placing import place
from moltler.session.raised import UserError, error_document, user_error

if TYPE_CHECKING:
    from moltler.flow.result import Column, Page, PageSchema
    from moltler.flow.scan import IncompleteReason, Warning

Rows: TypeAlias = Generator[dict[str, object], None, None]
Step: TypeAlias = "tuple[ast.Statement, Outcome | None]"
Steps: TypeAlias = Generator[Step, None, None]


class Door(Protocol):
    """What the statements of a script need of the session."""

    def run_statement(self, statement: ast.Statement, scope: Scope) -> Outcome | None:
        """Run one statement that is not a script statement; it never has an INTO."""
        ...

    def environment(self, scope: Scope) -> Environment:
        """Give what the expressions of a fresh statement see, with a NOW of its own."""
        ...

    def rows(self, outcome: Outcome) -> Rows:
        """Read an outcome row by row as documents; closing it stops the reading."""
        ...

    def print(self, text: str) -> None:
        """Write one line for the user."""
        ...

    def asserted(self, error: MoltlerError | None) -> bool:
        """Note that an ASSERT or an expectation was met, or failed.

        Returns:
            Whether that ends all that runs, as it does in a test: no CATCH is to run.
        """
        ...


def run(statements: Sequence[ast.Statement], scope: Scope, door: Door) -> Steps:
    """Run statements in order; each plain one is given with its outcome as it happens.

    Read a stream of rows before asking for the next step. Inside TRY and ASSERT RAISES streams
    are read here, so that what goes wrong with them is caught there.

    Args:
        statements: Parsed; checked as far as that goes without running.
        scope: Top-level variables land here.
        door: The session.

    Yields:
        A statement that was completed and its outcome; ``None`` for DECLARE, SET, ASSERT, PRINT
        and everything with INTO. Statements inside blocks come before their block.

    Raises:
        MoltlerError: A statement failed; the error is placed at least at the statement.
    """
    yield from ScriptRunner(door).run(statements, scope)


class _Jumped(Exception):  # noqa: N818 - no failure, only a way out of nested blocks
    """Control leaves the surrounding blocks."""

    def __init__(self, kind: str, span: Span) -> None:
        self.kind = kind
        self.span = span
        super().__init__(kind)


@dataclass(slots=True)
class _Cursor:
    sql: ast.SqlText
    rows: Rows | None = None


@dataclass(slots=True)
class ScriptRunner:
    """Runs the statements of one script over one door."""

    door: Door
    _caught: list[tuple[MoltlerError, dict[str, object]]] = field(
        default_factory=list[tuple[MoltlerError, dict[str, object]]]
    )
    """The errors of the CATCH bodies being run, innermost last."""
    _guards: int = 0
    """How many TRY and ASSERT RAISES bodies are being run."""
    _allowed_failures: int = 0
    """How many ASSERT RAISES assertion_error bodies are being run."""
    _last: MoltlerError | None = None
    """What ends all that runs."""
    _cursors: dict[str, _Cursor] = field(default_factory=dict[str, _Cursor])

    def run(self, statements: Sequence[ast.Statement], scope: Scope) -> Steps:
        """Run statements to their end or a RETURN; see `run`."""
        try:
            yield from self._body(statements, scope)
        except _Jumped as jump:
            if jump.kind != "RETURN":
                raise error_class("SYN007")(
                    "SYN007", f"{jump.kind} stands only inside a loop", span=jump.span
                ) from None
        finally:
            for cursor in self._cursors.values():
                if cursor.rows is not None:
                    cursor.rows.close()

    def _body(self, statements: Sequence[ast.Statement], scope: Scope) -> Steps:
        for statement in statements:
            try:
                yield from self._statement(statement, scope)
            except MoltlerError as error:
                place(error, statement.span)
                raise

    def _statement(self, statement: ast.Statement, scope: Scope) -> Steps:
        match statement:
            case ast.If():
                yield from self._if(statement, scope)
            case ast.For():
                yield from self._for(statement, scope)
            case ast.While():
                yield from self._while(statement, scope)
            case ast.Try():
                yield from self._try(statement, scope)
            case ast.Block():
                yield from self._body(statement.body, scope.nested())
            case ast.AssertRaises():
                yield from self._assert_raises(statement, scope)
            case ast.Return():
                yield from self._return(statement, scope)
            case _:
                yield statement, self._settled(self._simple(statement, scope))
                return
        if not isinstance(statement, ast.Return):
            yield statement, None

    def _simple(self, statement: ast.Statement, scope: Scope) -> Outcome | None:
        match statement:
            case ast.Declare():
                self._declare(statement, scope)
            case ast.Set():
                self._set(statement, scope)
            case ast.Assert():
                self._assert(statement, scope)
            case ast.Print():
                self.door.print(text_of(self._value(statement.value, scope)))
            case ast.Throw():
                self._throw(statement, scope)
            case ast.Jump():
                raise _Jumped(statement.kind, statement.span)
            case ast.DeclareCursor():
                self._declare_cursor(statement)
            case ast.CursorStep():
                self._step_cursor(statement, scope)
            case ast.CallStatement():
                return ActionResult(self._value(statement.call, scope))
            case ast.Select() | ast.Query() | ast.ExecStatement() if statement.into is not None:
                outcome = self.door.run_statement(replace(statement, into=None), scope)
                scope.assign(statement.into, self._read(outcome))
            case _:
                return self.door.run_statement(statement, scope)
        return None

    # ── values ───────────────────────────────────────────────────────────────────────────────

    def _value(self, value: ast.Expr, scope: Scope) -> object:
        return evaluate(value, self.door.environment(scope))

    def _read(self, outcome: Outcome | None) -> object:
        if outcome is None:
            return None
        if isinstance(outcome, ActionResult):
            return outcome.value
        with closing(self.door.rows(outcome)) as rows:
            return list(rows)

    def _settled(self, outcome: Outcome | None) -> Outcome | None:
        if not self._guards or isinstance(outcome, Table | Done | ActionResult | None):
            return outcome
        return _ReadStream(outcome)

    def _rows(self, sql: ast.SqlText, scope: Scope) -> Rows:
        outcome = self.door.run_statement(ast.Select(sql, span=sql.span), scope)
        if outcome is not None:
            yield from self.door.rows(outcome)

    def _declare(self, statement: ast.Declare, scope: Scope) -> None:
        environment = self.door.environment(scope)
        for declaration in statement.declarations:
            try:
                type_ = type_named(declaration.type_name) if declaration.type_name else None
                value = None
                if declaration.value is not None:
                    value = _initial(declaration.value, environment)
                converted = convert(value, type_) if type_ else value
                scope.declare(declaration.name, converted)
            except MoltlerError as error:
                error.at(declaration.span)
                raise

    def _set(self, statement: ast.Set, scope: Scope) -> None:
        environment = self.door.environment(scope)
        path: list[str | int] = []
        target: ast.Expr = statement.target
        while not isinstance(target, ast.Name):
            match target:
                case ast.Member():
                    path.append(target.name)
                    target = target.target
                case ast.Index():
                    index = evaluate(target.index, environment)
                    try:
                        path.append(step_of(index))
                    except MoltlerError as error:
                        error.at(target.index.span)
                        raise
                    target = target.target
                case _:
                    raise wrong_kind("SET changes a variable or a part of one").at(target.span)
        value = _initial(statement.value, environment)
        scope.set(target.name, value, path[::-1], statement.target.span)

    # ── assertions ───────────────────────────────────────────────────────────────────────────

    def _assert(self, statement: ast.Assert, scope: Scope) -> None:
        error = failure(statement, self.door.environment(scope))
        self._note(error)
        if error is not None:
            raise error

    def _note(self, error: MoltlerError | None) -> None:
        if (error is None or not self._allowed_failures) and self.door.asserted(error):
            self._last = error

    def _assert_raises(self, statement: ast.AssertRaises, scope: Scope) -> Steps:
        wanted = statement.expected.type_name
        if wanted is not None:
            check_error_type(wanted, statement.expected.span)
        wants_failure = (wanted or "").lower() == "assertion_error"
        found: MoltlerError | None = None
        self._guards += 1
        self._allowed_failures += wants_failure
        try:
            yield from self._body(statement.body, scope.nested())
        except MoltlerError as error:
            # A failed ASSERT inside is a failure of its own unless it is what was asked for.
            if error.code.startswith("SYN") or (error.is_a("assertion_error") > wants_failure):
                raise
            found = error
        finally:
            self._guards -= 1
            self._allowed_failures -= wants_failure
        problem = unexpected(statement.expected, found, statement.span)
        self._note(problem)
        if problem is not None:
            raise problem from found

    # ── control ──────────────────────────────────────────────────────────────────────────────

    def _if(self, statement: ast.If, scope: Scope) -> Steps:
        environment = self.door.environment(scope)
        for branch in statement.branches:
            if holds(branch.condition, environment):
                yield from self._body(branch.body, scope.nested())
                return
        if statement.otherwise is not None:
            yield from self._body(statement.otherwise, scope.nested())

    def _for(self, statement: ast.For, scope: Scope) -> Steps:
        with closing(self._subject(statement.subject, scope)) as items:
            for item in items:
                inner = scope.nested()
                inner.declare(statement.variable, item)
                try:
                    yield from self._body(statement.body, inner)
                except _Jumped as jump:
                    if jump.kind == "BREAK":
                        return
                    if jump.kind != "CONTINUE":
                        raise

    def _subject(
        self, subject: ast.Expr | ast.SqlText | ast.Range, scope: Scope
    ) -> Generator[object, None, None]:
        match subject:
            case ast.SqlText():
                yield from self._rows(subject, scope)
            case ast.Range():
                environment = self.door.environment(scope)
                first, last = (_bound(e, environment) for e in (subject.first, subject.last))
                yield from range(first, last + 1)
            case _:
                value = self._value(subject, scope)
                if not is_array(value):
                    raise wrong_kind(
                        f"FOR needs an array, found {described(value)}",
                        "count with a range: FOR i IN 1..10 LOOP" if whole(value) else None,
                    ).at(subject.span)
                yield from value

    def _while(self, statement: ast.While, scope: Scope) -> Steps:
        while holds(statement.condition, self.door.environment(scope)):
            try:
                yield from self._body(statement.body, scope.nested())
            except _Jumped as jump:
                if jump.kind == "BREAK":
                    return
                if jump.kind != "CONTINUE":
                    raise

    def _return(self, statement: ast.Return, scope: Scope) -> Steps:
        outcome: Outcome | None = None
        if isinstance(statement.value, ast.SqlText):
            select = ast.Select(statement.value, span=statement.value.span)
            outcome = self._settled(self.door.run_statement(select, scope))
        elif statement.value is not None:
            outcome = ActionResult(self._value(statement.value, scope))
        yield statement, outcome
        raise _Jumped("RETURN", statement.span)

    # ── errors ───────────────────────────────────────────────────────────────────────────────

    def _try(self, statement: ast.Try, scope: Scope) -> Steps:
        for catch in statement.catches:
            if catch.type_name is not None:
                check_error_type(catch.type_name, catch.span)
        final = statement.final or ()
        pending: MoltlerError | _Jumped | None = None
        try:
            yield from self._caught_body(statement, scope)
        except (MoltlerError, _Jumped) as leaving:
            pending = leaving
        except BaseException:
            # Nobody reads on, or the user interrupts: FINALLY runs, its results go nowhere.
            for _, outcome in self._body(final, scope.nested()):
                if not isinstance(outcome, Table | Done | ActionResult | None):
                    outcome.close()
            raise
        yield from self._body(final, scope.nested())
        if pending is not None:
            raise pending

    def _caught_body(self, statement: ast.Try, scope: Scope) -> Steps:
        self._guards += 1
        try:
            yield from self._body(statement.body, scope.nested())
        except MoltlerError as error:
            # Text that is wrong is wrong before anything runs, so it is never an answer here.
            if error.code.startswith("SYN") or error is self._last:
                raise
            caught = error
        else:
            return
        finally:
            self._guards -= 1
        for catch in statement.catches:
            if catch.type_name is None or caught.is_a(catch.type_name):
                yield from self._handle(catch, caught, scope.nested())
                return
        raise caught

    def _handle(self, catch: ast.Catch, error: MoltlerError, scope: Scope) -> Steps:
        document = error_document(error)
        scope.declare("error", document)
        self._caught.append((error, document))
        try:
            # A scope of its own: the body may declare a variable called error.
            yield from self._body(catch.body, scope.nested())
        finally:
            self._caught.pop()

    def _throw(self, statement: ast.Throw, scope: Scope) -> NoReturn:
        current = self._caught[-1] if self._caught else None
        environment = self.door.environment(scope)
        code = evaluate(statement.code, environment) if statement.code else None
        if statement.value is None:
            if current is None:
                raise error_class("SYN007")(
                    "SYN007",
                    "THROW without a value stands only inside CATCH",
                    hint="write THROW 'what went wrong'",
                    span=statement.span,
                )
            if code is None:
                raise current[0]
            raise UserError(current[0].message, text_of(code), statement.span) from current[0]
        value = evaluate(statement.value, environment)
        if current is not None and value is current[1] and code is None:
            raise current[0]
        raise user_error(value, code, statement.span)

    # ── cursors ──────────────────────────────────────────────────────────────────────────────

    def _declare_cursor(self, statement: ast.DeclareCursor) -> None:
        folded = statement.name.lower()
        if folded in self._cursors:
            raise error_class("CAT003")(
                "CAT003",
                f"the cursor `{statement.name}` is declared already",
                hint="give it another name",
            )
        self._cursors[folded] = _Cursor(statement.sql)

    def _step_cursor(self, statement: ast.CursorStep, scope: Scope) -> None:
        cursor = self._cursors.get(statement.name.lower())
        if cursor is None:
            raise error_class("PLN003")(
                "PLN003",
                f"there is no cursor `{statement.name}`",
                hint=f"declare it: DECLARE {statement.name} CURSOR FOR SELECT …",
            )
        if statement.verb == "OPEN":
            if cursor.rows is not None:
                cursor.rows.close()
            cursor.rows = self._rows(cursor.sql, scope)
            return
        if cursor.rows is None:
            raise wrong_kind(
                f"the cursor `{statement.name}` is not open", f"OPEN {statement.name} first"
            )
        if statement.verb == "CLOSE":
            cursor.rows.close()
            cursor.rows = None
        elif statement.into is not None:
            scope.assign(statement.into, next(cursor.rows, None))


def _initial(value: ast.Expr | ast.SqlText, environment: Environment) -> object:
    if isinstance(value, ast.SqlText):
        return environment.select(value)
    return evaluate(value, environment)


def _bound(expr: ast.Expr, environment: Environment) -> int:
    value = evaluate(expr, environment)
    place = whole(value)
    if place is None:
        raise wrong_kind(f"a range needs whole numbers, found {described(value)}").at(expr.span)
    return place


class _ReadStream:
    """A stream that was read to its end, to be read again."""

    def __init__(self, stream: RowStream) -> None:
        try:
            self._batches = list(stream)
        finally:
            stream.close()
        self.columns: tuple[Column, ...] = stream.columns
        self.schema: PageSchema = stream.schema
        self.incomplete_reason: IncompleteReason | None = stream.incomplete_reason
        self.warnings: tuple[Warning, ...] = stream.warnings

    def __iter__(self) -> Iterator[Page]:
        return iter(self._batches)

    def close(self) -> None:
        """Forget the rows."""
        self._batches = []
