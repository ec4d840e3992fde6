"""The Python API over the production path (LANGUAGE §13)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import moltler
from support.http import HttpServer, Request, Response

DEFINITION = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {{"api_url": {{"type": "string", "required": true}}}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {{"id": {{"type": "integer", "primary_key": true}}, "name": {{"type": "string"}},
         "price": {{"type": "number"}}, "made": {{"type": "timestamp"}},
         "tags": {{"type": "array", "items": {{"type": "string"}}}},
         "extra": {{"type": "document"}}}}
QUERY_HANDLER '''
let calls = 0;
async function* query(config, filters, options) {{
    calls += 1;
    for (let page = 0; page !== null;) {{
        const answer = await fetch(`${{config.api_url}}/items?page=${{page}}&call=${{calls}}`);
        const data = await answer.json();
        yield data.items;
        page = data.next;
    }}
}}
''';
CREATE CONNECTOR ACTION 'shop.items.create' PARAMETERS {{"name": {{"type": "string"}},
    "extra": {{"type": "document"}}}}
HANDLER 'async function execute(config, params) {{
    const body = JSON.stringify(params);
    const r = await fetch(config.api_url + "/items", {{method: "POST", body}});
    return await r.json(); }}';
REGISTER CONNECTOR TYPE 'shop';
CREATE CONNECTOR s TYPE 'shop' CONFIG {{"api_url": "{url}"}};
"""


def item(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"item {number}",
        "price": number / 2,
        "made": f"2024-05-{number % 28 + 1:02}T10:00:00Z",
        "tags": ["a", str(number)],
        "extra": {"big": 2**60 + number, "n": number},
    }


@pytest.fixture
def shop(session: moltler.Session, http_server: HttpServer) -> moltler.Session:
    def items(request: Request) -> Any:
        page = int(request.query["page"])
        rows = [item(page * 10 + i) for i in range(10)]
        return {"items": rows, "next": page + 1 if page < 4 else None}

    http_server.route("GET", "/items", items)
    http_server.route("POST", "/items", lambda r: Response(201, {"id": 99, **r.json()}))
    session.execute(DEFINITION.format(url=http_server.url))
    return session


def test_values_arrive_in_their_types(shop: moltler.Session) -> None:
    (row,) = shop.execute("SELECT * FROM s.items WHERE id = 3").dicts()
    assert row == {
        "id": 3,
        "name": "item 3",
        "price": 1.5,
        "made": datetime(2024, 5, 4, 10, tzinfo=UTC),
        "tags": ["a", "3"],
        "extra": {"big": 2**60 + 3, "n": 3},
    }


@pytest.mark.parametrize(
    ("sql", "params", "expected"),
    [
        ("name = @n", {"n": "item 3"}, [3]),
        ("name = ? OR id = ?", ["item 3", 4], [3, 4]),
        ("name = @n", {"n": 'O\'Brien "x"\n;--'}, []),
        ("id IN (SELECT unnest(@ids))", {"ids": [1, 2]}, [1, 2]),
        ("made >= @t AND id < 9", {"t": datetime(2024, 5, 8, tzinfo=UTC)}, [7, 8]),
        ("tags CONTAINS '7'", None, [7]),
        ("tags[1] = '8' AND tags[-1] IS NULL AND tags[5] IS NULL", None, [8]),
        ("extra.big = 1152921504606846981", None, [5]),
        ("extra.nothing.at.all IS NULL AND id < 2", None, [0, 1]),
    ],
)
def test_bound_values_and_the_languages_own_sql(
    shop: moltler.Session, sql: str, params: Any, expected: list[int]
) -> None:
    result = shop.execute(f"SELECT id FROM s.items WHERE {sql} ORDER BY id", params)
    assert [r[0] for r in result.rows()] == expected


def test_a_datetime_without_zone_is_refused(shop: moltler.Session) -> None:
    with pytest.raises(moltler.PlanError, match="without time zone") as caught:
        shop.execute("SELECT @t", {"t": datetime(2024, 5, 1)})  # noqa: DTZ001 - the point
    assert caught.value.code == "PLN005"


def test_a_missing_positional_value_is_named(shop: moltler.Session) -> None:
    with pytest.raises(moltler.PlanError, match="no value for parameter 2"):
        shop.execute("SELECT ?, ?", [1])


def test_actions_take_and_give_nested_values_intact(shop: moltler.Session) -> None:
    extra = {"o'clock": ["\n", None, {"deep": 2**60}]}
    assert shop.action("s.items.create", {"name": "O'Brien", "extra": extra}) == {
        "id": 99,
        "name": "O'Brien",
        "extra": extra,
    }


def test_module_state_lives_from_statement_to_statement(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    for _ in range(3):
        assert shop.execute("SELECT id FROM s.items LIMIT 1").value == 0
    assert [r.query["call"] for r in http_server.requests] == ["1", "2", "3"]


def test_leaving_a_result_early_stops_the_scan(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    def endless(request: Request) -> Any:
        page = int(request.query["page"])
        return {"items": [item(page)], "next": page + 1}

    http_server.route("GET", "/items", endless)
    with shop.execute("SELECT * FROM s.items") as result:
        assert next(result.rows())[0] == 0
    assert len(http_server.requests) < 40  # of an endless number


def test_two_half_read_results_of_one_instance_do_not_block_each_other(
    shop: moltler.Session,
) -> None:
    with (
        shop.execute("SELECT id FROM s.items") as first,
        shop.execute("SELECT id FROM s.items") as second,
    ):
        one, two = first.rows(), second.rows()
        assert [next(one), next(two), next(one), next(two)] == [(0,), (0,), (1,), (1,)]
        assert len(list(one)) + len(list(two)) == 96


def test_a_session_is_shared_by_threads(shop: moltler.Session) -> None:
    counts: list[Any] = []

    def count() -> None:
        counts.append(shop.execute("SELECT count(*) FROM s.items").value)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == [50] * 4


def test_variables_live_as_long_as_the_session(shop: moltler.Session) -> None:
    shop.execute("DECLARE wanted = 3; DECLARE found = SELECT name FROM s.items WHERE id = wanted")
    assert shop.execute("SELECT found[0].name AS n, @wanted AS w").columns[0].name == "n"
    assert list(shop.execute("SELECT found[0].name, @wanted").rows()) == [("item 3", 3)]
    shop.execute("DECLARE wanted = 4")
    assert shop.execute("SELECT wanted").value == 4


def test_an_error_says_which_statements_took_effect(session: moltler.Session, home: Path) -> None:
    with pytest.raises(moltler.LookupFailed) as caught:
        session.execute(
            "CREATE CONNECTOR TYPE 'a';\nCREATE CONNECTOR TYPE 'b';\nCREATE CONNECTOR x TYPE 'a';",
            source_name="s.moltler",
        )
    assert (caught.value.code, caught.value.file, caught.value.line) == ("CAT007", "s.moltler", 3)
    assert caught.value.__notes__ == [
        "took effect before: CREATE CONNECTOR TYPE a, CREATE CONNECTOR TYPE b"
    ]


def test_nothing_runs_if_the_text_is_wrong_anywhere(session: moltler.Session) -> None:
    with pytest.raises(moltler.ParseError) as caught:
        session.execute("CREATE CONNECTOR TYPE 'a'; SELCT 1; SHOW CONNECTRS;")
    assert [p.code for p in caught.value.problems] == ["SYN001", "SYN001"]
    assert list(session.execute("SHOW CONNECTOR TYPES").rows()) == []


def test_opening_and_reading_an_empty_home_writes_nothing(home: Path) -> None:
    with moltler.connect(home) as session:
        assert list(session.execute("SHOW CONNECTORS").rows()) == []
        assert session.execute("SELECT 1 + 1").value == 2
    assert not home.exists()


@pytest.mark.parametrize(
    "statement",
    [
        'CREATE DESTINATION d TYPE \'parquet\' CONFIG {"path": "rows"}',
    ],
)
def test_statements_of_later_versions_say_so(shop: moltler.Session, statement: str) -> None:
    with pytest.raises(moltler.PlanError) as caught:
        shop.execute(statement)
    assert caught.value.code == "PLN011"
    assert statement.split()[0] in caught.value.message


def test_test_connector_reads_the_first_entity(
    shop: moltler.Session, http_server: HttpServer
) -> None:
    (row,) = shop.execute("TEST CONNECTOR s").dicts()
    assert (row["connector"], row["type"], row["status"]) == ("s", "shop", "ok")
    assert len(http_server.requests) == 1
    (row,) = shop.execute("SHOW CONNECTORS").dicts()
    assert row["status"] == "connected"


def test_a_failing_call_shows_in_the_status(shop: moltler.Session, http_server: HttpServer) -> None:
    http_server.route("GET", "/items", Response(500, "oops"))
    with pytest.raises(moltler.ConnectorError):
        shop.execute("TEST CONNECTOR s")
    (row,) = shop.execute("SHOW CONNECTORS").dicts()
    assert row["status"] == "error"


def test_a_new_secret_value_is_used_by_the_next_call(
    session: moltler.Session, http_server: HttpServer
) -> None:
    http_server.route("GET", "/items", [])
    session.execute(
        f"""
        CREATE CONNECTOR TYPE 't' CONFIG_SCHEMA {{"u": {{"type": "string"}},
            "k": {{"type": "string", "secret": true}}}};
        CREATE CONNECTOR ENTITY 't.items' FIELDS {{"id": {{"type": "string"}}}}
        QUERY_HANDLER 'async function query(c) {{
            return (await fetch(c.u + "/items", {{headers: {{"X-Key": c.k}}}})).json() }}';
        REGISTER CONNECTOR TYPE 't';
        CREATE CONNECTOR c TYPE 't' CONFIG {{"u": "{http_server.url}", "k": "{{{{secrets.kk}}}}"}};
        """
    )
    with pytest.raises(moltler.LookupFailed) as caught:
        session.execute("SELECT * FROM c.items")
    assert caught.value.code == "CAT005"
    for value in ("first-value", "second-value"):
        session.secrets.put("kk", value)
        list(session.execute("SELECT * FROM c.items").rows())
    assert [r.headers["x-key"] for r in http_server.requests] == ["first-value", "second-value"]


def test_a_dry_run_changes_and_sends_nothing(
    session: moltler.Session, http_server: HttpServer, home: Path
) -> None:
    from moltler.errors import Source

    definition = DEFINITION.format(url=http_server.url)
    script = f"{definition}SELECT * FROM s.items; DECLARE x = 1;"
    table = session.dry_run(Source("s.moltler", script))
    assert [row[3] for row in table.rows] == ["change the catalog"] * 5 + ["read s.items", "run"]
    assert http_server.requests == []
    assert not (home / "catalog.db").exists()
    with pytest.raises(moltler.PlanError, match="no column `nme`"):
        session.dry_run(Source("s.moltler", f"{definition}SELECT nme FROM s.items;"))


@pytest.mark.parametrize(
    "sql", ["SELECT id, extra, tags FROM s.items", "SELECT id, extra, tags, extra.n FROM s.items"]
)
def test_documents_are_the_same_passed_on_or_looked_into(shop: moltler.Session, sql: str) -> None:
    rows = list(shop.execute(f"{sql} ORDER BY id LIMIT 3").rows())
    assert [row[:3] for row in rows] == [
        (n, {"big": 2**60 + n, "n": n}, ["a", str(n)]) for n in range(3)
    ]
    assert shop.execute(f"{sql} LIMIT 1").columns[1].type == "document"
