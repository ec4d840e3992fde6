from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from moltler.errors import (
    ConnectorError,
    ErrorContext,
    MoltlerError,
    ParseError,
    PlanError,
    Problem,
    ScriptPosition,
    Source,
    Span,
)
from moltler.flow.result import Column, Done
from moltler.flow.scan import Warning
from moltler.render.text import error_lines, make_console, print_done, print_rows, print_warning


def lines(error: MoltlerError) -> list[str]:
    return [line.plain for line in error_lines(error)]


def at(text: str, token: str) -> Span:
    """Give where a token stands in a text."""
    start = text.index(token)
    return Span(Source("a.moltler", text), start, start + len(token))


def printed(columns: list[Column], rows: list[tuple[object, ...]]) -> str:
    stream = io.StringIO()
    assert print_rows(make_console(stream, color=False), columns, rows) == len(rows)
    return stream.getvalue()


def test_error_shows_place_caret_allowed_and_hint_in_this_order() -> None:
    error = ParseError(
        "SYN001",
        "unknown statement `SELEC`",
        hint="did you mean SELECT?",
        span=at("SELECT 1;\nSELEC 2;", "SELEC 2"),
        allowed=("SELECT", "SHOW"),
    )
    assert lines(error) == [
        "error[SYN001]: unknown statement `SELEC`",
        "  --> a.moltler:2:1",
        "   | SELEC 2;",
        "   | ^^^^^^^",
        "   = allowed: SELECT, SHOW",
        "hint: did you mean SELECT?",
    ]


@pytest.mark.parametrize(
    ("text", "token", "carets"),
    [
        ("\tSELECT nope", "nope", "        ^^^^"),
        ("SELECT '日本', nope", "nope", "               ^^^^"),
        ("SELECT '\x1b', nope", "nope", "               ^^^^"),
        ("SELECT 日本", "日本", "       ^^^^"),
        ("SELECT nope\nFROM x", "nope\nFROM", "       ^^^^"),
        ("x" * 100 + " nope " + "y" * 100, "nope", " " * 60 + "^^^^"),
    ],
    ids=["tab", "wide letters", "escape", "wide token", "several lines", "long line"],
)
def test_carets_stand_below_the_token(text: str, token: str, carets: str) -> None:
    found = lines(PlanError("PLN003", "no", span=at(text, token)))
    assert found[3] == "   | " + carets
    assert len(found[2]) <= 130


def test_problems_of_one_place_show_its_line_once() -> None:
    span = at("CREATE CONNECTOR x TYPE 't'", "x")
    problems = tuple(Problem("CAT004", name, span=span) for name in ("one", "two"))
    assert lines(MoltlerError.of(problems)) == [
        "error[CAT004]: one",
        "  --> a.moltler:1:18",
        "   | CREATE CONNECTOR x TYPE 't'",
        "   |                  ^",
        "",
        "error[CAT004]: two",
        "  --> a.moltler:1:18",
    ]


def test_failure_of_a_handler_shows_stack_status_cause_and_notes() -> None:
    error = ConnectorError(
        "API004",
        "API error",
        span=ScriptPosition("a.moltler", 9, 5),
        retry_after=7.5,
        context=ErrorContext(
            status=503,
            cause="maintenance",
            stack="Error: x\n    at fetchPage (a.moltler:9:5)\n    at query (a.moltler:12:3)",
        ),
    )
    error.add_note("took effect before: CREATE CONNECTOR x")
    assert lines(error) == [
        "error[API004]: API error",
        "  --> a.moltler:9:5",
        "   at fetchPage (a.moltler:9:5)",
        "   at query (a.moltler:12:3)",
        "   = the last response had status 503",
        "   = cause: maintenance",
        "   = retry after: 7.5 s",
        "   = note: took effect before: CREATE CONNECTOR x",
    ]


def test_stack_of_one_frame_repeats_nothing() -> None:
    context = ErrorContext(status=500, stack="Error: API error: 500\n    at query (a.moltler:9:5)")
    place = ScriptPosition("a.moltler", 9, 5)
    error = ConnectorError("API004", "API error: 500", span=place, context=context)
    assert lines(error) == ["error[API004]: API error: 500", "  --> a.moltler:9:5"]


def test_more_than_a_dozen_allowed_names_are_counted() -> None:
    error = PlanError("PLN002", "no such column", allowed=tuple("abcdefghijklmno"))
    assert lines(error)[1] == "   = allowed: a, b, c, d, e, f, g, h, i, j, k, l, and 3 more"


def test_table_aligns_numbers_right_and_shows_null() -> None:
    columns = [Column("n", "integer"), Column("text", "string")]
    table = printed(columns, [(7, "a"), (12345, None)])
    assert [line.rstrip() for line in table.splitlines()] == [
        "    n   text",
        "────────────",
        "    7   a",
        "12345   NULL",
    ]


def test_table_of_many_rows_is_printed_block_by_block() -> None:
    pulled: list[int] = []
    printed_at: list[int] = []

    def rows() -> Iterator[tuple[object, ...]]:
        for n in range(2500):
            pulled.append(n)
            yield (n,)

    count = print_rows(
        make_console(io.StringIO(), color=False),
        [Column("n", "integer")],
        rows(),
        before_print=lambda: printed_at.append(len(pulled)),
    )
    assert count == 2500
    assert printed_at == [1000, 2000, 2500]


def test_commands_to_the_terminal_inside_values_are_shown_not_obeyed() -> None:
    table = printed([Column("a", "string")], [("\x1b]0;owned\x07",), ("two\nlines",)])
    assert "\\x1b]0;owned\\x07" in table
    assert "\x1b" not in table
    assert "two\n" in table.replace(" ", "")


def test_markup_in_values_is_text() -> None:
    assert "[bold]x[/bold] :smile:" in printed(
        [Column("a", "string")], [("[bold]x[/bold] :smile:",)]
    )


def test_receipts_and_warnings_are_one_line() -> None:
    stream = io.StringIO()
    console = make_console(stream, color=False)
    print_done(console, Done("CREATE CONNECTOR", "my_shop"))
    print_done(console, Done("REGISTER CONNECTOR TYPE", "shop", "nothing had changed"))
    print_warning(console, Warning("values_nulled", "2 value(s)", "my_shop.items"))
    assert stream.getvalue().splitlines() == [
        "✓ CREATE CONNECTOR my_shop",
        "✓ REGISTER CONNECTOR TYPE shop (nothing had changed)",
        "warning[values_nulled]: 2 value(s) (my_shop.items)",
    ]
