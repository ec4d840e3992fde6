"""A connector with tests of every outcome, as files."""

from __future__ import annotations

from pathlib import Path

SHOP = """CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {"id": {"type": "integer", "primary_key": true}, "name": {"type": "string"}}
QUERY_HANDLER '''
async function query(config) {
    return (await (await fetch(config.api_url + '/items')).json()).items;
}
''';
CREATE CONNECTOR ACTION 'shop.items.create' PARAMETERS {"name": {"type": "string"}}
HANDLER '''
async function execute(config, params) {
    const init = {method: 'POST', body: JSON.stringify(params)};
    return await (await fetch(config.api_url + '/items', init)).json();
}
''';
"""
ITEMS = '{"GET /items": {"body": {"items": [{"id": 1, "name": "Lamp"}]}}}'


def written(
    name: str,
    body: str,
    *,
    clauses: str = "",
    mock: str = ITEMS,
    url: str = '"mock://"',
    type_name: str = "shop",
) -> str:
    """Give the text of a test over a connector `c` of the type."""
    mock_api = f"MOCK_API {mock}\n" if mock else ""
    return (
        f"TEST CONNECTOR TYPE '{type_name}' NAME '{name}' {clauses}\n{mock_api}BEGIN\n"
        f"    CREATE CONNECTOR c TYPE '{type_name}' CONFIG {{\"api_url\": {url}}};\n"
        f"    {body}\nEND TEST;\n"
    )


GOOD = written("reads items", "DECLARE r = SELECT * FROM c.items; ASSERT r[0].name = 'Lamp';")
BAD = written(
    "counts items",
    "DECLARE r = SELECT id FROM c.items; ASSERT ARRAY_LENGTH(r) = 2, 'both of them';",
    clauses="TAGS ['slow']",
)
UNSET = written(
    "asks the real API",
    "SELECT * FROM c.items;",
    clauses="TAGS ['live', 'slow']",
    mock="",
    url="ENV('SHOP_TEST_URL')",
)


def write(folder: Path, **files: str) -> Path:
    """Write scripts by their stem, and the shop's definitions beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in {"shop": SHOP, **files}.items():
        (folder / f"{stem}.moltler").write_text(text, encoding="utf-8")
    return folder
