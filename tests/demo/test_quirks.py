"""Every quirk of the shop, asked for by name."""

from __future__ import annotations

from typing import Any

import pytest

from moltler.demo.goods import first_items, first_orders
from moltler.demo.quirks.table import QUIRKS

Client = Any
ITEMS = {str(i["id"]): i for i in first_items()}
ORDERS = first_orders(list(ITEMS.values()))


def test_the_list_of_quirks_names_each_with_one_sentence(shop: Client) -> None:
    listed = shop.get("/quirks", key="none").body

    assert listed == {quirk.name: quirk.sentence for quirk in QUIRKS.values()}
    assert all(s.endswith(".") and s.count(". ") == 0 for s in listed.values())


def test_an_unknown_quirk_is_answered_404_with_a_near_name(shop: Client) -> None:
    reply = shop.under("ofset-token").get("/items")

    assert reply.status == 404
    assert "did you mean `offset-token`?" in reply.body["error"]


@pytest.mark.parametrize("name", QUIRKS)
def test_no_quirk_lets_a_wrong_key_write(shop: Client, name: str) -> None:
    shop.under(name)("POST", "/items", {"name": "x"}, key="wrong")
    shop.under(name)("DELETE", "/items/item-001", key="wrong")
    shop.quirk = ""

    assert shop.get("/items").body["total"] == 200
    assert shop.get("/orders").body["total"] == 1000


def test_a_wrong_key_sees_the_public_rows(shop: Client) -> None:
    reply = shop.under("public-rows-for-a-wrong-key").get("/items", key="wrong")

    assert reply.status == 200
    assert {row["status"] for row in reply.body["items"]} == {"active"}


def test_a_key_without_the_scope_is_answered_401(shop: Client) -> None:
    shop.under("missing-scope-is-401")

    assert shop.get("/items").status == 200
    reply = shop.get("/orders")
    assert reply.status == 401
    assert "insufficient_scope" in reply.headers["www-authenticate"]


def test_what_is_missing_is_answered_403(shop: Client) -> None:
    assert shop.under("missing-is-403").get("/items/item-999").status == 403


def test_errors_come_with_200_rate_limiting_included(shop: Client) -> None:
    reply = shop.under("errors-with-200,rate-limit").get("/items")

    assert reply.status == 200
    assert reply.body["error"]["status"] == 429
    assert shop.get("/items").body["total"] == 200


def test_every_other_request_is_rate_limited(shop: Client) -> None:
    shop.under("rate-limit")
    replies = [shop.get("/items/item-001") for _ in range(4)]

    assert [r.status for r in replies] == [429, 200, 429, 200]
    assert replies[0].headers["retry-after"] == "1"


def test_a_rate_limit_may_come_without_retry_after(shop: Client) -> None:
    reply = shop.under("rate-limit-without-retry-after").get("/items")

    assert reply.status == 429
    assert "retry-after" not in reply.headers


def test_milliseconds_are_answered_422(shop: Client) -> None:
    shop.under("milliseconds-are-422")

    assert shop.get("/orders?placed_since=2025-03-01T00:00:00.000Z").status == 422
    assert shop.get("/orders?placed_since=2025-03-01T00:00:00Z").status == 200


def test_an_unescaped_sign_is_answered_400(shop: Client) -> None:
    shop.under("unescaped-is-400")

    assert shop.get("/items?search=a>b").status == 400
    assert shop.get("/items?search=a%3Eb").status == 200


def test_the_page_after_the_last_is_answered_400(shop: Client) -> None:
    shop.under("page-after-the-last-is-400")

    assert shop.get("/items?page=2").status == 200
    assert shop.get("/items?page=3").status == 400


def test_a_method_that_is_not_supported_is_answered_500(shop: Client) -> None:
    assert shop.under("wrong-method-is-500")("OPTIONS", "/items").status == 500


def test_post_may_be_the_only_way_to_search(shop: Client) -> None:
    shop.under("search-by-post")

    assert shop.get("/items").status == 405
    assert shop("POST", "/items/search", {"status": "closed"}).body["total"] == 40


def test_rows_may_be_arrays_of_cells(shop: Client) -> None:
    body = shop.under("rows-as-cells").get("/items?limit=2").body
    names = [column["name"] for column in body["columns"]]

    assert [dict(zip(names, cells, strict=True)) for cells in body["rows"]] == [
        ITEMS["item-001"],
        ITEMS["item-002"],
    ]
    assert body["next_cursor"]


def test_a_list_may_be_an_array_without_page_and_an_object_with_it(shop: Client) -> None:
    shop.under("array-without-page")

    assert isinstance(shop.get("/items").body, list)
    assert shop.get("/items?page=1").body["pages"] == 2


def test_an_empty_list_may_leave_the_key_out(shop: Client) -> None:
    shop.under("empty-without-key")

    assert shop.get("/items?name=nothing").body == {}
    assert len(shop.get("/items").ids) == 100


def test_pages_may_be_half_filled_though_more_follow(shop: Client) -> None:
    shop.under("half-filled-pages")
    first = shop.get("/items?status=closed&limit=20")

    assert len(first.ids) < 20
    assert first.body["next_cursor"]
    assert len(shop.walk("/items?status=closed&limit=20")) == 40


def test_numbers_may_be_text_with_nan_among_them(shop: Client) -> None:
    rows = shop.under("values-as-text").get("/items").body["items"]

    assert {type(row["price"]) for row in rows} == {str}
    assert "NaN" in {row["stock"] for row in rows}


def test_ids_may_be_beyond_what_a_double_holds(shop: Client) -> None:
    ids = shop.under("huge-ids").get("/orders").ids

    assert min(ids) > 2**53
    assert len({float(i) for i in ids}) < len(set(ids)) == 100


def test_windows_may_be_closed_at_both_ends(shop: Client) -> None:
    bound = ORDERS[499]["placed_at"]
    both = "limit=1&placed_before"

    assert shop.get(f"/orders?{both}={bound}").body["total"] == 499
    assert shop.under("closed-windows").get(f"/orders?{both}={bound}").body["total"] == 500


def test_gaps_may_be_padded_with_minutes(shop: Client) -> None:
    window = "placed_since=2025-03-01T00:00:00Z&placed_before=2025-03-02T00:00:00Z"
    plain = shop.get(f"/orders/by-minute?{window}").body["items"]
    padded = shop.under("padded-minutes").get(f"/orders/by-minute?{window}").body["items"]

    assert len(padded) == 24 * 60
    assert [row for row in padded if row["orders"]] == plain


@pytest.mark.parametrize(
    "name", ["limit-capped-at-100", "unknown-filter-refused", "deletes-not-reported"]
)
def test_some_oddities_are_how_the_shop_is_anyway(shop: Client, name: str) -> None:
    plain = shop.get("/items?limit=300").body

    assert shop.under(name).get("/items?limit=300").body == plain


def test_the_next_page_may_be_only_in_a_header(shop: Client) -> None:
    first = shop.under("next-page-in-a-header").get("/items?limit=100")
    link = first.headers["link"].split(">")[0].removeprefix(f"<{shop.server.url}")
    shop.quirk = ""
    last = shop.get(link)

    assert [row["id"] for row in first.body + last.body] == list(ITEMS)
    assert "link" not in last.headers


def test_a_continuation_may_have_several_keys_that_must_all_come_back(shop: Client) -> None:
    shop.under("several-continuation-keys")
    following = shop.get("/items").body["continue"]
    query = "&".join(f"{k}={v}" for k, v in following.items())

    assert set(following) == {"after", "batch", "view"}
    assert shop.get(f"/items?{query}").ids[0] == "item-101"
    assert shop.get(f"/items?after={following['after']}").status == 400


def test_an_offset_token_drifts_under_writes(shop: Client) -> None:
    shop.under("offset-token")
    first = shop.get("/items?limit=100")
    shop("POST", "/items", {"name": "New"})
    second = shop.get(f"/items?limit=100&cursor={first.body['next_cursor']}")

    assert first.ids[-1] == second.ids[0]


def test_another_shape_may_drop_the_cursor(shop: Client) -> None:
    body = shop.under("shape-drops-cursor").get("/items?shape=map&limit=2").body

    assert body == {"items": {k: ITEMS[k] for k in ("item-001", "item-002")}}


@pytest.mark.parametrize(
    ("name", "total"), [("unknown-filter-ignored", 200), ("unknown-filter-matches-nothing", 0)]
)
def test_an_unknown_filter_is_ignored_or_matches_nothing(
    shop: Client, name: str, total: int
) -> None:
    assert shop.under(name).get("/items?color=red").body["total"] == total


def test_closed_items_are_hidden_unless_asked_for(shop: Client) -> None:
    shop.under("closed-items-hidden")

    assert shop.get("/items").body["total"] == 160
    assert shop.get("/items?include_closed=true").body["total"] == 200
    assert shop.get("/items?status=closed").body["total"] == 40


@pytest.mark.parametrize(
    ("name", "value"), [("filters-ignore-case", "CLOSED"), ("filters-match-prefixes", "cl")]
)
def test_filters_match_loosely(shop: Client, name: str, value: str) -> None:
    assert shop.under(name).get(f"/items?status={value}").body["total"] == 40


def test_sixty_items_share_one_update_time(shop: Client) -> None:
    shop.under("sixty-tied-updates")
    rows = shop.get("/items?updated_since=2025-06-15T12:00:00Z").body["items"]

    assert [row["updated_at"] for row in rows[:61]].count("2025-06-15T12:00:00.000Z") == 60
    assert sorted(shop.walk("/items?limit=50")) == list(ITEMS)


def test_rows_may_have_no_update_time(shop: Client) -> None:
    shop.under("no-update-time")

    assert "updated_at" not in shop.get("/items").body["items"][0]
    assert shop.get("/items?updated_since=2025-01-01").status == 400


def test_times_may_be_cut_to_seconds(shop: Client) -> None:
    row = shop.under("times-in-seconds").get("/items").body["items"][0]

    assert row["updated_at"] == ITEMS["item-001"]["updated_at"][:19] + "Z"  # type: ignore[index] # text


def test_tombstones_are_reported_only_with_since(shop: Client) -> None:
    made = shop("POST", "/items", {"name": "Short-lived"}).body["id"]
    shop("DELETE", f"/items/{made}")
    shop.under("tombstones-with-since")

    assert made not in shop.walk("/items?limit=100")
    rows = shop.get("/items?updated_since=2026-01-15").body["items"]
    assert [(r["id"], r["deleted"]) for r in rows] == [(made, True)]


def test_a_write_may_be_answered_204_without_a_body(shop: Client) -> None:
    reply = shop.under("writes-answer-204")("POST", "/items", {"name": "Mute"})

    assert (reply.status, reply.body) == (204, None)
    assert reply.headers["location"]
    assert shop.get("/items").body["total"] == 201


def test_a_put_is_201_the_first_time_and_204_later(shop: Client) -> None:
    item = {k: ITEMS["item-001"][k] for k in ("name", "status", "price", "stock", "tags", "extra")}
    shop.under("put-is-201-or-204")

    replies = [shop("PUT", "/items/item-900", item).status for _ in range(2)]

    assert replies == [201, 204]
    assert shop.get("/items/item-900").body["name"] == item["name"]


def test_an_impossible_change_may_be_answered_204_and_ignored(shop: Client) -> None:
    closed = next(k for k, row in ITEMS.items() if row["status"] == "closed")
    change = {"status": "pending"}

    assert shop("PATCH", f"/items/{closed}", change).status == 409
    shop.under("impossible-change-is-204")
    assert shop("PATCH", f"/items/{closed}", change).status == 204
    assert shop.get(f"/items/{closed}").body["status"] == "closed"


def test_unknown_fields_may_be_ignored(shop: Client) -> None:
    reply = shop.under("unknown-fields-ignored")("POST", "/items", {"name": "x", "colour": "red"})

    assert reply.status == 201
    assert "colour" not in reply.body


def test_put_may_wipe_the_fields_not_sent(shop: Client) -> None:
    reply = shop.under("put-wipes")("PUT", "/items/item-001", {"name": "Bare"})

    assert (reply.body["name"], reply.body["price"], reply.body["extra"]) == ("Bare", 0, {})


def test_a_delete_may_cascade(shop: Client) -> None:
    item = str(ORDERS[0]["item_id"])
    mine = sum(order["item_id"] == item for order in ORDERS)
    shop.under("delete-cascades")

    assert shop("DELETE", f"/items/{item}").status == 204
    assert shop.get("/orders").body["total"] == 1000 - mine


def test_deleting_nothing_may_be_answered_204(shop: Client) -> None:
    assert shop("DELETE", "/items/item-999").status == 404
    assert shop.under("deleting-nothing-is-204")("DELETE", "/items/item-999").status == 204


def test_a_stale_version_is_answered_412(shop: Client) -> None:
    shop.under("stale-version-is-412")
    where, change = "/items/item-001", {"stock": 1}

    assert shop("PATCH", where, change).status == 428
    assert shop("PATCH", where, change, headers={"If-Match": "1"}).status == 200
    assert shop("PATCH", where, change, headers={"If-Match": "1"}).status == 412


def test_an_idempotency_key_may_be_ignored(shop: Client) -> None:
    shop.under("no-idempotency-key")
    made = [
        shop("POST", "/items", {"name": "Twin"}, headers={"Idempotency-Key": "k"}).body["id"]
        for _ in range(2)
    ]

    assert made == ["item-201", "item-202"]
