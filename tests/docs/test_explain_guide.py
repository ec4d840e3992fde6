"""The rows that the guide to EXPLAIN shows are rows that its statements give."""

from __future__ import annotations

import re
from pathlib import Path

import moltler
from moltler.demo.server import DemoServer
from moltler.demo.tour import read_connector
from moltler.render.record import cell_text

GUIDE = Path(__file__).parents[2] / "docs/guides/explain.md"
DEMO_ADDRESS = "http://127.0.0.1:8765"
_EXAMPLE = re.compile(r"^```sql\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shown(row: tuple[object, ...]) -> str:
    """Give a row as the guide writes it: one space between cells, no last cell that is NULL."""
    cells = row[:-1] if row[-1] is None else row
    return " ".join("NULL" if c is None else cell_text(c) for c in cells)


def test_the_guide_shows_rows_in_the_order_in_which_they_come(
    shop_session: moltler.Session, shop: DemoServer
) -> None:
    shop_session.execute(read_connector()).close()
    examples = _EXAMPLE.findall(GUIDE.read_text(encoding="utf-8"))

    for statement, text in examples:
        with shop_session.execute(statement) as result:
            given = iter([shown(row).replace(shop.url, DEMO_ADDRESS) for row in result.rows()])
        for line in text.splitlines():
            assert " ".join(line.split()) in given, f"{line!r} of {statement}"

    assert len([s for s, _ in examples if s.startswith("EXPLAIN SELECT")]) == 10
