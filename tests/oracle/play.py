"""Plays a history: after every run the table is compared with the rule, and with the API."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from moltler.errors import MoltlerError
from moltler.exec.duck import Engine
from moltler.flow.sync import Scope, SyncState
from moltler.sync.run import RunOutcome, run_job
from oracle.history import Fault, History, Step, without
from oracle.rule import MARGIN, Rule
from oracle.shop import Killed, Row, Shop
from oracle.twin import Twin
from support.handlers import PythonHandlers
from support.syncing import SyncBench

_REST_S = 61.0
"""After so long the lease of a dead run is over."""
_DEADLY = frozenset({"commit", "swap", "release"})
"""Transactions around which programs die."""


class Wrong(AssertionError):  # noqa: N818 - a verdict
    """The table is not what it must be."""


@dataclass
class Count:
    """How much was compared."""

    runs: int = 0
    failed: int = 0
    crashes: int = 0
    rows: int = 0
    incremental: int = 0
    waits: int = 0


@dataclass
class Play:
    """One history under way.

    Args:
        history: What happens.
        engine: For conditions.
        count: Adds up what was compared.
        twin: Given every transaction as well; see `oracle.twin`.
    """

    history: History
    engine: Engine
    count: Count
    twin: Twin | None = None
    bench: SyncBench = field(init=False)
    shop: Shop = field(init=False)
    rule: Rule = field(init=False)

    def __post_init__(self) -> None:
        self.bench = SyncBench(self.engine)
        self.shop = Shop(self.history.api, self.history.sync, self.bench.clock)
        self.shop.crash = self._crash
        self.rule = Rule(self.history.sync)
        self._partial: list[Row] = []
        self._is_dead = False
        self._crashing: Fault | None = None
        memory = self.bench.memory
        memory.before = self._before
        memory.after = self._after
        if self.twin is not None:
            self.twin.shadow(self.bench)

    def run(self) -> None:
        """Play it to its end.

        Raises:
            Wrong: A difference.
        """
        for index, step in enumerate(self.history.steps):
            try:
                self._step(step)
            except Wrong as wrong:
                raise Wrong(f"step {index} ({step.do} {step.number}): {wrong}") from None

    def _step(self, step: Step) -> None:
        shop, number = self.shop, step.number
        match step.do:
            case "advance":
                self.bench.clock.advance(number)
            case "insert":
                shop.insert(number)
            case "update":
                shop.update(number)
            case "delete":
                shop.delete(number)
            case "late" if self.history.sync.cursor == "timestamp":
                shop.late(number)
            case "late":
                shop.update(number)
            case "future" if self.history.sync.cursor == "timestamp":
                shop.future()
            case "future":
                shop.insert(number)  # nothing tells a far number from a near one
            case "null":
                shop.null()
            case "schema":
                shop.evolve(number)
            case "sync":
                self._sync(step, is_full=False)
            case "full":
                self._sync(step, is_full=True)
            case "backfill":
                self._backfill(step)

    # ── runs ─────────────────────────────────────────────────────────────────────────────────

    def _sync(self, step: Step, *, is_full: bool) -> None:
        asked = self.history.sync
        before = self._state()
        last = self.bench.memory.store.last.get("t", 0)
        resumes = before is not None and before.resume_generation == last > before.generation
        visible = self.shop.visible()
        began = self.bench.clock.now()
        low = self.rule.low()
        outcome = self._run(
            step,
            on="changed" if asked.is_incremental else None,
            full=is_full,
            lookback=asked.lookback_s,
            deletes=asked.deletes,
            deletes_field="removed" if asked.deletes == "FIELD" else None,
            allow_empty=True,
        )
        self.count.runs += 1
        if outcome is None:
            self._after_crash(before)
            return
        latest = min(began, self.shop.first_answer()) - MARGIN
        delivered = list(self.shop.delivered)
        if outcome.record.mode == "full":
            self._after_full(outcome, delivered, latest, resumes=resumes)
        else:
            self.count.incremental += 1
            self._after_window(outcome, delivered, low, latest)
        self._compare(f"after {outcome.record.status} {outcome.record.mode}")
        if outcome.error is None and outcome.record.status == "ok":
            self._promise(visible)
            self._check_watermark(latest, outcome)

    def _after_full(
        self, outcome: RunOutcome, delivered: list[Row], latest: datetime, *, resumes: bool
    ) -> None:
        # A scan that broke off counts if the next one went on behind it.
        last_anew = 0
        for start in self.shop.answered[1:]:
            if not self._goes_on(delivered[last_anew:start], latest):
                last_anew = start
        own = delivered[last_anew:]
        whole = (self._partial if resumes and last_anew == 0 else []) + own
        if outcome.record.status == "ok":
            self.rule.full(whole, latest, self.shop.level)
            if whole is not own and self.history.sync.deletes != "FIELD":
                # What went away while the run was suspended must not stay.
                self.rule.sweep(set(self.shop.visible()))
            self._partial = []
        elif outcome.record.status == "suspended":
            self._partial = whole
        else:
            self.count.failed += 1

    def _after_window(
        self, outcome: RunOutcome, delivered: list[Row], low: Any, latest: datetime
    ) -> None:
        self.rule.window(delivered, low, self.shop.level)
        if outcome.record.status == "ok":
            if self.history.sync.deletes == "SWEEP":
                self.rule.sweep(set(self.shop.visible()))
                self.rule.level = self.shop.level
            self.rule.advance(delivered, latest)
            return
        self.count.failed += 1
        self._believe_watermark(latest)

    def _goes_on(self, delivered: list[Row], latest: datetime) -> bool:
        if self.history.api.order != "claimed" or not self.history.sync.is_incremental:
            return False
        known = [r["changed"] for r in delivered if r["changed"] is not None]
        if self.history.sync.cursor == "timestamp":
            known = [k for k in known if k <= latest]
        return bool(known)

    def _backfill(self, step: Step) -> None:
        if self.history.sync.cursor != "timestamp" or not self.rule.has_run:
            return
        if not self.history.sync.is_incremental:
            return
        now = self.bench.clock.now()
        low, high = now - timedelta(seconds=step.number * 5 + 10), now - timedelta(seconds=5)
        outcome = self._run(step, on="changed", bounds=(low, high))
        before = self.rule.watermark
        if outcome is None:
            self._after_crash(self._state())
            return
        if outcome.record.status == "failed" and outcome.error is None:
            raise Wrong("failed without an error")
        self.rule.window(list(self.shop.delivered), low, self.shop.level, high)
        self._compare("after a backfill")
        state = self._state()
        if state is not None and state.resume is None and state.watermark != before:
            raise Wrong(f"the backfill moved the watermark from {before} to {state.watermark}")

    def _run(self, step: Step, **asked: Any) -> RunOutcome | None:
        faults = step.faults
        if self.history.sync.cursor == "integer" and self.history.api.order in {"by id", "random"}:
            # A sequence has no margin: what changes behind the reader may be passed for good.
            faults = tuple(f for f in faults if f.kind not in {"insert", "update"})
        self.shop.begin(faults)
        table = self.shop.table()
        job = self.bench.job(table, batch_rows=self.history.sync.batch_rows, retry_count=1, **asked)
        tools = self.bench.tools(PythonHandlers({"shop": [table]}))
        self._is_dead, self._crashing = False, None
        try:
            outcome = run_job(job, replace(tools, heartbeat_s=3600.0))
        except Killed:
            self.count.crashes += 1
            self.bench.clock.advance(_REST_S)
            self._is_dead, self._crashing = False, None
            return None
        finally:
            self.count.waits += len(self.bench.pauses)
            self.bench.pauses.clear()
        error = outcome.error
        if error is not None and not _is_expected(error):
            raise Wrong(f"{error.code}: {error.message}") from error
        return outcome

    # ── crashes ──────────────────────────────────────────────────────────────────────────────

    def _crash(self, fault: Fault) -> None:
        self._crashing = fault

    def _before(self, what: str) -> None:
        if self._is_dead:
            raise Killed
        is_now = self._crashing is not None and self._crashing.kind == "crash before"
        if is_now and what in _DEADLY:
            self._is_dead = True
            raise Killed

    def _after(self, what: str) -> None:
        if self._crashing is not None and what in _DEADLY:
            self._is_dead = True
            raise Killed

    def _after_crash(self, before: Any) -> None:
        """Believe the table: what it holds must have come from the API, and stay honest later."""
        self._partial = [*self._partial, *self.shop.delivered]
        state = self._state()
        table = (
            {r["id"]: r for r in self.bench.memory.rows("t")}
            if self.bench.memory.store.visible
            else {}
        )
        given = [(r["id"], r["name"]) for r in self.shop.delivered]
        known = {(r["id"], r["name"]) for r in self.rule.rows.values()} | set(given)
        invented = [r for r in table.values() if (r["id"], r["name"]) not in known]
        if invented:
            raise Wrong(f"after a crash, rows from nowhere: {invented}")
        marked = {r["id"] for r in self.shop.delivered if r["removed"]}
        unseen = set(self.shop.visible()) if self.history.sync.deletes == "SWEEP" else None
        lost = {r["id"] for r in self.rule.live} - set(table) - marked
        lost = lost if unseen is None else lost & unseen
        if lost and state == before:
            raise Wrong(f"after a crash, rows are gone: {lost}")
        self._adopt()

    def _adopt(self) -> None:
        memory, state = self.bench.memory, self._state()
        self.rule.rows, self.rule.deleted = {}, set()
        if not memory.store.visible:
            return
        self.rule.has_run = True
        for row in memory.all_rows("t"):
            plain = {k: v for k, v in row.items() if not k.startswith("_")}
            self.rule.rows[row["id"]] = plain
            if row["_deleted_at"] is not None:
                self.rule.deleted.add(row["id"])
        self.rule.watermark = state.watermark if state is not None else None
        types = [str(c.type) for c in memory.generation("t").columns if c.name == "value"]
        self.rule.level = ("integer", "number", "string").index(types[0])

    # ── comparing ────────────────────────────────────────────────────────────────────────────

    def _compare(self, when: str) -> None:
        found = {r["id"]: _comparable(r) for r in self.bench.memory.rows("t")}
        wanted = {r["id"]: _comparable(r) for r in self.rule.live}
        self.count.rows += len(wanted)
        if self.twin is not None:
            copied = {r["id"]: _comparable(r) for r in self.twin.rows()}
            if copied != found:
                raise Wrong(f"{when} the other destination differs: {copied} and not {found}")
        if len(found) != len(self.bench.memory.rows("t")):
            raise Wrong(f"{when}: a key is there twice")
        if found != wanted:
            lines = [
                f"  {key}: {found.get(key)} should be {wanted.get(key)}"
                for key in sorted({*found, *wanted})
                if found.get(key) != wanted.get(key)
            ]
            raise Wrong(f"{when} the table differs from the rule:\n" + "\n".join(lines))

    def _promise(self, visible: dict[int, Row]) -> None:
        """Compare with the API itself: every row that stood still is there as it is."""
        table = {r["id"]: r for r in self.bench.memory.rows("t")}
        now = self.shop.visible()
        for key, row in visible.items():
            if key in self.shop.outside or key in self.shop.changed or now.get(key) != row:
                continue
            shown = table.get(key)
            is_gone = self.history.sync.deletes == "FIELD" and row["removed"]
            if is_gone and shown is None:
                continue
            if is_gone or shown is None or shown["name"] != row["name"]:
                raise Wrong(f"row {key} is {shown}, and {row} in the API")
        if self.history.sync.deletes == "SWEEP" or not self.history.sync.is_incremental:
            extra = set(table) - set(now) - self.shop.changed
            if extra:
                raise Wrong(f"rows {extra} are gone from the API, and still there")

    def _check_watermark(self, latest: datetime, outcome: RunOutcome) -> None:
        if not self.history.sync.is_incremental:
            return
        state = self._state()
        mark = state.watermark if state is not None else None
        if mark != self.rule.watermark:
            raise Wrong(f"the watermark is {mark} and should be {self.rule.watermark}")
        if isinstance(mark, datetime) and mark > latest and outcome.record.watermark_before != mark:
            raise Wrong(f"the watermark {mark} passed {latest}")

    def _believe_watermark(self, latest: datetime) -> None:
        state = self._state()
        mark = state.watermark if state is not None else None
        was = self.rule.watermark
        if mark != was and self.history.api.order != "claimed":
            raise Wrong(f"a run that did not end moved the watermark from {was} to {mark}")
        if mark is not None and was is not None and mark < was:
            raise Wrong(f"the watermark went back from {was} to {mark}")
        if isinstance(mark, datetime) and mark != was and mark > latest:
            raise Wrong(f"the watermark {mark} passed {latest}")
        self.rule.watermark = mark

    def _state(self) -> SyncState | None:
        return self.bench.memory.state(Scope("shop", "items", "t"))


def _comparable(row: Row) -> tuple[Any, ...]:
    return (row["id"], row["name"], row["changed"], row["value"], row.get("extra"))


def _is_expected(error: MoltlerError) -> bool:
    # A row that changes while it is read comes again, and three times in a row looks like a pager
    # that is stuck.
    return error.code in {"API001", "API003", "JSR008"}


def shrink(history: History, engine: Engine) -> History:
    """Leave out steps as long as it still goes wrong."""
    index = 0
    while index < len(history.steps):
        shorter = without(history, index)
        try:
            Play(shorter, engine, Count()).run()
        except Wrong:
            history = shorter
        else:
            index += 1
    return history
