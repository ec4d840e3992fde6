"""Scripts to the types that they define, and what rules say about those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from moltler.catalog.build import ReadFile, build_action, build_entity, build_type
from moltler.errors import MoltlerError, Problem, ScriptPosition, Source, Span
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.lint.check import find, handlers_of, in_order
from moltler.lint.credentials import find_credential, holds_credential
from moltler.lint.finding import Finding, place_of
from moltler.lint.subject import Path, Subject
from moltler.lint.suppression import Text, suppress
from moltler.model import Action, ConnectorType, Entity, Handler


@dataclass(slots=True)
class _Drafted:
    """A type as the statements read so far define it."""

    type: ConnectorType
    is_whole: bool = False
    entities: dict[str, Entity] = field(default_factory=dict[str, Entity])
    actions: dict[str, Action] = field(default_factory=dict[str, Action])
    tests: list[ast.TestDefinition] = field(default_factory=list[ast.TestDefinition])
    places: dict[Path, ScriptPosition] = field(default_factory=dict[Path, ScriptPosition])


def lint_scripts(
    sources: Sequence[Source], read_file: ReadFile, context: Sequence[Source] = ()
) -> tuple[Finding, ...]:
    """Judge the connector types that scripts define.

    Args:
        sources: The scripts.
        read_file: Reads ``FILE './x.js'`` relative to its script.
        context: Further scripts with definitions and tests of the same types; what is found in
            them is left out.

    Returns:
        Findings in the order of files and lines. Texts that cannot be read, and definitions that
        are wrong, are findings with the codes of their errors.
    """
    drafts: dict[str, _Drafted] = {}
    findings: list[Finding] = []
    for source in (*context, *sources):
        try:
            script = parse(source)
        except MoltlerError as error:
            findings += [_problem(p) for p in error.problems]
            continue
        for statement in script.statements:
            findings += _take(statement, drafts, read_file)
    texts = {source.name: Text(source.name, 1, source.text) for source in (*context, *sources)}
    for draft in drafts.values():
        whole = replace(
            draft.type,
            entities=tuple(draft.entities.values()),
            actions=tuple(draft.actions.values()),
        )
        subject = Subject(whole, tuple(draft.tests), draft.places, draft.is_whole)
        findings += find(subject)
        for handler in handlers_of(whole):
            texts.setdefault(handler.file, Text(handler.file, handler.line, handler.text))
    outside = {s.name for s in context} - {s.name for s in sources}
    kept = suppress(findings, texts.values())
    return in_order(f for f in kept if f.place is None or f.place.file not in outside)


def _take(
    statement: ast.Statement, drafts: dict[str, _Drafted], read_file: ReadFile
) -> Iterator[Finding]:
    try:
        match statement:
            case ast.CreateType():
                draft = _draft(drafts, statement.name)
                built = build_type(statement, read_file=read_file, check=_no_check)
                if built.test_handler is not None and statement.test_handler is not None:
                    placed = _placed(built.test_handler, statement.test_handler)
                    built = replace(built, test_handler=placed)
                draft.type, draft.is_whole = built, True
                draft.places["type",] = place_of(statement.span)
                _keys(draft, ("config",), statement.config_schema)
                _keys(draft, ("options",), statement.options_schema)
            case ast.CreateEntity():
                draft = _draft(drafts, statement.name)
                entity = build_entity(statement, read_file=read_file, check=_no_check)
                entity = replace(entity, handler=_placed(entity.handler, statement.handler))
                draft.entities[entity.name.lower()] = entity
                path = ("entity", entity.name.lower())
                draft.places[path] = place_of(statement.span)
                _keys(draft, path, statement.fields)
                if statement.pushdown is not None:
                    draft.places[*path, "pushdown"] = place_of(statement.pushdown.span)
            case ast.CreateAction():
                draft = _draft(drafts, statement.name)
                action = build_action(statement, read_file=read_file, check=_no_check)
                action = replace(action, handler=_placed(action.handler, statement.handler))
                draft.actions[action.path.lower()] = action
                path = ("action", action.path.lower())
                draft.places[path] = place_of(statement.span)
                _keys(draft, path, statement.parameters)
            case ast.TestDefinition():
                _draft(drafts, statement.type_name).tests.append(statement)
            case ast.CreateConnector():
                draft = drafts.get(str(statement.type_name).lower())
                yield from _given_credentials(statement, draft.type if draft else None)
            case _:
                pass
    except MoltlerError as error:
        yield from (_problem(p, statement.span) for p in error.problems)


def _draft(drafts: dict[str, _Drafted], name: ast.QuotedName) -> _Drafted:
    own = name.segments[0]
    return drafts.setdefault(own.lower(), _Drafted(ConnectorType(own)))


def _placed(handler: Handler, source: ast.HandlerSource) -> Handler:
    """Name the file of a handler as seen from here, not from its script."""
    if isinstance(source, ast.HandlerText):
        return handler
    script = source.span.source.name
    base = PurePath() if script.startswith("<") else PurePath(script).parent
    return replace(handler, file=str(base / source.path))


def _keys(draft: _Drafted, path: Path, document: ast.Document | None) -> None:
    for pair in document.members if document is not None else ():
        draft.places[*path, pair.key.lower()] = place_of(pair.key_span)


def _given_credentials(
    statement: ast.CreateConnector, type_: ConnectorType | None
) -> Iterator[Finding]:
    """LNT001: a credential written where a connector is created."""
    if statement.config is None:
        return
    for pair in statement.config.members:
        value = pair.value
        if not isinstance(value, ast.Literal) or not isinstance(value.value, str):
            continue
        declared = None if type_ is None else type_.config_schema.find(pair.key)
        is_secret = holds_credential(pair.key) if declared is None else declared.secret
        is_plain = is_secret and value.value != "" and "{{" not in value.value
        if is_plain or find_credential(value.value) is not None:
            yield Finding(
                "LNT001",
                f"the credential `{pair.key}` of `{statement.name}` stands in the text",
                f"run `moltler secrets set {statement.name}_{pair.key}`, and write "
                f"'{{{{secrets.{statement.name}_{pair.key}}}}}'",
                place_of(value.span),
                str(statement.type_name),
            )


def _problem(problem: Problem, around: Span | None = None) -> Finding:
    span = problem.span or around
    place = place_of(span) if isinstance(span, Span) else span
    hint = problem.hint or f"see `moltler explain {problem.code}`"
    return Finding(problem.code, problem.message, hint, place, None, "error")


def _no_check(handler: Handler, entry: str) -> tuple[Problem, ...]:
    # Handlers are read by the rules' own parser; compiling them is REGISTER's.
    _ = handler, entry
    return ()
