"""Real handlers in a real runtime, answered by a mock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from moltler.flow.connector import ResolvedConnector
from moltler.flow.scan import ScanRequest
from moltler.loop import LoopThread
from moltler.model import Action, Entity, Handler
from moltler.net.mock import MockWorld
from moltler.sandbox.handler import JavaScriptHandlers
from moltler.sandbox.spares import Spares
from moltler.schema import JsonValue, Schema
from support.handlers import fields
from support.http import HttpServer
from support.mocking import faults, mock_api
from support.net import resolved

PAGED = """
async function query(config, filters, options) {
  const rows = [];
  let cursor = '';
  do {
    const asked = new URLSearchParams(filters);
    if (cursor) asked.set('cursor', cursor);
    const response = await fetch(`${config.api_url}/items?${asked}`);
    const page = await response.json();
    rows.push(...page.items);
    cursor = page.next;
  } while (cursor);
  return rows;
}
"""
ROWS = '[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 9007199254740993, "name": "a"}]'
LISTING = (
    f'{{"GET /items": {{"rows": {ROWS}, "in": "items", "filters": {{"name": "name"}}, '
    '"cursor": "cursor", "next": "next", "page_size": 1}}'
)
Open = Callable[..., "Mocked"]


class Mocked:
    """An instance whose fetch is answered by a world of its own."""

    def __init__(
        self, handlers: JavaScriptHandlers, world: MockWorld, target: ResolvedConnector
    ) -> None:
        self.world = world
        self._handlers = handlers
        self._target = target

    def rows(self, text: str, **request: Any) -> list[dict[str, Any]]:
        """Run a query handler to its end."""
        known = fields("id integer key, name string")
        entity = Entity("items", known, Handler(text, "shop.moltler", 1))
        scan = ScanRequest("scan_0", self._target.name, entity, known.names, **request)
        pages = self._handlers.query(self._target, scan)
        return [row for page in pages for row in page.to_pylist()]

    def execute(self, text: str) -> JsonValue:
        """Run an action."""
        action = Action("create", "items", Schema(), Handler(text, "shop.moltler", 1))
        return self._handlers.execute(self._target, action, {})


@dataclass
class Runtime:
    """One runtime whose instances each have a world of their own."""

    worlds: dict[str, MockWorld]
    handlers: JavaScriptHandlers


@pytest.fixture(scope="module")
def runtime(loop: LoopThread) -> Iterator[Runtime]:
    worlds: dict[str, MockWorld] = {}
    handlers = JavaScriptHandlers(
        loop, lambda target: worlds[target.name].transport(target), log=print, spares=Spares(loop)
    )
    yield Runtime(worlds, handlers)
    handlers.close()


@pytest.fixture
def opened(runtime: Runtime) -> Open:
    def make(api: str, disturbed: str = "[]", api_url: str = "mock://") -> Mocked:
        target = resolved({"api_url": api_url})
        name = f"shop_{len(runtime.worlds)}"
        target = replace(target, connector=replace(target.connector, name=name))
        world = MockWorld(mock_api(api), faults(disturbed))
        runtime.worlds[name] = world
        return Mocked(runtime.handlers, world, target)

    return make


def test_handler_reads_every_page_of_a_data_route(opened: Open) -> None:
    mocked = opened(LISTING)
    assert [row["id"] for row in mocked.rows(PAGED)] == [1, 2, 9007199254740993]
    assert len(mocked.world.calls_of("GET /items")) == 3


def test_fault_on_the_second_page_reaches_the_handler(opened: Open) -> None:
    mocked = opened(LISTING, '[{"on": 2, "fault": "duplicate_page"}]')
    assert [row["id"] for row in mocked.rows(PAGED)] == [1, 1, 2, 9007199254740993]


def test_nothing_reaches_the_network(opened: Open, http_server: HttpServer) -> None:
    http_server.route("GET", "/items", {"items": [{"id": 7}], "next": None})
    mocked = opened(LISTING, api_url=http_server.url)
    assert len(mocked.rows(PAGED)) == 3
    assert http_server.connections == 0


def test_unmatched_request_is_not_sent_and_cannot_be_swallowed(
    opened: Open, http_server: HttpServer
) -> None:
    mocked = opened('{"POST /items": {}}', api_url=http_server.url)
    rows = mocked.rows(
        """async function query(config) {
          try { await fetch(`${config.api_url}/items?a=1`); } catch (error) {
            return [{id: 1, name: error.message.split(';')[0]}];
          }
        }"""
    )
    assert rows == [{"id": 1, "name": "no route answers `GET /items?a=1`"}]
    assert mocked.world.failure is not None
    assert mocked.world.failure.code == "TST002"
    assert http_server.connections == 0


def test_host_outside_the_config_is_refused(opened: Open) -> None:
    mocked = opened('{"GET https://elsewhere.example/": {"body": "leaked"}}')
    found = mocked.execute(
        "async function execute() { return await fetch('https://elsewhere.example/')"
        ".catch(error => error.code); }"
    )
    assert found == "EGRESS_BLOCKED"


def test_network_error_of_a_route_is_a_fetch_error(opened: Open) -> None:
    mocked = opened('{"GET /x": {"error": "dns"}}')
    found = mocked.execute(
        "async function execute(config) { return await fetch(config.api_url + '/x')"
        ".catch(error => [error.name, error.code]); }"
    )
    assert found == ["FetchError", "ENOTFOUND"]


def test_body_is_json_for_json_and_text_for_text(opened: Open) -> None:
    mocked = opened(
        '{"GET /j": {"body": [1]}, "GET /t": {"body": "[1"}, "GET /n": {"status": 204}}'
    )
    found = mocked.execute(
        """async function execute(config) {
          const get = (path) => fetch(config.api_url + path);
          return [await (await get('/j')).json(), await (await get('/t')).text(),
                  (await get('/n')).status, (await get('/j')).headers.get('content-type')];
        }"""
    )
    assert found == [[1], "[1", 204, "application/json"]
