"""Statements that define: types, entities, actions, instances, destinations."""

from __future__ import annotations

from typing import Any

from moltler.lang import ast
from moltler.lang.cursor import Clause, Cursor
from moltler.lang.expr import document
from moltler.lang.literals import literal_array, literal_document

_DEFINITIONS = {
    "TYPE": ("type",),
    "ENTITY": ("type.entity",),
    "ACTION": ("type.entity.action", "type.action"),
}


def create(cursor: Cursor) -> ast.Statement:
    """Read a statement that starts with CREATE."""
    start = cursor.expect("CREATE").start
    or_replace = cursor.take_phrase("OR", "REPLACE")
    if cursor.take("DESTINATION"):
        return _destination(cursor, start, or_replace=or_replace)
    if not cursor.at("CONNECTOR"):
        cursor.unexpected("CONNECTOR", "DESTINATION")
    cursor.advance()
    if cursor.at(*_DEFINITIONS) and not _is_misnamed_instance(cursor):
        match cursor.token.folded:
            case "TYPE":
                return _type(cursor, start, or_replace=or_replace)
            case "ENTITY":
                return _entity(cursor, start, or_replace=or_replace)
            case _:
                return _action(cursor, start, or_replace=or_replace)
    return _connector(cursor, start, or_replace=or_replace)


def _is_misnamed_instance(cursor: Cursor) -> bool:
    # `CREATE CONNECTOR action TYPE 'x'` names an instance as none may be called.
    return cursor.peek().folded in {"TYPE", "IF", "CONFIG", "OPTIONS", "DESCRIPTION"}


def _if_not_exists(cursor: Cursor) -> bool:
    return cursor.take_phrase("IF", "NOT", "EXISTS")


def _type(cursor: Cursor, start: int, *, or_replace: bool) -> ast.CreateType:
    cursor.advance()
    name = cursor.quoted_name("type")
    if_not_exists = _if_not_exists(cursor)
    found: dict[str, Any] = cursor.clauses(
        "CREATE CONNECTOR TYPE",
        Clause(("DESCRIPTION",), lambda: cursor.string("a description")),
        Clause(("CONFIG_SCHEMA",), lambda: literal_document(cursor)),
        Clause(("OPTIONS_SCHEMA",), lambda: literal_document(cursor)),
        Clause(("TEST_HANDLER",), cursor.handler),
        Clause(("ALLOWED_HOSTS",), lambda: literal_array(cursor)),
        Clause(("AUTH",), lambda: literal_document(cursor)),
        Clause(("CONCURRENCY",), lambda: cursor.integer("CONCURRENCY")),
        Clause(("DOCUMENTATION",), lambda: cursor.raw_or_string("the documentation")),
    )
    return ast.CreateType(
        name,
        or_replace,
        if_not_exists,
        found.get("DESCRIPTION"),
        found.get("CONFIG_SCHEMA"),
        found.get("OPTIONS_SCHEMA"),
        found.get("TEST_HANDLER"),
        found.get("ALLOWED_HOSTS"),
        found.get("AUTH"),
        found.get("CONCURRENCY"),
        found.get("DOCUMENTATION"),
        span=cursor.span_from(start),
    )


def _entity(cursor: Cursor, start: int, *, or_replace: bool) -> ast.CreateEntity:
    cursor.advance()
    name = cursor.quoted_name("type.entity")
    if_not_exists = _if_not_exists(cursor)
    head = cursor.span_from(start)
    found: dict[str, Any] = cursor.clauses(
        "CREATE CONNECTOR ENTITY",
        Clause(("DESCRIPTION",), lambda: cursor.string("a description")),
        Clause(("FIELDS",), lambda: literal_document(cursor)),
        Clause(("QUERY_HANDLER",), cursor.handler),
        Clause(("PUSHDOWN",), lambda: literal_document(cursor)),
        Clause(("ROWS_PATH",), lambda: cursor.string("a path")),
    )
    span = cursor.span_from(start)
    cursor.require(found, "CREATE CONNECTOR ENTITY", head, "FIELDS", "QUERY_HANDLER")
    return ast.CreateEntity(
        name,
        found["FIELDS"],
        found["QUERY_HANDLER"],
        or_replace,
        if_not_exists,
        found.get("DESCRIPTION"),
        found.get("PUSHDOWN"),
        found.get("ROWS_PATH"),
        span=span,
    )


def _action(cursor: Cursor, start: int, *, or_replace: bool) -> ast.CreateAction:
    cursor.advance()
    name = cursor.quoted_name(*_DEFINITIONS["ACTION"])
    if_not_exists = _if_not_exists(cursor)
    head = cursor.span_from(start)
    found: dict[str, Any] = cursor.clauses(
        "CREATE CONNECTOR ACTION",
        Clause(("DESCRIPTION",), lambda: cursor.string("a description")),
        Clause(("PARAMETERS",), lambda: literal_document(cursor)),
        Clause(("HANDLER",), cursor.handler),
        Clause(("RETURNS",), lambda: literal_document(cursor)),
        Clause(("IDEMPOTENT",), lambda: True),
    )
    span = cursor.span_from(start)
    cursor.require(found, "CREATE CONNECTOR ACTION", head, "HANDLER")
    return ast.CreateAction(
        name,
        found["HANDLER"],
        or_replace,
        if_not_exists,
        found.get("DESCRIPTION"),
        found.get("PARAMETERS"),
        found.get("RETURNS"),
        bool(found.get("IDEMPOTENT")),
        span=span,
    )


def _connector(cursor: Cursor, start: int, *, or_replace: bool) -> ast.CreateConnector:
    name_token = cursor.token
    if name_token.kind == "string":
        cursor.fail(
            "SYN001",
            f"expected the name of an instance as a bare word, found {name_token}",
            hint="leave the quotes out, or write CREATE CONNECTOR TYPE for a definition",
        )
    name = cursor.instance()
    name_span = cursor.span_from(name_token.start)
    if_not_exists = _if_not_exists(cursor)
    head = cursor.span_from(start)
    found: dict[str, Any] = cursor.clauses(
        "CREATE CONNECTOR",
        Clause(("TYPE",), lambda: cursor.quoted_name("type")),
        Clause(("CONFIG",), lambda: document(cursor)),
        Clause(("OPTIONS",), lambda: document(cursor)),
        Clause(("DESCRIPTION",), lambda: cursor.string("a description")),
    )
    span = cursor.span_from(start)
    cursor.require(found, "CREATE CONNECTOR", head, "TYPE")
    return ast.CreateConnector(
        name,
        found["TYPE"],
        or_replace,
        if_not_exists,
        found.get("CONFIG"),
        found.get("OPTIONS"),
        found.get("DESCRIPTION"),
        name_span=name_span,
        span=span,
    )


def _destination(cursor: Cursor, start: int, *, or_replace: bool) -> ast.CreateDestination:
    name = cursor.name("the name of a destination")
    if_not_exists = _if_not_exists(cursor)
    head = cursor.span_from(start)
    found: dict[str, Any] = cursor.clauses(
        "CREATE DESTINATION",
        Clause(("TYPE",), lambda: cursor.string("a type of destination")),
        Clause(("CONFIG",), lambda: document(cursor)),
    )
    span = cursor.span_from(start)
    cursor.require(found, "CREATE DESTINATION", head, "TYPE")
    return ast.CreateDestination(
        name, found["TYPE"], or_replace, if_not_exists, found.get("CONFIG"), span=span
    )


def register(cursor: Cursor) -> ast.RegisterType:
    """Read REGISTER CONNECTOR TYPE."""
    start = cursor.expect("REGISTER").start
    cursor.expect("CONNECTOR")
    cursor.expect("TYPE")
    name = cursor.quoted_name("type")
    force = cursor.take("FORCE")
    return ast.RegisterType(name, force, span=cursor.span_from(start))


def drop(cursor: Cursor) -> ast.Statement:
    """Read a statement that starts with DROP."""
    start = cursor.expect("DROP").start
    match cursor.token.folded:
        case "CONNECTOR":
            cursor.advance()
            return _drop_connector(cursor, start)
        case "DESTINATION":
            cursor.advance()
            name = cursor.name("the name of a destination")
            if_exists = cursor.take_phrase("IF", "EXISTS")
            return ast.DropDestination(name, if_exists, span=cursor.span_from(start))
        case "SCHEDULE":
            cursor.advance()
            cursor.expect("FOR")
            cursor.expect("CONNECTOR")
            connector = cursor.name("a connector")
            entity = cursor.name("an entity") if cursor.take_symbol(".") else None
            return ast.DropSchedule(connector, entity, span=cursor.span_from(start))
        case "TEST":
            cursor.advance()
            test = cursor.string("the name of a test")
            cursor.expect("FOR")
            cursor.expect("CONNECTOR")
            cursor.expect("TYPE")
            type_name = cursor.quoted_name("type")
            return ast.DropTest(test, type_name, span=cursor.span_from(start))
        case _:
            return cursor.unexpected("CONNECTOR", "DESTINATION", "SCHEDULE", "TEST")


def _drop_connector(cursor: Cursor, start: int) -> ast.Statement:
    kind = cursor.token.folded
    if cursor.at(*_DEFINITIONS):
        cursor.advance()
        name = cursor.quoted_name(*_DEFINITIONS[kind])
        if_exists = cursor.take_phrase("IF", "EXISTS")
        cascade = cursor.take("CASCADE")
        return ast.DropDefinition(
            kind,  # type: ignore[arg-type] # one of the three keys above
            name,
            if_exists,
            cascade,
            span=cursor.span_from(start),
        )
    connector = cursor.instance()
    if_exists = cursor.take_phrase("IF", "EXISTS")
    return ast.DropConnector(connector, if_exists, span=cursor.span_from(start))


def alter(cursor: Cursor) -> ast.Statement:
    """Read ALTER CONNECTOR."""
    start = cursor.expect("ALTER").start
    cursor.expect("CONNECTOR")
    name = cursor.instance()
    if cursor.at("ENABLE", "DISABLE"):
        enabled = cursor.advance().folded == "ENABLE"
        return ast.SetEnabled(name, enabled, span=cursor.span_from(start))
    if cursor.take("SET"):
        part = cursor.expect("OPTIONS", "CONFIG").folded
    else:
        part = cursor.expect("SET", "OPTIONS", "CONFIG", "ENABLE", "DISABLE").folded
    changes = document(cursor)
    return ast.AlterConnector(
        name,
        "OPTIONS" if part == "OPTIONS" else "CONFIG",
        changes,
        span=cursor.span_from(start),
    )


def set_enabled(cursor: Cursor) -> ast.SetEnabled:
    """Read ENABLE CONNECTOR and DISABLE CONNECTOR."""
    token = cursor.expect("ENABLE", "DISABLE")
    cursor.expect("CONNECTOR")
    name = cursor.instance()
    return ast.SetEnabled(name, token.folded == "ENABLE", span=cursor.span_from(token.start))
