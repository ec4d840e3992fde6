"""Seals through a session: tests with mocks, cassettes, results, the key of the home."""

from __future__ import annotations

import base64
import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest

import moltler
from moltler.errors import Source
from moltler.testing.runner import TestOptions
from support.http import HttpServer, Request

KEY = "a-key-that-nobody-may-see"
DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"},
    "api_key": {"type": "string", "secret": true}};
CREATE CONNECTOR ENTITY 'shop.items' FIELDS {"id": {"type": "integer"}, "text": {"type": "string"}}
QUERY_HANDLER 'async function query(config) {
    const Authorization = "Basic " + btoa("ann:" + config.api_key);
    const url = `${config.api_url}/items?key=${config.api_key}`;
    const body = JSON.stringify({key: config.api_key});
    const r = await fetch(url, {method: "POST", headers: {Authorization}, body});
    const {echo} = await r.json();
    if (echo !== undefined && echo !== config.api_key) throw new Error("not sealed");
    return [{id: 1, text: config.api_key}, {id: 2, text: JSON.stringify({config})}];
}';
REGISTER CONNECTOR TYPE 'shop';
"""
CREATE = 'CREATE CONNECTOR s TYPE \'shop\' CONFIG {{"api_url": "{0}", "api_key": "{1}"}}'
PAIR = "Basic " + base64.b64encode(f"ann:{KEY}".encode()).decode()


def rows(session: moltler.Session, text: str) -> list[tuple[Any, ...]]:
    return list(session.execute(text).rows())


def echo(request: Request) -> dict[str, Any]:
    return {"echo": request.query["key"]}


@pytest.fixture
def shop(session: moltler.Session, http_server: HttpServer) -> moltler.Session:
    http_server.route("POST", "/items", echo)
    session.execute(DEFINITION)
    session.secrets.put("shop", KEY)
    session.execute(CREATE.format(http_server.url, "{{secrets.shop}}"))
    return session


def test_rows_show_seals_as_they_are(shop: moltler.Session, http_server: HttpServer) -> None:
    seal, text = (row[0] for row in rows(shop, "SELECT text FROM s.items ORDER BY id"))
    assert re.fullmatch(r"sealed_\w+", seal)
    assert json.loads(text)["config"]["api_key"] == seal
    (request,) = http_server.requests
    assert (request.query, request.json()) == ({"key": KEY}, {"key": KEY})
    assert request.headers["authorization"] == PAIR


def test_seals_are_the_same_in_every_session_of_a_home(shop: moltler.Session, home: Path) -> None:
    first = rows(shop, "SELECT * FROM s.items")
    with moltler.connect(home) as later:
        assert rows(later, "SELECT * FROM s.items") == first
    assert stat.S_IMODE((home / "seal.key").stat().st_mode) == 0o600


def test_a_lost_key_of_seals_is_replaced(shop: moltler.Session, home: Path) -> None:
    first = rows(shop, "SELECT * FROM s.items")
    (home / "seal.key").write_text("damaged")
    with moltler.connect(home) as later:
        assert rows(later, "SELECT * FROM s.items") != first


def test_a_home_without_secrets_gets_no_key(home: Path, http_server: HttpServer) -> None:
    http_server.route("POST", "/items", {})
    with moltler.connect(home) as session:
        session.execute(DEFINITION)
        session.execute(CREATE.format(http_server.url, ""))
        session.execute("SELECT count(*) FROM s.items").value  # noqa: B018 - read to its end
    assert not (home / "seal.key").exists()


TEST = """TEST CONNECTOR TYPE 'shop' NAME 'sealed' {clauses} BEGIN
    CREATE CONNECTOR c TYPE 'shop' CONFIG {{"api_url": {url}, "api_key": {key}}};
    DECLARE found = SELECT text FROM c.items ORDER BY id;
    ASSERT found[0].text LIKE 'sealed_%';
    {more}
END TEST;"""


def test_mock_calls_show_the_real_values(session: moltler.Session) -> None:
    session.execute(DEFINITION)
    text = TEST.format(
        clauses=f'MOCK_API {{"POST /items": {{"body": {{"echo": "{KEY}"}}}}}}',
        url='"mock://"',
        key=f'"{KEY}"',
        more=f"""ASSERT MOCK_CALLS('POST /items')[0].query.key = '{KEY}';
                 ASSERT MOCK_CALLS('POST /items')[0].body.key = '{KEY}';
                 ASSERT MOCK_CALLS('POST /items')[0].headers.authorization = '{PAIR}';""",
    )
    collection = session.collect_tests([Source("<test>", text)])
    report = session.run_test(collection.tests[0], collection)
    assert (report.status, report.failure) == ("passed", None)


def test_a_cassette_holds_neither_values_nor_seals_and_plays_anywhere(
    session: moltler.Session,
    http_server: HttpServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    http_server.route("POST", "/items", echo)
    monkeypatch.setenv("SHOP_URL", http_server.url)
    monkeypatch.setenv("SHOP_KEY", KEY)
    text = TEST.format(clauses="", url="ENV('SHOP_URL')", key="ENV('SHOP_KEY')", more="")
    source = Source(str(tmp_path / "shop.moltler"), DEFINITION + text)
    collection = session.collect_tests([source])
    recorded = session.run_test(collection.tests[0], collection, TestOptions(record=True))
    assert (recorded.status, recorded.failure) == ("passed", None)
    cassette = (tmp_path / "cassettes/shop/sealed.json").read_text(encoding="utf-8")
    assert [word for word in (KEY, "sealed_", PAIR[6:], "YS1rZXk") if word in cassette] == []
    monkeypatch.delenv("SHOP_KEY")
    with moltler.connect(tmp_path / "another home") as elsewhere:
        collection = elsewhere.collect_tests([source])
        replayed = elsewhere.run_test(collection.tests[0], collection)
        assert (replayed.status, replayed.failure, replayed.calls) == ("passed", None, 1)
    assert len(http_server.requests) == 1
