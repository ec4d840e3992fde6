"""``connector.json``: what a package says about itself, and what it would be allowed to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from moltler.errors import PackageError
from moltler.model import ConnectorType
from moltler.registry.definitions import claims, properties
from moltler.schema import Property

MANIFEST = "connector.json"
FORMAT_VERSION = 1
LANGUAGE_VERSION = 1

_Json = object


class ExposedSecret(msgspec.Struct, frozen=True, order=True):
    """A secret that handlers get in plain."""

    property: str
    """Its path in CONFIG."""
    reason: str | None = None


class Permissions(msgspec.Struct, frozen=True):
    """What a type may do beyond reading from the hosts of its own CONFIG."""

    hosts: tuple[str, ...] = ()
    exposed_secrets: tuple[ExposedSecret, ...] = ()
    write_actions: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it may do nothing more."""
        return not (self.hosts or self.exposed_secrets or self.write_actions)

    def beyond(self, before: Permissions) -> Permissions:
        """Give what is allowed here and was not before."""
        known = {e.property for e in before.exposed_secrets}
        return Permissions(
            tuple(h for h in self.hosts if h not in before.hosts),
            tuple(e for e in self.exposed_secrets if e.property not in known),
            tuple(a for a in self.write_actions if a not in before.write_actions),
        )

    def lines(self) -> tuple[str, ...]:
        """Give each permission as a few words."""
        return (
            *(f"reach the host {h}, whatever your CONFIG names" for h in self.hosts),
            *(
                f"see the secret `{e.property}` in plain ({e.reason or 'no reason given'})"
                for e in self.exposed_secrets
            ),
            *(f"change things with the action `{a}`" for a in self.write_actions),
        )


class TestResult(msgspec.Struct, frozen=True):
    """What became of one test when the package was made."""

    __test__ = False
    name: str
    status: Literal["passed", "failed", "skipped", "not run"]
    tags: tuple[str, ...] = ()


class ProofResult(msgspec.Struct, frozen=True):
    """What is known of the claims of one entity."""

    entity: str
    claims: tuple[str, ...]
    queries: int
    """Queries whose answers were compared."""
    unproven: tuple[str, ...] = ()


class Evidence(msgspec.Struct, frozen=True):
    """Results of tests and proof; the digest of the archive covers them."""

    tests: Literal["passed", "skipped"] = "passed"
    """``skipped`` where the author asked for that."""
    results: tuple[TestResult, ...] = ()
    proof: tuple[ProofResult, ...] = ()


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of ``connector.json``, without times, so that it can be made again."""

    format_version: int
    name: str
    version: str
    description: str
    author: str
    license: str
    permissions: Permissions
    homepage: str | None = None
    repository: str | None = None
    tags: tuple[str, ...] = ()
    requires: dict[str, _Json] = {}
    """``moltler`` and ``language``; ``connectors`` by name."""
    config_schema: dict[str, _Json] = {}
    entities: tuple[dict[str, _Json], ...] = ()
    actions: tuple[dict[str, _Json], ...] = ()
    evidence: Evidence = Evidence()
    has_changelog: bool = False
    """Whether its author said what changed."""
    files: dict[str, str] = {}
    """SHA-256 by path, of all other files but SHA256SUMS and SIGNATURE."""


def encode_manifest(manifest: Manifest) -> bytes:
    """Give the manifest as indented JSON; equal manifests give equal bytes."""
    # msgspec writes no integers beyond 64 bits, so the standard library does the last step.
    return (json.dumps(msgspec.to_builtins(manifest), ensure_ascii=False, indent=2) + "\n").encode()


def decode_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        PackageError: PKG002, it is damaged; PKG008, it is of a newer format.
    """
    try:
        newer = msgspec.json.decode(content, type=dict[str, _Json]).get("format_version")
        if isinstance(newer, int) and newer > FORMAT_VERSION:
            raise PackageError(
                "PKG008",
                f"the package has format {newer}; this Moltler reads up to {FORMAT_VERSION}",
                hint="upgrade Moltler",
            )
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(
            "PKG002", f"`{MANIFEST}` of the package is damaged: {error}", hint="get it again"
        ) from error


def permissions_of(definition: ConnectorType) -> Permissions:
    """Give what a type may do, read from its definition."""
    return Permissions(
        tuple(sorted({h.lower() for h in definition.allowed_hosts})),
        tuple(sorted(_exposed(definition.config_schema.properties, ""))),
        tuple(sorted(a.path for a in definition.actions)),
    )


def secrets_of(definition: ConnectorType) -> tuple[str, ...]:
    """Give the paths of the secrets that CONFIG must have."""
    return tuple(_required_secrets(definition.config_schema.properties, ""))


def _required_secrets(declared: Iterable[Property], prefix: str) -> Iterable[str]:
    for p in declared:
        if p.secret and p.required:
            yield prefix + p.name
        yield from _required_secrets(p.type.properties or (), f"{prefix}{p.name}.")


def _exposed(declared: Iterable[Property], prefix: str) -> Iterable[ExposedSecret]:
    for p in declared:
        if p.secret and p.expose:
            yield ExposedSecret(prefix + p.name, p.expose_reason)
        yield from _exposed(p.type.properties or (), f"{prefix}{p.name}.")


def described_entities(definition: ConnectorType) -> tuple[dict[str, _Json], ...]:
    """Give the entities as documents, without handlers."""
    return tuple(
        _some(
            name=e.name,
            description=e.description,
            fields=properties(e.fields),
            pushdown=claims(e.pushdown) or None,
        )
        for e in definition.entities
    )


def described_actions(definition: ConnectorType) -> tuple[dict[str, _Json], ...]:
    """Give the actions as documents, without handlers."""
    return tuple(
        _some(
            name=a.path,
            description=a.description,
            parameters=properties(a.parameters),
            returns=None if a.returns is None else properties(a.returns),
            idempotent=a.idempotent or None,
        )
        for a in definition.actions
    )


def _some(**values: _Json) -> dict[str, _Json]:
    return {key: value for key, value in values.items() if value is not None}


def requirement(requires: Mapping[str, _Json], key: str) -> str | None:
    """Give the range that `requires` has for ``moltler`` or ``language``, as text."""
    value = requires.get(key)
    return None if value is None else str(value)
