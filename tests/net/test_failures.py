"""Every way to get no response has its code and names method, host and path."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from moltler.flow.http import FetchCode, FetchFailure
from moltler.net.settings import NetSettings
from moltler.secret import Secret
from support.http import (
    CLOSE,
    RESET,
    HttpServer,
    Raw,
    Request,
    Response,
    bad_gzip,
    big_body,
    big_headers,
    compressed,
    redirect,
    truncated,
    truncated_chunked,
)
from support.net import Client

Connect = Callable[..., Client]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def size_of_body(request: Request) -> object:
    return {"size": len(request.body)}


def gzip_cut_short() -> Response:
    whole = compressed({"rows": list(range(1000))}, "gzip")
    return Response(200, whole.body[:-20], whole.headers)


ANSWERS: list[tuple[str, object, FetchCode, str]] = [
    ("closed", CLOSE, "ECONNRESET", "broke before"),
    ("reset", RESET, "ECONNRESET", "broke before"),
    ("not HTTP", Raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "ECONNRESET", "not HTTP"),
    ("half a head", Raw(b"HTTP/1.1 200 OK\r\nContent-"), "ECONNRESET", "broke before"),
    ("truncated", truncated({"a": 1}), "ECONNRESET", "ended early"),
    ("truncated chunked", truncated_chunked({"a": 1}), "ECONNRESET", "ended early"),
    ("bad gzip", bad_gzip(), "ECONNRESET", "Content-Encoding"),
    ("gzip cut short", gzip_cut_short(), "ECONNRESET", "ended early"),
    ("51 MB", big_body(51_000_000), "TOO_LARGE", "50,000,000"),
    ("51 MB chunked", big_body(51_000_000, chunked=True), "TOO_LARGE", "50,000,000"),
    ("51 MB as gzip", compressed(b"x" * 51_000_000, "gzip"), "TOO_LARGE", "50,000,000"),
    ("51 MB as zstd", compressed(b"x" * 51_000_000, "zstd"), "TOO_LARGE", "50,000,000"),
    ("51 MB as br", compressed(b"x" * 51_000_000, "br"), "TOO_LARGE", "50,000,000"),
    ("loop", redirect("/items"), "TOO_MANY_REDIRECTS", "more than 10"),
    ("redirect elsewhere", redirect("https://else.example/"), "EGRESS_BLOCKED",
     "ALLOWED_HOSTS ['else.example']"),
    ("redirect to metadata", redirect("http://169.254.169.254/latest"), "EGRESS_BLOCKED",
     "169.254.169.254"),
    ("redirect to ftp", redirect("ftp://127.0.0.1/"), "EGRESS_BLOCKED", "allowed: http, https"),
    ("redirect to nonsense", redirect("http://a b/"), "EGRESS_BLOCKED", "no address"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "code", "message"), [a[1:] for a in ANSWERS], ids=[a[0] for a in ANSWERS]
)
def test_a_bad_answer_has_its_code(
    http_server: HttpServer, connect: Connect, answer: object, code: str, message: str
) -> None:
    http_server.route("GET", "/items", answer)
    failure = connect({"api_url": http_server.url}).fails("GET", http_server.url + "/items?key=s")
    assert failure.code == code
    assert message in str(failure)
    assert "GET " in str(failure)
    assert "/" in str(failure)
    assert "key=s" not in str(failure)


def test_a_response_of_exactly_the_cap_arrives(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", big_body(1000, chunked=True))
    url = http_server.url
    client = connect({"api_url": url}, NetSettings(max_response_bytes=1000))
    assert len(client.get(url + "/items").body) == 1000
    client = connect({"api_url": url}, NetSettings(max_response_bytes=999))
    assert client.fails("GET", url + "/items").code == "TOO_LARGE"


def test_the_length_of_a_head_response_is_no_body(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("HEAD", "/items", Response(200, b"", length=60_000_000))
    answer = connect({"api_url": http_server.url}).send("HEAD", http_server.url + "/items")
    assert (answer.headers["content-length"], answer.body) == ("60000000", b"")


def test_a_head_of_a_hundred_kilobytes_arrives(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", big_headers(100_000))
    answer = connect({"api_url": http_server.url}).get(http_server.url + "/items")
    assert len(answer.headers["x-filler-99"]) == 1000


def test_an_endless_header_is_too_large(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", Response(200, {}, {"X-Long": "y" * 1_100_000}))
    failure = connect({"api_url": http_server.url}).fails("GET", http_server.url + "/items")
    assert failure.code == "TOO_LARGE"


def test_a_refused_connection_names_the_host(connect: Connect) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    failure = connect({"api_url": url}).fails("POST", url + "/items", body=b"{}")
    assert failure.code == "ECONNREFUSED"
    assert url.removeprefix("http://") in str(failure)


def test_an_unknown_host_is_not_found(connect: Connect) -> None:
    def lookup(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    client = connect({"api_url": "http://api.invalid"}, NetSettings(lookup=lookup))
    failure = client.fails("GET", "http://api.invalid/items")
    assert failure.code == "ENOTFOUND"
    assert "`api.invalid` has no address" in str(failure)


def test_a_name_without_addresses_is_not_found(connect: Connect) -> None:
    client = connect({"api_url": "http://api.invalid"}, NetSettings(lookup=lambda host, port: []))
    assert client.fails("GET", "http://api.invalid/items").code == "ENOTFOUND"


def test_a_lookup_that_hangs_times_out(connect: Connect) -> None:
    release = threading.Event()

    def lookup(host: str, port: int) -> Sequence[str]:
        release.wait(20)
        return ["127.0.0.1"]

    settings = NetSettings(lookup=lookup, connect_timeout_s=0.05)
    failure = connect({"api_url": "http://api.invalid"}, settings).fails(
        "GET", "http://api.invalid/items"
    )
    release.set()
    assert failure.code == "ETIMEDOUT"


def test_a_tls_server_that_never_greets_times_out(
    http_server: HttpServer, connect: Connect
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        failure = connect({"api_url": url}, NetSettings(connect_timeout_s=0.1)).fails("GET", url)
    assert failure.code == "ETIMEDOUT"


def test_a_plain_server_asked_for_tls_fails_as_tls(
    http_server: HttpServer, connect: Connect
) -> None:
    url = http_server.url.replace("http:", "https:")
    assert connect({"api_url": url}).fails("GET", url + "/items").code == "TLS"


def test_a_rebound_name_is_refused_at_its_new_address(
    http_server: HttpServer, connect: Connect
) -> None:
    answers = iter([["93.184.216.34", "127.0.0.1"], ["127.0.0.1"], ["::ffff:7f00:1"]])
    client = connect(
        {}, NetSettings(lookup=lambda host, port: next(answers)), hosts=["api.other.com:1"]
    )
    codes = [client.fails("GET", "http://api.other.com:1/") for _ in range(3)]
    assert [f.code for f in codes] == ["EGRESS_BLOCKED"] * 3
    assert "private or local" in str(codes[0])
    assert http_server.connections == 0


def test_a_redirect_to_a_name_with_an_inner_address_is_refused(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("GET", "/items", redirect("http://inner.example/"))
    settings = NetSettings(lookup=lambda host, port: ["10.0.0.1"])
    client = connect({"api_url": http_server.url}, settings, hosts=["inner.example"])
    failure = client.fails("GET", http_server.url + "/items")
    assert (failure.code, "10.0.0.1" in str(failure)) == ("EGRESS_BLOCKED", True)


def test_a_blocked_host_is_refused_without_a_packet(
    http_server: HttpServer, connect: Connect
) -> None:
    asked: list[str] = []

    def lookup(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    client = connect({"api_url": "https://api.example"}, NetSettings(lookup=lookup))
    failure = client.fails("GET", http_server.url + "/items")
    assert failure.code == "EGRESS_BLOCKED"
    assert f"ALLOWED_HOSTS ['127.0.0.1:{http_server.port}']" in str(failure)
    assert (asked, http_server.connections) == ([], 0)


SECRET = Secret("api_key", "hunter2-secret/")


@pytest.mark.parametrize(
    "more",
    [
        {"headers": (("Authorization", "Bearer hunter2-secret/"),)},
        {"body": b'{"key": "hunter2-secret/"}'},
        {"url": "http://api.other.com/items?key=hunter2-secret%2F"},
    ],
)
def test_a_secret_does_not_travel_over_http(connect: Connect, more: dict[str, object]) -> None:
    client = connect({}, hosts=["api.other.com"], secrets=[SECRET])
    request: dict[str, Any] = {"url": "http://api.other.com/items", **more}
    failure = client.fails("POST", request.pop("url"), **request)
    assert failure.code == "SECRET_OVER_HTTP"
    assert "hunter2" not in str(failure)


def test_the_host_is_judged_before_the_secret(connect: Connect) -> None:
    client = connect({}, secrets=[SECRET])
    failure = client.fails("GET", "http://else.example/", headers=(("X-Key", "hunter2-secret/"),))
    assert failure.code == "EGRESS_BLOCKED"


def test_a_secret_may_travel_to_loopback(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("GET", "/items", {})
    client = connect({"api_url": http_server.url}, secrets=[SECRET])
    client.get(http_server.url + "/items", headers=(("X-Key", "hunter2-secret/"),))
    assert http_server.requests[0].headers["x-key"] == "hunter2-secret/"


def test_a_secret_in_the_path_is_masked_in_messages(
    http_server: HttpServer, connect: Connect
) -> None:
    http_server.route("GET", "/*", CLOSE)
    client = connect({"api_url": http_server.url}, secrets=[Secret("token", "hunter2")])
    failure = client.fails("GET", http_server.url + "/bot-hunter2/send")
    assert "/bot-[secret token]/send" in str(failure)


@pytest.mark.parametrize(
    "header",
    [("X-A", "1\r\nX-B: 2"), ("X-A", "1\n"), ("X A", "1"), ("X-A:", "1"), ("", "1"), ("X-A", "\0")],
)
def test_headers_cannot_be_smuggled(
    http_server: HttpServer, connect: Connect, header: tuple[str, str]
) -> None:
    client = connect({"api_url": http_server.url})
    failure = client.fails("GET", http_server.url + "/items", headers=(header,))
    assert failure.code == "EGRESS_BLOCKED"
    assert http_server.connections == 0


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "GET /x HTTP/1.1\r\nX:", ""])
def test_forbidden_methods_are_refused(
    http_server: HttpServer, connect: Connect, method: str
) -> None:
    failure = connect({"api_url": http_server.url}).fails(method, http_server.url + "/items")
    assert (failure.code, http_server.connections) == ("EGRESS_BLOCKED", 0)


def test_an_address_with_a_line_break_is_refused(http_server: HttpServer, connect: Connect) -> None:
    client = connect({"api_url": http_server.url})
    assert client.fails("GET", http_server.url + "/a\r\nX: 1").code == "EGRESS_BLOCKED"


def test_a_request_body_above_the_cap_is_refused(http_server: HttpServer, connect: Connect) -> None:
    http_server.route("POST", "/items", size_of_body)
    client = connect({"api_url": http_server.url}, NetSettings(max_request_bytes=2_000_000))
    url = http_server.url + "/items"
    assert client.send("POST", url, body=b"x" * 2_000_000).body == b'{"size": 2000000}'
    assert client.fails("POST", url, body=b"x" * 2_000_001).code == "TOO_LARGE"


def test_an_unreadable_ca_file_is_named(http_server: HttpServer, connect: Connect) -> None:
    settings = NetSettings(ca_file=Path("/nonexistent/ca.pem"))
    failure = connect({"api_url": http_server.url}, settings).fails("GET", http_server.url)
    assert isinstance(failure, FetchFailure)
    assert (failure.code, "/nonexistent/ca.pem" in str(failure)) == ("TLS", True)
