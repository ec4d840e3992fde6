"""What handlers are told and what stays local: cases from tests/fixtures/pushdown.

Many are named after a trap that other systems fell into.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from moltler.flow.predicate import AllOf, AnyOf, Condition, EngineText, NotOf, OrderKey, Predicate
from moltler.flow.scan import ScanRequest
from support.handlers import entity
from support.planning import plan

_FIXTURES = Path(__file__).parents[1] / "fixtures" / "pushdown"
_ITEMS = (
    "id integer key, name string, status string, n integer, price number, flag boolean, "
    "t timestamp, d date, tags array<string>, doc document, q string only"
)
CONNECTORS = {
    "shop": [
        entity("items", _ITEMS, []),
        entity(
            "orders", "id integer key, item_id integer, status string, note string, n integer", []
        ),
        entity("users", "id integer key, item_id integer, name string", []),
    ],
    "claimed": [
        entity(
            "items",
            _ITEMS,
            [],
            claims={"status": ["="], "price": [">=", "<="]},
            order_by=["price", "id"],
            limit=True,
        )
    ],
}
VARIABLES = {"created": {"id": 7}, "word": "w", "three": 3}


def _cases() -> Iterator[Any]:
    for path in sorted(_FIXTURES.glob("*.toml")):
        for case in tomllib.loads(path.read_text(encoding="utf-8"))["case"]:
            yield pytest.param(case, id=f"{path.stem}: {case['name']}")


@pytest.mark.parametrize("case", list(_cases()))
def test_handlers_are_told_what_the_rules_allow(case: dict[str, Any]) -> None:
    planned = plan(case["query"], CONNECTORS, VARIABLES)
    scans = {s.scan: s for s in planned.scans}
    for scan, told in case.get("told", {}).items():
        assert [_shown(p) for p in scans[scan].where] == told
    for scan, local in case.get("local", {}).items():
        assert [f"{c.rule}: {c.text}" for c in scans[scan].local] == local
    for scan, filters in case.get("filters", {}).items():
        assert dict(scans[scan].filters) == filters
    for scan, keys in case.get("order", {}).items():
        assert [_key(k) for k in scans[scan].order_by] == keys
    if "limit" in case or "rule" in case:
        handed = {s.scan: s.limit for s in planned.scans if s.limit is not None}
        assert handed == case.get("limit", {})
        rules = {s.scan: s.limit_rule for s in planned.scans if s.limit_rule is not None}
        assert rules == case.get("rule", {})
    if "claims" in case:
        assert _names(planned.scans, "limit_is_claimed") == case["claims"]
    if "checked" in case:
        assert _names(planned.scans, "check_sql") == case["checked"]
    assert _names(planned.scans, "is_empty") == case.get("empty", [])
    assert [w.code for w in planned.warnings] == case.get("warnings", [])


def _names(scans: tuple[ScanRequest, ...], attribute: str) -> list[str]:
    return [s.scan for s in scans if getattr(s, attribute)]


def _key(key: OrderKey) -> str:
    marks = (" desc" if key.descending else "") + (" nulls first" if key.nulls_first else "")
    return key.field + marks


def _shown(predicate: Predicate) -> str:
    match predicate:
        case Condition(field, operator, None):
            return f"{field} {operator}"
        case Condition(field, operator, tuple() as values):
            return f"{field} {operator} ({', '.join(_value(v) for v in values)})"
        case Condition(field, operator, value):
            return f"{field} {operator} {_value(value)}"
        case AnyOf(members):
            return f"any({', '.join(_shown(m) for m in members)})"
        case AllOf(members):
            return f"all({', '.join(_shown(m) for m in members)})"
        case NotOf(member):
            return f"not({_shown(member)})"
        case EngineText(text):
            return f"engine {text}"


def _value(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime | date) else repr(value)
