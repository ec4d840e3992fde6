"""A registry behind HTTP: publishing with tokens, reading with caches, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

import moltler
from moltler.compose import open_folder
from moltler.registry.server import RegistryServer

from .conftest import PACKAGE, SHOP, Open, fails, run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    with RegistryServer(open_folder(tmp_path / "served"), reads=(1000, 1000)) as running:
        yield running


def connect_as(session: moltler.Session, server: RegistryServer, name: str) -> None:
    session.secrets.put("registry_token", server.tokens.issue(name))
    session.packages.add_registry("team", server.url, token_secret="registry_token")


@pytest.fixture
def ann(
    open_home: Open, templates: Path, tmp_path: Path, server: RegistryServer
) -> moltler.Session:
    """Somebody who may publish, and has packaged the shop."""
    shutil.copytree(templates / "published", tmp_path / "ann")
    session = open_home("ann")
    connect_as(session, server, "ann")
    return session


class Asked:
    """An answer, read to its end."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    server: RegistryServer,
    method: str,
    path: str,
    body: bytes | None = None,
    **headers: str,
) -> Asked:
    host = server.url.removeprefix("http://")
    connection = HTTPConnection(host, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        return Asked(connection.getresponse())
    finally:
        connection.close()


def archive_of(session: moltler.Session) -> bytes:
    return (session.home / "packages/shop-1.0.0.moltler.tgz").read_bytes()


def put(server: RegistryServer, content: bytes, path: str, token: str) -> Asked:
    return ask(
        server,
        "PUT",
        path,
        content,
        Authorization=f"Bearer {token}",
        X_Checksum_Sha256=hashlib.sha256(content).hexdigest(),
    )


def test_what_is_published_over_http_is_installed_over_http(
    ann: moltler.Session, server: RegistryServer, open_home: Open
) -> None:
    (published,) = run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    (again,) = run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    assert (published["status"], again["status"]) == ("published", "unchanged")

    user = open_home("user")
    user.packages.add_registry("team", server.url)
    (installed,) = run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")

    assert installed["sha256"] == published["sha256"]
    assert [r[0] for r in user.packages.search("lamp shop").rows] == []
    assert user.packages.search("items").rows[0][:2] == ("shop", "1.0.0")


def test_an_address_of_an_archive_is_installed_directly(
    ann: moltler.Session, server: RegistryServer, open_home: Open
) -> None:
    run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    address = f"{server.url}/v1/files/shop/shop-1.0.0.moltler.tgz"

    (installed,) = run(open_home("user"), f"INSTALL CONNECTOR TYPE 'shop' FROM '{address}'")

    assert (installed["version"], installed["registry"]) == ("1.0.0", address)


def test_publishing_without_a_token_says_what_to_do(
    ann: moltler.Session, server: RegistryServer
) -> None:
    ann.packages.add_registry("team", server.url)

    error = fails(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    assert (error.code, error.exit_code) == ("PKG007", 3)
    assert "--token-secret" in (error.hint or "")


def test_a_missing_token_secret_is_named(ann: moltler.Session, server: RegistryServer) -> None:
    ann.packages.add_registry("team", server.url, token_secret="elsewhere")

    error = fails(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    assert error.code == "CAT005"
    assert "`elsewhere`" in error.message


def test_a_revoked_token_publishes_nothing(ann: moltler.Session, server: RegistryServer) -> None:
    server.tokens.revoke("ann")

    error = fails(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    assert error.code == "PKG007"
    assert server.folder.record("shop") is None


def test_a_name_belongs_to_whoever_published_it_first(
    ann: moltler.Session, server: RegistryServer, open_home: Open
) -> None:
    run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    bob = open_home("bob")
    run(bob, SHOP)
    connect_as(bob, server, "bob")
    run(bob, PACKAGE.format("1.0.1"))

    error = fails(bob, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    taken = fails(bob, "UNPUBLISH CONNECTOR TYPE 'shop' VERSION '1.0.0' FROM 'team'")

    assert (error.code, taken.code) == ("PKG004", "PKG007")  # Bob has no test that proves it
    token = server.tokens.issue("bob")
    content = (bob.home / "packages/shop-1.0.1.moltler.tgz").read_bytes()
    assert put(server, content, "/v1/connectors/shop/1.0.1", token).status == 403


def test_two_who_publish_one_name_at_once_leave_one_owner_and_whole_files(
    ann: moltler.Session, server: RegistryServer
) -> None:
    content = archive_of(ann)
    tokens = [server.tokens.issue(name) for name in ("ann", "bob")]
    ready = threading.Barrier(2)
    answers: list[int] = []

    def publish(token: str) -> None:
        ready.wait()
        answers.append(put(server, content, "/v1/connectors/shop/1.0.0", token).status)

    threads = [threading.Thread(target=publish, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) in ([201, 403], [200, 201])
    record = server.folder.record("shop")
    assert record is not None
    assert [v.version for v in record.versions] == ["1.0.0"]
    assert ask(server, "GET", "/v1/files/shop/shop-1.0.0.moltler.tgz").body == content
    assert [c["name"] for c in ask(server, "GET", "/v1/index.json").json()["connectors"]] == [
        "shop"
    ]


def test_other_bytes_for_a_version_are_refused(
    ann: moltler.Session, server: RegistryServer, open_home: Open
) -> None:
    run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    other = open_home("other")
    run(other, SHOP)
    run(other, PACKAGE.format("1.0.0") + " WITH tests = 'skip'")
    token = server.tokens.issue("ann")

    answer = put(server, archive_of(other), "/v1/connectors/shop/1.0.0", token)

    assert (answer.status, answer.json()["code"]) == (409, "PKG001")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/connectors/shop/1.0.1", 422, "PKG003"),
        ("/v1/connectors/store/1.0.0", 409, "PKG002"),
        ("/v1/connectors/shop", 404, "PKG008"),
        ("/v1/connectors/shop/1.0.0?visibility=secret", 422, "PKG003"),
    ],
)
def test_an_address_that_disagrees_with_the_archive_is_refused(
    ann: moltler.Session, server: RegistryServer, path: str, status: int, code: str
) -> None:
    answer = put(server, archive_of(ann), path, server.tokens.issue("ann"))

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert server.folder.record("shop") is None


def test_a_wrong_checksum_and_damaged_bytes_are_refused(
    ann: moltler.Session, server: RegistryServer
) -> None:
    token = f"Bearer {server.tokens.issue('ann')}"
    content = archive_of(ann)
    path = "/v1/connectors/shop/1.0.0"

    wrong = ask(server, "PUT", path, content, Authorization=token, X_Checksum_Sha256="0" * 64)
    damaged = put(server, content[:-9], path, server.tokens.issue("ann"))

    assert (wrong.status, wrong.json()["code"]) == (422, "PKG002")
    assert (damaged.status, damaged.json()["code"]) == (422, "PKG010")
    assert server.folder.record("shop") is None


def test_a_half_finished_upload_leaves_nothing(
    ann: moltler.Session, server: RegistryServer
) -> None:
    content = archive_of(ann)
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"PUT /v1/connectors/shop/1.0.0 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {server.tokens.issue('ann')}\r\n"
        f"X-Checksum-Sha256: {hashlib.sha256(content).hexdigest()}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + content[:1000])
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert server.folder.record("shop") is None
    assert not list(server.folder.root.rglob("*.tgz"))
    # The same name can be published as if nothing had been.
    token = server.tokens.issue("ann")
    assert put(server, content, "/v1/connectors/shop/1.0.0", token).status == 201


def test_a_body_that_is_too_large_is_not_even_read(server: RegistryServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"PUT /v1/connectors/shop/1.0.0 HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {server.tokens.issue('ann')}\r\nContent-Length: 99999999999\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_readers_can_keep_the_index_and_archives(
    ann: moltler.Session, server: RegistryServer
) -> None:
    run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    index = ask(server, "GET", "/v1/index.json")
    archive = ask(server, "GET", "/v1/files/shop/shop-1.0.0.moltler.tgz")

    assert index.headers["Cache-Control"] == "no-cache"
    assert "immutable" in archive.headers["Cache-Control"]
    known = ask(server, "GET", "/v1/index.json", If_None_Match=index.headers["ETag"])
    assert (known.status, known.body) == (304, b"")


def test_search_answers_over_http(ann: moltler.Session, server: RegistryServer) -> None:
    run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    assert [c["name"] for c in ask(server, "GET", "/v1/search?q=Sho").json()["connectors"]] == [
        "shop"
    ]
    assert ask(server, "GET", "/v1/search?q=bank").json()["connectors"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/.registry/tokens.json",
        "/v1/../.registry/tokens.json",
        "/v1/files/shop/..%2f..%2f..%2f.registry%2ftokens.json",
        "/v1/connectors/%2e%2e/x.json",
        "/connectors/../.registry/lock.html",
        "//etc/passwd",
        "/v1/files/shop/%00",
    ],
)
def test_nothing_but_the_registry_is_served(server: RegistryServer, path: str) -> None:
    server.tokens.issue("ann")

    assert ask(server, "GET", path).status == 404


def test_a_private_version_is_seen_with_a_token_only(
    ann: moltler.Session, server: RegistryServer
) -> None:
    run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team' WITH visibility = 'private'")
    record, file = "/v1/connectors/shop.json", "/v1/files/shop/shop-1.0.0.moltler.tgz"
    token = f"Bearer {server.tokens.issue('bob')}"

    assert [ask(server, "GET", p).status for p in (record, file)] == [404, 404]
    assert [ask(server, "GET", p, Authorization=token).status for p in (record, file)] == [200, 200]
    assert ask(server, "GET", "/v1/index.json").json()["connectors"] == []


def test_an_unlisted_version_is_found_by_its_name_only(
    ann: moltler.Session, server: RegistryServer, open_home: Open
) -> None:
    run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team' WITH visibility = 'unlisted'")
    user = open_home("user")
    user.packages.add_registry("team", server.url)

    assert user.packages.search("").rows == ()
    assert run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")[0]["version"] == "1.0.0"


def test_who_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    with RegistryServer(open_folder(tmp_path / "served"), reads=(0.001, 2)) as server:
        answers = [ask(server, "GET", "/v1/index.json") for _ in range(3)]

    assert [a.status for a in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) > 1


def test_withdrawing_and_deprecating_over_http(
    ann: moltler.Session, server: RegistryServer, open_home: Open
) -> None:
    run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    run(ann, "DEPRECATE CONNECTOR TYPE 'shop' VERSION '1.0.0' MESSAGE 'use store'")
    user = open_home("user")
    user.packages.add_registry("team", server.url)
    with user.execute("INSTALL CONNECTOR TYPE 'shop' FROM 'team'") as result:
        list(result.rows())
        assert any("use store" in w.message for w in result.warnings)

    run(ann, "UNPUBLISH CONNECTOR TYPE 'shop' VERSION '1.0.0' FROM 'team'")

    error = fails(open_home("third"), "SELECT 1; UNINSTALL CONNECTOR TYPE 'shop'")
    assert error.code == "CAT008"
    gone = fails(user, "INSTALL OR REPLACE CONNECTOR TYPE 'shop' FROM 'team'")
    assert gone.code == "PKG008"
    assert "yanked" in gone.message
    unknown = fails(ann, "UNPUBLISH CONNECTOR TYPE 'shop' VERSION '9.0.0' FROM 'team'")
    assert unknown.code == "PKG008"


def test_every_page_that_is_served_may_use_nothing_but_itself(
    ann: moltler.Session, server: RegistryServer
) -> None:
    run(ann, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    for path in ("/", "/index.html", "/connectors/shop.html"):
        page = ask(server, "GET", path)
        assert page.status == 200
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert b"http://" not in page.body
        assert b"https://" not in page.body
