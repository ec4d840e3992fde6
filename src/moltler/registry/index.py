"""What every registry can do, whether it is a folder or a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from moltler.errors import PackageError
from moltler.registry.archive import digest
from moltler.registry.package import Package, open_package
from moltler.registry.records import ConnectorRecord, Index, VersionRecord, Visibility

Mark = Literal["yank", "unyank", "deprecate"]
Published = Literal["published", "unchanged"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a publication."""

    status: Published
    sha256: str


class Registry(Protocol):
    """A place that publishes packages."""

    @property
    def where(self) -> str:
        """Its address or folder, for people."""
        ...

    def index(self) -> Index:
        """Give what it lists.

        Raises:
            PackageError: PKG007.
        """
        ...

    def record(self, name: str) -> ConnectorRecord | None:
        """Give a connector with all its versions, or ``None``.

        Raises:
            PackageError: PKG007.
        """
        ...

    def archive(self, name: str, version: VersionRecord) -> bytes:
        """Give the bytes of an archive, unchecked.

        Raises:
            PackageError: PKG007.
        """
        ...

    def publish(self, package: Package, visibility: Visibility) -> Receipt:
        """Take a package in; a version never changes.

        Raises:
            PackageError: PKG001, PKG002, PKG007.
        """
        ...

    def mark(self, name: str, version: str, mark: Mark, message: str | None = None) -> None:
        """Yank or deprecate a version, or take that back.

        Raises:
            PackageError: PKG007, PKG008.
        """
        ...


def fetch(registry: Registry, name: str, version: VersionRecord) -> Package:
    """Get a package and check it against what the registry says about it.

    Raises:
        PackageError: PKG002, it is not what was published; PKG007, PKG008, PKG010.
    """
    content = registry.archive(name, version)
    if digest(content) != version.sha256:
        raise PackageError(
            "PKG002",
            f"the archive of `{name}` {version.version} is not what the registry's index says",
            hint=f"its digest is {digest(content)}, the index has {version.sha256}; tell whoever"
            f" runs `{registry.where}`",
        )
    package = open_package(content, name=name)
    if package.manifest.version != version.version:
        raise PackageError(
            "PKG002",
            f"the registry gives version {package.manifest.version} of `{name}` for"
            f" {version.version}",
            hint=f"tell whoever runs `{registry.where}`",
        )
    return package
