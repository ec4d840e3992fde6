"""The reference page, walked through twice.

Once with its own blocks, sliced from the file that MOLTLER_REFERENCE_PAGE names and run verbatim
(skipped where it is unset), and always with equivalents in this project's words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import moltler
from support.command import Moltler
from support.http import HttpServer, Request, Response
from support.reference_page import SQL_HEADINGS, ReferencePage

ROWS: list[dict[str, Any]] = [
    {"id": "1", "name": "Lamp", "status": "active", "created_at": "2024-05-01T10:00:00Z"},
    {"id": "2", "name": "Desk", "status": "closed", "created_at": "2024-05-02T10:00:00Z"},
    {"id": "3", "name": "Sofa", "status": "active", "created_at": "2024-05-03T10:00:00Z"},
]


@pytest.fixture
def service(http_server: HttpServer) -> HttpServer:
    def items(request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer live-key-12345":
            return Response(401, {"error": "bad key"})
        return Response(200, {"items": ROWS})

    http_server.route("GET", "/items", items)
    http_server.route("POST", "/items", lambda r: Response(201, {"id": "9", **r.json()}))
    return http_server


def test_every_sql_block_runs_from_one_file(
    page: ReferencePage, service: HttpServer, moltler_command: Moltler, tmp_path: Path
) -> None:
    script = "\n".join(page.sql(heading) for heading in SQL_HEADINGS)
    (tmp_path / "page.moltler").write_text(
        script.replace("https://api.myservice.com", service.url), encoding="utf-8"
    )
    moltler_command("secrets", "set", "myservice_key", stdin="live-key-12345\n").ok()

    run = moltler_command("--json", "run", str(tmp_path / "page.moltler")).ok()

    selected, created = run.json_lines[-2:]
    assert [c["name"] for c in selected["columns"]] == ["id", "name", "status"]
    assert selected["rows"] == [["1", "Lamp", "active"], ["3", "Sofa", "active"]]
    assert created["rows"] == [[{"id": "9", "name": "New Item", "status": "pending"}]]
    assert service.paths == ["GET /items", "POST /items"]
    get, post = service.requests
    assert get.headers["authorization"] == "Bearer live-key-12345"
    assert post.body == b'{"name":"New Item","status":"pending"}'
    assert "live-key-12345" not in run.stdout + run.stderr


def define(page: ReferencePage, session: moltler.Session, url: str, heading: str) -> None:
    """Define the page's connector with the handler below a heading, from a file `page.sql`."""
    entity = page.sql("2. Define Entities")
    head = entity[: entity.index("'''")]
    handler = page.javascript(heading)
    script = (
        page.sql("1. Define Connector Type")
        + head
        + f"'''\n{handler}''';\n"
        + "REGISTER CONNECTOR TYPE 'myservice';\n"
        + page.sql("Create Instance").replace("https://api.myservice.com", url)
    )
    session.execute(script, source_name="page.sql")


@pytest.fixture
def with_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLTLER_SECRET_MYSERVICE_KEY", "live-key-12345")


@pytest.mark.usefixtures("with_secret")
def test_second_query_handler_pushes_status_and_limit(
    page: ReferencePage, service: HttpServer, session: moltler.Session
) -> None:
    define(page, session, service.url, "3. Implement Query Handler")

    rows = list(session.execute("SELECT * FROM my_service_prod.items").dicts())
    active = session.execute(
        "SELECT name FROM my_service_prod.items WHERE status = 'active' LIMIT 2"
    )

    assert [r["id"] for r in rows] == ["1", "2", "3"]
    assert rows[0]["metadata"] == {}
    assert list(active.rows()) == [("Lamp",), ("Sofa",)]
    assert service.requests[0].target == "/items?"
    assert service.requests[1].query == {"status": "active", "limit": "2"}


@pytest.mark.usefixtures("with_secret")
def test_pagination_handler_gives_every_row_and_the_right_rows_under_a_limit(
    page: ReferencePage, http_server: HttpServer, session: moltler.Session
) -> None:
    pages = {"": (ROWS[1:2], "b"), "b": (ROWS[:1], "c"), "c": (ROWS[2:], None)}

    def items(request: Request) -> Any:
        rows, following = pages[request.query.get("cursor", "")]
        return {"items": rows, "next_cursor": following}

    http_server.route("GET", "/items", items)
    define(page, session, http_server.url, "Pagination")

    everything = session.execute("SELECT id FROM my_service_prod.items ORDER BY id")
    assert [r[0] for r in everything.rows()] == ["1", "2", "3"]
    active = session.execute("SELECT id FROM my_service_prod.items WHERE status = 'active' LIMIT 2")
    assert sorted(str(r[0]) for r in active.rows()) == ["1", "3"]


@pytest.mark.usefixtures("with_secret")
def test_rate_limiting_handler_gives_no_rows_and_says_so(
    page: ReferencePage, service: HttpServer, session: moltler.Session
) -> None:
    define(page, session, service.url, "Rate Limiting")

    result = session.execute("SELECT * FROM my_service_prod.items")

    assert list(result.rows()) == []
    assert [w.code for w in result.warnings] == ["handler_returned_nothing"]


@pytest.mark.usefixtures("with_secret")
@pytest.mark.parametrize(
    ("heading", "missing", "needle"),
    [
        ("Caching", "fetchFromAPI", "await fetchFromAPI("),
        ("Error Handling", "url", "await fetch(url"),
    ],
)
def test_a_handler_that_needs_a_name_the_page_leaves_out_names_it_and_its_line(
    page: ReferencePage,
    service: HttpServer,
    session: moltler.Session,
    heading: str,
    missing: str,
    needle: str,
) -> None:
    define(page, session, service.url, heading)
    definition = page.sql("1. Define Connector Type") + page.sql("2. Define Entities")
    before = definition[: definition.index("'''")].count("\n") + 1
    line = before + page.javascript(heading).split(needle)[0].count("\n") + 1

    with pytest.raises(moltler.HandlerError) as caught:
        list(session.execute("SELECT * FROM my_service_prod.items").rows())

    assert caught.value.code == "JSR006"
    assert f"{missing} is not defined" in caught.value.message
    assert (caught.value.file, caught.value.line) == ("page.sql", line)


@pytest.mark.usefixtures("with_secret")
def test_caching_handler_asks_once_when_its_helper_exists(
    page: ReferencePage, service: HttpServer, session: moltler.Session
) -> None:
    helper = (
        "async function fetchFromAPI(config) {\n"
        "  const r = await fetch(config.api_url + '/items', "
        "{headers: {Authorization: 'Bearer ' + config.api_key}});\n"
        "  return (await r.json()).items;\n}\n"
    )
    page_with_helper = ReferencePage(
        tuple(helper + line if line == "const cache = new Map();" else line for line in page.lines)
    )
    define(page_with_helper, session, service.url, "Caching")

    for _ in range(2):
        assert len(list(session.execute("SELECT * FROM my_service_prod.items").rows())) == 3
    assert len(service.requests) == 1
    list(session.execute("SELECT id FROM my_service_prod.items WHERE id = '1'").rows())
    assert len(service.requests) == 2


@pytest.mark.usefixtures("with_secret")
@pytest.mark.parametrize(
    ("answer", "code"),
    [(401, "API002"), (429, "API003"), (503, "API004")],
)
def test_error_handling_block_maps_statuses(
    page: ReferencePage, http_server: HttpServer, session: moltler.Session, answer: int, code: str
) -> None:
    http_server.route("GET", "/items", Response(answer, {}, headers={"Retry-After": "7"}))
    lines = list(page.lines)
    start = lines.index("Error Handling")
    first = next(i for i in range(start, len(lines)) if lines[i].startswith("async function"))
    lines[first] = f"const url = '{http_server.url}/items', headers = {{}};\n" + lines[first]
    define(ReferencePage(tuple(lines)), session, http_server.url, "Error Handling")

    with pytest.raises(moltler.ConnectorError) as caught:
        list(session.execute("SELECT * FROM my_service_prod.items").rows())

    assert caught.value.code == code
    assert caught.value.retry_after == (7 if answer == 429 else None)
