"""A registered type as the text of its definition, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias, cast

from moltler.catalog.build import Check, build_action, build_entity, build_type, check_draft
from moltler.errors import LookupFailed, MoltlerError, PackageError, Problem, Source, Span
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.lang.printer import format_text
from moltler.lang.wording import quoted
from moltler.model import Action, ConnectorType, Entity, Handler, PushDown
from moltler.schema import DataType, JsonValue, Property, Schema

SCRIPT = "type.sql"
_Place: TypeAlias = Callable[[str, Handler], str]
"""Puts a handler into a file and gives the words that name it."""
_FLAGS = ("required", "secret", "expose", "primary_key", "filter_only")
_TEXTS = ("description", "pattern", "minimum", "maximum", "expose_reason", "collation")


def write_definition(definition: ConnectorType) -> dict[str, str]:
    """Give the files that define a type, text by path: ``type.sql`` and its handlers."""
    files: dict[str, str] = {}

    def handler(path: str, source: Handler) -> str:
        files[path] = source.text
        return f"FILE {quoted('./' + path)}"

    statements = [_type(definition, handler)]
    for entity in definition.entities:
        place = f"handlers/{entity.name}.query.js"
        statements.append(_entity(definition, entity, handler(place, entity.handler)))
    for action in definition.actions:
        place = f"handlers/{action.path}.js"
        if any(place.lower() == taken.lower() for taken in files):
            # An action called `query` beside the handler of its entity.
            place = f"handlers/{action.path}.action.js"
        statements.append(_action(definition, action, handler(place, action.handler)))
    text = "\n\n".join(f"{statement};" for statement in statements) + "\n"
    return {SCRIPT: format_text(Source(SCRIPT, text)), **files}


def read_definition(root: str, files: Mapping[str, bytes], *, check: Check) -> ConnectorType:
    """Give the type that ``type.sql`` of a package defines; runs nothing.

    Args:
        root: Of the package; positions in errors begin with it.
        files: Of the package, by path.
        check: Compiles handlers.

    Raises:
        PackageError: PKG010, it holds other statements; PKG002, it does not fit together.
        MoltlerError: What is wrong with a definition.
    """
    script = _text(files, SCRIPT)
    statements = parse(Source(f"{root}/{SCRIPT}", script)).statements
    definition: ConnectorType | None = None
    for statement in statements:
        match statement:
            case ast.CreateType() if definition is None:
                read = _Reader(root, files, check)
                definition = read.type(statement)
            case ast.CreateEntity() | ast.CreateAction() if definition is not None:
                if statement.name.segments[0].lower() != definition.name.lower():
                    raise _foreign(statement)
                read = _Reader(root, files, check)
                if isinstance(statement, ast.CreateEntity):
                    added = read.entity(statement)
                    definition = replace(definition, entities=(*definition.entities, added))
                else:
                    did = read.action(statement)
                    definition = replace(definition, actions=(*definition.actions, did))
            case _:
                raise _foreign(statement)
    if definition is None:
        raise PackageError("PKG002", f"`{SCRIPT}` of the package defines no type")
    problems = [*check_draft(definition), *_twice(definition)]
    if problems:
        raise MoltlerError.of(tuple(problems))
    return definition


def without_places(definition: ConnectorType) -> ConnectorType:
    """Give a type without where its handlers stood, so that two can be compared."""

    def bare(handler: Handler) -> Handler:
        return Handler(handler.text, "", 1)

    test = definition.test_handler
    return replace(
        definition,
        test_handler=None if test is None else bare(test),
        entities=tuple(replace(e, handler=bare(e.handler)) for e in definition.entities),
        actions=tuple(replace(a, handler=bare(a.handler)) for a in definition.actions),
    )


def _twice(definition: ConnectorType) -> Iterator[Problem]:
    names = [e.name.lower() for e in definition.entities]
    names += [a.path.lower() for a in definition.actions]
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        yield Problem("CAT003", f"`{definition.name}.{name}` is defined twice")


class _Reader:
    def __init__(self, root: str, files: Mapping[str, bytes], check: Check) -> None:
        self._root = root
        self._files = files
        self._check = check

    def type(self, statement: ast.CreateType) -> ConnectorType:
        built = build_type(statement, read_file=self._read, check=self._check)
        return replace(built, test_handler=self._placed(built.test_handler))

    def entity(self, statement: ast.CreateEntity) -> Entity:
        built = build_entity(statement, read_file=self._read, check=self._check)
        return replace(built, handler=cast("Handler", self._placed(built.handler)))

    def action(self, statement: ast.CreateAction) -> Action:
        built = build_action(statement, read_file=self._read, check=self._check)
        return replace(built, handler=cast("Handler", self._placed(built.handler)))

    def _read(self, path: str, span: Span) -> str:
        name = path.removeprefix("./")
        if name not in self._files:
            raise LookupFailed(
                "CAT002", f"the package has no file `{path}`", hint="get it again", span=span
            )
        return _text(self._files, name)

    def _placed(self, handler: Handler | None) -> Handler | None:
        if handler is None or not handler.file.startswith("./"):
            return handler
        return replace(handler, file=f"{self._root}/{handler.file.removeprefix('./')}")


def _text(files: Mapping[str, bytes], path: str) -> str:
    try:
        return files[path].decode("utf-8")
    except KeyError:
        raise PackageError("PKG002", f"the package has no `{path}`") from None
    except UnicodeDecodeError as error:
        raise PackageError("PKG002", f"`{path}` of the package is not UTF-8 text") from error


def _foreign(statement: ast.Statement) -> PackageError:
    return PackageError(
        "PKG010",
        f"`{SCRIPT}` of the package holds more than the definition of its type",
        hint="tell whoever published it; nothing was installed",
        span=statement.span,
    )


# ── statements ───────────────────────────────────────────────────────────────────────────────


def _type(definition: ConnectorType, handler: _Place) -> str:
    parts = [f"CREATE CONNECTOR TYPE {quoted(definition.name)}", *_described(definition)]
    if len(definition.config_schema):
        parts.append(f"CONFIG_SCHEMA {_json(properties(definition.config_schema))}")
    if len(definition.options_schema):
        parts.append(f"OPTIONS_SCHEMA {_json(properties(definition.options_schema))}")
    if definition.allowed_hosts:
        parts.append(f"ALLOWED_HOSTS {_json(list(definition.allowed_hosts))}")
    if definition.auth is not None:
        parts.append(f"AUTH {_json(dict(definition.auth))}")
    if definition.concurrency is not None:
        parts.append(f"CONCURRENCY {definition.concurrency}")
    if definition.documentation is not None:
        parts.append(f"DOCUMENTATION {quoted(definition.documentation)}")
    if definition.test_handler is not None:
        # No name of the language begins with `_`, so this is nobody else's file.
        parts.append(f"TEST_HANDLER {handler('handlers/_test.js', definition.test_handler)}")
    return "\n".join(parts)


def _entity(definition: ConnectorType, entity: Entity, handler: str) -> str:
    name = quoted(f"{definition.name}.{entity.name}")
    parts = [f"CREATE CONNECTOR ENTITY {name}", *_described(entity)]
    parts.append(f"FIELDS {_json(properties(entity.fields))}")
    if entity.pushdown != PushDown():
        parts.append(f"PUSHDOWN {_json(claims(entity.pushdown))}")
    if entity.rows_path is not None:
        parts.append(f"ROWS_PATH {quoted(entity.rows_path)}")
    parts.append(f"QUERY_HANDLER {handler}")
    return "\n".join(parts)


def _action(definition: ConnectorType, action: Action, handler: str) -> str:
    name = quoted(f"{definition.name}.{action.path}")
    parts = [f"CREATE CONNECTOR ACTION {name}", *_described(action)]
    if len(action.parameters):
        parts.append(f"PARAMETERS {_json(properties(action.parameters))}")
    if action.returns is not None:
        parts.append(f"RETURNS {_json(properties(action.returns))}")
    if action.idempotent:
        parts.append("IDEMPOTENT")
    parts.append(f"HANDLER {handler}")
    return "\n".join(parts)


def _described(thing: ConnectorType | Entity | Action) -> list[str]:
    return [f"DESCRIPTION {quoted(thing.description)}"] if thing.description is not None else []


# ── documents ────────────────────────────────────────────────────────────────────────────────


def properties(schema: Schema) -> dict[str, JsonValue]:
    """Give a schema as the property document that it was read from."""
    return {p.name: _property(p) for p in schema}


def claims(pushdown: PushDown) -> dict[str, JsonValue]:
    """Give claims as the document of PUSHDOWN, in an order that is always the same."""
    document: dict[str, JsonValue] = {}
    filters: dict[str, JsonValue] = {}
    for name, claim in sorted(pushdown.filters.items()):
        operators: list[JsonValue] = [*sorted(claim.operators)]
        filters[name] = {"operators": operators, "required": True} if claim.required else operators
    if filters:
        document["filters"] = filters
    if pushdown.order_by:
        document["order_by"] = [*sorted(pushdown.order_by)]
    if pushdown.limit:
        document["limit"] = True
    return document


def _property(declared: Property) -> dict[str, JsonValue]:
    document = _data_type(declared.type)
    for key in _TEXTS:
        value = getattr(declared, key)
        if value is not None:
            document[key] = value
    for key in _FLAGS:
        if getattr(declared, key):
            document[key] = True
    if declared.has_default:
        document["default"] = declared.default
    if declared.enum is not None:
        document["enum"] = [*declared.enum]
    if not declared.nullable and not declared.primary_key:
        document["nullable"] = False
    return document


def _data_type(type_: DataType) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = {"type": type_.name}
    if type_.items is not None:
        document["items"] = _data_type(type_.items)
    if type_.properties is not None:
        document["properties"] = {p.name: _property(p) for p in type_.properties}
    return document


def _json(value: JsonValue) -> str:
    # Every escape of JSON is one of the language's, and its numbers are too.
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
