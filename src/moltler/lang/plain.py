"""The statements that hold no other statements, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeAlias

from moltler.errors import Span
from moltler.lang.nodes import Array, Document, Exec, Expr, Interval, Node, SqlText

# ── parts of statements ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class QuotedName(Node):
    """``'type.entity.action'`` split at its dots; the statement fixes how many segments."""

    segments: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.segments)


@dataclass(frozen=True, slots=True)
class HandlerText(Node):
    """A handler written in place.

    `span` covers the literal with its quotes; `line` and `column` are where the first character
    of `text` stands in the source, 1-based.
    """

    text: str
    is_raw: bool = field(compare=False)
    line: int = field(compare=False)
    column: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class HandlerFile(Node):
    """``FILE './path'``, relative to the script."""

    path: str


HandlerSource: TypeAlias = HandlerText | HandlerFile


@dataclass(frozen=True, slots=True)
class SortKey(Node):
    """One key of the short form's ORDER BY."""

    name: str
    descending: bool = False
    nulls_first: bool | None = None
    """``None``: not stated."""


# ── definitions ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class CreateType(Node):
    """CREATE CONNECTOR TYPE."""

    name: QuotedName
    or_replace: bool = False
    if_not_exists: bool = False
    description: str | None = None
    config_schema: Document | None = None
    options_schema: Document | None = None
    test_handler: HandlerSource | None = None
    allowed_hosts: Array | None = None
    auth: Document | None = None
    concurrency: int | None = None
    documentation: str | None = None


@dataclass(frozen=True, slots=True)
class CreateEntity(Node):
    """CREATE CONNECTOR ENTITY."""

    name: QuotedName
    fields: Document
    handler: HandlerSource
    or_replace: bool = False
    if_not_exists: bool = False
    description: str | None = None
    pushdown: Document | None = None
    rows_path: str | None = None


@dataclass(frozen=True, slots=True)
class CreateAction(Node):
    """CREATE CONNECTOR ACTION."""

    name: QuotedName
    handler: HandlerSource
    or_replace: bool = False
    if_not_exists: bool = False
    description: str | None = None
    parameters: Document | None = None
    returns: Document | None = None
    idempotent: bool = False


@dataclass(frozen=True, slots=True)
class RegisterType(Node):
    """REGISTER CONNECTOR TYPE."""

    name: QuotedName
    force: bool = False


@dataclass(frozen=True, slots=True)
class DropDefinition(Node):
    """DROP CONNECTOR TYPE, ENTITY or ACTION."""

    kind: OneOf["TYPE", "ENTITY", "ACTION"]
    name: QuotedName
    if_exists: bool = False
    cascade: bool = False


# ── instances ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class CreateConnector(Node):
    """CREATE CONNECTOR name TYPE '…'."""

    name: str
    type_name: QuotedName
    or_replace: bool = False
    if_not_exists: bool = False
    config: Document | None = None
    options: Document | None = None
    description: str | None = None
    name_span: Span = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class AlterConnector(Node):
    """ALTER CONNECTOR name SET OPTIONS or CONFIG; ENABLE and DISABLE read as SetEnabled."""

    name: str
    part: OneOf["OPTIONS", "CONFIG"]
    document: Document


@dataclass(frozen=True, slots=True)
class SetEnabled(Node):
    """ENABLE or DISABLE CONNECTOR, also as ALTER CONNECTOR."""

    name: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class DropConnector(Node):
    """DROP CONNECTOR name."""

    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class TestConnector(Node):
    """TEST CONNECTOR name."""

    __test__ = False
    name: str


ShowSubject = OneOf["CONNECTORS", "TYPES", "DESTINATIONS", "SYNCS", "PACKAGES", "CACHE"]
ConnectorAspect = OneOf["STATUS", "ENTITIES", "ACTIONS", "SYNC HISTORY", "ACTION HISTORY"]


@dataclass(frozen=True, slots=True)
class Show(Node):
    """SHOW of a list that needs no name."""

    subject: ShowSubject


@dataclass(frozen=True, slots=True)
class ShowConnector(Node):
    """SHOW CONNECTOR name, whole or one aspect of it."""

    name: str
    aspect: ConnectorAspect | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ShowType(Node):
    """SHOW CONNECTOR TYPE '…'."""

    name: QuotedName


@dataclass(frozen=True, slots=True)
class ShowTests(Node):
    """SHOW TESTS [FOR CONNECTOR TYPE '…']."""

    type_name: QuotedName | None = None


@dataclass(frozen=True, slots=True)
class Describe(Node):
    """DESCRIBE connector.entity[.action]."""

    path: tuple[str, ...]
    path_span: Span = field(compare=False, repr=False)


# ── queries and actions ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Select(Node):
    """A SELECT, WITH or VALUES as a statement."""

    sql: SqlText
    into: str | None = None


@dataclass(frozen=True, slots=True)
class Query(Node):
    """The short form QUERY connector.entity WHERE … ORDER BY … LIMIT …."""

    connector: str
    entity: str
    where: Expr | None = None
    order_by: tuple[SortKey, ...] = ()
    limit: Expr | None = None
    into: str | None = None


@dataclass(frozen=True, slots=True)
class Explain(Node):
    """EXPLAIN [ANALYZE] of a SELECT, or of an action (a dry run)."""

    target: SqlText | Exec
    analyze: bool = False


@dataclass(frozen=True, slots=True)
class ClearCache(Node):
    """CLEAR CACHE [FOR CONNECTOR name]."""

    connector: str | None = None


@dataclass(frozen=True, slots=True)
class ExecStatement(Node):
    """CONNECTOR_EXEC as a statement."""

    call: Exec
    into: str | None = None


# ── sync and destinations ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Target(Node):
    """Where a sync writes: a bare pattern, or a quoted table with an optional destination."""

    destination: str | None
    table: str
    """May hold ``*`` for the entity's name."""


@dataclass(frozen=True, slots=True)
class Sync(Node):
    """SYNC CONNECTOR."""

    connector: str
    entity: str | None
    target: Target
    full: bool = False
    where: Expr | None = None
    incremental_on: str | None = None
    lookback: Interval | None = None
    schedule: str | None = None
    timezone: str | None = None
    deletes: OneOf["NONE", "SWEEP", "FIELD"] | None = None
    deletes_field: str | None = None
    max_errors: int | None = None
    allow_empty: bool = False
    overlap: OneOf["SKIP", "QUEUE", "CANCEL"] | None = None
    backfill_from: Expr | None = None
    backfill_until: Expr | None = None


@dataclass(frozen=True, slots=True)
class RollbackSync(Node):
    """ROLLBACK SYNC target."""

    target: Target


@dataclass(frozen=True, slots=True)
class DropSchedule(Node):
    """DROP SCHEDULE FOR CONNECTOR name[.entity]."""

    connector: str
    entity: str | None = None


@dataclass(frozen=True, slots=True)
class CreateDestination(Node):
    """CREATE DESTINATION."""

    name: str
    type_name: str
    or_replace: bool = False
    if_not_exists: bool = False
    config: Document | None = None


@dataclass(frozen=True, slots=True)
class DropDestination(Node):
    """DROP DESTINATION."""

    name: str
    if_exists: bool = False


# ── tests ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ExpectError(Node):
    """EXPECT ERROR [TYPE t] [LIKE|MATCHES p], also the head of ASSERT RAISES."""

    type_name: str | None = None
    match: OneOf["LIKE", "MATCHES"] | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class RunTest(Node):
    """RUN TEST '…' FOR CONNECTOR TYPE '…'."""

    name: str
    type_name: QuotedName


@dataclass(frozen=True, slots=True)
class RunTests(Node):
    """RUN TESTS FOR CONNECTOR TYPE '…' [WHERE TAGS CONTAINS '…'], or RUN ALL TESTS."""

    type_name: QuotedName | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class DropTest(Node):
    """DROP TEST '…' FOR CONNECTOR TYPE '…'."""

    name: str
    type_name: QuotedName


@dataclass(frozen=True, slots=True)
class AdvanceClock(Node):
    """ADVANCE CLOCK INTERVAL '…' (tests only)."""

    by: Interval


@dataclass(frozen=True, slots=True)
class SkipTest(Node):
    """SKIP 'reason' (tests only)."""

    reason: str


# ── packages ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Setting(Node):
    """One ``name = expr`` of WITH."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Package(Node):
    """PACKAGE CONNECTOR TYPE."""

    type_name: QuotedName
    version: str | None = None
    description: str | None = None
    author: str | None = None
    license: str | None = None
    homepage: str | None = None
    repository: str | None = None
    tags: tuple[str, ...] | None = None
    documentation: str | None = None
    changelog: str | None = None
    requires: Document | None = None
    to: str | None = None
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Publish(Node):
    """PUBLISH CONNECTOR TYPE."""

    type_name: QuotedName
    version: str | None = None
    to: str | None = None
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Install(Node):
    """INSTALL CONNECTOR TYPE."""

    type_name: QuotedName
    or_replace: bool = False
    version: str | None = None
    source: str | None = None
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Upgrade(Node):
    """UPGRADE CONNECTOR TYPE."""

    type_name: QuotedName
    version: str | None = None
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class PackageAdmin(Node):
    """UNINSTALL, ROLLBACK, VALIDATE, DEPRECATE and UNPUBLISH of a type."""

    verb: OneOf["UNINSTALL", "ROLLBACK", "VALIDATE", "DEPRECATE", "UNPUBLISH"]
    type_name: QuotedName
    version: str | None = None
    message: str | None = None
    registry: str | None = None
