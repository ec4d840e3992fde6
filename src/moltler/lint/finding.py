"""What a rule has to say about one place."""

from __future__ import annotations

from dataclasses import dataclass

from moltler.errors import ScriptPosition, Span
from moltler.lint.rules import RULES, Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule, where, and what to do next."""

    code: str
    message: str
    """A sentence without a full stop."""
    hint: str
    """One action."""
    place: ScriptPosition | None = None
    """``None``: in a definition of the catalog, whose text is not kept."""
    type_name: str | None = None
    """The connector type, where the finding is about one."""
    forced_severity: Severity | None = None
    """For the problems of a text that is no rule's business, such as a syntax error."""

    @property
    def severity(self) -> Severity:
        """How grave it is; an error keeps a type from being published."""
        return self.forced_severity or RULES[self.code].severity

    def __str__(self) -> str:
        """Give the line that the command prints."""
        place = self.place
        where = self.type_name or "-"
        if place is not None:
            where = f"{place.file}:{place.line}:{place.column or 1}"
        return f"{where} {self.code} {self.message}"


def place_of(span: Span) -> ScriptPosition:
    """Give the place where a span starts."""
    line, column = span.source.position(span.start)
    return ScriptPosition(span.source.name, line, column)
