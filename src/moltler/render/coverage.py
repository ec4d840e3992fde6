"""What the tests of types reached: entities, actions, and lines of their handlers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from moltler.flow.result import Column
from moltler.model import ConnectorType, Handler
from moltler.sandbox.coverage import Lines, lines_of
from moltler.testing.report import TestReport

COLUMNS = (
    Column("name", "string"),
    Column("kind", "string"),
    Column("tests", "integer"),
    Column("lines", "string"),
    Column("not_run", "string"),
)


@dataclass(frozen=True, slots=True)
class Covered:
    """One entity or action: how many tests invoked it, and which lines of its handler ran."""

    name: str
    """``type.entity`` or ``type.entity.action``."""
    kind: Literal["entity", "action"]
    tests: int
    file: str
    lines: Lines | None
    """``None`` where nobody counted: TypeScript runs with other line positions."""

    @property
    def missed(self) -> list[int]:
        """The lines that no test reached, in order."""
        return [] if self.lines is None else sorted(self.lines.executable - self.lines.executed)

    @property
    def row(self) -> tuple[object, ...]:
        """The values of `COLUMNS`."""
        share, missed = None, None
        if self.lines is not None:
            share = f"{len(self.lines.executed)}/{len(self.lines.executable)}"
            missed = f"{self.file}:{ranges_text(self.missed)}" if self.missed else ""
        return (self.name, self.kind, self.tests, share, missed)


def coverage(types: Iterable[ConnectorType], reports: Sequence[TestReport]) -> tuple[Covered, ...]:
    """Tell for each entity and action of some types what the tests reached.

    Args:
        types: As the tests saw them.
        reports: Of the tests that ran.
    """
    found: list[Covered] = []
    for of in types:
        for entity in of.entities:
            name = f"{of.name}.{entity.name}"
            count = _count(name, (r.entities for r in reports))
            lines = _lines(entity.handler, count, reports)
            found.append(Covered(name, "entity", count, entity.handler.file, lines))
        for action in of.actions:
            name = f"{of.name}.{action.path}"
            count = _count(name, (r.actions for r in reports))
            lines = _lines(action.handler, count, reports)
            found.append(Covered(name, "action", count, action.handler.file, lines))
    return tuple(found)


def coverage_line(found: Sequence[Covered]) -> str:
    """Give the sums in one line.

    >>> lines = Lines(frozenset({2, 3}), frozenset({2}))
    >>> coverage_line([Covered("shop.items", "entity", 2, "a.sql", lines)])
    'coverage: 1 of 1 entities and actions invoked (100 %), 1 of 2 handler lines run (50 %)'
    """
    counted = [c.lines for c in found if c.lines is not None]
    run, total = sum(len(n.executed) for n in counted), sum(len(n.executable) for n in counted)
    hit = sum(c.tests > 0 for c in found)
    invoked = (
        f"{_share(hit, len(found), 'entities and actions')} invoked{_percent(hit, len(found))}"
    )
    return f"coverage: {invoked}, {_share(run, total, 'handler lines')} run{_percent(run, total)}"


def coverage_record(found: Sequence[Covered]) -> dict[str, object]:
    """Give it as programs read it."""
    return {
        "invoked": sum(c.tests > 0 for c in found),
        "total": len(found),
        "of": [
            {
                "name": c.name,
                "kind": c.kind,
                "tests": c.tests,
                "file": c.file,
                "lines": None if c.lines is None else len(c.lines.executable),
                "lines_run": None if c.lines is None else len(c.lines.executed),
                "lines_not_run": c.missed,
            }
            for c in found
        ],
    }


def ranges_text(lines: Sequence[int]) -> str:
    """Give line numbers as people write them.

    >>> ranges_text([3, 4, 5, 9])
    '3-5, 9'
    """
    starts = [n for before, n in pairwise([-1, *lines]) if n != before + 1]
    ends = [n for n, after in pairwise([*lines, -1]) if after != n + 1]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


def _share(part: int, whole: int, what: str) -> str:
    return f"{part} of {whole} {what}"


def _percent(part: int, whole: int) -> str:
    # Rounded down: 100 % is said of nothing less.
    return f" ({100 * part // whole} %)" if whole else ""


def _count(name: str, sets: Iterable[frozenset[str]]) -> int:
    # Names of the language ignore case; a test may have asked for another spelling.
    wanted = name.lower()
    return sum(any(n.lower() == wanted for n in names) for names in sets)


def _lines(handler: Handler, tests: int, reports: Sequence[TestReport]) -> Lines | None:
    known = [r.lines[handler] for r in reports if handler in r.lines]
    if tests and not known:
        return None
    lines = lines_of(handler)
    for more in known:
        lines = lines | more
    return lines
