"""Handlers written in Python, for tests that need rows but neither Deno nor HTTP.

    items = entity("items", "id integer key, total number, tags array<string>", rows)
    handlers = PythonHandlers({"shop": [items]})
    handlers.resolve("shop")           # a ResolvedConnector, as EVAL would give it
    handlers.query(target, request)    # a PageStream of wire batches, as SANDBOX would give it

A handler is ``rows(config, filters, options)`` and may return what a JavaScript one may: a list
of rows (one page), or a generator whose yields are rows or lists of rows (one page each). `options`
has the keys of LANGUAGE §7.2 as a dict; keys that do not apply are absent. `handlers.calls`
records each call: what the handler was told, how many pages were pulled, whether it was closed.

Wire encoding (RUNTIME §6): string utf8, integer int64, number float64, boolean bool, timestamp
and date as int64 milliseconds where every value of a page is a datetime or a number, else as ISO
text; arrays of these as lists; documents, any and other arrays as JSON text. Missing keys are NULL.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import accumulate, islice
from typing import Any

import pyarrow as pa

from moltler.errors import Problem
from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.flow.predicate import AllOf, AnyOf, Condition, EngineText, NotOf, Predicate
from moltler.flow.scan import UNFIT, IncompleteReason, ScanOutcome, ScanRequest, Warning
from moltler.model import (
    Action,
    Connector,
    ConnectorType,
    Entity,
    FilterClaim,
    Handler,
    PushDown,
)
from moltler.ports import WriteWatch
from moltler.schema import TYPE_NAMES, DataType, JsonValue, Property, Schema

Row = Mapping[str, Any]
RowsFunction = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Any]
_HANDLER = Handler("function query() {}", "test.moltler", 1)


def fields(text: str) -> Schema:
    """Read fields such as ``"id integer key, name string!, tags array<string>, q string only"``.

    ``key`` makes a primary key, ``!`` a field that is not nullable, ``only`` a filter_only one.
    """
    return Schema(tuple(_field(part.split()) for part in text.split(",")))


def _field(words: Sequence[str]) -> Property:
    name, type_text, *marks = words
    return Property(
        name,
        _type(type_text.rstrip("!")),
        nullable=not type_text.endswith("!"),
        primary_key="key" in marks,
        filter_only="only" in marks,
    )


def _type(text: str) -> DataType:
    head, _, rest = text.partition("<")
    return DataType(TYPE_NAMES[head], _type(rest[:-1]) if rest else None)


@dataclass(frozen=True)
class Table:
    """One entity and the Python function that answers for it."""

    entity: Entity
    rows: RowsFunction
    incomplete_reason: IncompleteReason | None = None
    warnings: tuple[Warning, ...] = ()
    server_time: Callable[[], datetime | None] = lambda: None
    """What the ``Date`` of its first response says."""


@dataclass(frozen=True)
class Misfit:
    """A value that fits no field."""

    value: object

    def told(self, row: Row) -> str:
        """Give what the sandbox says about its row."""
        raw = {k: v.value if isinstance(v, Misfit) else v for k, v in row.items()}
        text = json.dumps(raw, default=_iso)
        return json.dumps({"raw": text, "reason": f"`{self.value}` does not fit"})


def entity(
    name: str,
    schema: str | Schema,
    rows: RowsFunction | Sequence[Row],
    *,
    claims: Mapping[str, Iterable[str]] | None = None,
    required: Iterable[str] = (),
    order_by: Iterable[str] = (),
    limit: bool = False,
    incomplete_reason: IncompleteReason | None = None,
    warnings: tuple[Warning, ...] = (),
) -> Table:
    """Describe an entity.

    Args:
        name: Of the entity.
        schema: A `Schema`, or text for `fields`.
        rows: The handler, or rows that a handler returns whatever it is asked.
        claims: Operators by field (PUSHDOWN.filters).
        required: Fields without which the handler cannot be called.
        order_by: Fields whose order is claimed.
        limit: Whether the limit is claimed.
        incomplete_reason: What the stream says at its end.
        warnings: What the stream says at its end.
    """
    answers: RowsFunction = rows if callable(rows) else lambda _c, _f, _o: rows
    required = frozenset(required)
    operators = {f: frozenset(ops) for f, ops in (claims or {}).items()}
    filters = {
        f: FilterClaim(operators.get(f, frozenset({"="})), required=f in required)
        for f in [*operators, *(required - operators.keys())]
    }
    described = Entity(
        name,
        schema if isinstance(schema, Schema) else fields(schema),
        _HANDLER,
        pushdown=PushDown(filters, frozenset(order_by), limit),
    )
    return Table(described, answers, incomplete_reason, warnings)


@dataclass
class Call:
    """What a handler was told, and what became of its stream."""

    connector: str
    entity: str
    filters: dict[str, Any]
    options: dict[str, Any]
    columns: tuple[str, ...]
    pages: int = 0
    is_closed: bool = False
    blocked: threading.Event = field(default_factory=threading.Event)
    """Set once the page before a `Block` is being waited for."""


class Block:
    """Yield one from a handler to make the next pull wait until the stream is closed."""


class PythonHandlers:
    """`ports.Handlers` whose query handlers are Python functions."""

    def __init__(
        self,
        connectors: Mapping[str, Sequence[Table]],
        *,
        config: Mapping[str, JsonValue] | None = None,
        limits: CallLimits | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self.limits = limits or CallLimits()
        self._config = dict(config or {})
        self._tables = {name.lower(): tuple(tables) for name, tables in connectors.items()}
        self._names = {name.lower(): name for name in connectors}

    def type(self, name: str) -> ConnectorType:
        """Give the type of an instance; it is named after it."""
        tables = self._tables[name.lower()]
        return ConnectorType(f"{name.lower()}_type", entities=tuple(t.entity for t in tables))

    def resolve(self, name: str) -> ResolvedConnector:
        """Give the instance ready for calls."""
        type_ = self.type(name)
        return ResolvedConnector(
            connector=Connector(self._names[name.lower()], type_.name),
            type=type_,
            revision=1,
            config=self._config,
            secrets=(),
            credential_version="1",
            limits=self.limits,
        )

    def request(self, scan: str, path: str, *columns: str, **changes: Any) -> ScanRequest:
        """Give a request for ``connector.entity``; no columns means every field."""
        connector, _, name = path.partition(".")
        found = self.type(connector).entity(name)
        assert found is not None
        wanted = columns or tuple(p.name for p in found.fields if not p.filter_only)
        return replace(ScanRequest(scan, connector, found, wanted), **changes)

    @property
    def last_call(self) -> Call:
        """The call that was started last."""
        return self.calls[-1]

    def query(self, target: ResolvedConnector, request: ScanRequest) -> PythonPages:
        """Start a handler; it runs when the first page is pulled."""
        table = next(
            t
            for t in self._tables[target.name.lower()]
            if t.entity.name.lower() == request.entity.name.lower()
        )
        call = Call(
            target.name,
            request.entity.name,
            {name: plain(value) for name, value in request.filters.items()},
            options_of(request),
            request.columns,
        )
        return PythonPages(
            table, call, target, self.calls, request.admit, keeps_unfit=request.keeps_unfit
        )

    def execute(
        self,
        target: ResolvedConnector,
        action: Action,
        parameters: Mapping[str, JsonValue],
        *,
        watch: WriteWatch | None = None,
    ) -> JsonValue:
        """Refuse: actions are not for these handlers."""
        raise NotImplementedError

    def test(self, target: ResolvedConnector) -> JsonValue:
        """Give nothing, as a type without TEST_HANDLER."""
        return None

    def check(self, handler: Handler, entry: str) -> tuple[Problem, ...]:
        """Find no problem."""
        return ()

    def close(self) -> None:
        """Do nothing: there are no processes."""


class PythonPages:
    """`ports.PageStream` over what a Python handler returned."""

    def __init__(
        self,
        table: Table,
        call: Call,
        target: ResolvedConnector,
        calls: list[Call],
        admit: Callable[[], Exception | None] | None = None,
        *,
        keeps_unfit: bool = False,
    ) -> None:
        self._keeps_unfit = keeps_unfit
        self._table = table
        self._call = call
        self._target = target
        self._calls = calls
        self._admit = admit
        self._pages: Iterator[Any] | None = None
        self._closed = threading.Event()
        self._rows = 0
        self._ended = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Give itself."""
        return self

    def __next__(self) -> pa.RecordBatch:
        """Run the handler to its next page."""
        if self._closed.is_set():
            raise StopIteration
        if self._pages is None:
            self._calls.append(self._call)
            returned = self._table.rows(
                dict(self._target.config), dict(self._call.filters), dict(self._call.options)
            )
            self._pages = iter([returned]) if isinstance(returned, list | tuple) else returned
        page: Any = next(self._pages, None)  # type: ignore[arg-type] # an iterator by now
        if isinstance(page, Block):
            self._call.blocked.set()
            self._closed.wait()
            raise StopIteration
        if page is None:
            self._ended = True
            raise StopIteration
        # Each page is one request.
        if self._admit is not None and (error := self._admit()) is not None:
            raise error
        rows = page if isinstance(page, list | tuple) else [page]
        self._call.pages += 1
        self._rows += len(rows)
        if not self._keeps_unfit:
            return wire_batch(self._table.entity, self._call.columns, rows)
        misfits = [next((v for v in r.values() if isinstance(v, Misfit)), None) for r in rows]
        told = [None if m is None else m.told(r) for m, r in zip(misfits, rows, strict=True)]
        sound = [{k: None if isinstance(v, Misfit) else v for k, v in r.items()} for r in rows]
        batch = wire_batch(self._table.entity, self._call.columns, sound)
        return batch.append_column(UNFIT, pa.array(told, pa.string()))

    def close(self) -> None:
        """Wake a blocked pull and run the handler's ``finally``."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._call.is_closed = True
        stop = getattr(self._pages, "close", None)
        if stop is not None and not getattr(self._pages, "gi_running", False):
            stop()

    @property
    def outcome(self) -> ScanOutcome:
        """What is known so far."""
        return ScanOutcome(
            self._table.incomplete_reason if self._ended else None,
            self._table.warnings if self._ended else (),
            self._rows,
            self._call.pages,
            self._call.pages,
            has_ended=self._ended,
            server_time=self._table.server_time() if self._pages is not None else None,
        )


def options_of(request: ScanRequest) -> dict[str, Any]:
    """Give ``options`` as a handler would see them."""
    options: dict[str, Any] = {}
    if request.limit is not None:
        options["limit"] = request.limit
    if request.order_by:
        options["order_by"] = [
            {"field": k.field, "direction": "desc" if k.descending else "asc"}
            | ({"nulls": "first"} if k.nulls_first else {})
            for k in request.order_by
        ]
    if request.fields is not None:
        options["fields"] = list(request.fields)
    if request.where:
        options["where"] = [_node(p) for p in request.where]
    if request.since is not None:
        options["since"] = plain(request.since)
    return options


def _node(predicate: Predicate) -> dict[str, Any]:
    match predicate:
        case Condition(name, operator, None):
            return {"field": name, "op": operator}
        case Condition(name, operator, tuple() as values):
            return {"field": name, "op": operator, "value": [plain(v) for v in values]}
        case Condition(name, operator, value):
            return {"field": name, "op": operator, "value": plain(value)}
        case AnyOf(members):
            return {"any": [_node(m) for m in members]}
        case AllOf(members):
            return {"all": [_node(m) for m in members]}
        case NotOf(member):
            return {"not": _node(member)}
        case EngineText(text):
            return {"op": "engine", "text": text}


def plain(value: object) -> Any:
    """Give a value as ``filters`` and ``options`` write it."""
    match value:
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case date():
            return value.isoformat()
        case _:
            return value


def wire_batch(entity: Entity, columns: Sequence[str], rows: Sequence[Row]) -> pa.RecordBatch:
    """Encode rows as the sandbox would."""
    arrays: dict[str, pa.Array] = {}
    for name in columns:
        declared = entity.fields.find(name)
        assert declared is not None
        arrays[name] = _wire_array(declared.type, [row.get(name) for row in rows])
    return pa.RecordBatch.from_pydict(arrays)


def _wire_array(type_: DataType, values: list[Any]) -> pa.Array:
    values = [None if isinstance(v, float) and not math.isfinite(v) else v for v in values]
    match type_.name:
        case "string":
            return pa.array([v if v is None else str(v) for v in values], pa.string())
        case "integer":
            return pa.array(values, pa.int64())
        case "number":
            return pa.array([v if v is None else float(v) for v in values], pa.float64())
        case "boolean":
            return pa.array(values, pa.bool_())
        case "timestamp" | "date":
            if any(isinstance(v, str) for v in values):
                return pa.array([v if v is None else _iso(v) for v in values], pa.string())
            return pa.array([_milliseconds(v) for v in values], pa.int64())
        case "array" if type_.scalar_items is not None:
            items = _wire_array(type_.scalar_items, [i for v in values for i in v or ()])
            ends = accumulate((len(v or ()) for v in values), initial=0)
            missing = pa.array([v is None for v in values], pa.bool_())
            return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), items, mask=missing)
        case _:
            texts = [None if v is None else json.dumps(v, default=_iso) for v in values]
            return pa.array(texts, pa.string())


def _iso(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _milliseconds(value: object) -> int | None:
    match value:
        case datetime():
            return int(value.timestamp() * 1000)
        case date():
            return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * 1000)
        case None:
            return None
        case _:
            return int(str(value))


def paged(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Cut rows into pages of a size."""
    iterator = iter(rows)
    for first in iterator:
        yield [first, *islice(iterator, size - 1)]
