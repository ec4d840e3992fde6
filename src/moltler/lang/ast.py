"""The statements and expressions of the language as frozen values.

Every node carries the span it was read from; spans do not take part in comparisons, so two
texts that mean the same give equal nodes. Here stand the statements that hold others, and the
unions; everything is found under this one name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as OneOf
from typing import TypeAlias

from moltler.errors import Source
from moltler.lang.nodes import (
    Argument as Argument,
)
from moltler.lang.nodes import (
    Array as Array,
)
from moltler.lang.nodes import (
    Between as Between,
)
from moltler.lang.nodes import (
    Binary as Binary,
)
from moltler.lang.nodes import (
    BinaryOperator as BinaryOperator,
)
from moltler.lang.nodes import (
    Call as Call,
)
from moltler.lang.nodes import (
    Case as Case,
)
from moltler.lang.nodes import (
    Cast as Cast,
)
from moltler.lang.nodes import (
    Comparison as Comparison,
)
from moltler.lang.nodes import (
    ComparisonOperator as ComparisonOperator,
)
from moltler.lang.nodes import (
    Document as Document,
)
from moltler.lang.nodes import (
    DocumentMember as DocumentMember,
)
from moltler.lang.nodes import (
    Exec as Exec,
)
from moltler.lang.nodes import (
    Expr as Expr,
)
from moltler.lang.nodes import (
    In as In,
)
from moltler.lang.nodes import (
    Index as Index,
)
from moltler.lang.nodes import (
    Interval as Interval,
)
from moltler.lang.nodes import (
    IsNull as IsNull,
)
from moltler.lang.nodes import (
    Lambda as Lambda,
)
from moltler.lang.nodes import (
    Like as Like,
)
from moltler.lang.nodes import (
    Literal as Literal,
)
from moltler.lang.nodes import (
    Member as Member,
)
from moltler.lang.nodes import (
    Name as Name,
)
from moltler.lang.nodes import (
    Negate as Negate,
)
from moltler.lang.nodes import (
    Node as Node,
)
from moltler.lang.nodes import (
    Not as Not,
)
from moltler.lang.nodes import (
    Positional as Positional,
)
from moltler.lang.nodes import (
    SqlText as SqlText,
)
from moltler.lang.nodes import (
    Subquery as Subquery,
)
from moltler.lang.nodes import (
    Ternary as Ternary,
)
from moltler.lang.nodes import (
    Variable as Variable,
)
from moltler.lang.nodes import (
    When as When,
)
from moltler.lang.plain import (
    AdvanceClock as AdvanceClock,
)
from moltler.lang.plain import (
    AlterConnector as AlterConnector,
)
from moltler.lang.plain import (
    ClearCache as ClearCache,
)
from moltler.lang.plain import (
    ConnectorAspect as ConnectorAspect,
)
from moltler.lang.plain import (
    CreateAction as CreateAction,
)
from moltler.lang.plain import (
    CreateConnector as CreateConnector,
)
from moltler.lang.plain import (
    CreateDestination as CreateDestination,
)
from moltler.lang.plain import (
    CreateEntity as CreateEntity,
)
from moltler.lang.plain import (
    CreateType as CreateType,
)
from moltler.lang.plain import (
    Describe as Describe,
)
from moltler.lang.plain import (
    DropConnector as DropConnector,
)
from moltler.lang.plain import (
    DropDefinition as DropDefinition,
)
from moltler.lang.plain import (
    DropDestination as DropDestination,
)
from moltler.lang.plain import (
    DropSchedule as DropSchedule,
)
from moltler.lang.plain import (
    DropTest as DropTest,
)
from moltler.lang.plain import (
    ExecStatement as ExecStatement,
)
from moltler.lang.plain import (
    ExpectError as ExpectError,
)
from moltler.lang.plain import (
    Explain as Explain,
)
from moltler.lang.plain import (
    HandlerFile as HandlerFile,
)
from moltler.lang.plain import (
    HandlerSource as HandlerSource,
)
from moltler.lang.plain import (
    HandlerText as HandlerText,
)
from moltler.lang.plain import (
    Install as Install,
)
from moltler.lang.plain import (
    Package as Package,
)
from moltler.lang.plain import (
    PackageAdmin as PackageAdmin,
)
from moltler.lang.plain import (
    Publish as Publish,
)
from moltler.lang.plain import (
    Query as Query,
)
from moltler.lang.plain import (
    QuotedName as QuotedName,
)
from moltler.lang.plain import (
    RegisterType as RegisterType,
)
from moltler.lang.plain import (
    RollbackSync as RollbackSync,
)
from moltler.lang.plain import (
    RunTest as RunTest,
)
from moltler.lang.plain import (
    RunTests as RunTests,
)
from moltler.lang.plain import (
    Select as Select,
)
from moltler.lang.plain import (
    SetEnabled as SetEnabled,
)
from moltler.lang.plain import (
    Setting as Setting,
)
from moltler.lang.plain import (
    Show as Show,
)
from moltler.lang.plain import (
    ShowConnector as ShowConnector,
)
from moltler.lang.plain import (
    ShowSubject as ShowSubject,
)
from moltler.lang.plain import (
    ShowTests as ShowTests,
)
from moltler.lang.plain import (
    ShowType as ShowType,
)
from moltler.lang.plain import (
    SkipTest as SkipTest,
)
from moltler.lang.plain import (
    SortKey as SortKey,
)
from moltler.lang.plain import (
    Sync as Sync,
)
from moltler.lang.plain import (
    Target as Target,
)
from moltler.lang.plain import (
    TestConnector as TestConnector,
)
from moltler.lang.plain import (
    Upgrade as Upgrade,
)


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
    positionals: int = field(default=0, repr=False)
    """How many ``?`` it holds."""
