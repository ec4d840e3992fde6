"""How definitions and connectors are written to disk; apart from the model, so both can change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

import msgspec

from moltler.model import (
    LOCAL,
    Action,
    Connector,
    ConnectorType,
    Entity,
    EnvReference,
    FilterClaim,
    Handler,
    Provenance,
    PushDown,
    Revision,
    StoredSync,
    StoredTest,
    TypeEntry,
)
from moltler.schema import DataType, JsonValue, Property, Schema, TypeName

# Any JSON value: msgspec knows no recursive aliases.
_Json = object


class _DataType(msgspec.Struct, frozen=True, omit_defaults=True):
    name: TypeName
    items: _DataType | None = None
    properties: tuple[_Property, ...] | None = None


class _Property(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    type: _DataType
    description: str | None = None
    required: bool = False
    has_default: bool = False
    default: _Json = None
    enum: tuple[_Json, ...] | None = None
    pattern: str | None = None
    minimum: float | int | None = None
    maximum: float | int | None = None
    secret: bool = False
    expose: bool = False
    expose_reason: str | None = None
    primary_key: bool = False
    nullable: bool = True
    filter_only: bool = False
    collation: str | None = None


class _Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    operators: tuple[str, ...]
    required: bool = False


class _PushDown(msgspec.Struct, frozen=True, omit_defaults=True):
    filters: dict[str, _Claim] = {}
    order_by: tuple[str, ...] = ()
    limit: bool = False


class _Entity(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    fields: tuple[_Property, ...]
    handler: Handler
    description: str | None = None
    pushdown: _PushDown = _PushDown()
    rows_path: str | None = None


class _Action(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    entity: str | None
    parameters: tuple[_Property, ...]
    handler: Handler
    description: str | None = None
    returns: tuple[_Property, ...] | None = None
    idempotent: bool = False


class _Type(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    config_schema: tuple[_Property, ...] = ()
    options_schema: tuple[_Property, ...] = ()
    description: str | None = None
    test_handler: Handler | None = None
    allowed_hosts: tuple[str, ...] = ()
    auth: dict[str, _Json] | None = None
    concurrency: int | None = None
    documentation: str | None = None
    entities: tuple[_Entity, ...] = ()
    actions: tuple[_Action, ...] = ()


class _Revision(msgspec.Struct, frozen=True, omit_defaults=True):
    definition: _Type
    provenance: Provenance = Provenance()
    tests: tuple[StoredTest, ...] = ()


class _TypeEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    draft: _Type
    registered: _Type | None = None
    revision: int = 0
    origin: str = LOCAL
    version: str | None = None
    tests: tuple[StoredTest, ...] = ()
    sha256: str | None = None
    key_id: str | None = None
    previous: _Revision | None = None


class _Connector(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    type_name: str
    config: dict[str, _Json] = {}
    env: dict[str, EnvReference] = {}
    options: dict[str, _Json] = {}
    description: str | None = None
    enabled: bool = True
    version: int = 1


class BadRecord(ValueError):  # noqa: N818 - tells the store what is damaged
    """The bytes are not what was written."""


def encode_type(entry: TypeEntry) -> bytes:
    """Give a type as JSON."""
    registered, previous = entry.registered, entry.previous
    return msgspec.json.encode(
        _TypeEntry(
            _pack_type(entry.draft),
            None if registered is None else _pack_type(registered),
            entry.revision,
            entry.provenance.origin,
            entry.provenance.version,
            entry.tests,
            entry.provenance.sha256,
            entry.provenance.key_id,
            None
            if previous is None
            else _Revision(_pack_type(previous.definition), previous.provenance, previous.tests),
        )
    )


def decode_type(body: bytes) -> TypeEntry:
    """Give the type that `encode_type` wrote.

    Raises:
        BadRecord: It did not write this.
    """
    row = _decode(body, _TypeEntry)
    registered, previous = row.registered, row.previous
    return TypeEntry(
        _unpack_type(row.draft),
        None if registered is None else _unpack_type(registered),
        row.revision,
        Provenance(row.origin, row.version, row.sha256, row.key_id),
        row.tests,
        None
        if previous is None
        else Revision(_unpack_type(previous.definition), previous.provenance, previous.tests),
    )


def encode_connector(connector: Connector) -> bytes:
    """Give a connector as JSON."""
    return msgspec.json.encode(
        _Connector(
            connector.name,
            connector.type_name,
            dict(connector.config),
            dict(connector.env),
            dict(connector.options),
            connector.description,
            connector.enabled,
            connector.version,
        )
    )


def decode_connector(body: bytes) -> Connector:
    """Give the connector that `encode_connector` wrote.

    Raises:
        BadRecord: It did not write this.
    """
    row = _decode(body, _Connector)
    return Connector(
        row.name,
        row.type_name,
        _json_object(row.config),
        row.env,
        _json_object(row.options),
        row.description,
        row.enabled,
        row.version,
    )


def encode_sync(sync: StoredSync) -> bytes:
    """Give a stored sync as JSON."""
    return msgspec.json.encode(sync)


def decode_sync(body: bytes) -> StoredSync:
    """Give the sync that `encode_sync` wrote.

    Raises:
        BadRecord: It did not write this.
    """
    return _decode(body, StoredSync)


_Row = TypeVar("_Row", _TypeEntry, _Connector, StoredSync)


def _decode(body: bytes, kind: type[_Row]) -> _Row:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord(str(error)) from error


def _json_object(values: Mapping[str, _Json]) -> dict[str, JsonValue]:
    return cast("dict[str, JsonValue]", values)


# ── model to disk ────────────────────────────────────────────────────────────────────────────


def _pack_type(definition: ConnectorType) -> _Type:
    return _Type(
        definition.name,
        _pack_schema(definition.config_schema),
        _pack_schema(definition.options_schema),
        definition.description,
        definition.test_handler,
        definition.allowed_hosts,
        None if definition.auth is None else dict(definition.auth),
        definition.concurrency,
        definition.documentation,
        tuple(_pack_entity(e) for e in definition.entities),
        tuple(_pack_action(a) for a in definition.actions),
    )


def _pack_entity(entity: Entity) -> _Entity:
    claims = entity.pushdown
    return _Entity(
        entity.name,
        _pack_schema(entity.fields),
        entity.handler,
        entity.description,
        _PushDown(
            {k: _Claim(tuple(sorted(c.operators)), c.required) for k, c in claims.filters.items()},
            tuple(sorted(claims.order_by)),
            claims.limit,
        ),
        entity.rows_path,
    )


def _pack_action(action: Action) -> _Action:
    return _Action(
        action.name,
        action.entity,
        _pack_schema(action.parameters),
        action.handler,
        action.description,
        None if action.returns is None else _pack_schema(action.returns),
        action.idempotent,
    )


def _pack_schema(schema: Schema) -> tuple[_Property, ...]:
    return tuple(_pack_property(p) for p in schema)


def _pack_property(p: Property) -> _Property:
    return _Property(
        p.name,
        _pack_data_type(p.type),
        p.description,
        p.required,
        p.has_default,
        p.default,
        p.enum,
        p.pattern,
        p.minimum,
        p.maximum,
        p.secret,
        p.expose,
        p.expose_reason,
        p.primary_key,
        p.nullable,
        p.filter_only,
        p.collation,
    )


def _pack_data_type(type_: DataType) -> _DataType:
    properties = type_.properties
    return _DataType(
        type_.name,
        None if type_.items is None else _pack_data_type(type_.items),
        None if properties is None else tuple(_pack_property(p) for p in properties),
    )


# ── disk to model ────────────────────────────────────────────────────────────────────────────


def _unpack_type(row: _Type) -> ConnectorType:
    return ConnectorType(
        row.name,
        _unpack_schema(row.config_schema),
        _unpack_schema(row.options_schema),
        row.description,
        row.test_handler,
        row.allowed_hosts,
        None if row.auth is None else _json_object(row.auth),
        row.concurrency,
        row.documentation,
        tuple(_unpack_entity(e) for e in row.entities),
        tuple(_unpack_action(a) for a in row.actions),
    )


def _unpack_entity(row: _Entity) -> Entity:
    claims = row.pushdown
    return Entity(
        row.name,
        _unpack_schema(row.fields),
        row.handler,
        row.description,
        PushDown(
            {k: FilterClaim(frozenset(c.operators), c.required) for k, c in claims.filters.items()},
            frozenset(claims.order_by),
            claims.limit,
        ),
        row.rows_path,
    )


def _unpack_action(row: _Action) -> Action:
    return Action(
        row.name,
        row.entity,
        _unpack_schema(row.parameters),
        row.handler,
        row.description,
        None if row.returns is None else _unpack_schema(row.returns),
        row.idempotent,
    )


def _unpack_schema(rows: tuple[_Property, ...]) -> Schema:
    return Schema(tuple(_unpack_property(p) for p in rows))


def _unpack_property(p: _Property) -> Property:
    return Property(
        p.name,
        _unpack_data_type(p.type),
        p.description,
        p.required,
        p.has_default,
        cast("JsonValue", p.default),
        cast("tuple[JsonValue, ...] | None", p.enum),
        p.pattern,
        p.minimum,
        p.maximum,
        p.secret,
        p.expose,
        p.expose_reason,
        p.primary_key,
        p.nullable,
        p.filter_only,
        p.collation,
    )


def _unpack_data_type(row: _DataType) -> DataType:
    properties = row.properties
    return DataType(
        row.name,
        None if row.items is None else _unpack_data_type(row.items),
        None if properties is None else tuple(_unpack_property(p) for p in properties),
    )
