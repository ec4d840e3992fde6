"""Which entities and actions of types the tests invoked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from moltler.flow.result import Column
from moltler.model import ConnectorType
from moltler.testing.report import TestReport

COLUMNS = (Column("name", "string"), Column("kind", "string"), Column("tests", "integer"))


@dataclass(frozen=True, slots=True)
class Covered:
    """One entity or action, and how many tests invoked it."""

    name: str
    """``type.entity`` or ``type.entity.action``."""
    kind: Literal["entity", "action"]
    tests: int


def coverage(types: Iterable[ConnectorType], reports: Sequence[TestReport]) -> tuple[Covered, ...]:
    """Count for each entity and action of some types the tests that invoked it.

    Args:
        types: As the tests saw them.
        reports: Of the tests that ran.
    """
    found: list[Covered] = []
    for of in types:
        for entity in of.entities:
            name = f"{of.name}.{entity.name}"
            found.append(Covered(name, "entity", _count(name, (r.entities for r in reports))))
        for action in of.actions:
            name = f"{of.name}.{action.path}"
            found.append(Covered(name, "action", _count(name, (r.actions for r in reports))))
    return tuple(found)


def coverage_line(found: Sequence[Covered]) -> str:
    """Give the sum in one line.

    >>> coverage_line([Covered("shop.items", "entity", 2), Covered("shop.pay", "action", 0)])
    'coverage: 1 of 2 entities and actions invoked (50 %)'
    """
    hit = sum(c.tests > 0 for c in found)
    share = f" ({100 * hit // len(found)} %)" if found else ""
    return f"coverage: {hit} of {len(found)} entities and actions invoked{share}"


def coverage_record(found: Sequence[Covered]) -> dict[str, object]:
    """Give it as programs read it."""
    return {
        "invoked": sum(c.tests > 0 for c in found),
        "total": len(found),
        "of": [{"name": c.name, "kind": c.kind, "tests": c.tests} for c in found],
    }


def _count(name: str, sets: Iterable[frozenset[str]]) -> int:
    # Names of the language ignore case; a test may have asked for another spelling.
    wanted = name.lower()
    return sum(any(n.lower() == wanted for n in names) for names in sets)
