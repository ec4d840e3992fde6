"""The formatter: layout, comments, and what it must not touch."""

from __future__ import annotations

from textwrap import dedent

import pytest

from moltler.errors import ParseError, Source
from moltler.lang.parser import parse, parse_expression
from moltler.lang.printer import format_text, print_expression, print_statement


def formatted(text: str) -> str:
    once = format_text(Source("x", text))
    assert format_text(Source("x", once)) == once
    assert parse(Source("x", once)) == parse(Source("x", text))
    return once


def test_document_of_exactly_one_line_stays_on_it() -> None:
    line = 'PRINT {"a": "' + "x" * 80 + '"};'

    assert formatted(line + "\n") == line + "\n"
    assert len(line.replace("x" * 80, "x" * 84)) == 100
    assert formatted(line.replace("x" * 80, "x" * 84)).count("\n") == 1
    assert formatted(line.replace("x" * 80, "x" * 85)).count("\n") == 3


def test_long_document_breaks_one_member_a_line_and_short_parts_stay_whole() -> None:
    long = "x" * 60
    text = f'EXEC a.b.c({{"first": {{"a": 1}}, "second": ["{long}", "{long}"], "third": [1, 2]}});'

    assert formatted(text) == dedent(f"""\
        EXEC a.b.c({{
            "first": {{"a": 1}},
            "second": [
                "{long}",
                "{long}"
            ],
            "third": [1, 2]
        }});
        """)


def test_every_comment_is_kept_where_it_stood() -> None:
    text = """\
-- head

-- second

create /* odd */ connector type 'a' config_schema { -- opens
  "x": {"type": "string"}, -- first
  -- own line
  "y": {"type": "string"} /* behind */ , "z": {"type": "string"},
  -- last
} concurrency 3 -- trailing
;
if a then -- then
   print a+ -- middle
 b;

     /* two
        lines */
   print 2;
 -- before end
end if;


-- foot
"""
    assert (
        formatted(text)
        == """\
-- head

-- second

CREATE /* odd */ CONNECTOR TYPE 'a'
CONFIG_SCHEMA {  -- opens
    "x": {"type": "string"},  -- first
    -- own line
    "y": {"type": "string"}, /* behind */
    "z": {"type": "string"}
    -- last
}
CONCURRENCY 3;  -- trailing
IF a THEN  -- then
    PRINT a +  -- middle
        b;

    /* two
        lines */
    PRINT 2;
    -- before end
END IF;

-- foot
"""
    )


def test_raw_blocks_select_text_and_strings_are_not_touched() -> None:
    text = """\
create connector entity 'a.b' fields {} query_handler '''
   async  function query( ) { }   -- not a comment
      ''';
begin
select   a ,
  'x
   y'   from  t ;
set text = 'line
  line'   ;
end;
"""
    assert (
        formatted(text)
        == """\
CREATE CONNECTOR ENTITY 'a.b'
FIELDS {}
QUERY_HANDLER '''
   async  function query( ) { }   -- not a comment
      ''';
BEGIN
    select   a ,
  'x
   y'   from  t;
    SET text = 'line
  line';
END;
"""
    )


def test_short_form_and_sync_stay_on_one_line_while_they_fit() -> None:
    assert formatted("query  a.b\nwhere x=1\nlimit 2") == "QUERY a.b WHERE x = 1 LIMIT 2;\n"
    wide = formatted(f"query a.b where {'x' * 90} = 1 limit 2")
    assert wide == f"QUERY a.b\nWHERE {'x' * 90} = 1\nLIMIT 2;\n"


def test_empty_lines_between_statements_shrink_to_one() -> None:
    assert formatted("\n\nprint 1;print 2;\n\n\n\nprint 3") == "PRINT 1;\nPRINT 2;\n\nPRINT 3;\n"


@pytest.mark.parametrize("text", ["", "\n \n", ";;"])
def test_text_without_statements_becomes_empty(text: str) -> None:
    assert formatted(text) == ""


def test_text_of_comments_only_keeps_them() -> None:
    assert formatted("  -- a\n\n\n/* b */  ") == "-- a\n\n/* b */\n"


@pytest.mark.parametrize(
    "text",
    ["PRINT - -a;", "PRINT a - -1;", "PRINT ? .b;", "PRINT ? ?.b;", "PRINT ? ?? ?;", "PRINT !!a;"],
)
def test_blanks_that_carry_meaning_stay(text: str) -> None:
    assert formatted(text) == f"{text}\n"


def test_text_with_a_mistake_is_not_formatted() -> None:
    with pytest.raises(ParseError):
        format_text(Source("x", "PRINT 1; PRNT 2;"))


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("(a OR b) AND (c)", "(a OR b) AND c"),
        ("a - (b - c)", "a - (b - c)"),
        ("(INTERVAL '7d') || 'x'", "(INTERVAL '7d') || 'x'"),
        ("NOW() + INTERVAL n || 'd'", "NOW() + INTERVAL n || 'd'"),
        ("NOT (a = b)", "NOT a = b"),
        ("(NOT a) = b", "(NOT a) = b"),
        ("(a = b) IS NULL", "(a = b) IS NULL"),
        ("-(-a)", "- -a"),
        ("(-a).b", "(-a).b"),
        ('{"a": \'it\'\'s "x"\', "b": TRUE}', '{"a": "it\'s \\"x\\"", "b": true}'),
        (r"'^\\d+$'", r"'^\d+$'"),
        ("f((a, b) => a || b, x => x)", "f((a, b) => a || b, x => x)"),
        ("EXEC a.b((c = 1), d = 2)", "CONNECTOR_EXEC a.b((c = 1), d => 2)"),
        ("a ? (b ? c : d) : (e ? f : g)", "a ? b ? c : d : e ? f : g"),
    ],
)
def test_expression_is_printed_with_the_fewest_parentheses(text: str, printed: str) -> None:
    node = parse_expression(Source("x", text))

    assert print_expression(node) == printed
    assert parse_expression(Source("x", printed)) == node


def test_handler_that_would_close_its_block_is_printed_as_a_string() -> None:
    text = "CREATE CONNECTOR ACTION 'a.b' HANDLER 'x(\"''''''\")'"
    (node,) = parse(Source("x", text)).statements

    printed = print_statement(node)

    assert printed == "CREATE CONNECTOR ACTION 'a.b'\nHANDLER 'x(\"''''''\")';"
    assert parse(Source("x", printed)).statements == (node,)


def test_statement_cut_out_of_a_loop_can_be_printed() -> None:
    (loop,) = parse(Source("x", "WHILE a LOOP IF b THEN BREAK; END IF; END LOOP")).statements

    assert print_statement(loop.body[0]) == "IF b THEN\n    BREAK;\nEND IF;"  # type: ignore[union-attr] # a While
