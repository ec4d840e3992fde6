"""The registries, keys and settings of a home, for statements about packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from moltler.errors import LookupFailed, PackageError, ParseError, PlanError, near_match
from moltler.exec.evaluate import Environment, evaluate
from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import HttpRequest
from moltler.lang import ast
from moltler.net.web import WebAnswer
from moltler.registry.book import BookFile, Configured
from moltler.registry.folder import Folder
from moltler.registry.index import Registry
from moltler.registry.package import Signer
from moltler.registry.remote import Remote, target_of
from moltler.registry.signing import PublicKey, public_key
from moltler.session.services import Services
from moltler.vault.lookup import lookup_secret

SIGNING = "_signing."
"""Begins the names of the secrets that hold private keys."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What somebody is asked to agree to."""

    title: str
    """What is about to happen: ``install shop 1.0.0 from marketplace``."""
    lines: tuple[str, ...]
    """What it would be allowed, a permission each."""


@runtime_checkable
class PackageHost(Protocol):
    """What a session of a home has, and the world of a test has not."""

    @property
    def ask_consent(self) -> Callable[[Consent], bool] | None:
        """Ask whoever sits there; ``None`` where nobody does."""
        ...

    def ask_registry(self, target: ResolvedConnector, request: HttpRequest) -> WebAnswer:
        """Send a request to a registry and read the answer.

        Raises:
            FetchFailure: There is none.
        """
        ...


class HomeServices(Services, PackageHost, Protocol):
    """The services of a home."""


def is_address(where: str) -> bool:
    """Tell whether a source is a web address."""
    return where.lower().startswith(("http://", "https://"))


def book_of(services: Services) -> BookFile:
    """Give the book of the home."""
    return BookFile(services.home, services.clock)


def open_registry(name: str, services: HomeServices) -> tuple[Configured, Registry]:
    """Give a configured registry.

    Raises:
        PackageError: PKG006.
        LookupFailed: CAT005, its token is missing; CAT010.
    """
    configured = book_of(services).load().registry(name)
    return configured, registry_at(configured, services)


def registry_at(configured: Configured, services: HomeServices) -> Registry:
    """Give the registry at an address or in a folder.

    Raises:
        LookupFailed: CAT005, its token is missing.
    """
    if not is_address(configured.where):
        return Folder(Path(configured.where), services.clock)
    token = None
    if configured.token_secret is not None:
        token = lookup_secret(configured.token_secret, services.environ, services.secrets)
        if token is None:
            raise LookupFailed(
                "CAT005",
                f"the token of registry `{configured.name}` is missing: there is no secret"
                f" `{configured.token_secret}`",
                hint=f"run `moltler secrets set {configured.token_secret}`",
            )
    target = target_of(configured, token)
    return Remote(configured.where, lambda request: services.ask_registry(target, request))


def signer_of(services: Services, name: str | None) -> Signer | None:
    """Give the key that packages are signed with: the one named, or the only one there is.

    Raises:
        LookupFailed: CAT008, there is no such key; CAT004, there are several and none is named.
    """
    names = key_names(services)
    if name is None:
        if len(names) > 1:
            raise LookupFailed(
                "CAT004",
                "there are several keys to sign with",
                hint=f"choose one: WITH key = '{names[0]}'",
                allowed=names,
            )
        name = names[0] if names else None
    if name is None:
        return None
    private = services.secrets.get(SIGNING + name)
    if private is None:
        near = near_match(name, names)
        raise LookupFailed(
            "CAT008",
            f"there is no key `{name}` to sign with",
            hint=f"did you mean `{near}`?" if near else f"run `moltler keys generate {name}`",
            allowed=names,
        )
    return Signer(name, private)


def key_names(services: Services) -> tuple[str, ...]:
    """Give the names of the private keys of the home."""
    names = (row.name for row in services.secrets.list())
    return tuple(n.removeprefix(SIGNING) for n in names if n.startswith(SIGNING))


def own_keys(services: Services) -> tuple[PublicKey, ...]:
    """Give the public halves of the private keys of the home."""
    found: list[PublicKey] = []
    for name in key_names(services):
        private = services.secrets.get(SIGNING + name)
        if private is not None:
            found.append(public_key(private, name))
    return tuple(found)


def read_settings(
    settings: tuple[ast.Setting, ...], allowed: tuple[str, ...], environment: Environment
) -> Mapping[str, object]:
    """Evaluate the settings of a WITH clause.

    Raises:
        ParseError: SYN004, one is unknown or stands twice.
    """
    found: dict[str, object] = {}
    for setting in settings:
        name = setting.name.lower()
        if name not in allowed or name in found:
            near = near_match(name, allowed)
            what = "stands twice" if name in found else "is not known here"
            raise ParseError(
                "SYN004",
                f"the setting `{setting.name}` of WITH {what}",
                hint=f"did you mean `{near}`?" if near and name not in found else None,
                span=setting.span,
                allowed=allowed,
            )
        found[name] = evaluate(setting.value, environment)
    return found


def is_consenting(settings: Mapping[str, object]) -> bool:
    """Tell whether ``WITH consent = TRUE`` was given."""
    value = settings.get("consent", False)
    if not isinstance(value, bool):
        raise PlanError("PLN004", "`consent` is TRUE or FALSE", hint="write WITH consent = TRUE")
    return value


def host_of(services: Services, statement: str) -> HomeServices:
    """Give the services of a home.

    Raises:
        PackageError: PKG003, a test asks.
    """
    if not isinstance(services, PackageHost):
        raise PackageError(
            "PKG003", f"{statement} does not run in a test", hint="run it outside of TEST"
        )
    return services  # type: ignore[return-value] # a Services that is a PackageHost
