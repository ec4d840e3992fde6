from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from moltler.demo.server import DemoServer


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def ids(self) -> list[Any]:
        return [row["id"] for row in self.body["items"]]


class Client:
    """Sends requests to the shop over one connection."""

    def __init__(self, server: DemoServer) -> None:
        self.server = server
        self.connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
        self.quirk = ""

    def under(self, quirk: str) -> Client:
        self.quirk = f"/quirks/{quirk}"
        return self

    def __call__(
        self,
        method: str,
        target: str,
        document: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        sent = {"Authorization": f"Bearer {key or self.server.key}", **(headers or {})}
        body = None if document is None else json.dumps(document)
        self.connection.request(method, self.quirk + target, body, sent)
        answer = self.connection.getresponse()
        text = answer.read()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, names, json.loads(text) if text else None)

    def get(self, target: str, **more: Any) -> Reply:
        return self("GET", target, **more)

    def walk(self, target: str) -> list[Any]:
        """Give the ids of all pages, following cursors."""
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(f"{target}&cursor={cursor}")
            found += page.ids
            cursor = page.body["next_cursor"]
        return found


@pytest.fixture
def shop() -> Iterator[Client]:
    with DemoServer() as server:
        client = Client(server)
        yield client
        client.connection.close()
