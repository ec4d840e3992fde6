"""How values become cells of declared fields (LANGUAGE §7.6), and what handlers are given."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from moltler.errors import MoltlerError
from moltler.flow.connector import CallLimits
from moltler.flow.predicate import AllOf, AnyOf, Condition, EngineText, NotOf, OrderKey
from sandbox.conftest import Instance, Runtime

MIDNIGHT_MS = 1704067200000


@pytest.mark.parametrize(
    ("type_", "value", "cell"),
    [
        ("string", "'text'", "text"),
        ("string", "1.5", "1.5"),
        ("string", "true", "true"),
        ("string", "12345678901234567890n", "12345678901234567890"),
        ("string", "new Date(0)", "1970-01-01T00:00:00.000Z"),
        ("string", "'ünï\\u{1F600}'", "ünï\U0001f600"),
        ("string", "'a\\ud800b'", "a\ufffdb"),
        ("integer", "42", 42),
        ("integer", "-42", -42),
        ("integer", "'42'", 42),
        ("integer", "'1e3'", 1000),
        ("integer", "9007199254740993n", 9007199254740993),
        ("integer", "'-9223372036854775808'", -(2**63)),
        ("integer", "2**53", 2**53),
        ("number", "1.5", 1.5),
        ("number", "'1.5e3'", 1500.0),
        ("number", "10n", 10.0),
        ("boolean", "true", True),
        ("boolean", "'false'", False),
        ("boolean", "1", True),
        ("boolean", "0", False),
        ("timestamp", f"new Date({MIDNIGHT_MS})", MIDNIGHT_MS),
        ("timestamp", f"{MIDNIGHT_MS}", MIDNIGHT_MS),
        ("timestamp", "'2024-01-01T00:00:00.123456Z'", "2024-01-01T00:00:00.123456Z"),
        ("date", "'2024-01-01'", "2024-01-01"),
        ("date", f"new Date({MIDNIGHT_MS})", MIDNIGHT_MS),
    ],
)
def test_scalars_are_converted(plain: Instance, type_: str, value: str, cell: Any) -> None:
    assert plain.rows(f"function query() {{ return [{{v: {value}}}]; }}", f"v {type_}") == [
        {"v": cell}
    ]


@pytest.mark.parametrize(
    ("type_", "value", "cell"),
    [
        ("document", "{a: 1, at: new Date(0)}", {"a": 1, "at": "1970-01-01T00:00:00.000Z"}),
        ("document", "new Map([['k', {deep: [1n]}]])", {"k": {"deep": [1]}}),
        ("document", "{id: 9007199254740993n}", {"id": 9007199254740993}),
        ("any", "[1, 'x', null]", [1, "x", None]),
        ("any", "'text'", "text"),
        ("array", "[1, 2]", [1, 2]),
        ("array", "new Set(['a'])", ["a"]),
        ("array<document>", "[{a: [1]}, null]", [{"a": [1]}, None]),
        ("document", "{a: 'x\\ud800'}", {"a": "x\ufffd"}),
    ],
)
def test_documents_and_arrays_travel_as_json(
    plain: Instance, type_: str, value: str, cell: Any
) -> None:
    rows = plain.rows(f"function query() {{ return [{{v: {value}}}]; }}", f"v {type_}")
    assert [json.loads(row["v"]) for row in rows] == [cell]


@pytest.mark.parametrize(
    ("items", "value", "cell"),
    [
        ("string", "['a', null, 1, true, 2.5, 10n ** 20n]",
         ["a", None, "1", "true", "2.5", "100000000000000000000"]),
        ("string", "new Set(['ä', '日本', ''])", ["ä", "日本", ""]),
        ("string", "['x\\ud800', , undefined]", ["x\ufffd", None, None]),
        ("integer", "[1, 9007199254740993n, '7', -2.0, NaN]", [1, 9007199254740993, 7, -2, None]),
        ("number", "[1, '2.5', -0.5]", [1.0, 2.5, -0.5]),
        ("boolean", "[true, 'false', 1, null]", [True, False, True, None]),
        ("timestamp", f"[new Date({MIDNIGHT_MS}), null]", [MIDNIGHT_MS, None]),
        ("date", "['2024-01-01', new Date(0)]", ["2024-01-01", "1970-01-01T00:00:00.000Z"]),
    ],
)  # fmt: skip
def test_arrays_of_single_values_travel_as_lists(
    plain: Instance, items: str, value: str, cell: Any
) -> None:
    text = f"function query() {{ return [{{}}, {{v: {value}}}, {{v: []}}, {{v: {value}}}]; }}"
    assert [row["v"] for row in plain.rows(text, f"v array<{items}>")] == [None, cell, [], cell]


def test_lists_keep_their_place_among_other_columns(plain: Instance) -> None:
    text = """function query() {
        return Array.from({length: 20}, (_, i) => ({
            a: Array.from({length: i % 4}, (_, j) => `${i}.${j}`),
            n: i, b: [i % 2 === 0], s: `s${i}`,
        }));
    }"""
    rows = plain.rows(text, "a array<string>, n integer, b array<boolean>, s string")
    assert rows == [
        {"a": [f"{i}.{j}" for j in range(i % 4)], "n": i, "b": [i % 2 == 0], "s": f"s{i}"}
        for i in range(20)
    ]


def test_a_list_with_an_item_that_does_not_fit_is_null_whole_where_the_instance_says_so(
    runtime: Runtime,
) -> None:
    shop = runtime.instance(limits=CallLimits(null_on_type_error=True))
    text = "function query() { return [{v: [1, null]}, {v: [null, 2, 'x']}, {v: 'no'}, {v: [3]}]; }"
    pages = shop.open(text, "v array<integer>")
    assert [row["v"] for page in pages for row in page.to_pylist()] == [[1, None], None, None, [3]]
    assert [w.message for w in pages.outcome.warnings] == [
        "2 value(s) did not fit their field and became NULL"
    ]


@pytest.mark.parametrize(
    "type_", ["string", "integer", "number", "boolean", "timestamp", "date", "document", "any"]
)
def test_what_is_missing_or_not_a_number_is_null(plain: Instance, type_: str) -> None:
    text = """function query() {
        return [{}, {v: null}, {v: undefined}, {v: NaN}, {v: Infinity}].map((row) =>
            ('v' in row && typeof row.v === 'number' && %s) ? {} : row);
    }"""
    keeps_numbers = str(type_ == "document").lower()
    assert plain.rows(text % keeps_numbers, f"v {type_}") == [{"v": None}] * 5


@pytest.mark.parametrize("type_", ["string", "timestamp", "date", "any"])
def test_invalid_dates_are_null(plain: Instance, type_: str) -> None:
    text = "function query() { return [{v: new Date(undefined)}]; }"
    assert plain.rows(text, f"v {type_}") == [{"v": None}]


@pytest.mark.parametrize(
    ("type_", "value", "preview", "reason"),
    [
        ("string", "{a: 1}", '{"a":1}', "not a text"),
        ("integer", "1.5", "1.5", "not a whole number"),
        ("integer", "'abc'", '"abc"', "not a whole number"),
        ("integer", "2n ** 63n", "9223372036854775808", "beyond 64 bits"),
        ("integer", "1e300", "1e+300", "beyond 64 bits"),
        ("number", "'abc'", '"abc"', "not a number"),
        ("number", "{}", "{}", "not a number"),
        ("boolean", "'yes'", '"yes"', "not a boolean"),
        ("timestamp", "true", "true", "not a time"),
        ("array", "'a,b'", '"a,b"', "not an array"),
        ("array<string>", "'a,b'", '"a,b"', "not an array"),
        ("array<string>", "['a', {b: 1}]", '["a",{"b":1}]', "an item is not a text"),
        ("array<string>", "[['a']]", '[["a"]]', "an item is not a text"),
        ("array<integer>", "[1.5]", "[1.5]", "an item is not a whole number"),
        ("array<integer>", "[1, 2n ** 63n]", "[1,9223372036854775808]",
         "an item is beyond 64 bits"),
        ("array<number>", "[true]", "[true]", "an item is not a number"),
        ("array<boolean>", "[2]", "[2]", "an item is not a boolean"),
        ("array<date>", "[true]", "[true]", "an item is not a time"),
        ("document", "{f: () => 1}", "{}", "holds a function"),
        ("any", "Symbol('x')", "Symbol(x)", "holds a symbol"),
        ("document", "{n: 2n ** 70n}", '{"n":1180591620717411303424}',
         "an integer beyond 64 bits"),
    ],
)  # fmt: skip
def test_misfits_name_row_field_and_value(
    plain: Instance, type_: str, value: str, preview: str, reason: str
) -> None:
    error = plain.fails(f"function query() {{ return [{{}}, {{v: {value}}}]; }}", f"v {type_}")
    assert (error.code, error.message) == (
        "JSR005",
        f"row 1, field `v` ({type_}): `{preview}` is refused, {reason}",
    )


def test_cycles_are_misfits(plain: Instance) -> None:
    text = "function query() { const v = {}; v.v = v; return [{v}]; }"
    error = plain.fails(text, "v document")
    assert (error.code, "a cycle" in error.message) == ("JSR005", True)


def test_misfits_are_nulls_and_counted_where_the_instance_says_so(runtime: Runtime) -> None:
    shop = runtime.instance(limits=CallLimits(null_on_type_error=True))
    pages = shop.open("function query() { return [{id: 'x'}, {id: 2}, {id: 'y'}]; }", "id integer")
    assert [row["id"] for page in pages for row in page.to_pylist()] == [None, 2, None]
    assert [(w.code, w.message) for w in pages.outcome.warnings] == [
        ("values_nulled", "2 value(s) did not fit their field and became NULL")
    ]


def test_rows_of_later_pages_are_counted_from_the_first(plain: Instance) -> None:
    text = "function* query() { yield [{id: 1}, {id: 2}]; yield [{id: 3}, {id: 'x'}]; }"
    assert plain.fails(text, "id integer").message.startswith("row 3, field `id`")


def test_a_key_of_a_later_row_is_a_cell_and_undeclared_keys_are_dropped(plain: Instance) -> None:
    text = "function query() { return [{x: 1}, {id: 2, x: 1}]; }"
    assert plain.rows(text, "id integer") == [{"id": None}, {"id": 2}]


def test_inherited_names_of_objects_are_no_cells(plain: Instance) -> None:
    text = "function query() { return [{}, {constructor: 'mine'}]; }"
    assert plain.rows(text, "constructor string") == [
        {"constructor": None},
        {"constructor": "mine"},
    ]


def test_digits_of_integers_are_kept_wherever_they_stand_in_a_body(plain: Instance) -> None:
    text = """async function query() {
        const rows = [];
        for (let n = 0; n < 40; n++) {
            const other = '9'.repeat(n);
            const bodies = [
                `{"p":"${'x'.repeat(n)}","v":9007199254740993}`,
                `{"p":"1${other}", "v": -9007199254740993}`,
                `{"p":[${'7,'.repeat(n)}1],"v":[9007199254740993,1]}`,
                `{"p":"${other} ${other}","v":\\n9007199254740993}`,
            ];
            for (const body of bodies) {
                const { v } = await new Response(body).json();
                rows.push({v: Array.isArray(v) ? v[0] : v});
            }
        }
        const alone = await new Response('9007199254740993').json();
        return [...rows, {v: alone}];
    }"""
    rows = [row["v"] for row in plain.rows(text, "v integer")]
    assert [abs(v) for v in rows] == [9007199254740993] * 161


def test_big_integers_of_an_api_arrive_exactly(shop: Instance, http_server: Any) -> None:
    http_server.route("GET", "/items", [{"id": 9007199254740993, "name": 12345678901234567890}])
    text = """async function query(config) {
        return (await fetch(config.api_url + '/items')).json();
    }"""
    assert shop.rows(text, "id integer, name string") == [
        {"id": 9007199254740993, "name": "12345678901234567890"}
    ]


def test_handlers_see_config_filters_and_options_in_their_fixed_order(runtime: Runtime) -> None:
    shop = runtime.instance({"z": 1, "a": {"deep": [True]}}, settings={"page_size": 5})
    text = """function query(config, filters, options) {
        return [{name: JSON.stringify([config, filters, options])}];
    }"""
    [row] = shop.rows(
        text,
        "name string, total integer, at timestamp, day date",
        filters={"total": 2**60, "at": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)},
        where=(
            Condition("day", ">=", date(2024, 1, 2)),
            Condition("at", "between", (datetime(2024, 1, 1, tzinfo=UTC),
                                        datetime(2024, 1, 2, 0, 0, 0, 1, tzinfo=UTC))),
            AnyOf((Condition("name", "is_null"), NotOf(Condition("name", "in", ("a", "b"))))),
            AllOf((Condition("total", "=", 1),)),
            EngineText("length(name) > 3"),
        ),
        order_by=(OrderKey("at", descending=True), OrderKey("name", nulls_first=True)),
        fields=("name",),
        limit=7,
    )  # fmt: skip
    assert row["name"] == json.dumps(
        [
            {"z": 1, "a": {"deep": [True]}},
            {"total": 2**60, "at": "2024-01-02T03:04:05.000Z"},
            {
                "limit": 7,
                "order_by": [
                    {"field": "at", "direction": "desc"},
                    {"field": "name", "direction": "asc", "nulls": "first"},
                ],
                "fields": ["name"],
                "where": [
                    {"field": "day", "op": ">=", "value": "2024-01-02"},
                    {"field": "at", "op": "between",
                     "value": ["2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000001Z"]},
                    {"any": [{"field": "name", "op": "is_null"},
                             {"not": {"field": "name", "op": "in", "value": ["a", "b"]}}]},
                    {"all": [{"field": "total", "op": "=", "value": 1}]},
                    {"op": "engine", "text": "length(name) > 3"},
                ],
                "settings": {"page_size": 5},
            },
        ],
        separators=(",", ":"),
    )  # fmt: skip


def test_options_and_filters_are_empty_without_hints(plain: Instance) -> None:
    text = "function query(...all) { return [{name: JSON.stringify(all)}]; }"
    assert plain.rows(text, "name string") == [{"name": "[{},{},{}]"}]


def test_arguments_are_copies_made_for_each_call(plain: Instance) -> None:
    text = """function query(config, filters, options) {
        const seen = JSON.stringify(options);
        options.limit = 99; options.x = 1; filters.y = 2;
        return [{name: seen}];
    }"""
    assert [plain.rows(text, "name string", limit=1) for _ in range(2)] == [
        [{"name": '{"limit":1}'}]
    ] * 2


def test_parameters_of_actions_keep_order_and_big_integers(plain: Instance) -> None:
    text = "function execute(config, params) { return [JSON.stringify(params), typeof params.b]; }"
    assert plain.execute(text, {"b": 2**60, "a": "ü'\ud800"}) == [
        '{"b":1152921504606846976,"a":"ü\'\\ud800"}',
        "bigint",
    ]


def test_arguments_that_are_too_large_are_refused_before_they_are_sent(plain: Instance) -> None:
    with pytest.raises(MoltlerError, match="allowed are 4,194,304") as caught:
        plain.execute("function execute() {}", {"a": "x" * (5 << 20)})
    assert caught.value.code == "PLN005"


def test_two_instances_share_no_module_state(runtime: Runtime) -> None:
    text = "let calls = 0; function query() { calls += 1; return [{id: calls}]; }"
    one, two = runtime.instance(), runtime.instance()
    assert [one.rows(text, "id integer"), one.rows(text, "id integer")] == [
        [{"id": 1}],
        [{"id": 2}],
    ]
    assert two.rows(text, "id integer") == [{"id": 1}]


def test_a_changed_instance_gets_a_fresh_process(runtime: Runtime) -> None:
    text = "let calls = 0; function query() { calls += 1; return [{id: calls}]; }"
    shop = runtime.instance()
    assert shop.rows(text, "id integer") == [{"id": 1}]
    shop.target = replace(shop.target, credential_version="2")
    assert shop.rows(text, "id integer") == [{"id": 1}]


def test_two_handlers_of_an_instance_are_modules_of_their_own(runtime: Runtime) -> None:
    shop = runtime.instance()
    first = "const cache = 1; function query() { return [{id: cache}]; }"
    second = "const cache = 2; function query() { return [{id: cache}]; }"
    assert [shop.rows(text, "id integer") for text in (first, second, first)] == [
        [{"id": 1}],
        [{"id": 2}],
        [{"id": 1}],
    ]
