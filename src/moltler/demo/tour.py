"""The tour: what it runs, and what it says about each step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CONNECTOR_FILE = Path(__file__).with_name("shop.moltler")
"""The shop's connector, which the tour defines and users may copy."""

_EXCERPT_FROM = "CREATE OR REPLACE CONNECTOR ENTITY 'shop.items'"
_EXCERPT_TO = "''';"
_ADDRESS = "ENV('SHOP_URL', 'http://127.0.0.1:8765')"


@dataclass(frozen=True, slots=True)
class Step:
    """One statement of the tour."""

    title: str
    text: str
    """The statement, as it is shown and run."""
    says: str
    """What happened, in one line."""
    fails: bool = False
    """Whether the step shows a mistake."""


def read_connector() -> str:
    """Give the text of the shop's connector."""
    return CONNECTOR_FILE.read_text(encoding="utf-8")


def excerpt(connector: str) -> str:
    """Give the part of the connector that is worth a screen: the entity `items`."""
    start = connector.index(_EXCERPT_FROM)
    return connector[start : connector.index(_EXCERPT_TO, start) + len(_EXCERPT_TO)]


def point_at(connector: str, url: str) -> str:
    """Give the connector with the address of a running shop in place of its default."""
    return connector.replace(_ADDRESS, f"'{url}'")


STEPS = (
    Step(
        "Ask for five items",
        "SELECT id, name, price, created_at FROM my_shop.items LIMIT 5;",
        "One request: the handler was told the LIMIT and asked for no more.",
    ),
    Step(
        "Filter",
        "SELECT name, price, extra.origin AS origin\n"
        "FROM my_shop.items WHERE status = 'closed' AND price > 400;",
        "The shop filtered by status; price, which it was not asked about, was checked here.",
    ),
    Step(
        "Join two entities",
        "SELECT o.id, o.customer, i.name, o.total\n"
        "FROM my_shop.orders o JOIN my_shop.items i ON i.id = o.item_id\n"
        "WHERE o.total >= 1700 ORDER BY o.total DESC LIMIT 5;",
        "The shop cannot join; DuckDB joined, sorted and limited what it gave, page by page.",
    ),
    Step(
        "Aggregate",
        "SELECT state, count(*) AS orders, round(sum(total), 2) AS revenue\n"
        "FROM my_shop.orders GROUP BY state ORDER BY revenue DESC;",
        "A thousand orders in pages of 100, as many as the shop gives at a time.",
    ),
    Step(
        "Change something",
        "CONNECTOR_EXEC my_shop.items.create(name => 'Pine Ladder', price => 89.5);",
        "A write is sent once, never repeated, and kept in the action history.",
    ),
    Step(
        "Look at the instance",
        "SHOW CONNECTOR my_shop;",
        "The definition holds a reference to the secret, not the secret.",
    ),
    Step(
        "Make a mistake",
        "SELECT id FROM my_shop.item;",
        "An error says where, what is allowed and what to do. No request was sent.",
        fails=True,
    ),
)
"""Runs after the connector is defined and its secret is stored."""

NEXT = f"""\
What next
  moltler demo                      keep the shop open, and see its requests
  moltler shell                     type statements yourself
  {CONNECTOR_FILE}
                                    the connector of this tour: copy it, point it at your API
  moltler explain CAT002            what an error means
  README.md, docs/ and examples/    in the repository
"""
