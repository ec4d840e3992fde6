"""The catalog as a value: types and connectors found by name, and every change a new catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from moltler.catalog.refusals import no_such_action, no_such_entity, not_in_draft, taken
from moltler.errors import LookupFailed, Problem, Span, near_match
from moltler.model import (
    RESERVED_INSTANCE_NAMES,
    Action,
    Connector,
    ConnectorType,
    Entity,
    Provenance,
    Revision,
    StoredSync,
    StoredTest,
    TypeEntry,
)

LOCAL_DESTINATION = "local"
"""The destination of every home; instances and destinations share no name."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Types and connectors, keyed by their names in lower case.

    Look-ups ignore case and keep the spelling of the creation. A change that has no effect gives
    the catalog itself, so ``new is old`` tells whether anything happened.
    """

    types: Mapping[str, TypeEntry] = field(default_factory=dict[str, TypeEntry])
    connectors: Mapping[str, Connector] = field(default_factory=dict[str, Connector])
    serial: int = 0
    """The greatest connector version ever given. Versions are drawn from it, so that a dropped
    and re-created connector is never taken for the old one by a process that still runs."""
    syncs: Mapping[str, StoredSync] = field(default_factory=dict[str, StoredSync])
    """By `StoredSync.key`."""
    destinations: Mapping[str, Connector] = field(default_factory=dict[str, Connector])
    """Configured like connectors, of the types in `catalog.destinations`; without `local`."""

    # ── look-up ──────────────────────────────────────────────────────────────────────────────

    def find_type(self, name: str) -> TypeEntry | None:
        """Give the type of that name, or ``None``."""
        return self.types.get(name.lower())

    def type(self, name: str, span: Span | None = None) -> TypeEntry:
        """Give the type of that name.

        Raises:
            LookupFailed: CAT008, there is none.
        """
        entry = self.find_type(name)
        if entry is None:
            raise LookupFailed.of((self.no_such_type(name, span),))
        return entry

    def registered(self, name: str, span: Span | None = None) -> tuple[ConnectorType, int]:
        """Give the last registered form of a type and its revision.

        Raises:
            LookupFailed: CAT008, no such type; CAT007, only a draft.
        """
        entry = self.type(name, span)
        if entry.registered is None:
            raise LookupFailed(
                "CAT007",
                f"connector type `{entry.name}` is only a draft",
                hint=f"run REGISTER CONNECTOR TYPE '{entry.name}'",
                span=span,
            )
        return entry.registered, entry.revision

    def find_connector(self, name: str) -> Connector | None:
        """Give the connector of that name, or ``None``."""
        return self.connectors.get(name.lower())

    def connector(self, name: str, span: Span | None = None) -> Connector:
        """Give the connector of that name.

        Raises:
            LookupFailed: CAT001, there is none.
        """
        found = self.find_connector(name)
        if found is None:
            names = tuple(sorted(c.name for c in self.connectors.values()))
            near = near_match(name, names)
            hint = f"did you mean `{near}`?" if near else "create it with CREATE CONNECTOR"
            if near is None and name.lower() in self.types:
                spelled = self.types[name.lower()].name
                hint = f"`{spelled}` is a type; create an instance of it with CREATE CONNECTOR"
            raise LookupFailed(
                "CAT001", f"no connector `{name}`", hint=hint, span=span, allowed=names
            )
        return found

    def usable(self, name: str, span: Span | None = None) -> tuple[Connector, ConnectorType, int]:
        """Give a connector that may be called, its registered type and that type's revision.

        Raises:
            LookupFailed: CAT001, no such connector; CAT006, it is disabled; CAT007 or CAT008, its
                type is gone.
        """
        found = self.connector(name, span)
        if not found.enabled:
            raise LookupFailed(
                "CAT006",
                f"connector `{found.name}` is disabled",
                hint=f"run ENABLE CONNECTOR {found.name}",
                span=span,
            )
        return found, *self.registered(found.type_name, span)

    def entity(self, connector: str, entity: str, span: Span | None = None) -> Entity:
        """Give an entity of a connector's registered type.

        Raises:
            LookupFailed: CAT001, CAT002, or as `usable`.
        """
        owner, definition, _ = self.usable(connector, span)
        found = definition.entity(entity)
        if found is None:
            raise LookupFailed.of((no_such_entity(owner, definition, entity, span),))
        return found

    def action(self, connector: str, path: str, span: Span | None = None) -> Action:
        """Give an action of a connector's registered type by its path, ``items.create``.

        Raises:
            LookupFailed: CAT001, CAT002, or as `usable`.
        """
        owner, definition, _ = self.usable(connector, span)
        found = definition.action(path)
        if found is None:
            raise LookupFailed.of((no_such_action(owner, definition, path, span),))
        return found

    def instances_of(self, type_name: str) -> tuple[Connector, ...]:
        """Give the connectors of a type, by name."""
        wanted = type_name.lower()
        found = (c for c in self.connectors.values() if c.type_name.lower() == wanted)
        return tuple(sorted(found, key=lambda c: c.name.lower()))

    def no_such_type(self, name: str, span: Span | None = None) -> Problem:
        """Give the problem CAT008 for a type's name."""
        names = tuple(sorted(t.name for t in self.types.values()))
        near = near_match(name, names)
        hint = f"did you mean '{near}'?" if near else "define it with CREATE CONNECTOR TYPE"
        return Problem("CAT008", f"no connector type `{name}`", hint, span, names)

    # ── definitions: changes of the draft ────────────────────────────────────────────────────

    def define_type(
        self,
        definition: ConnectorType,
        *,
        or_replace: bool = False,
        if_not_exists: bool = False,
        span: Span | None = None,
    ) -> Catalog:
        """Give the catalog with a new type, or with the own clauses of its draft replaced.

        Entities and actions of a replaced draft stay: each has its own statement.
        """
        entry = self.find_type(definition.name)
        if entry is None:
            return self._with_type(TypeEntry(definition))
        if not or_replace:
            if if_not_exists:
                return self
            raise taken(f"connector type `{entry.name}`", span)
        draft = replace(
            definition,
            name=entry.name,
            entities=entry.draft.entities,
            actions=entry.draft.actions,
        )
        return self._with_draft(entry, draft)

    def define_entity(
        self,
        type_name: str,
        entity: Entity,
        *,
        or_replace: bool = False,
        if_not_exists: bool = False,
        span: Span | None = None,
    ) -> Catalog:
        """Give the catalog with an entity added to, or replaced in, a type's draft."""
        entry = self.type(type_name, span)
        existing = entry.draft.entity(entity.name)
        if existing is None:
            entities = (*entry.draft.entities, entity)
        elif or_replace:
            entities = tuple(entity if e is existing else e for e in entry.draft.entities)
        elif if_not_exists:
            return self
        else:
            raise taken(f"entity `{entry.name}.{existing.name}`", span)
        return self._with_draft(entry, replace(entry.draft, entities=entities))

    def define_action(
        self,
        type_name: str,
        action: Action,
        *,
        or_replace: bool = False,
        if_not_exists: bool = False,
        span: Span | None = None,
    ) -> Catalog:
        """Give the catalog with an action added to, or replaced in, a type's draft."""
        entry = self.type(type_name, span)
        existing = entry.draft.action(action.path)
        if existing is None:
            actions = (*entry.draft.actions, action)
        elif or_replace:
            actions = tuple(action if a is existing else a for a in entry.draft.actions)
        elif if_not_exists:
            return self
        else:
            raise taken(f"action `{entry.name}.{existing.path}`", span)
        return self._with_draft(entry, replace(entry.draft, actions=actions))

    def register(self, name: str, span: Span | None = None) -> Catalog:
        """Give the catalog with the draft as the new revision; an unchanged draft has no effect.

        The draft must have been checked, see `moltler.catalog.build.check_draft`.
        """
        entry = self.type(name, span)
        if entry.registered == entry.draft:
            return self
        return self._with_type(_revised(entry, entry.draft, Provenance(), entry.tests))

    def install(
        self, definition: ConnectorType, provenance: Provenance, tests: tuple[StoredTest, ...]
    ) -> Catalog:
        """Give the catalog with a type as a package defines it, registered at once.

        The revision that it replaces is kept for `rollback`; instances must have been checked.
        """
        entry = self.find_type(definition.name)
        if entry is None:
            entry = TypeEntry(definition)
        definition = replace(definition, name=entry.name)
        if entry.registered == definition == entry.draft and entry.provenance == provenance:
            return self
        return self._with_type(_revised(entry, definition, provenance, tests))

    def rollback(self, name: str, span: Span | None = None) -> Catalog:
        """Give the catalog with the revision that was replaced last, as a new one.

        Raises:
            LookupFailed: CAT008, no such type, or it has no earlier revision.
        """
        entry = self.type(name, span)
        previous = entry.previous
        if previous is None:
            raise LookupFailed(
                "CAT008",
                f"connector type `{entry.name}` has no earlier revision",
                hint="one is kept by each upgrade, and used up by ROLLBACK",
                span=span,
            )
        entry = _revised(entry, previous.definition, previous.provenance, previous.tests)
        return self._with_type(replace(entry, previous=None))

    def drop_type(
        self,
        name: str,
        *,
        if_exists: bool = False,
        cascade: bool = False,
        span: Span | None = None,
    ) -> Catalog:
        """Give the catalog without a type; with `cascade` also without its connectors.

        Raises:
            LookupFailed: CAT008, no such type; CAT011, it has connectors.
        """
        if if_exists and self.find_type(name) is None:
            return self
        entry = self.type(name, span)
        instances = self.instances_of(name)
        if instances and not cascade:
            names = ", ".join(f"`{c.name}`" for c in instances)
            raise LookupFailed(
                "CAT011",
                f"connector type `{entry.name}` is in use by {names}",
                hint="drop them first, or add CASCADE, which drops them too",
                span=span,
            )
        gone = {c.name.lower() for c in instances}
        return replace(
            self,
            types={k: v for k, v in self.types.items() if v is not entry},
            connectors={k: v for k, v in self.connectors.items() if k not in gone},
        )

    def drop_entity(
        self,
        type_name: str,
        name: str,
        *,
        if_exists: bool = False,
        cascade: bool = False,
        span: Span | None = None,
    ) -> Catalog:
        """Give the catalog without an entity in the draft; with `cascade` without its actions."""
        if if_exists and self.find_type(type_name) is None:
            return self
        entry = self.type(type_name, span)
        draft, existing = entry.draft, entry.draft.entity(name)
        if existing is None:
            if if_exists:
                return self
            raise not_in_draft(
                "entity", f"{entry.name}.{name}", tuple(e.name for e in draft.entities), span
            )
        entities = tuple(e for e in draft.entities if e is not existing)
        actions = draft.actions
        if cascade:
            own = existing.name.lower()
            actions = tuple(a for a in actions if (a.entity or "").lower() != own)
        return self._with_draft(entry, replace(draft, entities=entities, actions=actions))

    def drop_action(
        self,
        type_name: str,
        path: str,
        *,
        if_exists: bool = False,
        span: Span | None = None,
    ) -> Catalog:
        """Give the catalog without an action in the draft."""
        if if_exists and self.find_type(type_name) is None:
            return self
        entry = self.type(type_name, span)
        existing = entry.draft.action(path)
        if existing is None:
            if if_exists:
                return self
            raise not_in_draft(
                "action",
                f"{entry.name}.{path}",
                tuple(a.path for a in entry.draft.actions),
                span,
            )
        actions = tuple(a for a in entry.draft.actions if a is not existing)
        return self._with_draft(entry, replace(entry.draft, actions=actions))

    # ── tests ────────────────────────────────────────────────────────────────────────────────

    def test(self, type_name: str, name: str, span: Span | None = None) -> StoredTest:
        """Give a stored test of a type.

        Raises:
            LookupFailed: CAT008, no such type or test.
        """
        entry = self.type(type_name, span)
        found = next((t for t in entry.tests if t.name == name), None)
        if found is None:
            names = tuple(t.name for t in entry.tests)
            near = near_match(name, names)
            raise LookupFailed(
                "CAT008",
                f"type `{entry.name}` has no test '{name}'",
                hint=f"did you mean '{near}'?" if near else "SHOW TESTS lists them",
                span=span,
                allowed=names,
            )
        return found

    def with_test(self, type_name: str, test: StoredTest, span: Span | None = None) -> Catalog:
        """Give the catalog with a test stored, in the place of one of its name."""
        entry = self.type(type_name, span)
        if any(t.name == test.name for t in entry.tests):
            tests = tuple(test if t.name == test.name else t for t in entry.tests)
        else:
            tests = (*entry.tests, test)
        return self._with_type(replace(entry, tests=tests))

    def with_test_status(self, type_name: str, name: str, status: str) -> Catalog:
        """Give the catalog with what became of a stored test; one that is gone has no effect."""
        entry = self.find_type(type_name)
        if entry is None or all(t.name != name or t.last_status == status for t in entry.tests):
            return self
        tests = tuple(replace(t, last_status=status) if t.name == name else t for t in entry.tests)
        return self._with_type(replace(entry, tests=tests))

    def drop_test(self, type_name: str, name: str, span: Span | None = None) -> Catalog:
        """Give the catalog without a stored test."""
        gone = self.test(type_name, name, span)
        entry = self.type(type_name, span)
        return self._with_type(replace(entry, tests=tuple(t for t in entry.tests if t is not gone)))

    # ── connectors ───────────────────────────────────────────────────────────────────────────

    def create_connector(
        self,
        connector: Connector,
        *,
        or_replace: bool = False,
        if_not_exists: bool = False,
        span: Span | None = None,
    ) -> Catalog:
        """Give the catalog with a new or replaced connector; its version is drawn here.

        Raises:
            LookupFailed: CAT003, the name is taken or reserved.
        """
        existing = self.find_connector(connector.name)
        if existing is not None:
            if if_not_exists and not or_replace:
                return self
            if not or_replace:
                raise taken(f"connector `{existing.name}`", span)
            connector = replace(connector, name=existing.name)
        elif connector.name.lower() in RESERVED_INSTANCE_NAMES:
            raise LookupFailed(
                "CAT003",
                f"a connector cannot be called `{connector.name}`",
                hint="CREATE CONNECTOR reads that word as something else; choose another name",
                span=span,
            )
        elif connector.name.lower() in {LOCAL_DESTINATION, *self.destinations}:
            raise LookupFailed(
                "CAT003",
                f"a destination is called `{connector.name}` already",
                hint="choose another name for the connector",
                span=span,
            )
        return self._with_connector(connector)

    def alter_connector(self, connector: Connector) -> Catalog:
        """Give the catalog with an existing connector as changed; its version is drawn here."""
        self.connector(connector.name)
        return self._with_connector(connector)

    def set_enabled(self, name: str, *, enabled: bool, span: Span | None = None) -> Catalog:
        """Give the catalog with a connector enabled or disabled."""
        existing = self.connector(name, span)
        if existing.enabled == enabled:
            return self
        return self._with_connector(replace(existing, enabled=enabled))

    def drop_connector(
        self, name: str, *, if_exists: bool = False, span: Span | None = None
    ) -> Catalog:
        """Give the catalog without a connector."""
        if if_exists and self.find_connector(name) is None:
            return self
        existing = self.connector(name, span)
        rest = {k: v for k, v in self.connectors.items() if v is not existing}
        syncs = {k: v for k, v in self.syncs.items() if v.connector.lower() != name.lower()}
        return replace(self, connectors=rest, syncs=syncs)

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _with_type(self, entry: TypeEntry) -> Catalog:
        return replace(self, types={**self.types, entry.name.lower(): entry})

    def _with_draft(self, entry: TypeEntry, draft: ConnectorType) -> Catalog:
        return self if draft == entry.draft else self._with_type(replace(entry, draft=draft))

    def _with_connector(self, connector: Connector) -> Catalog:
        serial = self.serial + 1
        placed = replace(connector, version=serial)
        return replace(
            self,
            connectors={**self.connectors, connector.name.lower(): placed},
            serial=serial,
        )


def _revised(
    entry: TypeEntry,
    definition: ConnectorType,
    provenance: Provenance,
    tests: tuple[StoredTest, ...],
) -> TypeEntry:
    before = entry.registered
    return replace(
        entry,
        draft=definition,
        registered=definition,
        revision=entry.revision + 1,
        provenance=provenance,
        tests=tests,
        previous=None if before is None else Revision(before, entry.provenance, entry.tests),
    )
