"""What became of a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from moltler.errors import MoltlerError
from moltler.exec.assertion import AssertFailed
from moltler.model import Handler
from moltler.sandbox.coverage import Lines

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class TestFailure:
    """Why a test failed."""

    __test__ = False
    error: MoltlerError = field(compare=False, repr=False)
    """The error itself, with its place."""

    @property
    def code(self) -> str:
        """Its code."""
        return self.error.code

    @property
    def message(self) -> str:
        """Its sentences."""
        return self.error.message

    @property
    def expression(self) -> str | None:
        """The condition that does not hold, of a failed ASSERT."""
        return self._report.expression if self._report else None

    @property
    def expected(self) -> str | None:
        """What should have been TRUE, of a failed ASSERT."""
        return self._report.expected if self._report else None

    @property
    def actual(self) -> tuple[str, ...]:
        """What was found instead, a sentence each, of a failed ASSERT."""
        return self._report.actual if self._report else ()

    @property
    def _report(self):  # noqa: ANN202 - typed by the class below
        return self.error.report if isinstance(self.error, AssertFailed) else None


@dataclass(frozen=True, slots=True)
class TestReport:
    """One run of one test."""

    __test__ = False
    type_name: str
    name: str
    tags: tuple[str, ...]
    status: Status
    duration_ms: int
    file: str
    line: int
    failure: TestFailure | None = None
    reason: str | None = None
    """Why it was skipped."""
    notes: tuple[str, ...] = ()
    """What the author should know although it passed: routes never used, no assertions."""
    calls: int = 0
    """Requests that its handlers made."""
    entities: frozenset[str] = frozenset()
    """Entities that were read, ``type.entity``."""
    actions: frozenset[str] = frozenset()
    """Actions that were run, ``type.entity.action``."""
    lines: Mapping[Handler, Lines] = field(default_factory=dict[Handler, Lines], compare=False)
    """Lines of handlers that ran, if that was asked for (`TestOptions.coverage`)."""
