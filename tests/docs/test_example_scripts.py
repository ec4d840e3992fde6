"""Every example runs against the demo shop and gives what its question asks for; its tests pass."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
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
from moltler.testing.report import TestReport

FOLDER = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(FOLDER.rglob("*.moltler"))
TESTS = [path for path in SCRIPTS if "\nTEST CONNECTOR" in path.read_text(encoding="utf-8")]
EXAMPLES = [path for path in SCRIPTS if path.parent == FOLDER and path not in TESTS]
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


def test_the_list_of_examples_is_complete() -> None:
    listed = re.findall(r"\]\(([^)]+\.moltler)\)", (FOLDER / "README.md").read_text("utf-8"))
    # Its own address is the one link that leads out of the folder.
    inside = [name for name in listed if not name.startswith("..")]

    assert sorted(inside) == [str(path.relative_to(FOLDER)) for path in SCRIPTS]


# ── their tests ──────────────────────────────────────────────────────────────────────────────


def how_to_run(path: Path) -> str:
    """Give the arguments of `moltler test` that a file of tests names."""
    text = path.read_text(encoding="utf-8")
    command = re.search(r"^--   moltler test (.+)$", text, re.MULTILINE)
    assert command is not None, f"{path} does not say how it is run"
    return command[1]


def run_tests(session: moltler.Session, sources: list[Source], name: str) -> list[TestReport]:
    """Run the tests of one of several scripts."""
    collection = session.collect_tests(sources)
    tests = [test for test in collection.tests if test.span.source.name == name]
    return [session.run_test(test, collection) for test in tests]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[moltler.Session]:
    """One session for all tests of examples: their worlds keep them apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLTLER_KEY", "a key for tests only, long enough")
        with moltler.connect(tmp_path_factory.mktemp("laboratory") / "home") as session:
            yield session


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_tests_of_an_example_pass_and_leave_nothing_to_say(
    laboratory: moltler.Session, path: Path
) -> None:
    sources = [Source(str(p), p.read_text(encoding="utf-8")) for p in SCRIPTS]

    reports = run_tests(laboratory, sources, str(path))

    assert [(r.name, r.status, r.failure, r.notes) for r in reports] == [
        (r.name, "passed", None, ()) for r in reports
    ]
    assert reports
    types = {r.type_name for r in reports}
    alone = f"examples/{path.relative_to(FOLDER)}", f"examples/{path.parent.relative_to(FOLDER)}"
    assert how_to_run(path) in {*alone, f"examples --type {types.pop()}"}
    assert not types


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_a_file_of_tests_is_short_and_opens_with_its_question(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()

    assert len(lines) < 80
    assert lines[0].startswith("-- ")
    assert lines[0].endswith("?")


@pytest.mark.parametrize(
    ("name", "right", "wrong", "red"),
    [
        (
            "count-the-requests-of-pages",
            "while (cursor && found.length < wanted)",
            "while (false)",
            {
                "five rows in pages of two take three requests",
                "a LIMIT ends the loop early",
                "a page that fails is no end of the rows",
            },
        ),
        (
            "count-the-requests-of-pages",
            "while (cursor && found.length < wanted)",
            "while (cursor)",
            {"a LIMIT ends the loop early"},
        ),
        (
            "count-the-requests-of-pages",
            "if (!response.ok) throw",
            "if (!response.ok) return found; if (false) throw",
            {"a page that fails is no end of the rows"},
        ),
        (
            "space-calls-on-the-clock",
            "last + interval - Date.now()",
            "last + 1 - Date.now()",
            {
                "four calls take at least three intervals",
                "time that has passed anyway is not waited for",
            },
        ),
        (
            "cache-until-it-is-stale",
            "if (known && Date.now() - known.at < FRESH_MS)",
            "if (known)",
            {"the same question again makes no request, until a minute later"},
        ),
        (
            "cache-until-it-is-stale",
            "if (known && Date.now() - known.at < FRESH_MS)",
            "if (false)",
            {"the same question again makes no request, until a minute later"},
        ),
        (
            "cache-until-it-is-stale",
            "[config, filters, options]",
            "[config]",
            {"another filter is another question"},
        ),
        (
            "catch-errors-by-type",
            "ConnectorRateLimitError",
            "ConnectorError",
            {"each answer of the API has an error of its own", "a script goes by the class"},
        ),
        (
            "catch-errors-by-type",
            "ConnectorAuthError",
            "ConnectorError",
            {"each answer of the API has an error of its own"},
        ),
    ],
)
def test_a_technique_that_is_broken_turns_its_tests_red(
    laboratory: moltler.Session, name: str, right: str, wrong: str, red: set[str]
) -> None:
    text = (FOLDER / f"{name}.moltler").read_text(encoding="utf-8")
    assert right in text

    reports = run_tests(laboratory, [Source(name, text.replace(right, wrong))], name)

    assert {r.name for r in reports if r.status == "failed"} == red


# ── against the demo shop ────────────────────────────────────────────────────────────────────


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
