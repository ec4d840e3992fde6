"""Oddities of reads: shapes of answers and odd values."""

from __future__ import annotations

from datetime import timedelta

from moltler.demo.api import PlainApi
from moltler.demo.goods import Row, time_text
from moltler.demo.listing import per_minute, read_time
from moltler.demo.messages import Answer, Refusal, Request
from moltler.demo.quirks.quirk import Ask, Quirk, asks_for_list
from moltler.schema import JsonValue

BEYOND_DOUBLES = 2**53
"""From here on not every integer is a JavaScript number."""


def _search_by_post(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if asks_for_list(request):
        raise Refusal(405, f"search with POST {request.path.rstrip('/')}/search")
    return ask(request)


def _give_cells(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    if not asks_for_list(request):
        return answer
    names = list(answer.rows[0]) if answer.rows else []
    cells: list[JsonValue] = [[row[name] for name in names] for row in answer.rows]
    rest = {k: v for k, v in answer.document.items() if k != "items"}
    columns: list[JsonValue] = [{"name": name} for name in names]
    return Answer(200, {"columns": columns, "rows": cells, **rest})


def _give_array_without_page(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    if asks_for_list(request) and "page" not in request.query:
        return Answer(200, [*answer.rows])
    return answer


def _leave_empty_out(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    return Answer(200, {}) if asks_for_list(request) and not answer.rows else answer


def _filter_after_paging(request: Request, ask: Ask, api: PlainApi) -> Answer:
    wanted = {name: request.query.get(name) for name in ("status", "state")}
    answer = ask(request.asking(status=None, state=None))
    if not asks_for_list(request):
        return answer
    kept = [r for r in answer.rows if all(not v or r.get(n) == v for n, v in wanted.items())]
    return answer.showing(kept)


def _write_text(value: JsonValue, name: str) -> JsonValue:
    if name in {"price", "total", "stock", "quantity"}:
        return "NaN" if value is None else str(value)
    return value


def _give_text(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    rows = [{name: _write_text(v, name) for name, v in row.items()} for row in answer.rows]
    return answer.showing(rows) if rows else answer


def _grow(row: Row) -> Row:
    key = row["id"]
    number = key if isinstance(key, int) else int(str(key).rpartition("-")[2])
    return {**row, "id": BEYOND_DOUBLES + 2 * number - 1}


def _give_huge_ids(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    return answer.showing([_grow(row) for row in answer.rows]) if answer.rows else answer


def _close_windows(request: Request, ask: Ask, api: PlainApi) -> Answer:
    later: dict[str, str | None] = {
        name: time_text(read_time(value) + timedelta(milliseconds=1))
        for name, value in request.query.items()
        if name in {"placed_before", "created_before"} and value
    }
    return ask(request.asking(**later))


def _pad_minutes(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    if request.method != "GET" or request.path.strip("/") != "orders/by-minute":
        return answer
    rows = per_minute(api.shop.rows("orders"), request.query, padded=True)
    return Answer(200, {"items": [*rows]})


READING = (
    Quirk(
        "search-by-post",
        "POST .../search with a JSON body is the only way to read a list.",
        _search_by_post,
    ),
    Quirk(
        "rows-as-cells",
        "Rows are arrays of cells, and the names of the columns stand elsewhere.",
        _give_cells,
    ),
    Quirk(
        "array-without-page",
        "A list is a bare array without `page`, and an object with it.",
        _give_array_without_page,
    ),
    Quirk(
        "empty-without-key", "A list without rows is `{}`: the key is left out.", _leave_empty_out
    ),
    Quirk(
        "half-filled-pages",
        "Filters act after the page was cut: it may be short or empty though more follow.",
        _filter_after_paging,
    ),
    Quirk("values-as-text", 'Numbers arrive as text, and the missing ones as "NaN".', _give_text),
    Quirk("huge-ids", "Ids in lists are integers above 2^53.", _give_huge_ids),
    Quirk(
        "closed-windows",
        "placed_before and created_before include their bound, so adjoining windows share rows.",
        _close_windows,
    ),
    Quirk(
        "padded-minutes",
        "GET /orders/by-minute fills the gaps of a window with minutes of 0 orders.",
        _pad_minutes,
    ),
)
"""Shapes and values."""
