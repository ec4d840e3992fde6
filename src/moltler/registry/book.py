"""What a home knows about registries: their addresses, trusted keys, and who publishes what."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from moltler.errors import LookupFailed, PackageError, ParseError, near_match
from moltler.ports import Clock
from moltler.registry.signing import PublicKey, read_public_key
from moltler.vault.keys import write_private
from moltler.vault.locks import hold_lock

_FORMAT = 1
REGISTRY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}", re.ASCII)


class Configured(msgspec.Struct, frozen=True, omit_defaults=True):
    """A registry that was added."""

    name: str
    where: str
    """An ``http(s)://`` address or an absolute folder."""
    token_secret: str | None = None
    """The secret that holds the token for publishing."""
    require_signature: bool = False
    """Refuse packages that no trusted key has signed."""


class Book(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of ``registries.json``."""

    format: int = _FORMAT
    registries: tuple[Configured, ...] = ()
    trusted: tuple[str, ...] = ()
    """Public keys, as `moltler keys` prints them."""
    pins: dict[str, str] = {}
    """Key identifier by type name in lower case: who signed what is installed."""
    published: dict[str, str] = {}
    """Registry by type name in lower case: where this home published it last."""

    def find(self, name: str) -> Configured | None:
        """Give a registry by its name, ignoring case."""
        return next((r for r in self.registries if r.name.lower() == name.lower()), None)

    def registry(self, name: str) -> Configured:
        """Give a registry by its name.

        Raises:
            PackageError: PKG006, it is not configured.
        """
        found = self.find(name)
        if found is None:
            names = tuple(r.name for r in self.registries)
            near = near_match(name, names)
            raise PackageError(
                "PKG006",
                f"no registry `{name}` is configured",
                hint=f"did you mean '{near}'?"
                if near
                else f"add it: moltler registry add {name} URL-or-DIR",
                allowed=names,
            )
        return found

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The trusted keys."""
        return tuple(read_public_key(text) for text in self.trusted)

    def trusts(self, key: PublicKey) -> bool:
        """Tell whether a key is trusted."""
        return any(known.id == key.id for known in self.keys)


class BookFile:
    """The book of one home; every change replaces the file as a whole, under a lock.

    Args:
        home: The folder.
        clock: For waiting.
    """

    def __init__(self, home: Path, clock: Clock) -> None:
        self.path = home / "registries.json"
        self._clock = clock

    def load(self) -> Book:
        """Give the book as it is now.

        Raises:
            LookupFailed: CAT010, the file is damaged.
        """
        try:
            book = msgspec.json.decode(self.path.read_bytes(), type=Book)
            _ = book.keys
        except FileNotFoundError:
            return Book()
        except (msgspec.DecodeError, UnicodeDecodeError, ParseError) as error:
            raise LookupFailed(
                "CAT010",
                f"`{self.path}` is damaged: {error}",
                hint="restore it from a backup, or move it away and add the registries again",
            ) from error
        except OSError as error:
            raise LookupFailed(
                "CAT010",
                f"`{self.path}` cannot be read ({error.strerror})",
                hint="check its owner and its permissions",
            ) from error
        if book.format > _FORMAT:
            raise LookupFailed(
                "CAT010", f"`{self.path}` was written by a newer Moltler", hint="upgrade Moltler"
            )
        return book

    def update(self, change: Callable[[Book], Book]) -> Book:
        """Change the book and give it as saved.

        Raises:
            LookupFailed: CAT009, CAT010.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with hold_lock(self.path.with_suffix(".lock"), self._clock):
                before = self.load()
                after = change(before)
                if after != before:
                    write_private(
                        self.path, msgspec.json.format(msgspec.json.encode(after), indent=2)
                    )
                return after
        except OSError as error:
            raise LookupFailed(
                "CAT010",
                f"cannot write `{self.path}` ({error.strerror})",
                hint="check free space, owner and permissions of the home",
            ) from error
