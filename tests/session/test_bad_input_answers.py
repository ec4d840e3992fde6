"""APIs that answer badly and handlers that return what is no rows: a typed error, nothing lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import moltler
from support.http import (
    CLOSE,
    RESET,
    HttpServer,
    Raw,
    Response,
    bad_gzip,
    big_body,
    html,
    redirect,
    truncated,
    truncated_chunked,
)

HANDLERS = {
    # Hands on whatever the API says, as a careless author writes it.
    "plain": """
async function query(config, filters) {
    const response = await fetch(config.api_url + filters.path);
    return await response.json();
}""",
    # Looks at the status, as the reference page does.
    "careful": """
async function query(config, filters) {
    const response = await fetch(config.api_url + filters.path);
    if (response.status === 401 || response.status === 403) {
        throw new ConnectorAuthError('the key was refused: ' + response.status);
    }
    if (response.status === 429) throw new ConnectorRateLimitError('too many requests');
    if (!response.ok) throw new ConnectorError(`API error: ${response.status}`);
    return await response.json();
}""",
    "odd": """
async function query(config, filters) {
    const results = {
        number: 42, text: 'hello', nothing: undefined, undefined_row: [{id: 1}, undefined],
        number_row: [7], no_rows: {total: 2, results: [{id: 1}]}, list_row: [[1, 2]],
        wrong_type: [{id: 1, name: 'a'}, {id: 'abc', name: 'b'}], object_text: [{id: 1, name: {}}],
        null_key: [{id: null}],
    };
    if (filters.path === 'response') return await fetch(config.api_url + '/good');
    if (filters.path === 'unknown') return missing_name;
    if (filters.path === 'stuck') await new Promise(() => {});
    return results[filters.path];
}""",
}
LINES = {"plain": 4, "careful": 12, "odd": 26}
"""Where each handler's text begins in the script."""


def definitions() -> str:
    fields = """{"id": {"type": "integer", "primary_key": true}, "name": {"type": "string"},
              "path": {"type": "string", "filter_only": true}}"""
    entities = [
        f"CREATE CONNECTOR ENTITY 'shop.{name}' FIELDS {fields}\nQUERY_HANDLER '''{text}\n''';\n"
        for name, text in HANDLERS.items()
    ]
    return (
        """CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"}};\n"""
        + "".join(entities)
        + "REGISTER CONNECTOR TYPE 'shop';\n"
    )


class Shop:
    """One connector, its API and what was asked of it; shared by the tests of this file."""

    def __init__(self, session: moltler.Session, server: HttpServer) -> None:
        self.session = session
        self.server = server
        server.route("GET", "/good", [{"id": 1, "name": "Lamp"}])
        self.run(definitions())
        self.connect("my_shop", server.url)

    def connect(self, name: str, url: str) -> None:
        self.run(f"""CREATE CONNECTOR {name} TYPE 'shop' CONFIG {{"api_url": "{url}"}}""")

    def run(self, text: str) -> list[Any]:
        return list(self.session.execute(text, source_name="shop.moltler").rows())

    def read(self, entity: str, path: str, connector: str = "my_shop") -> list[Any]:
        return self.run(f"SELECT id, name FROM {connector}.{entity} WHERE path = '{path}'")

    def fails(
        self, entity: str, path: str, connector: str = "my_shop"
    ) -> tuple[moltler.ConnectorError, int | None]:
        """Give what reading ends with, and its line within the handler."""
        with pytest.raises(moltler.ConnectorError) as caught:
            self.read(entity, path, connector)
        error = caught.value
        assert error.file == "shop.moltler"
        assert error.exit_code == 3
        assert error.context.connector == connector
        assert error.context.entity == entity
        return error, error.line and error.line - LINES[entity]


@pytest.fixture(scope="module")
def one_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    # One runtime process for all: every test shows that the last failure did it no harm.
    home: Path = tmp_path_factory.mktemp("home")
    with HttpServer() as server, moltler.connect(home) as session:
        yield Shop(session, server)


@pytest.fixture
def shop(one_shop: Shop) -> Iterator[Shop]:
    yield one_shop
    assert one_shop.read("plain", "/good") == [(1, "Lamp")]
    assert ("my_shop", "connected") in [(r[0], r[2]) for r in one_shop.run("SHOW CONNECTORS")]


# ── the API cannot be reached ────────────────────────────────────────────────────────────────


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_api_that_is_down_is_named(shop: Shop, closed_port: int) -> None:
    shop.connect("down", f"http://127.0.0.1:{closed_port}")
    error, line = shop.fails("plain", "/items", "down")
    assert isinstance(error, moltler.ConnectorConnectionError)
    assert (error.code, line) == ("API001", 2)
    assert f"`127.0.0.1:{closed_port}` refuses the connection" in error.message
    assert error.hint == "check host and port, and whether the service is running"
    assert ("down", "error") in [(r[0], r[2]) for r in shop.run("SHOW CONNECTORS")]


def test_host_without_an_address_is_named(shop: Shop) -> None:
    shop.connect("lost", "http://api.shop.invalid")
    error, line = shop.fails("plain", "/items", "lost")
    assert isinstance(error, moltler.ConnectorConnectionError)
    assert (error.code, line) == ("API001", 2)
    assert "`api.shop.invalid` has no address" in error.message


@pytest.mark.parametrize("tls", ["unknown_ca", "wrong_host"])
def test_certificate_that_is_not_trusted_is_a_connection_error(shop: Shop, tls: Any) -> None:
    with HttpServer(tls=tls) as server:
        shop.connect(tls, server.url)
        error, line = shop.fails("plain", "/good", tls)
        assert server.requests == []
    assert (error.code, line) == ("API001", 2)
    assert "no secure connection" in error.message
    assert "MOLTLER_CA_FILE" in (error.hint or "")


# ── the API refuses ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "API002", moltler.ConnectorAuthError),
        (403, "API002", moltler.ConnectorAuthError),
        (404, "API004", moltler.ConnectorError),
        (429, "API003", moltler.ConnectorRateLimitError),
        (500, "API004", moltler.ConnectorError),
    ],
)
def test_refusal_surfaces_as_the_handler_says(
    shop: Shop, status: int, code: str, kind: type[moltler.ConnectorError]
) -> None:
    headers = {"Retry-After": "7"}
    shop.server.route("GET", "/refused", Response(status, {"error": "no"}, headers=headers))
    error, _ = shop.fails("careful", "/refused")
    assert isinstance(error, kind)
    assert (error.code, error.context.status) == (code, status)
    assert error.retry_after == (7 if status == 429 else None)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_refusal_that_the_handler_does_not_look_at_is_still_told(shop: Shop, status: int) -> None:
    shop.server.route("GET", "/refused", Response(status, {"error": "no"}))
    error, _ = shop.fails("plain", "/refused")
    assert (error.code, error.context.status) == ("JSR004", status)
    assert "it has the keys error" in error.message


# ── the answer is not what it should be ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "code", "message", "line"),
    [
        (html("<p>sorry</p>"), "API007", "is not valid JSON", 3),
        (html("<p>sorry</p>", 500), "API007", "is not valid JSON", 3),
        (Response(200, b""), "API007", "JSON", 3),
        (Response(200, b'{"items": [{"id": 1'), "API007", "JSON", 3),
        (truncated({"items": [1, 2, 3]}), "API001", "the response body ended early", 2),
        (truncated_chunked({"items": [1, 2, 3]}), "API001", "the response body ended early", 2),
        (big_body(51_000_000), "API006", "allowed are 50,000,000", 2),
        (big_body(51_000_000, chunked=True), "API006", "allowed are 50,000,000", 2),
        (redirect("/bad"), "API001", "redirected more than 10 times", 2),
        (CLOSE, "API001", "the connection broke before the API answered", 2),
        (RESET, "API001", "the connection broke before the API answered", 2),
        (bad_gzip(), "API001", "Content-Encoding", 2),
        (Raw(b"hello\r\n\r\n"), "API001", "the answer is not HTTP", 2),
    ],
    ids=[
        "HTML", "HTML 500", "empty", "half JSON", "truncated", "truncated chunks", "51 MB",
        "51 MB in chunks", "redirect loop", "close", "reset", "not gzip", "not HTTP",
    ],
)  # fmt: skip
def test_bad_answer_is_a_typed_error_at_the_line_that_met_it(
    shop: Shop, answer: Any, code: str, message: str, line: int
) -> None:
    shop.server.route("GET", "/bad", answer)
    error, found = shop.fails("plain", "/bad")
    assert error.code == code
    assert message in error.message
    assert found in {2, line}


# ── the handler returns what is no rows ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("result", "code", "message", "hint"),
    [
        ("number", "JSR004", "no rows but a number: 42", "return an array of objects"),
        ("text", "JSR004", 'no rows but a string: "hello"', "return an array of objects"),
        ("response", "JSR004", "Response", "await response.json()"),
        ("undefined_row", "JSR004", "row 1 is not an object but undefined", "{id: 1}"),
        ("number_row", "JSR004", "row 0 is not an object but number", "{id: 1}"),
        ("list_row", "JSR004", "row 0 is not an object", "{id: 1}"),
        ("no_rows", "JSR004", "it has the keys total, results", "return data.results"),
        ("wrong_type", "JSR005", 'row 1, field `id` (integer): `"abc"`', "on_type_error"),
        ("object_text", "JSR005", "row 0, field `name` (string)", "on_type_error"),
        ("null_key", "JSR005", "row 0 of `my_shop.odd`: `id` is NULL", ""),
        ("unknown", "JSR006", "missing_name is not defined", ""),
        ("stuck", "JSR007", "promise that nothing can settle", "resolved or rejected"),
    ],
)
def test_result_that_is_no_rows_says_what_came_and_what_to_return(
    shop: Shop, result: str, code: str, message: str, hint: str
) -> None:
    error, _ = shop.fails("odd", result)
    assert isinstance(error, moltler.HandlerError)
    assert error.code == code
    assert message in error.message
    assert hint in (error.hint or "")


def test_undefined_is_no_rows_and_a_warning(shop: Shop) -> None:
    result = shop.session.execute("SELECT id FROM my_shop.odd WHERE path = 'nothing'")
    assert list(result.rows()) == []
    assert [w.code for w in result.warnings] == ["handler_returned_nothing"]
