"""Functions of numbers, and choices between values, with DuckDB's meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, InvalidOperation

from moltler.exec.functions_shape import function, table
from moltler.exec.operators import remainder
from moltler.exec.values import checked_integer, equal, finite, order, value_error

Number = int | float | Decimal
_DIGITS = Context(prec=400)
_MOST_DIGITS = 350


def absolute(value: Number) -> Number:
    """Give the distance from 0."""
    return checked_integer(abs(value)) if isinstance(value, int) else abs(value)


def _stepwise(rounding: str) -> Callable[[Number], Number]:
    def apply(value: Number) -> Number:
        if isinstance(value, int) or not math.isfinite(value):
            return value
        result = Decimal(value).to_integral_value(rounding)
        return float(result) if isinstance(value, float) else result

    return apply


def round_(value: Number, digits: int = 0) -> Number:
    """Round half away from zero, to digits after the point or, negative, before it.

    >>> round_(2.5), round_(-2.345, 2), round_(25, -1)
    (3.0, -2.35, 30)
    """
    return _cut(value, digits, ROUND_HALF_UP)


def trunc(value: Number, digits: int = 0) -> Number:
    """Drop what stands after so many digits.

    >>> trunc(-1.29, 1), trunc(1.9)
    (-1.2, 1.0)
    """
    return _cut(value, digits, ROUND_DOWN)


def _cut(value: Number, digits: int, rounding: str) -> Number:
    if isinstance(value, int) and digits >= 0:
        return value
    if not math.isfinite(value) or digits > _MOST_DIGITS:
        return value
    # The digits a float is written with are what its author meant: 2.345 has two neighbours.
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    try:
        result = exact.quantize(Decimal(1).scaleb(-max(digits, -_MOST_DIGITS)), rounding, _DIGITS)
    except InvalidOperation as error:
        raise value_error("the number has too many digits to be rounded") from error
    if isinstance(value, int):
        return checked_integer(int(result))
    return float(result) if isinstance(value, float) else result


def sign(value: Number) -> int:
    """Give -1, 0 or 1."""
    return (value > 0) - (value < 0)


def power(base: Number, exponent: Number) -> float | None:
    """Give a power as a number with a fraction; NULL if there is none."""
    try:
        return finite(math.pow(float(base), float(exponent)))
    except (ValueError, OverflowError):
        return None


def sqrt(value: Number) -> float | None:
    """Give the square root; NULL if there is none."""
    return math.sqrt(float(value)) if value >= 0 else None


def ln(value: Number) -> float | None:
    """Give the natural logarithm; NULL if there is none."""
    return math.log(value) if value > 0 else None


def log(value: Number, of: Number | None = None) -> float | None:
    """Give the logarithm to base 10, or with two numbers that of the second to the first."""
    if of is None:
        return math.log10(value) if value > 0 else None
    base = log(value)
    exponent = log(of)
    return exponent / base if base and exponent is not None else None


def exp(value: Number) -> float | None:
    """Give e to a power; NULL if it does not fit."""
    try:
        return math.exp(float(value))
    except OverflowError:
        return None


def _extreme(direction: int) -> Callable[..., object]:
    def apply(*values: object) -> object:
        best: object = None
        for value in values:
            sign_ = order(value, best)
            if best is None or (sign_ is not None and sign_ * direction > 0):
                best = value if value is not None else best
        return best

    return apply


def nullif(value: object, other: object) -> object:
    """Give NULL where two values are equal, else the first."""
    return None if equal(value, other) else value


def _unreachable(*_: object) -> object:
    raise value_error("this function needs the statement around it")


NUMBER = table(
    function("ABS", "number:number", absolute),
    function("CEIL", "number:number", _stepwise("ROUND_CEILING")),
    function("FLOOR", "number:number", _stepwise("ROUND_FLOOR")),
    function("ROUND", "number:number digits:integer?", round_),
    function("TRUNC", "number:number digits:integer?", trunc),
    function("SIGN", "number:number", sign),
    function("MOD", "number:number divisor:number", remainder),
    function("POWER", "base:number exponent:number", power),
    function("SQRT", "number:number", sqrt),
    function("LN", "number:number", ln),
    function("LOG", "number:number of:number?", log),
    function("EXP", "number:number", exp),
    function("GREATEST", "value:any~ values:any?*~", _extreme(1)),
    function("LEAST", "value:any~ values:any?*~", _extreme(-1)),
    function("NULLIF", "value:any~ other:any~", nullif),
    # Arguments after the first that is not NULL are not evaluated: `evaluate` does it.
    function("COALESCE", "value:any~ values:any?*~", _unreachable),
)
