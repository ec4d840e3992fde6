"""A session that only reads changes nothing, also in tests of connectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import moltler
from moltler.compose import open_session
from moltler.errors import PlanError
from support.http import HttpServer

DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"}};
CREATE CONNECTOR ACTION 'shop.create'
HANDLER 'async function execute(config) {
    return (await fetch(config.api_url + "/items", {method: "POST"})).json(); }';
REGISTER CONNECTOR TYPE 'shop';
CREATE CONNECTOR s TYPE 'shop' CONFIG {"api_url": "URL"};
"""
TEST = """
TEST CONNECTOR TYPE 'shop' NAME 'it creates' MOCK
BEGIN
    CREATE CONNECTOR c TYPE 'shop' CONFIG {"api_url": "URL"};
    CONNECTOR_EXEC c.create();
    ASSERT 1 = 1;
END TEST;
"""


@pytest.fixture
def reading(home: Path, http_server: HttpServer) -> Iterator[moltler.Session]:
    http_server.route("POST", "/items", {"id": 1})
    with moltler.connect(home) as session:
        session.execute(DEFINITION.replace("URL", http_server.url))
    with open_session(home=home, read_only=True) as session:
        yield session


def test_an_action_is_refused(reading: moltler.Session, http_server: HttpServer) -> None:
    for run in (
        lambda: reading.execute("CONNECTOR_EXEC s.create()"),
        lambda: reading.execute("DECLARE made = CONNECTOR_EXEC s.create()"),
        lambda: reading.action("s.create"),
    ):
        with pytest.raises(PlanError) as caught:
            run()
        assert caught.value.code == "PLN012"
    assert http_server.paths == []


def test_a_test_against_the_real_api_runs_no_action(
    reading: moltler.Session, http_server: HttpServer
) -> None:
    text = TEST.replace("MOCK", "").replace("URL", http_server.url)
    with pytest.raises(moltler.MoltlerError) as caught:
        reading.execute(text)
    assert caught.value.code == "PLN012"
    assert http_server.paths == []


def test_a_test_with_mocks_runs_them(reading: moltler.Session, http_server: HttpServer) -> None:
    mock = 'MOCK_API {"POST /items": {"body": {"id": 2}}}'
    text = TEST.replace("MOCK", mock).replace("URL", "mock://")
    (row,) = reading.execute(text).dicts()
    assert row["status"] == "passed"
    assert http_server.paths == []


def test_a_dry_run_sends_reads_only(reading: moltler.Session, http_server: HttpServer) -> None:
    (row,) = reading.execute("EXPLAIN CONNECTOR_EXEC s.create()").dicts()
    assert (row["method"], row["sent"]) == ("POST", False)
    assert http_server.paths == []
