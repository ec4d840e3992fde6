"""What SHOW and DESCRIBE list: tables made from the catalog and the journal, columns fixed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from moltler.catalog.catalog import LOCAL_DESTINATION, Catalog
from moltler.catalog.destinations import destination_type
from moltler.catalog.journal import ActionRecord, LastCall
from moltler.catalog.references import Reference, automatic_secrets, split_references
from moltler.catalog.refusals import no_such_action, no_such_entity
from moltler.catalog.values import shown, timestamp_text
from moltler.errors import MoltlerError, Span
from moltler.flow.predicate import OPERATORS
from moltler.flow.result import Column, Table
from moltler.lang.ast import QuotedName
from moltler.model import Connector, ConnectorType, Entity, EnvReference, TypeEntry
from moltler.schema import JsonValue, Property, Schema, TypeName
from moltler.secret import MASK

if TYPE_CHECKING:
    from moltler.exec.cache import CacheRow

Status: TypeAlias = Literal["created", "connected", "error", "disabled"]

_Cells: TypeAlias = "tuple[object, ...]"


def _columns(text: str, **types: TypeName) -> tuple[Column, ...]:
    return tuple(Column(name, types.get(name, "string")) for name in text.split())


_CONNECTORS = _columns(
    "name type status enabled last_call last_sync",
    enabled="boolean",
    last_call="timestamp",
    last_sync="timestamp",
)
PROPERTIES = _columns("property value")
_ENTITIES = _columns("entity fields primary_key description")
_ACTIONS = _columns("action parameters idempotent description", idempotent="boolean")
_CACHE = _columns(
    "connector entity where limit rows bytes age_s ttl_s hits",
    where="any",
    limit="integer",
    rows="integer",
    bytes="integer",
    age_s="number",
    ttl_s="number",
    hits="integer",
)
_HISTORY = _columns(
    "id started connector action parameters status error", id="integer", started="timestamp"
)
_FIELDS = _columns(
    "field type primary_key nullable pushdown description",
    primary_key="boolean",
    nullable="boolean",
)
_PARAMETERS = _columns("parameter type required default description", required="boolean")
_TYPES = _columns(
    "type revision draft version origin instances description",
    revision="integer",
    instances="integer",
)
_TYPE = (*_TYPES, *_columns("hosts exposed_secrets entities actions"))
_DESTINATIONS = _columns("name type config syncs", config="document", syncs="integer")
_PACKAGES = _columns("type version registry sha256")
_TESTS = _columns("type name tags last_status", tags="array")


# ── connectors ───────────────────────────────────────────────────────────────────────────────


def show_cache(kept: Iterable[CacheRow]) -> Table:
    """List the scans whose rows are kept, the latest used last."""
    rows = (
        (
            r.connector,
            r.entity,
            r.where,
            r.limit,
            r.rows,
            r.size,
            round(r.age_s, 1),
            r.ttl_s,
            r.hits,
        )
        for r in kept
    )
    return Table(_CACHE, tuple(rows))


def show_connectors(catalog: Catalog, last_calls: Mapping[str, LastCall]) -> Table:
    """List the instances by name.

    Args:
        catalog: Where they are.
        last_calls: By name in lower case, as `Journal.last_calls` gives them.
    """

    def cells(connector: Connector) -> _Cells:
        last = last_calls.get(connector.name.lower())
        return (
            connector.name,
            connector.type_name,
            status_of(connector, last),
            connector.enabled,
            None if last is None else last.at,
            None,
        )

    ordered = sorted(catalog.connectors.values(), key=lambda c: c.name.lower())
    return Table(_CONNECTORS, tuple(cells(c) for c in ordered))


def status_of(connector: Connector, last: LastCall | None) -> Status:
    """Tell how an instance stands, from its last call."""
    if not connector.enabled:
        return "disabled"
    if last is None:
        return "created"
    return "connected" if last.error is None else "error"


def show_connector(
    catalog: Catalog,
    name: str,
    last_calls: Mapping[str, LastCall],
    span: Span | None = None,
) -> Table:
    """List the properties of one instance; secrets as references or masked.

    Raises:
        LookupFailed: CAT001, there is no such instance.
    """
    connector = catalog.connector(name, span)
    entry = catalog.find_type(connector.type_name)
    schema = _shown_form(entry).config_schema if entry is not None else Schema()
    last = last_calls.get(connector.name.lower())
    rows: list[tuple[str, str | None]] = [
        ("name", connector.name),
        ("type", connector.type_name),
        ("revision", None if entry is None or not entry.revision else str(entry.revision)),
        ("description", connector.description),
        ("status", status_of(connector, last)),
        ("enabled", _yes(connector.enabled)),
        ("last_call", None if last is None else timestamp_text(last.at)),
    ]
    rows += _config_rows(connector, schema)
    rows += [(f"options.{k}", _plain(v)) for k, v in connector.options.items()]
    return Table(PROPERTIES, tuple(rows))


def show_entities(catalog: Catalog, name: str, span: Span | None = None) -> Table:
    """List the entities of an instance, in the order of their definition."""
    _, definition = _connector_and_type(catalog, name, span)
    rows = (
        (
            e.name,
            ", ".join(f.name for f in e.fields),
            ", ".join(e.fields.primary_key) or None,
            e.description,
        )
        for e in definition.entities
    )
    return Table(_ENTITIES, tuple(rows))


def show_actions(catalog: Catalog, name: str, span: Span | None = None) -> Table:
    """List the actions of an instance; optional parameters stand in brackets."""
    _, definition = _connector_and_type(catalog, name, span)
    rows = (
        (
            a.path,
            ", ".join(p.name if p.required else f"[{p.name}]" for p in a.parameters) or None,
            a.idempotent,
            a.description,
        )
        for a in definition.actions
    )
    return Table(_ACTIONS, tuple(rows))


def show_history(records: Iterable[ActionRecord]) -> Table:
    """List executed actions in the order given, which is the latest first."""
    rows = (
        (r.id, r.started, r.connector, r.action, r.parameters, r.status, r.error) for r in records
    )
    return Table(_HISTORY, tuple(rows))


# ── definitions ──────────────────────────────────────────────────────────────────────────────


def show_types(catalog: Catalog) -> Table:
    """List the types by name."""
    ordered = sorted(catalog.types.values(), key=lambda t: t.name.lower())
    return Table(_TYPES, tuple(_type_cells(catalog, t) for t in ordered))


def show_type(catalog: Catalog, name: str, span: Span | None = None) -> Table:
    """Show one type in one row, with what it may reach and what it offers.

    Raises:
        LookupFailed: CAT008, there is no such type.
    """
    entry = catalog.type(name, span)
    form = _shown_form(entry)
    cells = (
        *_type_cells(catalog, entry),
        ", ".join(form.allowed_hosts) or None,
        ", ".join(_exposed(form.config_schema.properties, "")) or None,
        ", ".join(e.name for e in form.entities) or None,
        ", ".join(a.path for a in form.actions) or None,
    )
    return Table(_TYPE, (cells,))


def describe(catalog: Catalog, path: tuple[str, ...], span: Span | None = None) -> Table:
    """Show the fields of an entity, or the parameters of an action.

    Args:
        catalog: Where they are.
        path: Connector, then an entity or an action of the type itself, or both names of an
            action.
        span: Where the path stands.

    Raises:
        LookupFailed: CAT001, CAT002.
    """
    connector, definition = _connector_and_type(catalog, path[0], span)
    rest = ".".join(path[1:])
    entity = definition.entity(rest)
    if entity is not None:
        return Table(_FIELDS, tuple(_field_cells(entity, f) for f in entity.fields))
    action = definition.action(rest)
    if action is not None:
        return Table(_PARAMETERS, tuple(_parameter_cells(p) for p in action.parameters))
    absent = no_such_action if len(path) > 2 else no_such_entity
    raise MoltlerError.of((absent(connector, definition, rest, span),))


# ── what has no definitions yet ──────────────────────────────────────────────────────────────


def show_destinations(catalog: Catalog, path: str) -> Table:
    """List the destinations with the number of their syncs; `path` is the local one's file."""
    counts = Counter(s.destination.lower() for s in catalog.syncs.values())
    rows: list[tuple[object, ...]] = [
        (LOCAL_DESTINATION, "duckdb", {"path": path}, counts[LOCAL_DESTINATION])
    ]
    for name, found in sorted(catalog.destinations.items()):
        schema, hidden = destination_type(found).config_schema, automatic_secrets(found)
        given = (*found.config, *found.env)
        config = {
            p.name: _masked(found, found.config.get(p.name), p, p.name, hidden)
            for p in schema
            if p.name in given
        }
        rows.append((found.name, found.type_name, config, counts[name]))
    return Table(_DESTINATIONS, tuple(rows))


def show_packages(catalog: Catalog) -> Table:
    """List the installed packages."""
    entries = sorted(catalog.types.values(), key=lambda t: t.name.lower())
    rows = (
        (e.name, e.provenance.version, e.provenance.origin, e.provenance.sha256)
        for e in entries
        if e.is_installed
    )
    return Table(_PACKAGES, tuple(rows))


def show_tests(catalog: Catalog, type_name: QuotedName | None = None) -> Table:
    """List the stored tests, of one type or of all.

    Raises:
        LookupFailed: CAT008, there is no such type.
    """
    if type_name is None:
        entries = sorted(catalog.types.values(), key=lambda t: t.name.lower())
    else:
        entries = [catalog.type(str(type_name), type_name.span)]
    rows = ((e.name, t.name, list(t.tags), t.last_status) for e in entries for t in e.tests)
    return Table(_TESTS, tuple(rows))


# ── cells ────────────────────────────────────────────────────────────────────────────────────


def _connector_and_type(
    catalog: Catalog, name: str, span: Span | None
) -> tuple[Connector, ConnectorType]:
    # Not `Catalog.usable`: a disabled instance can still be looked at.
    connector = catalog.connector(name, span)
    return connector, catalog.registered(connector.type_name, span)[0]


def _shown_form(entry: TypeEntry) -> ConnectorType:
    return entry.registered or entry.draft


def _type_cells(catalog: Catalog, entry: TypeEntry) -> _Cells:
    if entry.registered is None:
        draft = "not registered"
    else:
        draft = "draft differs" if entry.draft_differs else "registered"
    return (
        entry.name,
        entry.revision or None,
        draft,
        entry.provenance.version,
        entry.provenance.origin,
        len(catalog.instances_of(entry.name)),
        _shown_form(entry).description,
    )


def _exposed(properties: Iterable[Property], prefix: str) -> list[str]:
    names: list[str] = []
    for declared in properties:
        if declared.expose:
            reason = f" ({declared.expose_reason})" if declared.expose_reason else ""
            names.append(f"{prefix}{declared.name}{reason}")
        names += _exposed(declared.type.properties or (), f"{prefix}{declared.name}.")
    return names


def _field_cells(entity: Entity, declared: Property) -> _Cells:
    return (
        declared.name,
        str(declared.type),
        declared.primary_key,
        declared.nullable,
        _claim_text(entity, declared),
        declared.description,
    )


def _claim_text(entity: Entity, declared: Property) -> str | None:
    parts: list[str] = []
    claim = entity.pushdown.filters.get(declared.name)
    if claim is not None and claim.operators:
        parts.append(" ".join(o for o in OPERATORS if o in claim.operators))
    if claim is not None and claim.required:
        parts.append("required")
    if declared.name in entity.pushdown.order_by:
        parts.append("order by")
    if declared.filter_only:
        parts.append("filter only")
    return ", ".join(parts) or None


def _parameter_cells(declared: Property) -> _Cells:
    default = shown(declared.default) if declared.has_default else None
    return (
        declared.name,
        str(declared.type),
        declared.required,
        default,
        declared.description,
    )


def _config_rows(connector: Connector, schema: Schema) -> list[tuple[str, str | None]]:
    rows: list[tuple[str, str | None]] = []
    given = (*connector.config, *(k for k in connector.env if "." not in k))
    order = [*schema.names, *(k for k in connector.config if schema.find(k) is None)]
    hidden = automatic_secrets(connector)
    for name in order:
        if name not in given:
            continue
        declared = schema.find(name)
        value = _masked(connector, connector.config.get(name), declared, name, hidden)
        rows.append((f"config.{name}", _plain(value)))
    return rows


def _masked(
    connector: Connector,
    value: JsonValue,
    declared: Property | None,
    path: str,
    hidden: tuple[str, ...],
) -> JsonValue:
    """Give a value as it may be shown; what comes from the environment as ENV(…)."""
    variable = connector.env.get(path)
    if variable is not None:
        return _env_text(variable)
    nested = {p.name: p for p in (declared.type.properties or ())} if declared else {}
    match value:
        case str() if declared is not None and declared.secret:
            parts = split_references(value)
            return "".join(_secret_part(p, hidden) for p in parts)
        case dict():
            keys = dict.fromkeys((*value, *_below(connector, path)))
            return {
                k: _masked(connector, value.get(k), nested.get(k), f"{path}.{k}", hidden)
                for k in keys
            }
        case _:
            return value


def _below(connector: Connector, path: str) -> list[str]:
    """Give the keys directly below a path that hold something from the environment."""
    start = f"{path}."
    return [k[len(start) :].partition(".")[0] for k in connector.env if k.startswith(start)]


def _secret_part(part: str | Reference, hidden: tuple[str, ...]) -> str:
    if isinstance(part, str) or part.name in hidden:
        return MASK
    return f"{{{{secrets.{part.name}}}}}"


def _env_text(reference: EnvReference) -> str:
    default = "" if reference.default is None else f", '{MASK}'"
    return f"ENV('{reference.name}'{default})"


def _plain(value: JsonValue) -> str | None:
    match value:
        case None:
            return None
        case str():
            return value
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return shown(value).lower()


def _yes(value: object) -> str:
    return "true" if value else "false"
