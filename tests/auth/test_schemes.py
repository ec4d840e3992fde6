"""The schemes of AUTH that need no token endpoint (LANGUAGE §4.4)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import pytest

from auth.conftest import Authed, run
from moltler.model import AUTH_SCHEMES
from moltler.net.auth import SCHEMES
from support.http import HttpServer, Request, redirect

HEADERS = [
    ({"scheme": "bearer", "token": "key"}, {"authorization": "Bearer the-key-1"}),
    ({"scheme": "header", "name": "X-Api-Key", "value": "key"}, {"x-api-key": "the-key-1"}),
    (
        {"scheme": "header", "name": {"value": "X-Api-Key"}, "value": {"value": "fixed"}},
        {"x-api-key": "fixed"},
    ),
    (
        {"scheme": "basic", "username": "user", "password": "key"},
        {"authorization": "Basic " + base64.b64encode(b"me:the-key-1").decode()},
    ),
    (
        {"scheme": "basic", "username": "key", "password": {"value": ""}},
        {"authorization": "Basic " + base64.b64encode(b"the-key-1:").decode()},
    ),
]


@pytest.fixture(autouse=True)
def _answers(http_server: HttpServer) -> None:
    http_server.route("*", "/*", lambda r: {"headers": dict(r.headers), "target": r.target})


def sent(http_server: HttpServer) -> Request:
    (request,) = http_server.requests
    return request


def test_every_scheme_of_the_language_is_there() -> None:
    assert list(SCHEMES) == list(AUTH_SCHEMES)


@pytest.mark.parametrize(("auth", "wanted"), HEADERS)
def test_the_host_adds_the_credentials(
    make: Authed, http_server: HttpServer, auth: Mapping[str, Any], wanted: dict[str, str]
) -> None:
    shop = make(auth, {"api_url": http_server.url, "user": "me"}, {"key": "the-key-1"})
    echoed = run(shop, "return await (await fetch(url + '/items')).text()")
    assert wanted.items() <= sent(http_server).headers.items()
    assert "the-key-1" not in echoed


def test_a_query_parameter_is_added(make: Authed, http_server: HttpServer) -> None:
    auth = {"scheme": "query", "name": "api_key", "value": "key"}
    shop = make(auth, {"api_url": http_server.url}, {"key": "a/b c&1234"})
    addresses = run(
        shop,
        """
        const seen = [];
        for (const target of ['/items', '/items?a=1', '/items?a=1&api_key=mine'])
            seen.push((await fetch(url + target)).url.replace(url, ''));
        return seen;
    """,
    )
    assert [r.target for r in http_server.requests] == [
        "/items?api_key=a%2Fb%20c%261234", "/items?a=1&api_key=a%2Fb%20c%261234",
        "/items?a=1&api_key=mine",
    ]  # fmt: skip
    assert addresses == ["/items", "/items?a=1", "/items?a=1&api_key=mine"]


@pytest.mark.parametrize(("auth", "wanted"), HEADERS[:2])
def test_a_header_that_the_handler_sets_is_left_alone(
    make: Authed, http_server: HttpServer, auth: Mapping[str, Any], wanted: dict[str, str]
) -> None:
    shop = make(auth, {"api_url": http_server.url}, {"key": "the-key-1"})
    (name,) = wanted
    run(shop, f"await fetch(url, {{headers: {{'{name.upper()}': 'mine'}}}})")
    assert sent(http_server).headers[name] == "mine"


def test_only_hosts_of_the_config_and_of_hosts_get_them(
    make: Authed, http_server: HttpServer
) -> None:
    auth = {"scheme": "bearer", "token": "key"}
    with HttpServer() as other:
        other.route("GET", "/*", {})
        host = other.url.removeprefix("http://")
        # The second instance names the other host in a text, so that it may be reached at all.
        for more in ({}, {"hosts": [host]}):
            shop = make({**auth, **more}, {"api_url": http_server.url, "also": other.url},
                        {"key": "the-key-1"})  # fmt: skip
            run(shop, f"await fetch('{other.url}/items')")
        assert [r.headers.get("authorization") for r in other.requests] == ["Bearer the-key-1"] * 2


def test_a_host_that_only_the_type_allows_gets_none(make: Authed, http_server: HttpServer) -> None:
    port = http_server.url.rpartition(":")[2]
    auth = {"scheme": "bearer", "token": "key"}
    # The config names the machine by its address only, and the type allows its name.
    shop = make(auth, {"api_url": f"http://127.0.0.1:{port}", "local": "http://localhost:1"},
                {"key": "the-key-1"}, hosts=[f"localhost:{port}"])  # fmt: skip
    run(shop, f"await fetch('http://localhost:{port}/items')")
    assert "authorization" not in sent(http_server).headers


def test_credentials_do_not_travel_over_http(make: Authed) -> None:
    auth = {"scheme": "bearer", "token": "key", "hosts": ["api.example"]}
    shop = make(auth, {"api_url": "https://api.example"}, {"key": "1"}, hosts=["api.example"])
    code = "try { await fetch('http://api.example/') } catch (e) { return e.code }"
    assert run(shop, code) == "SECRET_OVER_HTTP"


def test_a_redirect_to_a_foreign_host_loses_them(make: Authed, http_server: HttpServer) -> None:
    with HttpServer() as other:
        other.route("GET", "/*", {})
        port = other.url.rpartition(":")[2]
        http_server.route("GET", "/away", redirect(f"http://localhost:{port}/"))
        http_server.route("GET", "/on", redirect("/items"))
        auth = {"scheme": "bearer", "token": "key"}
        shop = make(auth, {"api_url": http_server.url, "local": "http://localhost:1"},
                    {"key": "the-key-1"}, hosts=[f"localhost:{port}"])  # fmt: skip
        run(shop, "await fetch(url + '/away'); await fetch(url + '/on')")
        assert "authorization" not in other.requests[0].headers
    assert [r.headers.get("authorization") for r in http_server.requests] == [
        "Bearer the-key-1"
    ] * 3


def test_without_its_value_a_request_goes_out_as_it_is(
    make: Authed, http_server: HttpServer
) -> None:
    run(
        make({"scheme": "bearer", "token": "key"}, {"api_url": http_server.url}), "await fetch(url)"
    )
    assert "authorization" not in sent(http_server).headers


@pytest.mark.parametrize("value", ["key\n", "a\r\nX-Evil: 1", "nul\0", "bell\x07", "\udc80"])
@pytest.mark.parametrize(
    "auth",
    [
        {"scheme": "bearer", "token": "key"},
        {"scheme": "header", "name": "X-Key", "value": "key"},
        {"scheme": "aws_sigv4", "access_key": "key", "secret_key": "key",
         "region": {"value": "r"}, "service": {"value": "s3"}},
    ],
)  # fmt: skip
def test_a_secret_that_no_header_can_hold_is_an_error_with_a_hint(
    make: Authed, http_server: HttpServer, value: str, auth: Mapping[str, Any]
) -> None:
    shop = make(auth, {"api_url": http_server.url}, {"key": value})
    code = "try { await fetch(url) } catch (e) { return [e.code, e.message] }"
    found, message = run(shop, code)
    assert found == "EGRESS_BLOCKED"
    assert "line break or another character" in message
    assert http_server.requests == []


def test_aws_requests_are_signed_as_they_leave(make: Authed, http_server: HttpServer) -> None:
    auth = {"scheme": "aws_sigv4", "access_key": "id", "secret_key": "key", "region": "region",
            "service": {"value": "s3"}}  # fmt: skip
    shop = make(auth, {"api_url": http_server.url, "id": "AKID", "region": "eu-west-1"},
                {"key": "the-key-1"})  # fmt: skip
    run(shop, "await fetch(url + '/a?b=1', {method: 'PUT', body: `k ${config.key}`})")
    request = sent(http_server)
    assert request.body == b"k the-key-1"
    assert re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKID/\d{8}/eu-west-1/s3/aws4_request, "
        r"SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, Signature=[0-9a-f]{64}",
        request.headers["authorization"],
    )
    assert request.headers["x-amz-content-sha256"] == (hashlib.sha256(b"k the-key-1").hexdigest())
