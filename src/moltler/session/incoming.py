"""Packages on their way in: read from a file or an address, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from moltler.errors import PackageError
from moltler.flow.http import FetchFailure, HttpRequest
from moltler.model import ConnectorType
from moltler.registry.archive import LARGEST
from moltler.registry.book import Configured
from moltler.registry.package import Package
from moltler.registry.records import VersionRecord
from moltler.registry.remote import target_of
from moltler.session.registries import HomeServices


@dataclass(frozen=True, slots=True)
class Incoming:
    """A package that is about to be installed."""

    package: Package
    definition: ConnectorType
    origin: str
    record: VersionRecord | None = None
    """What a registry says about it."""

    @property
    def name(self) -> str:
        """Its type."""
        return self.package.manifest.name


def incoming_of(package: Package, origin: str, record: VersionRecord | None) -> Incoming:
    """Give an opened package as one that is about to be installed."""
    # Handlers were compiled when it was packed; compiling them again would start a runtime.
    return Incoming(package, package.definition(lambda _handler, _entry: ()), origin, record)


def read_archive(source: str) -> bytes:
    """Read an archive from a file, at most a byte more than is allowed.

    Raises:
        PackageError: PKG007.
    """
    try:
        with Path(source).open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise PackageError(
            "PKG007", f"cannot read `{source}`: {error.strerror}", hint="check the path"
        ) from error


def download(source: str, services: HomeServices) -> bytes:
    """Get an archive from an address.

    Raises:
        PackageError: PKG007.
    """
    try:
        host = urlsplit(source).netloc
        target = target_of(Configured(host, source), None)
        answer = services.ask_registry(target, HttpRequest("GET", source))
    except FetchFailure as error:
        raise PackageError(
            "PKG007", f"cannot get `{source}`: {error}", hint=error.hint or "check the address"
        ) from error
    if answer.status != 200:
        raise PackageError(
            "PKG007", f"cannot get `{source}`: status {answer.status}", hint="check the address"
        )
    return answer.body
