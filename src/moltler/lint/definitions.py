"""Descriptions, keys and names of definitions."""

from __future__ import annotations

from collections.abc import Iterator

from moltler.lint.finding import Finding
from moltler.lint.subject import Subject
from moltler.schema import Schema

RESERVED = frozenset(
    {
        "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "both",
        "case", "cast", "check", "collate", "column", "constraint", "create", "default",
        "deferrable", "desc", "describe", "distinct", "do", "else", "end", "except", "false",
        "fetch", "for", "foreign", "from", "group", "having", "in", "initially", "intersect",
        "into", "lambda", "lateral", "leading", "limit", "not", "null", "offset", "on", "only",
        "or", "order", "pivot", "pivot_longer", "pivot_wider", "placing", "primary", "qualify",
        "references", "returning", "select", "show", "some", "summarize", "symmetric", "table",
        "then", "to", "trailing", "true", "union", "unique", "unpivot", "using", "variadic",
        "when", "where", "window", "with",
    }
)  # fmt: skip
"""The words that DuckDB lists as reserved; a test compares them with the engine's own list."""
_SHOWN = 5


def undescribed(subject: Subject) -> Iterator[Finding]:
    """LNT030: nobody can guess what a definition is for."""
    type_ = subject.type
    if subject.is_whole and not type_.description:
        yield _undescribed(f"connector type `{type_.name}`", subject, ("type",))
    for entity in type_.entities:
        if not entity.description:
            name = f"entity `{subject.entity_name(entity)}`"
            yield _undescribed(name, subject, ("entity", entity.name))
    for action in type_.actions:
        if not action.description:
            name = f"action `{subject.action_name(action)}`"
            yield _undescribed(name, subject, ("action", action.path))


def undocumented(subject: Subject) -> Iterator[Finding]:
    """LNT031: one finding a document, naming what it does not describe."""
    type_ = subject.type
    yield from _undocumented(type_.config_schema, "setting", type_.name, subject, ("config",))
    yield from _undocumented(type_.options_schema, "option", type_.name, subject, ("options",))
    for entity in type_.entities:
        name = subject.entity_name(entity)
        yield from _undocumented(entity.fields, "field", name, subject, ("entity", entity.name))
    for action in type_.actions:
        name = subject.action_name(action)
        path = ("action", action.path)
        yield from _undocumented(action.parameters, "parameter", name, subject, path)


def keyless(subject: Subject) -> Iterator[Finding]:
    """LNT032: without a key no row can be told from another."""
    for entity in subject.type.entities:
        if not entity.fields.primary_key:
            yield Finding(
                "LNT032",
                f"entity `{subject.entity_name(entity)}` has no primary key, so it cannot be "
                "synced row by row",
                'mark what identifies a row with "primary_key": true',
                subject.place("entity", entity.name),
            )


def reserved_names(subject: Subject) -> Iterator[Finding]:
    """LNT033: a name that every query must quote."""
    for entity in subject.type.entities:
        for declared in entity.fields:
            if declared.name.lower() in RESERVED:
                yield Finding(
                    "LNT033",
                    f"`{declared.name}` is a word of SQL: queries must write it as "
                    f'"{declared.name}"',
                    "give the field another name, such as the API's own with a prefix",
                    subject.place("entity", entity.name, declared.name),
                )


def _undescribed(what: str, subject: Subject, path: tuple[str, ...]) -> Finding:
    return Finding(
        "LNT030",
        f"{what} has no description",
        "add DESCRIPTION '…': SHOW, DESCRIBE and catalogues print it",
        subject.place(*path),
    )


def _undocumented(
    schema: Schema, kind: str, owner: str, subject: Subject, path: tuple[str, ...]
) -> Iterator[Finding]:
    missing = [p.name for p in schema if not p.description]
    if not missing:
        return
    listed = ", ".join(f"`{name}`" for name in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    plural = kind if len(missing) == 1 else f"{kind}s"
    verb = "has" if len(missing) == 1 else "have"
    yield Finding(
        "LNT031",
        f"{len(missing)} of {len(schema)} {plural} of `{owner}` {verb} no description: "
        f"{listed}{more}",
        'add "description" to each: DESCRIBE and catalogues print them',
        subject.place(*path, missing[0]),
    )
