"""What a registry says about its connectors: one record each, and the index of all."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from moltler.errors import PackageError
from moltler.registry.manifest import Permissions
from moltler.registry.package import Package
from moltler.registry.semver import Version, parse_version

Visibility = Literal["public", "unlisted", "private"]
_Json = object
LARGEST_RECORD = 16_000_000
"""Bytes."""


class VersionRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One published version."""

    version: str
    sha256: str
    size: int
    url: str
    """Relative to the root of the registry."""
    published_at: str
    """ISO 8601, UTC."""
    content: str
    """Digest of its SHA256SUMS: the same for equal content with another signature."""
    requires: dict[str, _Json] = {}
    permissions: Permissions = Permissions()
    yanked: bool = False
    yank_reason: str | None = None
    deprecated: str | None = None
    """What to use instead, where it should no longer be used."""
    visibility: Visibility = "public"
    key_id: str | None = None
    tests: int = 0
    """Mocked tests that passed."""
    claims: int = 0
    """Claims of PUSHDOWN that were proven."""

    @property
    def number(self) -> Version:
        """The version as a value."""
        return parse_version(self.version)


class ConnectorRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A connector with its versions, in the order in which they were published."""

    name: str
    versions: tuple[VersionRecord, ...] = ()
    keys: tuple[str, ...] = ()
    """Identifiers of the keys that may sign its versions; none while it is unsigned."""
    owner: str | None = None
    """Who published it first, where publishers have names."""

    def find(self, version: Version) -> VersionRecord | None:
        """Give a version, ignoring build metadata."""
        return next((v for v in self.versions if v.number == version), None)

    def before(self, version: Version) -> VersionRecord | None:
        """Give the version that another one follows: the highest release below it."""
        lower = [v for v in self.versions if v.number < version and not v.number.is_prerelease]
        return max(lower, key=lambda v: (not v.yanked, v.number), default=None)

    @property
    def newest(self) -> VersionRecord | None:
        """Give the version that people should see: the highest, releases first."""
        listed = [v for v in self.versions if v.visibility == "public" and not v.yanked]
        return max(listed, key=lambda v: (not v.number.is_prerelease, v.number), default=None)


class IndexEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A connector as the index lists it."""

    name: str
    version: str
    description: str
    author: str
    license: str
    tags: tuple[str, ...] = ()
    permissions: Permissions = Permissions()
    deprecated: str | None = None
    key_id: str | None = None
    versions: int = 1
    tests: int = 0
    claims: int = 0
    words: str = ""
    """Names of entities and actions, for searching."""


class Index(msgspec.Struct, frozen=True):
    """``v1/index.json``."""

    format_version: int = 1
    connectors: tuple[IndexEntry, ...] = ()


def matching(index: Index, text: str) -> tuple[IndexEntry, ...]:
    """Give the connectors that hold every word of a text, best first.

    >>> matching(Index(), "shop")
    ()
    """
    words = text.lower().split()

    def score(entry: IndexEntry) -> int:
        name = entry.name.lower()
        rest = f"{entry.description} {' '.join(entry.tags)} {entry.author} {entry.words}".lower()
        total = 0
        for word in words:
            if word == name:
                total += 100
            elif name.startswith(word):
                total += 20
            elif word in name:
                total += 10
            elif word in rest:
                total += 1
            else:
                return 0
        return total or 1

    scored = [(score(entry), entry) for entry in index.connectors]
    found = sorted((s for s in scored if s[0]), key=lambda s: (-s[0], s[1].name.lower()))
    return tuple(entry for _, entry in found)


def record_of(package: Package, published_at: str, visibility: Visibility) -> VersionRecord:
    """Give the record of a package that is about to be published."""
    from_archive = package.manifest
    return VersionRecord(
        from_archive.version,
        package.sha256,
        len(package.content),
        archive_path(from_archive.name, from_archive.version),
        published_at,
        package.content_digest,
        from_archive.requires,
        from_archive.permissions,
        visibility=visibility,
        key_id=None if package.key is None else package.key.id,
        tests=sum(r.status == "passed" for r in from_archive.evidence.results),
        claims=sum(len(p.claims) - len(p.unproven) for p in from_archive.evidence.proof),
    )


def entry_of(record: ConnectorRecord, package: Package) -> IndexEntry:
    """Give how the index lists a connector, whose newest version is at hand."""
    manifest = package.manifest
    shown = record.find(package.version)
    return IndexEntry(
        record.name,
        manifest.version,
        manifest.description,
        manifest.author,
        manifest.license,
        manifest.tags,
        manifest.permissions,
        None if shown is None else shown.deprecated,
        None if shown is None else shown.key_id,
        sum(v.visibility == "public" for v in record.versions),
        0 if shown is None else shown.tests,
        0 if shown is None else shown.claims,
        " ".join(str(e["name"]) for e in (*manifest.entities, *manifest.actions)),
    )


def archive_path(name: str, version: str) -> str:
    """Give where an archive lies below the root of a registry."""
    return f"v1/files/{name.lower()}/{name}-{version}.moltler.tgz"


def record_path(name: str) -> str:
    """Give where the record of a connector lies below the root of a registry."""
    return f"v1/connectors/{name.lower()}.json"


INDEX_PATH = "v1/index.json"

_Record = TypeVar("_Record", ConnectorRecord, Index)


def decode(content: bytes, kind: type[_Record], where: str) -> _Record:
    """Read a record or the index.

    Args:
        content: The bytes.
        kind: What they should be.
        where: The registry, for the message.

    Raises:
        PackageError: PKG007, they are something else.
    """
    try:
        if len(content) > LARGEST_RECORD:
            raise msgspec.DecodeError("it is too large")
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        looks = content.lstrip()[:1] == b"<"
        raise PackageError(
            "PKG007",
            f"the registry at `{where}` answers with "
            + ("a web page" if looks else f"what no registry says: {error}"),
            hint="check its address; a registry has `v1/index.json` below it",
        ) from error
