"""The SQL that finds the keys of a driver's own rows (LANGUAGE §6.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from moltler.flow.scan import Feed
from moltler.plan.conjunct import Conjunct
from moltler.plan.pushdown import Pushed
from moltler.plan.scope import Scan
from moltler.plan.text import DIALECT

_REPEATABLE = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Placeholder, exp.Dot,
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ,
    exp.And, exp.Or, exp.Not, exp.Paren, exp.In, exp.Between, exp.Like, exp.ILike, exp.RegexpLike,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.DPipe, exp.Cast, exp.TryCast,
    exp.DataType, exp.Coalesce, exp.Lower, exp.Upper, exp.Trim, exp.Length, exp.Substring,
    exp.StrPosition, exp.Extract, exp.DateTrunc, exp.TimestampTrunc, exp.Year, exp.Month, exp.Day,
    exp.Var, exp.Interval,
)  # fmt: skip
"""Expressions without chance, time or state."""


def is_repeatable(conjunct: Conjunct) -> bool:
    """Tell whether a condition is known to say the same of a row each time it is asked."""
    return all(isinstance(node, _REPEATABLE) for node in conjunct.node.walk())


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a condition stands, so that it is found again once it was rewritten."""

    parent: exp.Expr
    key: str
    index: int | None
    may_fail: bool

    @property
    def condition(self) -> exp.Expr:
        """The condition, as it is now; where it fails it lets the row pass."""
        found = self.parent.args[self.key]
        node = (found if self.index is None else found[self.index]).copy()
        if not self.may_fail:
            return node
        attempt = exp.Anonymous(this="try", expressions=[node])
        return exp.Not(this=exp.Is(this=attempt, expression=exp.false()))


def keys_read(scan: Scan, feeds: Mapping[Scan, tuple[Feed, ...]]) -> tuple[str, ...]:
    """Give the fields of a scan whose values feed others."""
    used = {f.column for found in feeds.values() for f in found if f.driver == scan.name}
    return tuple(p.name for p in scan.entity.fields if p.name in used)


@dataclass(slots=True)
class KeysOfScans:
    """Writes the SQL that finds the keys of a driver's own rows; made before `rewrite` runs."""

    _spots: dict[Scan, list[_Spot]]

    @staticmethod
    def of(pushed: Pushed) -> KeysOfScans:
        """Note the conditions that keep rows of a scan from mattering."""
        spots: dict[Scan, list[_Spot]] = {}
        for conjunct in pushed.conjuncts:
            scan = conjunct.source.scan if conjunct.source is not None else None
            parent, key = conjunct.node.parent, conjunct.node.arg_key
            if scan is None or parent is None or key is None or conjunct.is_filter_only:
                continue
            # What was handed over cannot fail, and is the same each time it is asked.
            is_handed_over = any(s is scan for s, _ in conjunct.pushed)
            if is_handed_over or (
                conjunct in pushed.engine.get(scan, ()) and is_repeatable(conjunct)
            ):
                spot = _Spot(parent, key, conjunct.node.index, may_fail=not is_handed_over)
                spots.setdefault(scan, []).append(spot)
        return KeysOfScans(spots)

    def sql(self, scan: Scan, columns: tuple[str, ...]) -> str | None:
        """Give the SQL over a scan, after `rewrite`; ``None`` if all of its rows count."""
        spots = self._spots.get(scan, ())
        alias = scan.node.args.get("alias")
        if not spots or not columns or (isinstance(alias, exp.TableAlias) and alias.columns):
            return None
        shown = [exp.column(name, quoted=True) for name in columns]
        query = exp.Select(expressions=shown, distinct=exp.Distinct())
        query.set("from_", exp.From(this=scan.node.copy()))
        query.set("where", exp.Where(this=exp.and_(*(spot.condition for spot in spots))))
        return query.sql(DIALECT)
