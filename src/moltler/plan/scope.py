"""Blocks of a SELECT, what stands in their FROM, and what their names refer to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from sqlglot import exp

from moltler.model import Entity
from moltler.schema import Property


@dataclass(eq=False, slots=True)
class Scan:
    """One table reference to an entity."""

    name: str
    connector: str
    entity: Entity
    node: exp.Table
    needed: set[str] = field(default_factory=set[str])
    """Declared names of the fields that the SQL reads."""
    needs_all: bool = False


@dataclass(eq=False, slots=True)
class Output:
    """One column that a source offers."""

    name: str
    property: Property | None = None
    """The declared field behind it; ``None`` if it is computed or unknown."""
    position: int = -1
    """Its number among the columns of the source's query."""


@dataclass(eq=False, slots=True)
class Source:
    """One thing in a FROM: a scan, a derived table or CTE, or something DuckDB makes."""

    alias: str
    outputs: dict[str, Output]
    """By lower-case visible name, in order."""
    scan: Scan | None = None
    query: Query | None = None
    """The block or set operation behind a derived table, or behind a CTE."""
    cte: Cte | None = None
    entity_name: str | None = None
    """Set for scans without an alias, which may be named by entity and by instance."""
    is_open: bool = False
    """May have columns that only DuckDB knows."""
    is_hidden: bool = False
    """The right side of a SEMI or ANTI join, invisible after its ON."""


@dataclass(eq=False, slots=True)
class Ref:
    """What a name in an expression refers to."""

    source: Source
    output: Output
    path: tuple[str, ...] = ()
    """Keys inside a document."""
    is_merged: bool = False
    """A column that USING or NATURAL made of two."""


@dataclass(eq=False, slots=True)
class JoinStep:
    """One JOIN of a block."""

    node: exp.Join
    source: Source
    side: str
    """LEFT, RIGHT, FULL, SEMI, ANTI or INNER (which CROSS is too)."""

    @property
    def is_comma(self) -> bool:
        """Whether it is only a comma, which binds looser than any JOIN."""
        return not any(self.node.args.get(k) for k in ("method", "side", "kind", "on", "using"))


@dataclass(eq=False, slots=True)
class Block:
    """One SELECT."""

    node: exp.Select
    parent: Block | None
    sources: list[Source] = field(default_factory=list[Source])
    joins: list[JoinStep] = field(default_factory=list[JoinStep])
    is_denied: bool = False
    """Holds something the walk does not know, so that nothing is pushed from it (P6)."""
    aliases: set[str] = field(default_factory=set[str])
    """The names that SELECT gives its columns with AS, in lower case."""
    merged: dict[str, list[Source]] = field(default_factory=dict[str, list[Source]])
    outputs: list[tuple[str, exp.Expr | Ref | None]] | None = None
    """Name and expression of each column of the result; ``None`` if only DuckDB knows them."""
    is_exists: bool = False

    @property
    def visible(self) -> list[Source]:
        """Sources whose columns expressions may name."""
        return [s for s in self.sources if not s.is_hidden]


@dataclass(eq=False, slots=True)
class SetQuery:
    """UNION, INTERSECT or EXCEPT of two queries."""

    node: exp.SetOperation
    left: Query
    right: Query


@dataclass(eq=False, slots=True)
class Unknown:
    """A query whose columns are not analysed: VALUES, PIVOT."""

    node: exp.Expr


Query: TypeAlias = Block | SetQuery | Unknown


@dataclass(eq=False, slots=True)
class Cte:
    """A common table expression and how often it is read."""

    name: str
    query: Query | None
    """``None`` while its own text is being read (recursion)."""
    columns: tuple[str, ...] = ()
    is_recursive: bool = False
    uses: int = 0


def output_names(query: Query) -> list[str] | None:
    """Give the names of a query's columns, or ``None`` if only DuckDB knows them."""
    match query:
        case Block():
            return None if query.outputs is None else [name for name, _ in query.outputs]
        case SetQuery():
            return output_names(query.left) if not query.node.args.get("by_name") else None
        case Unknown():
            if isinstance(query.node, exp.Values) and query.node.expressions:
                return [f"col{i}" for i in range(len(query.node.expressions[0].expressions))]
            return None


def blocks_of(query: Query) -> Iterator[Block]:
    """Give the SELECTs of a query from left to right, not those inside their FROM."""
    match query:
        case Block():
            yield query
        case SetQuery():
            yield from blocks_of(query.left)
            yield from blocks_of(query.right)
        case Unknown():
            return
