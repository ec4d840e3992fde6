"""Errors with a code, a position in the text and one next action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from moltler.codes import CODES, Blame


@dataclass(frozen=True, slots=True)
class Source:
    """A text that was read, and the name people know it by."""

    name: str
    """A path as the user gave it, or a word in angle brackets such as ``<query>``."""
    text: str = field(repr=False)

    def position(self, offset: int) -> tuple[int, int]:
        r"""Give the 1-based line and column, in characters, of an offset.

        >>> Source("x", "ab\ncd").position(4)
        (2, 2)
        """
        line = self.text.count("\n", 0, offset) + 1
        return line, offset - (self.text.rfind("\n", 0, offset) + 1) + 1

    def line_text(self, line: int) -> str:
        """Give the text of a 1-based line without its newline, or ``""`` past the end."""
        lines = self.text.split("\n")
        return lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """The 1-based line of the first character."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """The 1-based column of the first character."""
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        """The characters covered."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """Give the span from the start of this one to the end of another."""
        return Span(self.source, self.start, other.end)


@dataclass(frozen=True, slots=True)
class ScriptPosition:
    """A place in a script file whose text is not at hand, as a JavaScript stack names it."""

    file: str
    line: int
    """1-based."""
    column: int | None = None
    """1-based; ``None`` where only the line is known (TypeScript)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, where it is, and what to do next."""

    code: str
    message: str
    """A sentence without a full stop."""
    hint: str | None = None
    """One action, or ``None``."""
    span: Span | ScriptPosition | None = None
    allowed: tuple[str, ...] = ()
    """What could have stood there; shown in full up to a dozen."""

    @property
    def file(self) -> str | None:
        """The script's name, where the problem has a place."""
        if self.span is None:
            return None
        return self.span.source.name if isinstance(self.span, Span) else self.span.file

    @property
    def line(self) -> int | None:
        """The 1-based line, where the problem has a place."""
        return None if self.span is None else self.span.line

    @property
    def column(self) -> int | None:
        """The 1-based column, where it is known."""
        return None if self.span is None else self.span.column


@dataclass(frozen=True, slots=True)
class ErrorContext:
    """What a failing connector call was doing; every part may be unknown."""

    connector: str | None = None
    entity: str | None = None
    action: str | None = None
    status: int | None = None
    """HTTP status, if a response was behind the failure."""
    cause: str | None = None
    stack: str | None = None
    """JavaScript stack in script positions."""


class MoltlerError(Exception):
    """Any failure a user can see: a code, one or more problems, and context.

    Attributes:
        code: A key of `CODES`; the code of the first problem.
        problems: One or more; definitions and syntax report all of theirs at once.
        retry_after: Seconds the remote asked to wait, or ``None``.
        context: The connector call behind the failure.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        span: Span | ScriptPosition | None = None,
        allowed: tuple[str, ...] = (),
        retry_after: float | None = None,
        context: ErrorContext | None = None,
    ) -> None:
        self.problems: tuple[Problem, ...] = (Problem(code, message, hint, span, allowed),)
        self.retry_after = retry_after
        self.context = context or ErrorContext()
        super().__init__(message)

    @property
    def code(self) -> str:
        """The code of the first problem."""
        return self.problems[0].code

    @property
    def type(self) -> str:
        """The type that CATCH names."""
        return CODES[self.code].type

    @property
    def message(self) -> str:
        """The sentence, or all sentences of several problems, one a line."""
        return "\n".join(p.message for p in self.problems)

    @property
    def hint(self) -> str | None:
        """The first hint there is."""
        return next((p.hint for p in self.problems if p.hint), None)

    @property
    def file(self) -> str | None:
        """The script's name, if known."""
        return self.problems[0].file

    @property
    def line(self) -> int | None:
        """The 1-based line, if known."""
        return self.problems[0].line

    @property
    def column(self) -> int | None:
        """The 1-based column, if known."""
        return self.problems[0].column

    @property
    def exit_code(self) -> int:
        """The exit status of the command line."""
        return CODES[self.code].exit

    @property
    def blame(self) -> Blame:
        """Whose fault it is."""
        return CODES[self.code].blame

    def is_a(self, type_name: str) -> bool:
        """Tell whether a CATCH of this type name catches the error; case does not matter."""
        row, wanted = CODES[self.code], type_name.lower()
        return wanted in {row.type, "error", "others", *row.also}

    def at(self, span: Span | ScriptPosition | None) -> MoltlerError:
        """Give the error itself, placed at a span if its first problem had no place yet."""
        first, *rest = self.problems
        if first.span is None and span is not None:
            self.problems = (replace(first, span=span), *rest)
        return self

    def within(self, context: ErrorContext) -> MoltlerError:
        """Give the error itself, with the parts of a context it did not know yet."""
        own = self.context
        self.context = ErrorContext(
            connector=own.connector or context.connector,
            entity=own.entity or context.entity,
            action=own.action or context.action,
            status=own.status if own.status is not None else context.status,
            cause=own.cause or context.cause,
            stack=own.stack or context.stack,
        )
        return self

    @classmethod
    def of(cls, problems: tuple[Problem, ...]) -> MoltlerError:
        """Make one error of several problems; the class follows the first code.

        Raises:
            ValueError: There is no problem.
        """
        if not problems:
            raise ValueError("an error needs at least one problem")
        first = problems[0]
        error = error_class(first.code)(first.code, first.message)
        error.problems = problems
        return error


class ParseError(MoltlerError):
    """The text is not the language (SYN)."""


class DefinitionError(MoltlerError):
    """A definition is wrong; all its problems are listed (DEF)."""


class LookupFailed(MoltlerError):  # noqa: N818 - the public name of the API
    """A name is unknown, taken or unusable, or the home is (CAT)."""


class PlanError(MoltlerError):
    """A statement cannot run as written (PLN)."""


class ConnectorError(MoltlerError):
    """A connector or its API failed (API)."""


class ConnectorAuthError(ConnectorError):
    """The API refuses the credentials (API002)."""


class ConnectorRateLimitError(ConnectorError):
    """The API asks to slow down (API003); `retry_after` says for how long, if known."""


class ConnectorConnectionError(ConnectorError):
    """The API cannot be reached (API001)."""


class EgressDenied(ConnectorConnectionError):  # noqa: N818 - the public name of the API
    """The handler may not reach that host (API005)."""


class ConnectorUnknownOutcomeError(ConnectorError):
    """A write may or may not have happened (API008)."""


class InterruptedWrite(KeyboardInterrupt):
    """Ctrl-C while a write was on its way; `outcome` (API008) says what is not known."""

    def __init__(self, outcome: MoltlerError) -> None:
        self.outcome = outcome
        super().__init__(outcome.message)


class HandlerError(ConnectorError):
    """The connector's JavaScript failed (JSR)."""


class LimitExceeded(HandlerError):  # noqa: N818 - the public name of the API
    """The connector's JavaScript broke its time or memory limit (JSR002, JSR003)."""


class SyncError(MoltlerError):
    """A sync failed (SNC)."""


class AssertionFailed(MoltlerError):  # noqa: N818 - the public name of the API
    """A test failed (TST)."""


class PackageError(MoltlerError):
    """A package or registry failed (PKG)."""


class InternalError(MoltlerError):
    """A fault of Moltler itself (INT)."""


_BY_CODE: Mapping[str, type[MoltlerError]] = {
    "API001": ConnectorConnectionError,
    "API002": ConnectorAuthError,
    "API003": ConnectorRateLimitError,
    "API005": EgressDenied,
    "API008": ConnectorUnknownOutcomeError,
    "JSR002": LimitExceeded,
    "JSR003": LimitExceeded,
}
_BY_FAMILY: Mapping[str, type[MoltlerError]] = {
    "SYN": ParseError,
    "DEF": DefinitionError,
    "CAT": LookupFailed,
    "PLN": PlanError,
    "API": ConnectorError,
    "JSR": HandlerError,
    "SNC": SyncError,
    "TST": AssertionFailed,
    "PKG": PackageError,
    "INT": InternalError,
}


def error_class(code: str) -> type[MoltlerError]:
    """Give the class that a code is raised as.

    Raises:
        KeyError: The code is not in `CODES`.
    """
    return _BY_CODE.get(CODES[code].code) or _BY_FAMILY[code[:3]]


def near_match(name: str, candidates: tuple[str, ...] | list[str]) -> str | None:
    """Give the candidate most like a name, ignoring case, or ``None``.

    >>> near_match("item", ["items", "orders"])
    'items'
    """
    import difflib  # noqa: PLC0415 - only errors need it, and start-up must stay short

    folded = {c.lower(): c for c in candidates}
    close = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None
