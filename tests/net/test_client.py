"""What goes on the wire and what comes back, over real connections."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Literal, cast

import pytest

from moltler.flow.connector import CallLimits
from moltler.flow.http import HttpRequest, HttpResponse
from moltler.loop import LoopThread
from moltler.net.settings import NetSettings
from moltler.secret import Secret
from support.http import (
    CLOSE,
    HttpServer,
    Request,
    Response,
    big_body,
    compressed,
    redirect,
    sequence,
)
from support.net import Client

Connect = Callable[..., Client]


def body_of(request: Request) -> bytes:
    return request.body


async def pieces_of(response: HttpResponse) -> list[bytes]:
    return [piece async for piece in response.body]


async def close_body(response: HttpResponse) -> None:
    await cast("Any", response.body).aclose()


@pytest.mark.parametrize(
    "target",
    ["/items?", "/a%2Fb%2fc?x=%zz&&y=1+2", "//double//", "/q?a=b?c=[1]|^", "/a~b!$'()*,;:@"],
)
def test_the_address_goes_on_the_wire_as_written(
    http_server: HttpServer, connect: Connect, target: str
) -> None:
    http_server.route("*", "/*", {})
    answer = connect({"api_url": http_server.url}).get(http_server.url + target)
    assert http_server.requests[0].target == target.replace("'", "%27" if "?" in target else "'")
    assert answer.url == http_server.url + target


def test_a_request_carries_what_the_handler_set_and_little_else(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("POST", "/items", Response(201, {"id": 1}))
    headers = (("X-Key", "k"), ("Content-Length", "99"), ("Host", "evil"), ("Connection", "close"))
    client = connect({"api_url": http_server.url})
    answer = client.send("POST", http_server.url + "/items", headers=headers, body=b"{}")
    sent = http_server.requests[0]
    assert (answer.status, answer.status_text, answer.body) == (201, "Created", b'{"id": 1}')
    assert sent.headers == {
        "host": f"127.0.0.1:{http_server.port}",
        "x-key": "k",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate, br, zstd",
        "user-agent": "moltler",
        "content-length": "2",
    }
    assert sent.body == b"{}"


def test_the_status_text_is_filled_in_for_known_statuses(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("GET", "/items", Response(429, {}, reason=""))
    http_server.route("GET", "/odd", Response(299, {}, reason=""))
    client = connect({"api_url": http_server.url})
    assert client.get(http_server.url + "/items").status_text == "Too Many Requests"
    assert client.get(http_server.url + "/odd").status_text == ""


def test_userinfo_becomes_basic_authorization(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", redirect("/there"))
    http_server.route("GET", "/there", {})
    url = http_server.url.replace("//", "//me:p%40ss@")
    answer = connect({"api_url": url}).get(url + "/items")
    assert [r.headers["authorization"] for r in http_server.requests] == ["Basic bWU6cEBzcw=="] * 2
    assert answer.url == http_server.url + "/there"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_compressed_bodies_are_decoded(
    http_server: HttpServer, connect: Connect, coding: str
) -> None:
    body = b"".join(b"%d," % i for i in range(300_000))
    http_server.route("GET", "/items", compressed(body, coding))
    answer = connect({"api_url": http_server.url}).get(http_server.url + "/items")
    assert answer.body == body


def test_codings_undo_in_reverse_and_members_follow_one_another(
    http_server: HttpServer, connect: Connect
) -> None:
    twice = gzip.compress(gzip.compress(b"one ") + gzip.compress(b"two"))
    http_server.route("GET", "/items", Response(200, twice, {"Content-Encoding": "gzip, gzip"}))
    http_server.route("GET", "/odd", Response(200, b"raw", {"Content-Encoding": "sdch"}))
    http_server.route("GET", "/none", Response(200, b"", {"Content-Encoding": "gzip"}))
    client = connect({"api_url": http_server.url})
    assert client.get(http_server.url + "/items").body == b"one two"
    assert client.get(http_server.url + "/odd").body == b"raw"
    assert client.get(http_server.url + "/none").body == b""


def test_bodies_arrive_in_large_pieces(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", big_body(20_000_000))
    answer = connect({"api_url": http_server.url}).get(http_server.url + "/items")
    assert len(answer.body) == 20_000_000
    assert len(answer.body) / len(answer.pieces) > 32_000


def test_the_response_is_given_once_its_head_has_arrived(
    http_server: HttpServer, connect: Connect
) -> None:
    gate = threading.Event()
    http_server.route("GET", "/items", Response(200, b"half-half", body_gate=gate))
    client = connect({"api_url": http_server.url})
    response = client.head_of(HttpRequest("GET", http_server.url + "/items"))
    gate.set()
    assert response.status == 200
    assert b"".join(client.loop.run(pieces_of(response))) == b"half-half"


def test_connections_are_kept_and_used_again(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", {"a": 1})
    client = connect({"api_url": http_server.url})
    for _ in range(5):
        client.get(http_server.url + "/items")
    assert (len(http_server.requests), http_server.connections) == (5, 1)


def test_closing_an_unread_body_closes_its_connection_only(
    http_server: HttpServer, connect: Connect
) -> None:
    gate = threading.Event()
    http_server.route("GET", "/slow", Response(200, b"half-half", body_gate=gate))
    http_server.route("GET", "/items", {})
    client = connect({"api_url": http_server.url})
    response = client.head_of(HttpRequest("GET", http_server.url + "/slow"))
    client.loop.run(close_body(response))
    assert http_server.gone.wait(10)
    assert client.loop.run(pieces_of(response)) == []
    client.get(http_server.url + "/items")
    assert [r.connection for r in http_server.requests] == [1, 2]


@pytest.mark.parametrize("part", ["head", "body"])
def test_cancelling_closes_the_connection(
    http_server: HttpServer, connect: Connect, part: str
) -> None:
    gate = threading.Event()
    held: dict[str, Any] = {f"{part}_gate": gate}
    http_server.route("GET", "/items", Response(200, b"half-half", **held))
    sending = connect({"api_url": http_server.url}).start("GET", http_server.url + "/items")
    http_server.wait_requests(1)
    sending.cancel()
    assert http_server.gone.wait(10)
    with pytest.raises(CancelledError):
        sending.result()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_survives_a_connection_that_died_while_idle(
    http_server: HttpServer, connect: Connect, method: str
) -> None:
    http_server.route("*", "/items", sequence({}, CLOSE, Response(200, "again")))
    client = connect({"api_url": http_server.url})
    client.send(method, http_server.url + "/items")
    assert client.send(method, http_server.url + "/items").status == 200
    assert [r.connection for r in http_server.requests] == [1, 1, 2]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_write_is_never_sent_twice(
    http_server: HttpServer, connect: Connect, method: str
) -> None:
    http_server.route("*", "/items", sequence({}, CLOSE, Response(200, "again")))
    client = connect({"api_url": http_server.url})
    client.get(http_server.url + "/items")
    assert client.fails(method, http_server.url + "/items", body=b"{}").code == "ECONNRESET"
    assert len(http_server.requests) == 2


def test_a_read_on_a_fresh_connection_is_not_repeated(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("GET", "/items", CLOSE)
    assert connect({"api_url": http_server.url}).fails("GET", http_server.url + "/items")
    assert len(http_server.requests) == 1


def test_before_write_is_called_on_an_open_connection_before_the_first_byte(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("*", "/items", {})
    client = connect({"api_url": http_server.url})
    seen: list[tuple[int, str]] = []

    def note() -> None:
        seen.append((len(http_server.requests), threading.current_thread().name))

    client.send("GET", http_server.url + "/items", before_write=note)
    assert seen == []
    client.send("POST", http_server.url + "/items", before_write=note)
    assert [count for count, _ in seen] == [1]
    assert seen[0][1] != "moltler-loop"


def test_before_write_is_not_called_when_the_connection_is_refused(
    http_server: HttpServer, connect: Connect
) -> None:
    with HttpServer() as gone:
        url = gone.url
    called: list[int] = []
    client = connect({"api_url": url})
    failure = client.fails("POST", url + "/items", before_write=lambda: called.append(1))
    assert (failure.code, called) == ("ECONNREFUSED", [])


def test_before_write_is_called_once_for_a_chain_of_redirects(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("POST", "/items", redirect("/there", 307))
    http_server.route("POST", "/there", body_of)
    called: list[int] = []
    client = connect({"api_url": http_server.url})
    answer = client.send(
        "POST", http_server.url + "/items", body=b"x", before_write=lambda: called.append(1)
    )
    assert (answer.body, called) == (b"x", [1])


def test_a_failing_before_write_stops_the_request(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("*", "/items", {})
    client = connect({"api_url": http_server.url})

    def fail() -> None:
        raise OSError("the journal is full")

    with pytest.raises(OSError, match="the journal is full"):
        client.send("POST", http_server.url + "/items", before_write=fail)
    assert http_server.requests == []


def test_a_connection_lost_during_before_write_is_replaced_and_nothing_sent_twice(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("*", "/items", {})
    client = connect({"api_url": http_server.url})
    client.get(http_server.url + "/items")
    called: list[int] = []

    def drop() -> None:
        called.append(1)
        http_server.drop_idle()
        http_server.wait_closed(1)
        client.loop.run(asyncio.sleep(0))  # lets the loop read what has arrived

    answer = client.send("POST", http_server.url + "/items", body=b"{}", before_write=drop)
    assert (answer.status, called) == (200, [1])
    assert [(r.method, r.connection) for r in http_server.requests] == [("GET", 1), ("POST", 2)]


REDIRECTS = [
    (301, "POST", "GET", b""),
    (302, "POST", "GET", b""),
    (303, "POST", "GET", b""),
    (307, "POST", "POST", b"{}"),
    (308, "POST", "POST", b"{}"),
    (301, "PUT", "PUT", b"{}"),
    (302, "DELETE", "DELETE", b"{}"),
    (303, "PUT", "GET", b""),
    (303, "HEAD", "HEAD", b""),
    (307, "GET", "GET", b""),
]


@pytest.mark.parametrize(("status", "method", "then", "body"), REDIRECTS)
def test_redirects_change_the_method_as_fetch_does(
    http_server: HttpServer, connect: Connect, status: int, method: str, then: str, body: bytes
) -> None:
    http_server.route("*", "/items", redirect("/there?x", status))
    http_server.route("*", "/there", {})
    headers = (("Content-Type", "application/json"), ("Authorization", "Bearer t"))
    sent = b"{}" if method not in {"GET", "HEAD"} else None
    client = connect({"api_url": http_server.url})
    answer = client.send(method, http_server.url + "/items", headers=headers, body=sent)
    second = http_server.requests[1]
    assert (second.method, second.target, second.body) == (then, "/there?x", body)
    assert ("content-type" in second.headers) is (sent is None or then == method)
    assert second.headers["authorization"] == "Bearer t"
    assert (answer.redirected, answer.url) == (True, http_server.url + "/there?x")


def test_ten_redirects_are_followed(http_server: HttpServer, connect: Connect) -> None:
    def count_down(request: Request) -> object:
        left = int(request.query["n"])
        return redirect(f"/items?n={left - 1}") if left else {"done": True}

    http_server.route("GET", "/items", count_down)
    client = connect({"api_url": http_server.url})
    assert client.get(http_server.url + "/items?n=10").body == b'{"done": true}'
    assert client.fails("GET", http_server.url + "/items?n=11").code == "TOO_MANY_REDIRECTS"


def test_redirects_can_be_left_to_the_handler(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", redirect("http://169.254.169.254/"))
    http_server.route("GET", "/bare", Response(302, b"no location"))
    client = connect({"api_url": http_server.url})
    answer = client.get(http_server.url + "/items", redirect="manual")
    assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/")
    assert client.get(http_server.url + "/bare").body == b"no location"
    failure = client.fails("GET", http_server.url + "/items", redirect="error")
    assert (failure.code, "redirect: 'error'" in str(failure)) == ("TOO_MANY_REDIRECTS", True)


def test_credentials_stay_behind_when_the_origin_changes(
    http_server: HttpServer, connect: Connect
) -> None:
    with HttpServer() as other:
        http_server.route("POST", "/items", redirect(other.url + "/there", 307))
        other.route("POST", "/there", {})
        headers = (
            ("Authorization", "Bearer t"), ("Cookie", "a=b"), ("Proxy-Authorization", "Basic x"),
            ("X-Api-Key", "hunter2-secret"), ("X-Kind", "plain"), ("Content-Type", "text/plain"),
        )  # fmt: skip
        client = connect(
            {"api_url": http_server.url, "files": other.url},
            secrets=[Secret("api_key", "hunter2-secret")],
        )
        url = http_server.url + "/items"
        client.send("POST", url, headers=headers, body=b"plain body")
        client.send("POST", url, headers=headers, body=b"key=hunter2-secret")
        kept = {"x-kind", "content-type", "host", "accept", "accept-encoding", "user-agent",
                "content-length"}  # fmt: skip
        assert [set(r.headers) for r in other.requests] == [kept, kept]
        assert [r.body for r in other.requests] == [b"plain body", b""]


def test_cookies_are_not_kept(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", Response(200, {}, {"Set-Cookie": "session=1; Path=/"}))
    client = connect({"api_url": http_server.url})
    client.get(http_server.url + "/items")
    client.get(http_server.url + "/items")
    assert "cookie" not in http_server.requests[1].headers


def test_proxies_of_the_environment_are_ignored(
    http_server: HttpServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_server.route("GET", "/items", {})
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = connect({"api_url": http_server.url}, NetSettings(lookup=_local))
    assert client.get(http_server.url + "/items").status == 200


def _local(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def test_a_proxy_that_is_set_gets_whole_addresses_and_resolves_names(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("GET", "/items", {"via": "proxy"})
    asked: list[str] = []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    proxy = f"http://me:pw@proxy.internal:{http_server.port}"
    client = connect({"api_url": "http://api.example"}, NetSettings(proxy=proxy, lookup=lookup))
    assert client.get("http://api.example/items?").body == b'{"via": "proxy"}'
    assert http_server.requests[0].target == "http://api.example/items?"
    assert http_server.requests[0].headers["proxy-authorization"] == "Basic bWU6cHc="
    assert asked == ["proxy.internal"]


def test_https_goes_through_a_proxy_in_a_tunnel(connect: Connect) -> None:
    with (
        HttpServer(tls="wrong_host") as server,  # its certificate is for other.example
        HttpServer(tunnel=("127.0.0.1", server.port)) as proxy,
    ):
        server.route("GET", "/items", {"ok": True})
        settings = NetSettings(proxy=proxy.url, ca_file=server.ca_file)
        client = connect({"api_url": "https://other.example"}, settings)
        assert client.get("https://other.example/items").body == b'{"ok": true}'
        assert proxy.paths == ["CONNECT other.example:443"]


def test_a_proxy_that_refuses_or_is_gone_is_named(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("CONNECT", "*", 403)
    settings = NetSettings(proxy=http_server.url)
    failure = connect({"api_url": "https://api.example"}, settings).fails(
        "GET", "https://api.example/items"
    )
    assert (failure.code, "status 403" in str(failure)) == ("ECONNREFUSED", True)
    with HttpServer() as gone:
        settings = NetSettings(proxy=gone.url)
    failure = connect({"api_url": "http://api.example"}, settings).fails(
        "GET", "http://api.example/items"
    )
    assert (failure.code, "the proxy" in str(failure)) == ("ECONNREFUSED", True)


def test_loopback_never_goes_through_a_proxy(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", {})
    client = connect({"api_url": http_server.url}, NetSettings(proxy="http://127.0.0.1:1"))
    assert client.get(http_server.url + "/items").status == 200


def test_a_ca_file_makes_its_certificates_trusted(connect: Connect) -> None:
    with HttpServer(tls="good") as server:
        server.route("GET", "/items", {})
        url = server.url.replace("127.0.0.1", "localhost")
        config = {"a": server.url, "b": url}
        client = connect(config, NetSettings(ca_file=server.ca_file, lookup=_local))
        assert client.get(server.url + "/items").status == 200
        assert client.get(url + "/items").status == 200
        failure = connect(config).fails("GET", server.url + "/items")
        assert (failure.code, "MOLTLER_CA_FILE" in (failure.hint or "")) == ("TLS", True)


@pytest.mark.parametrize("tls", ["unknown_ca", "wrong_host"])
def test_a_certificate_that_does_not_fit_is_refused(
    connect: Connect, tls: Literal["unknown_ca", "wrong_host"]
) -> None:
    with HttpServer(tls=tls) as server:
        client = connect({"api_url": server.url}, NetSettings(ca_file=server.ca_file))
        assert client.fails("GET", server.url + "/items").code == "TLS"
        assert server.requests == []


def test_requests_above_the_cap_wait_for_a_head(http_server: HttpServer, connect: Connect) -> None:
    pairs = threading.Barrier(2)
    counting = threading.Lock()
    active: list[int] = [0]

    def answer(request: Request) -> object:
        with counting:
            active.append(active[-1] + 1)
        pairs.wait(20)  # two are on their way at once
        with counting:
            active.append(active[-1] - 1)
        return {}

    http_server.route("GET", "/items", answer)
    client = connect({"api_url": http_server.url}, NetSettings(max_in_flight=2))
    sending = [client.start("GET", http_server.url + "/items") for _ in range(6)]
    assert [s.result(20).status for s in sending] == [200] * 6
    assert max(active) == 2


def test_the_throttle_spaces_requests_and_its_time_is_told(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("GET", "/items", {})
    client = connect({"api_url": http_server.url}, limits=CallLimits(rate_per_s=50.0))
    for _ in range(4):
        client.get(http_server.url + "/items")
    assert client.loop.run(_read(client)) > 0.03


async def _read(client: Client) -> float:
    return client.transport.waits.read()


def test_names_with_several_addresses_fall_back_to_the_one_that_answers(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("GET", "/items", {})
    url = f"http://api.example:{http_server.port}"
    settings = NetSettings(lookup=lambda host, port: ["::1", "127.0.0.1"])
    assert connect({"api_url": url}, settings).get(url + "/items").status == 200


def test_closing_twice_is_harmless(loop: LoopThread, connect: Connect) -> None:
    client = connect({})
    loop.run(client.transport.close())
    loop.run(client.transport.close())


def test_a_closed_transport_opens_nothing_again(http_server: HttpServer, connect: Connect) -> None:
    client = connect({"api_url": http_server.url})
    client.loop.run(client.transport.close())
    assert client.fails("GET", http_server.url + "/items").code == "ECONNRESET"
    assert http_server.connections == 0
