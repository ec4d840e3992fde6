"""What a look-up in the catalog says when it finds nothing, or something in the way."""

from __future__ import annotations

from moltler.errors import LookupFailed, Problem, Span, near_match
from moltler.model import Connector, ConnectorType


def taken(what: str, span: Span | None) -> LookupFailed:
    """Give the error CAT003 for something that exists already."""
    return LookupFailed(
        "CAT003",
        f"{what} exists already",
        hint="use CREATE OR REPLACE to change it, or IF NOT EXISTS to keep it",
        span=span,
    )


def no_such_entity(
    owner: Connector, definition: ConnectorType, name: str, span: Span | None = None
) -> Problem:
    """Give the problem CAT002 for an entity of a connector."""
    names = tuple(e.name for e in definition.entities)
    near = near_match(name, names)
    return Problem(
        "CAT002",
        f"connector `{owner.name}` has no entity `{definition.name}.{name}`",
        f"did you mean `{owner.name}.{near}`?" if near else None,
        span,
        names,
    )


def no_such_action(
    owner: Connector, definition: ConnectorType, path: str, span: Span | None = None
) -> Problem:
    """Give the problem CAT002 for an action of a connector."""
    paths = tuple(a.path for a in definition.actions)
    near = near_match(path, paths)
    hint = f"did you mean `{owner.name}.{near}`?" if near else None
    if hint is None:
        hint = f"define it with CREATE CONNECTOR ACTION '{definition.name}.{path}'"
    return Problem(
        "CAT002",
        f"connector `{owner.name}` has no action `{definition.name}.{path}`",
        hint,
        span,
        paths,
    )


def not_in_draft(
    kind: str, name: str, candidates: tuple[str, ...], span: Span | None
) -> LookupFailed:
    """Give the error CAT002 for what a draft does not have."""
    near = near_match(name.partition(".")[2], candidates)
    return LookupFailed(
        "CAT002",
        f"no {kind} `{name}`",
        hint=f"did you mean '{name.partition('.')[0]}.{near}'?" if near else None,
        span=span,
        allowed=candidates,
    )
