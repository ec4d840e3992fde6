"""Oddities of pagination, filters and incremental reads."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from moltler.demo.api import PlainApi
from moltler.demo.goods import STATES, STATUSES, Row
from moltler.demo.listing import FILTERS, PAGING, choose, page_size
from moltler.demo.messages import Answer, Refusal, Request
from moltler.demo.quirks.quirk import Ask, Quirk, asks_for_list, plain
from moltler.demo.shop import Collection
from moltler.schema import JsonValue

_TIED = range(61, 121)
_TIED_AT = "2025-06-15T12:00:00.000Z"


def _collection(request: Request) -> Collection:
    return "orders" if request.path.strip("/").startswith("orders") else "items"


def _link_next_page(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    if not asks_for_list(request):
        return answer
    cursor = answer.document.get("next_cursor")
    query = urlencode({**request.query, "cursor": str(cursor)})
    link = f'<{request.root}{request.path}?{query}>; rel="next"'
    return Answer(200, [*answer.rows], {"Link": link} if cursor else {})


def _continue_by_several_keys(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if not asks_for_list(request):
        return ask(request)
    after, batch, view = (request.query.get(k) for k in ("after", "batch", "view"))
    if any((after, batch, view)):
        if not (after and batch and batch.isdecimal() and view == _view(after, batch)):
            raise Refusal(400, "send back all of `after`, `batch` and `view` as they were given")
        request = request.asking(cursor=after)
    answer = ask(request.asking(after=None, batch=None, view=None))
    cursor = answer.document.get("next_cursor")
    following: JsonValue = None
    if isinstance(cursor, str):
        number = str(int(batch or 0) + 1)
        following = {"after": cursor, "batch": number, "view": _view(cursor, number)}
    return Answer(200, {"items": [*answer.rows], "continue": following})


def _view(after: str, batch: str) -> str:
    return f"v{sum(after.encode()) % 1_000:03d}.{batch}"


def _page_by_offset(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if not asks_for_list(request):
        return ask(request)
    ask(request.asking(cursor=None))  # refuses what the shop would refuse
    collection = _collection(request)
    # The newest come first, as in many feeds, so a row added meanwhile shifts all later pages.
    return _cut(request, choose(collection, api.shop.rows(collection), request.query)[::-1])


def _cut(request: Request, rows: list[Row]) -> Answer:
    token, size = request.query.get("cursor") or "0", page_size(request.query)
    if not token.isdecimal():
        raise Refusal(400, "the cursor is not one of ours")
    start = int(token)
    following = str(start + size) if start + size < len(rows) else None
    window: list[JsonValue] = [*rows[start : start + size]]
    return Answer(200, {"items": window, "total": len(rows), "next_cursor": following})


def _drop_cursor_with_shape(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request.asking(shape=None))
    if not asks_for_list(request) or request.query.get("shape") != "map":
        return answer
    return Answer(200, {"items": {str(row["id"]): row for row in answer.rows}})


def _unknown(request: Request) -> Mapping[str, None]:
    known = FILTERS[_collection(request)]
    return {name: None for name in request.query if name not in known and name not in PAGING}


def _ignore_unknown(request: Request, ask: Ask, api: PlainApi) -> Answer:
    return ask(request.asking(**_unknown(request)))


def _match_nothing_unknown(request: Request, ask: Ask, api: PlainApi) -> Answer:
    unknown = _unknown(request)
    answer = ask(request.asking(**unknown))
    if not asks_for_list(request) or not unknown:
        return answer
    return Answer(200, {"items": [], "total": 0, "next_cursor": None})


def _hide_closed(request: Request, ask: Ask, api: PlainApi) -> Answer:
    asked = request.query.get("include_closed") == "true" or request.query.get("status")
    shown = request.asking(include_closed=None)
    if asked or not asks_for_list(request) or _collection(request) != "items":
        return ask(shown)
    return ask(shown.asking(status="active,pending"))


def _ignore_case(request: Request, ask: Ask, api: PlainApi) -> Answer:
    return ask(request.asking(**{
        name: value.lower() for name, value in request.query.items() if name in {"status", "state"}
    }))  # fmt: skip


def _match_prefix(request: Request, ask: Ask, api: PlainApi) -> Answer:
    choices = {"status": STATUSES, "state": STATES}
    return ask(request.asking(**{
        name: ",".join(c for c in choices[name] if c.startswith(value)) or value
        for name, value in request.query.items() if name in choices
    }))  # fmt: skip


def _tie_updates(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if not asks_for_list(request) or _collection(request) != "items":
        return ask(request)
    ask(request.asking(cursor=None, sort=None))  # refuses what the shop would refuse
    rows = [_tie(row) for row in api.shop.rows("items")]
    rows = choose("items", rows, request.query)
    rows.sort(key=lambda row: (str(row["updated_at"]), str(row["id"])))
    return _cut(request, rows)


def _tie(row: Row) -> Row:
    number = int(str(row["id"]).rpartition("-")[2])
    return {**row, "updated_at": _TIED_AT} if number in _TIED else row


def _drop_update_time(request: Request, ask: Ask, api: PlainApi) -> Answer:
    if "updated_since" in request.query:
        raise Refusal(400, "unknown parameter `updated_since`")
    answer = ask(request)
    rows = [{k: v for k, v in row.items() if k != "updated_at"} for row in answer.rows]
    return answer.showing(rows) if rows else answer


def _cut_to_seconds(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    rows = [
        {k: f"{str(v)[:19]}Z" if k.endswith("_at") else v for k, v in row.items()}
        for row in answer.rows
    ]
    return answer.showing(rows) if rows else answer


def _report_tombstones(request: Request, ask: Ask, api: PlainApi) -> Answer:
    answer = ask(request)
    since = request.query.get("updated_since")
    if not asks_for_list(request) or not since or answer.document.get("next_cursor"):
        return answer
    gone = [
        Row(id=key, deleted=True, updated_at=moment)
        for key, moment in api.shop.gone(_collection(request)).items()
    ]
    return answer.showing([*answer.rows, *gone])


PAGING_QUIRKS = (
    Quirk(
        "limit-capped-at-100",
        "`limit` is silently capped at 100, as everywhere in this shop.",
        plain,
    ),
    Quirk(
        "next-page-in-a-header",
        "A list is a bare array; the next page is only in the header Link.",
        _link_next_page,
    ),
    Quirk(
        "several-continuation-keys",
        "`continue` holds several keys, and all must be sent back.",
        _continue_by_several_keys,
    ),
    Quirk(
        "offset-token",
        "Newest rows first, and `cursor` is an offset in disguise: pages drift under writes.",
        _page_by_offset,
    ),
    Quirk(
        "shape-drops-cursor",
        "With shape=map rows are an object by id, and no cursor comes with them.",
        _drop_cursor_with_shape,
    ),
    Quirk("unknown-filter-ignored", "An unknown parameter is ignored: all rows.", _ignore_unknown),
    Quirk(
        "unknown-filter-matches-nothing",
        "An unknown parameter gives no rows at all.",
        _match_nothing_unknown,
    ),
    Quirk(
        "unknown-filter-refused",
        "An unknown parameter is answered 400, as everywhere in this shop.",
        plain,
    ),
    Quirk(
        "closed-items-hidden",
        "Closed items are left out unless include_closed=true or status asks for them.",
        _hide_closed,
    ),
    Quirk("filters-ignore-case", "status and state match whatever their case.", _ignore_case),
    Quirk("filters-match-prefixes", "status and state match prefixes.", _match_prefix),
    Quirk(
        "sixty-tied-updates", "Items come by updated_at, and sixty of them share one.", _tie_updates
    ),
    Quirk(
        "no-update-time",
        "Rows have no updated_at, and updated_since is refused.",
        _drop_update_time,
    ),
    Quirk(
        "times-in-seconds",
        "Times in lists have whole seconds, though filters compare milliseconds.",
        _cut_to_seconds,
    ),
    Quirk(
        "tombstones-with-since",
        "Deleted rows are reported, as `deleted: true`, but only with updated_since.",
        _report_tombstones,
    ),
    Quirk("deletes-not-reported", "Deleted rows are just gone, as everywhere in this shop.", plain),
)
"""Pagination, filters, incremental reads."""
