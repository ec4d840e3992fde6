"""Scripts made up by hypothesis: what was printed reads back equal, and noise never crashes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moltler.errors import ParseError, Source, Span
from moltler.lang import ast
from moltler.lang.cursor import Lexeme
from moltler.lang.parser import parse
from moltler.lang.printer import format_text, print_statement
from moltler.lang.reader import Reader

SPAN = Span(Source("made up", ""), 0, 0)
FIXTURES = Path(__file__).parent.parent / "fixtures/lang"
SCRIPTS = re.findall(
    r"^#### becomes\n(.*?)(?=^#### |\Z)",
    (FIXTURES / "statements.txt").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)
QUICK = settings(max_examples=2000, deadline=2_000, suppress_health_check=[HealthCheck.too_slow])

# ── trees ──

names = st.sampled_from(
    ["a", "total", "type", "status", "end", "test", "set", "from", "x1", "_b", "then_", "User"]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
selects = st.sampled_from(
    ["SELECT 1", "select a, ';' from t -- ;\n where b = '\\'", "WITH t AS (SELECT 1) SELECT 2"]
).map(lambda text: ast.SqlText(text, span=SPAN))
literals = st.builds(
    ast.Literal,
    st.none()
    | st.booleans()
    | st.integers(min_value=0, max_value=10**30)
    | st.floats(min_value=0, allow_infinity=False, allow_nan=False)
    | texts,
    span=st.just(SPAN),
)
leaves = (
    literals
    | st.builds(ast.Name, names, span=st.just(SPAN))
    | st.builds(ast.Variable, names | st.just("null"), span=st.just(SPAN))
    | st.builds(ast.Subquery, selects, span=st.just(SPAN))
)


def intervals(parts: st.SearchStrategy[ast.Expr]) -> st.SearchStrategy[ast.Interval]:
    fixed = st.just((ast.Literal("7d", span=SPAN),))
    joined = st.tuples(parts.filter(lambda part: not isinstance(part, ast.Literal)), literals)
    return st.builds(ast.Interval, fixed | joined, span=st.just(SPAN))


def documents(values: st.SearchStrategy[ast.Expr]) -> st.SearchStrategy[ast.Document]:
    def build(members: dict[str, ast.Expr]) -> ast.Document:
        return ast.Document(
            tuple(ast.DocumentMember(k, v, SPAN, span=SPAN) for k, v in members.items()),
            span=SPAN,
        )

    return st.dictionaries(texts, values, max_size=4).map(build)


def calls(values: st.SearchStrategy[ast.Expr]) -> st.SearchStrategy[ast.Call]:
    parameters = st.lists(names, min_size=1, max_size=2, unique=True).map(tuple)
    lambdas = st.builds(ast.Lambda, parameters, values, span=st.just(SPAN))
    arguments = st.lists(values | lambdas, max_size=3).map(tuple)
    return st.builds(ast.Call, names, arguments, span=st.just(SPAN))


def executions(values: st.SearchStrategy[ast.Expr]) -> st.SearchStrategy[ast.Exec]:
    path = st.lists(names, min_size=2, max_size=3).map(tuple)
    argument = st.builds(ast.Argument, st.none() | names, values, span=st.just(SPAN))
    return st.builds(ast.Exec, path, st.lists(argument, max_size=3).map(tuple), span=st.just(SPAN))


def branches(inner: st.SearchStrategy[ast.Expr]) -> st.SearchStrategy[ast.Expr]:
    span = st.just(SPAN)
    many = st.lists(inner, min_size=1, max_size=3).map(tuple)
    container = st.builds(ast.Name, names, span=span) | st.builds(ast.Array, many, span=span)
    whens = st.lists(st.builds(ast.When, inner, inner, span=span), min_size=1, max_size=2)
    binary = st.sampled_from(["OR", "AND", "||", "??", "+", "-", "*", "/", "%"])
    compared = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    worded = st.sampled_from(["CONTAINS", "MATCHES"])
    maybe = st.none() | inner
    flags = st.booleans()
    return st.one_of(
        documents(inner),
        st.builds(ast.Array, st.lists(inner, max_size=4).map(tuple), span=span),
        st.builds(ast.Member, inner, names, span=span),
        st.builds(ast.Index, inner, inner, span=span),
        st.builds(ast.Negate, inner, span=span),
        st.builds(ast.Not, inner, span=span),
        st.builds(ast.Binary, binary, inner, inner, span=span),
        st.builds(ast.Comparison, compared, inner, inner, span=span),
        st.builds(ast.Comparison, worded, inner, inner, flags, span=span),
        st.builds(ast.IsNull, inner, flags, span=span),
        st.builds(ast.In, inner, many, st.none(), flags, span=span),
        st.builds(ast.In, inner, st.none(), container, flags, span=span),
        st.builds(ast.Like, inner, inner, maybe, flags, span=span),
        st.builds(ast.Between, inner, inner, inner, flags, span=span),
        st.builds(ast.Ternary, inner, inner, inner, span=span),
        st.builds(ast.Case, maybe, whens.map(tuple), maybe, span=span),
        st.builds(ast.Cast, inner, names, span=span),
        intervals(inner),
        calls(inner),
        executions(inner),
    )


expressions = st.recursive(leaves, branches, max_leaves=6)
values = expressions | selects
quoted_names = st.sampled_from(["a", "shop-2", "my_type"]).map(
    lambda name: ast.QuotedName((name,), span=SPAN)
)
any_document = documents(expressions)
simple = st.one_of(
    st.builds(ast.Print, expressions, span=st.just(SPAN)),
    st.builds(ast.Assert, expressions, st.none() | expressions, span=st.just(SPAN)),
    st.builds(
        ast.Declare,
        st.lists(
            st.builds(
                ast.Declaration,
                names,
                st.none() | names,
                st.none() | expressions,
                span=st.just(SPAN),
            ),
            min_size=1,
            max_size=3,
        ).map(tuple),
        span=st.just(SPAN),
    ),
    st.builds(ast.Return, st.none() | values, span=st.just(SPAN)),
    st.builds(ast.Select, selects, st.none() | names, span=st.just(SPAN)),
    st.builds(ast.ExecStatement, executions(expressions), st.none() | names, span=st.just(SPAN)),
    st.builds(
        ast.CreateConnector,
        names.filter(lambda name: name != "type"),
        quoted_names,
        st.booleans(),
        st.booleans(),
        st.none() | any_document,
        st.none() | any_document,
        st.none() | texts,
        name_span=st.just(SPAN),
        span=st.just(SPAN),
    ),
    st.builds(
        ast.Query,
        names,
        names,
        st.none() | st.builds(ast.Comparison, st.just("="), leaves, literals, span=st.just(SPAN)),
        st.just(()),
        st.none() | expressions,
        st.none() | names,
        span=st.just(SPAN),
    ),
)


def constructs(inner: st.SearchStrategy[ast.Statement]) -> st.SearchStrategy[ast.Statement]:
    span = st.just(SPAN)
    body = st.lists(inner, max_size=3).map(tuple)
    branch = st.builds(ast.Branch, expressions, body, span=span)
    catch = st.builds(ast.Catch, st.none() | names, body, span=span)
    some = st.lists(branch, min_size=1, max_size=2).map(tuple)
    counted = st.builds(ast.Range, expressions, expressions, span=span)
    listed = expressions.filter(lambda node: not isinstance(node, ast.Subquery))
    expected = st.builds(ast.ExpectError, names, st.just("LIKE"), texts, span=span)
    return st.one_of(
        st.builds(ast.Block, body, span=span),
        st.builds(ast.If, some, st.none() | body, span=span),
        st.builds(ast.While, expressions, body, span=span),
        st.builds(ast.For, names, selects | counted | listed, body, span=span),
        st.builds(
            ast.Try, body, st.lists(catch, max_size=2).map(tuple), st.none() | body, span=span
        ),
        st.builds(ast.AssertRaises, expected, body, span=span),
        st.builds(
            ast.TestDefinition,
            quoted_names,
            texts,
            st.lists(simple, max_size=3).map(tuple),
            st.lists(simple, max_size=1).map(tuple),
            st.none() | texts,
            st.lists(texts, max_size=2).map(tuple),
            st.none() | any_document,
            expect_error=st.none() | expected,
            span=span,
        ),
    )


statements = st.recursive(simple, constructs, max_leaves=4)
scripts = st.lists(statements, max_size=3)


def written(script: list[ast.Statement]) -> str:
    return "".join(f"{print_statement(statement)}\n" for statement in script)


# ── properties ──


@QUICK
@given(scripts)
def test_printed_script_reads_back_equal_and_is_canonical(script: list[ast.Statement]) -> None:
    text = written(script)

    assert parse(Source("x", text)).statements == tuple(script)
    assert format_text(Source("x", text)) == text


gaps = st.sampled_from(
    [" ", "\n", "  \n\n\n ", "\t", " /* c */ ", "/* c\n d */", " -- c\n", "\n-- c\n", "\n/* c */\n"]
)


@QUICK
@given(scripts, st.data())
def test_blanks_and_comments_between_tokens_change_nothing_and_are_kept(
    script: list[ast.Statement], data: st.DataObject
) -> None:
    trace: list[Lexeme] = []
    text = written(script)
    Reader(Source("x", text), trace).script()
    tokens = [text[start:end] for _, start, end in trace if start < end]
    chosen = itertools.cycle(data.draw(st.lists(gaps, min_size=1, max_size=12)))
    loose = "".join(token + gap for token, gap in zip(tokens, chosen, strict=False))

    formatted = format_text(Source("x", loose))

    assert parse(Source("x", formatted)) == parse(Source("x", text))
    assert format_text(Source("x", formatted)) == formatted
    assert sorted(comments(formatted)) == sorted(comments(loose))


def comments(text: str) -> list[str]:
    trace: list[Lexeme] = []
    reader = Reader(Source("x", text), trace)
    reader.script()
    tokens = [(start, end) for _, start, end in trace if start < end] + [(len(text), len(text))]
    found: list[str] = []
    position = 0
    for start, end in tokens:
        spots = reader.cursor.scanner.comments(position, start)
        found.extend(text[first:last] for first, last in spots)
        position = end
    return found


WORDS = """
    CREATE CONNECTOR TYPE ENTITY ACTION 'a' 'a.b' "k" CONFIG FIELDS { } [ ] ( ) : , ; . .. = =>
    '''x''' ''' ' " QUERY_HANDLER HANDLER FILE SELECT INTO WITH VALUES TEST NAME BEGIN END IF THEN
    ELSE LOOP FOR IN WHILE TRY CATCH FINALLY TEARDOWN PRINT DECLARE SET ASSERT RAISES EXEC QUERY
    WHERE SYNC TO ORDER BY NOT NULL IS LIKE CASE WHEN INTERVAL '7d' 1 2.5 x y ? ?? ?. || - + * / !
    @ -- /* */ \\ é \0 $$ $t$
"""
pieces = st.sampled_from(WORDS.split())


def read(text: str) -> ast.Script | ParseError:
    try:
        return parse(Source("x", text))
    except ParseError as error:
        return error


def check_total(text: str) -> None:
    """Only a ParseError may come of a text; what can be read can be formatted."""
    script = read(text)
    if isinstance(script, ParseError):
        assert all(problem.span is not None for problem in script.problems)
        return
    formatted = format_text(Source("x", text))
    assert parse(Source("x", formatted)) == script
    assert format_text(Source("x", formatted)) == formatted


@QUICK
@given(st.text(max_size=80))
def test_any_characters_give_a_script_or_a_parse_error(text: str) -> None:
    check_total(text)


@QUICK
@given(st.binary(max_size=80).map(lambda data: data.decode("latin-1")))
def test_any_bytes_give_a_script_or_a_parse_error(text: str) -> None:
    check_total(text)


@settings(QUICK, max_examples=400)
@given(st.lists(pieces, max_size=25).map(" ".join))
def test_any_words_give_a_script_or_a_parse_error(text: str) -> None:
    check_total(text)


@settings(QUICK, max_examples=400)
@given(st.sampled_from(SCRIPTS), st.sampled_from(SCRIPTS), st.data())
def test_damaged_scripts_give_a_script_or_a_parse_error(
    script: str, other: str, data: st.DataObject
) -> None:
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(script))] * 2)))
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(other))] * 2)))

    check_total(script[:start] + data.draw(pieces | st.just("")) + other[first:last] + script[end:])


@pytest.mark.parametrize("script", SCRIPTS)
def test_cut_off_scripts_give_a_script_or_a_parse_error(script: str) -> None:
    for end in range(len(script)):
        check_total(script[:end])
