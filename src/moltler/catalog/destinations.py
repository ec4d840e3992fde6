"""Destinations in the catalog: what their CONFIG may hold, and how they come and go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from moltler.catalog.catalog import LOCAL_DESTINATION, Catalog
from moltler.catalog.config import Evaluate, NewConnector, ReadEnv, build_connector
from moltler.catalog.references import Reference, split_references
from moltler.catalog.refusals import taken
from moltler.errors import LookupFailed, MoltlerError, PlanError, Problem, Span, near_match
from moltler.lang import ast
from moltler.model import Connector, ConnectorType
from moltler.schema import DataType, Property, Schema

_TEXT, _WHOLE = DataType("string"), DataType("integer")
_TYPES: Mapping[str, ConnectorType] = {
    "duckdb": ConnectorType("duckdb", Schema((Property("path", _TEXT, required=True),))),
    "postgres": ConnectorType(
        "postgres",
        Schema(
            (
                Property("url", _TEXT, secret=True),
                Property("host", _TEXT),
                Property("port", _WHOLE, minimum=1, maximum=65535),
                Property("database", _TEXT),
                Property("user", _TEXT),
                Property("password", _TEXT, secret=True),
                Property("schema", _TEXT, has_default=True, default="public"),
            )
        ),
    ),
}
"""The types of destinations, with the properties of their CONFIG."""
_LATER = ("elasticsearch", "parquet")
_PARTS = ("host", "port", "database", "user", "password")


def destination_type(connector: Connector) -> ConnectorType:
    """Give the type of an existing destination, with what is secret in its CONFIG."""
    type_ = _TYPES[connector.type_name]
    url = connector.config.get("url")
    is_open = isinstance(url, str) and all(isinstance(p, str) for p in split_references(url))
    return _with_open_address(type_) if is_open else type_


def find_destination(catalog: Catalog, name: str) -> Connector | None:
    """Give the destination of that name, or ``None``; `local` is not in the catalog."""
    return catalog.destinations.get(name.lower())


def destination(catalog: Catalog, name: str, span: Span | None = None) -> Connector:
    """Give the destination of that name.

    Raises:
        LookupFailed: CAT008, there is none.
    """
    found = find_destination(catalog, name)
    if found is None:
        names = destination_names(catalog)
        near = near_match(name, names)
        raise LookupFailed(
            "CAT008",
            f"there is no destination `{name}`",
            hint=f"did you mean `{near}`?" if near else "create it with CREATE DESTINATION",
            span=span,
            allowed=names,
        )
    return found


def destination_names(catalog: Catalog) -> tuple[str, ...]:
    """Give the names of all destinations, `local` first."""
    return (LOCAL_DESTINATION, *sorted(d.name for d in catalog.destinations.values()))


def build_destination(
    statement: ast.CreateDestination, *, evaluate: Evaluate, read_env: ReadEnv, folder: Path
) -> NewConnector:
    """Give the destination that a statement creates.

    Args:
        statement: What was written.
        evaluate: Evaluates the expressions of CONFIG.
        read_env: For ENV(…) as a whole secret.
        folder: What a relative path is relative to.

    Raises:
        MoltlerError: CAT008, no such type; CAT004, everything in CONFIG that does not fit;
            PLN011, a type of later versions.
    """
    type_ = _type_of(statement)
    as_instance = ast.CreateConnector(
        name=statement.name,
        name_span=statement.span,
        type_name=ast.QuotedName((type_.name,), span=statement.span),
        config=statement.config,
        span=statement.span,
    )
    new = build_connector(as_instance, type_, evaluate=evaluate, read_env=read_env)
    _check_parts(new.connector, statement.span)
    path = new.connector.config.get("path")
    if isinstance(path, str):
        placed = str(folder / Path(path).expanduser())
        new = replace(new, connector=replace(new.connector, config={"path": placed}))
    return new


def add_destination(
    catalog: Catalog,
    new: Connector,
    *,
    or_replace: bool,
    if_not_exists: bool,
    span: Span | None = None,
) -> Catalog:
    """Give the catalog with a new or replaced destination; its version is drawn here.

    Raises:
        LookupFailed: CAT003, the name is taken; CAT011, syncs go to it, and it would be of
            another type.
    """
    if new.name.lower() == LOCAL_DESTINATION:
        raise LookupFailed(
            "CAT003",
            f"the destination `{LOCAL_DESTINATION}` always exists",
            hint="choose another name",
            span=span,
        )
    if catalog.find_connector(new.name) is not None:
        raise LookupFailed(
            "CAT003",
            f"a connector is called `{new.name}`, and SELECT could not tell them apart",
            hint="choose another name",
            span=span,
        )
    old = find_destination(catalog, new.name)
    if old is not None:
        if not or_replace:
            if if_not_exists:
                return catalog
            raise taken(f"destination `{old.name}`", span)
        new = replace(new, name=old.name)
    serial = catalog.serial + 1
    placed = replace(new, version=serial)
    return replace(
        catalog,
        destinations={**catalog.destinations, new.name.lower(): placed},
        serial=serial,
    )


def drop_destination(
    catalog: Catalog, name: str, *, if_exists: bool, span: Span | None = None
) -> Catalog:
    """Give the catalog without a destination; what lies in it stays.

    Raises:
        LookupFailed: CAT008, there is none; CAT011, syncs go to it.
    """
    if name.lower() == LOCAL_DESTINATION:
        raise LookupFailed(
            "CAT011", f"the destination `{LOCAL_DESTINATION}` cannot be dropped", span=span
        )
    if if_exists and find_destination(catalog, name) is None:
        return catalog
    old = destination(catalog, name, span)
    syncs = [s for s in catalog.syncs.values() if s.destination.lower() == name.lower()]
    if syncs:
        owners = ", ".join(sorted({f"`{s.connector}`" for s in syncs}))
        raise LookupFailed(
            "CAT011",
            f"{len(syncs)} sync(s) of {owners} go to destination `{old.name}`",
            hint="end them with DROP SCHEDULE FOR CONNECTOR, or drop the connectors",
            span=span,
        )
    rest = {k: v for k, v in catalog.destinations.items() if v is not old}
    return replace(catalog, destinations=rest)


def _type_of(statement: ast.CreateDestination) -> ConnectorType:
    name = statement.type_name.lower()
    if name in _LATER:
        raise PlanError(
            "PLN011",
            f"CREATE DESTINATION of type '{name}' is not available in this version",
            hint=f"use {' or '.join(repr(t) for t in _TYPES)}",
            span=statement.span,
        )
    if name not in _TYPES:
        near = near_match(name, tuple(_TYPES))
        raise LookupFailed(
            "CAT008",
            f"there is no type of destination '{statement.type_name}'",
            hint=f"did you mean '{near}'?" if near else None,
            span=statement.span,
            allowed=tuple(_TYPES),
        )
    type_ = _TYPES[name]
    if name == "postgres" and _is_open_address(statement.config):
        return _with_open_address(type_)
    return type_


def _with_open_address(type_: ConnectorType) -> ConnectorType:
    """Give the type for an address without a password, which may be looked at."""
    fields = (replace(p, secret=False) if p.name == "url" else p for p in type_.config_schema)
    return replace(type_, config_schema=Schema(tuple(fields)))


def _is_open_address(config: ast.Document | None) -> bool:
    for member in config.members if config is not None else ():
        if member.key == "url" and isinstance(member.value, ast.Literal):
            text = member.value.value
            parts = split_references(text) if isinstance(text, str) else ()
            return all(isinstance(p, str) for p in parts) and not _has_password(str(text))
    return False


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return parts.password is not None or "password" in parts.query.lower() or not parts.scheme


def _check_parts(connector: Connector, span: Span) -> None:
    """Refuse an address that is given twice, or not at all.

    Raises:
        MoltlerError: CAT004.
    """
    if connector.type_name != "postgres":
        return
    given = {*connector.config, *connector.env}
    parts = [p for p in _PARTS if p in given]
    url = connector.config.get("url")
    problem: Problem | None = None
    if "url" in given and parts:
        problem = Problem(
            "CAT004",
            f"`config.url` holds the whole address, and `config.{parts[0]}` is given as well",
            "give either `url`, or `host` and `database`",
            span,
        )
    elif "url" not in given and not {"host", "database"} <= given:
        problem = Problem(
            "CAT004",
            "`config` says not where the database is",
            "give `url`, or `host` and `database`",
            span,
        )
    elif isinstance(url, str):
        first = next(iter(split_references(url)), "")
        fits = isinstance(first, Reference) or first.startswith(("postgresql://", "postgres://"))
        if not fits:
            problem = Problem(
                "CAT004",
                "`config.url` is no address of a PostgreSQL database",
                "write postgresql://user@host:port/database",
                span,
            )
    if problem is not None:
        raise MoltlerError.of((problem,))
