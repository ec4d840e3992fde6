"""Seals are opened on the way out, with the escaping of their place (LANGUAGE §5.4)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qs

import pytest

from moltler.loop import LoopThread
from moltler.net.client import HttpTransport
from moltler.net.settings import NetSettings
from sandbox.conftest import Instance
from seals.conftest import VALUE, Shop, run
from support.http import HttpServer, Request, redirect
from support.net import Client
from support.sealing import sealed


@pytest.fixture(autouse=True)
def _answers(http_server: HttpServer) -> None:
    http_server.route("*", "/*", {})


def sent(http_server: HttpServer) -> Request:
    (request,) = http_server.requests
    return request


def test_a_handler_holds_a_seal(shop: Instance) -> None:
    seal = run(shop, "return key")
    assert re.fullmatch(r"sealed_[A-Za-z0-9_]+", seal)
    assert run(shop, 'return encodeURIComponent(key) === key && JSON.stringify(key) === `"${key}"`')


def test_a_seal_is_the_same_for_the_same_value_instance_and_home() -> None:
    def seal(value: str = "a", name: str = "shop", key: bytes = b"home") -> object:
        config = sealed({}, {"api_key": value}, name=name, key=key).sealed_config
        return (config or {})["api_key"]

    assert seal() == seal(name="SHOP")
    assert len({seal(), seal("b"), seal(name="other"), seal(key=b"other home")}) == 4


def test_a_header_holds_the_value_as_it_is(make: Shop, http_server: HttpServer) -> None:
    run(
        make("sk-1/+ 2"), "await fetch(url + '/items', {headers: {Authorization: 'Bearer ' + key}})"
    )
    assert sent(http_server).headers["authorization"] == "Bearer sk-1/+ 2"


@pytest.mark.parametrize(
    "address",
    [
        "`${url}/items/${key}?api_key=${key}`",
        "`${url}/items/${encodeURIComponent(key)}?` + new URLSearchParams({api_key: key})",
        "new URL(`/items/${key}?api_key=${key}`, url)",
    ],
)
def test_an_address_holds_the_value_percent_encoded(
    shop: Instance, http_server: HttpServer, address: str
) -> None:
    run(shop, f"await fetch({address})")
    coded = "sk%2F%C3%BC%2B1%20%222%26%3D%25"
    assert sent(http_server).target == f"/items/{coded}?api_key={coded}"


def test_an_address_may_begin_with_a_seal(make: Shop, http_server: HttpServer) -> None:
    shop = make("unused-secret", config={"api_url": "{{secrets.base}}"},
                references={"base": f"{http_server.url}/v1"})  # fmt: skip
    url = run(shop, "return (await fetch(url + '/items?a=1')).url")
    assert sent(http_server).target == "/v1/items?a=1"
    assert http_server.url not in url


def test_a_host_may_hold_a_seal(make: Shop, http_server: HttpServer) -> None:
    port = http_server.url.rpartition(":")[2]
    shop = make("unused-secret", config={"api_url": f"http://{{{{secrets.host}}}}:{port}"},
                references={"host": "127.0.0.1"})  # fmt: skip
    run(shop, "await fetch(url + '/items')")
    assert sent(http_server).target == "/items"


@pytest.mark.parametrize("headers", ["{}", "{'Content-Type': 'application/json'}"])
def test_a_json_body_holds_the_value_escaped(
    shop: Instance, http_server: HttpServer, headers: str
) -> None:
    run(
        shop,
        f"await fetch(url, {{method: 'POST', headers: {headers}, body: JSON.stringify({{key}})}})",
    )
    assert sent(http_server).json() == {"key": VALUE}


def test_a_form_body_holds_the_value_form_encoded(shop: Instance, http_server: HttpServer) -> None:
    run(shop, "await fetch(url, {method: 'POST', body: new URLSearchParams({key, a: '1'})})")
    assert parse_qs(sent(http_server).body.decode()) == {"key": [VALUE], "a": ["1"]}


def test_any_other_body_holds_the_value_as_it_is(shop: Instance, http_server: HttpServer) -> None:
    run(shop, "await fetch(url, {method: 'POST', body: `key is ${key}.`})")
    assert sent(http_server).body.decode() == f"key is {VALUE}."


def test_btoa_of_a_seal_opens_to_base64(make: Shop, http_server: HttpServer) -> None:
    shop = make("päss:1")
    found = run(
        shop,
        """
        const pair = btoa('user:' + key);
        await fetch(url, {headers: {Authorization: 'Basic ' + pair}});
        await fetch(url, {method: 'POST', body: btoa(btoa(key) + '!')});
        return /^sealed_[A-Za-z0-9_]+$/.test(pair) && btoa('user:' + key) === pair;
    """,
    )
    assert found
    first, second = http_server.requests
    coded = base64.b64encode("user:päss:1".encode()).decode()
    inner = base64.b64encode("päss:1".encode())
    assert first.headers["authorization"] == f"Basic {coded}"
    assert second.body == base64.b64encode(inner + b"!")


def test_btoa_of_anything_else_is_the_native_one(shop: Instance) -> None:
    assert run(shop, "return [btoa('a\\xff'), btoa(12), btoa('sealed_nothing')]") == [
        base64.b64encode(b"a\xff").decode(), "MTI=", base64.b64encode(b"sealed_nothing").decode(),
    ]  # fmt: skip
    assert (
        run(shop, "try { btoa(key + '→') } catch (e) { return e.name }") == "InvalidCharacterError"
    )


def test_credentials_in_an_address_are_opened(http_server: HttpServer) -> None:
    target = sealed({"api_url": http_server.url}, {"api_key": "p@ss/1"})
    seal = (target.sealed_config or {})["api_key"]
    loop, transport = LoopThread(), HttpTransport(target, settings=NetSettings())
    Client(loop, transport).get(http_server.url.replace("://", f"://user:{seal}@"))
    loop.run(transport.close())
    loop.close()
    coded = base64.b64encode(b"user:p@ss/1").decode()
    assert sent(http_server).headers["authorization"] == f"Basic {coded}"


SIGN = """
    const sign = async (secret, text, hash) => {
        const bytes = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret;
        const known = await crypto.subtle.importKey(
            'raw', bytes, {name: 'HMAC', hash}, false, ['sign', 'verify']);
        return await crypto.subtle.sign('HMAC', known, new TextEncoder().encode(text));
    };
    const hex = b => [...new Uint8Array(b)].map(x => x.toString(16).padStart(2, '0')).join('');
"""


@pytest.mark.parametrize("name", ["SHA-1", "SHA-256", "SHA-384", "SHA-512"])
def test_an_hmac_is_made_with_the_real_key(shop: Instance, name: str) -> None:
    wanted = hmac.new(VALUE.encode(), b"text", name.replace("-", "").lower()).hexdigest()
    assert run(shop, f"{SIGN} return hex(await sign(key, 'text', '{name}'))") == wanted


def test_a_key_may_be_a_longer_text_and_its_signature_a_key(shop: Instance) -> None:
    day = hmac.new(f"AWS4{VALUE}".encode(), b"20150830", "sha256").digest()
    wanted = hmac.new(day, b"us-east-1", "sha256").hexdigest()
    assert run(shop, f"""{SIGN}
        const day = await sign('AWS4' + key, '20150830', 'SHA-256');
        return hex(await sign(new Uint8Array(day), 'us-east-1', 'SHA-256'));
    """) == wanted  # fmt: skip


def test_many_signatures_at_once_and_verified(shop: Instance) -> None:
    wanted = [hmac.new(VALUE.encode(), str(i).encode(), "sha256").hexdigest() for i in range(20)]
    assert run(shop, f"""{SIGN}
        const numbers = [...Array(20).keys()];
        const all = await Promise.all(numbers.map(i => sign(key, `${{i}}`, 'SHA-256')));
        const known = await crypto.subtle.importKey('raw', new TextEncoder().encode(key),
            {{name: 'HMAC', hash: 'SHA-256'}}, false, ['verify']);
        const check = (s, t) => crypto.subtle.verify('HMAC', known, s, new TextEncoder().encode(t));
        if (!await check(all[3], '3') || await check(all[3], '4')) throw Error('verify');
        return all.map(hex);
    """) == wanted  # fmt: skip


def test_other_keys_are_native(shop: Instance) -> None:
    wanted = hmac.new(b"plain", b"text", "sha256").hexdigest()
    assert run(shop, f"{SIGN} return hex(await sign('plain', 'text', 'SHA-256'))") == wanted


def test_a_reference_in_another_property_is_sealed_where_it_stands(
    make: Shop, http_server: HttpServer
) -> None:
    config = {
        "api_url": http_server.url,
        "header": "Bearer {{secrets.token}}",
        "deep": {"a": ["{{secrets.token}}"]},
    }
    shop = make(config=config, references={"token": "t-1234567"})
    header = run(
        shop,
        "await fetch(url, {headers: {Authorization: config.header}});"
        "return [config.header, config.deep.a[0]]",
    )
    assert re.fullmatch(r"Bearer sealed_\w+", header[0])
    assert header[0] == f"Bearer {header[1]}"
    assert sent(http_server).headers["authorization"] == "Bearer t-1234567"


def test_an_exposed_secret_is_plain(make: Shop, http_server: HttpServer) -> None:
    shop = make("plain-1234", exposed=["api_key"])
    assert run(shop, "return key") == "plain-1234"
    run(shop, "await fetch(url, {headers: {'X-Key': key.toUpperCase()}})")
    assert sent(http_server).headers["x-key"] == "PLAIN-1234"


def test_seals_survive_a_redirect_within_the_origin(
    shop: Instance, make: Shop, http_server: HttpServer
) -> None:
    http_server.route("GET", "/old", redirect("/new"))
    http_server.route("GET", "/new", {})
    run(
        make("token-1234"), "await fetch(url + '/old', {headers: {Authorization: `Bearer ${key}`}})"
    )
    assert [r.headers["authorization"] for r in http_server.requests] == ["Bearer token-1234"] * 2


def test_what_is_not_the_handlers_seal_is_left_alone(
    shop: Instance, http_server: HttpServer
) -> None:
    strange = "sealed_" + "0" * 32
    run(shop, f"await fetch(url, {{method: 'POST', body: JSON.stringify({{a: '{strange}'}})}})")
    assert json.loads(sent(http_server).body) == {"a": strange}


def test_hashing_a_seal_gives_the_hash_of_the_seal(shop: Instance) -> None:
    digest = """const d = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(key));
        return [key, [...new Uint8Array(d)].map(x => x.toString(16).padStart(2, '0')).join('')];"""
    seal, found = run(shop, digest)
    assert found == hashlib.sha256(seal.encode()).hexdigest()
