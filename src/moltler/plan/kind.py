"""Kinds of values, and those of types and constants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Literal, TypeAlias

from sqlglot import exp

from moltler.schema import SCALARS, DataType

Kind: TypeAlias = Literal[
    "variant", "variants", "list", "number", "whole", "text", "truth", "time", "interval", "null",
    "other",
]  # fmt: skip
"""``variants`` is VARIANT[], ``list`` any other list, ``other`` unknown."""

_SCALAR_KINDS: Mapping[str, Kind] = {
    "string": "text", "integer": "whole", "number": "number", "boolean": "truth",
    "timestamp": "time", "date": "time",
}  # fmt: skip


def of_declared(type_: DataType) -> Kind:
    """Give the kind of a declared type."""
    if type_.name == "array":
        return "list" if type_.items is not None and type_.items.name in SCALARS else "variants"
    return _SCALAR_KINDS.get(type_.name, "variant")


def of_value(value: object) -> Kind:
    """Give the kind of a constant."""
    match value:
        case None:
            return "null"
        case bool():
            return "truth"
        case int():
            return "whole"
        case float() | Decimal():
            return "number"
        case str():
            return "text"
        case date():
            return "time"
        case list() | tuple():
            return "list" if is_uniform(value) else "variants"
        case _:
            return "other"


def is_uniform(values: Sequence[object]) -> bool:
    """Tell whether an array holds scalars of one type only, NULLs aside.

    Whole numbers and fractions are one type if a double holds every digit.

    >>> is_uniform([1, 2.5, None]), is_uniform([1, "a"]), is_uniform([1.5, 2**53 + 1])
    (True, False, False)
    """
    given = [v for v in values if v is not None]
    if any(isinstance(v, dict | list | tuple) for v in given):
        return False
    kinds = {type(v) for v in given}
    if kinds == {int, float}:
        return all(abs(v) <= 2**53 for v in given if isinstance(v, int))
    return len(kinds) <= 1


def of_type(type_: object) -> Kind:
    """Give the kind of a type in SQL."""
    if not isinstance(type_, exp.DataType):
        return "other"
    kind = type_.this
    if kind in exp.DataType.TEXT_TYPES:
        return "text"
    if kind in exp.DataType.INTEGER_TYPES:
        return "whole"
    if kind in exp.DataType.NUMERIC_TYPES:
        return "number"
    if kind in exp.DataType.TEMPORAL_TYPES:
        return "time"
    if kind == exp.DataType.Type.BOOLEAN:
        return "truth"
    if kind == exp.DataType.Type.INTERVAL:
        return "interval"
    if kind == exp.DataType.Type.VARIANT or type_.sql("duckdb").upper() == "VARIANT":
        return "variant"
    if kind in {exp.DataType.Type.LIST, exp.DataType.Type.ARRAY}:
        items = type_.expressions[0] if type_.expressions else None
        return "variants" if items is not None and of_type(items) == "variant" else "list"
    return "other"


def one_of(kinds: Iterable[Kind]) -> Kind:
    """Give the kind of a value that may be of any of these."""
    found: set[Kind] = {kind for kind in kinds if kind != "null"}
    if "variant" in found:
        return "variant"
    if found == {"whole", "number"}:
        return "number"
    return found.pop() if len(found) == 1 else "other"
