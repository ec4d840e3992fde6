"""What each fault does to a request, with mocks and with live requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from moltler.flow.connector import CallLimits
from moltler.net.client import HttpTransport
from moltler.net.settings import NetSettings
from support.http import HttpServer
from support.mocking import Net

Make = Callable[..., Net]
SEQUENCE = '{"GET /items": [{"body": "1"}, {"body": "2"}], "GET /other": {"body": "o"}}'


@pytest.fixture
def live(net: Make, http_server: HttpServer) -> Iterator[Callable[[str], Net]]:
    made: list[Net] = []

    def make(disturbed: str) -> Net:
        config = {"api_url": http_server.url}
        live = net(None, disturbed, config, lambda t: HttpTransport(t, settings=NetSettings()))
        made.append(live)
        return live

    yield make
    for opened in made:
        opened.loop.run(opened.transport.close())


def test_status_fault_answers_instead_and_keeps_the_sequence(net: Make) -> None:
    mocked = net(
        SEQUENCE,
        '[{"on": 2, "fault": "status", "status": 429, "headers": {"Retry-After": "7"}, '
        '"body": {"slow": "down"}}]',
    )
    assert mocked.text("/items") == "1"
    refused = mocked.send("GET", "/items")
    assert (refused.status, refused.headers["retry-after"]) == (429, "7")
    assert json.loads(refused.body) == {"slow": "down"}
    assert mocked.text("/items") == "2"
    assert len(mocked.world.calls_of("GET /items")) == 3


@pytest.mark.parametrize(
    ("fault", "code", "is_sent"),
    [
        ("timeout", "ETIMEDOUT", True),
        ("connection_refused", "ECONNREFUSED", False),
        ("reset", "ECONNRESET", True),
    ],
)
def test_broken_connection_rejects(net: Make, fault: str, code: str, is_sent: bool) -> None:
    left: list[int] = []
    mocked = net('{"POST /x": {}}', f'[{{"on": "all", "fault": "{fault}"}}]')
    found, _ = mocked.fails("POST", "/x", before_write=lambda: left.append(1))
    assert (found, bool(left), mocked.sleeper.slept) == (code, is_sent, [])


def test_match_counts_only_its_requests(net: Make) -> None:
    mocked = net(SEQUENCE, '[{"on": 2, "match": "GET /other", "fault": "reset"}]')
    mocked.text("/other")
    mocked.text("/items")
    assert mocked.fails("GET", "/other")[0] == "ECONNRESET"


def test_fault_that_never_came_is_noted(net: Make) -> None:
    mocked = net(SEQUENCE, '[{"on": 2, "fault": "reset"}, {"on": "all", "fault": "reset"}]')
    mocked.fails("GET", "/items")
    assert mocked.world.unused_faults == ("fault `reset` on request 2",)


def test_duplicate_page_gives_the_previous_answer_and_keeps_the_sequence(net: Make) -> None:
    mocked = net(SEQUENCE, '[{"on": 3, "fault": "duplicate_page"}]')
    assert [mocked.text("/items"), mocked.text("/other")] == ["1", "o"]
    assert [mocked.text("/items"), mocked.text("/items")] == ["1", "2"]


def test_reorder_page_shuffles_the_rows_repeatably(net: Make) -> None:
    api = json.dumps({"GET /items": {"body": {"n": 5, "items": [*range(5)], "tags": [1]}}})
    disturbed = '[{"on": 1, "fault": "reorder_page", "seed": 3}]'
    one, other = net(api, disturbed).get("/items"), net(api, disturbed).get("/items")
    assert one == other
    assert (sorted(one["items"]), one["tags"]) == ([*range(5)], [1])
    assert one["items"] != [*range(5)]


def test_truncated_body_has_half_of_the_bytes(net: Make) -> None:
    mocked = net('{"GET /x": {"body": "12345"}}', '[{"on": 1, "fault": "truncated_body"}]')
    assert mocked.text("/x") == "12"


def test_slow_body_comes_in_pieces(net: Make) -> None:
    disturbed = '[{"on": 1, "fault": "slow_body", "delay_ms": 2000}]'
    mocked = net('{"GET /x": {"body": "12345678"}}', disturbed)
    assert mocked.send("GET", "/x").pieces == [b"12", b"34", b"56", b"78"]
    assert mocked.sleeper.slept == [0.5] * 4


def test_delay_adds_to_the_route_s_own(net: Make) -> None:
    mocked = net('{"GET /x": {"delay_ms": 250}}', '[{"on": 1, "fault": "delay", "delay_ms": 500}]')
    mocked.send("GET", "/x")
    assert mocked.sleeper.slept == [0.75]


def test_rate_limit_spaces_mocked_requests(net: Make) -> None:
    mocked = net('{"GET /x": {}}', limits=CallLimits(rate_per_s=2))
    mocked.send("GET", "/x")
    mocked.send("GET", "/x")
    assert mocked.sleeper.slept == [0.5]


def test_live_requests_are_logged_and_disturbed(
    live: Callable[[str], Net], http_server: HttpServer
) -> None:
    http_server.route("GET", "/items", "page")
    over = live(
        '[{"on": 1, "fault": "status", "status": 500}, {"on": 3, "fault": "duplicate_page"}, '
        '{"on": 4, "fault": "truncated_body"}]'
    )
    url = f"{http_server.url}/items"
    answers = [over.send("GET", url) for _ in range(4)]
    assert [(a.status, a.body) for a in answers] == [
        (500, b""), (200, b"page"), (200, b"page"), (200, b"pa"),
    ]  # fmt: skip
    assert len(http_server.requests) == 2
    assert len(over.world.calls_of("GET /items")) == 4
    assert over.world.calls_of("GET /item") == []
    assert not over.world.is_mocked
