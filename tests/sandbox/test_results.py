"""What a query handler may return (LANGUAGE §7.5)."""

from __future__ import annotations

from typing import Any

import pytest

from moltler.flow.connector import CallLimits
from sandbox.conftest import Instance, Runtime

TWO = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


@pytest.mark.parametrize(
    "body",
    [
        "return [{id: 1, name: 'a'}, {id: 2, name: 'b'}];",
        "return {items: [{id: 1, name: 'a'}, {id: 2, name: 'b'}]};",
        "return new Set([{id: 1, name: 'a'}, {id: 2, name: 'b'}]);",
        "return (function* () { yield {id: 1, name: 'a'}; yield [{id: 2, name: 'b'}]; })();",
        "return {async *[Symbol.asyncIterator]() { yield [{id: 1, name: 'a'}]; "
        "yield {id: 2, name: 'b'}; }};",
        "return [Object.assign(Object.create(null), {id: 1, name: 'a'}), {id: 2, name: 'b', x: 3}]",
        "class Row { constructor(id, name) { this.id = id; this.name = name } }"
        " return [new Row(1, 'a'), new Row(2, 'b')];",
    ],
)
def test_rows_are_found_in_arrays_items_and_iterables(plain: Instance, body: str) -> None:
    assert plain.rows(f"async function query() {{ {body} }}") == TWO


@pytest.mark.parametrize(
    "text",
    [
        "function query() { return [{id: 1, name: 'a'}, {id: 2, name: 'b'}]; }",
        "const query = async () => [{id: 1, name: 'a'}, {id: 2, name: 'b'}];",
        "function* query() { yield {id: 1, name: 'a'}; yield {id: 2, name: 'b'}; }",
        "async function* query() { yield {id: 1, name: 'a'}; yield {id: 2, name: 'b'}; }",
        "const rows = await Promise.resolve([{id: 1, name: 'a'}, {id: 2, name: 'b'}]);\n"
        "const query = () => rows;",
        "interface Row { id: number; name: string }\n"
        "enum Names { a = 'a', b = 'b' }\n"
        "async function query<T>(config: object): Promise<Row[]> {\n"
        "  return [{id: 1, name: Names.a}, {id: 2, name: Names.b}] as Row[];\n}",
    ],
)
def test_entry_points_may_be_any_function_and_typescript(plain: Instance, text: str) -> None:
    assert plain.rows(text) == TWO


def test_rows_path_names_where_the_rows_are(plain: Instance) -> None:
    text = "function query() { return {data: {rows: [{id: 1, name: 'a'}]}}; }"
    assert plain.rows(text, rows_path="data.rows") == TWO[:1]


def test_rows_path_that_names_no_array_is_refused_with_the_keys_there_are(plain: Instance) -> None:
    error = plain.fails("function query() { return {data: {}}; }", rows_path="data.rows")
    assert (error.code, error.message) == (
        "JSR004",
        "ROWS_PATH 'data.rows' names no array in what the handler returned; it has the keys data",
    )


@pytest.mark.parametrize("value", ["undefined", "null"])
def test_nothing_is_no_rows_and_a_warning(plain: Instance, value: str) -> None:
    pages = plain.open(f"function query() {{ return {value}; }}")
    assert list(pages) == []
    assert [w.code for w in pages.outcome.warnings] == ["handler_returned_nothing"]


def test_empty_array_is_no_rows_without_a_warning(plain: Instance) -> None:
    pages = plain.open("function query() { return []; }")
    assert list(pages) == []
    assert pages.outcome.warnings == ()


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("5", "the handler returned no rows but a number: 5",
         "return an array of objects, or an object with an array `items`"),
        ("'abc'", 'the handler returned no rows but a string: "abc"',
         "return an array of objects, or an object with an array `items`"),
        ("{total: 1, results: [{id: 1}]}",
         "the handler returned an object without rows; it has the keys total, results",
         "return data.results"),
        ("{}", "the handler returned an object without keys, which holds no rows",
         "return data.rows"),
        ("new Response('[]')", "the handler returned a Response, not its content",
         "did you forget await response.json()?"),
        ("[{id: 1}, undefined]", "row 1 is not an object but undefined",
         "each row must be an object such as {id: 1}"),
        ("[[1, 2]]", "row 0 is not an object but array: [1,2]",
         "each row must be an object such as {id: 1}"),
        ("[Promise.resolve({id: 1})]", "row 0 is not an object but Promise: {}",
         "await it: return await Promise.all(rows)"),
        ("[null]", "row 0 is not an object but null",
         "each row must be an object such as {id: 1}"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(plain: Instance, value: str, message: str, hint: str) -> None:
    error = plain.fails(f"async function query() {{ return {value}; }}")
    assert (error.code, error.message, error.hint) == ("JSR004", message, hint)


@pytest.mark.parametrize(
    "key", ["next_cursor", "next", "next_page", "nextPage", "nextPageToken", "has_more"]
)
def test_a_named_next_page_makes_the_result_possibly_incomplete(plain: Instance, key: str) -> None:
    pages = plain.open(f"function query() {{ return {{items: [{{id: 1}}], {key}: 'x'}}; }}")
    assert sum(page.num_rows for page in pages) == 1
    assert pages.outcome.incomplete_reason == "possibly_incomplete"


def test_a_falsy_next_page_leaves_the_result_complete(plain: Instance) -> None:
    pages = plain.open("function query() { return {items: [{id: 1}], next: null}; }")
    assert sum(page.num_rows for page in pages) == 1
    assert pages.outcome.incomplete_reason is None
    assert pages.outcome.has_ended


def test_large_arrays_travel_in_pages(plain: Instance) -> None:
    pages = plain.open(
        "function query() { return Array.from({length: 25000}, (_, id) => ({id})); }"
    )
    assert [page.num_rows for page in pages] == [10_000, 10_000, 5_000]


def test_pages_too_large_for_a_frame_are_split(plain: Instance) -> None:
    text = """function* query() {
        for (let id = 0; id < 10; id++) yield {id, name: 'x'.repeat(8e6)};
    }"""
    assert [len(row["name"]) for row in plain.rows(text)] == [8_000_000] * 10


def test_rows_count_when_no_column_is_asked_for(plain: Instance) -> None:
    pages = plain.open("function query() { return [{id: 1}, {id: 2}]; }", columns=())
    assert [page.num_rows for page in pages] == [2]


def test_page_cap_ends_a_generator_without_another_request(
    runtime: Runtime, shop: Instance, http_server: Any
) -> None:
    http_server.route("GET", "/items", [{"id": 1}])
    shop.target = _with(shop, CallLimits(max_pages=2))
    pages = shop.open("""async function* query(config) {
        for (;;) yield await (await fetch(config.api_url + '/items')).json();
    }""")
    assert sum(page.num_rows for page in pages) == 2
    assert pages.outcome.incomplete_reason == "page_cap"
    assert http_server.paths == ["GET /items"] * 2


def test_page_cap_is_not_reached_by_a_generator_that_ends_there(shop: Instance) -> None:
    shop.target = _with(shop, CallLimits(max_pages=2))
    pages = shop.open("function* query() { yield [{id: 1}]; yield [{id: 2}]; }")
    assert sum(page.num_rows for page in pages) == 2
    assert pages.outcome.incomplete_reason is None


def test_page_cap_does_not_count_the_parts_of_an_array(shop: Instance) -> None:
    shop.target = _with(shop, CallLimits(max_pages=1))
    pages = shop.open("function query() { return Array.from({length: 25000}, (_, id) => ({id})); }")
    assert sum(page.num_rows for page in pages) == 25_000
    assert pages.outcome.incomplete_reason is None


def test_actions_return_any_json_value_and_undefined_is_null(plain: Instance) -> None:
    assert plain.evaluate(
        "{a: [1, 2.5, 'x', true, null], items: new Map([['k', new Set([1])]])}"
    ) == {
        "a": [1, 2.5, "x", True, None],
        "items": {"k": [1]},
    }
    assert plain.evaluate("undefined") is None


def test_actions_return_integers_exactly(plain: Instance) -> None:
    assert plain.evaluate("{id: 9007199254740993n}") == {"id": 9007199254740993}


def test_lone_surrogates_are_replaced(plain: Instance) -> None:
    assert plain.evaluate(r"{a: '\ud800 \\ud800'}") == {"a": "\ufffd \\ud800"}


@pytest.mark.parametrize("value", ["(() => 1)", "Symbol('x')", "{f() {}}"])
def test_actions_refuse_what_json_cannot_show(plain: Instance, value: str) -> None:
    error = plain.execute_fails(f"function execute() {{ return {value}; }}")
    assert error.code == "JSR004"


def test_results_nested_too_deeply_are_refused_and_the_process_lives(runtime: Runtime) -> None:
    shop = runtime.instance()
    deep = "function execute() { let v = []; for (let i = 0; i < %d; i++) v = [v]; return %s; }"
    assert shop.execute_fails(deep % (1_000_000, "v")).code == "JSR004"
    assert shop.execute_fails(deep % (300, "{toJSON: () => v}")).code == "JSR004"
    assert shop.evaluate("1") == 1


def _with(instance: Instance, limits: CallLimits) -> Any:
    from dataclasses import replace

    return replace(instance.target, limits=limits)
