"""Versions and ranges of them (Semantic Versioning 2.0.0)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import total_ordering
from typing import TypeAlias

_IDENTIFIER = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_TAIL = rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_NUMBER = r"(0|[1-9]\d{0,17})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}{_TAIL}", re.ASCII)
_COMPARATOR = re.compile(
    rf"(\^|~|>=|<=|>|<|=)?\s*{_NUMBER}(?:\.{_NUMBER})?(?:\.{_NUMBER}{_TAIL})?", re.ASCII
)
_LONGEST = 200

Core: TypeAlias = tuple[int, int, int]


class BadVersion(ValueError):  # noqa: N818 - becomes SYN006 or PKG008 where it is known whose text it is
    """The text is no version, or no range; the message says which."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One version; build metadata does not take part in comparisons."""

    core: Core
    prerelease: tuple[int | str, ...] = ()
    build: str | None = None

    def __str__(self) -> str:
        text = ".".join(map(str, self.core))
        if self.prerelease:
            text += "-" + ".".join(map(str, self.prerelease))
        return f"{text}+{self.build}" if self.build else text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._order == other._order

    def __lt__(self, other: Version) -> bool:
        return self._order < other._order

    def __hash__(self) -> int:
        return hash(self._order)

    @property
    def _order(self) -> tuple[Core, bool, tuple[tuple[bool, int, str], ...]]:
        # A release comes after its prereleases; numbers come before words (SemVer §11).
        parts = tuple(
            (False, p, "") if isinstance(p, int) else (True, 0, p) for p in self.prerelease
        )
        return self.core, not self.prerelease, parts

    @property
    def is_prerelease(self) -> bool:
        """Whether it comes before its release."""
        return bool(self.prerelease)


def parse_version(text: str) -> Version:
    """Give the version that a text spells.

    Raises:
        BadVersion: It is not strict SemVer.

    >>> parse_version("1.0.0-rc.2") < parse_version("1.0.0-rc.10") < parse_version("1.0.0")
    True
    """
    found = _VERSION.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise BadVersion(f"'{text[:80]}' is not a version")
    return _version(found[1], found[2], found[3], found[4], found[5])


def _version(
    major: str, minor: str | None, patch: str | None, prerelease: str | None, build: str | None
) -> Version:
    parts = tuple(int(p) if p.isdigit() else p for p in (prerelease or "").split(".") if p)
    return Version((int(major), int(minor or 0), int(patch or 0)), parts, build)


@dataclass(frozen=True, slots=True)
class Range:
    """Comparators that all must hold; an exact version is a range too."""

    text: str
    tests: tuple[Callable[[Version], bool], ...]
    prereleases_of: frozenset[Core]
    """The releases whose prereleases it names, and so allows."""
    exact: Version | None = None
    """The version, if it names a single one."""

    def allows(self, version: Version) -> bool:
        """Tell whether a version lies in the range; a prerelease only if the range names one."""
        if version.is_prerelease and version.core not in self.prereleases_of:
            return False
        return all(test(version) for test in self.tests)

    def __str__(self) -> str:
        return self.text


ANY = Range("any", (), frozenset())


def parse_range(text: str) -> Range:
    """Give the range that a text spells: ``1.0.0``, ``^1.2``, ``~1.2``, ``>=1,<2``.

    Comparators are separated by commas or blanks. A number that is left out is free: ``1.2``
    means every ``1.2.x``.

    Raises:
        BadVersion: It is not a range.

    >>> parse_range("^1.2").allows(parse_version("1.9.0")), parse_range("^0.2").allows(
    ...     parse_version("0.3.0"))
    (True, False)
    """
    stripped = text.strip()
    if stripped in {"*", ""} and text:
        return ANY
    if len(text) > _LONGEST:
        raise BadVersion(f"'{text[:80]}…' is not a range of versions")
    tests: list[Callable[[Version], bool]] = []
    named: set[Core] = set()
    exact: Version | None = None
    position, count = 0, 0
    while position < len(stripped):
        found = _COMPARATOR.match(stripped, position)
        if found is None:
            raise BadVersion(f"'{text}' is not a range of versions")
        position = found.end()
        separator = re.compile(r"\s*,\s*|\s+|$").match(stripped, position)
        if separator is None or (separator.end() == len(stripped) and separator[0]):
            raise BadVersion(f"'{text}' is not a range of versions")
        position = separator.end()
        count += 1
        version = _version(found[2], found[3], found[4], found[5], found[6])
        if version.is_prerelease:
            named.add(version.core)
        is_whole = found[4] is not None
        if is_whole and found[1] in {None, "="}:
            exact = version
        tests += _comparator(
            found[1] or "=", version, has_minor=found[3] is not None, is_whole=is_whole
        )
    if count == 0:
        raise BadVersion("a range of versions is empty")
    return Range(stripped, tuple(tests), frozenset(named), exact if count == 1 else None)


def _comparator(
    operator: str, version: Version, *, has_minor: bool, is_whole: bool
) -> list[Callable[[Version], bool]]:
    major, minor, patch = version.core
    above_minor = Version((major, minor + 1, 0)) if has_minor else Version((major + 1, 0, 0))
    match operator:
        case "^":
            # The leftmost number that is not 0 stays.
            if major or not has_minor:
                above = Version((major + 1, 0, 0))
            elif minor or not is_whole:
                above = Version((0, minor + 1, 0))
            else:
                above = Version((0, 0, patch + 1))
            return [version.__le__, lambda v: _is_below(v, above)]
        case "~":
            return [version.__le__, lambda v: _is_below(v, above_minor)]
        case "=" if not is_whole:
            return [version.__le__, lambda v: _is_below(v, above_minor)]
        case "=":
            return [version.__eq__]
        case ">=":
            return [version.__le__]
        case ">" if is_whole:
            return [version.__lt__]
        case ">":
            return [above_minor.__le__]
        case "<":
            return [lambda v: _is_below(v, version) if not version.is_prerelease else v < version]
        case _ if is_whole:
            return [version.__ge__]
        case _:
            return [lambda v: _is_below(v, above_minor)]


def _is_below(version: Version, bound: Version) -> bool:
    # 2.0.0-beta is before 2.0.0 and still does not belong to `<2`.
    return version < bound and version.core != bound.core
