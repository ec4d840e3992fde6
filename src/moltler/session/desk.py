"""What commands do about packages that no statement does: registries, keys, searching."""

from __future__ import annotations

from pathlib import Path

import msgspec

from moltler.errors import LookupFailed, PackageError, ParseError
from moltler.flow.result import Column, Table
from moltler.registry.book import REGISTRY_NAME, Book, Configured
from moltler.registry.folder import Folder
from moltler.registry.lockfile import write_lock
from moltler.registry.records import matching
from moltler.registry.signing import KEY_NAME, PublicKey, new_key, public_key, read_public_key
from moltler.session.installing import install_locked, installed_packages
from moltler.session.registries import (
    SIGNING,
    HomeServices,
    book_of,
    is_address,
    own_keys,
    registry_at,
)

_REGISTRIES = (
    Column("name", "string"),
    Column("where", "string"),
    Column("token_secret", "string"),
    Column("require_signature", "boolean"),
)
_FOUND = tuple(Column(n, "string") for n in ("name", "version", "description", "registry"))
_KEYS = tuple(Column(n, "string") for n in ("name", "key_id", "kind", "public_key"))


class PackageDesk:
    """Registries, keys and searches of one home.

    Args:
        services: Of the session.
    """

    def __init__(self, services: HomeServices) -> None:
        self._services = services
        self._book = book_of(services)

    # ── registries ───────────────────────────────────────────────────────────────────────────

    def add_registry(
        self,
        name: str,
        where: str,
        *,
        token_secret: str | None = None,
        require_signature: bool = False,
    ) -> None:
        """Add a registry, or change the one of that name; a folder is made if need be.

        Raises:
            ParseError: SYN005, the name is not one.
            PackageError: PKG007, the folder cannot be used.
        """
        if not REGISTRY_NAME.fullmatch(name):
            raise ParseError(
                "SYN005",
                f"`{name[:80]}` cannot name a registry",
                hint="use letters, digits, `_` and `-`, starting with a letter",
            )
        if "://" in where and not is_address(where):
            raise ParseError(
                "SYN900",
                f"`{where}` is neither a folder nor an address",
                hint="an address begins with https:// or http://",
            )
        if not is_address(where):
            where = str(Path(where).expanduser().absolute())
            Folder(Path(where), self._services.clock).create()
        configured = Configured(name, where, token_secret, require_signature)

        def change(book: Book) -> Book:
            rest = tuple(r for r in book.registries if r.name.lower() != name.lower())
            return msgspec.structs.replace(book, registries=(*rest, configured))

        self._book.update(change)

    def remove_registry(self, name: str) -> None:
        """Forget a registry.

        Raises:
            PackageError: PKG006, there is none of that name.
        """

        def change(book: Book) -> Book:
            gone = book.registry(name)
            rest = tuple(r for r in book.registries if r is not gone)
            return msgspec.structs.replace(book, registries=rest)

        self._book.update(change)

    def registries(self) -> Table:
        """List the registries."""
        rows = (
            (r.name, r.where, r.token_secret, r.require_signature)
            for r in self._book.load().registries
        )
        return Table(_REGISTRIES, tuple(rows))

    def search(self, text: str, registry: str | None = None) -> Table:
        """Give the connectors that hold every word of a text, of one registry or of all.

        Raises:
            PackageError: PKG006, PKG007.
        """
        book = self._book.load()
        chosen = (book.registry(registry),) if registry is not None else book.registries
        if not chosen:
            raise PackageError(
                "PKG006",
                "no registry is configured",
                hint="add one: moltler registry add marketplace URL-or-DIR",
            )
        rows = tuple(
            (entry.name, entry.version, entry.description, configured.name)
            for configured in chosen
            for entry in matching(registry_at(configured, self._services).index(), text)
        )
        return Table(_FOUND, rows)

    # ── the lock file ────────────────────────────────────────────────────────────────────────

    def lock(self, path: Path) -> int:
        """Write what is installed into a lock file, and give how many packages that are.

        Raises:
            ParseError: SYN900, it cannot be written.
        """
        packages = installed_packages(self._services, path)
        write_lock(path, packages)
        return len(packages)

    def install_locked(self, path: Path, *, consents: bool = False) -> Table:
        """Install exactly what a lock file names, or nothing.

        Args:
            path: The lock file.
            consents: Agree to whatever the packages may do.

        Raises:
            MoltlerError: PKG002, something is not what was locked; PKG006 to PKG010.
        """
        return install_locked(self._services, path, consents=consents)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────

    def generate_key(self, name: str) -> PublicKey:
        """Make a key to sign packages with, and trust it.

        Raises:
            ParseError: SYN005, the name is not one.
            LookupFailed: CAT003, there is one of that name.
        """
        if not KEY_NAME.fullmatch(name):
            raise ParseError(
                "SYN005",
                f"`{name[:80]}` cannot name a key",
                hint="use letters, digits, `_`, `-`, `.` and `@`",
            )
        if self._services.secrets.get(SIGNING + name) is not None:
            raise LookupFailed(
                "CAT003",
                f"there is a key `{name}` already",
                hint="choose another name; packages signed with the old key need it",
            )
        private = new_key()
        self._services.secrets.put(SIGNING + name, private)
        key = public_key(private, name)
        self.trust(str(key))
        return key

    def trust(self, text: str) -> PublicKey:
        """Trust a public key, given as `moltler keys` prints it.

        Raises:
            ParseError: SYN006, it is none.
        """
        key = read_public_key(text)

        def change(book: Book) -> Book:
            rest = tuple(str(k) for k in book.keys if k.id != key.id)
            return msgspec.structs.replace(book, trusted=(*rest, str(key)))

        self._book.update(change)
        return key

    def forget(self, type_name: str) -> None:
        """Forget whose key a type was signed with, so that another one may be.

        Raises:
            LookupFailed: CAT008, no key is remembered for it.
        """

        def change(book: Book) -> Book:
            if type_name.lower() not in book.pins:
                raise LookupFailed(
                    "CAT008",
                    f"no key is remembered for `{type_name}`",
                    hint="one is, once a signed version was installed",
                    allowed=tuple(sorted(book.pins)),
                )
            pins = {n: k for n, k in book.pins.items() if n != type_name.lower()}
            return msgspec.structs.replace(book, pins=pins)

        self._book.update(change)

    def keys(self) -> Table:
        """List the keys: those to sign with, and those that are trusted."""
        own = own_keys(self._services)
        rows = [(k.name, k.id, "signs", str(k)) for k in own]
        mine = {k.id for k in own}
        rows += [
            (k.name, k.id, "trusted", str(k)) for k in self._book.load().keys if k.id not in mine
        ]
        return Table(_KEYS, tuple(rows))
