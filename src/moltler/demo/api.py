"""The plain shop: a request in, an answer out."""

from __future__ import annotations

from collections.abc import Mapping

from moltler.demo.goods import STATES, STATUSES, Row
from moltler.demo.listing import list_page, per_minute
from moltler.demo.messages import Answer, Refusal, Request
from moltler.demo.shop import Collection, Shop
from moltler.schema import JsonValue

PATHS = (
    "GET /items", "POST /items", "POST /items/search",
    "GET /items/{id}", "PATCH /items/{id}", "PUT /items/{id}", "DELETE /items/{id}",
    "GET /orders", "POST /orders", "POST /orders/search", "GET /orders/by-minute",
    "GET /orders/{id}", "PATCH /orders/{id}", "DELETE /orders/{id}",
)  # fmt: skip
_COLLECTIONS: Mapping[str, Collection] = {"items": "items", "orders": "orders"}
_CHOICES = {"status": STATUSES, "state": STATES}

WRITABLE: Mapping[Collection, Mapping[str, tuple[type, ...]]] = {
    "items": {
        "name": (str,),
        "status": (str,),
        "price": (int, float),
        "stock": (int, type(None)),
        "tags": (list,),
        "extra": (dict,),
    },
    "orders": {
        "item_id": (str,),
        "customer": (str,),
        "state": (str,),
        "quantity": (int,),
        "note": (str, type(None)),
    },
}
"""Fields a client may send, and what they may hold."""

DEFAULTS: Mapping[Collection, Row] = {
    "items": {"status": "active", "price": 0.0, "stock": None, "tags": [], "extra": {}},
    "orders": {"state": "open", "quantity": 1, "note": None},
}
"""Values of the fields that a new row need not name; the others are required."""


class PlainApi:
    """The shop without quirks.

    Args:
        shop: Its rows.
        key: What ``Authorization: Bearer`` must carry.
    """

    def __init__(self, shop: Shop, key: str) -> None:
        self.shop = shop
        self.key = key

    def __call__(self, request: Request) -> Answer:
        """Answer a request.

        Raises:
            Refusal: An error status.
        """
        if not self.knows(request):
            raise Refusal(
                401,
                "send the header `Authorization: Bearer <key>` with the key that the shop printed",
                headers={"WWW-Authenticate": 'Bearer realm="shop"'},
            )
        head, _, tail = request.path.strip("/").partition("/")
        collection = _COLLECTIONS.get(head)
        if collection is None:
            raise Refusal(404, f"there is nothing at `{request.path}`", more={"allowed": [*PATHS]})
        match request.method, tail:
            case "GET" | "HEAD", "":
                return self._list(request, collection, request.query)
            case "POST", "":
                return self._create(request, collection)
            case "POST", "search":
                return self._list(request, collection, _as_query(request.document()))
            case "GET" | "HEAD", "by-minute" if collection == "orders":
                rows = per_minute(self.shop.rows("orders"), request.query, padded=False)
                return Answer(200, {"items": [*rows]})
            case "GET" | "HEAD", _:
                return Answer(200, self._row(collection, tail))
            case "PATCH", _ if tail:
                return self._change(request, collection, tail)
            case "PUT", _ if tail and collection == "items":
                return self._put(request, tail)
            case "DELETE", _ if tail:
                return self._delete(collection, tail)
            case _:
                raise Refusal(405, f"`{request.method}` is not possible at `{request.path}`")

    def knows(self, request: Request) -> bool:
        """Tell whether a request carries the right key."""
        return request.headers.get("authorization") == f"Bearer {self.key}"

    def _list(self, request: Request, collection: Collection, query: Mapping[str, str]) -> Answer:
        page = list_page(collection, self.shop.rows(collection), query)
        body: dict[str, JsonValue] = {"items": [*page.rows], "total": page.total}
        if request.query.get("page"):
            following = page.number + 1 if page.number < page.count else None
            return Answer(
                200, body | {"page": page.number, "pages": page.count, "next_page": following}
            )
        return Answer(200, body | {"next_cursor": page.next_cursor})

    def _row(self, collection: Collection, key: str) -> Row:
        row = self.shop.get(collection, key)
        if row is None:
            raise Refusal(404, f"there is no `{key}` in `{collection}`")
        return row

    def _create(self, request: Request, collection: Collection) -> Answer:
        sent = _checked(collection, request.document())
        values = {**DEFAULTS[collection], **sent}
        missing = [name for name in WRITABLE[collection] if name not in values]
        if missing:
            raise Refusal(422, f"`{missing[0]}` is required", more={"missing": [*missing]})
        if collection == "orders":
            values["total"] = self._total(values)
        row, is_new = self.shop.create(collection, values, request.headers.get("idempotency-key"))
        where = {"Location": f"{request.root}/{collection}/{row['id']}"}
        return Answer(201 if is_new else 200, row, where)

    def _total(self, values: Mapping[str, JsonValue]) -> float:
        item = self.shop.get("items", str(values["item_id"]))
        if item is None:
            raise Refusal(422, f"there is no item `{values['item_id']}`")
        price, quantity = item["price"], values["quantity"]
        if not isinstance(price, (int, float)) or not isinstance(quantity, int):
            raise Refusal(422, "this item has no price")
        return round(price * quantity, 2)

    def _change(self, request: Request, collection: Collection, key: str) -> Answer:
        sent = _checked(collection, request.document())
        row = self.shop.change(
            collection, key, lambda old: _allowed_change(old, sent, request.headers.get("if-match"))
        )
        if row is None:
            raise Refusal(404, f"there is no `{key}` in `{collection}`")
        return Answer(200, row)

    def _put(self, request: Request, key: str) -> Answer:
        sent = _checked("items", request.document())
        missing = [name for name in WRITABLE["items"] if name not in sent]
        if missing:
            raise Refusal(422, "PUT needs every field", more={"missing": [*missing]})
        is_new = self.shop.put("items", key, sent)
        return Answer(201 if is_new else 200, self._row("items", key))

    def _delete(self, collection: Collection, key: str) -> Answer:
        orders = self.shop.orders_of(key) if collection == "items" else []
        if orders:
            raise Refusal(409, f"`{key}` has {len(orders)} orders; cancel and delete them first")
        if not self.shop.delete(collection, key):
            raise Refusal(404, f"there is no `{key}` in `{collection}`")
        return Answer(204)


def _as_query(document: Mapping[str, JsonValue]) -> dict[str, str]:
    # The body of a search holds what a query string would; lists may be real ones there.
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in document.items()
        if value is not None
    }


def _checked(collection: Collection, sent: Row) -> Row:
    known = WRITABLE[collection]
    problems: dict[str, JsonValue] = {}
    for name, value in sent.items():
        if name not in known:
            problems[name] = f"unknown; allowed: {', '.join(known)}"
        elif not isinstance(value, known[name]) or isinstance(value, bool):
            problems[name] = "has the wrong type"
        elif name in _CHOICES and value not in _CHOICES[name]:
            problems[name] = f"must be one of {', '.join(_CHOICES[name])}"
        elif name == "quantity" and isinstance(value, int) and value < 1:
            problems[name] = "must be 1 or more"
    if problems:
        raise Refusal(422, "some fields do not fit", more={"fields": problems})
    return sent


def _allowed_change(old: Row, sent: Row, expected: str | None) -> Row:
    if expected is not None and expected.strip('"') != str(old["version"]):
        raise Refusal(412, f"version {expected} is stale; the row has version {old['version']}")
    if old.get("status") == "closed" and sent.get("status") == "pending":
        raise Refusal(409, "a closed item cannot become pending; make it active first")
    return sent
