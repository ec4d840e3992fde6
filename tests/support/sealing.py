"""Instances whose secrets are sealed, as a session resolves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from moltler.catalog.resolve import resolve
from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.model import Connector, ConnectorType
from moltler.schema import DataType, JsonValue, Property, Schema

KEY = b"a key for seals, in tests only..."


def sealed(
    config: Mapping[str, Any],
    secrets: Mapping[str, str],
    *,
    name: str = "shop",
    exposed: Sequence[str] = (),
    hosts: Sequence[str] = (),
    auth: Mapping[str, JsonValue] | None = None,
    references: Mapping[str, str] | None = None,
    key: bytes = KEY,
    limits: CallLimits | None = None,
) -> ResolvedConnector:
    """Give an instance.

    Args:
        config: Properties that are not secret; they may hold ``{{secrets.NAME}}``.
        secrets: Values of secret properties.
        name: Of the instance.
        exposed: Secret properties that the handler gets in plain.
        hosts: ALLOWED_HOSTS.
        auth: The clause AUTH, as the catalog has it.
        references: Values of the secrets that `config` refers to.
        key: Of the home.
        limits: From its options.
    """
    properties = [Property(k, DataType("any")) for k in config]
    properties += [
        Property(k, DataType("string"), secret=True, expose=k in exposed) for k in secrets
    ]
    type_ = ConnectorType("shop", Schema(tuple(properties)), allowed_hosts=tuple(hosts), auth=auth)
    target = resolve(
        Connector(name, "shop", {**config, **secrets}),
        type_,
        1,
        lookup=(references or {}).get,
        environ={},
        seal_key=lambda: key,
    )
    return target if limits is None else replace(target, limits=limits)
