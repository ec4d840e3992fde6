"""A shop on HTTP, defined in a home, and the command line called in this process."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moltler.cli.main import run
from support.http import HttpServer, Request, Response

ITEMS = [
    {
        "id": n,
        "name": f"Item {n}",
        "price": n * 1.5,
        "created_at": "2024-05-01T10:00:00Z",
        "meta": {"a": n},
    }
    for n in (1, 2, 3)
]
TYPE = """CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string"}};
CREATE CONNECTOR ENTITY 'shop.items' FIELDS {
    "id": {"type": "integer", "primary_key": true}, "name": {"type": "string"},
    "price": {"type": "number"}, "created_at": {"type": "timestamp"}, "meta": {"type": "document"}
}
QUERY_HANDLER '''
async function query(config) {
    console.log('asking the API');
    return await (await fetch(config.api_url + '/items')).json();
}
''';
CREATE CONNECTOR ENTITY 'shop.pages' FIELDS {"id": {"type": "integer", "primary_key": true}}
QUERY_HANDLER '''
async function* query(config) {
    for (let page = 0; ; page++) {
        yield await (await fetch(config.api_url + '/pages?page=' + page)).json();
    }
}
''';
CREATE CONNECTOR ACTION 'shop.items.create'
PARAMETERS {"name": {"type": "string", "required": true}}
HANDLER '''
async function execute(config, params) {
    const body = JSON.stringify(params);
    return await (await fetch(config.api_url + '/items', {method: 'POST', body})).json();
}
''';
REGISTER CONNECTOR TYPE 'shop';
"""


@pytest.fixture
def api(http_server: HttpServer) -> HttpServer:
    def pages(request: Request) -> list[dict[str, int]]:
        first = int(request.query["page"]) * 100
        return [{"id": first + n} for n in range(100)]

    http_server.route("GET", "/items", {"items": ITEMS})
    http_server.route("GET", "/pages", pages)
    http_server.route("POST", "/items", lambda r: Response(201, {"id": 9, **r.json()}))
    return http_server


@pytest.fixture
def script(api: HttpServer, tmp_path: Path) -> Path:
    """A file that defines the shop and connects it as `my_shop`."""
    path = tmp_path / "shop.moltler"
    connect = f"""CREATE CONNECTOR my_shop TYPE 'shop' CONFIG {{"api_url": "{api.url}"}};\n"""
    path.write_text(TYPE + connect, encoding="utf-8")
    return path


@dataclass(frozen=True)
class Ran:
    """What one call of the command line did."""

    status: int
    stdout: str
    stderr: str

    @property
    def rows(self) -> Any:
        """The rows of one result written as JSON."""
        return json.loads(self.stdout)["rows"]

    @property
    def error(self) -> Any:
        """The error on the last line of stderr, written as JSON."""
        return json.loads(self.stderr.splitlines()[-1])["error"]


Cli = Callable[..., Ran]


@pytest.fixture
def cli(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> Cli:
    """Call the command line in this process, in the home of the test."""
    monkeypatch.setenv("MOLTLER_HOME", str(home))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: str | bytes = b"") -> Ran:
        given = stdin if isinstance(stdin, bytes) else stdin.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8"))
        capsysbinary.readouterr()
        status = run(list(arguments))
        out, err = capsysbinary.readouterr()
        return Ran(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

    return call


@pytest.fixture
def shop(cli: Cli, script: Path) -> Cli:
    """The same, with `my_shop` defined."""
    assert cli("run", str(script)).status == 0
    return cli
