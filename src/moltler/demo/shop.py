"""The shop's state: rows in memory, changed under a lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

from moltler.demo.goods import Row, first_items, first_orders, time_text
from moltler.schema import JsonValue

Collection = Literal["items", "orders"]
Change = Callable[[Row], Mapping[str, JsonValue]]


def _now() -> datetime:
    return datetime.now(UTC)


class Shop:
    """Items and orders; every row handed out is replaced, never changed.

    Args:
        now: Gives the time of a change.
    """

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        items = first_items()
        self._now = now
        self._lock = threading.RLock()
        self._rows: dict[Collection, dict[str, Row]] = {
            "items": {str(row["id"]): row for row in items},
            "orders": {str(row["id"]): row for row in first_orders(items)},
        }
        self._gone: dict[Collection, dict[str, str]] = {"items": {}, "orders": {}}
        self._created = {name: len(rows) for name, rows in self._rows.items()}
        self._replies: dict[str, Row] = {}
        self._counts: dict[str, int] = {}

    def rows(self, collection: Collection) -> list[Row]:
        """Give all rows, in the order of their ids."""
        with self._lock:
            return list(self._rows[collection].values())

    def get(self, collection: Collection, key: str) -> Row | None:
        """Give one row, or ``None``."""
        with self._lock:
            return self._rows[collection].get(key)

    def create(
        self, collection: Collection, values: Mapping[str, JsonValue], once: str | None = None
    ) -> tuple[Row, bool]:
        """Add a row under a new id; give it, and whether it is new.

        Args:
            collection: Where to.
            values: Its fields.
            once: An idempotency key: the second call with it gives the first call's row.
        """
        with self._lock:
            if once is not None and once in self._replies:
                return self._replies[once], False
            self._created[collection] += 1
            number = self._created[collection]
            key: JsonValue = f"item-{number:03d}" if collection == "items" else number
            moment = self._moment()
            born = "created_at" if collection == "items" else "placed_at"
            row: Row = {"id": key, **values, born: moment, "updated_at": moment, "version": 1}
            self._rows[collection][str(key)] = row
            if once is not None:
                self._replies[once] = row
            return row, True

    def change(self, collection: Collection, key: str, change: Change) -> Row | None:
        """Replace fields of a row and give it, or ``None`` if there is none.

        Args:
            collection: Where it is.
            key: Its id.
            change: Told the row, gives the new values of some fields; may raise, and then
                nothing has changed.
        """
        with self._lock:
            old = self._rows[collection].get(key)
            if old is None:
                return None
            version = old["version"]
            grown = (version if isinstance(version, int) else 0) + 1
            row = {**old, **change(old), "updated_at": self._moment(), "version": grown}
            self._rows[collection][key] = row
            return row

    def put(self, collection: Collection, key: str, values: Mapping[str, JsonValue]) -> bool:
        """Store a whole row under an id; tell whether it is new."""
        with self._lock:
            if self.change(collection, key, lambda _: values) is not None:
                return False
            moment = self._moment()
            self._gone[collection].pop(key, None)
            self._rows[collection][key] = {
                "id": key, **values, "created_at": moment, "updated_at": moment, "version": 1,
            }  # fmt: skip
            return True

    def delete(self, collection: Collection, key: str) -> bool:
        """Take a row out; tell whether there was one."""
        with self._lock:
            if self._rows[collection].pop(key, None) is None:
                return False
            self._gone[collection][key] = self._moment()
            return True

    def gone(self, collection: Collection) -> Mapping[str, str]:
        """Give the ids of deleted rows and when they went."""
        with self._lock:
            return dict(self._gone[collection])

    def orders_of(self, item: str) -> list[str]:
        """Give the ids of an item's orders."""
        return [str(row["id"]) for row in self.rows("orders") if row["item_id"] == item]

    def count(self, what: str) -> int:
        """Count something, from 1."""
        with self._lock:
            self._counts[what] = self._counts.get(what, 0) + 1
            return self._counts[what]

    def _moment(self) -> str:
        return time_text(self._now())
