"""What an ASSERT found, and whether an error is the expected one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moltler.codes import CODES
from moltler.errors import AssertionFailed, MoltlerError, Span, error_class, near_match
from moltler.exec import operators
from moltler.exec.evaluate import Environment, comparison, evaluate, operands
from moltler.exec.values import described, literal_text, shortened, text_of, too_deep
from moltler.lang import ast


@dataclass(frozen=True, slots=True)
class Report:
    """Why a condition does not hold, part by part."""

    expression: str
    """The text of the condition, or of the part of it joined by AND that failed."""
    actual: tuple[str, ...]
    """Sentences such as ``ARRAY_LENGTH(results) is 2``; the root variables come last."""
    note: str | None = None
    """The message that the ASSERT was given."""

    @property
    def expected(self) -> str:
        """What should have been TRUE."""
        return self.expression


class AssertFailed(AssertionFailed):
    """An ASSERT did not hold (TST001)."""

    def __init__(self, report: Report, span: Span) -> None:
        self.report = report
        found = f"expected `{report.expected}`, but {'; '.join(report.actual)}"
        super().__init__("TST001", f"{report.note}: {found}" if report.note else found, span=span)


def failure(statement: ast.Assert, environment: Environment) -> AssertFailed | None:
    """Evaluate an ASSERT and give its failure, or ``None`` if the condition is TRUE.

    Raises:
        MoltlerError: The condition, or after a failure its message, cannot be evaluated.
    """
    for part in _conjuncts(statement.condition):
        try:
            actual = _problem(part, environment)
        except RecursionError as error:
            raise too_deep().at(part.span) from error
        if actual is not None:
            note = text_of(evaluate(statement.message, environment)) if statement.message else None
            return AssertFailed(Report(_source(part), tuple(actual), note), statement.span)
    return None


def _conjuncts(condition: ast.Expr) -> list[ast.Expr]:
    # All of them must be TRUE, so the first that is not tells the reason.
    parts: list[ast.Expr] = []
    while isinstance(condition, ast.Binary) and condition.operator == "AND":
        parts.append(condition.right)
        condition = condition.left
    return [condition, *reversed(parts)]


def _problem(part: ast.Expr, environment: Environment) -> list[str] | None:
    sides: list[tuple[ast.Expr, object]] = []
    if isinstance(part, ast.Comparison):
        left, right = operands(part, environment)
        try:
            result: object = comparison(part, left, right, environment)
        except MoltlerError as error:
            error.at(part.span)
            raise
        sides = [(part.left, left), (part.right, right)]
    else:
        result = evaluate(part, environment)
    if result is True:
        return None
    if not sides:
        sides = [(side, evaluate(side, environment)) for side in _operands(part)]
    # A value that stands in the text says nothing new.
    shown = [(e, v) for e, v in sides if not _is_literal(e)]
    if not shown:
        is_odd = result is not None and not isinstance(result, bool)
        kind = f", {described(result)} and no condition" if is_odd else ""
        sentences = [f"{_source(part)} is {_shown(result)}{kind}"]
        shown = [(part, result)]
    else:
        sentences = [f"{_source(e)} is {_shown(v)}" for e, v in shown]
    return list(dict.fromkeys([*sentences, *_roots([e for e, _ in shown], environment)]))


def _operands(part: ast.Expr) -> Iterator[ast.Expr]:
    # Evaluated once more for the report, so only what cannot act or read again.
    match part:
        case ast.IsNull() | ast.In() | ast.Like() | ast.Between() | ast.Not():
            if _is_plain(part.operand):
                yield part.operand
        case _:
            return


def _is_plain(expr: ast.Expr) -> bool:
    match expr:
        case ast.Literal() | ast.Name() | ast.Variable() | ast.Positional():
            return True
        case ast.Member():
            return _is_plain(expr.target)
        case ast.Index():
            return _is_plain(expr.target) and _is_plain(expr.index)
        case ast.Call():
            return all(map(_is_plain, expr.arguments))
        case ast.Comparison():
            return _is_plain(expr.left) and _is_plain(expr.right)
        case _:
            return False


def _is_literal(expr: ast.Expr) -> bool:
    if isinstance(expr, ast.Negate):
        expr = expr.operand
    return isinstance(expr, ast.Literal)


def _roots(exprs: list[ast.Expr], environment: Environment) -> Iterator[str]:
    for expr in exprs:
        root = _root(expr)
        if root is not None and root is not expr and root.name in environment.scope:
            yield f"{_source(root)} is {_shown(environment.scope.get(root.name))}"


def _root(expr: ast.Expr) -> ast.Name | ast.Variable | None:
    while True:
        match expr:
            case ast.Name() | ast.Variable():
                return expr
            case ast.Member() | ast.Index():
                expr = expr.target
            case ast.Call(arguments=(first, *_)):
                expr = first
            case _:
                return None


def _source(expr: ast.Expr) -> str:
    return " ".join(expr.span.text.split())


def _shown(value: object) -> str:
    return shortened(literal_text(value))


# ── expected errors ──────────────────────────────────────────────────────────────────────────


def check_error_type(name: str, span: Span | None = None) -> None:
    """Check that a CATCH or an expectation names a type of the error table.

    Raises:
        MoltlerError: PLN003, it does not.
    """
    known = {"error", "others"} | {n for row in CODES.values() for n in (row.type, *row.also)}
    if name.lower() in known:
        return
    near = near_match(name, sorted(known))
    raise error_class("PLN003")(
        "PLN003",
        f"there is no error type `{name}`",
        hint=f"did you mean `{near}`?" if near else "CATCH error catches all of them",
        span=span,
    )


def unexpected(
    expected: ast.ExpectError, error: MoltlerError | None, span: Span
) -> MoltlerError | None:
    """Compare what a block or a test ended with to what was expected of it.

    Args:
        expected: The type and pattern, both of which may be missing.
        error: What it ended with, or ``None`` if it ended well.
        span: Where TST004 is placed.

    Returns:
        ``None`` if it is the expected error, else TST004.
    """
    wanted = expected.type_name or "error"
    if expected.pattern is not None:
        wanted += f" {expected.match} {literal_text(expected.pattern)}"
    if error is None:
        return error_class("TST004")(
            "TST004", f"expected `{wanted}`, but there was no error", span=span
        )
    is_expected = expected.type_name is None or error.is_a(expected.type_name)
    if is_expected and _message_fits(expected, error.message):
        return None
    return error_class("TST004")(
        "TST004",
        f"expected `{wanted}`, but found {error.type} ({error.code}): {error.message}",
        span=span,
    )


def _message_fits(expected: ast.ExpectError, message: str) -> bool:
    match expected.match:
        case None:
            return True
        case "LIKE":
            return operators.like(message, expected.pattern, None, has_escape=False) is True
        case "MATCHES":
            return operators.matches(message, expected.pattern) is True
