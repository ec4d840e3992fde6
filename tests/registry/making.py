"""Packages made without a session, for tests of what registries and installers do with them."""

from __future__ import annotations

import msgspec

from moltler.model import Action, ConnectorType, Entity, Handler
from moltler.registry.folder import Folder
from moltler.registry.manifest import Evidence
from moltler.registry.package import About, Package, Signer, make_package, open_package
from moltler.registry.semver import parse_version
from moltler.registry.signing import new_key
from moltler.schema import DataType, JsonValue, Property, Schema

TEXT = DataType("string")
KEY = new_key()


def connector_type(name: str) -> ConnectorType:
    """Give a type with an entity, an action and a secret."""
    return ConnectorType(
        name,
        Schema((Property("api_key", TEXT, required=True, secret=True),)),
        description=f"The {name}",
        entities=(
            Entity(
                "items",
                Schema((Property("id", TEXT, primary_key=True, nullable=False),)),
                Handler("async function query() { return []; }", "x", 1),
            ),
        ),
        actions=(
            Action(
                "create",
                "items",
                Schema(),
                Handler("async function execute() { return {}; }", "x", 1),
            ),
        ),
    )


def simple(
    name: str,
    version: str,
    *,
    requires: dict[str, JsonValue] | None = None,
    definition: ConnectorType | None = None,
    signer: Signer | None = None,
    changelog: str | None = "News",
) -> Package:
    """Give a package without tests."""
    about = About(
        parse_version(version),
        f"The {name}",
        "Ann",
        "MIT",
        requires=requires,
        changelog=changelog,
    )
    return make_package(definition or connector_type(name), (), about, Evidence(), signer)


def signed(package: Package, private: str = KEY) -> Package:
    """Give a package with a signature."""
    from moltler.registry.archive import SIGNATURE, SUMS, pack
    from moltler.registry.signing import sign

    files = {**package.files, SIGNATURE: sign(package.files[SUMS], private, "ann")}
    return open_package(pack(package.root, files))


def publish(folder: Folder, *packages: Package) -> None:
    """Put packages into a registry without asking them to prove anything."""
    for package in packages:
        folder.publish(package, "public")


def with_record(folder: Folder, name: str, **changes: object) -> None:
    """Change what a registry says about the only version of a connector."""
    record = folder.record(name)
    assert record is not None
    (version,) = record.versions
    changed = msgspec.structs.replace(
        record, versions=(msgspec.structs.replace(version, **changes),)
    )
    path = folder.root / f"v1/connectors/{name}.json"
    path.write_bytes(msgspec.json.encode(changed))
