"""The examples of the error pages are what the program prints; those of statements run."""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

import moltler
from moltler.errors import MoltlerError
from moltler.render.text import error_lines

ROOT = Path(__file__).parents[2]
EXPLANATIONS = ROOT / "src/moltler/explanations"
STATEMENTS: list[dict[str, Any]] = tomllib.loads(
    (ROOT / "docs/reference/statements.toml").read_text(encoding="utf-8")
)["statement"]

DRAFT = "CREATE CONNECTOR TYPE 'shop';"
SHOP = """
CREATE CONNECTOR TYPE 'shop'
CONFIG_SCHEMA {"api_url": {"type": "string", "required": true}, "api_key": {"type": "string"}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {"id": {"type": "string", "primary_key": true}, "name": {"type": "string"},
        "status": {"type": "string"}, "price": {"type": "number"},
        "created_at": {"type": "timestamp"}}
QUERY_HANDLER 'async function query() { return [{id: "1", name: "Lamp"}]; }';
CREATE CONNECTOR ENTITY 'shop.orders'
FIELDS {"id": {"type": "integer", "primary_key": true}, "item_id": {"type": "string"}}
QUERY_HANDLER 'async function query() { return Array.from({length: 200}, (_, i) => ({id: i})); }';
CREATE CONNECTOR ACTION 'shop.items.create'
PARAMETERS {"name": {"type": "string", "required": true}, "price": {"type": "number"},
            "status": {"type": "string"}}
HANDLER 'async function execute(config, params) { return params; }';
REGISTER CONNECTOR TYPE 'shop';
"""
INSTANCE = """
CREATE CONNECTOR my_shop TYPE 'shop' CONFIG {"api_url": "https://api.shop.example"};
"""
REQUIRED = SHOP.replace(
    "FIELDS {\"id\": {\"type\": \"integer\", \"primary_key\": true}, ",
    "PUSHDOWN {\"filters\": {\"customer_id\": {\"operators\": [\"=\"], \"required\": true}}} "
    "FIELDS {\"id\": {\"type\": \"integer\"}, \"customer_id\": {\"type\": \"string\"}, "
    "\"total\": {\"type\": \"number\"}, ",
)  # fmt: skip
SEARCH = SHOP.replace(
    '"created_at": {"type": "timestamp"}}',
    '"created_at": {"type": "timestamp"}, "search": {"type": "string", "filter_only": true}}',
)

SHRUNK = (
    SHOP.replace(
        "'async function query() { return Array",
        "'async function query() { return times++ ? [] : Array",
    ).replace(
        "'async function query() { return times++",
        "'let times = 0; async function query() { return times++",
    )
    + INSTANCE
    + "SYNC CONNECTOR my_shop.orders TO orders;"
)
UNFIT = (
    SHOP.replace('[{id: "1", name: "Lamp"}]', '[{id: "1", price: "?"}, {id: "2", price: "n/a"}]')
    + INSTANCE
)
CAPPED = SHOP.replace(
    "'async function query() { return Array.from({length: 200}, (_, i) => ({id: i})); }'",
    "'async function* query() { for (let i = 0; ; i++) yield [{id: i}]; }'",
) + INSTANCE.replace(";", ' OPTIONS {"max_pages": 2};')

BEFORE = {
    "DEF001": DRAFT,
    "DEF002": DRAFT,
    "DEF003": DRAFT,
    "DEF004": DRAFT,
    "DEF005": DRAFT,
    "DEF006": "",
    "DEF007": "",
    "DEF008": SHOP + INSTANCE,
    "CAT001": SHOP + INSTANCE,
    "CAT002": SHOP + INSTANCE,
    "CAT003": SHOP + INSTANCE,
    "CAT004": SHOP.replace('"api_key": {', '"api_key": {"required": true, '),
    "CAT005": SHOP,
    "CAT006": SHOP + INSTANCE,
    "CAT007": "",
    "CAT008": SHOP,
    "CAT011": SHOP + INSTANCE,
    "PLN001": REQUIRED + INSTANCE,
    "PLN002": SHOP + INSTANCE,
    "PLN004": SHOP + INSTANCE,
    "PLN005": SHOP + INSTANCE,
    "PLN006": SHOP + INSTANCE,
    "PLN007": SHOP + INSTANCE,
    "PLN008": SHOP + INSTANCE,
    "PLN009": SEARCH + INSTANCE,
    "PLN011": SHOP + INSTANCE,
    "PKG006": "",
    "PLN900": "",
    "SNC001": SHOP + INSTANCE,
    "SNC003": SHRUNK,
    "SNC005": UNFIT,
    "SNC008": CAPPED,
    "SNC009": SHOP + INSTANCE + "SYNC CONNECTOR my_shop.items TO items;",
    "TST001": "DECLARE results = [{'id': '1'}, {'id': '3'}];".replace("'", '"'),
    "TST004": SHOP + INSTANCE,
}
"""What each example needs to exist."""


def example(code: str) -> tuple[str, str]:
    """Give the statements of a page's example, and what is printed after them."""
    section = page_text(code).partition("## Example\n")[2].partition("\n## ")[0]
    statements, _, printed = textwrap.dedent(section).strip().partition("\nerror[")
    return statements.strip(), f"error[{printed}"


def comparable(printed: str) -> str:
    """Give a text without files, lines and notes, and without a page's line breaks."""
    text = re.sub(r"--> [^\s:]+:\d+", "-->", printed)
    text = re.sub(r"^ +(?:= note:|at) .*$", "", text, flags=re.MULTILINE)
    return " ".join(text.split())


@pytest.mark.parametrize("code", BEFORE)
def test_example_is_what_is_printed(
    code: str, session: moltler.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "items.js").write_text("async function query() { return []; }", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    statements, printed = example(code)
    if BEFORE[code]:
        session.execute(BEFORE[code]).close()

    with pytest.raises(MoltlerError) as found, session.execute(statements) as result:
        list(result.rows())

    shown = "\n".join(line.plain for line in error_lines(found.value))
    assert comparable(shown) == comparable(printed)


HANDLERS = {
    "JSR001": "throw new Error('API error: 500');",
    "JSR004": "return {data: [], total: 0};",
    "JSR005": "return [1, 2, 3, 'n/a'].map((price, i) => ({id: i, price}));",
    "JSR006": "const data = await fetchFromAPI(config);",
    "JSR007": "await new Promise((resolve) => { if (options.limit) resolve(); });",
    "JSR008": "for (;;) yield [{id: '1'}];",
    "API002": "throw new ConnectorAuthError('Invalid API key');",
    "API003": "throw new ConnectorRateLimitError('Rate limited', {retryAfter: 30});",
    "API005": "await fetch('https://cdn.pictures.net/items');",
}
"""What a handler does that ends with the error of each page."""


@pytest.mark.parametrize("code", HANDLERS)
def test_message_and_hint_of_a_handlers_error_are_on_its_page(
    code: str, session: moltler.Session
) -> None:
    star = "*" if "yield" in HANDLERS[code] else ""
    handler = f"async function{star} query(config, filters, options) {{ {HANDLERS[code]} }}"
    shop = SHOP.replace('async function query() { return [{id: "1", name: "Lamp"}]; }', "HANDLER")
    session.execute(shop.replace("'HANDLER'", f"'''{handler}'''") + INSTANCE).close()

    with (
        pytest.raises(MoltlerError) as found,
        session.execute("SELECT * FROM my_shop.items") as result,
    ):
        list(result.rows())

    problem = found.value.problems[0]
    text = " ".join(page_text(code).split())
    assert problem.code == code
    assert " ".join(problem.message.split()) in text
    assert (problem.hint or "") in text


def page_text(code: str) -> str:
    return (EXPLANATIONS / f"{code}.md").read_text(encoding="utf-8")


def code_of(session: moltler.Session, text: str) -> str | None:
    try:
        with session.execute(text) as result:
            list(result.rows())
    except MoltlerError as error:
        return error.code
    return None


@pytest.mark.parametrize("section", STATEMENTS, ids=lambda s: s["title"])
def test_the_example_of_a_statement_is_run(
    session: moltler.Session, section: dict[str, Any]
) -> None:
    session.execute(SHOP + INSTANCE).close()

    assert code_of(session, section["example"]) != "PLN011"
