"""Comments that suppress a rule at one place, with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from moltler.errors import ScriptPosition
from moltler.lint.finding import Finding
from moltler.lint.rules import RULES

_COMMENT = re.compile(r"(?:--|//|/\*)\s*lint-ok\b(?P<rest>[^\n]*)")
_REST = re.compile(r":?\s*(?P<codes>LNT[0-9]{3}(?:\s*,\s*LNT[0-9]{3})*)?\s*[:,-]*\s*(?P<reason>.*)")
_ONLY_COMMENT = re.compile(r"\s*(?:--|//|/\*|\*)")
_SHORTEST_REASON = 8


@dataclass(frozen=True, slots=True)
class Text:
    """A text that may hold suppressions."""

    file: str
    line: int
    """1-based line of `file` on which it starts."""
    text: str


@dataclass(frozen=True, slots=True)
class _Suppression:
    place: ScriptPosition
    codes: frozenset[str]
    covers: int
    """The line whose findings it suppresses, besides its own."""


def suppress(findings: Iterable[Finding], texts: Iterable[Text]) -> list[Finding]:
    """Take out what comments suppress; add what is wrong with those comments."""
    kept: list[Finding] = []
    known: dict[tuple[str, int], list[_Suppression]] = {}
    every: list[_Suppression] = []
    for text in texts:
        for found in _read(text):
            if isinstance(found, Finding):
                kept.append(found)
                continue
            every.append(found)
            for line in {found.place.line, found.covers}:
                known.setdefault((found.place.file, line), []).append(found)
    used: set[int] = set()
    for finding in findings:
        place = finding.place
        near = known.get((place.file, place.line), []) if place is not None else []
        suppressing = [s for s in near if finding.code in s.codes]
        used |= {id(s) for s in suppressing}
        if not suppressing:
            kept.append(finding)
    kept += [
        Finding(
            "LNT091",
            f"there is no {' or '.join(sorted(s.codes))} here to suppress",
            "take the comment away, or put it directly above the line that the finding names",
            s.place,
        )
        for s in every
        if id(s) not in used
    ]
    return kept


def _read(text: Text) -> Iterator[_Suppression | Finding]:
    lines = text.text.split("\n")
    for index, line in enumerate(lines):
        found = _COMMENT.search(line)
        if found is None:
            continue
        place = ScriptPosition(text.file, text.line + index, found.start() + 1)
        rest = _REST.fullmatch(found["rest"].strip().removesuffix("*/").strip())
        codes = re.findall(r"LNT[0-9]{3}", (rest["codes"] or "") if rest is not None else "")
        reason = rest["reason"].strip() if rest is not None else ""
        if unknown := [c for c in codes if c not in RULES]:
            yield _bad(f"there is no rule {unknown[0]}", place)
        elif not codes:
            yield _bad("the suppression names no rule", place)
        elif len(reason) < _SHORTEST_REASON:
            yield _bad(f"nothing says why {codes[0]} does not apply here", place)
        else:
            yield _Suppression(place, frozenset(codes), text.line + _covered(lines, index))


def _covered(lines: list[str], index: int) -> int:
    """Give the next line after a comment that is not a comment itself."""
    after = index + 1
    while after < len(lines) and (not lines[after].strip() or _ONLY_COMMENT.match(lines[after])):
        after += 1
    return after


def _bad(message: str, place: ScriptPosition) -> Finding:
    hint = "write `lint-ok LNT020: why it is right here`"
    return Finding("LNT090", message, hint, place)
