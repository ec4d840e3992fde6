"""Functions of arrays; indices count from 0."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cmp_to_key

from moltler.exec.functions_shape import function, table
from moltler.exec.operators import truth
from moltler.exec.values import (
    cast_text,
    described,
    equal,
    is_array,
    order,
    same,
    text_of,
    type_error,
    value_error,
)

Items = list[object]
Lambda = Callable[..., object]


def append(array: Items | None, item: object) -> Items:
    """Give the array with one more item at its end; NULL counts as empty."""
    return [*(array or []), item]


def prepend(array: Items | None, item: object) -> Items:
    """Give the array with one more item at its start; NULL counts as empty."""
    return [item, *(array or [])]


def remove(array: Items, item: object) -> Items:
    """Give the array without every item that is the same as one."""
    return [other for other in array if not same(other, item)]


def contains(array: Items, item: object) -> bool:
    """Tell whether an item is in the array."""
    return any(equal(other, item) for other in array)


def distinct(array: Items) -> Items:
    """Give each value once, where it first stood."""
    seen: set[object] = set()
    result: Items = []
    for item in array:
        # Plain values are looked up, so that long arrays do not take quadratic time.
        if isinstance(item, str | int | float | Decimal) and not isinstance(item, bool):
            if item in seen:
                continue
            seen.add(item)
            result.append(item)
        elif not any(same(item, other) for other in result):
            result.append(item)
    return result


def join(array: Items, separator: str | None) -> str:
    """Give the items but NULLs as text, with a separator, or for NULL a comma, between them.

    >>> join([1, 2.5, 3.0, None], ",")
    '1,2.5,3'
    """
    return ("," if separator is None else separator).join(
        # Integers and fractions are one kind, so they read alike.
        text_of(item) if isinstance(item, float) else cast_text(item)
        for item in array
        if item is not None
    )


def reverse(array: Items) -> Items:
    """Give the items in reverse order."""
    return array[::-1]


def sort(array: Items, direction: str = "ASC", nulls: str = "NULLS LAST") -> Items:
    """Give the items in order, NULLs last unless asked otherwise.

    Raises:
        MoltlerError: PLN004, the items have no common order.
    """
    if direction.upper() not in {"ASC", "DESC"}:
        raise value_error(f"the order is 'ASC' or 'DESC', not `{direction}`")
    if nulls.upper() not in {"NULLS FIRST", "NULLS LAST"}:
        raise value_error(f"NULLs are placed 'NULLS FIRST' or 'NULLS LAST', not `{nulls}`")
    missing: Items = [item for item in array if item is None]
    found = sorted(
        (item for item in array if item is not None),
        key=cmp_to_key(lambda a, b: order(a, b) or 0),
        reverse=direction.upper() == "DESC",
    )
    return missing + found if nulls.upper() == "NULLS FIRST" else found + missing


def flatten(array: Items) -> Items:
    """Give the items of the arrays in an array.

    Raises:
        MoltlerError: PLN004, an item is neither an array nor NULL.
    """
    result: Items = []
    for item in array:
        if is_array(item):
            result += item
        elif item is not None:
            raise type_error(f"ARRAY_FLATTEN needs an array of arrays, found {described(item)}")
    return result


def slice_(array: Items | str, start: int, stop: int) -> Items | str:
    """Give the items, or characters, from one place up to, without it, another."""
    return array[max(start, 0) : max(stop, 0)]


# ── with lambdas ─────────────────────────────────────────────────────────────────────────────


def _passes(condition: Lambda, item: object) -> bool:
    return truth(condition(item), "the lambda") is True


def map_(array: Items, change: Lambda) -> Items:
    """Give what a lambda makes of each item."""
    return [change(item) for item in array]


def filter_(array: Items, condition: Lambda) -> Items:
    """Give the items for which a lambda is TRUE."""
    return [item for item in array if _passes(condition, item)]


def reduce(array: Items, step: Lambda, start: object) -> object:
    """Give what a lambda makes of a start and each item in turn."""
    result = start
    for item in array:
        result = step(result, item)
    return result


def find(array: Items, condition: Lambda) -> object:
    """Give the first item for which a lambda is TRUE, else NULL."""
    return next((item for item in array if _passes(condition, item)), None)


def find_index(array: Items, condition: Lambda) -> int | None:
    """Give the place of the first item for which a lambda is TRUE, else NULL."""
    return next((i for i, item in enumerate(array) if _passes(condition, item)), None)


def every(array: Items, condition: Lambda) -> bool:
    """Tell whether a lambda is TRUE for all items."""
    return all(_passes(condition, item) for item in array)


def some(array: Items, condition: Lambda) -> bool:
    """Tell whether a lambda is TRUE for at least one item."""
    return any(_passes(condition, item) for item in array)


ARRAY = table(
    function("ARRAY_LENGTH", "array:array", len),
    function("ARRAY_CONTAINS", "array:array item:any", contains),
    function("ARRAY_APPEND", "array:array~ item:any~", append),
    function("ARRAY_PREPEND", "array:array~ item:any~", prepend),
    function("ARRAY_REMOVE", "array:array item:any~", remove),
    function("ARRAY_DISTINCT", "array:array", distinct),
    function("ARRAY_JOIN", "array:array separator:text~", join),
    function("ARRAY_REVERSE", "array:array", reverse),
    function("ARRAY_SORT", "array:array direction:text? nulls:text?", sort),
    function("ARRAY_FLATTEN", "array:array", flatten),
    function("ARRAY_SLICE", "array:sized from:integer to:integer", slice_),
    function("ARRAY_MAP", "array:array change:lambda1", map_),
    function("ARRAY_FILTER", "array:array condition:lambda1", filter_),
    function("ARRAY_REDUCE", "array:array step:lambda2 start:any~", reduce),
    function("ARRAY_FIND", "array:array condition:lambda1", find),
    function("ARRAY_FIND_INDEX", "array:array condition:lambda1", find_index),
    function("ARRAY_EVERY", "array:array condition:lambda1", every),
    function("ARRAY_SOME", "array:array condition:lambda1", some),
)
