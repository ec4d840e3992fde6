"""Definitions, tests and suppressions; files, and types of the catalog."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pytest

from lint.conftest import ENTITY, HEAD, TESTS, Lint, in_type
from moltler.catalog.build import build_entity, build_type
from moltler.errors import Source
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.lint.check import lint_type
from moltler.lint.definitions import RESERVED
from moltler.lint.scripts import lint_scripts
from moltler.session.definitions import read_beside
from support.reference_page import JAVASCRIPT_HEADINGS, ReferencePage

QUOTES = "'''"
GOOD = "async function query(config, filters) { return []; }"
BAD = "async function query(config) { while (true) { } }"


def found(lint: Lint, text: str) -> list[tuple[str, int]]:
    return [(f.code, f.place.line if f.place else 0) for f in lint(text)]


def test_reserved_words_are_those_of_the_engine() -> None:
    with duckdb.connect() as engine:
        rows = engine.sql(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
        ).fetchall()

    assert {row[0] for row in rows} == RESERVED


@pytest.mark.parametrize("name", ["end", "From", "order", "group", "to", "desc"])
def test_a_field_called_by_a_word_of_sql_is_found(lint: Lint, name: str) -> None:
    text = in_type(GOOD).replace('"size"', f'"{name}"', 1)

    assert found(lint, text) == [("LNT033", 10)]


def test_a_type_without_tests_is_found_once(lint: Lint) -> None:
    assert found(lint, in_type(GOOD).replace(TESTS, "")) == [("LNT040", 1)]


def test_entities_and_actions_without_a_test_are_named(lint: Lint) -> None:
    action = "CREATE CONNECTOR ACTION 'shop.items.drop' DESCRIPTION 'x' HANDLER '''%s''';"
    text = in_type(GOOD) + action % "const execute = () => null;"
    second = in_type(GOOD).split(TESTS)[0].replace(HEAD, "").replace("items", "orders")

    messages = [f.message for f in lint(text + second) if f.code == "LNT040"]
    assert messages == [
        "no test uses the action `shop.items.drop`",
        "no test uses the entity `shop.orders`",
    ]


def test_auth_tells_which_settings_are_credentials(lint: Lint) -> None:
    text = HEAD.replace("};", '} AUTH {"scheme": "bearer", "token": "code"};').replace(
        '"api_key": {"type": "string", "secret": true', '"code": {"type": "string"'
    )
    assert ("LNT002", 5) in found(lint, text)


@pytest.mark.parametrize(
    ("config", "is_found"),
    [
        ('{"api_key": "plain text"}', True),
        ('{"api_key": "{{secrets.shop_key}}"}', False),
        ("""{"api_key": ENV('SHOP_KEY')}""", False),
        ('{"api_url": "https://shop.example"}', False),
    ],
)
def test_a_connector_created_with_a_plain_credential_is_found(
    lint: Lint, config: str, is_found: bool
) -> None:
    text = in_type(GOOD) + f"CREATE CONNECTOR mine TYPE 'shop' CONFIG {config};"

    assert ("LNT001" in {f.code for f in lint(text)}) is is_found


def test_a_credential_in_a_test_is_found(lint: Lint) -> None:
    key = "xoxb-" + "1234567890-abc"
    assert "LNT001" in {f.code for f in lint(in_type(GOOD).replace('"test"', f'"{key}"'))}


# ── suppressions ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "async function query(config) {\n// lint-ok LNT010: it is stopped by its caller\n"
        "while (true) { }\n}",
        "async function query(config) {\nwhile (true) { } // lint-ok LNT010: it is stopped\n}",
        "async function query(config) {\n// lint-ok LNT010, LNT013: it is stopped by its caller\n"
        "// and this goes on\n\nwhile (true) { }\n}",
        "async function query(config) {\n/* lint-ok LNT010 it is stopped by its caller */\n"
        "while (true) { }\n}",
    ],
)
def test_a_comment_with_a_reason_suppresses_the_line_below_or_its_own(
    lint: Lint, text: str
) -> None:
    assert found(lint, text) == []


def test_a_comment_elsewhere_suppresses_nothing_and_is_found(lint: Lint) -> None:
    text = "// lint-ok LNT010: it is stopped by its caller\nasync function query(config) {\n"

    assert {f.code for f in lint(text + "while (true) { }\n}")} == {"LNT010", "LNT091"}


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        ("// lint-ok", "the suppression names no rule"),
        ("// lint-ok because I say so", "the suppression names no rule"),
        ("// lint-ok LNT010", "nothing says why LNT010 does not apply here"),
        ("// lint-ok LNT010: no", "nothing says why LNT010 does not apply here"),
        ("// lint-ok LNT999: it is stopped", "there is no rule LNT999"),
    ],
)
def test_a_suppression_needs_a_rule_and_a_reason(lint: Lint, comment: str, message: str) -> None:
    text = f"async function query(config) {{\n{comment}\nwhile (true) {{ }}\n}}"
    findings = lint(text)

    assert [f.code for f in findings] == ["LNT090", "LNT010"]
    assert findings[0].message == message


def test_comments_of_the_language_suppress_in_definitions(lint: Lint) -> None:
    text = in_type(GOOD).replace('        "size"', '-- lint-ok LNT033: as the API has it\n"end"')

    assert found(lint, text) == []


# ── types of the catalog ─────────────────────────────────────────────────────────────────────


def test_a_type_of_the_catalog_is_judged_as_its_script_is() -> None:
    for handler, expected in ((GOOD, []), (BAD, ["LNT010"])):
        text = in_type(handler)
        script = parse(Source("shop.moltler", text))
        type_statement, entity_statement, test = script.statements
        assert isinstance(type_statement, ast.CreateType)
        assert isinstance(entity_statement, ast.CreateEntity)
        assert isinstance(test, ast.TestDefinition)
        type_ = build_type(type_statement, read_file=read_beside, check=lambda *_: ())
        entity = build_entity(entity_statement, read_file=read_beside, check=lambda *_: ())
        whole = replace(type_, entities=(entity,))

        findings = lint_type(whole, [test])
        assert [f.code for f in findings] == expected
        assert [str(f) for f in findings] == [
            str(f) for f in lint_scripts([Source("shop.moltler", text)], read_beside)
        ]


def test_suppressions_inside_handlers_reach_the_catalog() -> None:
    text = in_type(BAD.replace("while", "\n// lint-ok LNT010: it is stopped early\nwhile"))
    statements = parse(Source("shop.moltler", text)).statements
    assert isinstance(statements[0], ast.CreateType)
    assert isinstance(statements[1], ast.CreateEntity)
    assert isinstance(statements[2], ast.TestDefinition)
    type_ = build_type(statements[0], read_file=read_beside, check=lambda *_: ())
    entity = build_entity(statements[1], read_file=read_beside, check=lambda *_: ())

    assert lint_type(replace(type_, entities=(entity,)), [statements[2]]) == ()


# ── texts that are wrong otherwise ───────────────────────────────────────────────────────────


def test_a_text_that_cannot_be_read_is_a_finding_that_is_an_error(lint: Lint) -> None:
    (finding,) = lint("CREATE CONNECTR TYPE 'shop';")

    assert (finding.code, finding.severity) == ("SYN001", "error")


def test_a_wrong_definition_is_a_finding_and_the_rest_is_judged(lint: Lint) -> None:
    text = in_type(BAD).replace('"integer"', '"whole"')

    assert [c for c, _ in found(lint, text)] == ["DEF001"]


def test_an_entity_of_a_type_defined_elsewhere_is_judged_by_itself(lint: Lint) -> None:
    text = ENTITY.replace("'shop.", "'far.") + BAD + "''';"

    assert [c for c, _ in found(lint, "-- alone: CONNECTOR TYPE 'shop'\n" + text)] == ["LNT010"]


# ── the reference page ───────────────────────────────────────────────────────────────────────

TRUE_OF_IT = {"LNT020", "LNT021", "LNT030", "LNT031", "LNT040", "LNT041"}
"""What its short examples leave out: warnings, and each of them is right."""


@pytest.mark.parametrize("heading", [None, *JAVASCRIPT_HEADINGS])
def test_nothing_false_is_said_about_the_reference_page(
    page: ReferencePage, heading: str | None
) -> None:
    text = page.sql("1. Define Connector Type")
    entity = page.sql("2. Define Entities")
    if heading is not None:
        entity = f"{entity[: entity.index(QUOTES)]}{QUOTES}\n{page.javascript(heading)}{QUOTES};\n"
    for part in ("4. Implement Actions", "5. Register Connector", "Create Instance"):
        text += page.sql(part)
    for part in ("Unit Tests", "Integration Tests"):
        text += page.sql(part)
    findings = lint_scripts([Source("page.sql", text + entity)], read_beside)

    assert {f.code for f in findings} <= TRUE_OF_IT, [str(f) for f in findings]
    assert {f.severity for f in findings} == {"warning"}
    assert "LNT031" in {f.code for f in findings}
