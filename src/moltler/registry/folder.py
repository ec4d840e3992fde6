"""A registry in a folder: static files that any web server can serve."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from moltler.errors import PackageError
from moltler.ports import Clock
from moltler.registry.catalogue import connector_page, index_page, page_path
from moltler.registry.index import Mark, Receipt
from moltler.registry.package import Package, open_package
from moltler.registry.records import (
    INDEX_PATH,
    ConnectorRecord,
    Index,
    IndexEntry,
    VersionRecord,
    Visibility,
    archive_path,
    decode,
    entry_of,
    record_of,
    record_path,
)
from moltler.registry.semver import BadVersion, parse_version
from moltler.vault.locks import hold_lock

HIDDEN = ".registry"
"""Below the root: the lock, tokens, and a mark of what is not finished; never served."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A registry in a folder (`index.Registry`); safe for threads and processes.

    What counts are the records; index and pages are made of them. A version is there from the
    moment at which its record is replaced, and everything it needs is there by then.

    Args:
        root: The folder.
        clock: Gives the times of publication.
    """

    root: Path
    clock: Clock

    @property
    def where(self) -> str:
        """The folder's path."""
        return str(self.root)

    def create(self) -> None:
        """Make an empty registry, unless there is one.

        Raises:
            PackageError: PKG007, the folder cannot be used.
        """
        with self._changing():
            if not (self.root / INDEX_PATH).exists():
                self._write_index([])

    def index(self) -> Index:
        """Give what it lists."""
        return decode(self._read(INDEX_PATH), Index, self.where)

    def record(self, name: str) -> ConnectorRecord | None:
        """Give a connector with all its versions, or ``None``."""
        try:
            content = self._read(record_path(name))
        except PackageError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            self._read(INDEX_PATH)  # a folder that is no registry has no connectors either
            return None
        return decode(content, ConnectorRecord, self.where)

    def archive(self, name: str, version: VersionRecord) -> bytes:
        """Give the bytes of an archive."""
        return self._read(archive_path(name, version.version))

    def publish(
        self, package: Package, visibility: Visibility, *, owner: str | None = None
    ) -> Receipt:
        """Take a package in.

        Args:
            package: Checked.
            visibility: Who should see it.
            owner: Who publishes, where publishers have names.

        Raises:
            PackageError: PKG001, the version is there with other content; PKG002, it is signed by
                another key than the versions before; PKG007.
        """
        name = package.manifest.name
        with self._changing():
            record = self.record(name) or ConnectorRecord(name, owner=owner)
            _check_name(record, package)
            known = record.find(package.version)
            if known is not None:
                if known.sha256 != package.sha256:
                    raise other_content(package, known)
                self._refresh(record)
                return Receipt("unchanged", known.sha256)
            check_key(record, package)
            path = archive_path(name, package.manifest.version)
            self._write(path, package.content)
            now = self.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
            version = record_of(package, now, visibility)
            keys = record.keys or (() if package.key is None else (package.key.id,))
            self._save(
                msgspec.structs.replace(record, versions=(*record.versions, version), keys=keys)
            )
            return Receipt("published", package.sha256)

    def mark(self, name: str, version: str, mark: Mark, message: str | None = None) -> None:
        """Yank or deprecate a version, or take that back."""
        with self._changing():
            record = self.record(name)
            known = None if record is None else record.find(_number(version))
            if record is None or known is None:
                raise no_such_version(name, version, record)
            match mark:
                case "yank":
                    changed = msgspec.structs.replace(known, yanked=True, yank_reason=message)
                case "unyank":
                    changed = msgspec.structs.replace(known, yanked=False, yank_reason=None)
                case "deprecate":
                    changed = msgspec.structs.replace(known, deprecated=message or None)
            versions = tuple(changed if v is known else v for v in record.versions)
            self._save(msgspec.structs.replace(record, versions=versions))

    def rebuild(self) -> None:
        """Make index and pages anew from the records."""
        with self._changing():
            self._rebuild()

    # ── files ────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _changing(self) -> Generator[None]:
        """Keep other publishers out; finish what one that died has left."""
        hidden = self.root / HIDDEN
        with self._translated():
            hidden.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold_lock(hidden / "lock", self.clock), self._translated():
            if self._unfinished.exists():
                self._rebuild()
                self._unfinished.unlink()
            yield

    @property
    def _unfinished(self) -> Path:
        return self.root / HIDDEN / "unfinished"

    def _save(self, record: ConnectorRecord) -> None:
        self._unfinished.touch()
        self._write(record_path(record.name), msgspec.json.encode(record))
        self._refresh(record)
        self._unfinished.unlink()

    def _refresh(self, record: ConnectorRecord) -> None:
        """Bring the index up to date about one connector."""
        index = self.index() if (self.root / INDEX_PATH).exists() else Index()
        rest = [e for e in index.connectors if e.name.lower() != record.name.lower()]
        entry = self._listed(record)
        self._write_index([*rest, *([entry] if entry else [])])

    def _listed(self, record: ConnectorRecord) -> IndexEntry | None:
        """Write the page of a connector and give how the index lists it, if it does."""
        newest, page = record.newest, page_path(record.name)
        if newest is None:
            (self.root / page).unlink(missing_ok=True)
            return None
        package = open_package(self.archive(record.name, newest), name=record.name)
        self._write(page, connector_page(record, package).encode("utf-8", "replace"))
        return entry_of(record, package)

    def _rebuild(self) -> None:
        entries: list[IndexEntry] = []
        for path in sorted((self.root / "v1/connectors").glob("*.json")):
            record = decode(path.read_bytes(), ConnectorRecord, self.where)
            entry = self._listed(record)
            if entry is not None:
                entries.append(entry)
        self._write_index(entries)

    def _write_index(self, entries: list[IndexEntry]) -> None:
        ordered = tuple(sorted(entries, key=lambda e: e.name.lower()))
        index = Index(connectors=ordered)
        self._write("index.html", index_page(index).encode("utf-8", "replace"))
        self._write(INDEX_PATH, msgspec.json.encode(index))

    def _read(self, path: str) -> bytes:
        with self._translated():
            return (self.root / path).read_bytes()

    def _write(self, path: str, content: bytes) -> None:
        """Replace a file as a whole, durably."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
        try:
            with fresh.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.chmod(0o644)
            fresh.replace(target)
        finally:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise PackageError(
                "PKG007",
                f"there is no registry in `{self.root}`: `{_below(error, self.root)}` is missing",
                hint="`moltler registry add NAME DIR` makes one in an empty folder",
            ) from error
        except OSError as error:
            raise PackageError(
                "PKG007",
                f"the registry in `{self.root}` cannot be used: {error.strerror}",
                hint="check the owner, the permissions and the space of the folder",
            ) from error


def _below(error: OSError, root: Path) -> str:
    path = Path(str(error.filename or root))
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _number(version: str):  # noqa: ANN202 - a Version
    try:
        return parse_version(version)
    except BadVersion as error:
        raise PackageError("PKG008", str(error), hint="write three numbers: 1.0.0") from error


def _check_name(record: ConnectorRecord, package: Package) -> None:
    if record.name != package.manifest.name:
        raise PackageError(
            "PKG003",
            f"the registry knows `{record.name}`, and the package is of `{package.manifest.name}`",
            hint="names that differ only by case are the same: spell it like the versions before",
        )


def check_key(record: ConnectorRecord, package: Package) -> None:
    """Refuse a package that is not signed like the versions before it.

    Raises:
        PackageError: PKG002.
    """
    key = None if package.key is None else package.key.id
    if record.keys and key not in record.keys:
        signed = "is not signed" if key is None else f"is signed with the key {key}"
        raise PackageError(
            "PKG002",
            f"`{record.name}` {package.manifest.version} {signed}, and its versions in the"
            f" registry with {' or '.join(record.keys)}",
            hint="publish it with the key of the versions before, or ask whoever runs the registry"
            " to accept the new one",
        )


def other_content(package: Package, known: VersionRecord) -> PackageError:
    """Give the error PKG001 for a version that is there with other content."""
    version = package.version
    major, minor, patch = version.core
    return PackageError(
        "PKG001",
        f"version {known.version} of `{package.manifest.name}` exists with other content",
        hint=f"versions never change; choose a new one, such as {major}.{minor}.{patch + 1}",
    )


def no_such_version(name: str, version: str, record: ConnectorRecord | None) -> PackageError:
    """Give the error PKG008 for a version that a registry does not have."""
    if record is None:
        return PackageError(
            "PKG008", f"the registry has no connector `{name}`", hint="see `moltler search`"
        )
    return PackageError(
        "PKG008",
        f"the registry has no version {version} of `{name}`",
        hint="choose one of those it has",
        allowed=tuple(v.version for v in record.versions),
    )
