"""EXPLAIN as a statement: SELECT, ANALYZE, and the dry run of an action (LANGUAGE §6.8, §8.3)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow as pa
import pytest

import moltler
from moltler.flow.scan import Warning
from support.command import Moltler
from support.http import HttpServer, Request

KEY = "a-key-that-nobody-may-see"
DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {{
    "api_url": {{"type": "string", "required": true}},
    "api_key": {{"type": "string", "secret": true}}}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {{"id": {{"type": "integer", "primary_key": true}}, "name": {{"type": "string"}}}}
QUERY_HANDLER '''
let calls = 0;
async function* query(config, filters, options) {{
    calls += 1;
    const headers = {{Authorization: `Bearer ${{config.api_key}}`}};
    for (let page = 0; page < 3; page += 1) {{
        const url = `${{config.api_url}}/items?page=${{page}}&n=${{calls}}`;
        const answer = await fetch(url, {{headers}});
        yield await answer.json();
    }}
}}
''';
CREATE CONNECTOR ACTION 'shop.items.rename'
PARAMETERS {{"id": {{"type": "integer", "required": true}}, "name": {{"type": "string"}}}}
HANDLER '''
let runs = 0;
async function execute(config, params) {{
    runs += 1;
    const url = `${{config.api_url}}/items/${{params.id}}`;
    const pair = btoa('ann:' + config.api_key);
    const headers = {{Authorization: 'Basic ' + pair, 'X-Run': `${{runs}}`}};
    const found = await (await fetch(url, {{headers}})).json();
    if (found.missing) throw new ConnectorError(`no item for ${{config.api_key}}`);
    const body = JSON.stringify({{name: params.name, key: config.api_key}});
    const done = await fetch(url, {{method: 'PUT', headers, body}});
    if (done.headers.get('X-Moltler-Dry-Run') !== '1') return await done.json();
    const answer = await done.json();
    if (params.name === 'strict') throw new ConnectorError(`no id in ${{JSON.stringify(answer)}}`);
    await fetch(url + '/tags', {{method: 'DELETE'}});
    return {{status: done.status, answer}};
}}
''';
REGISTER CONNECTOR TYPE 'shop';
CREATE CONNECTOR s TYPE 'shop' CONFIG {{"api_url": "{url}", "api_key": "{{{{secrets.shop}}}}"}};
"""


@pytest.fixture
def shop(session: moltler.Session, http_server: HttpServer) -> moltler.Session:
    def items(request: Request) -> Any:
        page = int(request.query["page"])
        return [{"id": page * 10 + i, "name": f"n{i}"} for i in range(10)]

    http_server.route("GET", "/items", items)
    http_server.route("GET", "/items/1", {"id": 1})
    http_server.route("GET", "/items/2", {"missing": True})
    http_server.route("PUT", "/items/1", lambda r: r.json())
    session.secrets.put("shop", KEY)
    session.execute(DEFINITION.format(url=http_server.url))
    return session


def rows(session: moltler.Session, text: str, *params: object) -> list[tuple[Any, ...]]:
    with session.execute(text, params or None) as result:
        return list(result.rows())


def test_explain_select_calls_no_handler_and_binds_parameters(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    found = {r[1]: r[2] for r in rows(shop, "EXPLAIN SELECT name FROM s.items WHERE id = ?", 7)}
    assert found["handler"] == "shop.items"
    assert found["filters"] == {"id": 7}
    assert found["fields"] == ["id", "name"] or found["fields"] == ["name", "id"]
    assert http_server.requests == []


@pytest.mark.parametrize("word", ["EXPLAIN", "EXPLAIN ANALYZE"])
@pytest.mark.parametrize(
    ("select", "code"),
    [
        ("SELECT nam FROM s.items", "PLN002"),
        ("SELECT * FROM s.item", "CAT002"),
        ("SELECT * FROM t.items", "CAT001"),
        ("SELECT * FROM s.items LIMIT -1", "PLN007"),
        ("SELECT * FROM read_csv('x')", "PLN006"),
    ],
)
def test_what_is_wrong_with_the_select_is_the_same_error(
    shop: moltler.Session, word: str, select: str, code: str
) -> None:
    def failure(text: str) -> moltler.MoltlerError:
        with pytest.raises(moltler.MoltlerError) as caught:
            rows(shop, text)
        return caught.value

    alone, told = failure(select), failure(f"{word} {select}")
    assert alone.code == told.code == code
    assert told.message == alone.message
    assert told.hint == alone.hint


def test_warnings_of_the_query_come_with_its_explanation(shop: moltler.Session) -> None:
    result = shop.execute("EXPLAIN SELECT * FROM s.items WHERE name = NULL")
    assert [w.code for w in result.warnings] == ["null_comparison"]


def test_the_program_prints_it_as_a_table_and_as_json(
    shop: moltler.Session, moltler_command: Moltler
) -> None:
    query = "EXPLAIN SELECT name FROM s.items WHERE id = 7 LIMIT 2"
    shop.close()
    printed = json.loads(moltler_command("--json", "query", query).ok().stdout)
    values = {item: value for _, item, value, _ in printed["rows"]}
    assert values["filters"] == {"id": 7}
    assert values["where"] == [{"field": "id", "op": "=", "value": 7}]
    assert values["limit"] == 2
    table = moltler_command("query", query).ok().stdout
    assert '{"id":7}' in table.replace(" ", "")


def test_explain_has_one_type_a_column_in_arrow(shop: moltler.Session) -> None:
    with shop.execute("EXPLAIN SELECT name FROM s.items WHERE id = 7 LIMIT 2") as result:
        table = pa.Table.from_batches(list(result.arrow()))
    assert table.schema.field("value").type == pa.string()
    values = dict(
        zip(table.column("item").to_pylist(), table.column("value").to_pylist(), strict=True)
    )
    assert values["handler"] == '"shop.items"'
    assert json.loads(values["filters"] or "") == {"id": 7}
    assert values["limit"] == "2"


def test_analyze_runs_the_query_and_counts(shop: moltler.Session, http_server: HttpServer) -> None:
    text = "EXPLAIN ANALYZE SELECT name FROM s.items WHERE id > 14"
    found = {r[1]: r[2] for r in rows(shop, text)}
    wanted = ("requests", "pages", "rows_received", "rows_kept", "rows", "retries", "cache_hits")
    assert [found[item] for item in wanted] == [3, 3, 30, 15, 15, 0, 0]
    assert len(http_server.requests) == 3
    assert 0 < found["api_ms"] < found["total_ms"]
    assert 0 <= found["javascript_ms"] < found["total_ms"]
    ((status,),) = [(r["status"],) for r in shop.execute("SHOW CONNECTORS").dicts()]
    assert status == "connected"


# ── actions ──────────────────────────────────────────────────────────────────────────────────


def dry_run(
    session: moltler.Session, arguments: str
) -> tuple[list[dict[str, Any]], tuple[Warning, ...]]:
    with session.execute(f"EXPLAIN CONNECTOR_EXEC s.items.rename({arguments})") as result:
        return list(result.dicts()), result.warnings


def test_a_dry_run_sends_reads_and_notes_the_rest(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    found, _ = dry_run(shop, "id => 1, name => 'Lamp'")
    url = f"{http_server.url}/items/1"
    assert [(r["n"], r["method"], r["url"], r["sent"]) for r in found] == [
        (1, "GET", url, True),
        (2, "PUT", url, False),
        (3, "DELETE", f"{url}/tags", False),
    ]
    assert json.loads(found[1]["body"])["name"] == "Lamp"
    assert http_server.paths == ["GET /items/1"]
    assert list(shop.execute("SHOW CONNECTOR s ACTION HISTORY").rows()) == []


def test_a_dry_run_shows_no_secret(shop: moltler.Session) -> None:
    found, _ = dry_run(shop, "id => 1, name => 'Lamp'")
    assert found[1]["headers"]["authorization"] == "Basic ann:[secret api_key]"
    assert json.loads(found[1]["body"])["key"] == "[secret api_key]"
    encoded = base64.b64encode(f"ann:{KEY}".encode()).decode()
    assert KEY not in repr(found)
    assert encoded not in repr(found)


def test_a_dry_run_shares_no_state_with_real_runs(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    runs = [dry_run(shop, "id => 1, name => 'a'")[0][0]["headers"]["x-run"] for _ in range(2)]
    shop.execute("CONNECTOR_EXEC s.items.rename(id => 1, name => 'b')").close()
    assert runs == ["1", "1"]
    assert http_server.requests[-1].method == "PUT"
    assert http_server.requests[-1].headers["x-run"] == "1"


def test_a_handler_that_stops_after_a_noted_write_gives_what_it_did_so_far(
    shop: moltler.Session,
) -> None:
    found, (warning,) = dry_run(shop, "id => 1, name => 'strict'")
    assert [r["method"] for r in found] == ["GET", "PUT"]
    assert warning.code == "handler_stopped"
    assert warning.message == "handler stopped: no id in {}"


def test_a_handler_that_fails_before_its_first_write_is_an_error(shop: moltler.Session) -> None:
    with pytest.raises(moltler.ConnectorError) as caught:
        dry_run(shop, "id => 2")
    assert "no item for [secret api_key]" in caught.value.message
    assert caught.value.context.action == "items.rename"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("s.items.rename(name => 'x')", "PLN005"),
        ("s.items.rename(id => 1, nam => 'x')", "PLN005"),
        ("s.items.renam(id => 1)", "CAT002"),
        ("t.items.rename(id => 1)", "CAT001"),
    ],
)
def test_a_dry_run_checks_names_and_arguments_first(
    shop: moltler.Session, http_server: HttpServer, call: str, code: str
) -> None:
    with pytest.raises(moltler.MoltlerError) as caught:
        shop.execute(f"EXPLAIN CONNECTOR_EXEC {call}")
    assert caught.value.code == code
    assert http_server.requests == []
