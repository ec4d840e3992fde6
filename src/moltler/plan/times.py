"""Texts that are read as dates and timestamps: their offset counts, and days are days in UTC.

DuckDB cuts the offset off where a text becomes a DATE or a TIMESTAMP. Through TIMESTAMPTZ, in a
session whose zone is UTC, it is applied. It does not know the small ``z`` of ISO 8601 either. It is
done at binding, so that constants are the same everywhere.
"""

from __future__ import annotations

import re

from sqlglot import exp

from moltler.plan.bound import Bound
from moltler.plan.kinds import Kinds

_DATED = (
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Between, exp.NullSafeEQ,
    exp.NullSafeNEQ,
)  # fmt: skip
_CUT = {exp.DataType.Type.DATE, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ}
_ZONED = re.compile(r"\d:\d\d(:\d\d(\.\d+)?)?\s*[A-Za-z+-]", re.ASCII)
"""A time of day with something behind it."""
_SMALL_ZONE = re.compile(r"\dT\d\d:\d\d(:\d\d(\.\d+)?)?z\Z", re.ASCII | re.IGNORECASE)


def read_in_utc(bound: Bound) -> None:
    """Write such casts and comparisons so that offsets count, in place."""
    kinds = Kinds(bound)
    for node in list(bound.text.tree.find_all(exp.Cast, *_DATED)):
        parts = [node.this] if isinstance(node, exp.Cast) else list(node.iter_expressions())
        if any(kinds.of(part) == "time" for part in (node, *parts)):
            for part in parts:
                _enlarge_zone(bound, part)
        if isinstance(node, exp.Cast):
            if node.to.this in _CUT and _may_have_zone(bound, node.this):
                node.set("this", _zoned(node, node.this))
        elif any(_is_date(bound, part) for part in parts):
            for part in parts:
                _read_as_day(bound, part)


def _enlarge_zone(bound: Bound, node: exp.Expr) -> None:
    text = _constant(bound, node)
    if text is None or not _SMALL_ZONE.search(text):
        return
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Placeholder):
        node.replace(exp.Literal.string(text[:-1] + "Z"))
    else:
        node.set("this", text[:-1] + "Z")


def _read_as_day(bound: Bound, node: exp.Expr) -> None:
    text = _constant(bound, node)
    if text is None or not _ZONED.search(text):
        return
    hole = exp.null()
    node.replace(hole)
    made = exp.Cast(this=_zoned(None, node), to=exp.DataType.build("DATE", dialect="duckdb"))
    hole.replace(made)


def _zoned(cast: exp.Cast | None, node: exp.Expr) -> exp.Expr:
    kind = exp.TryCast if isinstance(cast, exp.TryCast) else exp.Cast
    return kind(this=node, to=exp.DataType.build("TIMESTAMPTZ", dialect="duckdb"))


def _constant(bound: Bound, node: exp.Expr) -> str | None:
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Literal):
        return str(node.this) if node.is_string else None
    if isinstance(node, exp.Placeholder):
        value = bound.parameters.get(node.name)
        return value if isinstance(value, str) else None
    return None


def _may_have_zone(bound: Bound, node: exp.Expr) -> bool:
    text = _constant(bound, node)
    return _declared(bound, node) == "string" if text is None else bool(_ZONED.search(text))


def _is_date(bound: Bound, node: exp.Expr) -> bool:
    return _declared(bound, node) == "date"


def _declared(bound: Bound, node: exp.Expr) -> str | None:
    while isinstance(node, exp.Paren):
        node = node.this
    ref = bound.ref(node)
    if ref is None or ref.path or ref.output.property is None:
        return None
    return ref.output.property.type.name
