"""The Datasette connector against a real server gives what its SQLite file holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

import moltler

EXAMPLE = Path(__file__).parents[2] / "examples/datasette/datasette.moltler"
Datasette = Any


@pytest.fixture(scope="module")
def library(
    datasette: Datasette, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[moltler.Session]:
    home = tmp_path_factory.mktemp("library") / "home"
    with pytest.MonkeyPatch.context() as patch, moltler.connect(home) as session:
        patch.setenv("MOLTLER_KEY", "a key for tests only, long enough")
        patch.setenv("DATASETTE_URL", datasette.url)
        session.execute(EXAMPLE.read_text(encoding="utf-8"), source_name=EXAMPLE.name).close()
        yield session


def plain(value: object) -> object:
    """Give a value as SQLite would hold it."""
    match value:
        case bool():
            return int(value)
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case _:
            return value


def rows(session: moltler.Session, text: str) -> list[tuple[object, ...]]:
    return [tuple(map(plain, row)) for row in session.execute(text).rows()]


ORDERS = "SELECT id, item_id, customer, quantity, serial, placed_at, note FROM {}"
ITEMS = "SELECT id, name, price, on_sale, made_on FROM {}"

WHERE_ORDERS = [
    "quantity = 3",
    "quantity <> 3",
    "quantity > 6",
    "quantity BETWEEN 2 AND 4 AND id <= 1700",
    "item_id IS NULL",
    "item_id <> 8",
    "item_id IN (8, 15, 999)",
    "customer IS NULL",
    "customer IS NOT NULL AND note = ''",
    "customer = 'lamp 1'",
    "customer <> 'lamp 1'",
    "customer IN ('Lamp 0', '50% off 4', 'a,b', '[1]')",
    "customer LIKE 'lamp%'",
    "customer NOT LIKE 'lamp%'",
    "customer LIKE '%p _'",
    "customer >= 'lamp'",
    "note = ''",
    "note IS NULL AND quantity = 0",
    "serial = 9007199254741000",
    "serial IN (9007199254740993, 9007199254740995)",
    "serial > 9007199254743400",
    "(quantity = 1 OR customer = 'lamp 1')",
    "NOT (quantity = 1 OR customer LIKE 'Lamp%')",
    "id < 5 OR id > 2495",
]
WHERE_ITEMS = [
    "on_sale",
    "NOT on_sale",
    "price >= 13.7",
    "price = 13.7",
    "price < 1.5 OR price IS NULL",
    "price IS NOT NULL AND price <= 20.55",
    "made_on = '2025-02-02'",
    "made_on >= '2025-09-01'",
    "made_on IS NULL",
    "name >= '007'",
    "name = '007'",
    "name LIKE '007%'",
    "name = '机 3'",
    "name LIKE 'Désk%'",
    "name = 'O''Neil \"x\" 6'",
    "name LIKE '%50\\% off%' ESCAPE '\\'",
]


@pytest.mark.parametrize("condition", WHERE_ORDERS)
def test_filtered_orders_are_those_of_the_file(
    library: moltler.Session, sqlite: sqlite3.Connection, condition: str
) -> None:
    text = f"{ORDERS} WHERE {condition} ORDER BY id"

    found = rows(library, text.format("library.orders"))

    assert found == sqlite.execute(text.format("orders")).fetchall()


@pytest.mark.parametrize("condition", WHERE_ITEMS)
def test_filtered_items_are_those_of_the_file(
    library: moltler.Session, sqlite: sqlite3.Connection, condition: str
) -> None:
    text = f"{ITEMS} WHERE {condition} ORDER BY id"

    found = rows(library, text.format("library.items"))

    assert found == sqlite.execute(text.format("items")).fetchall()


@pytest.mark.parametrize("operator", ["=", "<>", "<", "<=", ">", ">="])
@pytest.mark.parametrize("moment", ["2025-03-05T00:15:00Z", "2025-03-05T00:15:00.5Z"])
def test_times_compare_as_times(
    library: moltler.Session, sqlite: sqlite3.Connection, operator: str, moment: str
) -> None:
    live = f"placed_at {operator} TIMESTAMPTZ '{moment}'"
    stored = f"julianday(placed_at) {operator} julianday('{moment}')"

    found = rows(library, f"SELECT id FROM library.orders WHERE {live} ORDER BY id")

    expected = sqlite.execute(f"SELECT id FROM orders WHERE {stored} ORDER BY id").fetchall()
    assert found == expected


def test_every_order_is_read_page_by_page(
    datasette: Datasette, library: moltler.Session, sqlite: sqlite3.Connection
) -> None:
    datasette.asked()

    found = rows(library, "SELECT id, serial, customer FROM library.orders")

    assert len(datasette.asked()) == 3
    assert found == sqlite.execute("SELECT id, serial, customer FROM orders ORDER BY id").fetchall()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT quantity, count(*), count(customer), min(serial), max(serial) FROM {orders}"
        " GROUP BY quantity ORDER BY quantity",
        "SELECT count(*), count(DISTINCT customer), sum(quantity) FROM {orders} WHERE quantity > 4",
        "SELECT i.name, count(*) AS n, sum(o.quantity) FROM {orders} o JOIN {items} i"
        " ON i.id = o.item_id WHERE o.quantity >= 7 AND i.on_sale GROUP BY i.name"
        " ORDER BY n DESC, 1",
        "SELECT o.id, i.name FROM {orders} o LEFT JOIN {items} i"
        " ON i.id = o.item_id AND i.price > 100 WHERE o.id < 120 ORDER BY o.id",
        "SELECT i.id FROM {items} i WHERE NOT EXISTS (SELECT 1 FROM {orders} o"
        " WHERE o.item_id = i.id AND o.quantity = 8) ORDER BY i.id",
        "SELECT id FROM {orders} ORDER BY id DESC LIMIT 7",
        "SELECT id FROM {orders} WHERE quantity = 3 ORDER BY id LIMIT 5 OFFSET 5",
        "SELECT id, price FROM {items} ORDER BY price IS NULL, price, id DESC LIMIT 9",
        "SELECT id FROM {orders} WHERE customer LIKE 'lamp%' ORDER BY id LIMIT 3",
        "SELECT id, customer FROM {orders} WHERE customer IS NULL ORDER BY serial DESC LIMIT 4",
    ],
)
def test_aggregated_joined_and_limited_rows_are_those_of_the_file(
    library: moltler.Session, sqlite: sqlite3.Connection, text: str
) -> None:
    expected = sqlite.execute(text.format(orders="orders", items="items")).fetchall()

    assert rows(library, text.format(orders="library.orders", items="library.items")) == expected


def test_documents_are_read_from_their_text(library: moltler.Session) -> None:
    text = "SELECT extra.region, count(*) FROM library.items GROUP BY ALL ORDER BY 1"

    assert rows(library, text) == [("r0", 50), ("r1", 50), ("r2", 50), ("r3", 50), (None, 100)]


@pytest.mark.parametrize(
    ("text", "parameters", "requests"),
    [
        ("SELECT id FROM library.orders WHERE quantity = 3", ["quantity__exact=3"], 1),
        (
            "SELECT id FROM library.orders WHERE customer LIKE 'lamp%'",
            ["customer__like=lamp%25"],
            1,
        ),
        ("SELECT id FROM library.orders WHERE customer NOT LIKE 'lamp%'", [], 3),
        ("SELECT id FROM library.orders WHERE item_id IN (8, 9)", ["item_id__in=%5B8%2C9%5D"], 1),
        (
            "SELECT id FROM library.orders ORDER BY id DESC LIMIT 7",
            ["_sort_desc=id", "_size=100"],
            1,
        ),
        ("SELECT id FROM library.orders LIMIT 5", ["_size=100"], 1),
        ("SELECT id FROM library.items WHERE name >= '007'", [], 1),
        (
            "SELECT id FROM library.orders WHERE placed_at < TIMESTAMPTZ '2025-03-05T00:15:00Z'",
            ["placed_at__lte=2025-03-05T00%3A15%3A00Z"],
            1,
        ),
    ],
)
def test_filters_order_and_limit_are_passed_on(
    datasette: Datasette,
    library: moltler.Session,
    text: str,
    parameters: list[str],
    requests: int,
) -> None:
    datasette.asked()
    rows(library, text)
    asked = datasette.asked()

    assert len(asked) == requests
    assert [p for p in parameters if p not in asked[0]] == []
    assert bool(parameters) == ("__" in asked[0] or "_size=100" in asked[0].split("&"))


def test_an_error_of_the_server_is_named(datasette: Datasette, library: moltler.Session) -> None:
    library.execute(
        "CREATE CONNECTOR elsewhere TYPE 'datasette'"
        f" CONFIG {{'url': '{datasette.url}', 'database': 'nothing'}}"
    )

    with pytest.raises(moltler.ConnectorError, match="not found") as caught:
        rows(library, "SELECT id FROM elsewhere.items")
    assert caught.value.code == "API004"
