"""``README.md`` of a package: its reference, made from the definition, and what its author says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from moltler.flow.predicate import OPERATORS
from moltler.model import Action, ConnectorType, Entity
from moltler.registry.manifest import Permissions, permissions_of
from moltler.schema import Property, Schema


def write_readme(definition: ConnectorType, description: str, documentation: str | None) -> str:
    """Give the page in Markdown."""
    lines = [f"# {definition.name}", "", description, ""]
    lines += ["## Configuration", "", *_schema(definition.config_schema, "No settings.")]
    if len(definition.options_schema):
        lines += ["## Options", "", *_schema(definition.options_schema, "")]
    for entity in definition.entities:
        lines += _entity(definition, entity)
    for action in definition.actions:
        lines += _action(definition, action)
    lines += ["## Permissions", "", *_permissions(permissions_of(definition)), ""]
    for text in (definition.documentation, documentation):
        if text is not None and text.strip():
            lines += [text.strip("\n"), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _schema(schema: Schema, otherwise: str) -> list[str]:
    if not len(schema):
        return [otherwise, ""]
    rows = ((f"`{p.name}`", str(p.type), _traits(p), p.description or "") for p in schema)
    return [*_table(("name", "type", "", "description"), rows), ""]


def _traits(p: Property) -> str:
    words = [word for word in ("required", "secret") if getattr(p, word)]
    if p.expose:
        words.append("seen in plain")
    if p.has_default:
        words.append(f"default `{p.default}`")
    if p.enum is not None:
        words.append("one of " + " ".join(f"`{v}`" for v in p.enum))
    return ", ".join(words)


def _entity(definition: ConnectorType, entity: Entity) -> Iterator[str]:
    yield from (f"## Entity {definition.name}.{entity.name}", "")
    if entity.description:
        yield from (entity.description, "")
    rows = (
        (f"`{f.name}`", str(f.type), _claims(entity, f), f.description or "") for f in entity.fields
    )
    yield from _table(("field", "type", "", "description"), rows)
    yield ""


def _claims(entity: Entity, field: Property) -> str:
    words = ["primary key"] if field.primary_key else []
    words += ["filter only"] if field.filter_only else []
    claim = entity.pushdown.filters.get(field.name)
    if claim is not None and claim.required:
        words.append("required filter")
    if claim is not None and claim.operators:
        operators = " ".join(f"`{o}`" for o in OPERATORS if o in claim.operators)
        words.append(f"filtered by the API: {operators}")
    if field.name in entity.pushdown.order_by:
        words.append("ordered by the API")
    return ", ".join(words)


def _action(definition: ConnectorType, action: Action) -> Iterator[str]:
    yield from (f"## Action {definition.name}.{action.path}", "")
    if action.description:
        yield from (action.description, "")
    if action.idempotent:
        yield from ("Running it twice has the effect of running it once.", "")
    yield from _schema(action.parameters, "No parameters.")


def _permissions(permissions: Permissions) -> Iterator[str]:
    if permissions.is_empty:
        yield "Reads from the hosts of your CONFIG, and nothing else."
    for line in permissions.lines():
        yield f"- {line}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        cells = (" ".join(cell.replace("|", "\\|").split()) for cell in row)
        yield "| " + " | ".join(cells) + " |"
