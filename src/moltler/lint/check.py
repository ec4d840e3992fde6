"""All rules over one type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from moltler.errors import ScriptPosition
from moltler.lang import ast
from moltler.lint import (
    addresses,
    answers,
    credentials,
    definitions,
    loops,
    promises,
    trials,
)
from moltler.lint.finding import Finding
from moltler.lint.subject import Subject
from moltler.lint.suppression import Text, suppress
from moltler.lint.syntax import Module, walk
from moltler.model import ConnectorType, Handler
from moltler.schema import Schema


def lint_type(
    type_: ConnectorType, tests: Sequence[ast.TestDefinition] = ()
) -> tuple[Finding, ...]:
    """Judge a type as the catalog has it, for instance before it is published.

    Args:
        type_: A draft or a revision.
        tests: The tests that belong to it.

    Returns:
        In the order of the handlers' positions; those about definitions, whose text the catalog
        does not keep, have no place. Comments inside handlers and tests suppress as they do in
        files.
    """
    handlers = handlers_of(type_)
    texts = [Text(h.file, h.line, h.text) for h in handlers]
    texts += [Text(t.span.source.name, t.span.line, t.span.text) for t in tests]
    return in_order(suppress(find(Subject(type_, tuple(tests))), texts))


def find(subject: Subject) -> Iterator[Finding]:
    """Give every finding about one type, suppressed or not."""
    for finding in _find(subject):
        yield replace(finding, type_name=subject.type.name)


def handlers_of(type_: ConnectorType) -> list[Handler]:
    """Give every handler of a type."""
    own = [] if type_.test_handler is None else [type_.test_handler]
    return [*own, *(e.handler for e in type_.entities), *(a.handler for a in type_.actions)]


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings by their places; what has none comes first."""

    def key(finding: Finding) -> tuple[str, int, int, str]:
        place = finding.place or ScriptPosition("", 0)
        return place.file, place.line, place.column or 0, finding.code

    return tuple(sorted(findings, key=key))


def _find(subject: Subject) -> Iterator[Finding]:
    type_ = subject.type
    yield from credentials.in_definition(subject)
    yield from addresses.plain_defaults(subject)
    yield from definitions.undescribed(subject)
    yield from definitions.undocumented(subject)
    yield from definitions.keyless(subject)
    yield from definitions.reserved_names(subject)
    yield from trials.untested(subject)
    yield from trials.unfailing(subject)
    yield from trials.credentials(subject)
    if type_.test_handler is not None:
        module = Module(type_.test_handler, "test")
        yield from _unreadable(module) or _in_module(subject, module, Schema())
    for entity in type_.entities:
        module = Module(entity.handler, "query")
        yield from _unreadable(module) or _in_module(subject, module, entity.fields)
        if not module.root.has_error:
            yield from promises.unkept_claims(subject, entity, module)
    for action in type_.actions:
        module = Module(action.handler, "execute")
        yield from _unreadable(module) or _in_module(subject, module, action.parameters)
        if not module.root.has_error:
            yield from promises.doubtful_idempotence(subject, action, module)


def _unreadable(module: Module) -> list[Finding]:
    if not module.root.has_error:
        return []
    wrong = next((n for n in walk(module.root) if n.is_error or n.is_missing), module.root)
    return [
        Finding(
            "LNT092",
            "this handler could not be read as JavaScript, so no rule was applied to it",
            "run the script: if the runtime cannot read it either, it says why",
            module.place(wrong),
        )
    ]


def _in_module(subject: Subject, module: Module, given: Schema) -> Iterator[Finding]:
    yield from credentials.in_handler(module)
    yield from addresses.undeclared_hosts(subject, module)
    yield from addresses.unencoded(subject, module, given)
    yield from loops.endless(module)
    yield from loops.first_page_only(module)
    yield from loops.collects_all(module)
    yield from answers.swallowed(module)
    yield from answers.status_ignored(module)
    yield from answers.refusals_unnamed(module)
    yield from promises.endless_caches(module)
