"""Lists of rows: filters, order, and pages by cursor or by number."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from moltler.demo.goods import Row, time_text
from moltler.demo.messages import Refusal
from moltler.demo.shop import Collection
from moltler.schema import JsonValue

LARGEST_PAGE = 100
Test = Callable[[Row], bool]
_Key = tuple[str | float, str | float]


def _among(field: str) -> Callable[[str], Test]:
    def make(text: str) -> Test:
        wanted = set(text.split(","))
        return lambda row: str(row[field]) in wanted

    return make


def _equal(field: str) -> Callable[[str], Test]:
    return lambda text: lambda row: row[field] == text


def _containing(field: str) -> Callable[[str], Test]:
    return lambda text: lambda row: text.lower() in str(row[field]).lower()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise Refusal(400, f"`{text}` is not a number") from error


def _at_least(field: str) -> Callable[[str], Test]:
    return lambda text: _compare(field, _number(text), at_least=True)


def _at_most(field: str) -> Callable[[str], Test]:
    return lambda text: _compare(field, _number(text), at_least=False)


def _compare(field: str, bound: float, *, at_least: bool) -> Test:
    def test(row: Row) -> bool:
        value = row[field]
        if not isinstance(value, (int, float)):
            return False
        return value >= bound if at_least else value <= bound

    return test


def read_time(text: str) -> datetime:
    """Read an ISO 8601 time; without a zone it is UTC.

    Raises:
        Refusal: 400, it is not one.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refusal(400, f"`{text}` is not an ISO 8601 time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _since(field: str) -> Callable[[str], Test]:
    def make(text: str) -> Test:
        bound = read_time(text)
        return lambda row: datetime.fromisoformat(str(row[field])) >= bound

    return make


def _before(field: str) -> Callable[[str], Test]:
    def make(text: str) -> Test:
        bound = read_time(text)
        return lambda row: datetime.fromisoformat(str(row[field])) < bound

    return make


FILTERS: Mapping[Collection, Mapping[str, Callable[[str], Test]]] = {
    "items": {
        "status": _among("status"),
        "ids": _among("id"),
        "name": _equal("name"),
        "search": _containing("name"),
        "min_price": _at_least("price"),
        "max_price": _at_most("price"),
        "created_since": _since("created_at"),
        "created_before": _before("created_at"),
        "updated_since": _since("updated_at"),
    },
    "orders": {
        "state": _among("state"),
        "ids": _among("id"),
        "item_id": _among("item_id"),
        "customer": _equal("customer"),
        "min_total": _at_least("total"),
        "max_total": _at_most("total"),
        "placed_since": _since("placed_at"),
        "placed_before": _before("placed_at"),
        "updated_since": _since("updated_at"),
    },
}
"""Query parameters that choose rows; lists are separated by commas."""

SORTS: Mapping[Collection, tuple[str, ...]] = {
    "items": ("id", "name", "price", "created_at", "updated_at"),
    "orders": ("id", "total", "placed_at", "updated_at"),
}
"""Fields that ``sort`` takes, with ``-`` before them for the greatest first."""

PAGING = ("sort", "limit", "cursor", "page")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    rows: list[Row]
    total: int
    """Rows on all pages."""
    next_cursor: str | None
    number: int
    """From 1; counted only if the page was asked for by number."""
    count: int
    """Pages there are."""


def choose(collection: Collection, rows: list[Row], query: Mapping[str, str]) -> list[Row]:
    """Give the rows that all filters of a query accept.

    Raises:
        Refusal: 400, an unknown parameter or a value that cannot be read.
    """
    known = FILTERS[collection]
    unknown = [name for name in query if name not in known and name not in PAGING]
    if unknown:
        raise Refusal(
            400,
            f"unknown parameter `{unknown[0]}`",
            more={"allowed": [*known, *PAGING]},
        )
    tests = [make(query[name]) for name, make in known.items() if name in query]
    return [row for row in rows if all(test(row) for test in tests)]


def list_page(collection: Collection, rows: list[Row], query: Mapping[str, str]) -> Page:
    """Give one page of the rows that a query asks for.

    Raises:
        Refusal: 400.
    """
    field, descending = _sort_key(collection, query.get("sort") or "id")
    chosen = sorted(
        choose(collection, rows, query), key=lambda r: _key(r, field), reverse=descending
    )
    size = page_size(query)
    number = _whole(query, "page", 1)
    start = (number - 1) * size
    cursor = query.get("cursor")
    if cursor:
        start = _place_after(_read_cursor(cursor), [_key(r, field) for r in chosen], descending)
    window = chosen[start : start + size]
    more = start + size < len(chosen)
    return Page(
        rows=window,
        total=len(chosen),
        next_cursor=_write_cursor(_key(window[-1], field)) if more else None,
        number=number,
        count=max(1, -(-len(chosen) // size)),
    )


def page_size(query: Mapping[str, str]) -> int:
    """Give the rows of a page: what ``limit`` says, silently at most 100."""
    return min(LARGEST_PAGE, _whole(query, "limit", LARGEST_PAGE))


def per_minute(orders: list[Row], query: Mapping[str, str], *, padded: bool) -> list[Row]:
    """Count orders per minute of a window, with or without the minutes that have none."""
    chosen = choose("orders", orders, query)
    counts: dict[str, int] = {}
    if padded and {"placed_since", "placed_before"} <= query.keys():
        first, last = read_time(query["placed_since"]), read_time(query["placed_before"])
        minutes = int((last - first).total_seconds() // 60)
        if minutes > 1_440:
            raise Refusal(400, "the window is longer than a day")
        counts = {_minute(first.timestamp() + 60 * n): 0 for n in range(minutes)}
    for order in chosen:
        minute = _minute(datetime.fromisoformat(str(order["placed_at"])).timestamp())
        counts[minute] = counts.get(minute, 0) + 1
    return [{"minute": minute, "orders": count} for minute, count in sorted(counts.items())]


def _minute(seconds: float) -> str:
    return time_text(datetime.fromtimestamp(seconds // 60 * 60, UTC))


def _sort_key(collection: Collection, text: str) -> tuple[str, bool]:
    field = text.removeprefix("-")
    if field not in SORTS[collection]:
        raise Refusal(
            400,
            f"`{collection}` cannot be sorted by `{field}`",
            more={"allowed": [*SORTS[collection]]},
        )
    return field, text.startswith("-")


def _key(row: Row, field: str) -> _Key:
    # Ties are settled by the id, so that every page has one place to go on from.
    return _comparable(row[field]), _comparable(row["id"])


def _comparable(value: JsonValue) -> str | float:
    return value if isinstance(value, (int, float)) else str(value)


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise Refusal(400, f"`{name}` must be a whole number from 1, not `{text[:20]}`")
    return int(text)


def _place_after(last: _Key, keys: list[_Key], descending: bool) -> int:  # noqa: FBT001
    try:
        return sum(1 for key in keys if (key >= last if descending else key <= last))
    except TypeError as error:
        raise Refusal(400, "the cursor belongs to another `sort`") from error


def _write_cursor(key: _Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> _Key:
    try:
        found: JsonValue = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error) as error:
        raise Refusal(400, "the cursor is not one of ours") from error
    if not isinstance(found, list) or len(found) != 2:
        raise Refusal(400, "the cursor is not one of ours")
    return _comparable(found[0]), _comparable(found[1])
