"""SELECT text that is nested deeply, or long: it works, or is refused with a sentence."""

from __future__ import annotations

import time

import pytest

import moltler

DEFINITION = """
CREATE CONNECTOR TYPE 'p' CONFIG_SCHEMA {};
CREATE CONNECTOR ENTITY 'p.rows' FIELDS {"id": {"type": "integer"}, "name": {"type": "string"}}
QUERY_HANDLER 'function query() { return [1, 2, 3].map((id) => ({id, name: "n" + id})); }';
REGISTER CONNECTOR TYPE 'p'; CREATE CONNECTOR p TYPE 'p'
"""


@pytest.fixture
def rows(session: moltler.Session) -> moltler.Session:
    session.execute(DEFINITION)
    return session


def nested(before: str, after: str, depth: int) -> str:
    return f"SELECT {before * depth}1{after * depth} AS x FROM p.rows LIMIT 1"


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        ("(", ")", 1),
        ("coalesce(NULL, ", ")", 1),
        ("CASE WHEN id = 0 THEN 0 ELSE ", " END", 1),
        ("- (", ")", 1),
    ],
)
def test_ordinary_nesting_works(
    rows: moltler.Session, before: str, after: str, value: object
) -> None:
    for depth in (44, 60, 200):
        assert rows.execute(nested(before, after, depth)).value == value


@pytest.mark.parametrize(
    ("before", "after"),
    [("(", ")"), ("abs(", ")"), ("CASE WHEN TRUE THEN ", " END"), ("NOT ", ""), ("[", "]")],
)
@pytest.mark.parametrize("depth", [1_500, 5_000])
def test_absurd_nesting_is_a_mistake_in_the_text(
    rows: moltler.Session, before: str, after: str, depth: int
) -> None:
    with pytest.raises(moltler.ParseError, match="nested deeper than") as caught:
        rows.execute(nested(before, after, depth))
    assert (caught.value.code, caught.value.line) == ("SYN001", 1)


@pytest.mark.parametrize(("word", "operator", "count"), [(" OR ", "=", 3), (" AND ", "<>", 0)])
def test_a_chain_of_two_thousand_conditions_works(
    rows: moltler.Session, word: str, operator: str, count: int
) -> None:
    chain = word.join(f"id {operator} {i}" for i in range(2_000))
    assert rows.execute(f"SELECT count(*) FROM p.rows WHERE {chain}").value == count


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("id IN ({numbers})", 2),
        ("id NOT IN ({numbers})", 1),
        ("name IN ({texts})", 2),
        ("name IN ({numbers})", 0),
        ("id IN (1, {numbers}) AND name = 'n1'", 1),
        ("id IN (-1, {numbers}, 2.5)", 2),
    ],
)
def test_a_list_of_twenty_thousand_items_takes_no_quadratic_time(
    rows: moltler.Session, condition: str, count: int
) -> None:
    numbers = ",".join(str(i) for i in range(2, 20_002))
    texts = ",".join(f"'n{i}'" for i in range(2, 20_002))
    text = condition.format(numbers=numbers, texts=texts)
    # Of the processor, which other programs do not use up: a third of a second; it was seven.
    started = time.process_time()
    assert rows.execute(f"SELECT count(*) FROM p.rows WHERE {text}").value == count
    assert time.process_time() - started < 3


def test_many_bound_items_take_no_quadratic_time(rows: moltler.Session) -> None:
    text = f"SELECT count(*) FROM p.rows WHERE id IN ({','.join('?' * 20_000)})"
    started = time.process_time()
    assert rows.execute(text, list(range(20_000))).value == 3
    assert time.process_time() - started < 9  # it was twenty
