"""Synced tables read by SELECT: entities without a handler, pages out of a destination."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pyarrow as pa

from moltler.exec.layer import HandlersLayer
from moltler.flow.connector import ResolvedConnector
from moltler.flow.scan import ScanOutcome, ScanRequest
from moltler.flow.sync import QUARANTINE, StoredColumn, SyncedTable
from moltler.model import (
    Connector,
    ConnectorType,
    Entity,
    FilterClaim,
    Handler,
    PushDown,
)
from moltler.ports import Handlers, PageStream
from moltler.schema import SCALARS, DataType, Property, Schema
from moltler.sync.conditions import EXACT, Conditions
from moltler.sync.layout import ALL, MARKS, Storage, quoted, quoted_all, storage_of
from moltler.sync.sql import Store

TYPE_PREFIX = "destination "
"""How the types of destinations are called beside those of connectors, which hold no blank."""
_AT_ONCE = 64 * 1024 * 1024
"""Bytes that are read before the first row is used: then the destination is free again."""
_MARK_TYPES = (DataType("timestamp"), DataType("string"), DataType("timestamp"))
_QUARANTINE_COLUMNS = ("run_id", "target", "raw", "reason")


def stored_type(destination: str, tables: Sequence[SyncedTable]) -> ConnectorType:
    """Give the tables of a destination as if they were the entities of a type.

    Each has its rows twice, as ``table`` and ``table__all``. A destination filters, sorts and
    limits exactly as the engine does, so every claim is made.
    """
    entities: list[Entity] = []
    for table in tables:
        marks = tuple(StoredColumn(n, t) for n, t in zip(MARKS, _MARK_TYPES, strict=True))
        entities += [
            _entity(table.name, table.columns),
            _entity(table.name + ALL, (*table.columns, *marks)),
        ]
    if tables:
        texts = tuple(StoredColumn(n, DataType("string")) for n in _QUARANTINE_COLUMNS)
        entities.append(_entity(QUARANTINE, texts))
    return ConnectorType(TYPE_PREFIX + destination, entities=tuple(entities))


def stored_target(destination: str) -> ResolvedConnector:
    """Give a destination as what a scan is made over."""
    type_ = stored_type(destination, ())
    return ResolvedConnector(Connector(destination, type_.name), type_, 0, {}, (), "")


def _entity(name: str, columns: Sequence[StoredColumn]) -> Entity:
    # No primary key: rows are not looked at one by one for repeats, which cannot be.
    fields = Schema(tuple(Property(c.name, c.type) for c in columns))
    scalars = frozenset(c.name for c in columns if c.type.name in SCALARS)
    claims = PushDown({n: FilterClaim(frozenset(EXACT)) for n in scalars}, scalars, limit=True)
    return Entity(name, fields, Handler("", name, 1), pushdown=claims)


OpenStore = Callable[[str], Store]
"""Gives the store of a destination, by name."""


class StoredHandlers(HandlersLayer):
    """Answers scans of destinations, and passes the others on.

    Args:
        handlers: Below it.
        open_store: Gives the store of a destination.
    """

    def __init__(self, handlers: Handlers, open_store: OpenStore) -> None:
        super().__init__(handlers)
        self._open_store = open_store

    def query(self, target: ResolvedConnector, request: ScanRequest) -> PageStream:
        """Start reading; nothing happens before the first page is pulled."""
        if target.type.name.startswith(TYPE_PREFIX):
            return StoredPages(self._open_store(target.name), request)
        return super().query(target, request)


@dataclass(frozen=True, slots=True)
class StoredQuery:
    """What is asked of a destination."""

    sql: str
    values: tuple[object, ...]
    columns: Mapping[str, Storage]


def stored_query(store: Store, request: ScanRequest) -> StoredQuery:
    """Give the SQL that reads a scan: its columns, and what of its conditions can be said."""
    storages: dict[str, Storage] = {p.name: storage_of(p.type) for p in request.entity.fields}
    said = Conditions(storages, store.collate, store.no_escape, takes_nul=store.takes_nul)
    where = said.where(request.where)
    ending = ""
    if request.limit is not None and request.limit_is_claimed:
        order = said.order_by(request.order_by)
        if order is not None:
            ending = f"{order} LIMIT {int(request.limit)}"
    sql = f"SELECT {quoted_all(request.columns)} FROM {quoted(request.entity.name)}{where}{ending}"
    return StoredQuery(sql, tuple(said.values), {c: storages[c] for c in request.columns})


class StoredPages:
    """The pages of one reading (`ports.PageStream`).

    What fits into some memory is read at once, so that the destination is free before the rows
    are used; only a long result holds it.
    """

    def __init__(self, store: Store, request: ScanRequest) -> None:
        self._store = store
        self._request = request
        self._pages: Iterator[pa.RecordBatch] | None = None
        self._open = ExitStack()
        self._outcome = ScanOutcome(has_ended=False)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        """Give the next page.

        Raises:
            SyncError: SNC006, the destination refuses or cannot be reached.
        """
        if self._pages is None:
            self._pages = self._begin()
        page = next(self._pages, None)
        if page is None:
            self._outcome = replace(self._outcome, has_ended=True)
            raise StopIteration
        self._outcome = replace(
            self._outcome, rows=self._outcome.rows + page.num_rows, pages=self._outcome.pages + 1
        )
        return page

    def close(self) -> None:
        """Stop reading; may be repeated."""
        self._pages = iter(())
        self._open.close()

    @property
    def outcome(self) -> ScanOutcome:
        """What is known so far."""
        return self._outcome

    def _begin(self) -> Iterator[pa.RecordBatch]:
        query = stored_query(self._store, self._request)
        reading = self._store.read()
        if reading is None:
            return iter(())
        sql = self._open.enter_context(reading)
        rest = sql.pages(query.sql, query.values, query.columns)
        begun: list[pa.RecordBatch] = []
        size = 0
        for page in rest:
            begun.append(page)
            size += page.nbytes
            if size > _AT_ONCE:
                return self._all(begun, rest)
        self._open.close()
        return iter(begun)

    def _all(
        self, begun: Sequence[pa.RecordBatch], rest: Iterator[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        yield from begun
        yield from rest
        self._open.close()
