"""Write a small shop into a SQLite file: python make_shop.py shop.db."""

from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

ITEMS, ORDERS = 300, 2_500
WORDS = ("Lamp", "lamp", "Désk", "机", "50% off", "under_score", 'O\'Neil "x"', "007")
SCHEMA = """
CREATE TABLE items (
    id INTEGER PRIMARY KEY, name TEXT, price REAL, on_sale INTEGER, made_on TEXT, extra TEXT
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, item_id INTEGER REFERENCES items (id), customer TEXT, quantity INTEGER,
    serial INTEGER, placed_at TEXT, note TEXT
);
"""


def item(number: int) -> tuple[object, ...]:
    """Give one row of ``items``; every seventh price and every fifth date is missing."""
    return (
        number,
        f"{WORDS[number % len(WORDS)]} {number // 8}" if number % 8 != 7 else WORDS[7],
        None if number % 7 == 0 else round(number * 1.37 % 200, 2),
        number % 2,
        None if number % 5 == 0 else (date(2025, 1, 1) + timedelta(days=number)).isoformat(),
        json.dumps({"region": f"r{number % 4}"}) if number % 3 else None,
    )


def order(number: int) -> tuple[object, ...]:
    """Give one row of ``orders``; ``serial`` is beyond what a double can hold."""
    placed = datetime(2025, 3, 1) + timedelta(minutes=37 * number)  # noqa: DTZ001 - UTC by the Z
    return (
        number,
        None if number % 50 == 0 else number * 7 % ITEMS + 1,
        None if number % 11 == 0 else f"{WORDS[number % 5]} {number % 20}",
        number % 9,
        2**53 + number,
        f"{placed.isoformat()}Z",
        "" if number % 13 == 0 else None,
    )


def main(path: Path) -> None:
    """Write the file anew."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(SCHEMA)
        database.executemany(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?)", map(item, range(1, ITEMS + 1))
        )
        database.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", map(order, range(1, ORDERS + 1))
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
