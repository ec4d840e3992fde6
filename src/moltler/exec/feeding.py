"""Dependent joins at work: drivers read first, their keys turned into calls (LANGUAGE §6.6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from itertools import product

import pyarrow as pa

from moltler.errors import error_class
from moltler.exec.border import BorderColumn, Cells, cells
from moltler.exec.calls import KeyedCall, KeyedScan
from moltler.exec.duck import Connection
from moltler.exec.pages import scan_schema
from moltler.exec.scan import ScanSource
from moltler.exec.sources import HalfRead, Kept, Source, Spool, stop
from moltler.flow.predicate import Condition, Predicate, Scalar
from moltler.flow.scan import KEYS_PER_CALL, MOST_KEYS, Feed, QueryPlan, ScanRequest
from moltler.schema import TypeName

Key = tuple[Scalar, ...]
Part = tuple[tuple[str, tuple[Scalar, ...]], ...]
"""What one call is told: fields with the keys of each."""
_FIRST_ROWS, _MOST_ROWS = 1_000, 50_000
"""Rows between two looks at a driver's keys, at first and at most."""
_EXACT = 2**53


class Lossy(Exception):  # noqa: N818 - a verdict between functions here
    """A key that the other field's type cannot hold, or cannot tell from another."""


@dataclass(slots=True)
class KeySet:
    """The distinct keys of one driver that one scan is called with, as far as they are read."""

    feeds: tuple[Feed, ...]
    types: tuple[TypeName, ...]
    """Of the fed fields."""
    label: str
    """The fed scan, as messages name it."""
    keys: dict[Key, None] = field(default_factory=dict[Key, None])
    is_given_up: bool = False
    """Too many, or of no use: the scan is called without them."""

    @property
    def is_required(self) -> bool:
        """Whether the handler cannot be called without them."""
        return any(f.is_required for f in self.feeds)

    def add(self, batch: pa.RecordBatch, types: Mapping[str, TypeName]) -> None:
        """Take the keys of some of the driver's rows; NULL is none.

        Args:
            batch: With the driver's fields.
            types: Of those.

        Raises:
            MoltlerError: The field is required, and there are too many keys or one does not fit.
        """
        if self.is_given_up:
            return
        is_alone = len(self.feeds) == 1
        columns = [
            _values(batch, f.column or f.field, types, is_alone=is_alone) for f in self.feeds
        ]
        for values in zip(*columns, strict=True):
            found = without_null(values)
            if found is None or found in self.keys:
                continue
            try:
                key = tuple(typed_key(v, t) for v, t in zip(found, self.types, strict=True))
            except Lossy:
                self._give_up(f"a key does not fit the type of `{self.feeds[0].field}`")
                return
            self.keys[key] = None
            if len(self.keys) > MOST_KEYS:
                self._give_up(f"there are more than {MOST_KEYS:,} distinct keys")
                return

    def parts(self) -> list[Part]:
        """Divide the keys into what one call is told at a time.

        In their order, for DuckDB gives them in any: equal queries make equal calls, which caches
        of handlers rely on. A list of the text stays as written.
        """
        keys = list(self.keys) if self.feeds[0].driver is None else sorted(self.keys)
        if self.feeds[0].operator == "in":
            name = self.feeds[0].field
            values = [key[0] for key in keys]
            return [((name, tuple(chunk)),) for chunk in chunks(values, KEYS_PER_CALL)]
        names = [f.field for f in self.feeds]
        return [
            tuple((name, (value,)) for name, value in zip(names, key, strict=True)) for key in keys
        ]

    def _give_up(self, why: str) -> None:
        if self.is_required:
            names = " and ".join(f"`{f.field}`" for f in self.feeds)
            raise error_class("PLN010")(
                "PLN010",
                f"`{self.label}` needs {names} from a join, and {why}",
                hint="narrow the other side of the join with a WHERE",
            )
        self.is_given_up = True
        self.keys.clear()


def without_null(values: Sequence[object]) -> tuple[object, ...] | None:
    """Give the values of one row, or ``None`` if one is NULL: it equals nothing."""
    return None if any(v is None for v in values) else tuple(values)


def chunks(values: Sequence[Scalar], size: int) -> list[Sequence[Scalar]]:
    """Cut keys into lists of at most a size."""
    return [values[start : start + size] for start in range(0, len(values), size)]


class Feeder:
    """Reads the drivers of a query and makes sources of the scans that they feed.

    Args:
        plan: The query.
        scans: By name.
        connection: Where scans are registered.
        register: Gives a source to the engine in the place of a scan.
    """

    def __init__(
        self,
        plan: QueryPlan,
        scans: Mapping[str, ScanSource],
        connection: Connection,
        register: Callable[[ScanSource, Source], None],
    ) -> None:
        self._plan = plan
        self._scans = scans
        self._connection = connection
        self._register = register
        self._drivers = plan.drivers
        self._sets: dict[str, list[KeySet]] = {
            r.scan: list(_key_sets(r)) for r in plan.scans if r.feeds
        }
        self._keyed: list[KeyedScan] = []
        self._cleanup = ExitStack()

    def run(self, sources: Mapping[str, Source]) -> None:
        """Read the drivers, each behind those that feed it.

        Args:
            sources: Of the scans that are not fed.

        Raises:
            MoltlerError: A driver failed, or there are too many keys for a required field.
        """
        for request in self._plan.in_order:
            scan, source = self._scans[request.scan], sources[request.scan]
            if request.feeds and not request.is_empty:
                source = self._fed(scan, source)
            if request.scan in self._drivers:
                source = self._read(scan, source)
            if source is not sources[request.scan]:
                self._register(scan, source)

    def stop(self) -> None:
        """Stop calls, after the scans were closed; may be repeated, and by any thread."""
        for keyed in self._keyed:
            keyed.close()

    def close(self) -> None:
        """Remove what was kept, once the engine has let go of it."""
        self._cleanup.close()

    # ── the side that is fed ─────────────────────────────────────────────────────────────────

    def _fed(self, scan: ScanSource, plain: Source) -> Source:
        parts = choose([s for s in self._sets[scan.request.scan] if not s.is_given_up])
        if not parts:
            return plain
        count = math.prod(map(len, parts))
        if count > MOST_KEYS:
            raise error_class("PLN010")(
                "PLN010",
                f"`{scan.label}` would be called {count:,} times for the combinations of its keys; "
                f"{MOST_KEYS:,} calls are allowed",
                hint="narrow the other side of the join, or the lists, with a WHERE",
            )
        keyed = KeyedScan(scan, [_call(scan.request, p) for p in product(*parts)])
        self._keyed.append(keyed)
        return keyed

    # ── the side that is read first ──────────────────────────────────────────────────────────

    def _read(self, scan: ScanSource, source: Source) -> Source:
        """Read a driver's keys; to its end, or until nobody wants them any more."""
        request = scan.request
        types: dict[str, TypeName] = {p.name: p.type.name for p in scan.columns}
        fed = [
            keys
            for sets in self._sets.values()
            for keys in sets
            if keys.feeds[0].driver == request.scan
        ]
        spool = Spool(scan.schema)
        self._cleanup.callback(spool.close)
        pages = source.pages()
        try:
            for some in _gathered(pages, spool):
                for batch in self._that_count(scan, some):
                    for keys in fed:
                        keys.add(batch, types)
                if all(keys.is_given_up for keys in fed):
                    spool.seal()
                    half = HalfRead(scan.schema, spool, pages, source)
                    self._cleanup.callback(half.close)
                    return half
        except BaseException:
            stop(pages)
            raise
        spool.seal()
        return spool

    def _that_count(
        self, scan: ScanSource, pages: list[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Give the keys of rows that pass the driver's own conditions."""
        sql = scan.request.keys_sql
        if sql is None:
            yield from pages
            return
        self._register(scan, Kept(scan.schema, pages))
        yield from self._connection.query(sql, self._plan.parameters).batches()


def choose(sets: Sequence[KeySet]) -> list[list[Part]]:
    """Choose the keys to use where a scan may get several sets of them.

    Each set by itself leaves out only rows without a partner, so any of them may be passed over:
    more than one that needs several calls would multiply them.
    """
    required = [s.parts() for s in sets if s.is_required]
    others = sorted((s.parts() for s in sets if not s.is_required), key=len)
    chosen = list(required)
    for parts in others:
        if len(parts) <= 1 or all(len(c) <= 1 for c in chosen):
            chosen.append(parts)
    return chosen


def _gathered(pages: Iterator[pa.RecordBatch], spool: Spool) -> Iterator[list[pa.RecordBatch]]:
    """Spool pages and give them in larger and larger portions."""
    wanted, rows = _FIRST_ROWS, 0
    some: list[pa.RecordBatch] = []
    for page in pages:
        spool.append(page)
        some.append(page)
        rows += page.num_rows
        if rows >= wanted:
            yield some
            wanted, rows, some = min(2 * wanted, _MOST_ROWS), 0, []
    if some:
        yield some


def _key_sets(request: ScanRequest) -> Iterator[KeySet]:
    """Group the feeds of a scan: a set for each that takes lists, one for keys of the same rows."""
    fields = request.entity.fields
    label = f"{request.connector}.{request.entity.name}"
    groups: dict[object, list[Feed]] = {}
    for feed in request.feeds:
        is_alone = feed.driver is None or feed.operator == "in"
        groups.setdefault(feed.field if is_alone else feed.group, []).append(feed)
    for feeds in groups.values():
        declared = [fields.find(f.field) for f in feeds]
        types: tuple[TypeName, ...] = tuple(p.type.name for p in declared if p is not None)
        keys = KeySet(tuple(feeds), types, label)
        keys.keys.update(dict.fromkeys((v,) for v in feeds[0].values))
        yield keys


def _call(request: ScanRequest, parts: Iterable[Part]) -> KeyedCall:
    """Give the request of one call: its keys join what the handler is told anyway."""
    told = [pair for part in parts for pair in part]
    where: list[Predicate] = list(request.where)
    filters = dict(request.filters)
    listed = {f.field for f in request.feeds if f.driver is None}
    keys: dict[str, Cells] = {}
    for name, values in told:
        if len(values) == 1:
            condition = Condition(name, "=", values[0])
            filters[name] = values[0]
        else:
            condition = Condition(name, "in", values)
        if name in listed:
            # The list itself is what the handler cannot take.
            where = [condition if _is_list(p, name) else p for p in where]
        else:
            where.append(condition)
        declared = request.entity.fields.find(name)
        if declared is not None:
            unsigned = [v + 0.0 if isinstance(v, float) else v for v in values]
            keys[name] = pa.array(unsigned, scan_schema([declared]).field(0).type)
    ordered = {p.name: filters[p.name] for p in request.entity.fields if p.name in filters}
    return KeyedCall(
        replace(request, filters=ordered, where=tuple(where), feeds=(), keys_sql=None), keys
    )


def _is_list(predicate: Predicate, name: str) -> bool:
    return (
        isinstance(predicate, Condition) and predicate.field == name and predicate.operator == "in"
    )


# ── values ───────────────────────────────────────────────────────────────────────────────────────


def _values(
    batch: pa.RecordBatch, name: str, types: Mapping[str, TypeName], *, is_alone: bool
) -> Sequence[object]:
    column: Cells = batch.column(name)
    if is_alone:
        column = column.unique()
    return cells(column, BorderColumn(name, types[name], column.type))


def typed_key(value: object, type_: TypeName) -> Scalar:
    """Give a key in another field's type, where it equals the same values there and no others.

    Raises:
        Lossy: There is no such value.
    """
    match type_, value:
        case "number", float():
            return value + 0.0  # without the sign of zero
        case "number", int() if abs(value) <= _EXACT:
            return float(value)
        case "integer", float() if value.is_integer() and abs(value) < _EXACT:
            return int(value)
        case "date", datetime() if value.astimezone(UTC).time() == time():
            return value.astimezone(UTC).date()
        case "timestamp", datetime():
            return value
        case "timestamp", date():
            return datetime.combine(value, time(), UTC)
        case ("string", str()) | ("integer", int()) | ("boolean", bool()):
            return value
        case "date", date() if not isinstance(value, datetime):
            return value
        case _:
            raise Lossy
