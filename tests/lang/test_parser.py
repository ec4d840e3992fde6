"""What texts mean: literals, operators, SELECT text, places, and limits."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from moltler.errors import ParseError, Source
from moltler.lang import ast
from moltler.lang.parser import parse, parse_expression


def expression(text: str) -> ast.Expr:
    return parse_expression(Source("x", text))


def statement(text: str) -> ast.Statement:
    (only,) = parse(Source("x", text)).statements
    return only


def literal(text: str) -> object:
    node = expression(text)
    assert isinstance(node, ast.Literal)
    return node.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        ('"say ""hi"""', 'say "hi"'),
        (r"'a\n\t\r\\\'\"é'", "a\n\t\r\\'\"é"),
        (r"'^\d+\.\b$'", r"^\d+\.\b$"),
        (r'"\b\f\/"', "\b\f/"),
        (r"'😀'", "😀"),
        ("'''x'", "'x"),
        ("'two\nlines; -- no comment'", "two\nlines; -- no comment"),
        ("'{{secrets.x}}'", "{{secrets.x}}"),
        ("42", 42),
        ("12345678901234567890123", 12345678901234567890123),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("null", None),
        ("True", True),
    ],
)
def test_literal_has_its_value(text: str, value: object) -> None:
    assert literal(text) == value
    assert type(literal(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("a OR b AND NOT c = d", "a OR (b AND (NOT (c = d)))"),
        ("a = b || c ?? d + e * -f.g[0]", "a = (b || (c ?? (d + (e * (-((f.g)[0]))))))"),
        ("a - b - c", "(a - b) - c"),
        ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
        ("a == b", "a = b"),
        ("a != b", "a <> b"),
        ("a?.b", "a.b"),
        ("a?.5:b", "a ? 0.5 : b"),
        ("! a", "NOT a"),
        ("a BETWEEN 1 AND 2 AND b", "(a BETWEEN 1 AND 2) AND b"),
        ("a NOT LIKE 'x' || 'y' ESCAPE '!'", "a NOT LIKE ('x' || 'y') ESCAPE '!'"),
        ("a IN ((SELECT 1), 2)", "a IN (((SELECT 1)), (2))"),
        ("NOW() - INTERVAL days || 'd'", "NOW() - (INTERVAL days || 'd')"),
        ("-- c\n a /* b */ + 1 -- d", "a + 1"),
    ],
)
def test_expression_groups_by_precedence(text: str, same: str) -> None:
    assert expression(text) == expression(same)


@pytest.mark.parametrize(
    "word", ["type", "status", "name", "from", "end", "schedule", "user", "test", "set", "select_"]
)
def test_word_of_a_statement_serves_as_variable_key_and_argument(word: str) -> None:
    assert expression(word) == ast.Name(word, span=expression(word).span)
    assert isinstance(statement(f"DECLARE {word} = 1"), ast.Declare)
    assert isinstance(statement(f"SET {word}.{word} = {word}"), ast.Set)
    assert isinstance(statement(f"FOR {word} IN {word} LOOP END LOOP"), ast.For)
    assert isinstance(statement(f"EXEC {word}.{word}({word} => {word})"), ast.ExecStatement)
    assert isinstance(statement(f"QUERY {word}.{word} WHERE {word} = 1"), ast.Query)


def test_at_sign_makes_a_variable_of_any_word() -> None:
    node = expression("@null")

    assert isinstance(node, ast.Variable)
    assert node.name == "null"


def test_test_connector_with_a_quoted_name_defines_a_test() -> None:
    assert isinstance(statement("TEST CONNECTOR shop"), ast.TestConnector)
    assert isinstance(
        statement("TEST CONNECTOR TYPE 'shop' NAME 'x' BEGIN END TEST"), ast.TestDefinition
    )


@pytest.mark.parametrize(
    ("text", "sql", "into"),
    [
        ("SELECT ';' AS \";\" -- ;\n FROM t;", "SELECT ';' AS \";\" -- ;\n FROM t", None),
        ("SELECT 1 -- end\n;", "SELECT 1", None),
        ("SELECT 'a\\';", "SELECT 'a\\'", None),
        ("SELECT 1 /* x */ INTO v -- w", "SELECT 1", "v"),
        ("SELECT f(INTO v)", "SELECT f(INTO v)", None),
        ("SELECT a INTO FROM t", "SELECT a INTO FROM t", None),
        (
            "with t as (select 1) select * from t into x",
            "with t as (select 1) select * from t",
            "x",
        ),
        ("((SELECT 1))", "((SELECT 1))", None),
    ],
)
def test_select_text_ends_by_the_rules_of_sql(text: str, sql: str, into: str | None) -> None:
    node = statement(text)

    assert isinstance(node, ast.Select)
    assert (node.sql.text, node.into) == (sql, into)


def test_select_in_parentheses_ends_at_the_parenthesis_that_it_did_not_open() -> None:
    node = statement("PRINT (SELECT ')' FROM f(1)) = 1")

    assert isinstance(node, ast.Print)
    assert isinstance(node.value, ast.Comparison)
    assert isinstance(node.value.left, ast.Subquery)
    assert node.value.left.select.text == "SELECT ')' FROM f(1)"


def test_positional_parameters_are_counted_over_the_whole_script() -> None:
    script = parse(Source("x", "PRINT ?; SELECT ?, '?' /* ? */, ? FROM t; PRINT f((SELECT ?), ?)"))

    first, second, third = script.statements
    assert isinstance(first, ast.Print)
    assert isinstance(second, ast.Select)
    assert isinstance(third, ast.Print)
    assert isinstance(third.value, ast.Call)
    subquery, last = third.value.arguments
    assert isinstance(first.value, ast.Positional)
    assert isinstance(subquery, ast.Subquery)
    assert isinstance(last, ast.Positional)
    numbers = (second.sql.first_positional, subquery.select.first_positional)
    assert (first.value.index, *numbers, last.index) == (0, 1, 3, 4)


def test_where_of_query_reads_names_and_strings_as_sql_does() -> None:
    node = statement("""QUERY a.b WHERE "null" = 'c\\' AND d.\"E\" MATCHES '\\d' LIMIT "x\\ny" """)

    assert isinstance(node, ast.Query)
    null, backslash, pattern = ("null", "c\\", "\\d")
    assert isinstance(node.where, ast.Binary)
    first, second = node.where.left, node.where.right
    assert isinstance(first, ast.Comparison)
    assert isinstance(second, ast.Comparison)
    assert (first.left, first.right) == (
        ast.Name(null, span=node.span),
        ast.Literal(backslash, span=node.span),
    )
    assert second.left == expression("d.E")
    assert second.right == ast.Literal(pattern, span=node.span)
    assert isinstance(node.limit, ast.Literal)
    assert node.limit.value == "x\ny"


def test_raw_handler_is_kept_verbatim_with_its_place() -> None:
    text = "CREATE CONNECTOR ACTION 'a.b'\n  HANDLER '''\n  it's \\'''\nIDEMPOTENT"
    node = statement(text)

    assert isinstance(node, ast.CreateAction)
    assert isinstance(node.handler, ast.HandlerText)
    assert (node.handler.text, node.handler.line, node.handler.column) == ("  it's \\", 3, 1)
    assert node.handler.span.text == "'''\n  it's \\'''"
    assert node.idempotent


def test_last_semicolon_may_be_left_out_and_empty_statements_mean_nothing() -> None:
    assert parse(Source("x", ";; PRINT 1;;\n-- end\n")) == parse(Source("x", "PRINT 1"))
    assert parse(Source("x", "\ufeff")).statements == ()


def test_span_covers_the_statement_without_its_semicolon() -> None:
    first, second = parse(Source("x", "PRINT 1 ;\n SELECT 2 -- c\n;")).statements

    assert (first.span.text, second.span.text) == ("PRINT 1", "SELECT 2")


def test_nul_is_an_unexpected_character() -> None:
    with pytest.raises(ParseError, match=r"unexpected character `U\+0000`"):
        parse(Source("x", "PRINT 1 \0;"))


def test_no_more_than_twenty_mistakes_are_reported() -> None:
    with pytest.raises(ParseError) as caught:
        parse(Source("x", "SELEC 1;" * 50))

    assert len(caught.value.problems) == 20


@pytest.mark.parametrize(
    "unit",
    [
        "(", "[", '{"a":', "f(", "x IN (", "NOT ", "- ", "CASE ", "a ? ", "a.b", "1+", "BEGIN ",
        "IF a THEN ", "TRY ", "TEST CONNECTOR TYPE 'a' NAME 'b' BEGIN ", "'", '"', "\\'", "/*",
        "'''", "$a$", "\0", "(SELECT ", ";", "é", "9",
    ],
)  # fmt: skip
@pytest.mark.parametrize("head", ["", "PRINT ", "SELECT ", "DECLARE a = ("])
def test_nonsense_is_refused_or_read_in_time_that_grows_with_its_length(
    unit: str, head: str
) -> None:
    text = head + unit * (100_000 // len(unit))
    started = time.process_time()

    with suppress(ParseError):
        parse(Source("x", text))

    assert time.process_time() - started < 2


def test_brackets_around_a_select_are_matched_once() -> None:
    text = "PRINT " + "(" * 40 + "SELECT " + "(1)," * 50_000 + "1" + ")" * 40

    assert isinstance(statement(text), ast.Print)


def test_four_thousand_statements_take_less_than_a_second() -> None:
    text = "SET total = total + 1;\nCREATE CONNECTOR c TYPE 'x' CONFIG {\"a\": [1, 2]};\n" * 2_000
    started = time.process_time()

    statements = parse(Source("x", text)).statements

    assert len(statements) == 4_000
    # Measured 0.15 s of processor time; the bound leaves room for a busy machine.
    assert time.process_time() - started < 1


def test_nesting_that_is_too_deep_is_one_mistake() -> None:
    text = "IF TRUE THEN " * 200 + "PRINT 1; " + "END IF; " * 200
    with pytest.raises(ParseError) as caught:
        parse(Source("x", text))
    assert [p.message for p in caught.value.problems] == ["this is nested deeper than 60 levels"]
