"""What a session shows and keeps of a secret: nothing."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import moltler
from hostile.conftest import attempt
from moltler.errors import MoltlerError
from support.command import Moltler
from support.http import HttpServer, Request, Response

SECRET = "Sesame-open-9177-Zebra"
TYPE = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"},
    "api_key": {"type": "string", "secret": true}, "login": {"type": "string"}}
TEST_HANDLER 'async function test(c) { throw new Error("test " + c.api_key + btoa(c.api_key)); }';
CREATE CONNECTOR ENTITY 'shop.items' FIELDS {"id": {"type": "integer"}, "text": {"type": "string"}}
QUERY_HANDLER 'async function query(c, filters) {
    console.log("log", c, btoa(c.api_key), JSON.stringify(c));
    const r = await fetch(c.api_url + "/items/" + c.api_key, {method: "POST", body: c.login,
        headers: {Authorization: "Basic " + btoa("u:" + c.api_key)}});
    if (filters.id === 2) throw new ConnectorError("no " + c.api_key + await r.text());
    return [{id: 1, text: [c.api_key, c.login, await r.text(), r.url, ...r.headers].join()}];
}';
CREATE CONNECTOR ACTION 'shop.items.add' PARAMETERS {"text": {"type": "string"}}
HANDLER 'async function execute(c, p) {
    const url = c.api_url + "/add?k=" + c.api_key;
    const r = await fetch(url, {method: "POST", body: p.text + c.login});
    if (p.text === "fail") throw new Error(c.api_key + await r.text());
    return {text: await r.text(), key: c.api_key};
}';
REGISTER CONNECTOR TYPE 'shop';
"""
SHOWN = [
    "SHOW CONNECTORS",
    "SHOW CONNECTOR s",
    "SHOW CONNECTOR s STATUS",
    "SHOW CONNECTOR s ACTIONS",
    "SHOW CONNECTOR s ACTION HISTORY",
    "SHOW CACHE",
    "DESCRIBE s.items",
    "TEST CONNECTOR s",
    "SELECT * FROM s.items",
    "SELECT * FROM s.items WHERE id = 2",
    "SELECT * FROM s.items WHERE text LIKE '%x%' ORDER BY id LIMIT 1",
    "EXPLAIN SELECT * FROM s.items",
    "EXPLAIN ANALYZE SELECT * FROM s.items",
    "EXPLAIN EXEC s.items.add(text = 'x')",
    "EXEC s.items.add(text = 'x')",
    "EXEC s.items.add(text = 'fail')",
    "SELECT * FROM s.nothing",
    "SHOW CONNECTOR s ACTION HISTORY",
]
FORMS = [
    SECRET,
    base64.b64encode(SECRET.encode()).decode(),
    base64.b64encode(b"u:" + SECRET.encode()).decode()[4:-4],
    SECRET.encode().hex(),
]


def echo(request: Request) -> Response:
    seen = {"target": request.target, "headers": request.headers, "body": request.body.decode()}
    return Response(200, seen, {"X-Echo": request.headers.get("authorization", request.target)})


def found_in(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


def prepare(home: Path, http_server: HttpServer) -> None:
    http_server.route("*", "/*", echo)
    with moltler.connect(home) as session:
        session.secrets.put("key", SECRET)
        session.execute(TYPE)
        config = {
            "api_url": http_server.url,
            "api_key": "{{secrets.key}}",
            "login": "user {{secrets.key}} end",
        }
        create = f"CREATE CONNECTOR s TYPE 'shop' CONFIG {json.dumps(config)}"
        session.execute(create + ' OPTIONS {"cache_ttl": 60}')


def test_nothing_that_is_shown_or_kept_holds_the_secret(
    home: Path, http_server: HttpServer, moltler_command: Moltler
) -> None:
    prepare(home, http_server)
    with moltler.connect(home) as session:
        for text in SHOWN:

            def run(text: str = text) -> str:
                return str([*session.execute(text).rows()])

            result = attempt(run)
            seen = result
            if isinstance(result, MoltlerError):
                assert not result.code.startswith("SYN"), text
                seen = f"{result!r} {result} {result.hint} {result.context} {result.__dict__}"
            assert found_in(str(seen)) == [], text
    assert SECRET in str([r.target for r in http_server.requests])  # the API did get it
    fails = "SELECT * FROM s.items WHERE id = 2"
    for flags in (["-v"], ["-v", "--json"]):
        ran = moltler_command(*flags, "query", fails)
        assert found_in(ran.stdout + ran.stderr) == []
    for path in home.rglob("*"):
        if path.is_file():
            assert found_in(path.read_bytes().decode("latin-1")) == [], path.name
