"""A SELECT whose names are known, and where the names come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from sqlglot import exp

from moltler.errors import MoltlerError, Span, error_class, near_match
from moltler.flow.scan import Warning
from moltler.model import ConnectorType
from moltler.plan.scope import Block, Query, Ref, Scan, Source
from moltler.plan.text import Text


class Tables(Protocol):
    """What may stand in FROM."""

    @property
    def names(self) -> tuple[str, ...]:
        """The instances, as spelled in the catalog."""
        ...

    @property
    def destinations(self) -> tuple[str, ...]:
        """The destinations, as spelled in the catalog; they share no name with an instance."""
        ...

    def stored(self, destination: str) -> ConnectorType:
        """Give the synced tables of a destination as if they were the entities of a type.

        Raises:
            MoltlerError: CAT009, SNC006 or SNC007, it cannot be read.
        """
        ...

    def type_of(self, connector: str) -> ConnectorType:
        """Give the registered type of an instance, whose name is compared ignoring case.

        Raises:
            LookupFailed: CAT001, CAT006 or CAT007.
        """
        ...


class Variables(Protocol):
    """Values that the SQL may name."""

    @property
    def names(self) -> tuple[str, ...]:
        """Variables and named parameters, in any case, for look-up and near matches."""
        ...

    def get(self, name: str) -> object:
        """Give the value of a variable that `names` has, ignoring case."""
        ...

    def positional(self, index: int) -> object:
        """Give the positional parameter of that number, counted from 0 over the script.

        Raises:
            PlanError: PLN005, there is none.
        """
        ...

    def env(self, name: str, default: str | None) -> str:
        """Give an environment variable, or the default, or the empty text."""
        ...


@dataclass(slots=True)
class Bound:
    """A tree whose names are known; variables in it are parameters already."""

    text: Text
    root: Query
    scans: list[Scan] = field(default_factory=list[Scan])
    blocks: list[Block] = field(default_factory=list[Block])
    """All SELECTs, the outer before the inner."""
    parameters: dict[str, object] = field(default_factory=dict[str, object])
    warnings: list[Warning] = field(default_factory=list[Warning])
    spans: dict[int, Span] = field(default_factory=dict[int, Span])
    """Where replaced nodes stood, by node id."""
    refs: dict[int, Ref] = field(default_factory=dict[int, Ref])
    """By the id of a Column or Dot node of the tree."""
    keep: list[exp.Expr] = field(default_factory=list[exp.Expr])
    # Keeps replaced nodes alive, so that ids stay unique.

    def ref(self, node: exp.Expr) -> Ref | None:
        """Give what a name refers to, or ``None`` for other expressions."""
        return self.refs.get(id(node))

    def span(self, node: exp.Expr) -> Span:
        """Give where a node stands in the script."""
        return self.spans.get(id(node)) or self.text.span(node)


def error(
    code: str,
    message: str,
    span: Span,
    *,
    hint: str | None = None,
    allowed: tuple[str, ...] = (),
) -> MoltlerError:
    """Make the error of a code at a place."""
    return error_class(code)(code, message, hint=hint, span=span, allowed=allowed)


def no_column(name: str, span: Span, sources: Sequence[Source]) -> NoReturn:
    """Refuse a name that no source has.

    Raises:
        PlanError: PLN002.
    """
    names = tuple(dict.fromkeys(o.name for s in sources for o in s.outputs.values()))
    near = near_match(name, names)
    where = f" in `{sources[0].alias}`" if len(sources) == 1 and sources[0].alias else ""
    raise error(
        "PLN002", f"there is no column `{name}`{where}", span,
        hint=f"did you mean `{near}`?" if near else None, allowed=names,
    )  # fmt: skip
