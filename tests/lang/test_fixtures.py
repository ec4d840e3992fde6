"""Statements and mistakes written down as data, see tests/fixtures/lang."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from moltler.errors import ParseError, Source, Span
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.lang.printer import format_text, print_statement

FIXTURES = Path(__file__).parent.parent / "fixtures/lang"


def read_cases(name: str, divider: str) -> dict[str, tuple[str, str]]:
    """Give each case of a file: its title, the text and what comes of it."""
    text = (FIXTURES / name).read_text(encoding="utf-8")
    cases = [case.split("\n", 1) for case in re.split(r"^#### ", text, flags=re.MULTILINE)[1:]]
    titles, bodies = cases[::2], cases[1::2]
    assert {word for word, _ in bodies} == {divider}
    return {
        title: (given, result) for (title, given), (_, result) in zip(titles, bodies, strict=True)
    }


INSIDE_OTHERS = {"AdvanceClock", "SkipTest", "Jump"}
"""Statements that stand only in tests and loops: their cases hold them."""
STATEMENTS = read_cases("statements.txt", "becomes")
ERRORS = read_cases("errors.txt", "fails")


def test_every_statement_of_the_language_has_a_case() -> None:
    named = {title.split(":")[0] for title in STATEMENTS}

    assert named | INSIDE_OTHERS == {statement.__name__ for statement in get_args(ast.Statement)}


@pytest.mark.parametrize("title", STATEMENTS)
def test_statement_reads_as_its_kind_and_formats_canonically(title: str) -> None:
    given, canonical = STATEMENTS[title]

    (statement,) = parse(Source("case", given)).statements

    assert type(statement).__name__ == title.split(":")[0]
    assert format_text(Source("case", given)) == canonical
    assert parse(Source("case", canonical)).statements == (statement,)
    assert format_text(Source("case", canonical)) == canonical


@pytest.mark.parametrize("title", STATEMENTS)
def test_printed_statement_reads_back_equal(title: str) -> None:
    (statement,) = parse(Source("case", STATEMENTS[title][0])).statements

    printed = print_statement(statement)

    assert parse(Source("printed", printed)).statements == (statement,)
    assert format_text(Source("printed", printed)) == f"{printed}\n"


@pytest.mark.parametrize("title", ERRORS)
def test_mistakes_are_reported_with_code_place_and_next_action(title: str) -> None:
    given, expected = ERRORS[title]

    with pytest.raises(ParseError) as caught:
        parse(Source("case", given))

    assert [
        describe(p.code, p.span, p.message, p.hint) for p in caught.value.problems
    ] == expected.splitlines()


def describe(code: str, span: object, message: str, hint: str | None) -> str:
    assert isinstance(span, Span)
    action = f" | {hint}" if hint else ""
    return f"{code} {span.line}:{span.column} {span.text!r} {message}{action}"
