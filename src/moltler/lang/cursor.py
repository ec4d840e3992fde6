"""A place in a text, and what every rule of the grammar does there: look, take, expect."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NoReturn, Protocol, TypeAlias

from moltler.errors import ParseError, Source, Span, near_match
from moltler.lang import ast
from moltler.lang.tokens import Scanner, Token, TokenKind

RESERVED_INSTANCES = frozenset({"TYPE", "TYPES", "ENTITY", "ACTION"})
_SEGMENT = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_INTEGER_DIGITS = 18
MAX_DEPTH = 60
"""How deep expressions and blocks may nest; deeper text is refused, not crashed on."""
MAX_HEIGHT = 140
"""How high the tree of one expression may grow: chains of operators add to nesting."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of a statement: its words, and the rule that reads what follows them."""

    words: tuple[str, ...]
    read: Callable[[], object]

    @property
    def label(self) -> str:
        """The words as people write them."""
        return " ".join(self.words)


Lexeme: TypeAlias = tuple[str, int, int]
"""What was read, for the formatter: a role, and where it starts and ends.

Tokens have the roles ``keyword``, ``plain``, ``operator`` (blanks on both sides), ``prefix`` (none
after), ``tight`` (none before) and ``verbatim`` (SELECT text, raw blocks). Of no width are
``statement`` and ``end statement``, ``clause``, ``body`` and ``end body``.
"""


Place: TypeAlias = Literal["block", "loop", "test"]
"""What a body belongs to: a loop may be left, a test has statements of its own."""


class BodyReader(Protocol):
    """Reads the statements of a body, up to the word that ends it."""

    def __call__(self, cursor: Cursor, place: Place = "block") -> tuple[ast.Statement, ...]:
        """Read statements; `place` is what the body belongs to."""
        ...


class TooDeep(ParseError):  # noqa: N818 - a verdict on the whole text
    """Nested so deeply that what follows is not worth reading."""


class Cursor:
    """Where the parser stands; every rule takes the cursor and moves it."""

    def __init__(self, source: Source, trace: list[Lexeme] | None = None) -> None:
        self.source = source
        self.scanner = Scanner(source)
        self.trace = trace
        self.positionals = 0
        """How many ``?`` were read."""
        self.depth = 0
        self.height = 0
        """Levels of the tree below what was read last, or an upper bound of them."""
        self.position = 0
        """Where what was taken last ends."""
        self._token: Token | None = None

    @property
    def token(self) -> Token:
        """The next token, scanned when it is first looked at: a raw block is no token."""
        token = self._token
        if token is None:
            token = self._token = self.scanner.token(self.position)
        return token

    # ── looking ──

    def at(self, *words: str) -> bool:
        """Tell whether the next token is one of these keywords."""
        return self.token.kind == "word" and self.token.folded in words

    def at_symbol(self, *symbols: str) -> bool:
        """Tell whether the next token is one of these symbols."""
        return self.token.kind == "symbol" and self.token.text in symbols

    def at_kind(self, kind: TokenKind) -> bool:
        """Tell whether the next token is of a kind."""
        return self.token.kind == kind

    def peek(self) -> Token:
        """Give the token after the next one."""
        return self.scanner.token(self.token.end)

    def at_end(self) -> bool:
        """Tell whether the text has been read."""
        return self.token.kind == "end"

    # ── taking ──

    def advance(self, role: str | None = None) -> Token:
        """Take the next token, whatever it is; a word is a keyword unless a role says otherwise."""
        taken = self.token
        if self.trace is not None:
            role = role or ("keyword" if taken.kind == "word" else "plain")
            self.trace.append((role, taken.start, taken.end))
        self.position = taken.end
        self._token = None
        return taken

    def jump(self, start: int, end: int, role: str = "verbatim") -> None:
        """Take a range of the text whole."""
        if self.trace is not None:
            self.trace.append((role, start, end))
        self.position = end
        self._token = None

    def go_on(self, position: int) -> None:
        """Go on at a position, leaving out what is before it."""
        self.position = position
        self._token = None

    def note(self, marker: str) -> None:
        """Tell the formatter that something begins or ends here."""
        if self.trace is not None:
            self.trace.append((marker, self.position, self.position))

    def take(self, *words: str) -> bool:
        """Take the next token if it is one of these keywords."""
        if self.at(*words):
            self.advance()
            return True
        return False

    def take_symbol(self, *symbols: str, role: str | None = None) -> bool:
        """Take the next token if it is one of these symbols."""
        if self.at_symbol(*symbols):
            self.advance(role)
            return True
        return False

    def take_phrase(self, *words: str) -> bool:
        """Take several keywords if all of them follow, else none."""
        if not self.at(words[0]):
            return False
        mark = self.mark()
        for word in words:
            if not self.take(word):
                self.reset(mark)
                return False
        return True

    def mark(self) -> tuple[Token | None, int, int, int]:
        """Remember this place."""
        return self._token, self.position, self.positionals, len(self.trace or ())

    def reset(self, mark: tuple[Token | None, int, int, int]) -> None:
        """Go back to a remembered place."""
        self._token, self.position, self.positionals, traced = mark
        if self.trace is not None:
            del self.trace[traced:]

    @contextmanager
    def sql_names(self) -> Generator[None]:
        """Read strings and quoted names by SQL's rules within the block."""
        self.scanner.sql_names = True
        self._token = None
        try:
            yield
        finally:
            self.scanner.sql_names = False
            self._token = None

    # ── expecting ──

    def expect(self, *words: str) -> Token:
        """Take one of these keywords, or fail naming them."""
        if self.at(*words):
            return self.advance()
        return self.unexpected(*words)

    def expect_symbol(self, symbol: str, role: str | None = None) -> Token:
        """Take this symbol, or fail naming it."""
        if self.at_symbol(symbol):
            return self.advance(role)
        return self.unexpected(f"`{symbol}`")

    def name(self, what: str) -> str:
        """Take a bare word; `what` is what it names."""
        if self.token.kind in {"word", "name"}:
            return self.advance("plain").text
        if self.token.kind == "string":
            self.fail(
                "SYN001",
                f"expected {what} as a bare word, found the string {self.token}",
                hint="leave the quotes out",
            )
        return self.unexpected(what)

    def instance(self) -> str:
        """Take the name of an instance: a bare word that no definition starts with."""
        if self.token.kind == "word" and self.token.folded in RESERVED_INSTANCES:
            word = self.token.folded
            self.fail(
                "SYN005",
                f"no instance can be called {self.token}",
                hint=f"quote the name of a definition: {word} 'name'" if word != "TYPES" else None,
            )
        return self.name("the name of an instance")

    def string(self, what: str) -> str:
        """Take a string; `what` is what it holds."""
        if self.token.kind == "string":
            value = self.scanner.string_value(self.token)
            self.advance()
            return value
        if self.token.kind == "word":
            self.fail(
                "SYN001",
                f"expected {what} in quotes, found {self.token}",
                hint=f"write '{self.token.text}'",
            )
        return self.unexpected(f"{what} in quotes")

    def integer(self, what: str) -> int:
        """Take a non-negative whole number."""
        if self.token.kind == "number":
            if not self.token.text.isdigit() or len(self.token.text) > _INTEGER_DIGITS:
                self.fail("SYN006", f"{what} must be a whole number, found {self.token}")
            return int(self.advance().text)
        return self.unexpected(f"{what} as a whole number")

    def quoted_name(self, *shapes: str) -> ast.QuotedName:
        """Take a quoted name of one of these shapes, such as ``type.entity``."""
        if self.token.kind != "string":
            wanted = " or ".join(f"'{shape}'" for shape in shapes)
            hint = f"write '{self.token.text}'" if self.token.kind == "word" else None
            self.fail("SYN001", f"expected a quoted name {wanted}, found {self.token}", hint=hint)
        token = self.token
        segments = tuple(self.scanner.string_value(token).split("."))
        wanted = " or ".join(f"'{shape}'" for shape in shapes)
        if len(segments) not in {shape.count(".") + 1 for shape in shapes}:
            self.fail(
                "SYN005",
                f"{token} has {len(segments)} segment{'s' * (len(segments) != 1)}, "
                f"the name has the shape {wanted}",
            )
        if not all(segments):
            self.fail("SYN005", f"{token} has an empty segment, the name has the shape {wanted}")
        for segment in segments:
            if not _SEGMENT.fullmatch(segment):
                self.fail(
                    "SYN005",
                    f"`{segment}` in {token} is not a name; the shape is {wanted}",
                    hint="a segment is a letter, then letters, digits, _ or -",
                )
        self.advance()
        return ast.QuotedName(segments, span=self.scanner.span(token.start, token.end))

    def sql(self) -> tuple[ast.SqlText, str | None]:
        """Take SELECT text and the variable of a trailing INTO."""
        found = self.scanner.sql(self.token.start)
        self.jump(found.start, found.end)
        text = self.source.text[found.start : found.end]
        span = self.scanner.span(found.start, found.end)
        sql = ast.SqlText(text, self.positionals, span=span)
        self.positionals += found.positionals
        if found.into is None:
            return sql, None
        into, name = found.into
        self.jump(into.start, into.end, "keyword")
        self.jump(name.start, name.end, "plain")
        return sql, name.text

    def sql_alone(self, where: str) -> ast.SqlText:
        """Take SELECT text where no INTO may follow."""
        sql, into = self.sql()
        if into is not None:
            span = self.scanner.span(self.position - len(into), self.position)
            raise ParseError("SYN001", f"INTO cannot stand {where}", span=span)
        return sql

    def at_select(self) -> bool:
        """Tell whether SELECT text starts here."""
        return (self.at("SELECT", "WITH", "VALUES") or self.at_symbol("(")) and (
            self.scanner.starts_select(self.token.start)
        )

    def raw_or_string(self, what: str) -> str:
        """Take the text of a raw block, or a string."""
        block = self._raw()
        return block[0] if block else self.string(what)

    def handler(self) -> ast.HandlerSource:
        """Take a handler: a raw block, a string, or FILE and a path."""
        start = self.scanner.skip(self.position)
        block = self._raw()
        if block:
            text, first = block
            return self._handler_text(text, start, first, is_raw=True)
        if self.take("FILE"):
            path = self.string("a path")
            return ast.HandlerFile(path, span=self.span_from(start))
        if self.token.kind != "string":
            self.fail(
                "SYN001",
                f"expected a handler, found {self.token}",
                hint="write it between ''' and ''', or FILE './handler.js'",
            )
        text = self.string("a handler")
        return self._handler_text(text, start, start + 1, is_raw=False)

    def _handler_text(self, text: str, start: int, first: int, *, is_raw: bool) -> ast.HandlerText:
        line, column = self.scanner.position(first)
        return ast.HandlerText(text, is_raw, line, column, span=self.span_from(start))

    def _raw(self) -> tuple[str, int] | None:
        block = self.scanner.raw_block(self.position)
        if block is None:
            return None
        first, end, resume = block
        self.jump(self.scanner.skip(self.position), resume)
        return self.source.text[first:end], first

    # ── clauses ──

    def clauses(self, statement: str, *clauses: Clause) -> dict[str, object]:
        """Take clauses in any order, each at most once, up to the end of the statement.

        Returns:
            What each clause read, keyed by its words.

        Raises:
            ParseError: SYN004 for a repeated or unknown clause.
        """
        by_first: dict[str, list[Clause]] = {}
        for clause in clauses:
            by_first.setdefault(clause.words[0], []).append(clause)
        found: dict[str, object] = {}
        while self.token.kind == "word":
            start = self.token
            self.note("clause")
            candidates = by_first.get(start.folded)
            clause = None
            if candidates:
                longest_first = sorted(candidates, key=lambda c: -len(c.words))
                clause = next((c for c in longest_first if self.take_phrase(*c.words)), None)
            if clause is None:
                return self._stop_at_word(statement, found, clauses)
            if clause.label in found:
                self.fail("SYN004", f"{statement} has the clause {clause.label} twice", at=start)
            found[clause.label] = clause.read()
        return found

    def _stop_at_word(
        self, statement: str, found: dict[str, object], clauses: tuple[Clause, ...]
    ) -> dict[str, object]:
        # BEGIN belongs to whoever called; anything else is a clause that does not exist.
        if self.at("BEGIN"):
            if self.trace is not None:
                self.trace.pop()
            return found
        labels = tuple(c.label for c in clauses)
        close = near_match(self.token.folded, list(labels))
        return self.fail(
            "SYN004",
            f"{statement} has no clause {self.token}",
            hint=f"did you mean {close}?" if close else "end the statement before with ;",
            allowed=labels,
        )

    def require(
        self, found: Mapping[str, object], statement: str, start: Span, *labels: str
    ) -> None:
        """Fail with SYN004 if a required clause is missing."""
        missing = [label for label in labels if label not in found]
        if missing:
            raise ParseError(
                "SYN004",
                f"{statement} needs the clause{'s' * (len(missing) > 1)} {' and '.join(missing)}",
                span=start,
                hint=f"add {missing[0]} before the ;",
            )

    # ── places and failures ──

    def span_from(self, start: int) -> Span:
        """Give the span from a position to the end of what was taken last."""
        return self.scanner.span(start, max(start, self.position))

    def here(self) -> Span:
        """Give the span of the next token."""
        return self.scanner.span(self.token.start, max(self.token.end, self.token.start))

    def deeper(self) -> None:
        """Enter one level of nesting.

        Raises:
            ParseError: SYN001 beyond `MAX_DEPTH`.
        """
        self.depth += 1
        if self.depth > MAX_DEPTH:
            message = f"this is nested deeper than {MAX_DEPTH} levels"
            raise TooDeep("SYN001", message, span=self.here())

    def higher(self) -> None:
        """Put one more level on the tree of the expression read so far.

        Raises:
            ParseError: SYN001 beyond `MAX_HEIGHT`.
        """
        self.height += 1
        if self.height > MAX_HEIGHT:
            self.fail(
                "SYN001",
                f"this expression is more than {MAX_HEIGHT} operators high",
                hint="use an array, IN (…) or ARRAY_JOIN",
            )

    def fail(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        allowed: tuple[str, ...] = (),
        at: Token | None = None,
    ) -> NoReturn:
        """Raise a ParseError at the next token, or at a token named."""
        token = at or self.token
        span = self.scanner.span(token.start, token.end)
        raise ParseError(code, message, hint=hint, span=span, allowed=allowed)

    def unexpected(self, *expected: str) -> NoReturn:
        """Fail: something else was expected here."""
        wanted = expected[0] if len(expected) == 1 else "one of " + ", ".join(expected)
        close = None
        if self.token.kind == "word":
            close = near_match(self.token.folded, [e for e in expected if e.isupper()])
        self.fail(
            "SYN001",
            f"expected {wanted}, found {self.token}",
            hint=f"did you mean {close}?" if close else None,
        )
