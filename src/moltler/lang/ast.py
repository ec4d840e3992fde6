"""The statements and expressions of the language as frozen values.

Every node carries the span it was read from; spans do not take part in comparisons, so two
texts that mean the same give equal nodes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeAlias

from moltler.errors import Source, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Anything read from a text."""

    span: Span = field(compare=False, repr=False)


# ── expressions ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """NULL, TRUE, FALSE, a number or a string."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class DocumentMember(Node):
    """One ``"key": value`` pair; the span of the key is kept for duplicate keys."""

    key: str
    value: Expr
    key_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Document(Node):
    """``{"key": expr, …}`` with its key order."""

    members: tuple[DocumentMember, ...]


@dataclass(frozen=True, slots=True)
class Array(Node):
    """``[expr, …]``."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A bare word: a variable, or a niladic function such as CURRENT_TIMESTAMP."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """``@name``: always a variable or a bound parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Positional(Node):
    """``?``: the next positional parameter."""

    index: int
    """Counted from 0 over the whole script."""


@dataclass(frozen=True, slots=True)
class Member(Node):
    """``target.name`` or ``target?.name``."""

    target: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    """``target[index]``, counted from 0."""

    target: Expr
    index: Expr


@dataclass(frozen=True, slots=True)
class Negate(Node):
    """``-operand``."""

    operand: Expr


@dataclass(frozen=True, slots=True)
class Not(Node):
    """``NOT operand`` or ``!operand``."""

    operand: Expr


BinaryOperator = OneOf["OR", "AND", "||", "??", "+", "-", "*", "/", "%"]
ComparisonOperator = OneOf["=", "<>", "<", "<=", ">", ">=", "CONTAINS", "MATCHES"]


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Two operands joined by a logical, text or arithmetic operator."""

    operator: BinaryOperator
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """Two operands compared; ``==`` reads as ``=`` and ``!=`` as ``<>``.

    `negated` is only ever set with CONTAINS and MATCHES (``NOT CONTAINS``).
    """

    operator: ComparisonOperator
    left: Expr
    right: Expr
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull(Node):
    """``operand IS [NOT] NULL``."""

    operand: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class In(Node):
    """``operand [NOT] IN (a, b)`` or ``operand [NOT] IN array``."""

    operand: Expr
    items: tuple[Expr, ...] | None
    """The parenthesised list, or ``None`` if `container` is given."""
    container: Expr | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Like(Node):
    """``operand [NOT] LIKE pattern [ESCAPE escape]``."""

    operand: Expr
    pattern: Expr
    escape: Expr | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Between(Node):
    """``operand [NOT] BETWEEN low AND high``."""

    operand: Expr
    low: Expr
    high: Expr
    negated: bool


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """``condition ? then : otherwise``."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class When(Node):
    """One ``WHEN condition THEN value`` of a CASE."""

    condition: Expr
    value: Expr


@dataclass(frozen=True, slots=True)
class Case(Node):
    """``CASE [subject] WHEN … THEN … [ELSE …] END``."""

    subject: Expr | None
    whens: tuple[When, ...]
    otherwise: Expr | None


@dataclass(frozen=True, slots=True)
class Cast(Node):
    """``CAST(operand AS type)``; `type_name` as written."""

    operand: Expr
    type_name: str


@dataclass(frozen=True, slots=True)
class Interval(Node):
    """``INTERVAL '7d'``, or a concatenation of `parts` such as ``INTERVAL days || 'd'``."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``NAME(arguments)``; `name` as written, compared ignoring case."""

    name: str
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """``x => body`` or ``(a, b) => body``; only ever an argument of a function."""

    parameters: tuple[str, ...]
    body: Expr


@dataclass(frozen=True, slots=True)
class SqlText(Node):
    """SELECT text taken whole; `text` is the slice of the source without trailing blanks."""

    text: str
    first_positional: int = field(default=0, compare=False)
    """The number, counted from 0 over the whole script, of its first ``?``."""


@dataclass(frozen=True, slots=True)
class Subquery(Node):
    """``( select )`` as a value: an array of row documents."""

    select: SqlText


@dataclass(frozen=True, slots=True)
class Argument(Node):
    """One argument of an action; `name` is ``None`` for a positional one."""

    name: str | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Exec(Node):
    """``CONNECTOR_EXEC connector.entity.action(arguments)``."""

    path: tuple[str, ...]
    """Two or three names: connector, then entity, then action."""
    arguments: tuple[Argument, ...]


Expr: TypeAlias = (
    Literal
    | Document
    | Array
    | Name
    | Variable
    | Positional
    | Member
    | Index
    | Negate
    | Not
    | Binary
    | Comparison
    | IsNull
    | In
    | Like
    | Between
    | Ternary
    | Case
    | Cast
    | Interval
    | Call
    | Lambda
    | Subquery
    | Exec
)


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
class TestDefinition(Node):
    """TEST CONNECTOR TYPE '…' … END TEST."""

    __test__ = False
    type_name: QuotedName
    name: str
    body: tuple[Statement, ...]
    teardown: tuple[Statement, ...] = ()
    description: str | None = None
    tags: tuple[str, ...] = ()
    mock_api: Document | None = None
    secrets: Document | None = None
    env: Document | None = None
    faults: Array | None = None
    timeout: str | None = None
    skip: str | None = None
    expect_error: ExpectError | None = None


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


# ── script statements ────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Declaration(Node):
    """One variable of a DECLARE; `value` is an expression or a bare SELECT."""

    name: str
    type_name: str | None = None
    value: Expr | SqlText | None = None


@dataclass(frozen=True, slots=True)
class Declare(Node):
    """DECLARE."""

    declarations: tuple[Declaration, ...]


@dataclass(frozen=True, slots=True)
class Set(Node):
    """SET target = value; `target` is a Name, Member or Index chain."""

    target: Name | Member | Index
    value: Expr | SqlText


@dataclass(frozen=True, slots=True)
class Assert(Node):
    """ASSERT condition [, message]."""

    condition: Expr
    message: Expr | None = None


@dataclass(frozen=True, slots=True)
class AssertRaises(Node):
    """ASSERT RAISES … BEGIN … END."""

    expected: ExpectError
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Print(Node):
    """PRINT expr."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """One condition of an IF and its body."""

    condition: Expr
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class If(Node):
    """IF … THEN … ELSEIF … ELSE … END IF."""

    branches: tuple[Branch, ...]
    otherwise: tuple[Statement, ...] | None = None


@dataclass(frozen=True, slots=True)
class Range(Node):
    """``first..last`` of a FOR, both included."""

    first: Expr
    last: Expr


@dataclass(frozen=True, slots=True)
class For(Node):
    """FOR variable IN subject LOOP … END LOOP."""

    variable: str
    subject: Expr | SqlText | Range
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class While(Node):
    """WHILE condition LOOP … END LOOP."""

    condition: Expr
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Catch(Node):
    """One CATCH; `type_name` is ``None`` for ``CATCH THEN``."""

    type_name: str | None
    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Try(Node):
    """TRY … CATCH … FINALLY … END TRY."""

    body: tuple[Statement, ...]
    catches: tuple[Catch, ...]
    final: tuple[Statement, ...] | None = None


@dataclass(frozen=True, slots=True)
class Block(Node):
    """BEGIN … END."""

    body: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Throw(Node):
    """THROW [expr] [WITH CODE expr]."""

    value: Expr | None = None
    code: Expr | None = None


@dataclass(frozen=True, slots=True)
class Jump(Node):
    """BREAK (EXIT) or CONTINUE."""

    kind: OneOf["BREAK", "CONTINUE"]


@dataclass(frozen=True, slots=True)
class Return(Node):
    """RETURN [value]."""

    value: Expr | SqlText | None = None


@dataclass(frozen=True, slots=True)
class DeclareCursor(Node):
    """DECLARE name CURSOR FOR select."""

    name: str
    sql: SqlText


@dataclass(frozen=True, slots=True)
class CursorStep(Node):
    """OPEN, FETCH … INTO or CLOSE of a cursor."""

    verb: OneOf["OPEN", "FETCH", "CLOSE"]
    name: str
    into: str | None = None


@dataclass(frozen=True, slots=True)
class CallStatement(Node):
    """A function call as a statement."""

    call: Call


Statement: TypeAlias = (
    CreateType
    | CreateEntity
    | CreateAction
    | RegisterType
    | DropDefinition
    | CreateConnector
    | AlterConnector
    | SetEnabled
    | DropConnector
    | TestConnector
    | Show
    | ShowConnector
    | ShowType
    | ShowTests
    | Describe
    | Select
    | Query
    | Explain
    | ClearCache
    | ExecStatement
    | Sync
    | RollbackSync
    | DropSchedule
    | CreateDestination
    | DropDestination
    | TestDefinition
    | RunTest
    | RunTests
    | DropTest
    | AdvanceClock
    | SkipTest
    | Package
    | Publish
    | Install
    | Upgrade
    | PackageAdmin
    | Declare
    | Set
    | Assert
    | AssertRaises
    | Print
    | If
    | For
    | While
    | Try
    | Block
    | Throw
    | Jump
    | Return
    | DeclareCursor
    | CursorStep
    | CallStatement
)


@dataclass(frozen=True, slots=True)
class Script:
    """A parsed text."""

    source: Source = field(compare=False, repr=False)
    statements: tuple[Statement, ...]
