"""Errors with a code, a position in the text and one next action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Blame = Literal["user", "connector", "remote", "internal"]


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
class Code:
    """One row of the error table: a code names a cause and is never reused."""

    code: str
    type: str
    also: tuple[str, ...]
    """Further names a CATCH may use; ``error`` is implied."""
    exit: int
    """Exit status of the command line."""
    blame: Blame
    summary: str


def _rows() -> dict[str, Code]:
    table: dict[str, Code] = {}

    def add(type_: str, also: str, exit_: int, blame: Blame, causes: Mapping[str, str]) -> None:
        for code, summary in causes.items():
            table[code] = Code(code, type_, tuple(also.split()), exit_, blame, summary)

    add(
        "syntax_error",
        "",
        2,
        "user",
        {
            "SYN001": "unexpected token or unknown statement",
            "SYN002": "unterminated string, raw block or comment",
            "SYN003": "bad document: duplicate key, or not a literal where literals are required",
            "SYN004": "clause repeated, missing or unknown",
            "SYN005": "quoted name of the wrong shape, or a forbidden name",
            "SYN006": "bad literal: number, duration, cron, time zone or version",
            "SYN007": "statement not allowed here",
        },
    )
    add("usage_error", "", 2, "user", {"SYN900": "wrong use of the command line"})
    add(
        "definition_error",
        "validation_error",
        1,
        "user",
        {
            "DEF001": "unknown type or property key",
            "DEF002": "field names that differ only by case, or are taken",
            "DEF003": "handler does not bind its entry point",
            "DEF004": "PUSHDOWN names an unknown field or operator, or has the wrong shape",
            "DEF005": "handler does not compile",
            "DEF006": "contradicting properties",
            "DEF007": "draft without entity and action, or inconsistent; ALLOWED_HOSTS malformed",
            "DEF008": "existing instances do not fit the new schema",
        },
    )
    add(
        "not_found_error",
        "",
        1,
        "user",
        {
            "CAT001": "no such connector",
            "CAT002": "no such entity, action or table",
            "CAT008": "no such type, destination, test, schedule or version",
        },
    )
    add("already_exists", "", 1, "user", {"CAT003": "the name is taken"})
    add("config_error", "validation_error", 1, "user", {"CAT004": "CONFIG or OPTIONS do not fit"})
    add(
        "secret_not_found",
        "validation_error",
        1,
        "user",
        {
            "CAT005": "a referenced secret is missing",
        },
    )
    add("connector_disabled", "", 1, "user", {"CAT006": "the instance is disabled"})
    add("type_not_registered", "", 1, "user", {"CAT007": "the type is only a draft"})
    add("home_busy", "", 1, "user", {"CAT009": "another process holds the home for too long"})
    add(
        "home_error",
        "",
        1,
        "user",
        {
            "CAT010": "home unreadable, or its master key missing or wrong",
        },
    )
    add("in_use_error", "", 1, "user", {"CAT011": "others depend on what should be dropped"})
    add(
        "required_filter_error",
        "validation_error",
        1,
        "user",
        {
            "PLN001": "a required filter is not supplied",
        },
    )
    add(
        "name_error",
        "",
        1,
        "user",
        {
            "PLN002": "no such column",
            "PLN003": "no such variable or function",
            "PLN008": "ambiguous name",
        },
    )
    add("type_error", "", 1, "user", {"PLN004": "operands or access of the wrong kind"})
    add(
        "parameter_error",
        "validation_error",
        1,
        "user",
        {
            "PLN005": "arguments of an action, or bound parameters, do not fit",
        },
    )
    add(
        "query_error",
        "",
        1,
        "user",
        {
            "PLN006": "SQL that is refused",
            "PLN009": "filter_only field outside a top-level AND condition",
        },
    )
    add(
        "value_error",
        "",
        1,
        "user",
        {
            "PLN007": "bad value at run time: LIMIT, overflow, CAST, typed DECLARE",
        },
    )
    add(
        "limit_error",
        "",
        1,
        "user",
        {
            "PLN010": "max_results, or the key limit of a join, exceeded",
        },
    )
    add("not_supported", "", 1, "user", {"PLN011": "a feature of a later stage"})
    add(
        "read_only_error",
        "permission_error",
        1,
        "user",
        {
            "PLN012": "an action or sync in a read-only session",
        },
    )
    add("user_error", "", 1, "user", {"PLN900": "THROW"})
    add(
        "connector_error",
        "",
        3,
        "connector",
        {
            "JSR001": "handler threw a plain Error or something else",
        },
    )
    add("connector_error", "", 3, "remote", {"API004": "handler threw ConnectorError"})
    add(
        "connector_timeout_error",
        "connector_error timeout_error",
        3,
        "connector",
        {
            "JSR002": "time limit reached, or ConnectorTimeoutError",
        },
    )
    add(
        "connector_memory_error",
        "connector_error",
        3,
        "connector",
        {
            "JSR003": "memory limit reached, or the runtime process died",
        },
    )
    add(
        "connector_data_error",
        "connector_error type_error",
        3,
        "connector",
        {
            "JSR004": "handler result is not rows",
            "JSR005": "value does not fit its field",
            "JSR008": "pagination makes no progress",
        },
    )
    add(
        "connector_data_error",
        "connector_error type_error",
        3,
        "remote",
        {
            "API006": "response too large",
            "API007": "response is not JSON",
        },
    )
    add(
        "handler_error",
        "connector_error function_error",
        3,
        "connector",
        {
            "JSR006": "uncaught ReferenceError, TypeError, RangeError or SyntaxError",
            "JSR007": "promise can never settle",
        },
    )
    add(
        "connector_connection_error",
        "connector_error connection_error http_error",
        3,
        "remote",
        {
            "API001": "the API cannot be reached",
        },
    )
    add(
        "connector_auth_error",
        "connector_error permission_error",
        3,
        "remote",
        {
            "API002": "the API refuses the credentials",
        },
    )
    add(
        "connector_rate_limit_error",
        "connector_error",
        3,
        "remote",
        {
            "API003": "the API asks to slow down",
        },
    )
    add(
        "egress_blocked_error",
        "connector_connection_error connector_error connection_error http_error",
        3,
        "connector",
        {"API005": "the handler may not reach that host, or not with a secret"},
    )
    add(
        "connector_unknown_outcome_error",
        "connector_error",
        3,
        "remote",
        {
            "API008": "an action's outcome is unknown",
        },
    )
    add(
        "sync_error",
        "",
        1,
        "user",
        {
            "SNC001": "cursor missing or not orderable, primary key or INCREMENTAL missing",
            "SNC002": "stored state and field type disagree",
            "SNC004": "lease lost",
            "SNC005": "more than MAX ERRORS unfit rows",
            "SNC007": "sync state unreadable",
            "SNC008": "incomplete scan cannot replace a generation",
            "SNC009": "target belongs to another scope, or a key changed: needs FULL",
        },
    )
    add(
        "shrink_guard_error",
        "sync_error",
        1,
        "user",
        {
            "SNC003": "the new generation has too few rows",
        },
    )
    add(
        "destination_error",
        "sync_error",
        3,
        "remote",
        {
            "SNC006": "the destination refuses or cannot be reached",
        },
    )
    add(
        "assertion_error",
        "",
        1,
        "user",
        {
            "TST001": "ASSERT failed",
            "TST004": "expected error missing or different",
        },
    )
    add(
        "mock_unmatched_error",
        "",
        1,
        "user",
        {
            "TST002": "request that no route answers",
            "TST007": "request differs from the cassette",
        },
    )
    add("mock_exhausted_error", "", 1, "user", {"TST003": "a sequence has no more answers"})
    add("test_definition_error", "", 1, "user", {"TST005": "MOCK_API or FAULTS malformed"})
    add("no_tests_selected", "", 5, "user", {"TST006": "nothing matched the selection"})
    add("timeout_error", "", 1, "user", {"TST008": "the test's TIMEOUT"})
    add(
        "package_error",
        "validation_error",
        1,
        "user",
        {
            "PKG001": "version exists with other content",
            "PKG003": "not fit to be packaged or published",
            "PKG004": "push-down claim disproved or unproven",
            "PKG005": "version bump too small",
            "PKG008": "no version fits",
        },
    )
    add(
        "integrity_error",
        "package_error",
        1,
        "user",
        {
            "PKG002": "digest or signature differs",
            "PKG010": "unsafe archive",
        },
    )
    add("registry_error", "package_error", 1, "user", {"PKG006": "registry not configured"})
    add(
        "registry_error",
        "package_error",
        3,
        "remote",
        {
            "PKG007": "registry unreachable, or it refuses",
        },
    )
    add(
        "consent_error",
        "package_error permission_error",
        1,
        "user",
        {
            "PKG009": "more permissions without consent",
        },
    )
    add("internal_error", "", 70, "internal", {"INT001": "a fault of Moltler itself"})
    return table


CODES: Mapping[str, Code] = _rows()
"""Every error code; the single source of types, exit codes and the generated pages."""


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
