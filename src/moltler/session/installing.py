"""INSTALL, UPGRADE, ROLLBACK and UNINSTALL: what a home takes in, and agrees to."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec

from moltler.catalog.catalog import Catalog
from moltler.catalog.config import fits
from moltler.catalog.home import create_home
from moltler.errors import (
    DefinitionError,
    LookupFailed,
    PackageError,
    ParseError,
    Problem,
    Span,
)
from moltler.exec.evaluate import Environment
from moltler.flow.result import Column, Done, Table
from moltler.flow.scan import Warning
from moltler.lang import ast
from moltler.model import ConnectorType, Provenance, TypeEntry
from moltler.registry.book import Book, Configured
from moltler.registry.folder import no_such_version
from moltler.registry.index import Registry, fetch
from moltler.registry.lockfile import Locked, read_lock, real_place, shown_place
from moltler.registry.manifest import Permissions, permissions_of, secrets_of
from moltler.registry.package import Package, open_package
from moltler.registry.resolve import needed, plan, unmet
from moltler.registry.semver import ANY, BadVersion, Range, Version, parse_range, parse_version
from moltler.session.evidence import lay_out
from moltler.session.incoming import Incoming, download, incoming_of, read_archive
from moltler.session.names import statement_name
from moltler.session.registries import (
    Consent,
    HomeServices,
    book_of,
    is_address,
    is_consenting,
    open_registry,
    read_settings,
    registry_at,
)

_INSTALLED = tuple(
    Column(name, "string")
    for name in (
        "type", "version", "registry", "sha256", "hosts", "exposed_secrets", "write_actions",
        "secrets",
    )
)  # fmt: skip


# ── statements ───────────────────────────────────────────────────────────────────────────────


def install_type(statement: ast.Install, services: HomeServices, environment: Environment) -> Table:
    """Take a type in from a registry, an address or an archive.

    Raises:
        MoltlerError: PKG002, PKG006 to PKG010; CAT003, it is defined here; DEF008.
    """
    consents = is_consenting(read_settings(statement.settings, ("consent",), environment))
    wanted = _range(statement.version, statement.span)
    name, span = str(statement.type_name), statement.type_name.span
    source = cast("str", statement.source)
    incoming = _from_source(name, wanted, source, services)
    catalog = services.catalog.load()
    for item in incoming:
        there = catalog.find_type(item.name)
        if there is not None and not there.is_installed and not statement.or_replace:
            raise _defined_here(there.name, span)
        if not statement.or_replace:
            _keep_draft(there, span)
    return _take_in(incoming, services, consents=consents, verb="install")


def upgrade_type(statement: ast.Upgrade, services: HomeServices, environment: Environment) -> Table:
    """Bring an installed type to a newer version.

    Raises:
        MoltlerError: As `install_type`; CAT008, it is not installed.
    """
    consents = is_consenting(read_settings(statement.settings, ("consent",), environment))
    wanted = _range(statement.version, statement.span)
    entry = _installed(str(statement.type_name), services, statement.type_name.span)
    _keep_draft(entry, statement.type_name.span)
    origin = entry.provenance.origin
    if book_of(services).load().find(origin) is None:
        raise PackageError(
            "PKG006",
            f"`{entry.name}` was installed from `{origin}`, which is no configured registry",
            hint=f"install the newer one: INSTALL CONNECTOR TYPE '{entry.name}' FROM '…'",
            span=statement.span,
        )
    incoming = _from_source(entry.name, wanted, origin, services)
    newest, now = incoming[-1].package.version, _version_of(entry)
    if statement.version is None and now is not None and newest < now:
        incoming = ()  # what is there was yanked, or is a prerelease
    return _take_in(incoming, services, consents=consents, verb="upgrade")


def rollback_type(statement: ast.PackageAdmin, services: HomeServices) -> Done:
    """Bring the revision back that was replaced last.

    Raises:
        MoltlerError: CAT008, there is none; DEF008, instances do not fit it.
    """
    name, span = str(statement.type_name), statement.type_name.span

    def change(catalog: Catalog) -> Catalog:
        entry = catalog.type(name, span)
        _keep_draft(entry, span)
        previous = entry.previous
        if previous is not None:
            _check_instances(catalog, previous.definition)
        return catalog.rollback(name, span)

    entry = services.catalog.update(change).type(name)
    words, shown = statement_name(statement)
    version = entry.provenance.version
    message = f"revision {entry.revision} is that of version {version}" if version else None
    return Done(words, shown, message)


def uninstall_type(statement: ast.PackageAdmin, services: HomeServices) -> Done:
    """Remove an installed type.

    Raises:
        MoltlerError: CAT008, it is not installed; CAT011, it has instances.
    """
    entry = _installed(str(statement.type_name), services, statement.type_name.span)
    services.catalog.update(lambda c: c.drop_type(entry.name, span=statement.type_name.span))

    def unpinned(book: Book) -> Book:
        pins = {n: k for n, k in book.pins.items() if n != entry.name.lower()}
        return msgspec.structs.replace(book, pins=pins)

    book_of(services).update(unpinned)
    return Done(*statement_name(statement))


# ── the lock file ────────────────────────────────────────────────────────────────────────────


def installed_packages(services: HomeServices, lock: Path) -> tuple[Locked, ...]:
    """Give what is installed, as a lock file at that path names it."""
    book = book_of(services).load()
    found: list[Locked] = []
    for entry in services.catalog.load().types.values():
        origin = entry.provenance
        if not entry.is_installed or origin.version is None or origin.sha256 is None:
            continue
        configured = book.find(origin.origin)
        where = origin.origin if configured is None else configured.where
        found.append(
            Locked(
                entry.name,
                origin.version,
                origin.sha256,
                None if configured is None else configured.name,
                shown_place(where, lock),
                origin.key_id,
            )
        )
    return tuple(found)


def install_locked(services: HomeServices, lock: Path, *, consents: bool) -> Table:
    """Install exactly what a lock file names, or nothing.

    Raises:
        MoltlerError: PKG002, something is not what was locked; as `install_type`.
    """
    catalog = services.catalog.load()
    incoming: list[Incoming] = []
    for locked in read_lock(lock).packages:
        there = catalog.find_type(locked.name)
        if there is not None and there.provenance.sha256 == locked.sha256:
            continue
        if there is not None and not there.is_installed:
            raise _defined_here(there.name, None)
        item = _locked(locked, lock, services)
        key = item.package.key
        if item.package.sha256 != locked.sha256 or (key and key.id) != locked.key_id:
            raise PackageError(
                "PKG002",
                f"`{locked.name}` {locked.version} is not what `{lock.name}` names",
                hint=f"find out who changed it: the archive, or the lock file; its digest is"
                f" {item.package.sha256}",
            )
        incoming.append(item)
    return _take_in(tuple(incoming), services, consents=consents, verb="install")


def _locked(locked: Locked, lock: Path, services: HomeServices) -> Incoming:
    where = real_place(locked.where, lock)
    exact = parse_range(locked.version)
    if locked.registry is None:
        return _from_archive(locked.name, exact, where, services)
    configured = book_of(services).load().find(locked.registry)
    if configured is None:
        configured = Configured(locked.registry, where)
    registry = registry_at(configured, services)
    record = registry.record(locked.name)
    version = None if record is None else record.find(parse_version(locked.version))
    if record is None or version is None:
        raise no_such_version(locked.name, locked.version, record)
    package = fetch(registry, record.name, version)
    _check_signer(package, configured, services, registry)
    return incoming_of(package, configured.name, version)


def _keep_draft(entry: TypeEntry | None, span: Span) -> None:
    """Refuse to throw away what somebody has begun to change."""
    if entry is not None and entry.draft_differs:
        raise LookupFailed(
            "CAT003",
            f"the draft of `{entry.name}` has changes that would be lost",
            hint=f"take them on with REGISTER CONNECTOR TYPE '{entry.name}', or replace them with"
            " INSTALL OR REPLACE",
            span=span,
        )


def _defined_here(name: str, span: Span | None) -> LookupFailed:
    return LookupFailed(
        "CAT003",
        f"connector type `{name}` is defined in this home",
        hint=f"INSTALL OR REPLACE CONNECTOR TYPE '{name}' takes its place",
        span=span,
    )


def _installed(name: str, services: HomeServices, span: Span) -> TypeEntry:
    entry = services.catalog.load().type(name, span)
    if not entry.is_installed:
        raise LookupFailed(
            "CAT008",
            f"connector type `{entry.name}` was defined here, not installed",
            hint=f"DROP CONNECTOR TYPE '{entry.name}' removes it",
            span=span,
        )
    return entry


def _range(text: str | None, span: Span) -> Range:
    try:
        return ANY if text is None else parse_range(text)
    except BadVersion as error:
        raise ParseError(
            "SYN006", str(error), hint="write '1.2.0', '^1.2', '~1.2' or '>=1,<2'", span=span
        ) from error


def _version_of(entry: TypeEntry | None) -> Version | None:
    if entry is None or not entry.is_installed or entry.provenance.version is None:
        return None
    return parse_version(entry.provenance.version)


# ── sources ──────────────────────────────────────────────────────────────────────────────────


def _from_source(
    name: str, wanted: Range, source: str, services: HomeServices
) -> tuple[Incoming, ...]:
    """Get a package and what it requires, each fully checked."""
    if is_address(source) or "/" in source or source.endswith(".tgz"):
        return (_from_archive(name, wanted, source, services),)
    configured, registry = open_registry(source, services)
    catalog = services.catalog.load()
    chosen = plan(name, wanted, registry, lambda n: _version_of(catalog.find_type(n)))
    found: list[Incoming] = []
    for choice in chosen:
        package = fetch(registry, choice.name, choice.version)
        _check_signer(package, configured, services, registry)
        found.append(incoming_of(package, configured.name, choice.version))
    return tuple(found)


def _from_archive(name: str, wanted: Range, source: str, services: HomeServices) -> Incoming:
    content = download(source, services) if is_address(source) else read_archive(source)
    package = open_package(content, name=name)
    _check_fit(package, wanted, services)
    _check_pin(package, source, services)
    return incoming_of(package, source, None)


def _check_fit(package: Package, wanted: Range, services: HomeServices) -> None:
    """Hold an archive without a registry to what resolution would have looked at."""
    if not wanted.allows(package.version):
        raise PackageError(
            "PKG008",
            f"the archive has version {package.version}, which is not in {wanted}",
            hint="leave VERSION out, or get another archive",
        )
    why = unmet(package.manifest.requires)
    if why is not None:
        raise PackageError(
            "PKG008", f"`{package.root}` does not fit: {why}", hint="upgrade Moltler"
        )
    catalog = services.catalog.load()
    for name, range_ in needed(package.manifest.requires).items():
        there = _version_of(catalog.find_type(name))
        if there is None or not range_.allows(there):
            raise PackageError(
                "PKG008",
                f"`{package.root}` requires `{name}` {range_}, which is not installed",
                hint=f"install it first: INSTALL CONNECTOR TYPE '{name}' FROM '…'",
            )


def _check_signer(
    package: Package, configured: Configured, services: HomeServices, registry: Registry
) -> None:
    book = book_of(services).load()
    key = package.key
    if configured.require_signature and (key is None or not book.trusts(key)):
        what = "is not signed" if key is None else f"is signed by `{key.name}` ({key.id})"
        raise PackageError(
            "PKG002",
            f"`{package.root}` {what}, and `{configured.name}` wants a trusted signature",
            hint="get the publisher's key from the publisher and run `moltler keys trust FILE`",
        )
    _check_pin(package, registry.where, services)


def _check_pin(package: Package, where: str, services: HomeServices) -> None:
    """Refuse a package that another key has signed than what is installed of that name."""
    key = package.key
    pinned = book_of(services).load().pins.get(package.manifest.name.lower())
    if pinned is not None and (key is None or key.id != pinned):
        what = "is not signed" if key is None else f"is signed with {key.id}"
        raise PackageError(
            "PKG002",
            f"`{package.root}` from `{where}` {what}, and what is installed with {pinned}",
            hint="ask the publisher; if the key did change, run `moltler keys forget "
            f"{package.manifest.name}`",
        )


# ── taking in ────────────────────────────────────────────────────────────────────────────────


def _take_in(
    incoming: tuple[Incoming, ...],
    services: HomeServices,
    *,
    consents: bool,
    verb: str,
) -> Table:
    catalog = services.catalog.load()
    for item in incoming:
        _check_instances(catalog, item.definition)
        _agree(item, catalog.find_type(item.name), services, consents=consents, verb=verb)
    kept = [(item, _kept_tests(item.package, services)) for item in incoming]

    def change(catalog: Catalog) -> Catalog:
        for item, tests in kept:
            _check_instances(catalog, item.definition)
            key = item.package.key
            provenance = Provenance(
                item.origin,
                item.package.manifest.version,
                item.package.sha256,
                None if key is None else key.id,
            )
            catalog = catalog.install(item.definition, provenance, tests)
        return catalog

    services.catalog.update(change)
    _pin(incoming, services)
    rows = tuple(_row(item) for item in incoming)
    warnings = tuple(w for item in incoming for w in _warnings(item, services))
    return Table(_INSTALLED, rows, warnings)


def _check_instances(catalog: Catalog, definition: ConnectorType) -> None:
    instances = catalog.instances_of(definition.name)
    unfit = [p for i in instances for p in fits(i, definition)]
    if unfit:
        names = ", ".join(f"`{i.name}`" for i in instances if fits(i, definition))
        head = Problem(
            "DEF008",
            f"connectors do not fit the new version of `{definition.name}`: {names}",
            "change them with ALTER CONNECTOR first; nothing was changed",
        )
        raise DefinitionError.of((head, *unfit))


def _agree(
    item: Incoming,
    there: TypeEntry | None,
    services: HomeServices,
    *,
    consents: bool,
    verb: str,
) -> None:
    """Have more permissions than before agreed to."""
    before = Permissions()
    is_update = there is not None and there.registered is not None and there.is_installed
    if there is not None and there.registered is not None and there.is_installed:
        before = permissions_of(there.registered)
    more = item.package.manifest.permissions.beyond(before)
    if more.is_empty or consents:
        return
    title = f"{verb} {item.package.root} from {item.origin}"
    if services.ask_consent is not None:
        if services.ask_consent(Consent(title, more.lines())):
            return
    elif not is_update and not more.exposed_secrets:
        # Typed out, with the source named: what it may do is in the result.
        return
    what = "more than before" if is_update else "to"
    listed = "".join(f"\n  {line}" for line in more.lines())
    raise PackageError(
        "PKG009",
        f"`{item.package.root}` wants {what}:{listed}",
        hint="read it, then agree with WITH consent = TRUE or --yes; nothing was changed",
    )


def _kept_tests(package: Package, services: HomeServices):  # noqa: ANN202 - StoredTests
    folder = create_home(services.home) / "packages" / "installed"
    try:
        return lay_out(package, folder)
    except OSError as error:
        raise LookupFailed(
            "CAT010",
            f"cannot write `{folder}` ({error.strerror})",
            hint="check free space, owner and permissions of the home",
        ) from error


def _pin(incoming: tuple[Incoming, ...], services: HomeServices) -> None:
    signed = {i.name.lower(): i.package.key.id for i in incoming if i.package.key is not None}
    if signed:
        book_of(services).update(
            lambda book: msgspec.structs.replace(book, pins={**book.pins, **signed})
        )


def _row(item: Incoming) -> tuple[object, ...]:
    manifest = item.package.manifest
    permissions = manifest.permissions
    exposed = (f"{e.property} ({e.reason})" for e in permissions.exposed_secrets)
    return (
        manifest.name,
        manifest.version,
        item.origin,
        item.package.sha256,
        ", ".join(permissions.hosts) or None,
        ", ".join(exposed) or None,
        ", ".join(permissions.write_actions) or None,
        ", ".join(secrets_of(item.definition)) or None,
    )


def _warnings(item: Incoming, services: HomeServices) -> list[Warning]:
    found: list[Warning] = []
    key, record, name = item.package.key, item.record, item.name
    if key is None:
        found.append(Warning("unsigned", f"`{item.package.root}` is not signed", name))
    elif not book_of(services).load().trusts(key):
        found.append(
            Warning(
                "unknown_signer",
                f"`{item.package.root}` is signed by `{key.name}` ({key.id}), whom you have not"
                " said to trust; later versions must have the same key",
                name,
            )
        )
    if record is not None and record.yanked:
        why = f": {record.yank_reason}" if record.yank_reason else ""
        found.append(Warning("yanked", f"`{item.package.root}` was withdrawn{why}", name))
    if record is not None and record.deprecated:
        message = f"`{item.package.root}` is deprecated: {record.deprecated}"
        found.append(Warning("deprecated", message, name))
    return found
