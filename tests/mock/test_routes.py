"""Which route answers a request, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from moltler.errors import MoltlerError
from moltler.flow.http import HttpRequest
from moltler.lang import ast
from support.mocking import Net, evaluate, mock_api

Make = Callable[..., Net]


@pytest.mark.parametrize(
    ("key", "method", "path"),
    [
        ("GET /items", "GET", "/items"),
        ("get /items", "GET", "/items"),
        ("* /items", "DELETE", "/items"),
        ("GET /items", "GET", "svc/items"),
        ("GET /items", "GET", "/items?"),
        ("GET /items", "GET", "/items?a=1&b=2"),
        ("GET /items?b=2", "GET", "/items?a=1&b=2"),
        ("GET /items?q=a%20b", "GET", "/items?q=a+b"),
        ("GET /items?a=1&a=2", "GET", "/items?a=2&b=3&a=1"),
        ("GET /items?flag", "GET", "/items?flag="),
        ("GET /", "GET", ""),
        ("GET /", "GET", "/"),
        ("GET /items/:id", "GET", "/items/7"),
        ("GET /items/{id}", "GET", "/items/a%2Fb"),
        ("GET /items/*", "GET", "/items/7"),
        ("GET /items/**", "GET", "/items/7/parts/8"),
        ("GET /**", "GET", "/"),
        ("GET /b%C3%BCcher", "GET", "/bücher"),
        ("GET /a%2fb", "GET", "/a%2Fb"),
        ("GET /a-b", "GET", "/%61-b"),
        ("GET /items/1:cancel", "GET", "/items/1:cancel"),
        ("PROPFIND /files", "PROPFIND", "/files"),
    ],
)
def test_request_fits_a_key(net: Make, key: str, method: str, path: str) -> None:
    assert net(f'{{"{key}": {{"body": "yes"}}}}').text(path, method) == "yes"


@pytest.mark.parametrize(
    ("key", "method", "path"),
    [
        ("GET /items", "POST", "/items"),
        ("GET /items", "GET", "/items/"),
        ("GET /items/", "GET", "/items"),
        ("GET /items", "GET", "/Items"),
        ("GET /items?a=1", "GET", "/items"),
        ("GET /items?a=1", "GET", "/items?a=2"),
        ("GET /items?a=1&a=1", "GET", "/items?a=1"),
        ("GET /items/:id", "GET", "/items/"),
        ("GET /items/:id", "GET", "/items/7/8"),
        ("GET /items/*", "GET", "/items/7/8"),
        ("GET /items/**", "GET", "/items"),
        ("GET /a/b", "GET", "/a%2Fb"),
    ],
)
def test_request_does_not_fit_a_key(net: Make, key: str, method: str, path: str) -> None:
    code, _ = net(f'{{"{key}": {{"body": "yes"}}}}').fails(method, path)
    assert code == "MOCK_UNMATCHED"


@pytest.mark.parametrize(
    ("more_specific", "less_specific", "path"),
    [
        ("GET /items/7", "GET /items/:id", "/items/7"),
        ("GET /items/:id", "GET /items/*", "/items/7"),
        ("GET /items/*", "GET /items/**", "/items/7"),
        ("GET /items/:id/parts", "GET /items/*/parts", "/items/7/parts"),
        ("GET /items/**", "GET /**", "/items/7"),
        ("* /items", "GET /**", "/items"),
        ("GET /items", "* /items", "/items"),
        ("GET /items?page=2", "GET /items", "/items?page=2"),
        ("GET /items?page=2&size=1", "GET /items?page=2", "/items?size=1&page=2"),
        ("GET https://a.example/**", "GET /items", "https://a.example/items"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_more_specific_key_wins_in_either_order(
    net: Make, more_specific: str, less_specific: str, path: str, turned: bool
) -> None:
    routes = {more_specific: {"body": "more"}, less_specific: {"body": "less"}}
    keys = sorted(routes, key=[more_specific, less_specific].index, reverse=turned)
    text = json.dumps({key: routes[key] for key in keys})
    found = net(text, config={"api_url": "https://a.example"}).text(path)
    assert found == "more"


def test_first_of_equal_keys_wins(net: Make) -> None:
    mocked = net('{"GET /items": {"body": "first"}, "get /items": {"body": "second"}}')
    assert mocked.text("/items") == "first"


def test_more_demands_of_when_win(net: Make) -> None:
    mocked = net(
        '{"GET /items": {"body": "any"}, '
        '"get /items": {"body": "german", "when": {"headers": {"Accept-Language": "de"}}}}'
    )
    assert mocked.text("/items", headers=(("accept-language", "de"),)) == "german"
    assert mocked.text("/items", headers=(("accept-language", "fr"),)) == "any"


def test_host_counts_in_absolute_keys_only(net: Make) -> None:
    mocked = net(
        '{"GET https://a.example/items": {"body": "a"}, "GET /items": {"body": "any"}}',
        config={"one": "https://a.example", "two": "https://b.example"},
    )
    assert mocked.text("https://a.example:443/items") == "a"
    assert mocked.text("https://b.example/items") == "any"


@pytest.mark.parametrize(
    ("when", "sent", "is_answered"),
    [
        ({"body": {"a": 1}}, b'{"a": 1.0, "b": 2}', True),
        ({"body": {"a": {"b": [1, {"c": 2}]}}}, b'{"a": {"b": [1, {"c": 2, "d": 3}]}}', True),
        ({"body": {"a": [1]}}, b'{"a": [1, 2]}', False),
        ({"body": {"a": True}}, b'{"a": 1}', False),
        ({"body": {"a": 1}}, b'{"a": true}', False),
        ({"body": {"a": None}}, b'{"b": 1}', True),
        ({"body": {"a": 1}}, b"a=1", False),
        ({"body": "plain"}, b"plain", True),
        ({"body": {"a": 9007199254740993}}, b'{"a": 9007199254740992}', False),
    ],
)
def test_when_matches_bodies_as_subset(
    net: Make, when: object, sent: bytes, is_answered: bool
) -> None:
    mocked = net(json.dumps({"POST /x": {"when": when}, "POST /**": {"status": 404}}))
    assert (mocked.send("POST", "/x", body=sent).status == 200) is is_answered


def test_when_matches_the_fields_of_a_form(net: Make) -> None:
    mocked = net('{"POST /token": {"when": {"body": {"grant_type": "refresh"}}, "body": "ok"}}')
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    assert mocked.text("/token", "POST", body=b"grant_type=refresh&x=1", headers=form) == "ok"


def test_when_matches_parameters_as_text(net: Make) -> None:
    mocked = net('{"GET /x": {"when": {"query": {"page": 2, "all": true, "old": null}}}}')
    assert mocked.send("GET", "/x?page=2&all=true").status == 200
    assert mocked.fails("GET", "/x?page=2&all=true&old=1")[0] == "MOCK_UNMATCHED"


def test_sequence_is_served_in_order_and_then_exhausted(net: Make) -> None:
    mocked = net('{"GET /items": [{"body": "1"}, {"body": "2", "times": 2}]}')
    assert [mocked.text("/items") for _ in range(3)] == ["1", "2", "2"]
    code, message = mocked.fails("GET", "/items")
    assert code == "MOCK_EXHAUSTED"
    assert message == "`GET /items` has 3 answers, and `GET /items` asks for one more"
    assert mocked.world.failure is not None
    assert mocked.world.failure.code == "TST003"


def test_exhausted_route_does_not_fall_back_to_a_wider_one(net: Make) -> None:
    mocked = net('{"GET /items": {"times": 1, "body": "1"}, "GET /**": {"body": "wide"}}')
    assert mocked.text("/items") == "1"
    assert mocked.fails("GET", "/items")[0] == "MOCK_EXHAUSTED"


def test_when_chooses_within_a_sequence(net: Make) -> None:
    mocked = net(
        '{"POST /x": [{"when": {"body": {"a": 1}}, "body": "one"}, '
        '{"when": {"body": {"a": 2}}, "body": "two"}], "POST /**": {"body": "other"}}'
    )
    assert mocked.text("/x", "POST", body=b'{"a": 2}') == "two"
    assert mocked.text("/x", "POST", body=b'{"a": 3}') == "other"
    assert mocked.text("/x", "POST", body=b'{"a": 1}') == "one"
    assert mocked.fails("POST", "/x", body=b'{"a": 1}')[0] == "MOCK_EXHAUSTED"


def test_unmatched_request_names_the_nearest_routes_first(net: Make) -> None:
    mocked = net('{"POST /orders": {}, "GET /items?page=1": {}, "GET /items/:id": {}}')
    code, message = mocked.fails("GET", "/items?page=2")
    assert code == "MOCK_UNMATCHED"
    assert message == (
        "no route answers `GET /items?page=2`; the nearest, `GET /items?page=1`, wants the "
        "parameter `page` to be `1`, which is `2`; known routes, nearest first: "
        "`GET /items?page=1`, `GET /items/:id`, `POST /orders`"
    )


def test_first_failure_is_kept(net: Make) -> None:
    mocked = net("{}")
    mocked.fails("GET", "/one")
    mocked.fails("GET", "/two")
    assert mocked.world.failure is not None
    assert mocked.world.failure.code == "TST002"
    assert "`GET /one`" in mocked.world.failure.message


def test_path_that_became_the_host_is_explained(net: Make) -> None:
    mocked = net('{"GET /items": {}}')
    mocked.fails("GET", "mock://items")
    assert mocked.world.failure is not None
    assert mocked.world.failure.hint == (
        "put a slash before the path: `items` is the host of `mock://items/`"
    )


def test_document_body_is_json_and_text_is_text(net: Make) -> None:
    mocked = net('{"GET /d": {"body": {"a": 1}}, "GET /t": {"body": "a"}, "GET /n": {}}')
    kinds = [mocked.send("GET", path).headers.get("content-type") for path in ("/d", "/t", "/n")]
    assert kinds == ["application/json", "text/plain; charset=utf-8", None]
    assert mocked.text("/n") == ""


def test_integers_beyond_two_to_the_53_keep_their_digits(net: Make) -> None:
    mocked = net('{"GET /x": {"body": [9007199254740993, -9223372036854775808]}}')
    assert mocked.text("/x") == "[9007199254740993,-9223372036854775808]"


def test_status_text_and_headers_are_as_given(net: Make) -> None:
    mocked = net(
        '{"GET /x": {"status": 429, "headers": {"Retry-After": 7, "X-A": ["1", "2"]}}, '
        '"GET /y": {"status": 418, "statusText": "Short and stout"}}'
    )
    answer = mocked.client.head_of(_get("/x"))
    assert (answer.status, answer.status_text) == (429, "Too Many Requests")
    assert answer.headers == (("Retry-After", "7"), ("X-A", "1"), ("X-A", "2"))
    assert mocked.send("GET", "/y").status_text == "Short and stout"


def test_delay_is_waited_for(net: Make) -> None:
    mocked = net('{"GET /x": {"delay_ms": 1500}}')
    mocked.send("GET", "/x")
    assert mocked.sleeper.slept == [1.5]


@pytest.mark.parametrize(
    ("error", "code", "is_sent"),
    [
        ("connection_refused", "ECONNREFUSED", False),
        ("dns", "ENOTFOUND", False),
        ("tls", "TLS", False),
        ("timeout", "ETIMEDOUT", True),
        ("reset", "ECONNRESET", True),
    ],
)
def test_network_errors_have_codes_and_say_whether_a_write_left(
    net: Make, error: str, code: str, is_sent: bool
) -> None:
    left: list[int] = []
    mocked = net(f'{{"POST /x": {{"error": "{error}"}}}}')
    found, _ = mocked.fails("POST", "/x", before_write=lambda: left.append(1))
    assert (found, bool(left)) == (code, is_sent)


def test_redirects_are_followed_within_the_mock(net: Make) -> None:
    mocked = net(
        '{"POST /old": {"status": 303, "headers": {"Location": "/new"}}, "GET /new": {"body": "n"}}'
    )
    answer = mocked.send("POST", "/old", body=b"x")
    assert (answer.body, answer.redirected, answer.url) == (b"n", True, "mock:///new")
    assert [call.method for call in mocked.world.calls] == ["POST", "GET"]


def test_egress_holds_in_mocked_tests(net: Make) -> None:
    mocked = net('{"GET /**": {}}')
    assert mocked.fails("GET", "https://elsewhere.example/")[0] == "EGRESS_BLOCKED"
    assert mocked.world.calls == ()


def test_expressions_are_evaluated_once(net: Make) -> None:
    seen: list[str] = []

    def counting(expr: ast.Expr) -> object:
        seen.append(expr.span.text)
        return evaluate(expr)

    api = mock_api('{"GET /x": {"body": {"a": 1 + 1, "at": CURRENT_TIMESTAMP()}}}', counting)
    body = b'{"a":2,"at":"2024-01-02T03:04:05.678Z"}'
    assert api.routes[0].answers[0].head.body == body
    assert seen == ["1 + 1", "CURRENT_TIMESTAMP()"]


def test_calls_show_what_was_sent(net: Make) -> None:
    mocked = net('{"POST /items/:id": {}}')
    headers = (("X-Trace", "1"), ("x-trace", "2"))
    mocked.send("POST", "/items/a%20b?tag=x&tag=y&n=1", body=b'{"big": 9007199254740993}',
                headers=headers)  # fmt: skip
    assert mocked.world.calls_of("post /items/{number}") == [
        {
            "method": "POST",
            "path": "/items/a%20b",
            "query": {"tag": ["x", "y"], "n": "1"},
            "headers": {"x-trace": "1, 2"},
            "body": {"big": 9007199254740993},
        }
    ]


def test_calls_belong_to_the_route_that_answered(net: Make) -> None:
    mocked = net('{"GET /items": {}, "GET /**": {}}')
    mocked.send("GET", "/items")
    assert len(mocked.world.calls_of("GET /items")) == 1
    assert mocked.world.calls_of("GET /**") == []
    assert mocked.world.unused == ("GET /**",)


def test_calls_of_an_unknown_key_are_an_error(net: Make) -> None:
    with pytest.raises(MoltlerError) as caught:
        net('{"GET /items": {}}').world.calls_of("GET /item")
    assert (caught.value.code, caught.value.hint) == ("TST005", "did you mean `GET /items`?")


def _get(path: str) -> HttpRequest:
    return HttpRequest("GET", f"mock://{path}")
