"""Live traffic recorded into a file without secrets, and replayed in strict order."""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltler.errors import MoltlerError
from moltler.loop import LoopThread
from moltler.net.cassette import Cassette, cassette_path, read_cassette, write_cassette
from moltler.net.cassette_recorder import Recorder
from moltler.net.cassette_redaction import Redactor
from moltler.net.cassette_replay import ReplayWorld
from moltler.net.client import HttpTransport
from moltler.net.mock import MockWorld
from moltler.net.settings import NetSettings
from moltler.secret import Secret
from support.http import CLOSE, HttpServer, Response
from support.mocking import Sleeper, faults
from support.net import Client, resolved

STARTED = datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
KEY = 'hunter2/+ "ü'
Serve = Callable[..., "Studio"]


@dataclass
class Studio:
    """A recorder with one instance of the test's server."""

    loop: LoopThread
    url: str
    recorder: Recorder
    world: MockWorld
    client: Client
    secrets: tuple[Secret, ...]

    def send(self, method: str, path: str, **more: Any) -> bytes:
        """Send to the server and give the body."""
        return self.client.send(method, self.url + path, **more).body

    def cassette(self, **env: str | None) -> Cassette:
        """Give what was recorded."""
        return self.recorder.cassette(
            type_name="shop", test="t", started=STARTED, seed=7, env=env or {"URL": self.url}
        )

    def replayed(self, cassette: Cassette, disturbed: str = "[]", key: str | None = None) -> Studio:
        """Give a world that answers from a cassette; the secret may have another value."""
        secrets = self.secrets if key is None else (Secret("api_key", key),)
        target = resolved({"api_url": self.url}, secrets=secrets)
        sleeper = Sleeper()
        world = ReplayWorld(cassette, faults(disturbed), sleep=sleeper.sleep, time=sleeper.time)
        client = Client(self.loop, world.transport(target))
        return Studio(self.loop, self.url, self.recorder, world, client, secrets)


@pytest.fixture
def studio(loop: LoopThread, http_server: HttpServer) -> Iterator[Studio]:
    secrets = (Secret("api_key", KEY),)
    recorder = Recorder(lambda target: HttpTransport(target, settings=NetSettings()))
    world = MockWorld(None, live=recorder.transport)
    transport = world.transport(resolved({"api_url": http_server.url}, secrets=secrets))
    yield Studio(loop, http_server.url, recorder, world, Client(loop, transport), secrets)
    loop.run(transport.close())


def saved(cassette: Cassette, folder: Path) -> Cassette:
    """Write a cassette and read it back."""
    path = cassette_path(folder, cassette.type, cassette.test)
    write_cassette(path, cassette)
    return read_cassette(path)


def difference(studio: Studio) -> str:
    """Give the message of what failed the test."""
    assert studio.world.failure is not None
    assert studio.world.failure.code == "TST007"
    return studio.world.failure.message


def test_replay_answers_what_was_recorded_without_the_server(
    studio: Studio, http_server: HttpServer, tmp_path: Path
) -> None:
    http_server.route("GET", "/items", Response(201, {"big": 9007199254740993, "f": 1.5}))
    http_server.route("POST", "/items", "created")
    http_server.route("GET", "/bytes", b"\xff\xfe")
    live = [studio.send("GET", "/items?page=1"), studio.send("POST", "/items", body=b'{"a": 1}'),
            studio.send("GET", "/bytes")]  # fmt: skip
    again = studio.replayed(saved(studio.cassette(), tmp_path))
    replayed = [again.send("GET", "/items?page=1"), again.send("POST", "/items", body=b'{"a":1}'),
                again.send("GET", "/bytes")]  # fmt: skip
    assert [json.loads(replayed[0]), *replayed[1:]] == [json.loads(live[0]), *live[1:]]
    assert len(http_server.requests) == 3
    assert (again.world.failure, again.world.unused) == (None, ())


def test_failures_are_recorded_and_replayed(
    studio: Studio, http_server: HttpServer, tmp_path: Path
) -> None:
    http_server.route("GET", "/x", CLOSE)
    live = studio.client.fails("GET", studio.url + "/x")
    again = studio.replayed(saved(studio.cassette(), tmp_path))
    replayed = again.client.fails("GET", studio.url + "/x")
    assert (replayed.code, str(replayed)) == (live.code, str(live))


def test_cassette_keeps_start_seed_and_env(studio: Studio, tmp_path: Path) -> None:
    read = saved(studio.cassette(URL="http://h", UNSET=None), tmp_path)
    assert (read.started, read.seed, read.env) == (STARTED, 7, {"URL": "http://h", "UNSET": None})


def test_json_bodies_are_stored_as_json(studio: Studio, http_server: HttpServer) -> None:
    http_server.route("GET", "/x", {"a": [1]})
    studio.send("GET", "/x")
    response = studio.cassette().exchanges[0].response
    assert response is not None
    assert response.body.json == {"a": [1]}


@pytest.mark.parametrize(
    "body",
    [
        '{"n": 123456789012345678901234567890}',
        '{"f": 1e400, "g": 1.10}',
        '{"a": 1, "a": 2}',
        '"\\ud800"',
        "null",
        '{"a": [1, 2',
    ],
)
def test_body_is_replayed_without_loss(
    studio: Studio, http_server: HttpServer, tmp_path: Path, body: str
) -> None:
    http_server.route("GET", "/x", body)
    live = studio.send("GET", "/x")
    replayed = studio.replayed(saved(studio.cassette(), tmp_path)).send("GET", "/x")
    assert readings(replayed.decode("utf-8", "surrogatepass")) == readings(live.decode())


def readings(text: str) -> object:
    """Read JSON without any loss, or give the text."""
    try:
        return json.loads(text, parse_float=Decimal, object_pairs_hook=tuple)
    except ValueError:
        return text


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("PUT", "/items?page=1", b'{"a": {"b": [1, 2]}}',
         "request 1 differs from the cassette in its method: recorded `POST`, now `PUT`"),
        ("POST", "/item?page=1", b'{"a": {"b": [1, 2]}}',
         "request 1 differs from the cassette in its path: recorded `/items`, now `/item`"),
        ("POST", "/items?page=2", b'{"a": {"b": [1, 2]}}',
         "request 1 differs from the cassette in its parameter `page`: recorded `1`, now `2`"),
        ("POST", "/items", b'{"a": {"b": [1, 2]}}',
         "request 1 differs from the cassette in its parameter `page`: recorded `1`, now nothing"),
        ("POST", "/items?page=1", b'{"a": {"b": [1, 3]}}',
         "request 1 differs from the cassette in its body, `a.b[1]`: recorded `2`, now `3`"),
        ("POST", "/items?page=1", b'{"a": {}}',
         "request 1 differs from the cassette in its body, `a.b`: recorded `[1,2]`, now nothing"),
        ("POST", "/items?page=1", None,
         "request 1 differs from the cassette in its body: recorded `{\"a\":{\"b\":[1,2]}}`, "
         "now nothing"),
    ],
)  # fmt: skip
def test_first_difference_is_named_with_both_sides(
    studio: Studio,
    http_server: HttpServer,
    method: str,
    path: str,
    body: bytes | None,
    expected: str,
) -> None:
    http_server.route("POST", "/items", {})
    studio.send("POST", "/items?page=1", body=b'{"a": {"b": [1, 2]}}')
    again = studio.replayed(studio.cassette())
    assert again.client.fails(method, studio.url + path, body=body).code == "MOCK_UNMATCHED"
    assert difference(again) == expected


@pytest.mark.parametrize(
    ("recorded", "now", "is_same"),
    [
        (b'{"a": 1, "b": [1.0, "x"]}', b'{"b":[1,"x"],"a":1.0}', True),
        (b'{"a": 1e2}', b'{"a": 100}', True),
        (b'{"a": true}', b'{"a": 1}', False),
        (b'{"a": "1"}', b'{"a": 1}', False),
        (b"a=1.0", b"a=1", False),
        (b"1.0", b"1", False),
        (b'{"a": 1', b'{"a":1', False),
        (b"\xff\x00", b"\xff\x00", True),
        (b"\xff\x00", b"\xff\x01", False),
    ],
)
def test_json_agrees_by_value_and_anything_else_by_its_bytes(
    studio: Studio, http_server: HttpServer, recorded: bytes, now: bytes, *, is_same: bool
) -> None:
    http_server.route("POST", "/x", {})
    studio.send("POST", "/x", body=recorded)
    again = studio.replayed(studio.cassette())
    if is_same:
        assert again.send("POST", "/x", body=now) == b"{}"
    else:
        again.client.fails("POST", f"{studio.url}/x", body=now)
        assert "differs from the cassette in its body" in difference(again)


def test_a_secret_that_is_part_of_the_address_is_a_difference(
    studio: Studio, http_server: HttpServer
) -> None:
    http_server.route("GET", "/x", {})
    studio.send("GET", "/x")
    again = studio.replayed(studio.cassette(), key="http://")
    again.client.fails("GET", f"{studio.url}/x")
    assert difference(again).startswith("request 1 differs from the cassette in its URL")


def test_request_after_the_last_is_not_answered(studio: Studio, http_server: HttpServer) -> None:
    http_server.route("GET", "/x", {})
    studio.send("GET", "/x")
    again = studio.replayed(studio.cassette())
    again.send("GET", "/x")
    again.client.fails("GET", studio.url + "/x")
    assert difference(again) == ("`GET /x` is request 2 of connector `shop`; the cassette has 1")


def test_recorded_request_that_never_comes_is_noted(
    studio: Studio, http_server: HttpServer
) -> None:
    http_server.route("GET", "/x", {})
    studio.send("GET", "/x?a=1")
    assert studio.replayed(studio.cassette()).world.unused == ("GET /x?a=1 (request 1)",)


def test_faults_disturb_replays(studio: Studio, http_server: HttpServer) -> None:
    http_server.route("GET", "/x", "page")
    studio.send("GET", "/x")
    again = studio.replayed(studio.cassette(), '[{"on": 1, "fault": "reset"}]')
    assert again.client.fails("GET", studio.url + "/x").code == "ECONNRESET"
    assert again.send("GET", "/x") == b"page"


# ── no secret in a cassette ──────────────────────────────────────────────────────────────────


def spellings(value: str) -> list[str]:
    """The ways in which a secret might have been written."""
    return [
        value,
        quote(value, safe=""),
        re.sub("%..", lambda m: m[0].lower(), quote(value, safe="")),
        quote(quote(value, safe=""), safe=""),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps({"k": value}))[1:-1],
        *(base64.b64encode(f"{'x' * n}:{value}:y".encode()).decode() for n in range(3)),
        base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
        value.encode().hex(),
    ]


def leaks(text: str, value: str) -> list[str]:
    """The spellings of a secret that a text holds."""
    return [spelling for spelling in spellings(value) if spelling in text]


def test_no_spelling_of_a_secret_is_written(
    studio: Studio, http_server: HttpServer, tmp_path: Path
) -> None:
    everything = {"all": spellings(KEY), KEY: "as a key", "text": " ".join(spellings(KEY))}
    http_server.route("POST", "/x", Response(200, everything, headers={"X-Echo": KEY[:7]}))
    http_server.route("GET", "/text", "\n".join(spellings(KEY)))
    http_server.route("GET", "/bytes", b"\xff" + KEY.encode())
    studio.send("POST", f"/x?key={quote(KEY, safe='')}", body=json.dumps(everything).encode())
    studio.send("GET", "/text")
    studio.send("GET", "/bytes")
    path = tmp_path / "c.json"
    write_cassette(path, studio.cassette(KEY=KEY, URL=f"https://u:pass@h/{quote(KEY)}"))
    text = path.read_text()
    assert leaks(text, KEY) == []
    assert "u:pass@" not in text
    assert "REDACTED.api_key." in text


def test_credentials_are_not_written_even_when_no_secret_is_known(
    studio: Studio, http_server: HttpServer, tmp_path: Path
) -> None:
    http_server.route(
        "GET", "/login", Response(200, {"token": "t0ken-of-today"},
                                  headers={"Set-Cookie": "session=c00kie-of-today; Path=/"}),
    )  # fmt: skip
    http_server.route("GET", "/x", {})
    headers = (("Authorization", "Bearer t0ken-of-today"), ("Cookie", "session=c00kie-of-today"))
    studio.send("GET", "/login")
    studio.send("GET", "/x", headers=headers)
    path = tmp_path / "c.json"
    write_cassette(path, studio.cassette())
    assert "of-today" not in path.read_text()


def test_tokens_that_a_handler_is_given_are_not_written(
    studio: Studio, http_server: HttpServer, tmp_path: Path
) -> None:
    given = {"data": [{"refresh_token": "refresh-of-today", "id_token": "id-of-today"}]}
    http_server.route("POST", "/token", given)
    http_server.route("GET", "/x", {"seen": "refresh-of-today"})
    http_server.route("POST", "/form", b"access_token=access-of-today&scope=all")
    studio.send("POST", "/token")
    studio.send("POST", "/form", body=b"refresh_token=refresh-of-today&access_token=literal")
    studio.send("GET", "/x")
    path = tmp_path / "c.json"
    cassette = studio.cassette()
    write_cassette(path, cassette)
    text = path.read_text()
    assert "of-today" not in text
    assert "scope=all" in text
    # What a handler itself says is in its text, and it will say it again.
    again = studio.replayed(cassette)
    again.send("POST", "/token")
    given = b"refresh_token=REDACTED.refresh_token.&access_token=literal"
    assert again.send("POST", "/form", body=given).endswith(b"&scope=all")


def test_variables_whose_names_say_so_are_secret_wherever_they_go(
    studio: Studio, http_server: HttpServer, tmp_path: Path
) -> None:
    http_server.route("POST", "/x", {})
    studio.send("POST", "/x", body=b'{"note": "value-of-token", "at": "value-of-url"}')
    cassette = studio.cassette(SHOP_TOKEN="value-of-token", SHOP_URL="value-of-url", A_PASS="at")
    path = tmp_path / "c.json"
    write_cassette(path, cassette)
    assert "value-of-token" not in path.read_text()
    assert cassette.env == {
        "SHOP_TOKEN": "REDACTED.SHOP_TOKEN.", "SHOP_URL": "value-of-url", "A_PASS": "at",
    }  # fmt: skip


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_secret_in_a_compressed_body_is_not_recorded(
    studio: Studio, http_server: HttpServer, pack: Callable[[bytes], bytes]
) -> None:
    http_server.route("POST", "/x", {})
    studio.send("POST", "/x", body=pack(b"nothing to hide"))
    assert studio.cassette().exchanges
    studio.send("POST", "/x", body=pack(f"it is {KEY}".encode()))
    with pytest.raises(MoltlerError) as caught:
        studio.cassette()
    assert caught.value.code == "TST005"
    assert "`api_key`" in caught.value.message


def test_replay_works_without_the_secret(
    studio: Studio, http_server: HttpServer, tmp_path: Path
) -> None:
    http_server.route("POST", "/x", {})
    secret = quote(KEY, safe="")
    body = {"key": KEY, "basic": base64.b64encode(f"user:{KEY}".encode()).decode()}
    studio.send("POST", f"/x?key={secret}", body=json.dumps(body).encode())
    cassette = saved(studio.cassette(KEY=KEY), tmp_path)
    key = cassette.env["KEY"]
    assert key == "REDACTED.api_key."
    again = studio.replayed(cassette, key=key)
    body = {"key": key, "basic": base64.b64encode(f"user:{key}".encode()).decode()}
    assert again.send("POST", f"/x?key={key}", body=json.dumps(body).encode()) == b"{}"


def test_short_secret_is_replaced_only_as_a_word(loop: LoopThread, http_server: HttpServer) -> None:
    redactor = Redactor([Secret("pin", "42")])
    assert redactor.json({"pin": 42, "other": 420, "text": "42 of 420"}) == {
        "pin": "REDACTED.pin.", "other": 420, "text": "REDACTED.pin. of 420",
    }  # fmt: skip


@pytest.mark.parametrize("pin", ["42", "pw1", "a:b", "12345", "ü", "x"])
@pytest.mark.parametrize("user", ["u", "someone", "o'neil"])
def test_short_secret_in_base64_is_replaced(pin: str, user: str) -> None:
    redactor = Redactor([Secret("pin", pin)])
    content = f"{user}:{pin}".encode()
    basic, safe = base64.b64encode(content).decode(), base64.urlsafe_b64encode(content).decode()
    for text in (
        basic,
        safe.rstrip("="),
        quote(basic, safe=""),
        f"Basic {basic}",
        f"https://api.example/v1/{basic}/items?auth={quote(basic, safe='')}&page=2",
        json.dumps({"auth": basic}),
    ):
        assert redactor.leak(text) == "pin"
        found = redactor.text(text)
        assert basic.rstrip("=") not in found
        assert safe.rstrip("=") not in found
        assert redactor.leak(found) is None
    ordinary = "The password of item-4711 is in /api/v1/items/aGVsbG8gd29ybGQ="
    assert redactor.text(ordinary) == ordinary


def test_cassette_that_would_hold_a_secret_is_not_written(studio: Studio, tmp_path: Path) -> None:
    cassette = studio.recorder.cassette(
        type_name="shop", test="hunter2-test", started=STARTED, seed=7, env={"A": "hunter2-test"},
        secret_env=["A"],
    )  # fmt: skip
    with pytest.raises(MoltlerError) as caught:
        write_cassette(tmp_path / "c.json", cassette)
    assert caught.value.code == "TST005"
    assert "hunter2-test" not in caught.value.message
    assert list(tmp_path.iterdir()) == []


@given(st.text(min_size=6, max_size=20), st.text(max_size=5), st.text(max_size=5))
def test_any_secret_in_any_spelling_is_replaced(value: str, before: str, after: str) -> None:
    redactor = Redactor([Secret("s", value)])
    for spelling in spellings(value):
        assert spelling not in redactor.text(before + spelling + after)


def damaged(**changes: object) -> str:
    """Give the text of a cassette with one request of which something is changed."""
    value = {"method": "GET", "url": "http://a.example/x", "status": 200, "base64": "",
             "started": "2024-01-02T03:04:05Z", **changes}  # fmt: skip
    request = {"method": value["method"], "url": value["url"]}
    response = {"status": value["status"], "status_text": "OK", "url": value["url"],
                "body": {"base64": value["base64"]}}  # fmt: skip
    exchange = {"connector": "c", "request": request, "response": response}
    return json.dumps({"format_version": 1, "type": "shop", "test": "t", "seed": 7, "env": {},
                       "started": value["started"], "exchanges": [exchange]})  # fmt: skip


# ── the file ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is no cassette"),
        ('{"format_version": 2}', "has format version 2; this Moltler reads 1"),
        ('{"format_version": 1}', "is no cassette"),
        (damaged(started="9999-12-31T23:59:59-14:00"), "is no cassette"),
        (damaged(started="yesterday"), "is no cassette"),
        (damaged(url="/items"), "`/items` is no address"),
        (damaged(url="http://["), "is no address"),
        (damaged(status=42), "42 is no status"),
        (damaged(status="200"), "is no cassette"),
        (damaged(base64="?"), "is no cassette"),
        (damaged(method=None), "is no cassette"),
    ],
)
def test_file_that_is_no_cassette_of_this_version_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(MoltlerError) as caught:
        read_cassette(path)
    assert caught.value.code == "TST005"
    assert message in caught.value.message
    assert "moltler test --record" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", ".", "", "x" * 300, "ä?*", "a\0b"])
def test_name_of_a_test_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    path = cassette_path(tmp_path, "shop", name)
    assert path.parent == tmp_path / "cassettes" / "shop"
    assert len(path.name) < 120


def test_name_of_a_test_is_kept_where_it_can_be(tmp_path: Path) -> None:
    path = cassette_path(tmp_path, "shop", "integration with real API")
    assert path == tmp_path / "cassettes" / "shop" / "integration with real API.json"
