"""What a table must hold after each run, worked out in the plainest way there is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from oracle.history import Sync
from oracle.shop import TYPES, Row

MARGIN = timedelta(seconds=5)


@dataclass
class Rule:
    """The table that an exact sync makes."""

    sync: Sync
    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    deleted: set[int] = field(default_factory=set[int])
    watermark: Any = None
    has_run: bool = False
    level: int = 0

    @property
    def live(self) -> list[Row]:
        """The rows that are shown."""
        return [r for k, r in self.rows.items() if k not in self.deleted]

    def low(self) -> Any:
        """Give the lower bound of the next window."""
        if self.watermark is None or self.sync.lookback_s is None:
            return self.watermark
        return self.watermark - timedelta(seconds=self.sync.lookback_s)

    def full(self, delivered: list[Row], latest: datetime, level: int) -> None:
        """Take a complete copy."""
        self.rows, self.deleted, self.level = {}, set(), level
        self.has_run = True
        self.watermark = None
        for row in delivered:
            self._merge(row)
        if self.sync.is_incremental:
            self.watermark = self._greatest(delivered, latest)

    def window(self, delivered: list[Row], low: Any, level: int, high: Any = None) -> None:
        """Take what came of a window."""
        inside = [r for r in delivered if self._is_inside(r["changed"], low, high)]
        if inside:
            self._widen(level)
        for row in inside:
            self._merge(row)

    def advance(self, delivered: list[Row], latest: datetime) -> None:
        """Move the watermark after a complete scan."""
        low = self.low()
        inside = [r for r in delivered if low is None or (r["changed"] or low) >= low]
        greatest = self._greatest(inside, latest)
        if greatest is not None and (self.watermark is None or greatest > self.watermark):
            self.watermark = greatest

    def sweep(self, keys: set[int]) -> None:
        """Let what is gone be deleted, and what is back be live."""
        self.deleted = set(self.rows) - keys

    def _is_inside(self, changed: Any, low: Any, high: Any) -> bool:
        if changed is None:
            return high is None
        return (low is None or changed >= low) and (high is None or changed < high)

    def _greatest(self, delivered: list[Row], latest: datetime) -> Any:
        known = [r["changed"] for r in delivered if r["changed"] is not None]
        if self.sync.cursor == "timestamp":
            known = [k for k in known if k <= latest]
        return max(known, default=None)

    def _merge(self, row: Row) -> None:
        key = row["id"]
        old = self.rows.get(key)
        if old is not None and self.sync.is_incremental:
            was, now = old["changed"], row["changed"]
            if was is not None and (now is None or now < was):
                return
        self.rows[key] = (old or {}) | row
        self.deleted.discard(key)
        if self.sync.deletes == "FIELD" and row["removed"]:
            self.deleted.add(key)

    def _widen(self, level: int) -> None:
        while self.level < level:
            self.level += 1
            for row in self.rows.values():
                value = row["value"]
                if TYPES[self.level] == "number":
                    row["value"] = float(value)
                else:
                    whole = float(value).is_integer()
                    row["value"] = str(int(value)) if whole else str(value)
