"""Which version to install, and what it needs besides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from moltler.errors import PackageError, near_match
from moltler.registry.index import Registry
from moltler.registry.manifest import LANGUAGE_VERSION
from moltler.registry.records import ConnectorRecord, VersionRecord
from moltler.registry.semver import ANY, BadVersion, Range, Version, parse_range
from moltler.registry.version import RUNTIME

_MOST = 64


@dataclass(frozen=True, slots=True)
class Choice:
    """A version that was chosen."""

    name: str
    version: VersionRecord


def choose(record: ConnectorRecord, wanted: Range) -> VersionRecord:
    """Give the highest version that fits a range and this runtime.

    A yanked version is taken only where it is named exactly.

    Raises:
        PackageError: PKG008, none fits; each is explained.
    """
    reasons: list[str] = []
    for version in sorted(record.versions, key=lambda v: v.number, reverse=True):
        why = _unfit(version, wanted)
        if why is None:
            return version
        reasons.append(f"{version.version}: {why}")
    listed = "".join(f"\n  {reason}" for reason in reasons[:20]) or "\n  it has no version"
    raise PackageError(
        "PKG008",
        f"no version of `{record.name}` fits {wanted}:{listed}",
        hint="ask for another range, or upgrade Moltler where a version needs that",
    )


def _unfit(version: VersionRecord, wanted: Range) -> str | None:
    number = version.number
    if not wanted.allows(number):
        is_hidden = number.is_prerelease and number.core not in wanted.prereleases_of
        return "a prerelease, which the range does not name" if is_hidden else "not in the range"
    if version.yanked and wanted.exact != number:
        return f"yanked{f' ({version.yank_reason})' if version.yank_reason else ''}"
    return unmet(version.requires)


def unmet(requires: Mapping[str, object]) -> str | None:
    """Tell why this runtime does not do for a package, or ``None``."""
    for key, value in requires.items():
        match key:
            case "moltler":
                wanted = _range(value)
                if wanted is None or not wanted.allows(RUNTIME):
                    return f"it needs Moltler {value}, and this is {RUNTIME}"
            case "language":
                if not isinstance(value, int) or value > LANGUAGE_VERSION:
                    return f"it needs version {value} of the language, this has {LANGUAGE_VERSION}"
            case "connectors":
                pass
            case _:
                return f"it needs `{key}`, which this Moltler does not know"
    return None


def needed(requires: Mapping[str, object]) -> dict[str, Range]:
    """Give the connectors that a package requires, with their ranges."""
    connectors = requires.get("connectors")
    found: dict[str, Range] = {}
    if isinstance(connectors, dict):
        for name, text in cast("dict[str, object]", connectors).items():
            wanted = _range(text)
            if wanted is None:
                raise PackageError("PKG008", f"it requires `{name}` in the range {text!r}")
            found[name] = wanted
    return found


def _range(value: object) -> Range | None:
    try:
        return parse_range(value) if isinstance(value, str) else None
    except BadVersion:
        return None


def plan(
    name: str,
    wanted: Range,
    registry: Registry,
    installed: Callable[[str], Version | None],
) -> tuple[Choice, ...]:
    """Choose a version, and versions of what it requires and is not installed yet.

    Args:
        name: What to install; chosen also if it is installed.
        wanted: In which version.
        registry: Where everything is looked for.
        installed: Gives the version that is there, of a type that came from a package.

    Returns:
        Requirements before what requires them.

    Raises:
        PackageError: PKG008, nothing fits, a requirement is missing, or they go round in circles.
    """
    chosen: dict[str, Choice] = {}
    path: list[str] = []

    def visit(name: str, wanted: Range) -> None:
        key = name.lower()
        if key in path:
            circle = " → ".join([*path[path.index(key) :], key])
            raise PackageError(
                "PKG008", f"the requirements go round in circles: {circle}", hint=_TELL
            )
        if key in chosen:
            if not wanted.allows(chosen[key].version.number):
                raise PackageError(
                    "PKG008",
                    f"`{path[-1]}` requires `{name}` {wanted}, and {chosen[key].version.version}"
                    " was chosen for another requirement",
                    hint="install the requirement itself first, in a version that fits both",
                )
            return
        if len(chosen) + len(path) >= _MOST:
            raise PackageError("PKG008", f"`{path[0]}` requires more than {_MOST} connectors")
        record = registry.record(name)
        if record is None:
            raise _missing(name, path, registry)
        version = choose(record, wanted)
        path.append(key)
        for required, range_ in sorted(needed(version.requires).items()):
            there = installed(required)
            if required.lower() in path or there is None or not range_.allows(there):
                visit(required, range_)
        path.pop()
        chosen[key] = Choice(record.name, version)

    visit(name, wanted)
    return tuple(chosen.values())


_TELL = "tell whoever published them; nothing was installed"


def _missing(name: str, path: list[str], registry: Registry) -> PackageError:
    if path:
        return PackageError(
            "PKG008",
            f"`{path[-1]}` requires `{name}`, which `{registry.where}` does not have",
            hint=f"install `{name}` from elsewhere first",
        )
    names = tuple(e.name for e in registry.index().connectors)
    near = near_match(name, names)
    return PackageError(
        "PKG008",
        f"the registry `{registry.where}` has no connector `{name}`",
        hint=f"did you mean '{near}'?" if near else f"look for it: moltler search {name}",
    )


def parse_wanted(text: str | None) -> Range:
    """Give the range of a VERSION clause.

    Raises:
        BadVersion: It is none.
    """
    return ANY if text is None else parse_range(text)
