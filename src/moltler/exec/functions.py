"""Every function of expressions by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moltler.errors import Span, error_class, near_match
from moltler.exec.functions_array import ARRAY
from moltler.exec.functions_document import DOCUMENT
from moltler.exec.functions_number import NUMBER
from moltler.exec.functions_shape import Function, function, table
from moltler.exec.functions_text import TEXT
from moltler.exec.functions_time import TIME
from moltler.exec.values import too_deep, value_error

__all__ = ["FUNCTIONS", "Function", "call_function", "function_named"]


def _unreachable(*_: object) -> object:
    raise value_error("ENV needs the statement around it")


# The environment belongs to the statement: `evaluate` reads it.
_OUTSIDE = table(function("ENV", "name:text default:any?~", _unreachable))

FUNCTIONS: Mapping[str, Function] = {**TEXT, **NUMBER, **TIME, **ARRAY, **DOCUMENT, **_OUTSIDE}
"""By upper-case name."""

ONLY_IN_TESTS: Mapping[str, str] = {
    "MOCK_CALLED": "MOCK_CALLED(route, times)",
    "MOCK_CALLS": "MOCK_CALLS(route)",
    "MOCK_CALL_COUNT": "MOCK_CALL_COUNT(route)",
}
"""Functions that ask the mocks of a test, with their signatures; `evaluate` has them."""


def function_named(name: str) -> Function:
    """Give the function of a name in any case.

    Raises:
        MoltlerError: PLN003, there is none.
    """
    folded = name.upper()
    found = FUNCTIONS.get(folded)
    if found is not None:
        return found
    if folded in ONLY_IN_TESTS:
        raise error_class("PLN003")(
            "PLN003",
            f"{folded} exists only inside a TEST with MOCK_API",
            hint="move the statement into TEST CONNECTOR TYPE … BEGIN … END TEST",
        )
    near = near_match(folded, list(FUNCTIONS))
    raise error_class("PLN003")(
        "PLN003",
        f"there is no function `{name}`",
        hint=f"did you mean `{near}`?" if near else "functions of SELECT need a SELECT around them",
    )


def call_function(found: Function, values: Sequence[object], spans: Sequence[Span]) -> object:
    """Give the result of a function for evaluated arguments.

    Args:
        found: What `function_named` gave; the number of arguments is checked.
        values: The arguments; lambdas as callables.
        spans: Where each argument stands.

    Raises:
        MoltlerError: An argument is of the wrong kind, or what the function says.
    """
    try:
        return found.apply(values, spans)
    except RecursionError as error:
        raise too_deep() from error
