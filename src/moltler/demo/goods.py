"""The shop's first rows: always the same 200 items and 1,000 orders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from moltler.schema import JsonValue

Row = dict[str, JsonValue]

ITEM_COUNT = 200
ORDER_COUNT = 1_000
STATUSES = ("active", "pending", "closed")
STATES = ("open", "paid", "shipped", "cancelled")
CUSTOMERS = (
    "Ada", "Björn", "Chidi", "Dilnoza", "Emre", "Farida",
    "Grace", "Hōkū", "Ivo", "Joy O'Neil", "Kurt", "Łucja",
)  # fmt: skip
_MATERIALS = (
    "Oak", "Walnut", "Steel", "Linen", "Glass", "Brass", "Felt", "Cork", "Marble", "Rattan",
)  # fmt: skip
_THINGS = (
    "Lamp", "Desk", "Chair", "Shelf", "Bench", "Stool", "Vase", "Mirror", "Clock", "Tray",
    "Basket", "Rug", "Frame", "Bowl", "Jug", "Hook", "Crate", "Screen", "Table", "Cushion",
)  # fmt: skip
_COLORS = ("red", "green", "blue", "black", "natural")
_PLACES = ("Lisbon", "Tallinn", "Accra", "Osaka", "Lima", "Graz", "Malmö")
_FIRST_DAY = datetime(2025, 1, 1, 8, 0, tzinfo=UTC)


def time_text(moment: datetime) -> str:
    """Spell a moment as the API does: UTC, in milliseconds.

    >>> time_text(datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2025-01-02T03:04:05.000Z'
    """
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def first_items() -> list[Row]:
    """Give the items, in the order of their ids."""
    return [_item(number) for number in range(1, ITEM_COUNT + 1)]


def _item(number: int) -> Row:
    # Steps that share no factor with the counts visit every name once, in a mixed order.
    name = number * 37 % ITEM_COUNT
    created = _FIRST_DAY + timedelta(hours=43 * (number - 1))
    return {
        "id": f"item-{number:03d}",
        "name": f"{_MATERIALS[name % len(_MATERIALS)]} {_THINGS[name // len(_MATERIALS)]}",
        "status": ("active", "active", "active", "pending", "closed")[number * 7 % 5],
        "price": round(4.5 + number * 613 % 4951 / 10, 2),
        "stock": None if number % 25 == 0 else number * 31 % 80,
        "tags": [_COLORS[number % 5], *(["sale"] if number % 4 == 0 else [])],
        "created_at": time_text(created),
        "updated_at": time_text(created + timedelta(hours=number * 17 % 90, milliseconds=250)),
        "version": 1,
        "extra": {
            "origin": _PLACES[number * 3 % len(_PLACES)],
            "size": {"width_cm": 10 + number * 13 % 90, "height_cm": 5 + number * 11 % 120},
        },
    }


def first_orders(items: list[Row]) -> list[Row]:
    """Give the orders, each of one of these items, in the order of their ids."""
    return [_order(number, items) for number in range(1, ORDER_COUNT + 1)]


def _order(number: int, items: list[Row]) -> Row:
    item = items[number * number * 3 % 997 % len(items)]
    quantity = 1 + number * 5 % 4
    price = item["price"]
    placed = _FIRST_DAY + timedelta(minutes=521 * number)
    return {
        "id": number,
        "item_id": item["id"],
        "customer": CUSTOMERS[number * 7 % 11 + (number % 13 == 0)],
        "state": STATES[number * 3 % 7 % len(STATES)],
        "quantity": quantity,
        "total": round(quantity * (price if isinstance(price, float) else 0.0), 2),
        "note": "leave it at the door" if number % 40 == 0 else None,
        "placed_at": time_text(placed),
        "updated_at": time_text(placed + timedelta(hours=number * 19 % 300, milliseconds=500)),
        "version": 1,
    }
