"""Routes that imitate a list endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moltler.net.routes_data import DataRoute, Filter
from moltler.net.routes_filters import Operator
from support.mocking import Net

Make = Callable[..., Net]
ROWS = [
    {"id": 1, "name": "ax", "price": 9.5, "at": "2024-01-01T00:00:00Z", "tags": ["a", "b"]},
    {"id": 2, "name": "Bolt", "price": 10, "at": "2024-01-01T02:00:00+01:00", "tags": []},
    {"id": 3, "name": None, "price": None, "at": "2024-01-03", "deep": {"region": "eu"}},
    {"id": 10, "name": "ay", "price": -1, "at": None, "is_open": True},
]


def route(**keys: Any) -> str:
    return json.dumps({"GET /items": {"rows": ROWS, **keys}})


def ids(answer: Any) -> list[int]:
    return [row["id"] for row in answer]


@pytest.mark.parametrize(
    ("field", "op", "text", "expected"),
    [
        ("id", "=", "10", [10]),
        ("id", "=", "10.0", [10]),
        ("id", "=", "ten", []),
        ("id", "!=", "10", [1, 2, 3]),
        ("name", "!=", "ax", [2, 10]),
        ("name", "=", "AX", []),
        ("price", "<", "9.6", [1, 10]),
        ("price", "<=", "9.5", [1, 10]),
        ("price", ">", "9.5", [2]),
        ("price", ">=", "1e1", [2]),
        ("price", "=", "9.5", [1]),
        ("id", "in", "1,3,x", [1, 3]),
        ("id", "not_in", "1,3", [2, 10]),
        ("name", "like", "a_", [1, 10]),
        ("name", "like", "%o%t%", [2]),
        ("name", "like", "%%", [1, 2, 10]),
        ("name", "like", "a", []),
        ("name", "not_like", "a%", [2]),
        ("id", "between", "2,3", [2, 3]),
        ("name", "contains", "ol", [2]),
        ("tags", "contains", "b", [1]),
        ("name", "matches", "^[aB].$", [1, 10]),
        ("name", "is_null", "true", [3]),
        ("name", "is_null", "false", [1, 2, 10]),
        ("name", "is_not_null", "true", [1, 2, 10]),
        ("at", "=", "2024-01-01T00:00:00.000Z", [1]),
        ("at", ">=", "2024-01-01T01:00:00Z", [2, 3]),
        ("at", "<", "2024-01-01T01:00:00Z", [1]),
        ("deep.region", "=", "eu", [3]),
        ("is_open", "=", "true", [10]),
        ("is_open", "=", "maybe", []),
    ],
)
def test_filter_means_what_its_operator_says(
    net: Make, field: str, op: str, text: str, expected: list[int]
) -> None:
    mocked = net(route(filters={"f": {"field": field, "op": op}}))
    assert ids(mocked.get(f"/items?{urlencode({'f': text})}")) == expected


def test_repeated_parameter_of_equality_accepts_each_value(net: Make) -> None:
    mocked = net(route(filters={"id": "id", "not": {"field": "id", "op": "!="}}))
    assert ids(mocked.get("/items?id=1&id=3")) == [1, 3]
    assert ids(mocked.get("/items?not=1&not=3")) == [2, 10]


def test_parameters_that_are_not_listed_are_ignored(net: Make) -> None:
    assert ids(net(route(filters={"id": "id"})).get("/items?name=ax")) == [1, 2, 3, 10]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sort=price", [10, 1, 2, 3]),
        ("sort=-price", [2, 1, 10, 3]),
        ("sort=price&dir=desc", [2, 1, 10, 3]),
        ("sort=name", [2, 1, 10, 3]),
        ("sort=-at", [3, 2, 1, 10]),
        ("sort=at", [1, 2, 3, 10]),
    ],
)
def test_rows_are_sorted_with_null_last(net: Make, query: str, expected: list[int]) -> None:
    assert ids(net(route(sort="sort", direction="dir")).get(f"/items?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [1, 2, 3]),
        ("limit=2", [1, 2]),
        ("limit=0", []),
        ("limit=9", [1, 2, 3]),
        ("offset=3", [10]),
        ("offset=2&limit=1", [3]),
        ("offset=99", []),
    ],
)
def test_page_is_the_smaller_of_page_size_and_limit(
    net: Make, query: str, expected: list[int]
) -> None:
    mocked = net(route(limit="limit", offset="offset", page_size=3))
    assert ids(mocked.get(f"/items?{query}")) == expected


def test_an_empty_cursor_is_the_first_page(net: Make) -> None:
    keys = {"in": "items", "next": "next", "cursor": "cursor", "limit": "limit", "page_size": 3}
    mocked = net(route(**keys))
    first = mocked.get("/items")
    assert ids(first["items"]) == [1, 2, 3]
    assert mocked.get("/items?cursor=") == mocked.get("/items?limit=3&cursor=") == first


def test_cursor_leads_through_all_pages_and_ends_with_null(net: Make) -> None:
    keys = {"in": "data.items", "next": "data.next", "cursor": "after", "page_size": 3}
    mocked = net(route(**keys))
    first = mocked.get("/items")["data"]
    assert mocked.get("/items")["data"] == first
    second = mocked.get(f"/items?after={first['next']}")["data"]
    assert (ids(first["items"]), ids(second["items"])) == ([1, 2, 3], [10])
    assert second["next"] is None


def test_next_of_an_offset_is_a_number(net: Make) -> None:
    mocked = net(route(**{"in": "items", "next": "next", "offset": "offset", "page_size": 3}))
    assert mocked.get("/items")["next"] == 3


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=-1", "`limit` is `-1`, not a whole number from 0 on"),
        ("limit=many", "`limit` is `many`, not a whole number from 0 on"),
        ("cursor=3", "`cursor` is `3`, which no page gave"),
        ("sort=nam", "`sort` names `nam`, which no row has"),
        ("sort=id&dir=up", "`dir` is `up`, not asc or desc"),
        ("between=1", "`1` is not two values with a comma between them"),
    ],
)
def test_value_that_cannot_be_used_is_refused_as_an_api_would(
    net: Make, query: str, message: str
) -> None:
    mocked = net(
        route(
            filters={"between": {"field": "id", "op": "between"}},
            limit="limit", cursor="cursor", next="next", sort="sort", direction="dir",
            **{"in": "items"},
        )
    )  # fmt: skip
    answer = mocked.send("GET", f"/items?{query}")
    assert answer.status == 400
    assert json.loads(answer.body) == {"error": {"message": message}}


# ── any filter, any paging: the same rows as asking the rows themselves ──────────────────────

PLAIN: dict[Operator, Callable[[int, int], bool]] = {
    "=": lambda value, bound: value == bound,
    "!=": lambda value, bound: value != bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


@settings(deadline=None)
@given(
    values=st.lists(st.none() | st.integers(-3, 3), max_size=12),
    operator=st.sampled_from(sorted(PLAIN)),
    bound=st.integers(-3, 3),
    page_size=st.integers(1, 5),
    descending=st.booleans(),
)
def test_all_pages_together_are_the_rows_that_pass(
    values: list[int | None], operator: Operator, bound: int, page_size: int, descending: bool
) -> None:
    data = DataRoute(
        tuple({"n": index, "v": value} for index, value in enumerate(values)),
        "rows",
        {"v": Filter("v", operator)},
        cursor="cursor",
        sort="sort",
        page_size=page_size,
        next="next",
    )
    query = {"v": [str(bound)]}
    if any(value is not None for value in values):
        query["sort"] = ["-v" if descending else "v"]
    found: list[Any] = []
    while True:
        page: Any = data.answer(query)
        assert len(page["rows"]) <= page_size
        found += page["rows"]
        if page["next"] is None:
            break
        query["cursor"] = [page["next"]]
    passing = [(n, v) for n, v in enumerate(values) if v is not None and PLAIN[operator](v, bound)]
    assert [row["n"] for row in found] == [
        n for n, _ in sorted(passing, key=lambda pair: pair[1], reverse=descending)
    ]
