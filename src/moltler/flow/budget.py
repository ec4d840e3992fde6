"""How many requests an API takes, as what sends requests and what keeps count exchange it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moltler.secret import Secret


@dataclass(frozen=True, slots=True)
class Account:
    """Who an API counts the requests of: a credential at a host."""

    secrets: tuple[Secret, ...]
    """Of the instance; none for one that calls without credentials."""
    host: str
    """With the port, unless it is the scheme's own."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The throttle that an instance sets itself."""

    per_s: float
    """Requests that grow back in a second, above 0."""
    burst: int = 1
    """Requests of a full bucket."""

    @property
    def interval_s(self) -> float:
        """Seconds between two requests."""
        return 1 / self.per_s


@dataclass(frozen=True, slots=True)
class Grant:
    """Some requests that may leave, each an interval after the one before."""

    start: float
    """When the first may leave, in seconds since the epoch; may lie in the past."""
    interval_s: float
    count: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of an account: when an API wants requests again."""

    pauses: Mapping[str, float] = field(default_factory=dict[str, float])
    """By part of the API, ``""`` for all of it: until when it takes none, since the epoch."""
    next_turn: float | None = None
    """When the throttle lets the next request go; ``None`` while nothing was throttled."""
