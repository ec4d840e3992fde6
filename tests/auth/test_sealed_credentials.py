"""Every usual way to show credentials works on sealed values, before a server that checks them.

Signatures of AWS are checked by another implementation (asigv4), as its servers would.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from asigv4 import SigV4Verifier
from asigv4.exceptions import SigV4Error

from auth.conftest import Authed, run
from support.http import HttpServer, Request, Response

KEY = 'p/ss "wörd"+&=1'
AWS = {"scheme": "aws_sigv4", "access_key": "id", "secret_key": "key", "region": "region",
       "service": "service"}  # fmt: skip


def is_signed(request: Request) -> bool:
    """Check a signature as AWS does."""
    parameters = {k: v[0] for k, v in parse_qs(request.target.partition("?")[2],
                                               keep_blank_values=True).items()}  # fmt: skip
    path = request.target.partition("?")[0]
    if "/s3/" in request.headers["authorization"]:
        path = unquote(path)
    verifier = SigV4Verifier(lambda name: KEY if name == "AKID" else None)
    # Whatever the service, the body counts.
    headers = {"x-amz-content-sha256": "of the body", **request.headers}
    try:
        asyncio.run(
            verifier.verify(
                method=request.method,
                path=path,
                headers=headers,
                query_params=parameters,
                body=request.body,
            )
        )
    except SigV4Error:
        return False
    return True


def checked(is_right: Callable[[Request], bool]) -> Callable[[Request], Response]:
    return lambda request: Response(200 if is_right(request) else 403, {})


@pytest.mark.parametrize("service", ["s3", "execute-api", "es"])
@pytest.mark.parametrize(
    "request_",
    [
        "fetch(url)",
        "fetch(url + '/a b/ü/c%2Fd?z=1&a=%20x&b=&A=~')",
        "fetch(url + '/items?key=' + encodeURIComponent(config.key))",
        "fetch(url + '/items', {method: 'POST', body: JSON.stringify({key: config.key}),"
        " headers: {'Content-Type': 'application/json', 'X-Two': '  a   b ', 'X-Key': 'k'}})",
        "fetch(url, {method: 'DELETE', headers: {'x-amz-meta-a': 'b, c'}})",
        "fetch(url + '/x', {method: 'PUT', body: new Uint8Array([0, 255, 10, 13])})",
    ],
)
def test_a_signature_of_aws_is_right(
    make: Authed, http_server: HttpServer, service: str, request_: str
) -> None:
    http_server.route("*", "/*", checked(is_signed))
    config = {"api_url": http_server.url, "id": "AKID", "region": "eu-west-1", "service": service}
    assert run(make(AWS, config, {"key": KEY}), f"return (await {request_}).status") == 200
    wrong = make(AWS, config, {"key": KEY + "x"})
    assert run(wrong, f"return (await {request_}).status") == 403


def test_a_signature_holds_the_session_token(make: Authed, http_server: HttpServer) -> None:
    http_server.route("*", "/*", checked(is_signed))
    config = {"api_url": http_server.url, "id": "AKID", "region": "r", "service": "s3"}
    auth = {**AWS, "session_token": "token"}
    shop = make(auth, config, {"key": KEY, "token": "of/this+session=="})
    assert run(shop, "return (await fetch(url)).status") == 200
    (request,) = http_server.requests
    assert request.headers["x-amz-security-token"] == "of/this+session=="
    assert "x-amz-security-token" in request.headers["authorization"]


def is_basic(request: Request) -> bool:
    wanted = base64.b64encode(f"me:{KEY}".encode()).decode()
    return request.headers.get("authorization") == f"Basic {wanted}"


def is_in_query(request: Request) -> bool:
    return parse_qs(request.target.partition("?")[2]).get("key") == [KEY]


def is_in_json(request: Request) -> bool:
    return request.json() == {"login": {"key": KEY}}


def is_in_form(request: Request) -> bool:
    return parse_qs(request.body.decode()).get("key") == [KEY]


def is_hmac(request: Request) -> bool:
    wanted = hmac.new(KEY.encode(), request.target.encode(), hashlib.sha256).hexdigest()
    return request.headers.get("x-signature") == wanted


HANDLERS = [
    (is_basic, "fetch(url, {headers: {Authorization: 'Basic ' + btoa('me:' + config.key)}})"),
    (is_in_query, "fetch(url + '/items?key=' + encodeURIComponent(config.key))"),
    (is_in_query, "fetch(url + '/items?' + new URLSearchParams({key: config.key}))"),
    (is_in_json, "fetch(url, {method: 'POST', body: JSON.stringify({login: {key: config.key}}),"
     " headers: {'Content-Type': 'application/json'}})"),
    (is_in_form, "fetch(url, {method: 'POST', body: new URLSearchParams({key: config.key})})"),
    (is_hmac, """(async () => {
        const text = new TextEncoder();
        const key = await crypto.subtle.importKey('raw', text.encode(config.key),
            {name: 'HMAC', hash: 'SHA-256'}, false, ['sign']);
        const made = new Uint8Array(await crypto.subtle.sign('HMAC', key, text.encode('/items')));
        const hex = [...made].map(b => b.toString(16).padStart(2, '0')).join('');
        return fetch(url + '/items', {headers: {'X-Signature': hex}});
    })()"""),
]  # fmt: skip


@pytest.mark.parametrize(("is_right", "code"), HANDLERS)
def test_a_handler_shows_a_sealed_value_in_every_usual_way(
    make: Authed, http_server: HttpServer, is_right: Callable[[Request], bool], code: str
) -> None:
    http_server.route("*", "/*", checked(is_right))
    shop = make(None, {"api_url": http_server.url}, {"key": KEY})
    assert run(shop, f"return (await {code}).status") == 200
    wrong = make(None, {"api_url": http_server.url}, {"key": KEY + "x"})
    assert run(wrong, f"return (await {code}).status") == 403


@pytest.mark.parametrize(
    ("is_right", "auth"),
    [
        (is_basic, {"scheme": "basic", "username": {"value": "me"}, "password": "key"}),
        (is_in_query, {"scheme": "query", "name": "key", "value": "key"}),
    ],
)
def test_auth_shows_a_value_as_the_server_wants_it(
    make: Authed, http_server: HttpServer, is_right: Callable[[Request], bool], auth: dict[str, Any]
) -> None:
    http_server.route("*", "/*", checked(is_right))
    shop = make(auth, {"api_url": http_server.url}, {"key": KEY})
    assert run(shop, "return (await fetch(url + '/items?page=2')).status") == 200
