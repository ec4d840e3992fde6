"""Slices the reference page, which need not be part of this repository, into its examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SQL_HEADINGS = (
    "1. Define Connector Type",
    "2. Define Entities",
    "4. Implement Actions",
    "5. Register Connector",
    "Create Instance",
    "Query",
    "Execute Actions",
)
JAVASCRIPT_HEADINGS = (
    "3. Implement Query Handler",
    "Pagination",
    "Rate Limiting",
    "Caching",
    "Error Handling",
)


@dataclass(frozen=True)
class ReferencePage:
    """The page's text; blocks are found by the heading above them."""

    lines: tuple[str, ...]

    def sql(self, heading: str) -> str:
        """Give the statements below a heading, verbatim."""
        section = self._section(heading)
        starts = (
            "CREATE ",
            "REGISTER ",
            "SELECT ",
            "CONNECTOR_EXEC ",
            "TEST ",
            "PACKAGE ",
            "PUBLISH ",
        )
        first = next(i for i, line in enumerate(section) if line.startswith(starts))
        last = max(i for i, line in enumerate(section) if line.rstrip().endswith(";"))
        return "\n".join(section[first : last + 1]) + "\n"

    def javascript(self, heading: str) -> str:
        """Give the handler below a heading, verbatim."""
        section = self._section(heading)
        first = next(
            i for i, line in enumerate(section) if line.startswith(("//", "async ", "const "))
        )
        last = max(i for i, line in enumerate(section) if line.rstrip() in {"}", "};"})
        return "\n".join(section[first : last + 1]) + "\n"

    def _section(self, heading: str) -> list[str]:
        known = {
            *SQL_HEADINGS,
            *JAVASCRIPT_HEADINGS,
            "Using Your Connector",
            "Advanced Features",
            "Testing Connectors",
            "Unit Tests",
            "Integration Tests",
            "Publishing Connectors",
            "Package Connector",
            "Publish",
            "Best Practices",
        }
        start = self.lines.index(heading) + 1
        end = next(
            (i for i in range(start, len(self.lines)) if self.lines[i] in known), len(self.lines)
        )
        return list(self.lines[start:end])


def read_page(path: Path) -> ReferencePage:
    """Read a page."""
    return ReferencePage(tuple(path.read_text(encoding="utf-8").splitlines()))
