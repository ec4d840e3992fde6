"""Integration tests recorded once and replayed without the API (LANGUAGE §10.4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import moltler
from moltler.errors import Source
from moltler.testing.report import TestReport
from moltler.testing.runner import TestOptions
from support.http import HttpServer, Request, Response
from testing.conftest import TYPE

KEY = "very-secret-key-4711"
BODY = """
    CREATE CONNECTOR c TYPE 'shop' CONFIG {"api_url": ENV('SHOP_URL'), "api_key": ENV('SHOP_KEY')};
    DECLARE created = CONNECTOR_EXEC c.items.create({"name": "Made " || CURRENT_TIMESTAMP()});
    DECLARE rows = SELECT * FROM c.items;
    ASSERT ARRAY_LENGTH(rows) = 1;
    ASSERT created.id = rows[0].id;
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "shop_tests.moltler"


class Runner:
    def __init__(self, session: moltler.Session, script: Path) -> None:
        self._session = session
        self._script = script
        self.cassette = script.parent / "cassettes/shop/live.json"

    def __call__(self, *, body: str = BODY, types: str = TYPE, **options: bool) -> TestReport:
        text = f"TEST CONNECTOR TYPE 'shop' NAME 'live' BEGIN{body}END TEST;"
        collection = self._session.collect_tests([Source(str(self._script), types + text)])
        return self._session.run_test(collection.tests[0], collection, TestOptions(**options))


@pytest.fixture
def run(
    shared: moltler.Session,
    script: Path,
    http_server: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Runner:
    rows: list[dict[str, Any]] = []

    def create(request: Request) -> Response:
        rows.append({"id": str(len(rows) + 1), **request.json(), "owner": KEY})
        return Response(201, rows[-1])

    http_server.route("POST", "/items", create)
    http_server.route("GET", "/items", lambda _: rows)
    monkeypatch.setenv("SHOP_URL", http_server.url)
    monkeypatch.setenv("SHOP_KEY", KEY)
    return Runner(shared, script)


def test_a_recorded_test_passes_again_without_the_api(
    run: Runner, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = run(record=True)
    assert (recorded.status, recorded.failure) == ("passed", None)
    assert recorded.notes == (f"recorded 2 request(s) in {run.cassette}",)
    monkeypatch.delenv("SHOP_URL")
    monkeypatch.delenv("SHOP_KEY")
    seen = len(http_server.requests)
    replayed = run()
    assert (replayed.status, replayed.failure, replayed.calls) == ("passed", None, 2)
    assert len(http_server.requests) == seen


def test_a_cassette_never_holds_a_secret(run: Runner) -> None:
    run(record=True)
    text = run.cassette.read_text(encoding="utf-8")
    assert KEY not in text
    assert json.loads(text)["format_version"] == 1


def test_a_request_that_differs_from_the_cassette_fails_the_test(run: Runner) -> None:
    run(record=True)
    changed = run(body=BODY.replace("Made ", "Done "))
    assert changed.failure is not None
    assert changed.failure.code == "TST007"
    assert "Done" in changed.failure.message + str(changed.failure.error.hint)


def test_live_ignores_the_cassette(run: Runner, http_server: HttpServer) -> None:
    run(record=True)
    seen = len(http_server.requests)
    run(live=True)
    assert len(http_server.requests) == seen + 2


def test_a_failed_test_records_nothing(run: Runner) -> None:
    assert run(body=BODY + "ASSERT FALSE;", record=True).status == "failed"
    assert not run.cassette.exists()


def test_a_cassette_of_another_version_is_refused(run: Runner) -> None:
    run(record=True)
    content = json.loads(run.cassette.read_text(encoding="utf-8"))
    run.cassette.write_text(json.dumps({**content, "format_version": 99}), encoding="utf-8")
    report = run()
    assert report.failure is not None
    assert report.failure.code == "TST005"
    assert "99" in report.failure.message


RANDOM = """
    CREATE CONNECTOR c TYPE 'shop' CONFIG {"api_url": ENV('SHOP_URL'), "api_key": ENV('SHOP_KEY')};
    DECLARE rows = SELECT uuid() AS name, random() AS n, gen_random_uuid() AS g FROM range(3);
    FOR row IN rows LOOP
        CONNECTOR_EXEC c.items.create({"name": row.name || row.n || row.g});
    END LOOP;
    CONNECTOR_EXEC c.items.create({"name": "last " || (SELECT uuid() AS u)[0].u});
    ASSERT TRUE;
"""


def test_random_values_of_sql_repeat_in_a_replay(run: Runner) -> None:
    assert run(record=True, body=RANDOM).status == "passed"
    first = run.cassette.read_text()
    replayed = run(body=RANDOM)
    assert (replayed.status, replayed.failure, replayed.calls) == ("passed", None, 4)
    names = [e["request"]["body"]["json"]["name"] for e in json.loads(first)["exchanges"]]
    assert len(set(names)) == 4
    run(record=True, body=RANDOM)
    assert run.cassette.read_text() != first


def test_a_random_value_with_the_time_in_it_cannot_be_recorded(run: Runner) -> None:
    report = run(record=True, body=" DECLARE u = SELECT uuidv7() AS u; ASSERT TRUE;")
    assert report.failure is not None
    assert (report.failure.code, report.failure.error.hint) == ("PLN006", "use uuid()")


def test_waiting_costs_nothing_in_a_replay_and_random_numbers_repeat(run: Runner) -> None:
    slow = TYPE.replace(
        "const headers = ", "await new Promise(r => setTimeout(r, 300)); const headers = "
    ).replace("filters.status ? `?status=${filters.status}` : ''", "'?at=' + Math.random()")
    body = """
    CREATE CONNECTOR c TYPE 'shop' CONFIG {"api_url": ENV('SHOP_URL')};
    DECLARE before = NOW();
    SELECT * FROM c.items;
    ASSERT NOW() - before >= INTERVAL '300ms';
    """
    assert run(body=body, types=slow, record=True).status == "passed"
    replayed = run(body=body, types=slow)
    assert (replayed.status, replayed.failure, replayed.calls) == ("passed", None, 1)
