"""Secrets that an API echoes are sealed again before a handler sees them (LANGUAGE §5.4)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from moltler.net.resealing import Resealing
from sandbox.conftest import Instance
from seals.conftest import Shop, run
from support.http import HttpServer, Request, Response, _Pieces, compressed, redirect

VALUE = 'hunter2 "secret"/ü'


@pytest.fixture
def shop(make: Shop) -> Instance:
    return make(VALUE)


READ = "const r = await fetch(url + '/echo'); const text = await r.text(); return [key, text]"


@pytest.mark.parametrize(
    "spell",
    [
        str,
        lambda v: json.dumps(v)[1:-1],
        lambda v: json.dumps(v, ensure_ascii=False)[1:-1],
        lambda v: json.dumps(v)[1:-1].replace("/", "\\/"),
        lambda v: quote(v, safe=""),
        lambda v: quote(v, safe="").lower(),
        lambda v: quote(v, safe="").replace("%20", "+"),
    ],
)
def test_an_echo_is_the_seal_again(
    shop: Instance, http_server: HttpServer, spell: Callable[[str], str]
) -> None:
    http_server.route("GET", "/echo", Response(200, f"key: {spell(VALUE)}!".encode()))
    seal, text = run(shop, READ)
    assert text == f"key: {seal}!"


def test_base64_of_a_value_is_what_btoa_gives(make: Shop, http_server: HttpServer) -> None:
    http_server.route("GET", "/echo", Response(200, base64.b64encode(b"hunter2-secret") + b"!"))
    shop = make("hunter2-secret")
    assert run(shop, "return await (await fetch(url + '/echo')).text() === btoa(key) + '!'")


@pytest.mark.parametrize("before", ["", "u", "us"])
def test_a_value_inside_of_base64_cannot_be_read(
    make: Shop, http_server: HttpServer, before: str
) -> None:
    coded = base64.b64encode(f"{before}hunter2-secret and more".encode())
    http_server.route("GET", "/echo", Response(200, coded))
    _, text = run(make("hunter2-secret"), READ)
    assert "sealed_" in text


def test_echoed_headers_of_a_request_are_sealed(make: Shop, http_server: HttpServer) -> None:
    def echo(request: Request) -> Response:
        return Response(200, dict(request.headers), {"X-Echo": request.headers["authorization"]})

    http_server.route("GET", "/echo", echo)
    assert run(make("hunter2-secret"), """
        const Authorization = 'Basic ' + btoa('user:' + key);
        const r = await fetch(url + '/echo', {headers: {Authorization, 'X-Key': `a ${key}`}});
        const seen = await r.json();
        return [r.headers.get('x-echo') === Authorization, seen.authorization === Authorization,
                seen['x-key'] === `a ${key}`];
    """) == [True, True, True]  # fmt: skip


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_compressed_echoes_are_sealed(make: Shop, http_server: HttpServer, coding: str) -> None:
    http_server.route("GET", "/echo", compressed({"key": "hunter2-secret"}, coding))
    seal, text = run(make("hunter2-secret"), READ)
    assert json.loads(text) == {"key": seal}


def test_an_echo_across_chunks_is_sealed(make: Shop, http_server: HttpServer) -> None:
    pieces = [bytes([b]) for b in b"<hunter2-hunter2-secret> hunter2-secre"]
    http_server.route("GET", "/echo", Response(200, _Pieces(lambda: pieces), chunked=True))
    seal, text = run(make("hunter2-secret"), READ)
    assert text == f"<hunter2-{seal}> hunter2-secre"


def test_an_echo_in_a_large_body_is_sealed(make: Shop, http_server: HttpServer) -> None:
    body = b"x" * ((1 << 18) - 5) + b"hunter2-secret" + b"y" * (3 << 20) + b"hunter2-secret"
    http_server.route("GET", "/echo", Response(200, body))
    code = READ.replace("[key, text]", "[key, text.length, text.split(key).length]")
    seal, length, parts = run(make("hunter2-secret"), code)
    assert (length, parts) == (len(body) + 2 * (len(seal) - 14), 3)


def test_the_address_of_a_response_is_sealed(make: Shop, http_server: HttpServer) -> None:
    http_server.route("GET", "/there", {})
    http_server.route("GET", "/v/*", redirect("more?x=hunter2-secret"))
    http_server.route("GET", "/v/hunter2-secret/more", {})
    assert run(make("hunter2-secret"), """
        const one = `${url}/there?key=${key}`, two = `${url}/v/${key}/first`;
        const first = (await fetch(one)).url;
        return [first === one, (await fetch(two)).url === `${url}/v/${key}/more?x=${key}`];
    """) == [True, True]  # fmt: skip


def test_short_values_are_left_in_text(make: Shop, http_server: HttpServer) -> None:
    http_server.route("GET", "/echo", Response(200, b"1234567 and 12345678"))
    assert run(make("1234567"), READ)[1] == "1234567 and 12345678"
    assert "12345678" not in run(make("12345678"), READ)[1]


@pytest.mark.parametrize("ending", ["x" * 13, "hunter2-secre", "xxxxxxxxxxxxh", "hunter2-xxxxx"])
def test_what_is_held_back_says_nothing_of_the_text(ending: str) -> None:
    resealing = Resealing([(b"hunter2-secret", b"SEAL")])
    assert resealing.feed(b"some text ") == b""
    assert resealing.feed(ending.encode()) == b"some text "
    assert resealing.feed(b"") == b""
    assert resealing.finish() == ending.encode()


@pytest.mark.parametrize("size", range(1, 25))
def test_wherever_a_text_is_cut_the_result_is_the_same(size: int) -> None:
    text = b"aXabababcX abababcd ababab abababc"
    spellings = [(b"abababc", b"ONE"), (b"abababcd", b"TWO"), (b"", b"NONE")]
    resealing = Resealing(spellings)
    pieces = [resealing.feed(text[i : i + size]) for i in range(0, len(text), size)]
    assert b"".join([*pieces, resealing.finish()]) == b"aXONEX TWO ababab ONE"
