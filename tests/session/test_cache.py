"""The options cache_ttl, retry_count and max_requests over the production path."""

from __future__ import annotations

from typing import Any

import pytest

import moltler
from support.http import HttpServer, Response

DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {{
    "api_url": {{"type": "string", "required": true}},
    "api_key": {{"type": "string", "secret": true}}}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {{"id": {{"type": "integer", "primary_key": true}}, "name": {{"type": "string"}}}}
QUERY_HANDLER '''
async function query(config, filters, options) {{
    const answer = await fetch(`${{config.api_url}}/items`);
    if (answer.status === 429) throw new ConnectorRateLimitError('slow down');
    return await answer.json();
}}
''';
CREATE CONNECTOR ENTITY 'shop.log'
FIELDS {{"id": {{"type": "integer"}}}}
QUERY_HANDLER '''
async function query(config) {{
    let rows = [];
    for (let page = 0; page < 1000; page += 1) {{
        rows = rows.concat(await (await fetch(`${{config.api_url}}/items`)).json());
    }}
    return rows;
}}
''';
CREATE CONNECTOR ACTION 'shop.items.touch' PARAMETERS {{}}
HANDLER 'async function execute(config) {{
    return (await fetch(config.api_url + "/touch", {{method: "POST"}})).status; }}';
REGISTER CONNECTOR TYPE 'shop';
CREATE CONNECTOR s TYPE 'shop' CONFIG {{"api_url": "{url}", "api_key": "{{{{secrets.shop}}}}"}}
OPTIONS {{"cache_ttl": 600, "max_requests": 20}};
"""


@pytest.fixture
def shop(session: moltler.Session, http_server: HttpServer) -> moltler.Session:
    http_server.route("GET", "/items", [{"id": i, "name": f"n{i}"} for i in range(3)])
    http_server.route("POST", "/touch", {})
    session.secrets.put("shop", "the first key")
    session.execute(DEFINITION.format(url=http_server.url))
    return session


def rows(session: moltler.Session, text: str) -> list[tuple[Any, ...]]:
    with session.execute(text) as result:
        return list(result.rows())


COUNT = "SELECT count(*) FROM s.items"


def test_kept_rows_are_shown_used_and_cleared(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    assert rows(shop, COUNT) == rows(shop, COUNT) == [(3,)]
    rows(shop, "SELECT name FROM s.items WHERE id = 1")
    assert len(http_server.requests) == 2  # the count read no name
    kept = list(shop.execute("SHOW CACHE").dicts())
    assert [(r["connector"], r["entity"], r["where"], r["rows"], r["hits"]) for r in kept] == [
        ("s", "items", None, 3, 1),
        ("s", "items", [{"field": "id", "op": "=", "value": 1}], 3, 0),
    ]
    assert isinstance(kept[0]["bytes"], int)
    assert kept[0]["ttl_s"] == 600
    (cleared,) = shop.execute("CLEAR CACHE FOR CONNECTOR s").dicts()
    assert cleared["message"] == "2 scan(s) forgotten"
    assert rows(shop, "SHOW CACHE") == []
    with pytest.raises(moltler.LookupFailed) as caught:
        shop.execute("CLEAR CACHE FOR CONNECTOR nobody")
    assert caught.value.code == "CAT001"
    assert rows(shop, "CLEAR CACHE") == [("CLEAR CACHE", "", "0 scan(s) forgotten")]


def test_explain_tells_hits_before_and_after(shop: moltler.Session) -> None:
    def told(word: str) -> dict[str, Any]:
        return {item: value for _, item, value, _ in rows(shop, f"{word} {COUNT}")}

    assert told("EXPLAIN")["cache"] == "miss"
    first = told("EXPLAIN ANALYZE")
    assert (first["calls_made"], first["requests"], first["cache_hits"]) == (1, 1, 0)
    assert told("EXPLAIN")["cache"] == "hit"
    second = told("EXPLAIN ANALYZE")
    assert (second["calls_made"], second["requests"], second["cache_hits"]) == (0, 0, 1)
    assert second["rows_received"] == 3


@pytest.mark.parametrize(
    "change",
    [
        "CONNECTOR_EXEC s.items.touch()",
        'ALTER CONNECTOR s SET OPTIONS {"cache_ttl": 700}',
        'CREATE OR REPLACE CONNECTOR ENTITY \'shop.log\' FIELDS {"id": {"type": "integer"}}'
        " QUERY_HANDLER 'function query() { return []; }'; REGISTER CONNECTOR TYPE 'shop'",
        None,
    ],
)
def test_what_changes_the_rows_ends_their_keeping(
    shop: moltler.Session, http_server: HttpServer, change: str | None
) -> None:
    rows(shop, COUNT)
    if change is None:
        shop.secrets.put("shop", "the second key")
    else:
        shop.execute(change)
    rows(shop, COUNT)
    assert len([r for r in http_server.requests if r.method == "GET"]) == 2


def test_a_self_join_makes_one_call(shop: moltler.Session, http_server: HttpServer) -> None:
    sql = "SELECT count(*) FROM s.items a JOIN s.items b ON b.id = a.id + 1"
    assert rows(shop, sql) == [(2,)]
    assert len(http_server.requests) == 1


def test_a_handler_that_runs_away_within_one_page_is_stopped(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    with pytest.raises(moltler.PlanError) as caught:
        rows(shop, "SELECT * FROM s.log")
    assert caught.value.code == "PLN010"
    message = caught.value.message
    assert message.startswith(
        "the query on `s` needs more than max_requests = 20 requests; so far:"
    )
    assert "0 rows, 20 requests" in message
    assert len(http_server.requests) == 20


def test_a_handler_cannot_hide_that_its_budget_is_spent(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    shop.execute("""
        CREATE OR REPLACE CONNECTOR ENTITY 'shop.log' FIELDS {"id": {"type": "integer"}}
        QUERY_HANDLER 'async function query(config) {
            const all = Array.from({length: 100}, () => fetch(`${config.api_url}/items`));
            await Promise.allSettled(all);
            return [{id: 1}];
        }';
        REGISTER CONNECTOR TYPE 'shop'
    """)
    with pytest.raises(moltler.PlanError, match="20 requests"):
        rows(shop, "SELECT * FROM s.log UNION ALL SELECT id FROM s.items")
    assert len(http_server.requests) <= 20
    http_server.requests.clear()
    shop.execute('ALTER CONNECTOR s SET OPTIONS {"max_requests": 100}')
    assert rows(shop, "SELECT * FROM s.log") == [(1,)]
    assert len(http_server.requests) == 100


def test_requests_of_a_modules_own_code_count_too(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    shop.execute(
        """
        CREATE OR REPLACE CONNECTOR ENTITY 'shop.log' FIELDS {"id": {"type": "integer"}}
        QUERY_HANDLER 'for (let i = 0; i < 50; i++) await fetch("URL/items");
            function query() { return []; }';
        REGISTER CONNECTOR TYPE 'shop'
    """.replace("URL", http_server.url)
    )
    with pytest.raises(moltler.PlanError, match="20 requests"):
        rows(shop, "SELECT * FROM s.log")
    assert len(http_server.requests) == 20


def test_retry_count_asks_again_after_a_429(shop: moltler.Session, http_server: HttpServer) -> None:
    answers = [Response(429, {}, {"Retry-After": "0"}), [{"id": 1}]]
    http_server.route("GET", "/items", lambda _: answers.pop(0))
    shop.execute('ALTER CONNECTOR s SET OPTIONS {"retry_count": 1}')
    told = {item: value for _, item, value, _ in rows(shop, f"EXPLAIN ANALYZE {COUNT}")}
    assert (told["retries"], told["requests"], told["rows_received"]) == (1, 2, 1)


def test_pauses_of_a_mocked_test_take_no_time(session: moltler.Session) -> None:
    session.execute(DEFINITION.format(url="http://localhost:1"))
    session.execute(
        """
        TEST CONNECTOR TYPE 'shop' NAME 'slow'
        MOCK_API {"GET /items": [
            {"status": 429, "headers": {"Retry-After": "600"}, "body": {}},
            {"body": [{"id": 1}]}]}
        BEGIN
            DECLARE before = NOW();
            CREATE CONNECTOR c TYPE 'shop' CONFIG {"api_url": "mock://"}
            OPTIONS {"retry_count": 1};
            ASSERT (SELECT count(*) FROM c.items) = 1;
            ASSERT NOW() - before >= INTERVAL '10m';
        END TEST
        """
    )
