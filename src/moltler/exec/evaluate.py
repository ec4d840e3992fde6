"""Evaluates one expression over variables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeAlias, assert_never

from moltler.errors import MoltlerError, Span, error_class
from moltler.exec import operators
from moltler.exec.conversion import convert, type_named
from moltler.exec.functions import (
    FUNCTIONS,
    ONLY_IN_TESTS,
    Function,
    call_function,
    function_named,
)
from moltler.exec.scope import Scope
from moltler.exec.values import (
    checked_integer,
    described,
    equal,
    is_array,
    is_document,
    is_number,
    parse_duration,
    text_of,
    too_deep,
    type_error,
)
from moltler.flow.scan import Warning
from moltler.lang import ast

MockCalls: TypeAlias = "Callable[[str, Span], list[dict[str, object]]]"
"""Gives the requests that a route of MOCK_API answered; raises for a route it does not have."""


class Environment(Protocol):
    """What an expression may see of the world; one per statement."""

    @property
    def scope(self) -> Scope:
        """The variables; parameters of lambdas are put here while their body runs."""
        ...

    @property
    def now(self) -> datetime:
        """The time of the statement, aware and in UTC."""
        ...

    def positional(self, index: int) -> object:
        """Give the positional parameter of that number, from 0."""
        ...

    def env(self, name: str, default: str | None) -> str:
        """Give an environment variable, its default, or ``""``."""
        ...

    @property
    def mocks(self) -> MockCalls | None:
        """Give the requests that a route answered; ``None`` outside of tests with mocks."""
        ...

    def select(self, sql: ast.SqlText) -> list[dict[str, object]]:
        """Run a SELECT over `scope` and give its rows."""
        ...

    def execute(self, call: ast.Exec) -> object:
        """Run an action whose arguments are evaluated over `scope`."""
        ...

    def warn(self, warning: Warning) -> None:
        """Note something the user should know."""
        ...


def holds(expr: ast.Expr, environment: Environment) -> bool:
    """Tell whether a condition is TRUE; FALSE and NULL are not.

    Raises:
        MoltlerError: PLN004, it is neither; else as `evaluate`.
    """
    return _truth(expr, environment, "a condition") is True


def evaluate(expr: ast.Expr, environment: Environment) -> object:
    """Give the value of an expression.

    Raises:
        MoltlerError: Placed at the part of the expression that failed.
    """
    try:
        return _evaluate(expr, environment)
    except RecursionError as error:
        raise too_deep().at(expr.span) from error


def _evaluate(expr: ast.Expr, environment: Environment) -> object:
    try:
        match expr:
            case ast.Literal():
                value = expr.value
                return checked_integer(value) if type(value) is int else value
            case ast.Name():
                return _named(expr, environment)
            case ast.Binary() | ast.Member() | ast.Index():
                return _chain(expr, environment)
            case ast.Comparison():
                left, right = operands(expr, environment)
                return comparison(expr, left, right, environment)
            case ast.Call():
                return _call(expr, environment)
            case ast.Variable():
                return environment.scope.get(expr.name)
            case ast.Positional():
                return environment.positional(expr.index)
            case ast.Document():
                return {m.key: _evaluate(m.value, environment) for m in expr.members}
            case ast.Array():
                return [_evaluate(item, environment) for item in expr.items]
            case ast.Negate():
                return _negative(expr, environment)
            case ast.Not():
                return operators.inverted(_truth(expr.operand, environment, "NOT"))
            case ast.IsNull():
                return (_evaluate(expr.operand, environment) is None) is not expr.negated
            case ast.In():
                return _membership(expr, environment)
            case ast.Like():
                return _like(expr, environment)
            case ast.Between():
                return _between(expr, environment)
            case ast.Ternary():
                chosen = _truth(expr.condition, environment, "`?`")
                return _evaluate(expr.then if chosen else expr.otherwise, environment)
            case ast.Case():
                return _case(expr, environment)
            case ast.Cast():
                value = _evaluate(expr.operand, environment)
                return convert(value, type_named(expr.type_name), rounding=True)
            case ast.Interval():
                return _interval(expr, environment)
            case ast.Subquery():
                return environment.select(expr.select)
            case ast.Exec():
                return environment.execute(expr)
            case ast.Lambda():
                raise type_error(
                    "`=>` stands only among the arguments of functions such as ARRAY_MAP"
                )
            case _:
                assert_never(expr)
    except MoltlerError as error:
        error.at(expr.span)
        raise


def _named(expr: ast.Name, environment: Environment) -> object:
    scope = environment.scope
    try:
        return scope.get(expr.name, expr.span)
    except MoltlerError:
        folded = expr.name.upper()
        if folded == "CURRENT_TIMESTAMP":
            return environment.now
        if folded == "CURRENT_DATE":
            return environment.now.date()
        if folded in FUNCTIONS:
            raise error_class("PLN003")(
                "PLN003",
                f"there is no variable `{expr.name}`",
                hint=f"call the function: {FUNCTIONS[folded].signature}",
            ) from None
        raise


def _chain(expr: ast.Binary | ast.Member | ast.Index, environment: Environment) -> object:
    # Chains of hundreds of operators or steps lean to the left: walked, not recursed into.
    spine: list[ast.Binary | ast.Member | ast.Index] = []
    first: ast.Expr = expr
    while isinstance(first, ast.Binary | ast.Member | ast.Index):
        spine.append(first)
        first = first.left if isinstance(first, ast.Binary) else first.target
    value = _evaluate(first, environment)
    previous = first.span
    for node in reversed(spine):
        try:
            match node:
                case ast.Member():
                    value = operators.key_of(value, node.name)
                case ast.Index():
                    index = _evaluate(node.index, environment)
                    value = operators.item_of(value, index)
                case ast.Binary():
                    value = _binary(node, value, previous, environment)
        except MoltlerError as error:
            error.at(node.span)
            raise
        previous = node.span
    return value


def _binary(node: ast.Binary, left: object, at: Span, environment: Environment) -> object:
    operator = node.operator
    match operator:
        case "AND" | "OR":
            return _logical(node, left, at, environment)
        case "??":
            return _evaluate(node.right, environment) if left is None else left
        case "||":
            return operators.joined(left, _evaluate(node.right, environment))
        case _:
            return operators.arithmetic(operator, left, _evaluate(node.right, environment))


def _logical(node: ast.Binary, left: object, at: Span, environment: Environment) -> bool | None:
    try:
        first = operators.truth(left, node.operator)
    except MoltlerError as error:
        error.at(at)
        raise
    decided = node.operator == "OR"
    if first is decided:
        return decided
    second = _truth(node.right, environment, node.operator)
    if second is decided:
        return decided
    return None if first is None or second is None else second


def _truth(expr: ast.Expr, environment: Environment, what: str) -> bool | None:
    value = evaluate(expr, environment)
    try:
        return operators.truth(value, what)
    except MoltlerError as error:
        error.at(expr.span)
        raise


def _negative(expr: ast.Negate, environment: Environment) -> object:
    operand = expr.operand
    # -9223372036854775808 fits although its digits alone do not.
    if isinstance(operand, ast.Literal) and is_number(operand.value):
        return operators.negated(operand.value)
    return operators.negated(_evaluate(operand, environment))


# ── comparisons ──────────────────────────────────────────────────────────────────────────────


def operands(expr: ast.Comparison, environment: Environment) -> tuple[object, object]:
    """Give both sides of a comparison; a query of one row and column counts as its value."""
    left, right = _evaluate(expr.left, environment), _evaluate(expr.right, environment)
    if expr.operator == "CONTAINS":
        return (_column(left) if isinstance(expr.left, ast.Subquery) else left), right
    is_query = (isinstance(expr.left, ast.Subquery), isinstance(expr.right, ast.Subquery))
    if is_query[0] and (is_query[1] or not is_array(right)):
        left = _single(left)
    if is_query[1] and not (is_array(left) and not is_query[0]):
        right = _single(right)
    return left, right


def comparison(
    expr: ast.Comparison, left: object, right: object, environment: Environment
) -> bool | None:
    """Give the truth of a comparison whose sides are evaluated.

    Raises:
        MoltlerError: PLN004, the kinds do not fit; PLN007, a bad regular expression.
    """
    for side in (expr.left, expr.right):
        if isinstance(side, ast.Literal) and side.value is None:
            _warn_null(expr, environment)
            break
    result = operators.compared(expr.operator, left, right)
    return operators.inverted(result) if expr.negated else result


def _warn_null(expr: ast.Comparison, environment: Environment) -> None:
    span = expr.span
    instead = "IS NOT NULL" if expr.operator == "<>" else "IS NULL"
    environment.warn(
        Warning(
            "null_comparison",
            f"`{' '.join(span.text.split())}` is never true; use {instead}",
            f"{span.source.name}:{span.line}",
        )
    )


def _single(value: object) -> object:
    if is_array(value) and len(value) == 1 and is_document(value[0]) and len(value[0]) == 1:
        return next(iter(value[0].values()))
    return value


def _column(value: object) -> object:
    # The rows of a query with one column, as the values of that column.
    if is_array(value) and all(is_document(row) and len(row) == 1 for row in value):
        return [item for row in value if is_document(row) for item in row.values()]
    return value


def _scalar(expr: ast.Expr, environment: Environment) -> object:
    value = _evaluate(expr, environment)
    return _single(value) if isinstance(expr, ast.Subquery) else value


def _membership(expr: ast.In, environment: Environment) -> bool | None:
    value = _scalar(expr.operand, environment)
    if expr.items is not None:
        items: object = [_scalar(item, environment) for item in expr.items]
        # `x IN (tags)` with one array in the parentheses means the items of the array.
        if len(expr.items) == 1 and is_array(items) and is_array(items[0]) and not is_array(value):
            items = items[0]
    elif expr.container is not None:
        items = _evaluate(expr.container, environment)
        if isinstance(expr.container, ast.Subquery) and not is_document(value):
            items = _column(items)
    else:
        items = None
    if items is None:
        return None
    if not is_array(items):
        where = expr.container.span if expr.container else None
        raise type_error(f"IN needs an array, found {described(items)}").at(where)
    result = operators.member(value, items)
    return operators.inverted(result) if expr.negated else result


def _like(expr: ast.Like, environment: Environment) -> bool | None:
    result = operators.like(
        _scalar(expr.operand, environment),
        _scalar(expr.pattern, environment),
        _evaluate(expr.escape, environment) if expr.escape else None,
        has_escape=expr.escape is not None,
    )
    return operators.inverted(result) if expr.negated else result


def _between(expr: ast.Between, environment: Environment) -> bool | None:
    result = operators.between(
        _scalar(expr.operand, environment),
        _scalar(expr.low, environment),
        _scalar(expr.high, environment),
    )
    return operators.inverted(result) if expr.negated else result


def _case(expr: ast.Case, environment: Environment) -> object:
    if expr.subject is None:
        for when in expr.whens:
            if _truth(when.condition, environment, "WHEN"):
                return _evaluate(when.value, environment)
    else:
        subject = _scalar(expr.subject, environment)
        for when in expr.whens:
            if equal(subject, _scalar(when.condition, environment)):
                return _evaluate(when.value, environment)
    return _evaluate(expr.otherwise, environment) if expr.otherwise else None


def _interval(expr: ast.Interval, environment: Environment) -> object:
    parts = [_evaluate(part, environment) for part in expr.parts]
    if any(part is None for part in parts):
        return None
    return parse_duration("".join(map(text_of, parts)))


# ── calls ────────────────────────────────────────────────────────────────────────────────────


def _call(expr: ast.Call, environment: Environment) -> object:
    if expr.name.upper() in ONLY_IN_TESTS and environment.mocks is not None:
        return _mock(expr, environment, environment.mocks)
    function = function_named(expr.name)
    function.check_arity(len(expr.arguments))
    match function.name:
        case "COALESCE":
            return _coalesce(expr, environment)
        case "NOW" | "CURRENT_TIMESTAMP":
            return environment.now
        case "CURRENT_DATE":
            return environment.now.date()
        case _:
            pass
    values = [_argument(function, i, arg, environment) for i, arg in enumerate(expr.arguments)]
    if function.name == "ENV":
        return _environment_variable(values, environment)
    return call_function(function, values, [a.span for a in expr.arguments])


def _mock(expr: ast.Call, environment: Environment, mocks: MockCalls) -> object:
    name = expr.name.upper()
    most = 2 if name == "MOCK_CALLED" else 1
    values = [_evaluate(a, environment) for a in expr.arguments if not isinstance(a, ast.Lambda)]
    route = values[0] if values else None
    if len(values) != len(expr.arguments) or not 1 <= len(values) <= most:
        raise type_error(f"{name} is called as {ONLY_IN_TESTS[name]}")
    if not isinstance(route, str):
        raise type_error(f"{name} needs a route of MOCK_API, found {described(route)}")
    calls = mocks(route, expr.arguments[0].span)
    match name:
        case "MOCK_CALLS":
            return calls
        case "MOCK_CALL_COUNT":
            return len(calls)
        case _:
            return bool(calls) if len(values) == 1 else equal(len(calls), values[1])


def _coalesce(expr: ast.Call, environment: Environment) -> object:
    for argument in expr.arguments:
        value = _evaluate(argument, environment)
        if value is not None:
            return value
    return None


def _environment_variable(values: list[object], environment: Environment) -> str:
    name, default = values[0], values[1] if len(values) > 1 else None
    if not isinstance(name, str):
        raise type_error(f"ENV needs the name of a variable, found {described(name)}")
    return environment.env(name, None if default is None else text_of(default))


def _argument(function: Function, place: int, expr: ast.Expr, environment: Environment) -> object:
    if not isinstance(expr, ast.Lambda):
        return _evaluate(expr, environment)
    wanted = function.lambda_parameters(place)
    if wanted != len(expr.parameters):
        problem = (
            f"takes no `=>` as argument {place + 1}"
            if wanted is None
            else f"needs `=>` with {wanted} parameter{'s' if wanted > 1 else ''}"
        )
        raise type_error(f"{function.name} {problem}", f"write {function.signature}").at(expr.span)
    return _closure(expr, environment)


def _closure(expr: ast.Lambda, environment: Environment) -> Callable[..., object]:
    names = [name.lower() for name in expr.parameters]
    if len(set(names)) < len(names):
        raise error_class("CAT003")(
            "CAT003",
            f"the parameter `{expr.parameters[0]}` stands twice",
            hint="give each parameter a name of its own",
            span=expr.span,
        )

    def call(*values: object) -> object:
        with environment.scope.holding(dict(zip(expr.parameters, values, strict=True))):
            return _evaluate(expr.body, environment)

    return call
