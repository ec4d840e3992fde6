"""Rows of scans kept for OPTIONS cache_ttl, and shared while they are fetched."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from moltler.exec.flight import Flight, Landed
from moltler.exec.layer import HandlersLayer
from moltler.flow.connector import ResolvedConnector
from moltler.flow.predicate import AllOf, AnyOf, Condition, NotOf, Predicate
from moltler.flow.scan import ScanOutcome, ScanRequest
from moltler.model import Action, Entity
from moltler.ports import Clock, Handlers, PageStream, WriteWatch
from moltler.sandbox.values import options_of
from moltler.schema import JsonValue
from moltler.secret import redact

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_BYTES = 256 * 1024 * 1024
Key = tuple[tuple[str, str, int, int, str], str]
"""The instance with revision, version of its config and version of its credentials; the entity."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a scan began; the wall clock also counts the time that a machine sleeps."""

    wall: datetime
    monotonic: float

    def age(self, now: Moment) -> float:
        """Give the seconds since then, the longer of both clocks."""
        return max((now.wall - self.wall).total_seconds(), now.monotonic - self.monotonic)


@dataclass(slots=True)
class Entry:
    """One scan whose rows are kept."""

    key: Key
    request: ScanRequest
    began: Moment
    """Before its first request left."""
    ttl_s: float
    landed: Landed
    where: JsonValue
    hits: int = 0

    def age(self, now: Moment) -> float:
        """Give the seconds since it began."""
        return self.began.age(now)


@dataclass(frozen=True, slots=True)
class _Start:
    """What is known of a scan that has begun."""

    key: Key
    began: Moment
    ttl_s: float
    where: JsonValue


@dataclass(frozen=True, slots=True)
class CacheRow:
    """What SHOW CACHE tells about a scan that is kept."""

    connector: str
    entity: str
    where: JsonValue
    """As handlers get it in ``options.where``, secrets masked."""
    limit: int | None
    rows: int
    size: int
    age_s: float
    ttl_s: float
    hits: int


class ScanCache:
    """Rows of scans of one session; may be shared by threads.

    Args:
        clock: Tells the age of rows.
        most_bytes: Arrow bytes in all; what was used longest ago goes first.
    """

    def __init__(self, clock: Clock, *, most_bytes: int = _MOST_BYTES) -> None:
        self._clock = clock
        self._most = most_bytes
        self._lock = threading.RLock()
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._flights: dict[Flight, _Start] = {}
        self._last = 0

    def over(self, handlers: Handlers) -> CachingHandlers:
        """Give handlers whose scans are kept here."""
        return CachingHandlers(handlers, self)

    def open(
        self, target: ResolvedConnector, request: ScanRequest, handlers: Handlers
    ) -> PageStream:
        """Answer a scan from rows that are kept, from a scan under way, or by a call."""
        key, now = key_of(target, request.entity), self._now()
        with self._lock:
            self._drop_stale(key, now)
            found = self._find(key, request)
            if found is not None:
                found.hits += 1
                return _KeptPages(found.landed, request.columns)
            for flight, start in self._flights.items():
                if start.key != key or start.began.age(now) >= start.ttl_s:
                    continue
                is_same = is_alike(flight.request, request)
                if is_same and (reader := flight.join(request.columns)) is not None:
                    return reader
            flight = Flight(request, handlers.query(target, request), self._most, self._landed)
            reader = flight.join(request.columns)
            assert reader is not None  # noqa: S101 - a flight that has just begun
            ttl = target.limits.cache_ttl_s
            self._flights[flight] = _Start(key, now, ttl, _told(target, request))
            return reader

    def verdict(self, request: ScanRequest, target: ResolvedConnector) -> tuple[str, str]:
        """Tell for EXPLAIN whether a scan would be answered from here (`explain.CacheVerdict`)."""
        ttl = target.limits.cache_ttl_s
        if ttl <= 0:
            return "off", "the option cache_ttl is not set"
        if request.is_empty:
            return "off", "no rows are asked for"
        if request.feeds:
            return "miss", "each call is looked up by its keys"
        now = self._now()
        with self._lock:
            key = key_of(target, request.entity)
            self._drop_stale(key, now)
            found = self._find(key, request)
            if found is None:
                return "miss", f"nothing that is kept answers it; its rows are kept for {ttl:g} s"
            return "hit", f"rows of {found.age(now):.0f} s ago, kept for {found.ttl_s:g} s"

    def rows(self) -> tuple[CacheRow, ...]:
        """Tell what is kept, the latest used last."""
        now = self._now()
        with self._lock:
            self._drop_old(now)
            return tuple(
                CacheRow(
                    entry.request.connector,
                    entry.request.entity.name,
                    entry.where,
                    entry.request.limit,
                    sum(p.num_rows for p in entry.landed.pages),
                    entry.landed.size,
                    entry.age(now),
                    entry.ttl_s,
                    entry.hits,
                )
                for entry in self._entries.values()
            )

    def clear(self, connector: str | None = None, entity: str | None = None) -> int:
        """Forget scans, also those under way, whose rows are then not kept; give how many were.

        Args:
            connector: Only those of this instance.
            entity: Only those of this entity.
        """

        def is_meant(key: Key) -> bool:
            return (connector is None or key[0][0] == connector.lower()) and (
                entity is None or key[1] == entity.lower()
            )

        with self._lock:
            chosen = [n for n, e in self._entries.items() if is_meant(e.key)]
            for number in chosen:
                del self._entries[number]
            for flight in [f for f, s in self._flights.items() if is_meant(s.key)]:
                del self._flights[flight]
        return len(chosen)

    # ── inside, with the lock held ───────────────────────────────────────────────────────────

    def _now(self) -> Moment:
        return Moment(self._clock.now(), self._clock.monotonic())

    def _find(self, key: Key, request: ScanRequest) -> Entry | None:
        for number, entry in reversed(self._entries.items()):
            if entry.key == key and answers(entry.request, request):
                self._entries.move_to_end(number)
                return entry
        return None

    def _drop_stale(self, key: Key, now: Moment) -> None:
        """Drop what is too old, and what belongs to an earlier state of the instance."""
        self._drop_old(now)
        name = key[0][0]
        for number, entry in list(self._entries.items()):
            if entry.key[0][0] == name and entry.key[0] != key[0]:
                del self._entries[number]

    def _drop_old(self, now: Moment) -> None:
        for number, entry in list(self._entries.items()):
            if entry.age(now) >= entry.ttl_s:
                del self._entries[number]

    def _landed(self, flight: Flight, landed: Landed | None) -> None:
        with self._lock:
            known = self._flights.pop(flight, None)
            if known is None or landed is None:
                return  # cleared in the meantime, or nothing to keep
            self._last += 1
            self._entries[self._last] = Entry(
                known.key, flight.request, known.began, known.ttl_s, landed, known.where
            )
            size = sum(e.landed.size for e in self._entries.values())
            while size > self._most:
                _, dropped = self._entries.popitem(last=False)
                size -= dropped.landed.size


class CachingHandlers(HandlersLayer):
    """Answers scans of instances with OPTIONS cache_ttl from a cache (`ports.Handlers`)."""

    def __init__(self, handlers: Handlers, cache: ScanCache) -> None:
        super().__init__(handlers)
        self._cache = cache

    def query(self, target: ResolvedConnector, request: ScanRequest) -> PageStream:
        """Start a query handler; nothing runs before the first page is pulled."""
        if target.limits.cache_ttl_s <= 0:
            return self._handlers.query(target, request)
        return self._cache.open(target, request, self._handlers)

    def execute(
        self,
        target: ResolvedConnector,
        action: Action,
        parameters: Mapping[str, JsonValue],
        *,
        watch: WriteWatch | None = None,
    ) -> JsonValue:
        """Run an action, and forget the rows that it may change."""
        # What an action changes that belongs to no entity, nobody can tell.
        known = action.entity is not None and target.type.entity(action.entity) is not None
        entity = action.entity if known else None
        self._cache.clear(target.name, entity)
        try:
            return self._handlers.execute(target, action, parameters, watch=watch)
        finally:
            # A scan that began in the meantime may have seen the state before it.
            self._cache.clear(target.name, entity)


class _KeptPages:
    """Pages that are kept (`ports.PageStream`)."""

    def __init__(self, landed: Landed, columns: tuple[str, ...]) -> None:
        self._pages = iter(landed.pages)
        self._columns = list(columns)
        self._told = ScanOutcome(warnings=landed.outcome.warnings, is_cached=True)
        self._rows = self._count = 0
        self._has_ended = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Give itself."""
        return self

    def __next__(self) -> pa.RecordBatch:
        """Give the next page."""
        page = next(self._pages, None)
        if page is None:
            self._has_ended = True
            raise StopIteration
        self._count += 1
        self._rows += page.num_rows
        return page.select(self._columns)

    def close(self) -> None:
        """Give no more."""
        self._pages = iter(())

    @property
    def outcome(self) -> ScanOutcome:
        """What is known so far."""
        return replace(self._told, rows=self._rows, pages=self._count, has_ended=self._has_ended)


def _told(target: ResolvedConnector, request: ScanRequest) -> JsonValue:
    where = options_of(target, request).get("where")
    return None if where is None else json.loads(redact(json.dumps(where), target.secrets))


# ── which rows answer which scan ─────────────────────────────────────────────────────────────────


def key_of(target: ResolvedConnector, entity: Entity) -> Key:
    """Give what rows belong to: never the value of a secret, nor the text of a query."""
    return target.runtime_key, entity.name.lower()


def answers(kept: ScanRequest, wanted: ScanRequest) -> bool:
    """Tell whether the rows of one scan hold every row of another, which are checked again.

    The conditions of the first must be among those of the second; those on fields that an API
    needs, or that it alone understands, must be the same, for it may echo them in its rows.
    """
    if not _has_columns(kept, wanted):
        return False
    had, asked = _conditions(kept), _conditions(wanted)
    if kept.limit is not None:
        if wanted.limit is None or kept.limit < wanted.limit:
            return False
        return had == asked and kept.order_by == wanted.order_by
    if wanted.limit is not None and wanted.order_by and kept.order_by != wanted.order_by:
        return False  # a claimed order lets the first rows be believed
    return had <= asked and _echoed(kept) == _echoed(wanted)


def is_alike(flying: ScanRequest, wanted: ScanRequest) -> bool:
    """Tell whether two scans ask for the same, so that one call serves both."""
    return (
        _has_columns(flying, wanted)
        and _conditions(flying) == _conditions(wanted)
        and flying.order_by == wanted.order_by
        and flying.limit == wanted.limit
    )


def _has_columns(kept: ScanRequest, wanted: ScanRequest) -> bool:
    if not set(wanted.columns) <= set(kept.columns):
        return False
    # A handler need not fill in fields that it was not asked for.
    if kept.fields is None:
        return True
    return set(wanted.columns if wanted.fields is None else wanted.fields) <= set(kept.fields)


def _conditions(request: ScanRequest) -> frozenset[str]:
    # As text, for in Python 1, 1.0 and TRUE are equal, and inside a document they are not.
    filters = (f"{name} is {value!r}" for name, value in request.filters.items())
    return frozenset((*map(repr, request.where), *filters))


def _echoed(request: ScanRequest) -> frozenset[str]:
    entity = request.entity
    required = {f.lower() for f, claim in entity.pushdown.filters.items() if claim.required}
    names = required | {p.name.lower() for p in entity.fields if p.filter_only}
    if not names:
        return frozenset()
    told = (repr(p) for p in request.where if any(n.lower() in names for n in _fields(p)))
    filters = (f"{n} is {v!r}" for n, v in request.filters.items() if n.lower() in names)
    return frozenset((*told, *filters))


def _fields(predicate: Predicate) -> Iterator[str]:
    match predicate:
        case Condition(name):
            yield name
        case AnyOf(members) | AllOf(members):
            for member in members:
                yield from _fields(member)
        case NotOf(member):
            yield from _fields(member)
        case _:
            return
