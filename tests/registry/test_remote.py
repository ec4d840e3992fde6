"""Registries that are down, slow, something else, or lie."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import moltler
from moltler.compose import open_folder
from moltler.errors import PackageError
from moltler.flow.http import HttpRequest
from moltler.loop import LoopThread
from moltler.net.client import HttpTransport
from moltler.net.settings import NetSettings
from moltler.net.web import WebAnswer, exchange
from moltler.registry.book import Configured
from moltler.registry.remote import Remote, target_of
from support.http import HttpServer, Response

from .conftest import fails, run
from .making import publish, simple, with_record

INSTALL = "INSTALL CONNECTOR TYPE 'shop' FROM 'team'"


def test_a_registry_that_is_down_is_named_and_nothing_changes(user: moltler.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    user.packages.add_registry("team", f"http://127.0.0.1:{port}")

    error = fails(user, INSTALL)

    assert (error.code, error.exit_code) == ("PKG007", 3)
    assert f"127.0.0.1:{port}" in error.message
    assert run(user, "SHOW PACKAGES") == []


@pytest.mark.parametrize("status", [200, 404, 502])
def test_a_web_page_is_told_apart_from_a_registry(
    user: moltler.Session, http_server: HttpServer, status: int
) -> None:
    page = Response(status, "<!doctype html><title>Welcome</title>")
    http_server.route("GET", "/v1/connectors/shop.json", page)
    http_server.route("GET", "/v1/index.json", page)
    user.packages.add_registry("team", http_server.url)

    error = fails(user, INSTALL)

    assert error.code == "PKG007"
    assert http_server.url in error.message
    if status == 200:
        assert "a web page" in error.message


@pytest.mark.parametrize("body", ["", "[]", '{"name": 1}', '{"versions": []}', "{" * 100_000])
def test_an_answer_that_no_registry_gives_is_refused(
    user: moltler.Session, http_server: HttpServer, body: str
) -> None:
    http_server.route("GET", "/v1/connectors/shop.json", Response(200, body))
    user.packages.add_registry("team", http_server.url)

    assert fails(user, INSTALL).code == "PKG007"


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


def test_a_registry_that_never_answers_is_given_up(loop: LoopThread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"http://127.0.0.1:{silent.getsockname()[1]}"
        transport = HttpTransport(
            target_of(Configured("slow", where), None), settings=NetSettings()
        )

        def ask(request: HttpRequest) -> WebAnswer:
            return loop.run(exchange(transport, request, largest=1000, limit_s=0.2))

        try:
            with pytest.raises(
                PackageError, match=r"no whole answer within 0\.2 seconds"
            ) as caught:
                Remote(where, ask).index()
        finally:
            loop.run(transport.close())
    assert caught.value.code == "PKG007"


def test_an_answer_that_does_not_end_is_cut_off(loop: LoopThread, http_server: HttpServer) -> None:
    http_server.route("GET", "/v1/index.json", Response(200, "x" * 5000))
    configured = Configured("large", http_server.url)
    transport = HttpTransport(target_of(configured, None), settings=NetSettings())

    def ask(request: HttpRequest) -> WebAnswer:
        return loop.run(exchange(transport, request, largest=1000, limit_s=20))

    try:
        with pytest.raises(PackageError, match="more than 1,000 bytes"):
            Remote(http_server.url, ask).index()
    finally:
        loop.run(transport.close())


def test_a_token_goes_to_its_registry_only(user: moltler.Session, http_server: HttpServer) -> None:
    with HttpServer() as elsewhere:
        elsewhere.route("GET", "/v1/index.json", Response(200, "{}"))
        http_server.route(
            "GET",
            "/v1/index.json",
            Response(302, "", headers={"Location": f"{elsewhere.url}/v1/index.json"}),
        )
        user.secrets.put("token", "a-secret-token-123")
        user.packages.add_registry("team", http_server.url, token_secret="token")
        with pytest.raises(PackageError):
            user.packages.search("x")

        assert http_server.requests[0].headers["authorization"] == "Bearer a-secret-token-123"
        assert elsewhere.requests == []


# ── a registry that says one thing and gives another ─────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"sha256": "0" * 64}, "PKG002"), ({"version": "1.0.1", "url": "x"}, "PKG007")],
)
def test_an_archive_that_is_not_what_the_index_says_is_refused(
    user: moltler.Session, folder: Path, changes: dict[str, object], code: str
) -> None:
    registry = open_folder(folder)
    publish(registry, simple("shop", "1.0.0"))
    with_record(registry, "shop", **changes)

    error = fails(user, INSTALL)

    assert error.code == code
    assert run(user, "SHOW PACKAGES") == []


def test_an_archive_of_another_version_is_refused(user: moltler.Session, folder: Path) -> None:
    registry = open_folder(folder)
    publish(registry, simple("shop", "1.0.0"))
    other = simple("shop", "1.1.0")
    (folder / "v1/files/shop/shop-1.0.0.moltler.tgz").write_bytes(other.content)
    with_record(registry, "shop", sha256=other.sha256)

    assert fails(user, INSTALL).code == "PKG002"


def test_a_folder_that_is_no_registry_is_not_taken_for_an_empty_one(
    user: moltler.Session, folder: Path
) -> None:
    (folder / "v1/index.json").unlink()

    error = fails(user, INSTALL)

    assert error.code == "PKG007"
    assert "v1/index.json" in error.message


def test_a_publisher_that_died_in_the_middle_leaves_a_registry_that_mends_itself(
    folder: Path,
) -> None:
    registry = open_folder(folder)
    registry.create()
    publish(registry, simple("shop", "1.0.0"))
    # What is there when it dies between the record and the index.
    (folder / ".registry/unfinished").touch()
    (folder / "v1/index.json").write_bytes(b'{"format_version":1,"connectors":[]}')
    (folder / "v1/files/bank").mkdir()
    (folder / "v1/files/bank/bank-1.0.0.moltler.tgz").write_bytes(b"half")

    publish(registry, simple("bank", "1.0.0"))

    assert [e.name for e in registry.index().connectors] == ["bank", "shop"]
    assert not (folder / ".registry/unfinished").exists()
    assert not list(folder.rglob("*.new"))
