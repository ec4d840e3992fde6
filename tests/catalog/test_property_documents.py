from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from moltler.catalog.build import check_draft
from moltler.errors import DefinitionError, MoltlerError, Problem, Span
from moltler.model import ConnectorType, FilterClaim, Handler, PushDown
from moltler.schema import DataType, Property
from support.definitions import Define


def problems_of(error: MoltlerError) -> list[tuple[str, str]]:
    """Code and text marked of every problem."""
    return [(p.code, p.span.text if isinstance(p.span, Span) else "") for p in error.problems]


def refused(definer: Define, clause: str, property_document: str) -> list[tuple[str, str]]:
    """What is wrong with one property `x` of a clause."""
    by_clause: dict[str, Callable[[str], object]] = {
        "FIELDS": definer.entity,
        "PARAMETERS": definer.action,
        "RETURNS": definer.action,
    }
    define = by_clause.get(clause, definer.type)
    with pytest.raises(DefinitionError) as caught:
        define(f'{clause} {{"x": {property_document}}}')
    return problems_of(caught.value)


def test_a_config_property_is_read_with_all_its_keys(definer: Define) -> None:
    type_ = definer.type(
        """CONFIG_SCHEMA {
             "url": {"type": "STRING", "required": true, "pattern": "^h", "description": "base"},
             "size": {"type": "Integer", "default": 50, "minimum": 1, "maximum": 100},
             "key": {"type": "string", "secret": true, "expose": true, "expose_reason": "signing"},
             "since": {"type": "datetime", "enum": ["2024-01-01", "2025-01-01T00:00:00Z"]},
             "retry": {"type": "object", "properties": {"max": {"type": "integer", "default": 3}}},
             "tags": {"type": "array", "items": "string"}}"""
    )
    assert type_.config_schema.properties == (
        Property("url", DataType("string"), "base", required=True, pattern="^h"),
        Property("size", DataType("integer"), has_default=True, default=50, minimum=1, maximum=100),
        Property("key", DataType("string"), secret=True, expose=True, expose_reason="signing"),
        Property(
            "since",
            DataType("timestamp"),
            enum=("2024-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z"),
        ),
        Property(
            "retry",
            DataType(
                "document",
                properties=(Property("max", DataType("integer"), has_default=True, default=3),),
            ),
        ),
        Property("tags", DataType("array", items=DataType("string"))),
    )


def test_fields_are_read_with_their_keys(definer: Define) -> None:
    entity = definer.entity(
        """FIELDS {"Id": {"type": "integer", "primary_key": true},
                   "name": {"type": "string", "nullable": false, "collation": "binary"},
                   "state": {"type": "string", "enum": ["open", "closed"]},
                   "search": {"type": "string", "filter_only": true},
                   "lines": {"type": "array", "items": {"type": "document",
                     "properties": {"sku": {"type": "string", "nullable": false}}}}}
           DESCRIPTION 'things' ROWS_PATH 'data.items'"""
    )
    assert entity.fields.primary_key == ("Id",)
    assert [f.nullable for f in entity.fields] == [False, False, True, True, True]
    assert entity.fields.properties[3].filter_only
    line = DataType("document", properties=(Property("sku", DataType("string"), nullable=False),))
    assert entity.fields.properties[4].type == DataType("array", items=line)
    assert (entity.name, entity.description, entity.rows_path) == ("items", "things", "data.items")


@pytest.mark.parametrize(
    ("clause", "document", "code", "marked"),
    [
        ("CONFIG_SCHEMA", '"string"', "DEF001", '"string"'),
        ("CONFIG_SCHEMA", '{"type": "text"}', "DEF001", '"text"'),
        ("CONFIG_SCHEMA", '{"type": 3}', "DEF001", "3"),
        ("CONFIG_SCHEMA", "{}", "DEF001", '"x"'),
        ("CONFIG_SCHEMA", '{"type": "string", "required_": true}', "DEF001", '"required_"'),
        ("CONFIG_SCHEMA", '{"type": "string", "primary_key": true}', "DEF001", '"primary_key"'),
        ("CONFIG_SCHEMA", '{"type": "string", "nullable": true}', "DEF001", '"nullable"'),
        ("OPTIONS_SCHEMA", '{"type": "string", "secret": true}', "DEF001", '"secret"'),
        ("PARAMETERS", '{"type": "string", "secret": true}', "DEF001", '"secret"'),
        ("PARAMETERS", '{"type": "string", "required": "yes"}', "DEF001", '"yes"'),
        ("PARAMETERS", "NULL", "DEF001", "NULL"),
        ("PARAMETERS", "TRUE", "DEF001", "TRUE"),
        ("PARAMETERS", "[]", "DEF001", "[]"),
        ("PARAMETERS", '{"type": "array", "default": ["a", 1], "items": "string"}', "DEF006", "1"),
        ("PARAMETERS",
         '{"type": "array", "items": {"type": "document", "properties": {"a": {"type": "number"}}},'
         ' "default": [{"a": 1}, {"b": 1}]}', "DEF006", '"b"'),
        ("PARAMETERS", '{"type": "string", "enum": []}', "DEF001", "[]"),
        ("PARAMETERS", '{"type": "integer", "minimum": "1"}', "DEF001", '"1"'),
        ("PARAMETERS", '{"type": "string", "description": 1}', "DEF001", "1"),
        ("RETURNS", '{"type": "string", "required": true}', "DEF001", '"required"'),
        ("FIELDS", '{"type": "string", "default": "a"}', "DEF001", '"default"'),
        ("FIELDS", '{"type": "array", "items": "txt"}', "DEF001", '"txt"'),
        ("FIELDS", '{"type": "array", "items": {"type": "string", "enum": ["a"]}}', "DEF001",
         '"enum"'),
        ("FIELDS", '{"type": "document", "properties": []}', "DEF001", "[]"),
        ("FIELDS",
         '{"type": "document", "properties": {"a": {"type": "string", "primary_key": true}}}',
         "DEF001", '"primary_key"'),
        ("PARAMETERS", '{"type": "string", "required": true, "default": "a"}', "DEF006",
         '"default"'),
        ("PARAMETERS", '{"type": "integer", "default": "a"}', "DEF006", '"a"'),
        ("PARAMETERS", '{"type": "integer", "default": 9, "maximum": 5}', "DEF006", "9"),
        ("PARAMETERS", '{"type": "string", "default": "b", "enum": ["a"]}', "DEF006", '"b"'),
        ("PARAMETERS", '{"type": "integer", "enum": [1, "2"]}', "DEF006", '"2"'),
        ("PARAMETERS", '{"type": "number", "enum": [1, 2, 1.0]}', "DEF006", "1.0"),
        ("PARAMETERS", '{"type": "integer", "minimum": 5, "maximum": 4}', "DEF006", '"minimum"'),
        ("PARAMETERS", '{"type": "string", "minimum": -5}', "DEF006", '"minimum"'),
        ("PARAMETERS", '{"type": "integer", "pattern": "a"}', "DEF006", '"pattern"'),
        ("PARAMETERS", '{"type": "string", "pattern": "("}', "DEF006", '"("'),
        ("PARAMETERS", '{"type": "string", "items": "string"}', "DEF006", '"items"'),
        ("PARAMETERS", '{"type": "array", "properties": {}}', "DEF006", '"properties"'),
        ("CONFIG_SCHEMA", '{"type": "integer", "secret": true}', "DEF006", '"secret"'),
        ("CONFIG_SCHEMA", '{"type": "string", "expose": true}', "DEF006", '"expose"'),
        ("CONFIG_SCHEMA", '{"type": "string", "secret": true, "expose_reason": "a"}', "DEF006",
         '"expose_reason"'),
        ("FIELDS", '{"type": "document", "primary_key": true}', "DEF006", '"primary_key"'),
        ("FIELDS", '{"type": "string", "primary_key": true, "nullable": true}', "DEF006",
         '"nullable"'),
        ("FIELDS", '{"type": "string", "primary_key": true, "filter_only": true}', "DEF006",
         '"filter_only"'),
        ("FIELDS", '{"type": "string", "collation": "nocase"}', "DEF006", '"collation"'),
        ("FIELDS", '{"type": "integer", "collation": "binary"}', "DEF006", '"collation"'),
    ],
)  # fmt: skip
def test_a_property_that_is_wrong_is_refused_where_it_is_wrong(
    definer: Define, clause: str, document: str, code: str, marked: str
) -> None:
    assert refused(definer, clause, document) == [(code, marked)]


@pytest.mark.parametrize("key", ["_synced_at", "_RUN_ID", "_deleted_at", "first-name", "1st", ""])
def test_a_field_name_that_is_taken_or_no_name_is_refused(definer: Define, key: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.entity(f'FIELDS {{"id": {{"type": "string"}}, "{key}": {{"type": "string"}}}}')
    assert problems_of(caught.value) == [("DEF002", f'"{key}"')]


def test_fields_that_differ_only_by_case_are_refused(definer: Define) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.entity('FIELDS {"Id": {"type": "string"}, "ID": {"type": "string"}}')
    assert problems_of(caught.value) == [("DEF002", '"ID"')]
    assert "`Id` and `ID`" in caught.value.message


def test_an_option_of_the_engine_cannot_be_declared(definer: Define) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.type('OPTIONS_SCHEMA {"timeout_seconds": {"type": "number"}}')
    assert problems_of(caught.value) == [("DEF002", '"timeout_seconds"')]


@pytest.mark.parametrize("key", ["a.b", " "])
def test_a_config_key_that_could_not_be_named_in_a_path_is_refused(
    definer: Define, key: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.type(f'CONFIG_SCHEMA {{"{key}": {{"type": "string"}}}}')
    assert problems_of(caught.value) == [("DEF002", f'"{key}"')]


def test_a_default_of_null_is_no_default(definer: Define) -> None:
    (declared,) = definer.action('PARAMETERS {"x": {"type": "any", "default": NULL}}').parameters
    assert not declared.has_default


def test_an_unknown_key_names_the_nearest_one_and_all_that_are_allowed(definer: Define) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.action('PARAMETERS {"x": {"type": "string", "required_": true}}')
    assert caught.value.hint == "did you mean `required`?"
    assert "default" in caught.value.problems[0].allowed


def test_a_key_in_the_wrong_place_names_its_place(definer: Define) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.type('CONFIG_SCHEMA {"x": {"type": "string", "filter_only": true}}')
    assert caught.value.hint == "it belongs to FIELDS; leave it out"


@pytest.mark.parametrize("fields", ["{}", '{"q": {"type": "string", "filter_only": true}}'])
def test_an_entity_without_a_column_is_refused(definer: Define, fields: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.entity(f"FIELDS {fields}")
    assert problems_of(caught.value) == [("DEF006", fields)]


@pytest.mark.parametrize("path", ["", ".items", "data..items"])
def test_rows_path_must_be_a_path(definer: Define, path: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.entity(f"""FIELDS {{"id": {{"type": "string"}}}} ROWS_PATH '{path}'""")
    assert caught.value.code == "DEF006"


# ── PUSHDOWN ─────────────────────────────────────────────────────────────────────────────────

FIELDS = """FIELDS {"Status": {"type": "string"}, "at": {"type": "timestamp"},
                    "body": {"type": "document"}, "q": {"type": "string", "filter_only": true}}"""


def test_claims_are_read_under_the_declared_names(definer: Define) -> None:
    entity = definer.entity(
        FIELDS
        + """ PUSHDOWN {"filters": {"status": ["=", "in"], "at": [">=", "<"],
               "q": {"operators": ["contains"], "required": true}, "body": {"required": true}},
               "order_by": ["AT"], "limit": true}"""
    )
    assert entity.pushdown == PushDown(
        {
            "Status": FilterClaim(frozenset({"=", "in"})),
            "at": FilterClaim(frozenset({">=", "<"})),
            "q": FilterClaim(frozenset({"contains"}), required=True),
            "body": FilterClaim(frozenset(), required=True),
        },
        frozenset({"at"}),
        limit=True,
    )


@pytest.mark.parametrize(
    ("pushdown", "marked", "hint"),
    [
        ('{"filter": {}}', '"filter"', "did you mean `filters`?"),
        ('{"filters": []}', "[]", 'write {"status": ["="]}'),
        ('{"filters": {"stat": ["="]}}', '"stat"', "did you mean `Status`?"),
        ('{"filters": {"at": "="}}', '"="', 'write ["="]'),
        ('{"filters": {"at": ["=="]}}', '"=="', "did you mean `=`?"),
        ('{"filters": {"at": ["IS NULL"]}}', '"IS NULL"', "did you mean `is_null`?"),
        ('{"filters": {"at": [1]}}', "1", None),
        ('{"filters": {"at": {"operator": ["="]}}}', '"operator"', "did you mean `operators`?"),
        ('{"filters": {"at": {"operators": "="}}}', '"="', 'write ["="]'),
        ('{"filters": {"at": {"required": 1}}}', "1", None),
        ('{"filters": {"at": ["="], "AT": ["<"]}}', '"AT"', "leave one out"),
        ('{"order_by": "at"}', '"at"', 'write ["created_at"]'),
        ('{"order_by": ["att"]}', '"att"', "did you mean `at`?"),
        ('{"order_by": ["q"]}', '"q"', "leave it out"),
        ('{"order_by": ["body"]}', '"body"', "leave it out"),
        ('{"limit": 1}', "1", None),
    ],
)
def test_a_claim_that_cannot_be_is_refused(
    definer: Define, pushdown: str, marked: str, hint: str | None
) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.entity(f"{FIELDS} PUSHDOWN {pushdown}")
    assert problems_of(caught.value) == [("DEF004", marked)]
    assert caught.value.hint == hint


# ── whole statements ─────────────────────────────────────────────────────────────────────────


def test_a_statement_reports_all_its_problems_in_the_order_of_the_text(definer: Define) -> None:
    wrong = Problem("DEF003", "it does not bind `query`")
    definer.check = lambda _handler, _entry: (wrong,)
    with pytest.raises(DefinitionError) as caught:
        definer.entity(
            """FIELDS {"id": {"type": "stringy", "primary_keys": true}, "ID": {"type": "string"}}
               PUSHDOWN {"filters": {"nope": ["~"]}}"""
        )
    assert problems_of(caught.value) == [
        ("DEF003", ""),
        ("DEF001", '"stringy"'),
        ("DEF001", '"primary_keys"'),
        ("DEF002", '"ID"'),
        ("DEF004", '"nope"'),
        ("DEF004", '"~"'),
    ]


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("*", "name the hosts, such as `*.example.com`"),
        ("*.*", "name the hosts, such as `*.example.com`"),
        ("", "name the hosts, such as `*.example.com`"),
        ("https://api.example.com/v1", "write `api.example.com`"),
        ("api.example.com/v1", "write `api.example.com`"),
        ("api.*.com", "write `*` only at the start: `*.example.com`"),
        ("*example.com", "write `*` only at the start: `*.example.com`"),
        ("api.example.com:70000", "a port is a number from 1 to 65535"),
        ("api.example.com:", "write `host` or `host:port`"),
        ("api..com", "write a host such as `api.example.com`"),
        ("my host", "write a host such as `api.example.com`"),
        ("*.10.0.0.1", "name the address alone"),
        ("10.0.0.999", "write it like 192.0.2.1"),
    ],
)
def test_a_malformed_allowed_host_is_refused(definer: Define, host: str, hint: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.type(f"ALLOWED_HOSTS ['ok.example.com', '{host}']")
    assert problems_of(caught.value) == [("DEF007", f"'{host}'")]
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "host",
    ["api.example.com", "*.Example.com:8443", "localhost", "10.0.0.1:80", "[::1]:80", "bücher.de"],
)
def test_a_well_formed_allowed_host_is_kept_as_written(definer: Define, host: str) -> None:
    assert definer.type(f"ALLOWED_HOSTS ['{host}']").allowed_hosts == (host,)


def test_an_allowed_host_must_be_a_string(definer: Define) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.type("ALLOWED_HOSTS [1]")
    assert problems_of(caught.value) == [("DEF007", "1")]


@pytest.mark.parametrize(("given", "kept"), [(1, 1), (2, 2)])
def test_concurrency_is_kept(definer: Define, given: int, kept: int) -> None:
    assert definer.type(f"CONCURRENCY {given}").concurrency == kept


def test_concurrency_of_none_is_refused(definer: Define) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.type("CONCURRENCY 0")
    assert caught.value.code == "DEF006"


# ── handlers ─────────────────────────────────────────────────────────────────────────────────


def test_a_handler_knows_where_its_text_stands(definer: Define) -> None:
    seen: list[tuple[Handler, str]] = []

    def check(handler: Handler, entry: str) -> tuple[Problem, ...]:
        seen.append((handler, entry))
        return ()

    definer.check = check
    definer.entity(
        """FIELDS {"id": {"type": "string"}}\nQUERY_HANDLER '''\nfunction query() {}'''"""
    )
    definer.action("HANDLER '''function execute() {}'''")
    definer.type("TEST_HANDLER '''\nfunction test() {}\n'''")
    assert [(h.text, h.file, h.line, entry) for h, entry in seen] == [
        ("function query() {}", "shop.moltler", 3, "query"),
        ("function execute() {}", "shop.moltler", 1, "execute"),
        ("function test() {}\n", "shop.moltler", 2, "test"),
    ]


def test_a_handler_of_a_file_is_read_once_and_named_after_it(definer: Define) -> None:
    asked: list[str] = []

    def read_file(path: str, span: Span) -> str:
        asked.append(f"{path} {span.text}")
        return "function query() {}"

    definer.read_file = read_file
    entity = definer.entity("""FIELDS {"id": {"type": "string"}} QUERY_HANDLER FILE './q.js'""")
    assert entity.handler == Handler("function query() {}", "./q.js", 1)
    assert asked == ["./q.js FILE './q.js'"]


def test_a_file_that_cannot_be_read_is_one_problem_among_others(definer: Define) -> None:
    with pytest.raises(DefinitionError) as caught:
        definer.entity("""FIELDS {"id": {"type": "txt"}} QUERY_HANDLER FILE './gone.js'""")
    assert problems_of(caught.value) == [("DEF001", '"txt"'), ("DEF005", "FILE './gone.js'")]


def test_an_action_belongs_to_an_entity_or_to_the_type(definer: Define) -> None:
    own = definer.action("IDEMPOTENT DESCRIPTION 'again'", name="shop.sweep")
    assert (own.path, own.entity, own.idempotent, own.description) == ("sweep", None, True, "again")
    assert definer.action(name="shop.items.create").path == "items.create"


# ── drafts ───────────────────────────────────────────────────────────────────────────────────


def test_a_draft_without_entity_and_action_cannot_be_registered(definer: Define) -> None:
    (problem,) = check_draft(definer.type())
    assert problem.code == "DEF007"
    assert problem.hint == "add one with CREATE CONNECTOR ENTITY 'shop.items'"


def test_a_draft_with_one_action_can_be_registered(definer: Define) -> None:
    assert check_draft(ConnectorType("shop", actions=(definer.action(),))) == ()


def test_a_draft_whose_claims_name_no_field_cannot_be_registered(definer: Define) -> None:
    entity = definer.entity(f'{FIELDS} PUSHDOWN {{"order_by": ["at"]}}')
    other = definer.entity('FIELDS {"id": {"type": "string"}}')
    torn = ConnectorType(
        "shop",
        entities=(type(entity)("items", other.fields, entity.handler, None, entity.pushdown),),
    )
    (problem,) = check_draft(torn)
    assert (problem.code, "`at`" in problem.message) == ("DEF007", True)


def test_registering_compiles_every_handler_once_more(definer: Define) -> None:
    entries: list[str] = []

    def check(_handler: Handler, entry: str) -> tuple[Problem, ...]:
        entries.append(entry)
        return (Problem("DEF005", "it does not compile"),)

    draft = replace(
        definer.catalog().type("shop").draft,
        test_handler=Handler("function test() {}", "shop.moltler", 1),
    )
    found = check_draft(draft, check=check)
    assert entries == ["test", "query", "execute"]
    assert [p.code for p in found] == ["DEF005", "DEF005", "DEF005"]


def test_a_draft_with_a_malformed_host_cannot_be_registered(definer: Define) -> None:
    draft = replace(definer.catalog().type("shop").draft, allowed_hosts=("*",))
    assert [p.code for p in check_draft(draft)] == ["DEF007"]
