"""What a test sees, and what makes it pass, fail or be skipped (LANGUAGE §10)."""

from __future__ import annotations

import threading

import pytest

import moltler
from moltler.errors import Source
from moltler.testing.report import TestReport
from moltler.testing.runner import TestOptions
from testing.conftest import CREATE, ITEMS, TYPE, RunTest


def code(report: TestReport) -> str | None:
    return report.failure.code if report.failure else None


def test_a_test_that_holds_passes_and_tells_what_it_used(play: RunTest) -> None:
    report = play(
        CREATE + "DECLARE rows = SELECT * FROM c.items; ASSERT rows[0].name = 'Lamp';"
        "CONNECTOR_EXEC c.items.create(name => 'x');",
        'MOCK_API {"GET /items": {"body": [{"id": "1", "name": "Lamp"}]},'
        ' "POST /items": {"status": 201, "body": {"id": "2"}}}',
    )
    assert (report.status, report.notes, report.calls) == ("passed", (), 2)
    assert report.entities == {"shop.items"}
    assert report.actions == {"shop.items.create"}


def test_a_failed_assert_shows_both_sides_and_its_line(play: RunTest) -> None:
    report = play(CREATE + "DECLARE rows = SELECT * FROM c.items;\nASSERT rows[0].name = 'Desk';")
    failure = report.failure
    assert failure is not None
    assert (report.status, failure.code, failure.error.line) == ("failed", "TST001", 4)
    assert failure.expected == "rows[0].name = 'Desk'"
    assert failure.actual[0] == "rows[0].name is 'Lamp'"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("ASSERT FALSE;", "TST001"),
        ("ASSERT NULL;", "TST001"),
        ("ASSERT 1;", "TST001"),
        ("ASSERT 1 = NULL;", "TST001"),
        ("TRY ASSERT FALSE; CATCH THEN PRINT 'saved'; END TRY;", "TST001"),
        ("TRY ASSERT FALSE; CATCH OTHERS PRINT 'saved'; END TRY; ASSERT TRUE;", "TST001"),
        ("ASSERT RAISES not_found_error BEGIN SELECT * FROM nowhere.x; END;", None),
        ("ASSERT RAISES not_found_error BEGIN PRINT 'fine'; END;", "TST004"),
        ("ASSERT RAISES not_found_error BEGIN THROW 'other'; END;", "TST004"),
        ("ASSERT RAISES LIKE '%oth%' BEGIN THROW 'other'; END;", None),
        ("THROW 'boom';", "PLN900"),
        ("SELECT * FROM nowhere.items;", "CAT001"),
        ("DECLARE x = 1; TRY THROW 'a'; FINALLY SET x = 2; END TRY;", "PLN900"),
    ],
)
def test_only_what_holds_to_the_end_is_green(
    play: RunTest, body: str, expected: str | None
) -> None:
    report = play(body, "")
    assert (report.status, code(report)) == ("failed" if expected else "passed", expected)


@pytest.mark.parametrize(
    "body",
    [
        "TRY ASSERT FALSE; CATCH THEN PRINT 'no'; FINALLY PRINT 'last'; END TRY; PRINT 'no';",
        "TRY TRY ASSERT FALSE; CATCH assertion_error PRINT 'no'; FINALLY PRINT 'last'; END TRY;"
        " PRINT 'no'; CATCH OTHERS PRINT 'no'; END TRY;",
        "FOR i IN 1..3 LOOP TRY ASSERT i < 2; CATCH error PRINT 'no'; FINALLY IF i = 2 THEN"
        " PRINT 'last'; END IF; END TRY; END LOOP; PRINT 'no';",
        "TRY ASSERT RAISES type_error BEGIN THROW 'x'; END; CATCH THEN PRINT 'no';"
        " FINALLY PRINT 'last'; END TRY;",
    ],
)
def test_the_first_failure_ends_the_body(
    play: RunTest, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    report = play(body + " TEARDOWN PRINT 'down';", "")
    assert report.status == "failed"
    assert capsys.readouterr().out.split() == ["last", "down"]


@pytest.mark.parametrize(
    ("clause", "body", "expected"),
    [
        ("EXPECT ERROR", "THROW 'x';", None),
        ("EXPECT ERROR TYPE user_error LIKE 'x%'", "THROW 'xy';", None),
        ("EXPECT ERROR TYPE not_found_error", "THROW 'xy';", "TST004"),
        ("EXPECT ERROR MATCHES '^y'", "THROW 'xy';", "TST004"),
        ("EXPECT ERROR", "PRINT 'fine';", "TST004"),
        ("EXPECT ERROR", "ASSERT FALSE;", "TST001"),
    ],
)
def test_an_expected_error_must_come_and_be_the_one(
    play: RunTest, clause: str, body: str, expected: str | None
) -> None:
    assert code(play(body, clause)) == expected


def test_a_test_without_assertions_passes_with_a_note(play: RunTest) -> None:
    assert play("PRINT 'hello';", "").notes == ("no assertions",)


def test_a_route_that_is_never_used_is_noted(play: RunTest) -> None:
    report = play(
        CREATE + "ASSERT ARRAY_LENGTH((SELECT * FROM c.items)) = 0;",
        'MOCK_API {"GET /items": {"body": []}, "GET /orders": {"body": []}}',
    )
    assert report.notes == ("route never used: GET /orders",)


def test_teardown_runs_after_a_failure_and_sees_the_variables(play: RunTest) -> None:
    report = play(
        CREATE + "DECLARE id = '7'; ASSERT FALSE;\n"
        "TEARDOWN CONNECTOR_EXEC c.items.create(name => id);",
        'MOCK_API {"POST /items": {"body": {}}}',
    )
    assert (report.status, report.calls) == ("failed", 1)


def test_a_failing_teardown_fails_a_test_that_passed(play: RunTest) -> None:
    assert code(play("ASSERT TRUE; TEARDOWN THROW 'left behind';", "")) == "PLN900"


# ── mocks ────────────────────────────────────────────────────────────────────────────────────

SWALLOWING = TYPE.replace("return await response.json();", "return await response.json();").replace(
    "const response = await fetch(`${config.api_url}/items${wanted}`, {headers});",
    "const response = await fetch(`${config.api_url}/items${wanted}`, {headers})"
    ".catch(() => new Response('[]'));",
)


FORGOTTEN = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {"api_url": {"type": "string", "required": true}};
CREATE CONNECTOR ENTITY 'shop.items' FIELDS {"id": {"type": "string"}}
QUERY_HANDLER 'async function query(config) {
    const no = config.api_url + "/no";
    FETCH;
    return [{id: "1"}];
}';
CREATE CONNECTOR ACTION 'shop.items.create' HANDLER 'async function execute(config) {
    const no = config.api_url + "/no";
    FETCH;
}';
"""


@pytest.mark.parametrize(
    "fetched",
    [
        "fetch(no)",
        "fetch(no).catch(() => 0)",
        'fetch(no, {method: "POST", body: "x"}).catch(() => 0)',
        'fetch(no, {method: "POST", body: new Blob(["x"])}).catch(() => 0)',
        'fetch(new Request(no, {method: "POST", body: new URLSearchParams({a: 1})}))',
        'await fetch(config.api_url + "/ok"); fetch(no).catch(() => 0)',
    ],
)
@pytest.mark.parametrize("run", ["SELECT * FROM c.items", "CONNECTOR_EXEC c.items.create()"])
def test_a_request_that_nobody_waits_for_fails_the_test_as_well(
    play: RunTest, fetched: str, run: str
) -> None:
    definitions = FORGOTTEN.replace("FETCH", fetched)
    create = 'CREATE CONNECTOR c TYPE \'shop\' CONFIG {"api_url": "mock://"};'
    for _ in range(5):
        report = play(f"{create} {run}; ASSERT TRUE;", 'MOCK_API {"GET /ok": {"body": 1}}',
                      definitions=definitions)  # fmt: skip
        assert code(report) == "TST002"


def test_a_request_that_no_route_answers_fails_the_test_even_if_it_is_swallowed(
    play: RunTest,
) -> None:
    report = play(
        CREATE + "SELECT * FROM c.items; ASSERT TRUE;",
        'MOCK_API {"GET /item": {"body": []}}',
        definitions=SWALLOWING,
    )
    assert code(report) == "TST002"
    assert report.failure is not None
    assert "GET /items" in report.failure.message
    assert "GET /item" in str(report.failure.error.hint) + report.failure.message


def test_a_sequence_that_has_no_more_answers_fails_the_test(play: RunTest) -> None:
    report = play(
        CREATE + "SELECT * FROM c.items; SELECT * FROM c.items; ASSERT TRUE;",
        'MOCK_API {"GET /items": [{"body": []}]}',
    )
    assert code(report) == "TST003"


def test_mock_functions_tell_what_was_asked(play: RunTest) -> None:
    report = play(
        CREATE
        + """
        SELECT * FROM c.items WHERE status = 'new';
        ASSERT MOCK_CALLED('GET /items') AND MOCK_CALLED('GET /items', 1);
        ASSERT NOT MOCK_CALLED('GET /items', 2);
        ASSERT MOCK_CALL_COUNT('get /items') = 1;
        ASSERT MOCK_CALLS('GET /items')[0].query.status = 'new';
        ASSERT MOCK_CALLS('GET /items')[0].headers.authorization = 'Bearer test';
        """
    )
    assert (report.status, code(report)) == ("passed", None)


def test_asking_for_a_route_that_there_is_not_is_an_error(play: RunTest) -> None:
    report = play("ASSERT NOT MOCK_CALLED('GET /itms');")
    assert report.status == "failed"
    assert report.failure is not None
    assert "GET /items" in str(report.failure.error.hint)


@pytest.mark.parametrize(
    ("response", "needle"),
    [
        ('{"status": 42}', "42"),
        ('{"stats": 200}', "stats"),
        ('{"status": 200, "body": [1], "rows": []}', "rows"),
    ],
)
def test_a_malformed_mock_fails_with_its_place(play: RunTest, response: str, needle: str) -> None:
    report = play("ASSERT TRUE;", f'MOCK_API {{"GET /items": {response}}}')
    assert code(report) == "TST005"
    assert report.failure is not None
    assert needle in report.failure.message
    assert (report.failure.error.file, report.failure.error.line) == ("tests.moltler", 1)


def test_egress_is_checked_before_the_mock(play: RunTest) -> None:
    foreign = TYPE.replace("`${config.api_url}/items${wanted}`", "'https://evil.example/items'")
    report = play(
        CREATE + "SELECT * FROM c.items;", 'MOCK_API {"* /**": {"body": []}}', definitions=foreign
    )
    assert code(report) == "API005"


# ── isolation ────────────────────────────────────────────────────────────────────────────────


def test_module_state_does_not_pass_from_test_to_test(play: RunTest) -> None:
    body = CREATE + (
        "SELECT * FROM c.items; SELECT * FROM c.items;"
        "ASSERT MOCK_CALLS('GET /items')[1].headers['x-calls'] = '2';"
        "ASSERT MOCK_CALLS('GET /items')[0].headers['x-calls'] = '1';"
    )
    assert [play(body).status for _ in range(3)] == ["passed"] * 3


def test_global_connectors_are_neither_seen_nor_touched(shop_home: moltler.Session) -> None:
    shop_home.execute("REGISTER CONNECTOR TYPE 'shop'; " + CREATE.replace("test", "realkey-123"))
    test = (
        f"TEST CONNECTOR TYPE 'shop' NAME 't' {ITEMS} BEGIN "
        "ASSERT RAISES not_found_error BEGIN SELECT * FROM c.items; END; "
        + CREATE
        + "DROP CONNECTOR c; END TEST;"
    )
    assert shop_home.execute(test).value == "shop"
    assert [r["name"] for r in shop_home.execute("SHOW CONNECTORS").dicts()] == ["c"]
    assert list(shop_home.execute("SHOW CONNECTOR c ACTION HISTORY").rows()) == []


def test_the_draft_is_used_although_it_is_not_registered(shop_home: moltler.Session) -> None:
    result = shop_home.execute(
        f"TEST CONNECTOR TYPE 'shop' NAME 'draft' {ITEMS} BEGIN {CREATE}"
        "ASSERT ARRAY_LENGTH((SELECT * FROM c.items)) = 1; END TEST"
    )
    assert next(iter(result.dicts()))["status"] == "passed"


def test_secrets_come_from_the_clause_only(
    play: RunTest, shared: moltler.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOLTLER_SECRET_K", "from the environment")
    shared.secrets.put("k", "from the store")
    body = CREATE.replace('"test"', '"{{secrets.k}}"') + (
        "SELECT * FROM c.items;"
        "ASSERT MOCK_CALLS('GET /items')[0].headers.authorization = 'Bearer mine';"
    )
    assert play(body, ITEMS + ' SECRETS {"k": "mi" || "ne"}').status == "passed"
    assert code(play(body, ITEMS)) == "CAT005"


def test_env_comes_from_the_clause_then_from_the_environment(play: RunTest) -> None:
    report = play(
        "ASSERT ENV('MINE') = 'x' AND ENV('NOT_SET_ANYWHERE', 'd') = 'd';", 'ENV {"MINE": "x"}'
    )
    assert report.status == "passed"


UNSET = (
    "CREATE CONNECTOR c TYPE 'shop' CONFIG"
    " {\"api_url\": ENV('NO_SUCH_URL'), \"api_key\": ENV('NO_SUCH_KEY')};"
)


def test_unset_variables_skip_a_test_and_are_named(play: RunTest) -> None:
    report = play(UNSET, "")
    assert (report.status, report.reason) == ("skipped", "NO_SUCH_URL and NO_SUCH_KEY are not set")


def test_unset_variables_fail_a_test_where_they_are_required(play: RunTest) -> None:
    report = play(UNSET, "", options=TestOptions(require_env=True))
    assert report.status == "failed"
    assert report.failure is not None
    assert "NO_SUCH_URL" in report.failure.message


@pytest.mark.parametrize(
    ("clauses", "body"), [("SKIP 'later'", "ASSERT FALSE;"), ("", "SKIP 'later';")]
)
def test_skip_names_its_reason(play: RunTest, clauses: str, body: str) -> None:
    report = play(body, clauses)
    assert (report.status, report.reason) == ("skipped", "later")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("TRY ASSERT FALSE; CATCH THEN SKIP 'no'; END TRY;", "TST001"),
        ("TRY ASSERT FALSE; FINALLY SKIP 'no'; END TRY;", "TST001"),
        ("ASSERT FALSE; TEARDOWN SKIP 'no';", "TST001"),
        ("ASSERT FALSE; TEARDOWN PRINT ENV('NOT_SET_CLEANUP');", "TST001"),
        (CREATE + "SELECT * FROM c.items; SKIP 'no';", "TST002"),
    ],
)
def test_skipping_never_hides_a_failure(play: RunTest, body: str, expected: str) -> None:
    report = play(body, 'MOCK_API {"GET /orders": {}}', definitions=SWALLOWING)
    assert (report.status, code(report)) == ("failed", expected)


def test_variables_that_clauses_need_count_as_well(play: RunTest) -> None:
    report = play("ASSERT TRUE;", "SECRETS {\"k\": ENV('NOT_SET_KEY')}")
    assert (report.status, report.reason) == ("skipped", "NOT_SET_KEY is not set")


def test_no_test_sees_the_master_key(play: RunTest) -> None:
    report = play("PRINT ENV('MOLTLER_KEY'); ASSERT TRUE;", "")
    assert (report.status, report.reason) == ("skipped", "MOLTLER_KEY is not set")


def test_instances_of_the_home_are_in_nobodys_way(shop_home: moltler.Session) -> None:
    shop_home.execute("REGISTER CONNECTOR TYPE 'shop'; " + CREATE)
    changed = TYPE.replace('"api_key": {"type"', '"more": {"type": "string", "required": true},'
                           ' "api_key": {"type"')  # fmt: skip
    test = (
        "REGISTER CONNECTOR TYPE 'shop';"
        " TEST CONNECTOR TYPE 'shop' NAME 't' BEGIN ASSERT 1 = 1; END TEST"
    )
    collection = shop_home.collect_tests([Source("t.moltler", changed + test)])
    assert shop_home.run_test(collection.tests[0], collection).status == "passed"


# ── time ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    [
        "WHILE TRUE LOOP PRINT 'x'; END LOOP;",
        "WHILE TRUE LOOP TRY THROW 'x'; CATCH THEN PRINT 'y'; END TRY; END LOOP;",
        "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c"
        " WHERE a.range = b.range + c.range;",
        CREATE + "SELECT * FROM c.items;",
    ],
)  # fmt: skip
def test_nothing_outlasts_the_timeout(play: RunTest, body: str) -> None:
    endless = TYPE.replace("calls += 1;", "while (true) {}")
    report = play(body, ITEMS + " TIMEOUT '300ms'", definitions=endless)
    assert code(report) == "TST008"
    assert report.duration_ms < 20_000


def test_the_clock_moves_for_sql_and_for_handlers(play: RunTest) -> None:
    timed = TYPE.replace("String(calls)", "String(Date.now())")
    report = play(
        CREATE
        + """
        DECLARE before = NOW();
        SELECT * FROM c.items;
        ADVANCE CLOCK INTERVAL '1h';
        SELECT * FROM c.items;
        ASSERT NOW() - before >= INTERVAL '1h' AND NOW() - before < INTERVAL '61m';
        DECLARE calls = MOCK_CALLS('GET /items');
        ASSERT CAST(calls[1].headers['x-calls'] AS integer)
             - CAST(calls[0].headers['x-calls'] AS integer) >= 3600000;
        """,
        definitions=timed,
    )
    assert (report.status, code(report)) == ("passed", None)


# ── stored tests ─────────────────────────────────────────────────────────────────────────────


def test_tests_are_stored_listed_run_again_and_dropped(shop_home: moltler.Session) -> None:
    good = "TEST CONNECTOR TYPE 'shop' NAME 'good' TAGS ['fast'] BEGIN ASSERT TRUE; END TEST"
    bad = "\n\nTEST CONNECTOR TYPE 'shop' NAME 'bad' BEGIN\nASSERT FALSE; END TEST"
    assert next(iter(shop_home.execute(good).dicts()))["status"] == "passed"
    with pytest.raises(moltler.AssertionFailed) as caught:
        shop_home.execute(bad, source_name="bad.moltler")
    assert (caught.value.file, caught.value.line) == ("bad.moltler", 4)
    listed = shop_home.execute("SHOW TESTS").dicts()
    assert [(r["name"], r["tags"], r["last_status"]) for r in listed] == [
        ("good", ["fast"], "passed"),
        ("bad", [], "failed"),
    ]
    with pytest.raises(moltler.AssertionFailed) as again:
        shop_home.execute("RUN TEST 'bad' FOR CONNECTOR TYPE 'shop'")
    assert (again.value.file, again.value.line) == ("bad.moltler", 4)
    with pytest.raises(moltler.AssertionFailed) as everything:
        shop_home.execute("RUN ALL TESTS")
    assert "shop 'good': passed" in everything.value.__notes__
    tagged = shop_home.execute("RUN TESTS FOR CONNECTOR TYPE 'shop' WHERE TAGS CONTAINS 'fast'")
    assert [r["name"] for r in tagged.dicts()] == ["good"]
    shop_home.execute("DROP TEST 'bad' FOR CONNECTOR TYPE 'shop'")
    assert len(list(shop_home.execute("RUN ALL TESTS").rows())) == 1
    with pytest.raises(moltler.LookupFailed, match="no test 'bad'"):
        shop_home.execute("RUN TEST 'bad' FOR CONNECTOR TYPE 'shop'")


def test_two_tests_of_one_name_are_refused_with_both_places(shared: moltler.Session) -> None:
    one = "TEST CONNECTOR TYPE 'shop' NAME 't' BEGIN ASSERT TRUE; END TEST;"
    with pytest.raises(moltler.LookupFailed) as caught:
        shared.collect_tests([Source("a.moltler", TYPE), Source("b.moltler", f"{one}\n{one}")])
    assert caught.value.code == "CAT003"
    assert "b.moltler:1" in caught.value.message
    assert caught.value.line == 2


def test_tests_in_parallel_do_not_disturb_each_other(shared: moltler.Session) -> None:
    texts = [
        f"TEST CONNECTOR TYPE 'shop' NAME 't{n}' MOCK_API {{\"GET /items\": "
        f'{{"body": [{{"id": "{n}"}}]}}}} BEGIN {CREATE}'
        f"DECLARE rows = SELECT id FROM c.items; ASSERT rows[0].id = '{n}';"
        "ASSERT MOCK_CALL_COUNT('GET /items') = 1; END TEST;"
        for n in range(12)
    ]
    collection = shared.collect_tests([Source("t.moltler", TYPE + "\n".join(texts))])
    outcomes: dict[str, str] = {}

    def work(place: int) -> None:
        for test in collection.tests[place::3]:
            outcomes[test.name] = shared.run_test(test, collection).status

    workers = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert outcomes == {f"t{n}": "passed" for n in range(12)}


def test_teardown_runs_after_the_timeout_too(play: RunTest) -> None:
    report = play(
        CREATE + "WHILE TRUE LOOP PRINT 'x'; END LOOP;"
        " TEARDOWN CONNECTOR_EXEC c.items.create(name => 'gone');",
        'MOCK_API {"POST /items": {"body": {}}} TIMEOUT \'200ms\'',
    )
    assert (code(report), report.calls) == ("TST008", 1)


def test_a_clock_that_leaves_the_calendar_is_an_error_of_the_test(play: RunTest) -> None:
    assert code(play("ADVANCE CLOCK INTERVAL '99999999w'; ASSERT NOW() > NULL;", "")) == "PLN007"
