"""The statements of a text, read one after the other with all mistakes collected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from moltler.errors import MoltlerError, ParseError, Problem, Source, Span, near_match
from moltler.lang import ast
from moltler.lang.cursor import Cursor, Lexeme, Place, TooDeep
from moltler.lang.expr import expression
from moltler.lang.statements import define, deliver, operate, script, testing

Rule = Callable[[Cursor], ast.Statement]

MAX_PROBLEMS = 20
"""How many mistakes are reported; after so many the text is hardly what it was meant to be."""
_ENCLOSING = frozenset({"END", "ELSE", "ELSEIF", "ELSIF", "CATCH", "FINALLY", "TEARDOWN"})
_OPENERS: dict[str, tuple[tuple[str, ...], Place]] = {
    "IF": (("THEN",), "block"),
    "FOR": (("LOOP",), "loop"),
    "WHILE": (("LOOP",), "loop"),
    "TEST": (("BEGIN",), "test"),
    "ASSERT": (("BEGIN",), "block"),
}
_NEVER_IN_TESTS = (
    ast.CreateType,
    ast.CreateEntity,
    ast.CreateAction,
    ast.RegisterType,
    ast.Package,
    ast.Publish,
    ast.Install,
    ast.Upgrade,
    ast.TestDefinition,
    # These two run tests as well: a test that runs itself would never end.
    ast.RunTest,
    ast.RunTests,
)
_WORD_LENGTH = 40


class _GiveUp(Exception):  # noqa: N818 - it is no error: enough of them were found
    """Ends the reading of a text."""


class Reader:
    """Reads the statements of one text."""

    def __init__(
        self, source: Source, trace: list[Lexeme] | None = None, *, is_fragment: bool = False
    ) -> None:
        """Make a reader.

        Args:
            source: The text.
            trace: Where to note what is read, for the formatter.
            is_fragment: Whether the text was cut out of a loop or a test, so that statements may
                stand in it that have no place at the top of a script.
        """
        self._is_fragment = is_fragment
        self.cursor = Cursor(source, trace)
        self._problems: list[Problem] = []
        self._in_loop = False
        self._in_test = False
        self._bodies = 0
        body = self.body
        self._rules: Mapping[str, Rule] = {
            "CREATE": define.create,
            "REGISTER": define.register,
            "DROP": define.drop,
            "ALTER": define.alter,
            "ENABLE": define.set_enabled,
            "DISABLE": define.set_enabled,
            "SHOW": operate.show,
            "DESCRIBE": operate.describe,
            "DESC": operate.describe,
            "SELECT": operate.select,
            "WITH": operate.select,
            "VALUES": operate.select,
            "QUERY": operate.query,
            "EXPLAIN": operate.explain,
            "CLEAR": operate.clear,
            "CONNECTOR_EXEC": operate.execute,
            "EXEC": operate.execute,
            "SYNC": deliver.sync,
            "ROLLBACK": deliver.rollback,
            "PACKAGE": deliver.package,
            "PUBLISH": deliver.publish,
            "INSTALL": deliver.install,
            "UPGRADE": deliver.upgrade,
            "UPDATE": deliver.upgrade,
            "UNINSTALL": deliver.admin,
            "VALIDATE": deliver.admin,
            "DEPRECATE": deliver.admin,
            "UNPUBLISH": deliver.admin,
            "TEST": lambda cursor: testing.test(cursor, body),
            "RUN": testing.run,
            "ADVANCE": testing.advance_clock,
            "SKIP": testing.skip,
            "DECLARE": script.declare,
            "SET": script.assign,
            "ASSERT": lambda cursor: script.check(cursor, body),
            "PRINT": script.output,
            "IF": lambda cursor: script.choose(cursor, body),
            "FOR": lambda cursor: script.repeat_for(cursor, body),
            "WHILE": lambda cursor: script.repeat_while(cursor, body),
            "TRY": lambda cursor: script.attempt(cursor, body),
            "BEGIN": lambda cursor: script.block(cursor, body),
            "THROW": script.throw,
            "RAISE": script.throw,
            "BREAK": script.jump,
            "EXIT": script.jump,
            "CONTINUE": script.jump,
            "RETURN": script.give_back,
            "OPEN": script.step,
            "FETCH": script.step,
            "CLOSE": script.step,
        }

    def script(self) -> ast.Script:
        """Read the whole text.

        Raises:
            ParseError: All that is wrong with it, up to `MAX_PROBLEMS`.
        """
        statements: list[ast.Statement] = []
        with suppress(_GiveUp):
            self._statements(statements, is_body=False)
        if self._problems:
            raise MoltlerError.of(tuple(sorted(self._problems, key=_place_of)))
        return ast.Script(self.cursor.source, tuple(statements), self.cursor.positionals)

    def body(self, cursor: Cursor, place: Place = "block") -> tuple[ast.Statement, ...]:
        """Read the statements of a body, up to the word of the enclosing construct."""
        cursor.deeper()
        cursor.note("body")
        outside = self._in_loop, self._in_test
        self._in_loop = place == "loop" or (place == "block" and self._in_loop)
        self._in_test = place == "test" or self._in_test
        statements: list[ast.Statement] = []
        try:
            self._statements(statements, is_body=True)
        finally:
            self._in_loop, self._in_test = outside
        self._bodies += 1
        cursor.depth -= 1
        cursor.note("end body")
        return tuple(statements)

    def _statements(self, found: list[ast.Statement], *, is_body: bool) -> None:
        cursor = self.cursor
        while True:
            try:
                while cursor.at_symbol(";"):
                    cursor.go_on(cursor.token.end)
                if cursor.at_end() or (is_body and cursor.at(*_ENCLOSING)):
                    return
            except ParseError as error:
                self._report(error)
                self._recover(error, (), "block")
                continue
            statement = self._statement(is_body=is_body)
            if statement is not None:
                found.append(statement)

    def _statement(self, *, is_body: bool) -> ast.Statement | None:
        """Read one statement and its ``;``, or note what is wrong and go on after it."""
        cursor = self.cursor
        depth, bodies, place = cursor.depth, self._bodies, (self._in_loop, self._in_test)
        cursor.height = 0
        first = cursor.token
        try:
            cursor.note("statement")
            statement = self._rule(first.folded)(cursor)
            cursor.note("end statement")
            self._check_place(statement, first.start, first.end)
            self._end(is_body=is_body)
        except ParseError as error:
            cursor.depth = depth
            self._in_loop, self._in_test = place
            self._report(error)
            # A mistake in the head of a construct leaves its body to be read.
            openers, inside = _OPENERS.get(first.folded, ((), "block"))
            self._recover(error, openers if bodies == self._bodies else (), inside)
            return None
        return statement

    def _rule(self, word: str) -> Rule:
        cursor = self.cursor
        rule = self._rules.get(word) if cursor.token.kind == "word" else None
        if rule is not None:
            return rule
        if cursor.token.kind == "word" and cursor.peek().text == "(":
            return script.call_alone
        if cursor.at_symbol("(") and cursor.at_select():
            return operate.select
        return self._unknown(word)

    def _unknown(self, word: str) -> Rule:
        cursor = self.cursor
        if cursor.token.kind != "word":
            cursor.fail("SYN001", f"expected a statement, found {cursor.token}")
        if word in _ENCLOSING:
            cursor.fail(
                "SYN001",
                f"{word} closes nothing here",
                hint="every IF, FOR, WHILE, TRY, BEGIN and TEST is closed once",
            )
        if cursor.peek().text in {"=", ":="}:
            cursor.fail(
                "SYN001",
                f"expected a statement, found {cursor.token}",
                hint=f"write SET {cursor.token.text} = … or DECLARE {cursor.token.text} = …",
            )
        close = near_match(word, list(self._rules)) if len(word) <= _WORD_LENGTH else None
        return cursor.fail(
            "SYN001",
            f"unknown statement {cursor.token}",
            hint=f"did you mean {close}?"
            if close
            else "a statement starts with a verb: CREATE, SELECT, SHOW, TEST …",
        )

    def _end(self, *, is_body: bool) -> None:
        """Take the ``;``; only the last statement of a script may go without."""
        cursor = self.cursor
        if cursor.take_symbol(";") or (cursor.at_end() and not is_body):
            return
        found = cursor.token
        error = ParseError(
            "SYN001",
            f"expected `;`, found {found}",
            hint="end the statement before with ;" if found.kind == "word" else None,
            span=cursor.here(),
        )
        # Where the next statement clearly begins, only the semicolon is missing.
        is_first = "\n" in self.cursor.source.text[cursor.position : found.start]
        if cursor.at(*_ENCLOSING) or (is_first and cursor.at(*self._rules)):
            self._report(error)
            return
        raise error

    def _check_place(self, statement: ast.Statement, start: int, end: int) -> None:
        """Note a statement that stands where it may not; reading goes on all the same."""
        if self._is_fragment:
            return
        message = hint = None
        match statement:
            case ast.Jump() if not self._in_loop:
                written = self.cursor.source.text[start:end].upper()
                message = f"{written} stands outside a loop"
                hint = "use RETURN to end the script" if statement.kind == "BREAK" else None
            case ast.AdvanceClock() | ast.SkipTest() if not self._in_test:
                name = "SKIP" if isinstance(statement, ast.SkipTest) else "ADVANCE CLOCK"
                message = f"{name} stands outside a test"
                hint = "move it between BEGIN and END TEST"
            case ast.PackageAdmin(verb="VALIDATE") if self._in_test:
                message = "a test cannot run the tests of a type"
            case _ if self._in_test and isinstance(statement, _NEVER_IN_TESTS):
                message = "this statement cannot stand in a test"
                hint = "move it before the TEST"
            case _:
                pass
        if message is not None:
            span = Span(self.cursor.source, start, end)
            self._report(ParseError("SYN007", message, hint=hint, span=span))

    # ── mistakes ──

    def _report(self, error: ParseError) -> None:
        # Every construct left open ends at the end of the text; the innermost says enough.
        if not self._problems or _place_of(self._problems[-1]) < len(self.cursor.source.text):
            self._problems.extend(error.problems)
        # What never closes has swallowed the rest of the text: nothing sensible follows.
        is_hopeless = error.code == "SYN002" or isinstance(error, TooDeep)
        if len(self._problems) >= MAX_PROBLEMS or is_hopeless:
            raise _GiveUp from None

    def _recover(self, error: ParseError, openers: tuple[str, ...], place: Place) -> None:
        """Go on after the statement around a mistake."""
        cursor = self.cursor
        span = error.problems[0].span
        at = span.start if isinstance(span, Span) else cursor.position
        position, is_open = cursor.scanner.recover(max(at, cursor.position), *openers)
        cursor.go_on(position)
        if is_open:
            self._read_open_body(place)

    def _read_open_body(self, place: Place) -> None:
        """Read what a broken head opened, only for the mistakes in it."""
        cursor = self.cursor
        depth = cursor.depth
        try:
            self.body(cursor, place)
            while cursor.at(*_ENCLOSING) and not cursor.at("END"):
                word = cursor.advance().folded
                if word in {"ELSEIF", "ELSIF"}:
                    expression(cursor)
                if word == "CATCH" and not cursor.at("THEN"):
                    cursor.name("an error type or THEN")
                cursor.take("THEN")
                self.body(cursor, place)
            if cursor.take("END"):
                cursor.take("IF", "LOOP", "TRY", "TEST")
        except ParseError as error:
            cursor.depth = depth
            self._report(error)
            self._recover(error, (), place)


def _place_of(problem: Problem) -> int:
    return problem.span.start if isinstance(problem.span, Span) else 0
