"""Text that is wrong: refused as a whole, with its place, and nothing of it takes effect."""

from __future__ import annotations

from typing import Any

import pytest

import moltler

TYPE = """CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {
    "api_url": {"type": "string", "required": true},
    "api_key": {"type": "string", "required": true, "secret": true},
    "page_size": {"type": "integer"},
    "region": {"type": "string", "enum": ["eu", "us"]}
};
"""
ENTITY = """CREATE CONNECTOR ENTITY 'shop.items' FIELDS {"id": {"type": "integer"}}
QUERY_HANDLER '''
function query() { return [{id: 1}]; }
''';
"""
CONFIG = """{"api_url": "http://127.0.0.1:1", "api_key": "{{secrets.shop_key}}"}"""
REGISTERED = TYPE + ENTITY + "REGISTER CONNECTOR TYPE 'shop';\n"
INSTANCE = REGISTERED + f"CREATE CONNECTOR my_shop TYPE 'shop' CONFIG {CONFIG};\n"


def run(session: moltler.Session, text: str) -> list[Any]:
    return list(session.execute(text, source_name="shop.moltler").rows())


def refused(session: moltler.Session, text: str) -> moltler.MoltlerError:
    """Run a script that must fail, and see that the catalog is as it was."""
    before = catalog_of(session)
    with pytest.raises(moltler.MoltlerError) as caught:
        run(session, text)
    assert catalog_of(session) == before
    return caught.value


def catalog_of(session: moltler.Session) -> list[list[Any]]:
    return [run(session, "SHOW CONNECTOR TYPES"), run(session, "SHOW CONNECTORS")]


def place(error: moltler.MoltlerError) -> tuple[str | None, int | None, int | None]:
    return error.file, error.line, error.column


# ── text that is not the language: nothing runs, not even the statements before it ───────────────


def test_unterminated_raw_block_is_reported_where_it_opens(session: moltler.Session) -> None:
    error = refused(session, TYPE + ENTITY.replace("\n''';", "\n"))
    assert isinstance(error, moltler.ParseError)
    assert (error.code, place(error)) == ("SYN002", ("shop.moltler", 8, 15))
    assert "never closed" in error.message
    assert error.hint == "close it with '''"


def test_duplicate_key_names_both_places(session: moltler.Session) -> None:
    text = (
        "CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {\n" + 2 * '  "a": {"type": "string"},\n' + "}"
    )
    error = refused(session, TYPE.replace("shop", "other") + text)
    assert (error.code, place(error)) == ("SYN003", ("shop.moltler", 9, 3))
    assert "first at line 8, column 3" in error.message


@pytest.mark.parametrize(
    ("text", "column", "message", "hint"),
    [
        (
            "CREATE CONNECTOR TYPE 'x' CONFIG_SCHEM {}",
            27,
            "no clause `CONFIG_SCHEM`",
            "did you mean CONFIG_SCHEMA?",
        ),
        ("CREATE CONNECTOR TYPE 'x' DESCRIPTION '' DESCRIPTION ''", 42, "DESCRIPTION twice", None),
        ("CREATE CONNECTOR ENTITY 'x.y' FIELDS {}", 1, "QUERY_HANDLER", "add QUERY_HANDLER"),
    ],
)
def test_unknown_repeated_and_missing_clauses_are_named(
    session: moltler.Session, text: str, column: int, message: str, hint: str | None
) -> None:
    error = refused(session, TYPE + text)
    assert (error.code, place(error)) == ("SYN004", ("shop.moltler", 7, column))
    assert message in error.message
    assert (hint or "") in (error.hint or "")


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("CREATE CONNECTOR TYPE 'a.b'", "'type'"),
        ("CREATE CONNECTOR ENTITY 'a' FIELDS {} QUERY_HANDLER ''", "'type.entity'"),
        ("CREATE CONNECTOR ACTION 'a.b.c.d' HANDLER ''", "'type.entity.action'"),
        ("REGISTER CONNECTOR TYPE 'a.b'", "'type'"),
    ],
)
def test_name_with_the_wrong_number_of_segments_shows_the_shape(
    session: moltler.Session, text: str, shape: str
) -> None:
    error = refused(session, TYPE + text)
    assert (error.code, error.line) == ("SYN005", 7)
    assert shape in error.message


def test_several_mistakes_are_reported_at_once(session: moltler.Session) -> None:
    error = refused(session, "SELEC 1;\nCREATE CONNECTOR TYPE 'a.b';\nSELECT 2;\nSHOW CONNECTRS;")
    assert [(p.code, p.line) for p in error.problems] == [
        ("SYN001", 1),
        ("SYN005", 2),
        ("SYN001", 4),
    ]


def test_semicolons_quotes_and_comments_inside_a_handler_are_its_own(
    session: moltler.Session,
) -> None:
    handler = """
    /* ; -- ' " */ // it's; not the end
    const text = "it's; ''quoted''";
    function query() { return [{a: text + `;--"'` + '\\';'}]; }
    """
    rows = run(
        session,
        TYPE
        + 'CREATE CONNECTOR ENTITY \'shop.odd\' FIELDS {"a": {"type": "string"}} '
        + f"QUERY_HANDLER '''{handler}''';\nREGISTER CONNECTOR TYPE 'shop';\n"
        + "CREATE CONNECTOR my_shop TYPE 'shop' "
        + """CONFIG {"api_url": "http://127.0.0.1:1", "api_key": "k"};"""
        + "SELECT a FROM my_shop.odd",
    )
    assert rows == [("it's; ''quoted'';--\"'';",)]


# ── definitions ──────────────────────────────────────────────────────────────────────────────


def test_definition_before_its_type_says_what_to_define(session: moltler.Session) -> None:
    error = refused(session, ENTITY)
    assert (error.code, place(error)) == ("CAT008", ("shop.moltler", 1, 25))
    assert error.message == "no connector type `shop`"
    assert error.hint == "define it with CREATE CONNECTOR TYPE"


def test_type_that_is_only_a_draft_says_to_register_it(session: moltler.Session) -> None:
    run(session, TYPE + ENTITY)
    error = refused(session, f"CREATE CONNECTOR my_shop TYPE 'shop' CONFIG {CONFIG}")
    assert (error.code, place(error)) == ("CAT007", ("shop.moltler", 1, 31))
    assert error.hint == "run REGISTER CONNECTOR TYPE 'shop'"


def test_misspelled_type_is_met_with_the_near_one(session: moltler.Session) -> None:
    run(session, REGISTERED)
    error = refused(session, f"CREATE CONNECTOR my_shop TYPE 'shpo' CONFIG {CONFIG}")
    assert (error.code, error.hint) == ("CAT008", "did you mean 'shop'?")


@pytest.mark.parametrize(
    ("handler", "code", "line", "column", "message"),
    [
        ("async function query(config) {\n    return [1,;\n}", "DEF005", 3, 15, "does not compile"),
        ("function qurey() {}", "DEF003", 2, 1, "does not define `query`"),
    ],
    ids=["syntax error", "without query"],
)
def test_handler_that_cannot_run_is_refused_at_its_line_of_the_script(
    session: moltler.Session, handler: str, code: str, line: int, column: int | None, message: str
) -> None:
    run(session, TYPE)
    entity = (
        'CREATE CONNECTOR ENTITY \'shop.items\' FIELDS {"id": {"type": "integer"}} QUERY_HANDLER'
    )
    error = refused(session, f"{entity} '''\n{handler}\n'''")
    assert isinstance(error, moltler.DefinitionError)
    assert (error.code, place(error)) == (code, ("shop.moltler", line, column))
    assert message in error.message


def test_action_without_execute_says_what_to_declare(session: moltler.Session) -> None:
    run(session, TYPE)
    error = refused(session, "CREATE CONNECTOR ACTION 'shop.x' HANDLER '''function run() {}'''")
    assert error.code == "DEF003"
    assert error.hint == "declare it: async function execute(config, params)"


def test_definition_reports_all_its_problems_at_once(session: moltler.Session) -> None:
    run(session, TYPE)
    error = refused(
        session,
        """CREATE CONNECTOR ENTITY 'shop.items'
        FIELDS {"id": {"type": "integr"}, "Id": {"type": "string", "nulable": false}}
        PUSHDOWN {"filters": {"x": ["="]}}
        QUERY_HANDLER 'function qurey() {}'""",
    )
    assert [p.code for p in error.problems] == ["DEF001", "DEF002", "DEF001", "DEF004", "DEF003"]
    assert [p.hint for p in error.problems if p.hint and "did you mean" in p.hint] == [
        "did you mean `integer`?",
        "did you mean `nullable`?",
    ]


def test_failing_statement_names_those_that_took_effect(session: moltler.Session) -> None:
    with pytest.raises(moltler.DefinitionError) as caught:
        run(session, TYPE + "REGISTER CONNECTOR TYPE 'shop';")
    assert (caught.value.code, caught.value.line) == ("DEF007", 7)
    assert caught.value.__notes__ == ["took effect before: CREATE CONNECTOR TYPE shop"]


def test_failure_while_rows_are_read_names_its_statement_and_what_took_effect(
    session: moltler.Session,
) -> None:
    result = session.execute(
        TYPE + "SELECT CAST(x AS INTEGER) FROM (VALUES ('1'), ('two')) AS t(x)",
        source_name="shop.moltler",
    )
    with pytest.raises(moltler.PlanError) as caught:
        list(result.rows())
    assert (caught.value.code, place(caught.value)) == ("PLN007", ("shop.moltler", 7, 48))
    assert caught.value.__notes__ == ["took effect before: CREATE CONNECTOR TYPE shop"]


# ── instances ────────────────────────────────────────────────────────────────────────────────


def test_config_that_does_not_fit_reports_everything_and_creates_nothing(
    session: moltler.Session,
) -> None:
    run(session, REGISTERED)
    error = refused(
        session,
        """CREATE CONNECTOR my_shop TYPE 'shop' CONFIG {
            "api_ur": "https://api.shop.example", "page_size": "many", "region": "us "}""",
    )
    assert {p.code for p in error.problems} == {"CAT004"}
    assert error.message.splitlines() == [
        "`config.api_ur` is not declared",
        "`config.api_url` is required and is missing",
        "`config.api_key` is required and is missing",
        "`config.page_size` must be an integer, found 'many'",
        "`config.region` must be one of 'eu', 'us', found 'us '",
    ]
    assert error.hint == "did you mean `api_url`?"
    assert [p.line for p in error.problems] == [2, 1, 1, 2, 2]


def test_options_that_do_not_fit_report_everything(session: moltler.Session) -> None:
    run(session, REGISTERED)
    create = f"CREATE CONNECTOR my_shop TYPE 'shop' CONFIG {CONFIG}"
    error = refused(session, create + ' OPTIONS {"time_out": 1, "retry_count": -1}')
    assert [p.code for p in error.problems] == ["CAT004", "CAT004"]
    assert error.hint == "did you mean `timeout_seconds`?"


def test_missing_secret_is_named_with_its_config_key_before_any_request(
    session: moltler.Session,
) -> None:
    run(session, INSTANCE)
    error = refused(session, "SELECT * FROM my_shop.items")
    assert error.code == "CAT005"
    assert "`shop_key`" in error.message
    assert "`config.api_key`" in error.message
    assert error.hint == "run `moltler secrets set shop_key`"


# ── names in queries ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("SELECT idd FROM my_shop.items", "PLN002", "did you mean `id`?"),
        ("SELECT i.idd FROM my_shop.items i", "PLN002", "did you mean `id`?"),
        ("SELECT id FROM my_shp.items", "CAT001", "did you mean `my_shop`?"),
        ("SELECT id FROM my_shop.item", "CAT002", "did you mean `my_shop.items`?"),
        ("SELECT lenght('x')", "PLN003", "LENGTH"),
        ("SHOW CONNECTOR my_shp", "CAT001", "did you mean `my_shop`?"),
        ("DESCRIBE my_shop.item", "CAT002", "did you mean `my_shop.items`?"),
        ("DISABLE CONNECTOR my_shp", "CAT001", "did you mean `my_shop`?"),
        ("CONNECTOR_EXEC my_shp.items.create({})", "CAT001", "did you mean `my_shop`?"),
    ],
)
def test_unknown_name_is_met_with_the_near_one(
    session: moltler.Session, text: str, code: str, hint: str
) -> None:
    run(session, INSTANCE)
    error = refused(session, text)
    assert error.code == code
    assert hint.lower() in (error.hint or "").lower()
    assert place(error)[:2] == ("shop.moltler", 1)
