"""``moltler.lock``: what a team has installed, to the byte."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from moltler.errors import PackageError, ParseError
from moltler.vault.keys import write_private

NAME = "moltler.lock"
_FORMAT = 1


class Locked(msgspec.Struct, frozen=True, omit_defaults=True):
    """One installed package."""

    name: str
    version: str
    sha256: str
    registry: str | None
    """The name under which it is configured; ``None`` for an archive without a registry."""
    where: str
    """Address, or a folder or archive relative to the lock file."""
    key_id: str | None = None


class Lock(msgspec.Struct, frozen=True):
    """The content of the file, packages by name."""

    format: int = _FORMAT
    packages: tuple[Locked, ...] = ()


def read_lock(path: Path) -> Lock:
    """Read a lock file.

    Raises:
        ParseError: SYN900, there is none.
        PackageError: PKG002, it is damaged; PKG008, it is of a newer Moltler.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ParseError(
            "SYN900",
            f"cannot read `{path}`: {error.strerror}",
            hint="name a type to install, or go where the lock file is",
        ) from error
    try:
        lock = msgspec.json.decode(content, type=Lock)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(
            "PKG002", f"`{path}` is damaged: {error}", hint="take it from version control again"
        ) from error
    if lock.format > _FORMAT:
        raise PackageError(
            "PKG008", f"`{path}` was written by a newer Moltler", hint="upgrade Moltler"
        )
    return lock


def write_lock(path: Path, packages: tuple[Locked, ...]) -> None:
    """Write a lock file as a whole.

    Raises:
        ParseError: SYN900, it cannot be written.
    """
    lock = Lock(packages=tuple(sorted(packages, key=lambda p: p.name.lower())))
    try:
        write_private(path, msgspec.json.format(msgspec.json.encode(lock), indent=2) + b"\n")
        path.chmod(0o644)
    except OSError as error:
        raise ParseError("SYN900", f"cannot write `{path}`: {error.strerror}") from error


def shown_place(where: str, lock: Path) -> str:
    """Give a folder or archive as the lock file names it; an address stays.

    >>> shown_place("/srv/registry", Path("/srv/project/moltler.lock"))
    '../registry'
    """
    if "://" in where:
        return where
    return Path(os.path.relpath(Path(where).absolute(), lock.absolute().parent)).as_posix()


def real_place(where: str, lock: Path) -> str:
    """Give what `shown_place` was given.

    >>> real_place("../registry", Path("/srv/project/moltler.lock"))
    '/srv/registry'
    """
    if "://" in where:
        return where
    return os.path.normpath(lock.absolute().parent / where)
