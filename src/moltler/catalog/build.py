"""Definition statements to checked definitions, all problems of one statement at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from moltler.catalog.authentication import read_auth
from moltler.catalog.claims import read_pushdown
from moltler.catalog.documents import kind_of
from moltler.catalog.hosts import check_host_pattern
from moltler.catalog.options import ENGINE_OPTIONS
from moltler.catalog.properties import read_schema
from moltler.errors import MoltlerError, Problem, Span
from moltler.lang import ast
from moltler.model import Action, ConnectorType, Entity, Handler

ReadFile: TypeAlias = Callable[[str, Span], str]
"""Reads the file of ``FILE './x.js'``, relative to the script; raises what is wrong with it."""
Check: TypeAlias = Callable[[Handler, str], tuple[Problem, ...]]
"""`moltler.ports.Handlers.check`: compiles a handler and looks for its entry point."""


def build_type(statement: ast.CreateType, *, read_file: ReadFile, check: Check) -> ConnectorType:
    """Give the type that a statement defines, without entities and actions.

    Raises:
        MoltlerError: Everything wrong with it: DEF001 to DEF003, DEF005 to DEF007.
    """
    problems: list[Problem] = []
    if statement.concurrency is not None and statement.concurrency < 1:
        problems.append(
            Problem(
                "DEF006",
                f"CONCURRENCY must be at least 1, found {statement.concurrency}",
                "leave the clause out for calls one at a time",
                statement.span,
            )
        )
    config = read_schema(statement.config_schema, "config", problems)
    definition = ConnectorType(
        str(statement.name),
        config,
        read_schema(statement.options_schema, "options", problems, taken=ENGINE_OPTIONS),
        statement.description,
        None
        if statement.test_handler is None
        else _handler(statement.test_handler, "test", problems, read_file, check),
        _allowed_hosts(statement.allowed_hosts, problems),
        read_auth(statement.auth, config, problems, check_host=_auth_host_problem),
        statement.concurrency,
        statement.documentation,
    )
    _raise(problems, statement.span)
    return definition


def build_entity(statement: ast.CreateEntity, *, read_file: ReadFile, check: Check) -> Entity:
    """Give the entity that a statement defines.

    Raises:
        MoltlerError: Everything wrong with it: DEF001 to DEF006.
    """
    problems: list[Problem] = []
    fields = read_schema(statement.fields, "fields", problems)
    if all(f.filter_only for f in fields) and not problems:
        problems.append(
            Problem(
                "DEF006",
                f"entity `{statement.name}` has no column",
                "declare at least one field that is not `filter_only`",
                statement.fields.span,
            )
        )
    # A field that could not be read still has its name, so that a claim about it is not doubted.
    pushdown = read_pushdown(statement.pushdown, fields, problems)
    if statement.rows_path is not None and "" in statement.rows_path.split("."):
        problems.append(
            Problem(
                "DEF006",
                f"ROWS_PATH '{statement.rows_path}' is not a path",
                "write keys joined by dots, such as 'data.items'",
                statement.span,
            )
        )
    entity = Entity(
        statement.name.segments[-1],
        fields,
        _handler(statement.handler, "query", problems, read_file, check),
        statement.description,
        pushdown,
        statement.rows_path,
    )
    _raise(problems, statement.span)
    return entity


def build_action(statement: ast.CreateAction, *, read_file: ReadFile, check: Check) -> Action:
    """Give the action that a statement defines.

    Raises:
        MoltlerError: Everything wrong with it: DEF001 to DEF003, DEF005, DEF006.
    """
    problems: list[Problem] = []
    _, *entity, name = statement.name.segments
    returns = statement.returns
    action = Action(
        name,
        entity[0] if entity else None,
        read_schema(statement.parameters, "parameters", problems),
        _handler(statement.handler, "execute", problems, read_file, check),
        statement.description,
        None if returns is None else read_schema(returns, "returns", problems),
        statement.idempotent,
    )
    _raise(problems, statement.span)
    return action


def check_draft(definition: ConnectorType, *, check: Check | None = None) -> tuple[Problem, ...]:
    """Tell what keeps a draft from being registered.

    Args:
        definition: The whole draft.
        check: Compiles its handlers once more, if given.

    Returns:
        Problems DEF002 to DEF007; none if it may become a revision.
    """
    problems: list[Problem] = []
    if not definition.entities and not definition.actions:
        problems.append(
            Problem(
                "DEF007",
                f"connector type `{definition.name}` has neither an entity nor an action",
                f"add one with CREATE CONNECTOR ENTITY '{definition.name}.items'",
            )
        )
    for text in definition.allowed_hosts:
        problems += _host_problem(text, None)
    for entity in definition.entities:
        problems += _unclaimable(definition, entity)
    if check is not None:
        if definition.test_handler is not None:
            problems += check(definition.test_handler, "test")
        for entity in definition.entities:
            problems += check(entity.handler, "query")
        for action in definition.actions:
            problems += check(action.handler, "execute")
    return tuple(problems)


def _unclaimable(definition: ConnectorType, entity: Entity) -> list[Problem]:
    claimed = sorted({*entity.pushdown.filters, *entity.pushdown.order_by})
    name = f"{definition.name}.{entity.name}"
    return [
        Problem(
            "DEF007",
            f"PUSHDOWN of entity `{name}` names `{field}`, which is not a field of it",
            f"define it anew with CREATE OR REPLACE CONNECTOR ENTITY '{name}'",
        )
        for field in claimed
        if entity.fields.find(field) is None
    ]


def _handler(
    source: ast.HandlerSource,
    entry: str,
    problems: list[Problem],
    read_file: ReadFile,
    check: Check,
) -> Handler:
    match source:
        case ast.HandlerText():
            handler = Handler(source.text, source.span.source.name, source.line, source.column)
        case ast.HandlerFile():
            try:
                text = read_file(source.path, source.span)
            except MoltlerError as error:
                problems += error.problems
                return Handler("", source.path, 1)
            handler = Handler(text, source.path, 1)
    problems += check(handler, entry)
    return handler


def _allowed_hosts(node: ast.Array | None, problems: list[Problem]) -> tuple[str, ...]:
    hosts: list[str] = []
    for item in () if node is None else node.items:
        if isinstance(item, ast.Literal) and isinstance(item.value, str):
            problems += _host_problem(item.value, item.span)
            hosts.append(item.value)
        else:
            problems.append(
                Problem(
                    "DEF007",
                    f"ALLOWED_HOSTS holds hosts in quotes, found {kind_of(item)}",
                    "write 'api.example.com'",
                    item.span,
                )
            )
    return tuple(hosts)


def _host_problem(text: str, span: Span | None, clause: str = "ALLOWED_HOSTS") -> list[Problem]:
    wrong = check_host_pattern(text)
    if wrong is None:
        return []
    return [Problem("DEF007", f"`{text}` in {clause} {wrong[0]}", wrong[1], span)]


def _auth_host_problem(text: str, span: Span) -> list[Problem]:
    return _host_problem(text, span, "`hosts` of AUTH")


def _raise(problems: list[Problem], statement: Span) -> None:
    if not problems:
        return

    def place(problem: Problem) -> tuple[bool, int, int]:
        # In the order of the text; handlers in files of their own come last.
        is_elsewhere = problem.file not in {None, statement.source.name}
        return is_elsewhere, problem.line or 0, problem.column or 0

    raise MoltlerError.of(tuple(sorted(problems, key=place)))
