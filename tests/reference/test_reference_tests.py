"""The tests on the reference page, run as TEST statements (LANGUAGE §10)."""

from __future__ import annotations

from typing import Any

import pytest

import moltler
from moltler.errors import Source
from moltler.testing.report import TestReport
from support.http import HttpServer, Request, Response
from support.reference_page import ReferencePage

DELETE = """
CREATE CONNECTOR ACTION 'myservice.items.delete' PARAMETERS {"id": {"type": "string"}}
HANDLER '''
async function execute(config, params) {
    await fetch(config.api_url + '/items/' + params.id, {method: 'DELETE'});
}
''';
"""


def definitions(page: ReferencePage, handler: str | None = None) -> str:
    """Give the page's type, with its first query handler or the one below a heading."""
    entity = page.sql("2. Define Entities")
    if handler is not None:
        entity = entity[: entity.index("'''")] + f"'''\n{page.javascript(handler)}''';\n"
    return (
        page.sql("1. Define Connector Type")
        + entity
        + page.sql("4. Implement Actions")
        + page.sql("5. Register Connector")
    )


def run(session: moltler.Session, types: str, test: str) -> TestReport:
    sources = [Source("page.sql", types), Source("tests.sql", test)]
    collection = session.collect_tests(sources)
    return session.run_test(collection.tests[0], collection)


@pytest.mark.parametrize("handler", [None, "3. Implement Query Handler"])
def test_the_unit_test_passes_with_either_handler(
    page: ReferencePage, session: moltler.Session, handler: str | None
) -> None:
    report = run(session, definitions(page, handler), page.sql("Unit Tests"))
    assert (report.status, report.failure, report.notes) == ("passed", None, ())


@pytest.mark.parametrize(
    ("old", "new", "needle"),
    [
        ("= 'Test'", "= 'Toast'", "results[0].name is 'Test'"),
        ('"name": "Test"', '"name": "Taste"', "results[0].name is 'Taste'"),
        ('{"id": "1", "name": "Test"}', "", "ARRAY_LENGTH(results) is 0"),
    ],
)
def test_the_unit_test_goes_red_when_a_name_changes(
    page: ReferencePage, session: moltler.Session, old: str, new: str, needle: str
) -> None:
    test = page.sql("Unit Tests")
    assert old in test
    changed = test.replace(old, new)
    report = run(session, definitions(page), changed)
    failure = report.failure
    assert failure is not None
    assert needle in failure.actual[0]
    line = changed.split(failure.expected or "")[0].count("\n") + 1
    assert (failure.code, failure.error.file, failure.error.line) == ("TST001", "tests.sql", line)


def test_the_integration_test_is_skipped_and_names_its_variables(
    page: ReferencePage, session: moltler.Session
) -> None:
    report = run(session, definitions(page), page.sql("Integration Tests"))
    assert report.status == "skipped"
    assert report.reason == "MYSERVICE_TEST_URL and MYSERVICE_TEST_KEY are not set"


@pytest.fixture
def live(http_server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> HttpServer:
    rows: dict[str, Any] = {}

    def create(request: Request) -> Response:
        row = {"id": str(len(rows) + 1), **request.json()}
        rows[row["id"]] = row
        return Response(201, row)

    def delete(request: Request) -> Response:
        del rows[request.path.rsplit("/", 1)[1]]
        return Response(204)

    http_server.route("POST", "/items", create)
    http_server.route("GET", "/items", lambda _: {"items": list(rows.values())})
    http_server.route("DELETE", "/items/1", delete)
    monkeypatch.setenv("MYSERVICE_TEST_URL", http_server.url)
    monkeypatch.setenv("MYSERVICE_TEST_KEY", "integration-key-123")
    return http_server


def test_the_integration_test_passes_against_a_live_server(
    page: ReferencePage, session: moltler.Session, live: HttpServer
) -> None:
    report = run(session, definitions(page) + DELETE, page.sql("Integration Tests"))
    assert (report.status, report.failure) == ("passed", None)
    assert live.paths == ["POST /items", "GET /items", "DELETE /items/1"]
    assert live.requests[0].headers["authorization"] == "Bearer integration-key-123"


@pytest.mark.usefixtures("live")
def test_the_integration_test_names_the_action_that_is_not_defined(
    page: ReferencePage, session: moltler.Session
) -> None:
    report = run(session, definitions(page), page.sql("Integration Tests"))
    assert report.failure is not None
    assert report.failure.code == "CAT002"
    assert "myservice.items.delete" in report.failure.message
