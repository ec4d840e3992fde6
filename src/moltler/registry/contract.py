"""The difference between two definitions of a type, and the version step it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from moltler.errors import PackageError
from moltler.model import Action, ConnectorType, Entity
from moltler.registry.definitions import without_places
from moltler.registry.index import Registry, fetch
from moltler.registry.manifest import permissions_of
from moltler.registry.package import Package
from moltler.registry.semver import Version
from moltler.schema import DataType, Property, Schema


class Step(IntEnum):
    """How much of a version must change."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    step: Step
    words: str


def needed_step(before: ConnectorType, after: ConnectorType) -> tuple[Change, ...]:
    """Give every difference that users of a type can notice, the gravest first."""
    changes = [*_changes(before, after)]
    if not changes and without_places(before) != without_places(after):
        changes = [Change(Step.PATCH, "handlers or descriptions changed")]
    return tuple(sorted(changes, key=lambda c: -c.step))


def check_contract(package: Package, definition: ConnectorType, registry: Registry) -> None:
    """Compare a package with the version that it follows in a registry.

    Args:
        package: About to be published.
        definition: What it defines.
        registry: Where it goes.

    Raises:
        PackageError: PKG005, its version is too close; PKG003, nobody says what changed.
    """
    record = registry.record(package.manifest.name)
    before = None if record is None else record.before(package.version)
    if record is None or before is None:
        return
    previous = fetch(registry, record.name, before)
    old = previous.definition(lambda _handler, _entry: ())
    check_step(package, previous, needed_step(old, definition))
    if not package.manifest.has_changelog:
        raise PackageError(
            "PKG003",
            f"`{package.root}` does not say what changed since {before.version}",
            hint="package it with CHANGELOG '…'",
        )


def check_step(package: Package, previous: Package, changes: tuple[Change, ...]) -> None:
    """Refuse a version that is too close to the one before for what changed.

    Raises:
        PackageError: PKG005, with the changes and the version that would do.
    """
    old, new = previous.version, package.version
    least = max((c.step for c in changes), default=Step.NONE)
    if old.core[0] == 0 and least is Step.MAJOR:
        least = Step.MINOR  # before 1.0.0 a minor version may break things (SemVer §4)
    if step_between(old, new) >= least:
        return
    grave = [c for c in changes if c.step >= least] or list(changes)
    listed = "".join(f"\n  {_NAMES[c.step]}: {c.words}" for c in grave[:30])
    raise PackageError(
        "PKG005",
        f"{new} is too small a step from {old} of `{package.manifest.name}`:{listed}",
        hint=f"package it as {next_version(old, least)}, or take the changes back",
    )


_NAMES = {Step.NONE: "none", Step.PATCH: "patch", Step.MINOR: "minor", Step.MAJOR: "major"}


def step_between(old: Version, new: Version) -> Step:
    """Give which part of the version went up.

    >>> from moltler.registry.semver import parse_version as v
    >>> step_between(v("1.2.3"), v("1.3.0")).name
    'MINOR'
    """
    for step, (before, after) in zip(
        (Step.MAJOR, Step.MINOR, Step.PATCH), zip(old.core, new.core, strict=True), strict=True
    ):
        if after != before:
            return step if after > before else Step.NONE
    return Step.NONE


def next_version(old: Version, step: Step) -> str:
    """Give the next version after a step."""
    major, minor, patch = old.core
    match step:
        case Step.MAJOR:
            return f"{major + 1}.0.0"
        case Step.MINOR:
            return f"{major}.{minor + 1}.0"
        case _:
            return f"{major}.{minor}.{patch + 1}"


# ── differences ──────────────────────────────────────────────────────────────────────────────


def _changes(before: ConnectorType, after: ConnectorType) -> Iterator[Change]:
    yield from _inputs("config key", "", before.config_schema, after.config_schema)
    yield from _inputs("option", "", before.options_schema, after.options_schema)
    entities = {e.name.lower(): e for e in after.entities}
    for entity in before.entities:
        now = entities.pop(entity.name.lower(), None)
        if now is None:
            yield Change(Step.MAJOR, f"entity {entity.name} was removed")
        else:
            yield from _entity(entity, now)
    for entity in entities.values():
        yield Change(Step.MINOR, f"entity {entity.name} was added")
    actions = {a.path.lower(): a for a in after.actions}
    for action in before.actions:
        now_action = actions.pop(action.path.lower(), None)
        if now_action is None:
            yield Change(Step.MAJOR, f"action {action.path} was removed")
        else:
            yield from _action(action, now_action)
    for action in actions.values():
        yield Change(Step.MINOR, f"action {action.path} was added")
    yield from _permissions(before, after)


def _permissions(before: ConnectorType, after: ConnectorType) -> Iterator[Change]:
    old, new = permissions_of(before), permissions_of(after)
    more = new.beyond(old)
    for host in more.hosts:
        yield Change(Step.MINOR, f"host {host} may be reached")
    for exposed in more.exposed_secrets:
        yield Change(Step.MINOR, f"the secret {exposed.property} is seen in plain")


def _entity(before: Entity, after: Entity) -> Iterator[Change]:
    name = after.name
    if before.fields.primary_key != after.fields.primary_key:
        yield Change(Step.MAJOR, f"the primary key of {name} changed")
    yield from _outputs(f"{name}.", before.fields, after.fields, Step.MINOR)
    yield from _claims(before, after)


def _claims(before: Entity, after: Entity) -> Iterator[Change]:
    name, old, new = after.name, before.pushdown, after.pushdown
    for field in dict.fromkeys((*old.filters, *new.filters)):
        was, now = old.filters.get(field), new.filters.get(field)
        was_required = was is not None and was.required
        is_required = now is not None and now.required
        if is_required and not was_required:
            yield Change(Step.MAJOR, f"{name} needs a filter on {field}")
        elif was_required and not is_required:
            yield Change(Step.MINOR, f"{name} no longer needs a filter on {field}")
        had = was.operators if was is not None else frozenset[str]()
        has = now.operators if now is not None else frozenset[str]()
        if had != has:
            yield Change(Step.MINOR, f"the claims of {name} about {field} changed")
    if old.order_by != new.order_by or old.limit != new.limit:
        yield Change(Step.MINOR, f"the claims of {name} about order or limit changed")


def _action(before: Action, after: Action) -> Iterator[Change]:
    yield from _inputs("parameter", f"{after.path}.", before.parameters, after.parameters)
    if before.idempotent and not after.idempotent:
        yield Change(Step.MAJOR, f"{after.path} is no longer IDEMPOTENT")
    elif after.idempotent and not before.idempotent:
        yield Change(Step.MINOR, f"{after.path} is IDEMPOTENT")
    match before.returns, after.returns:
        case None, None:
            return
        case Schema(), None:
            yield Change(Step.MAJOR, f"{after.path} no longer says what it returns")
        case None, Schema():
            yield Change(Step.MINOR, f"{after.path} says what it returns")
        case Schema() as old, Schema() as new:
            yield from _outputs(f"{after.path} returns ", old, new, Step.MINOR)


def _inputs(what: str, prefix: str, before: Schema, after: Schema) -> Iterator[Change]:
    """Compare what users give: less may be accepted only with a new major version."""
    for old, new, name in _pairs(before.properties, after.properties, prefix):
        shown = f"{what} {name}"
        if new is None:
            yield Change(Step.MAJOR, f"{shown} was removed")
        elif old is None:
            is_demanding = new.required and not new.has_default
            yield Change(
                Step.MAJOR if is_demanding else Step.MINOR,
                f"{shown} was added{' and is required' if is_demanding else ''}",
            )
        elif _retyped(old.type, new.type):
            yield Change(Step.MAJOR, f"{shown} changed from {old.type} to {new.type}")
        else:
            yield from (Change(s, f"{shown} {words}") for s, words in _input_rules(old, new))
            yield from _inputs(what, f"{name}.", _nested(old.type), _nested(new.type))


def _input_rules(old: Property, new: Property) -> Iterator[tuple[Step, str]]:
    if new.required and not old.required:
        yield Step.MAJOR, "is newly required"
    elif old.required and not new.required:
        yield Step.MINOR, "is no longer required"
    if old.has_default and not new.has_default:
        yield Step.MAJOR, "lost its default"
    elif new.has_default and (not old.has_default or old.default != new.default):
        yield Step.MINOR, "has another default"
    if new.enum != old.enum:
        narrowed = new.enum is not None and (
            old.enum is None or any(v not in new.enum for v in old.enum)
        )
        yield (Step.MAJOR if narrowed else Step.MINOR), "allows other values"
    if new.pattern != old.pattern:
        yield (Step.MINOR if new.pattern is None else Step.MAJOR), "has another pattern"
    if _rose(old.minimum, new.minimum) or _rose(_negated(old.maximum), _negated(new.maximum)):
        yield Step.MAJOR, "has a narrower range"
    elif (old.minimum, old.maximum) != (new.minimum, new.maximum):
        yield Step.MINOR, "has a wider range"
    if old.secret and not new.secret:
        yield Step.MAJOR, "is no longer a secret"


def _outputs(prefix: str, before: Schema, after: Schema, added: Step) -> Iterator[Change]:
    """Compare what users get: less may be promised only with a new major version."""
    for old, new, name in _pairs(before.properties, after.properties, prefix):
        if new is None:
            yield Change(Step.MAJOR, f"{name} was removed")
        elif old is None:
            yield Change(added, f"{name} was added")
        elif _retyped(old.type, new.type):
            yield Change(Step.MAJOR, f"{name} changed from {old.type} to {new.type}")
        else:
            if new.nullable and not old.nullable:
                yield Change(Step.MAJOR, f"{name} may be NULL")
            elif old.nullable and not new.nullable and not new.primary_key:
                yield Change(Step.MINOR, f"{name} is never NULL")
            if old.filter_only != new.filter_only:
                yield Change(
                    Step.MAJOR, f"{name} is {'a' if new.filter_only else 'no'} search term"
                )
            if old.collation is not None and new.collation is None:
                yield Change(Step.MAJOR, f"{name} is no longer ordered by code point")
            elif new.collation != old.collation:
                yield Change(Step.MINOR, f"{name} is ordered by code point")
            yield from _outputs(f"{name}.", _nested(old.type), _nested(new.type), added)


def _pairs(
    before: Iterable[Property], after: Iterable[Property], prefix: str
) -> Iterator[tuple[Property | None, Property | None, str]]:
    fold: Callable[[str], str] = str.lower
    rest = {fold(p.name): p for p in after}
    for old in before:
        yield old, rest.pop(fold(old.name), None), f"{prefix}{old.name}"
    for new in rest.values():
        yield None, new, f"{prefix}{new.name}"


def _retyped(old: DataType, new: DataType) -> bool:
    if old.name != new.name:
        return True
    if (old.items is None) != (new.items is None):
        return True
    return old.items is not None and new.items is not None and _retyped(old.items, new.items)


def _nested(type_: DataType) -> Schema:
    while type_.items is not None:
        type_ = type_.items
    return Schema(type_.properties or ())


def _rose(old: float | None, new: float | None) -> bool:
    return new is not None and (old is None or new > old)


def _negated(value: float | None) -> float | None:
    return None if value is None else -value
