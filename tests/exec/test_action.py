"""Actions: at most once, journalled, never silently repeated (LANGUAGE §8.2)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import moltler
from support.http import CLOSE, HttpServer, Request, Response, sequence, truncated

DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {{"api_url": {{"type": "string", "required": true}},
    "api_key": {{"type": "string", "secret": true}}}};
CREATE CONNECTOR ACTION 'shop.items.create'
PARAMETERS {{"name": {{"type": "string", "required": true}}, "key": {{"type": "string"}}}}
HANDLER '''
async function execute(config, params) {{
    {body}
}}
''';
REGISTER CONNECTOR TYPE 'shop';
CREATE CONNECTOR s TYPE 'shop' CONFIG {{"api_url": "{url}", "api_key": "hunter2hunter2"}}
OPTIONS {{"timeout_seconds": 2}};
"""
POST = "const r = await fetch(config.api_url + '/items', {method: 'POST', body: params.name});"


@pytest.fixture
def define(session: moltler.Session, http_server: HttpServer) -> Iterator[object]:
    def run(body: str, url: str | None = None) -> None:
        session.execute(DEFINITION.format(body=body, url=url or http_server.url))

    return run  # type: ignore[return-value] # a factory


def create(session: moltler.Session, **more: str) -> object:
    return session.action("s.items.create", {"name": "Lamp", **more})


def journal(session: moltler.Session) -> list[tuple[object, object]]:
    rows = session.execute("SHOW CONNECTOR s ACTION HISTORY").dicts()
    return [(row["status"], row["error"]) for row in rows]


def test_an_action_that_ends_well_is_ok_in_the_journal(
    session: moltler.Session, http_server: HttpServer, define: object
) -> None:
    http_server.route("POST", "/items", Response(201, {"id": 7}))
    define(POST + "return await r.json();")  # type: ignore[operator]
    assert create(session, key="hunter2hunter2") == {"id": 7}
    row = next(session.execute("SHOW CONNECTOR s ACTION HISTORY").dicts())
    assert (row["status"], row["action"], row["connector"]) == ("OK", "items.create", "s")
    assert "hunter2hunter2" not in str(row["parameters"])


def test_a_refused_write_is_failed_and_not_in_doubt(
    session: moltler.Session, http_server: HttpServer, define: object
) -> None:
    http_server.route("POST", "/items", Response(422, {"error": "no"}))
    define(POST + "if (!r.ok) throw new Error('refused ' + r.status);")  # type: ignore[operator]
    with pytest.raises(moltler.HandlerError, match="refused 422"):
        create(session)
    assert journal(session) == [("FAILED", "refused 422")]


def test_a_refused_connection_was_never_sent(session: moltler.Session, define: object) -> None:
    define(POST, "http://127.0.0.1:1")  # type: ignore[operator]
    with pytest.raises(moltler.ConnectorConnectionError) as caught:
        create(session)
    assert caught.value.code == "API001"
    assert journal(session)[0][0] == "FAILED"


@pytest.mark.parametrize("after", ["", "try { throw 0 } finally { throw new Error('mine') }"])
def test_a_write_whose_connection_breaks_is_of_unknown_outcome_whatever_the_handler_throws(
    session: moltler.Session, http_server: HttpServer, define: object, after: str
) -> None:
    http_server.route("POST", "/items", truncated({"id": 7}))
    body = POST + "try { await r.json(); } catch (e) { " + (after or "throw e;") + " }"
    define(body)  # type: ignore[operator]
    with pytest.raises(moltler.ConnectorUnknownOutcomeError) as caught:
        create(session)
    assert caught.value.code == "API008"
    assert "journal 1" in caught.value.message
    assert caught.value.context.cause
    assert journal(session)[0][0] == "UNKNOWN"


def test_a_write_that_is_answered_too_late_is_of_unknown_outcome(
    session: moltler.Session, http_server: HttpServer, define: object
) -> None:
    gate = threading.Event()

    def slow(_: Request) -> Response:
        gate.wait(20)
        return Response(201, {})

    http_server.route("POST", "/items", slow)
    define(POST)  # type: ignore[operator]
    with pytest.raises(moltler.ConnectorUnknownOutcomeError, match="may or may not"):
        create(session)
    gate.set()
    assert journal(session)[0][0] == "UNKNOWN"
    assert http_server.paths == ["POST /items"]


def test_a_read_that_fails_leaves_nothing_in_doubt(
    session: moltler.Session, http_server: HttpServer, define: object
) -> None:
    http_server.route("GET", "/items", truncated({"id": 7}))
    define("const r = await fetch(config.api_url + '/items'); await r.json();")  # type: ignore[operator]
    with pytest.raises(moltler.ConnectorConnectionError):
        create(session)
    assert journal(session)[0][0] == "FAILED"


def test_all_problems_of_the_arguments_are_told_before_the_handler_runs(
    session: moltler.Session, http_server: HttpServer, define: object
) -> None:
    define(POST)  # type: ignore[operator]
    with pytest.raises(moltler.PlanError) as caught:
        session.execute("CONNECTOR_EXEC s.items.create(nme => 'x', key => {'a': 1})")
    assert {p.code for p in caught.value.problems} == {"PLN005"}
    assert len(caught.value.problems) == 3
    assert http_server.paths == []
    assert journal(session) == []


# ── IDEMPOTENT ───────────────────────────────────────────────────────────────────────────────


def make_idempotent(session: moltler.Session, url: str, body: str, retries: int = 2) -> None:
    text = DEFINITION.format(body=body, url=url)
    text = text.replace("HANDLER '''", "IDEMPOTENT HANDLER '''")
    session.execute(
        text.replace('"timeout_seconds": 2', f'"timeout_seconds": 5, "retry_count": {retries}')
    )


def keys(server: HttpServer) -> list[str | None]:
    return [r.headers.get("idempotency-key") for r in server.requests]


def test_an_idempotent_action_is_tried_again_with_the_same_key(
    session: moltler.Session, http_server: HttpServer
) -> None:
    http_server.route("POST", "/items", sequence(CLOSE, truncated({"id": 7}), {"id": 7}))
    make_idempotent(session, http_server.url, POST + "return await r.json();")
    assert create(session) == {"id": 7}
    assert journal(session) == [("OK", None)]
    assert create(session) == {"id": 7}
    first, second, third, later = keys(http_server)
    assert first is not None
    assert first == second == third != later


def test_an_idempotent_action_whose_answers_are_all_lost_is_of_unknown_outcome(
    session: moltler.Session, http_server: HttpServer
) -> None:
    http_server.route("POST", "/items", CLOSE)
    make_idempotent(session, http_server.url, POST, retries=1)
    with pytest.raises(moltler.ConnectorUnknownOutcomeError):
        create(session)
    assert http_server.paths == ["POST /items"] * 2
    assert journal(session)[0][0] == "UNKNOWN"


def test_different_requests_of_one_action_have_different_keys(
    session: moltler.Session, http_server: HttpServer
) -> None:
    http_server.route("POST", "/*", {})
    http_server.route("GET", "/*", {})
    code = """
        for (const path of ['/a', '/b']) await fetch(config.api_url + path, {method: 'POST'});
        await fetch(config.api_url + '/a', {method: 'POST', body: 'x'});
        await fetch(config.api_url + '/a', {method: 'POST', headers: {'idempotency-key': 'mine'}});
        await fetch(config.api_url + '/a');
    """
    make_idempotent(session, http_server.url, code)
    create(session)
    *made, own, read = keys(http_server)
    assert len(set(made)) == 3
    assert (own, read) == ("mine", None)


def test_other_actions_carry_no_key_and_are_never_sent_twice(
    session: moltler.Session, http_server: HttpServer, define: object
) -> None:
    http_server.route("POST", "/items", CLOSE)
    define(POST)  # type: ignore[operator]
    session.execute('ALTER CONNECTOR s SET OPTIONS {"retry_count": 5}')
    with pytest.raises(moltler.ConnectorUnknownOutcomeError):
        create(session)
    assert keys(http_server) == [None]
