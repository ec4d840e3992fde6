"""PACKAGE, VALIDATE and PUBLISH: what leaves a home, and what it must prove before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import msgspec

from moltler.catalog.build import check_draft
from moltler.catalog.documents import literal_value
from moltler.catalog.home import create_home
from moltler.errors import PackageError, Problem, Span
from moltler.exec.evaluate import Environment
from moltler.flow.result import Column, Done, Table
from moltler.flow.scan import Warning
from moltler.lang import ast
from moltler.lint.check import lint_type
from moltler.model import ConnectorType, StoredTest, TypeEntry
from moltler.registry.archive import SUFFIX
from moltler.registry.book import Book
from moltler.registry.contract import check_contract
from moltler.registry.folder import other_content
from moltler.registry.index import Registry
from moltler.registry.manifest import Evidence, permissions_of
from moltler.registry.package import About, Package, make_package, open_package
from moltler.registry.resolve import needed, unmet
from moltler.registry.semver import Version, parse_version
from moltler.registry.spdx import is_license
from moltler.session.evidence import Examined, examine, packed_tests, raise_all, tests_of
from moltler.session.names import statement_name
from moltler.session.registries import (
    HomeServices,
    book_of,
    open_registry,
    read_settings,
    signer_of,
)
from moltler.session.services import Services
from moltler.session.testing import read_stored
from moltler.vault.keys import write_private

_CREDENTIAL, _EXPOSED = "LNT001", "LNT003"
_PACKAGED = (
    Column("path", "string"),
    Column("sha256", "string"),
    Column("size", "integer"),
    Column("files", "integer"),
)
_VALIDATED = (Column("check", "string"), Column("status", "string"), Column("detail", "string"))
_PUBLISHED = (
    Column("name", "string"),
    Column("version", "string"),
    Column("registry", "string"),
    Column("sha256", "string"),
    Column("status", "string"),
)


def packages_folder(services: Services) -> Path:
    """Give where packages of the home lie."""
    return services.home / "packages"


# ── PACKAGE ──────────────────────────────────────────────────────────────────────────────────


def package_type(statement: ast.Package, services: HomeServices, environment: Environment) -> Table:
    """Pack the last revision of a type.

    Raises:
        MoltlerError: PKG003, it is not fit; PKG004, a claim is wrong; PKG001, the version exists.
    """
    settings = read_settings(statement.settings, ("tests", "key"), environment)
    entry = _packable(str(statement.type_name), services, statement.type_name.span)
    definition = cast("ConnectorType", entry.registered)
    about, warnings = _about(statement, definition)
    skips = _skips_tests(settings.get("tests"), statement.span)
    tests = packed_tests(entry)
    problems, practices = unfit(definition, [t.test for t in tests], services)
    raise_all([*_missing(statement, definition), *problems])
    warnings += [Warning("lint", p.message, entry.name) for p in practices]
    evidence, unproven = Evidence("skipped"), ()
    if not skips:
        examined = examine(definition, [t.test for t in tests], services)
        raise_all(examined.problems)
        evidence, unproven = examined.evidence, examined.unproven
    key = settings.get("key")
    signer = signer_of(services, None if key is None else str(key))
    package = make_package(definition, tests, about, evidence, signer)
    path = _keep(package, statement.to, services)
    warnings += [Warning("unproven_claim", p.message, entry.name) for p in unproven]
    row = (str(path), package.sha256, len(package.content), len(package.files))
    return Table(_PACKAGED, (row,), tuple(warnings))


def _packable(name: str, services: Services, span: Span | None) -> TypeEntry:
    entry = services.catalog.load().type(name, span)
    if entry.registered is None or entry.draft_differs:
        what = "is not registered" if entry.registered is None else "has a draft that differs"
        raise PackageError(
            "PKG003",
            f"type `{entry.name}` {what}, and the last revision is what is packed",
            hint=f"run REGISTER CONNECTOR TYPE '{entry.name}'",
            span=span,
        )
    return entry


def _about(statement: ast.Package, definition: ConnectorType) -> tuple[About, list[Warning]]:
    warnings: list[Warning] = []
    requires = None
    if statement.requires is not None:
        requires = {m.key: literal_value(m.value) for m in statement.requires.members}
        _check_requires(requires, statement.requires.span)
    if statement.license is not None and not is_license(statement.license):
        warnings.append(
            Warning(
                "unknown_license",
                f"'{statement.license}' is no SPDX licence; programs cannot tell what it allows",
                definition.name,
            )
        )
    about = About(
        parse_version(str(statement.version)),
        statement.description or definition.description or "",
        statement.author or "",
        statement.license or "",
        statement.homepage,
        statement.repository,
        statement.tags or (),
        statement.documentation,
        statement.changelog,
        requires,
    )
    return about, warnings


def _check_requires(requires: Mapping[str, object], span: Span) -> None:
    needed(requires)
    why = unmet(requires)
    if why is not None:
        raise PackageError(
            "PKG003", f"this Moltler itself does not do: {why}", hint="change REQUIRES", span=span
        )


def _skips_tests(value: object, span: Span) -> bool:
    if value not in {None, "skip", "run"}:
        raise PackageError(
            "PKG003", "`tests` is 'skip' or 'run'", hint="write WITH tests = 'skip'", span=span
        )
    return value == "skip"


def _missing(statement: ast.Package, definition: ConnectorType) -> list[Problem]:
    given = {
        "DESCRIPTION": statement.description or definition.description,
        "AUTHOR": statement.author,
        "LICENSE": statement.license,
    }
    return [
        Problem("PKG003", f"the package has no {clause}", f"add {clause} '…'", statement.span)
        for clause, text in given.items()
        if not (text or "").strip()
    ]


def unfit(
    definition: ConnectorType, tests: Iterable[StoredTest], services: Services
) -> tuple[list[Problem], list[Problem]]:
    """Tell what keeps a type from being packed, and what keeps it only from being published.

    Tests and claims are `examine`'s.
    """
    problems = list(check_draft(definition, check=services.handlers.check))
    problems += (
        Problem(
            "PKG003",
            f"the secret `{exposed}` is seen in plain, and nobody says why",
            'add "expose_reason" to it',
        )
        for exposed in _exposed_without_reason(definition)
    )
    practices: list[Problem] = []
    for finding in lint_type(definition, [read_stored(test) for test in tests]):
        if finding.severity == "error" and finding.code != _EXPOSED:
            found = Problem(
                "PKG003", f"{finding.code}: {finding.message}", finding.hint, finding.place
            )
            (problems if finding.code == _CREDENTIAL else practices).append(found)
    return problems, practices


def _exposed_without_reason(definition: ConnectorType) -> list[str]:
    exposed = permissions_of(definition).exposed_secrets
    return [e.property for e in exposed if not (e.reason or "").strip()]


def _keep(package: Package, to: str | None, services: Services) -> Path:
    """Write an archive, unless the same is there.

    Raises:
        PackageError: PKG001, the version is there with other content.
    """
    folder = Path(to) if to is not None else create_home(services.home) / "packages"
    path = folder / package.file_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            there = open_package(path.read_bytes())
            if not there.has_content_of(package):
                raise _packed_before(package, path)
            if there.sha256 == package.sha256:
                return path
        write_private(path, package.content)
        path.chmod(0o644)
    except OSError as error:
        raise PackageError(
            "PKG003",
            f"cannot write `{path}`: {error.strerror}",
            hint="check the folder, or name another: TO 'folder'",
        ) from error
    return path


def _packed_before(package: Package, path: Path) -> PackageError:
    major, minor, patch = package.version.core
    return PackageError(
        "PKG001",
        f"version {package.manifest.version} of `{package.manifest.name}` exists with other"
        f" content: `{path}`",
        hint=f"choose a new version, such as {major}.{minor}.{patch + 1}; a version that nobody"
        " has can be packed anew once that file is removed",
    )


# ── VALIDATE ─────────────────────────────────────────────────────────────────────────────────


def validate_type(statement: ast.PackageAdmin, services: HomeServices) -> Table:
    """Check whether a type could be packed and published.

    Raises:
        MoltlerError: PKG003, PKG004: everything that is wrong.
    """
    entry = _packable(str(statement.type_name), services, statement.type_name.span)
    definition = cast("ConnectorType", entry.registered)
    tests = packed_tests(entry)
    examined = examine(definition, [t.test for t in tests], services)
    problems, practices = unfit(definition, [t.test for t in tests], services)
    raise_all([*problems, *practices, *examined.problems, *examined.unproven])
    evidence = examined.evidence
    passed = sum(r.status == "passed" for r in evidence.results)
    counts = f"entities: {len(definition.entities)}, actions: {len(definition.actions)}"
    rows = (
        ("definition", "ok", counts),
        ("practices", "ok", "no rule of `moltler lint` is broken"),
        ("tests", "ok" if passed else "warning", f"{passed} mocked test(s) passed"),
        ("push-down", "ok", f"{sum(len(p.claims) for p in evidence.proof)} claim(s) proven"),
    )  # fmt: skip
    return Table(_VALIDATED, rows)


# ── PUBLISH ──────────────────────────────────────────────────────────────────────────────────


def publish_type(statement: ast.Publish, services: HomeServices, environment: Environment) -> Table:
    """Send a package to a registry, once everything it claims is proven.

    Raises:
        MoltlerError: PKG001 to PKG007.
    """
    settings = read_settings(statement.settings, ("visibility",), environment)
    visibility = settings.get("visibility", "public")
    if visibility not in {"public", "unlisted", "private"}:
        raise PackageError(
            "PKG003",
            "`visibility` is 'public', 'unlisted' or 'private'",
            hint="leave it out for 'public'",
            span=statement.span,
        )
    name = str(statement.type_name)
    book = book_of(services)
    to = statement.to or _only_registry(services, statement.span)
    configured, registry = open_registry(to, services)
    package = _packaged(name, statement.version, services, statement.type_name.span)
    check_publishable(package, registry, services)
    receipt = registry.publish(package, visibility)  # type: ignore[arg-type] # one of the three

    def note(before: Book) -> Book:
        published = {**before.published, package.manifest.name.lower(): configured.name}
        return msgspec.structs.replace(before, published=published)

    book.update(note)
    manifest = package.manifest
    row = (manifest.name, manifest.version, configured.name, receipt.sha256, receipt.status)
    return Table(_PUBLISHED, (row,))


def _only_registry(services: Services, span: Span) -> str:
    registries = book_of(services).load().registries
    if len(registries) == 1:
        return registries[0].name
    names = tuple(r.name for r in registries)
    what = "several registries are" if names else "no registry is"
    raise PackageError(
        "PKG006",
        f"{what} configured, and PUBLISH does not say which one is meant",
        hint=f"add TO '{names[0]}'"
        if names
        else "add one: moltler registry add marketplace URL-or-DIR",
        span=span,
        allowed=names,
    )


def _packaged(name: str, version: str | None, services: Services, span: Span) -> Package:
    folder = packages_folder(services)
    found: dict[Version, Path] = {}
    start = f"{name}-".lower()
    for path in folder.glob(f"*{SUFFIX}") if folder.is_dir() else ():
        if path.name.lower().startswith(start):
            text = path.name[len(start) : -len(SUFFIX)]
            try:
                found[parse_version(text)] = path
            except ValueError:
                continue  # of a type whose name begins the same way
    wanted = max(found, default=None) if version is None else parse_version(version)
    if wanted is None or wanted not in found:
        what = "no version" if version is None else f"no version {version}"
        raise PackageError(
            "PKG003",
            f"{what} of `{name}` has been packaged here",
            hint=f"run PACKAGE CONNECTOR TYPE '{name}' VERSION '{version or '1.0.0'}'",
            span=span,
            allowed=tuple(str(v) for v in sorted(found)),
        )
    return open_package(found[wanted].read_bytes(), name=name)


def check_publishable(package: Package, registry: Registry, services: HomeServices) -> None:
    """Hold a package to what PUBLISH demands; the registry need not be trusted for it.

    Raises:
        MoltlerError: PKG001, PKG003, PKG004, PKG005.
    """
    definition = package.definition(services.handlers.check)
    record = registry.record(package.manifest.name)
    if record is not None:
        known = record.find(package.version)
        if known is not None:
            if known.sha256 != package.sha256:
                raise other_content(package, known)
            return  # it is there already, and was held to all this then
    with tests_of(package) as tests:
        examined = examine(definition, tests, services)
        problems, practices = unfit(definition, tests, services)
    problems += practices
    if package.manifest.evidence.tests == "skipped":
        problems.append(
            Problem(
                "PKG003",
                f"`{package.root}` was packaged without running its tests",
                "package it without WITH tests = 'skip'",
            )
        )
    raise_all([*problems, *examined.problems, *examined.unproven])
    _check_evidence(package, examined)
    check_contract(package, definition, registry)


def _check_evidence(package: Package, examined: Examined) -> None:
    if package.manifest.evidence.tests == "skipped":
        return
    if package.manifest.evidence != examined.evidence:
        raise PackageError(
            "PKG003",
            f"tests and proof of `{package.root}` give other results than when it was packaged",
            hint="look for a test that depends on time, environment or another type",
        )


# ── DEPRECATE and UNPUBLISH ──────────────────────────────────────────────────────────────────


def mark_version(statement: ast.PackageAdmin, services: HomeServices) -> Done:
    """Deprecate or withdraw a published version.

    Raises:
        MoltlerError: PKG006 to PKG008.
    """
    name, version = str(statement.type_name), str(statement.version)
    to = statement.registry or _published_in(name, services, statement.span)
    configured, registry = open_registry(to, services)
    mark = "deprecate" if statement.verb == "DEPRECATE" else "yank"
    registry.mark(name, version, mark, statement.message)
    words, shown = statement_name(statement)
    done = "deprecated" if mark == "deprecate" else "withdrawn"
    return Done(words, shown, f"version {version} is {done} in `{configured.name}`")


def _published_in(name: str, services: Services, span: Span) -> str:
    book = book_of(services).load()
    registry = book.published.get(name.lower())
    return registry if registry is not None else _only_registry(services, span)
