"""Every example runs against the demo shop and gives what its question asks for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import moltler
from moltler.demo.goods import first_items, first_orders
from moltler.demo.quirks.reading import BEYOND_DOUBLES
from moltler.demo.server import DemoServer
from moltler.demo.tour import CONNECTOR_FILE
from moltler.errors import Source
from moltler.exec.result import Result

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.moltler"))
ITEMS: list[Any] = first_items()
ORDERS: list[Any] = first_orders(first_items())
Rows = list[tuple[Any, ...]]


def run(session: moltler.Session, path: Path) -> list[Rows]:
    """Run a script and give the rows of each of its queries and actions."""
    answers: list[Rows] = []
    source = Source(path.name, path.read_text(encoding="utf-8"))
    for statement, outcome in session.run(source):
        with Result(outcome) as result:
            rows = list(result.rows())
        if statement.span.text.startswith(("SELECT", "CONNECTOR_EXEC")):
            answers.append(rows)
    return answers


def example(session: moltler.Session, name: str) -> list[Rows]:
    return run(session, FOLDER / f"{name}.moltler")


def counted(rows: list[Any], field: str) -> Rows:
    return sorted(Counter(row[field] for row in rows).items())


def dearest(rows: list[Any], count: int) -> list[Any]:
    return sorted(rows, key=lambda row: -row["price"])[:count]


def first(count: int) -> Rows:
    return [(item["id"], item["name"]) for item in ITEMS[:count]]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_says_how_to_run_it_and_is_listed(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()

    assert len(lines) < 40
    assert lines[0].startswith("-- ")
    assert lines[0].endswith("?")
    assert f"--   moltler run examples/{path.name}" in lines
    assert f"({path.name})" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_page_with_a_cursor(shop_session: moltler.Session, shop: DemoServer) -> None:
    average = round(sum(item["price"] for item in ITEMS) / 200, 2)

    assert example(shop_session, "page-with-a-cursor") == [[(200, average)], first(3)]
    assert len(shop.seen()) == 2 + 1


def test_page_with_numbers(shop_session: moltler.Session, shop: DemoServer) -> None:
    assert example(shop_session, "page-with-numbers") == [counted(ORDERS, "state")]
    assert len(shop.seen()) == 10


def test_next_page_in_a_header(shop_session: moltler.Session, shop: DemoServer) -> None:
    assert example(shop_session, "next-page-in-a-header") == [counted(ITEMS, "status")]
    assert len(shop.seen()) == 4


def test_continue_with_several_keys(shop_session: moltler.Session, shop: DemoServer) -> None:
    best = sorted(counted(ORDERS, "customer"), key=lambda row: (-row[1], row[0]))

    assert example(shop_session, "continue-with-several-keys") == [best[:3]]
    assert len(shop.seen()) == 10


def test_map_errors(shop_session: moltler.Session, shop: DemoServer) -> None:
    with pytest.raises(moltler.ConnectorAuthError, match="refuses this key") as caught:
        example(shop_session, "map-errors")

    assert caught.value.code == "API002"
    assert [seen.status for seen in shop.seen()] == [200, 401]


def test_errors_with_status_200(
    shop_session: moltler.Session,
    shop: DemoServer,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert example(shop_session, "errors-with-status-200") == [first(2)]

    monkeypatch.setenv("MOLTLER_SECRET_SHOP_KEY", "another key")
    with (
        moltler.connect(home) as again,
        pytest.raises(moltler.ConnectorError, match="send the header") as caught,
    ):
        example(again, "errors-with-status-200")
    assert caught.value.code == "API004"
    assert [seen.status for seen in shop.seen()] == [200, 200]


def test_keep_state_between_calls(shop_session: moltler.Session, shop: DemoServer) -> None:
    prices = [(item["id"], item["price"]) for item in ITEMS[:3]]

    assert example(shop_session, "keep-state-between-calls") == [first(3), prices]
    assert len(shop.seen()) == 1


def test_post_to_search(shop_session: moltler.Session, shop: DemoServer) -> None:
    closed = [item for item in ITEMS if item["status"] == "closed"]

    found = example(shop_session, "post-to-search")

    assert found == [[(item["id"], item["price"]) for item in dearest(closed, 3)]]
    assert [seen.method for seen in shop.seen()] == ["POST"]


@pytest.mark.usefixtures("shop")
def test_rows_as_arrays_of_cells(shop_session: moltler.Session) -> None:
    found = example(shop_session, "rows-as-arrays-of-cells")

    assert found == [[(i["id"], i["name"], i["price"]) for i in dearest(ITEMS, 3)]]


@pytest.mark.usefixtures("shop")
def test_numbers_as_text(shop_session: moltler.Session) -> None:
    in_stock = sum(item["stock"] is not None for item in ITEMS)

    found = example(shop_session, "numbers-as-text")

    assert found == [[(200, in_stock, max(item["price"] for item in ITEMS))]]
    assert in_stock < 200


@pytest.mark.usefixtures("shop")
def test_integers_beyond_doubles(shop_session: moltler.Session) -> None:
    ids = [row[0] for row in example(shop_session, "integers-beyond-doubles")[0]]

    assert ids == [BEYOND_DOUBLES + 1, BEYOND_DOUBLES + 3, BEYOND_DOUBLES + 5]


def test_write_with_an_action(shop_session: moltler.Session, shop: DemoServer) -> None:
    assert example(shop_session, "write-with-an-action") == [[({"deleted": "item-201"},)]]
    assert [str(seen) for seen in shop.seen()] == [
        "POST /items -> 201",
        "DELETE /items/item-201 -> 204",
    ]


def test_claim_what_the_api_does(shop_session: moltler.Session, shop: DemoServer) -> None:
    lamps = [i for i in ITEMS if "Lamp" in i["name"] and i["price"] <= 200]

    found = example(shop_session, "claim-what-the-api-does")

    assert found == [
        [(item["name"], item["price"]) for item in dearest(ITEMS, 3)],
        [(name,) for name in sorted(str(item["name"]) for item in lamps)],
    ]
    top, searched = shop.seen()
    assert top.target == "/items?limit=3&min_price=300&sort=-price"
    assert "search=Lamp" in searched.target


def test_the_connector_of_the_demo(shop_session: moltler.Session, shop: DemoServer) -> None:
    run(shop_session, CONNECTOR_FILE)

    dear = shop_session.execute(
        "SELECT id FROM my_shop.orders WHERE total >= 1700 AND state = 'paid'"
    )
    assert {row[0] for row in dear.rows()} == {
        o["id"] for o in ORDERS if o["total"] >= 1700 and o["state"] == "paid"
    }
    assert [set(seen.target.partition("?")[2].split("&")) for seen in shop.seen()] == [
        {"limit=100", "min_total=1700", "state=paid"}
    ]
    cancelled: Any = shop_session.action("my_shop.orders.cancel", {"id": 7})
    assert cancelled["state"] == "cancelled"
