"""What users define: types with entities and actions, and configured instances."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from moltler.schema import JsonValue, Schema

LOCAL = "local"
"""The origin of types that were defined in the home itself."""
RESERVED_INSTANCE_NAMES = frozenset({"type", "types", "entity", "action"})
"""Words that CREATE CONNECTOR reads as something else."""


@dataclass(frozen=True, slots=True)
class Handler:
    """JavaScript or TypeScript text and where its first line stands."""

    text: str
    file: str
    """Name of the script, or of the file that FILE read."""
    line: int
    """1-based line in `file` on which the first line of `text` stands."""
    column: int = 1
    """1-based column of the first character of `text` on that line."""


@dataclass(frozen=True, slots=True)
class FilterClaim:
    """The operators for which an author vouches that the handler filters exactly."""

    operators: frozenset[str]
    required: bool = False
    """The handler cannot be called without this filter."""


@dataclass(frozen=True, slots=True)
class PushDown:
    """The claims of one entity; without them filters, order and limit are only hints."""

    filters: Mapping[str, FilterClaim] = field(default_factory=dict[str, FilterClaim])
    """Keyed by the declared spelling of the field."""
    order_by: frozenset[str] = frozenset()
    limit: bool = False


@dataclass(frozen=True, slots=True)
class Entity:
    """A table of a type."""

    name: str
    """Without the type: ``items``."""
    fields: Schema
    handler: Handler
    description: str | None = None
    pushdown: PushDown = field(default_factory=PushDown)
    rows_path: str | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """A named write operation of a type."""

    name: str
    """The last segment: ``create``."""
    entity: str | None
    """The middle segment, or ``None`` for an action of the type itself."""
    parameters: Schema
    handler: Handler
    description: str | None = None
    returns: Schema | None = None
    idempotent: bool = False

    @property
    def path(self) -> str:
        """The name within the type: ``items.create``."""
        return f"{self.entity}.{self.name}" if self.entity else self.name


@dataclass(frozen=True, slots=True)
class ConnectorType:
    """A connector definition, as drafted or as registered."""

    name: str
    config_schema: Schema = field(default_factory=Schema)
    options_schema: Schema = field(default_factory=Schema)
    description: str | None = None
    test_handler: Handler | None = None
    allowed_hosts: tuple[str, ...] = ()
    auth: Mapping[str, JsonValue] | None = None
    concurrency: int | None = None
    documentation: str | None = None
    entities: tuple[Entity, ...] = ()
    actions: tuple[Action, ...] = ()

    def entity(self, name: str) -> Entity | None:
        """Give the entity of that name, ignoring case."""
        return next((e for e in self.entities if e.name.lower() == name.lower()), None)

    def action(self, path: str) -> Action | None:
        """Give the action of that path (``items.create``), ignoring case."""
        return next((a for a in self.actions if a.path.lower() == path.lower()), None)


@dataclass(frozen=True, slots=True)
class StoredTest:
    """A test as it was defined; read again when it is run."""

    name: str
    tags: tuple[str, ...]
    text: str
    """The statement, without its semicolon."""
    file: str
    line: int
    """1-based line of its first word in `file`."""
    column: int
    description: str | None = None
    last_status: str | None = None
    """``passed``, ``failed`` or ``skipped``; ``None`` while it never ran."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a revision came from."""

    origin: str = LOCAL
    """``local``, or the registry, address or archive it was installed from."""
    version: str | None = None
    sha256: str | None = None
    """The digest of its archive."""
    key_id: str | None = None
    """The identifier of the key that signed it."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A registered revision that another one has replaced."""

    definition: ConnectorType
    provenance: Provenance = Provenance()
    tests: tuple[StoredTest, ...] = ()


@dataclass(frozen=True, slots=True)
class TypeEntry:
    """A type in the catalog: its draft and its registered revision."""

    draft: ConnectorType
    registered: ConnectorType | None = None
    revision: int = 0
    """0 while never registered; then counted up by REGISTER."""
    provenance: Provenance = Provenance()
    """Of the registered revision."""
    tests: tuple[StoredTest, ...] = ()
    previous: Revision | None = None
    """What ROLLBACK CONNECTOR TYPE brings back."""

    @property
    def is_installed(self) -> bool:
        """Whether its registered revision came from a package."""
        return self.provenance.origin != LOCAL

    @property
    def name(self) -> str:
        """The type's name as spelled at its creation."""
        return self.draft.name

    @property
    def draft_differs(self) -> bool:
        """Whether the draft has changes that REGISTER has not taken yet."""
        return self.registered is not None and self.registered != self.draft


@dataclass(frozen=True, slots=True)
class EnvReference:
    """ENV(…) as the whole value of a secret property: read at each use."""

    name: str
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Connector:
    """A configured instance of a type."""

    name: str
    type_name: str
    config: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """As given: ``{{secrets.NAME}}`` still inside strings, defaults not filled in."""
    env: Mapping[str, EnvReference] = field(default_factory=dict[str, EnvReference])
    """Secret properties whose whole value is ENV(…)."""
    options: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    description: str | None = None
    enabled: bool = True
    version: int = 1
    """Counted up by every change, so that running processes can be told apart."""


@dataclass(frozen=True, slots=True)
class AuthKeys:
    """The keys of one scheme of AUTH."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    literal: frozenset[str] = frozenset()
    """Those whose text is meant as it is, and no name of a config property."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every key, in the order of the documentation."""
        return (*self.required, *self.optional)


AUTH_SCHEMES: Mapping[str, AuthKeys] = {
    "bearer": AuthKeys(("token",)),
    "header": AuthKeys(("name", "value"), literal=frozenset({"name"})),
    "query": AuthKeys(("name", "value"), literal=frozenset({"name"})),
    "basic": AuthKeys(("username", "password")),
    "oauth2_client_credentials": AuthKeys(
        ("token_url", "client_id", "client_secret"), ("scope", "audience")
    ),
    "oauth2_refresh_token": AuthKeys(("token_url", "client_id", "client_secret", "refresh_token")),
    "aws_sigv4": AuthKeys(("access_key", "secret_key", "region", "service"), ("session_token",)),
}
"""LANGUAGE §4.4; `moltler.net.auth.SCHEMES` says what each does."""


@dataclass(frozen=True, slots=True)
class StoredSync:
    """A sync as it was asked for, to be run again by hand or by its schedule."""

    connector: str
    entity: str | None
    """``None`` for every entity."""
    destination: str
    table: str
    """May hold ``*`` for the entity's name."""
    text: str
    """The statement in canonical form, without its semicolon, FULL and SCHEDULE."""
    where: str | None = None
    """The condition as it was written."""
    cursor_field: str | None = None
    schedule: str | None = None
    """Cron text; ``None`` for a sync that is only run by hand."""
    timezone: str | None = None
    """Of the schedule; ``None`` for UTC."""

    @property
    def key(self) -> str:
        """A text that no other sync of a home has; the same one replaces it."""
        names = (self.connector, self.entity or "", self.destination, self.table)
        return json.dumps([*(name.lower() for name in names), self.where], ensure_ascii=False)
