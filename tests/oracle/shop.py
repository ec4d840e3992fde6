"""An API that changes while it is read, stamps its rows by a clock of its own, and refuses."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from moltler.errors import error_class
from oracle.history import Api, Fault, Sync
from support.clock import HandClock
from support.handlers import Table, entity

Row = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FUTURE = datetime(2999, 1, 1, tzinfo=UTC)
TYPES = ("integer", "number", "string")
"""What the field `value` is declared as, one after the other."""


class Killed(BaseException):
    """The program has died at this point."""


@dataclass
class Record:
    """A row of the API."""

    row: Row
    seen_from: datetime
    """Nobody sees it before."""


@dataclass
class Shop:
    """The API.

    Args:
        api: How it is.
        sync: How it is copied.
        clock: Ours; its own may differ.
    """

    api: Api
    sync: Sync
    clock: HandClock
    records: dict[int, Record] = field(default_factory=dict[int, Record])
    level: int = 0
    """How far `value` has widened."""
    has_extra: bool = False
    delivered: list[Row] = field(default_factory=list[Row])
    """Every row that was given away in this run, in order."""
    answered: list[int] = field(default_factory=list[int])
    """For each call of the handler, how many rows had been delivered before it."""
    called: list[datetime] = field(default_factory=list[datetime])
    """When that was, by its own clock."""
    faults: dict[int, Fault] = field(default_factory=dict[int, Fault])
    crash: Callable[[Fault], None] = lambda _fault: None
    changed: set[int] = field(default_factory=set[int])
    """Rows that were touched while they were read."""
    outside: set[int] = field(default_factory=set[int])
    """Rows that no cursor can find: without one, or dated in the future."""
    _pages: int = 0
    _next: int = 0
    _version: int = 0
    _numbers: int = 0

    @property
    def now(self) -> datetime:
        """The time by the API's clock."""
        return self.clock.now() + timedelta(seconds=self.api.skew_s)

    # ── changes ──────────────────────────────────────────────────────────────────────────────

    def insert(self, number: int) -> int:
        """Add one to four rows; give the last one's id."""
        for _ in range(number % 4 + 1):
            self._next += 1
            self._write(self._next)
        return self._next

    def update(self, number: int) -> int | None:
        """Change a row."""
        found = self._choose(number)
        if found is not None:
            self._write(found)
        return found

    def late(self, number: int) -> None:
        """Change or add a row that becomes visible some seconds after its stamp."""
        if number % 2:
            self._next += 1
        chosen = self._next if number % 2 else self._choose(number)
        if chosen is None:
            return
        # Whoever reads meanwhile sees the row as it was, or no row.
        before = self.records.get(chosen)
        if before is not None and before.seen_from > self.clock.now():
            return
        self._write(chosen)
        record = self.records[chosen]
        record.seen_from = self.clock.now() + timedelta(seconds=self.api.in_time * (number % 5) / 5)
        if before is not None:
            self.pending[chosen] = before

    pending: dict[int, Record] = field(default_factory=dict[int, Record])
    """What is seen of a row while its change is not visible yet."""

    def delete(self, number: int) -> None:
        """Take a row away, or mark it as deleted if the API does that."""
        found = self._choose(number)
        if found is None:
            return
        if self.sync.deletes == "FIELD":
            self._write(found, removed=True)
        else:
            del self.records[found]
            self.pending.pop(found, None)

    def future(self) -> None:
        """Add a row that is dated in a far future."""
        self._next += 1
        self._write(self._next)
        self.records[self._next].row["changed"] = (
            _FUTURE if self.sync.cursor == "timestamp" else 10**12
        )
        self.outside.add(self._next)

    def null(self) -> None:
        """Add a row without a cursor."""
        self._next += 1
        self._write(self._next)
        self.records[self._next].row["changed"] = None
        self.outside.add(self._next)

    def evolve(self, number: int) -> None:
        """Change the fields: a new one, or a wider type."""
        if number % 2 or self.level == len(TYPES) - 1:
            self.has_extra = True
        else:
            self.level += 1

    def _choose(self, number: int) -> int | None:
        found = sorted(i for i in self.records if i not in self.outside)
        return found[number % len(found)] if found else None

    def _write(self, key: int, *, removed: bool = False) -> None:
        self._version += 1
        self._numbers += 1
        self.pending.pop(key, None)
        row: Row = {
            "id": key,
            "name": f"v{self._version}",
            "value": self._version,
            "changed": self._stamp(),
            "removed": removed,
            "extra": f"e{self._version}",
        }
        self.records[key] = Record(row, self.clock.now())

    def _stamp(self) -> Any:
        if self.sync.cursor == "integer":
            # A sequence that is taken by several writers at once: numbers repeat.
            return self._numbers // 2
        tick = timedelta(seconds=self.api.tick_s)
        return _EPOCH + (self.now - _EPOCH) // tick * tick

    # ── what is seen ─────────────────────────────────────────────────────────────────────────

    def first_answer(self) -> datetime:
        """Give the time at which the first call began that gave rows away."""
        found = [
            at
            for at, start, end in zip(
                self.called,
                self.answered,
                [*self.answered[1:], len(self.delivered)],
                strict=True,
            )
            if end > start
        ]
        return found[0] if found else self.now

    def visible(self) -> dict[int, Row]:
        """Give the rows that a reader sees now, with the fields there are."""
        found: dict[int, Row] = {}
        for key, record in self.records.items():
            shown = record
            if record.seen_from > self.clock.now():
                before = self.pending.get(key)
                if before is None:
                    continue
                shown = before
            found[key] = self.shaped(shown.row)
        return found

    def shaped(self, row: Row) -> Row:
        """Give a row with the fields and types there are now."""
        value: Any = row["value"]
        if TYPES[self.level] == "number":
            value = value + 0.5
        elif TYPES[self.level] == "string":
            value = f"s{value}"
        shown = {k: row[k] for k in ("id", "name", "changed", "removed")} | {"value": value}
        return shown | {"extra": row["extra"]} if self.has_extra else shown

    def table(self) -> Table:
        """Give the entity as it is declared now."""
        extra = ", extra string" if self.has_extra else ""
        schema = (
            f"id integer key, name string, changed {self.sync.cursor}, removed boolean, "
            f"value {TYPES[self.level]}{extra}"
        )
        made = entity(
            "items",
            schema,
            self._answer,
            order_by=["changed"] if self.api.order == "claimed" else [],
        )
        return Table(made.entity, made.rows, server_time=lambda: self.called[-1])

    # ── answering ────────────────────────────────────────────────────────────────────────────

    def begin(self, faults: tuple[Fault, ...]) -> None:
        """Forget the last run; the faults are for the next one."""
        self.delivered.clear()
        self.answered.clear()
        self.called.clear()
        self.changed.clear()
        self.faults = {f.page: f for f in faults}
        self._pages = 0

    def _answer(self, _config: Any, _filters: Any, options: Any) -> Iterator[list[Row]]:
        self.answered.append(len(self.delivered))
        self.called.append(self.now)
        given: set[int] = set()
        draw = random.Random(self._pages)
        after: tuple[Any, int] | None = None
        while True:
            self._fail()
            rows = [r for r in self._sorted(options, draw) if after is None or self._key(r) > after]
            if self.api.order == "random":
                rows = [r for r in rows if r["id"] not in given]
            page = rows[: self.api.page_size]
            if not page:
                return
            after = None if self.api.order == "random" else self._key(page[-1])
            given.update(r["id"] for r in page)
            if options.get("fields") != ["id"]:
                self.delivered += page
            yield page
            if self.api.repeats and draw.random() < 0.3 and self.api.order != "claimed":
                if options.get("fields") != ["id"]:
                    self.delivered += page
                yield page
                yield []

    def _fail(self) -> None:
        fault = self.faults.pop(self._pages, None)
        self._pages += 1
        match fault.kind if fault else None:
            case "refused":
                raise error_class("API003")("API003", "slow down", retry_after=2.0)
            case "sent away":
                raise error_class("API003")("API003", "come back later", retry_after=3600.0)
            case "broken":
                raise error_class("API001")("API001", "the connection broke")
            case "insert":
                assert fault is not None
                self._next += 1
                self._write(self._next)
                self.changed.add(self._next)
            case "update":
                assert fault is not None
                found = self.update(fault.seed)
                if found is not None:
                    self.changed.add(found)
            case "crash before" | "crash after":
                assert fault is not None
                self.crash(fault)
            case None:
                pass

    def _sorted(self, options: Any, draw: random.Random) -> list[Row]:
        rows = list(self.visible().values())
        since = options.get("since")
        if since is not None and self.api.honours_since:
            bound: Any = datetime.fromisoformat(since) if isinstance(since, str) else since
            rows = [r for r in rows if r["changed"] is not None and r["changed"] >= bound]
        if self.api.order == "random":
            draw.shuffle(rows)
            return rows
        return sorted(rows, key=self._key)

    def _key(self, row: Row) -> tuple[Any, int]:
        if self.api.order == "by id":
            return (0, row["id"])
        changed = row["changed"]
        last = changed is None
        if self.sync.cursor == "timestamp":
            return ((last, _FUTURE if changed is None else changed), row["id"])
        return ((last, 0 if changed is None else changed), row["id"])
