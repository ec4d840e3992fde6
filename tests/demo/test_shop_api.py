"""The shop's API without quirks."""

from __future__ import annotations

import http.client
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import moltler
from moltler.demo.goods import first_items, first_orders
from moltler.demo.server import DemoServer

Client = Any


def test_a_request_without_the_key_is_answered_401(shop: Client) -> None:
    reply = shop.get("/items", key="wrong")

    assert reply.status == 401
    assert "Authorization: Bearer" in reply.body["error"]


def test_every_item_and_order_is_reached_by_cursor(shop: Client) -> None:
    assert shop.walk("/items?limit=37") == [f"item-{n:03d}" for n in range(1, 201)]
    assert shop.walk("/orders?limit=100") == list(range(1, 1001))


def test_every_item_is_reached_by_page_number(shop: Client) -> None:
    pages = [shop.get(f"/items?limit=90&page={n}").body for n in (1, 2, 3)]

    assert [row["id"] for page in pages for row in page["items"]] == [
        f"item-{n:03d}" for n in range(1, 201)
    ]
    assert [(p["pages"], p["next_page"]) for p in pages] == [(3, 2), (3, 3), (3, None)]


def test_the_data_is_the_same_every_time() -> None:
    items = first_items()

    assert first_items() == items
    assert first_orders(items) == first_orders(items)
    assert len({str(item["name"]) for item in items}) == 200


def test_orders_refer_to_items_and_their_prices() -> None:
    items = first_items()
    prices = {item["id"]: item["price"] for item in items}

    for order in first_orders(items):
        total = order["quantity"] * prices[order["item_id"]]  # type: ignore[operator] # JSON numbers
        assert order["total"] == pytest.approx(total)


def test_filters_choose_rows(shop: Client) -> None:
    items = first_items()
    dear = [i["id"] for i in items if i["status"] == "active" and i["price"] >= 400]  # type: ignore[operator] # a float

    assert shop.get("/items?status=active&min_price=400").ids == dear
    assert shop.get("/items?ids=item-003,item-001").ids == ["item-001", "item-003"]
    assert shop.get("/items?search=LAMP").body["total"] == 10
    assert shop.get("/orders?placed_since=2025-12-28T00:00:00Z").ids == [
        o["id"] for o in first_orders(items) if str(o["placed_at"]) >= "2025-12-28T00:00:00"
    ]


def test_an_empty_cursor_means_the_first_page_and_an_empty_filter_matches_nothing(
    shop: Client,
) -> None:
    assert shop.get("/items?cursor=").ids[0] == "item-001"
    assert shop.get("/items?status=").body["total"] == 0


@pytest.mark.parametrize("sort", ["price", "-price", "name", "-updated_at"])
def test_pages_in_any_order_hold_every_row_once(shop: Client, sort: str) -> None:
    field = sort.removeprefix("-")
    rows = sorted(first_items(), key=lambda r: (r[field], r["id"]), reverse=sort.startswith("-"))  # type: ignore[arg-type] # JSON scalars

    assert shop.walk(f"/items?sort={sort}&limit=33") == [row["id"] for row in rows]


def test_a_limit_above_100_is_silently_capped(shop: Client) -> None:
    reply = shop.get("/items?limit=500")

    assert (len(reply.ids), reply.body["total"]) == (100, 200)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("/items?statsu=active", "unknown parameter `statsu`"),
        ("/items?limit=none", "`limit` must be a whole number"),
        ("/items?min_price=cheap", "`cheap` is not a number"),
        ("/items?sort=color", "cannot be sorted by `color`"),
        ("/items?cursor=zzz", "the cursor is not one of ours"),
        ("/orders?placed_since=soon", "`soon` is not an ISO 8601 time"),
    ],
)
def test_a_bad_query_is_answered_400_with_the_reason(shop: Client, target: str, said: str) -> None:
    reply = shop.get(target)

    assert reply.status == 400
    assert said in reply.body["error"]


def test_a_cursor_of_another_order_is_answered_400(shop: Client) -> None:
    cursor = shop.get("/items?limit=1").body["next_cursor"]

    assert shop.get(f"/items?sort=price&cursor={cursor}").status == 400


def test_a_search_by_post_gives_what_the_query_would(shop: Client) -> None:
    found = shop("POST", "/items/search", {"status": ["active", "pending"], "min_price": 300})

    assert found.ids == shop.get("/items?status=active,pending&min_price=300").ids


def test_an_item_lives_from_post_to_delete(shop: Client) -> None:
    made = shop("POST", "/items", {"name": "Pine Ladder", "price": 12})
    where = f"/items/{made.body['id']}"
    changed = shop("PATCH", where, {"stock": 4}, headers={"If-Match": '"1"'})

    assert (made.status, made.body["id"], made.body["status"]) == (201, "item-201", "active")
    assert made.headers["location"].endswith(where)
    assert (changed.body["stock"], changed.body["version"]) == (4, 2)
    assert shop.get(where).body == changed.body
    deleted = shop("DELETE", where)
    assert (deleted.status, deleted.body) == (204, None)
    assert shop.get(where).status == 404


@pytest.mark.parametrize(
    ("method", "target", "document", "status"),
    [
        ("POST", "/items", {"price": 1}, 422),
        ("POST", "/items", {"name": "x", "colour": "red"}, 422),
        ("POST", "/items", {"name": "x", "status": "gone"}, 422),
        ("POST", "/items", [1], 400),
        ("POST", "/orders", {"item_id": "item-999", "customer": "Ada"}, 422),
        ("PATCH", "/items/item-999", {"stock": 1}, 404),
        ("PUT", "/items/item-001", {"name": "x"}, 422),
        ("DELETE", "/items/item-001", None, 409),
        ("OPTIONS", "/items", None, 405),
        ("GET", "/nothing", None, 404),
    ],
)
def test_a_write_that_does_not_fit_changes_nothing(
    shop: Client, method: str, target: str, document: Any, status: int
) -> None:
    reply = shop(method, target, document)

    assert reply.status == status
    assert reply.body["error"]
    assert shop.get("/items").body["total"] == 200
    assert shop.get("/items/item-001").body["version"] == 1


def test_a_repeated_post_with_one_idempotency_key_creates_once(shop: Client) -> None:
    key = {"Idempotency-Key": "k1"}
    first, second = (shop("POST", "/items", {"name": "Jar"}, headers=key) for _ in range(2))

    assert (first.status, second.status) == (201, 200)
    assert first.body == second.body


def test_writes_from_many_threads_are_all_kept() -> None:
    with DemoServer() as server:
        api = server.api

        def create(number: int) -> object:
            return api.shop.create("items", {"name": f"n{number}"})[0]["id"]

        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(create, range(100)))
        assert len(set(ids)) == 100
        assert len(api.shop.rows("items")) == 300


def test_requests_are_seen_without_their_credentials(shop: Client) -> None:
    shop.get("/items?status=active")
    shop("DELETE", "/items/none")

    assert [str(seen) for seen in shop.server.seen()] == [
        "GET /items?status=active -> 200",
        "DELETE /items/none -> 404",
    ]
    assert shop.server.seen() == []


def test_closing_ends_every_thread_though_a_client_keeps_its_connection() -> None:
    before = set(threading.enumerate())
    with DemoServer() as server:
        host, port = server.url.removeprefix("http://").split(":")
        client = http.client.HTTPConnection(host, int(port))
        client.request("GET", "/")
        assert client.getresponse().read()
        assert len(set(threading.enumerate()) - before) == 2
    client.close()
    assert set(threading.enumerate()) <= before
    with DemoServer(int(port)) as again:
        assert again.url == server.url


def test_a_taken_port_is_a_mistake_with_a_way_out(shop: Client) -> None:
    port = int(shop.server.url.rpartition(":")[2])

    with pytest.raises(moltler.ParseError, match="cannot open port") as caught:
        DemoServer(port)
    assert "--port" in str(caught.value.hint)
