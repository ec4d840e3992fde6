"""Tokens of OAuth 2: fetched, renewed, rotated, never shown (LANGUAGE §4.4)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import moltler
from auth.conftest import Authed, run
from moltler.errors import MoltlerError
from sandbox.conftest import Instance
from support.command import Finished, Moltler
from support.http import HttpServer, Response
from support.oauth import CLIENT, REFRESH, SECRET, OAuthServer

CREDENTIALS = {"scheme": "oauth2_client_credentials", "token_url": "token_url",
               "client_id": "client_id", "client_secret": "client_secret"}  # fmt: skip
REFRESHED = {**CREDENTIALS, "scheme": "oauth2_refresh_token", "refresh_token": "refresh_token"}
GET = "const r = await fetch(url + '/items'); return [r.status, await r.json()]"
ITEM = {"items": [{"id": 1}]}


def shop_of(make: Authed, server: OAuthServer, auth: dict[str, Any], **more: Any) -> Instance:
    config = {"api_url": server.url, "token_url": server.token_url, "client_id": CLIENT}
    secrets = {"client_secret": SECRET, "refresh_token": REFRESH}
    return make(auth, {**config, **more}, secrets)


@pytest.mark.parametrize("auth", [CREDENTIALS, REFRESHED])
def test_a_token_is_fetched_once_and_kept_from_the_handler(
    make: Authed, oauth: OAuthServer, auth: dict[str, Any]
) -> None:
    shop = shop_of(make, oauth, auth)
    status, body = run(shop, GET)
    assert status == 200
    assert body["items"][0]["seen"].startswith("sealed_")
    run(shop, GET)
    assert len(oauth.grants) == 1
    assert oauth.api_requests[0].headers["authorization"] == "Bearer access-token-1"


def test_many_requests_at_once_fetch_one_token(make: Authed, oauth: OAuthServer) -> None:
    shop = shop_of(make, oauth, REFRESHED)
    code = "return await Promise.all([...Array(20)].map(async () => (await fetch(url)).status))"
    assert run(shop, code) == [200] * 20
    assert oauth.grants == ["refresh_token"]


def test_scope_and_audience_are_asked_for(make: Authed, oauth: OAuthServer) -> None:
    auth = {**CREDENTIALS, "scope": {"value": "read write"}, "audience": "audience"}
    run(shop_of(make, oauth, auth, audience="https://shop"), GET)
    assert oauth.forms[0] == {
        "grant_type": "client_credentials", "scope": "read write", "audience": "https://shop",
        "client_id": CLIENT, "client_secret": SECRET,
    }  # fmt: skip


def test_a_server_that_wants_the_secret_in_a_header_gets_it_there(make: Authed) -> None:
    with OAuthServer(style="header") as server:
        assert run(shop_of(make, server, CREDENTIALS), GET)[0] == 200
        assert server.grants == ["client_credentials"]


@pytest.mark.parametrize("auth", [CREDENTIALS, REFRESHED])
def test_a_refused_token_is_replaced_once(
    make: Authed, oauth: OAuthServer, auth: dict[str, Any]
) -> None:
    shop = shop_of(make, oauth, auth)
    run(shop, GET)
    oauth.expire()
    assert run(shop, GET)[0] == 200
    assert len(oauth.grants) == 2
    assert len(oauth.api_requests) == 3


def test_a_write_is_sent_again_with_its_body(make: Authed, oauth: OAuthServer) -> None:
    shop = shop_of(make, oauth, CREDENTIALS)
    run(shop, GET)
    oauth.expire()
    run(shop, "await fetch(url + '/items', {method: 'POST', body: 'text'})")
    assert [r.body for r in oauth.api_requests[1:]] == [b"text", b"text"]


def test_a_token_without_the_scope_makes_no_loop(make: Authed) -> None:
    with OAuthServer(scope="admin") as server:
        shop = shop_of(make, server, CREDENTIALS)
        assert [run(shop, "return (await fetch(url)).status") for _ in range(4)] == [401] * 4
        assert len(server.grants) == 2
        assert len(server.api_requests) == 5


def test_a_token_is_renewed_before_it_ends(make: Authed) -> None:
    with OAuthServer(lifetime_s=0) as server:
        shop = shop_of(make, server, REFRESHED)
        assert [run(shop, GET)[0] for _ in range(3)] == [200] * 3
        assert server.grants == ["refresh_token"] * 3
        assert not server.is_revoked


def test_instances_with_one_credential_share_its_tokens(
    home: Path, oauth: OAuthServer, session: moltler.Session
) -> None:
    define(session, oauth)
    session.execute("CREATE CONNECTOR other TYPE 'shop' CONFIG " + config_of(oauth))
    for name in ("s", "other"):
        assert list(session.execute(f"SELECT id FROM {name}.items").rows()) == [(1,)]
    assert oauth.grants == ["refresh_token"]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"client_id": "wrong"}, "API002", "invalid_client"),
        ({"token_url": "http://foreign.example/token"}, None, None),
    ],
)
def test_a_refusing_endpoint_is_an_error_of_its_own(
    make: Authed, oauth: OAuthServer, change: dict[str, str], code: str | None, message: str | None
) -> None:
    shop = shop_of(make, oauth, CREDENTIALS, **change)
    error = shop.execute_fails(
        "async function execute(c) { try { await fetch(c.api_url) } catch (e) { return 1 } }"
    ) if code else None  # fmt: skip
    if error is not None:
        assert (error.code, SECRET in error.message) == (code, False)
        assert message is not None
        assert message in error.message
    assert oauth.grants == []


def test_the_endpoint_passes_egress(make: Authed, oauth: OAuthServer) -> None:
    auth = {**CREDENTIALS, "token_url": {"value": "http://foreign.example/token"}}
    error = shop_of(make, oauth, auth).execute_fails(
        "async function execute(config) { await fetch(config.api_url) }"
    )
    assert error.code == "API005"
    assert "foreign.example" in error.message


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Response(503, "sorry"), "API001"),
        (Response(429, {}, {"Retry-After": "7"}), "API003"),
        (Response(200, {"token": 1}), "API002"),
        (Response(200, {"error": "bad_verification_code"}), "API002"),
        (Response(302, "", {"Location": "/elsewhere"}), "API002"),
        (Response(200, "[" * 100_000), "API002"),
    ],
)
def test_odd_answers_of_an_endpoint(
    make: Authed, http_server: HttpServer, answer: Response, code: str
) -> None:
    http_server.route("POST", "/token", answer)
    config = {"api_url": http_server.url, "token_url": f"{http_server.url}/token",
              "client_id": CLIENT}  # fmt: skip
    shop = make(CREDENTIALS, config, {"client_secret": SECRET})
    error = shop.execute_fails("async function execute(config) { await fetch(config.api_url) }")
    assert error.code == code


# ── over homes ───────────────────────────────────────────────────────────────────────────────

DEFINITION = """
CREATE CONNECTOR TYPE 'shop'
CONFIG_SCHEMA {"api_url": {"type": "string"}, "token_url": {"type": "string"},
    "client_id": {"type": "string"}, "client_secret": {"type": "string", "secret": true},
    "refresh_token": {"type": "string", "secret": true}}
AUTH {"scheme": "oauth2_refresh_token", "token_url": "token_url", "client_id": "client_id",
      "client_secret": "client_secret", "refresh_token": "refresh_token"};
CREATE CONNECTOR ENTITY 'shop.items' FIELDS {"id": {"type": "integer", "primary_key": true}}
QUERY_HANDLER 'async function query(config) {
    const r = await fetch(config.api_url + "/items");
    if (!r.ok) throw new ConnectorAuthError(`status ${r.status}`);
    return (await r.json()).items; }';
REGISTER CONNECTOR TYPE 'shop';
"""


def config_of(server: OAuthServer) -> str:
    return (
        f'{{"api_url": "{server.url}", "token_url": "{server.token_url}", '
        f'"client_id": "{CLIENT}", "client_secret": "{{{{secrets.client}}}}", '
        f'"refresh_token": "{{{{secrets.refresh}}}}"}}'
    )


def define(session: moltler.Session, server: OAuthServer) -> None:
    session.secrets.put("client", SECRET)
    session.secrets.put("refresh", REFRESH)
    session.execute(DEFINITION)
    session.execute("CREATE CONNECTOR s TYPE 'shop' CONFIG " + config_of(server))


def test_rotated_refresh_tokens_outlive_a_session(home: Path, oauth: OAuthServer) -> None:
    with moltler.connect(home) as first:
        define(first, oauth)
        list(first.execute("SELECT * FROM s.items").rows())
    oauth.expire()
    for _ in range(2):
        with moltler.connect(home) as later:
            assert list(later.execute("SELECT id FROM s.items").rows()) == [(1,)]
    assert oauth.grants == ["refresh_token"] * 2
    assert not oauth.is_revoked
    assert oauth.refresh_token.encode() not in (home / "secrets.db").read_bytes()


def test_sessions_that_refresh_at_once_use_each_refresh_token_once(
    home: Path, oauth: OAuthServer
) -> None:
    with moltler.connect(home) as first:
        define(first, oauth)
    failures: list[MoltlerError] = []

    def query() -> None:
        try:
            with moltler.connect(home) as mine:
                list(mine.execute("SELECT * FROM s.items").rows())
        except MoltlerError as error:
            failures.append(error)

    threads = [threading.Thread(target=query) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert oauth.grants == ["refresh_token"]
    assert not oauth.is_revoked


def test_a_used_up_refresh_token_asks_for_authorisation(home: Path, oauth: OAuthServer) -> None:
    oauth.revoke()
    with moltler.connect(home) as session:
        define(session, oauth)
        with pytest.raises(MoltlerError) as caught:
            list(session.execute("SELECT * FROM s.items").rows())
    assert caught.value.code == "API002"
    assert "invalid_grant" in caught.value.message
    assert "authorise again" in str(caught.value.hint)


def test_processes_that_refresh_at_once_use_each_refresh_token_once(
    home: Path, oauth: OAuthServer, moltler_command: Moltler
) -> None:
    with moltler.connect(home) as first:
        define(first, oauth)
    results: list[Finished] = []

    def query() -> None:
        results.append(moltler_command("query", "SELECT id FROM s.items", "--json"))

    threads = [threading.Thread(target=query) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(r.status, r.stderr) for r in results] == [(0, "")] * 3
    assert oauth.grants == ["refresh_token"]
    assert not oauth.is_revoked


def test_a_request_that_is_given_up_loses_no_refresh_token(
    make: Authed, oauth: OAuthServer
) -> None:
    shop = shop_of(make, oauth, REFRESHED)
    oauth.gate = threading.Event()
    run(
        shop,
        """
        const stop = new AbortController();
        const request = fetch(url, {signal: stop.signal});
        await new Promise(r => setTimeout(r, 100));
        stop.abort();
        try { await request } catch { }
    """,
    )
    oauth.gate.set()
    assert run(shop, GET)[0] == 200
    assert oauth.grants == ["refresh_token"]
