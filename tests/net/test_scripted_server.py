"""The scripted server itself, seen with the standard library's client."""

from __future__ import annotations

import http.client
import json

import pytest

from support.http import CLOSE, RESET, HttpServer, Response, sequence


def test_routes_answer_and_requests_are_recorded(http_server: HttpServer) -> None:
    http_server.route("GET", "/items", {"items": [1]})
    http_server.route("POST", "/items", lambda r: Response(201, r.json()))
    client = http.client.HTTPConnection("127.0.0.1", http_server.port)
    client.request("GET", "/items?page=1&q=a%20b", headers={"X-Key": "k"})
    assert json.loads(client.getresponse().read()) == {"items": [1]}
    client.request("POST", "/items", body=b'{"a": 1}')
    assert client.getresponse().read() == b'{"a": 1}'
    client.close()
    first, second = http_server.requests
    assert (first.path, first.query) == ("/items", {"page": "1", "q": "a b"})
    assert first.headers["x-key"] == "k"
    assert (second.method, second.json()) == ("POST", {"a": 1})
    assert (first.connection, second.connection, http_server.connections) == (1, 1, 1)


def test_sequences_answer_in_turn(http_server: HttpServer) -> None:
    http_server.route("*", "/x/*", sequence(429, [1]))
    client = http.client.HTTPConnection("127.0.0.1", http_server.port)
    seen: list[int] = []
    for path in ("/x/1", "/x/2", "/x/3", "/y"):
        client.request("GET", path)
        answer = client.getresponse()
        answer.read()
        seen.append(answer.status)
    client.close()
    assert seen == [429, 200, 200, 404]


@pytest.mark.parametrize(("answer", "error"), [(CLOSE, http.client.RemoteDisconnected),
                                               (RESET, ConnectionResetError)])  # fmt: skip
def test_connections_end_without_an_answer(
    http_server: HttpServer, answer: object, error: type[Exception]
) -> None:
    http_server.route("GET", "/", answer)
    client = http.client.HTTPConnection("127.0.0.1", http_server.port)
    client.request("GET", "/")
    with pytest.raises(error):
        client.getresponse()
    client.close()
