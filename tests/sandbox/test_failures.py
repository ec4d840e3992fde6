"""How what a handler throws reaches the user (LANGUAGE §7.4, §14)."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from moltler import errors
from moltler.flow.connector import CallLimits
from moltler.secret import Secret
from sandbox.conftest import FILE, LINE, Instance, Runtime
from support.http import CLOSE, HttpServer, Response, big_body, html, truncated

THROW = "async function query(config) {\n  const x = 1;\n  throw %s;\n}"


@pytest.mark.parametrize(
    ("thrown", "code", "message"),
    [
        ("new Error('API error: 500')", "JSR001", "API error: 500"),
        ("new ConnectorError('no.')", "API004", "no."),
        ("new ConnectorAuthError('bad key')", "API002", "bad key"),
        ("new ConnectorRateLimitError('slow down')", "API003", "slow down"),
        ("new ConnectorConnectionError('gone')", "API001", "gone"),
        ("new ConnectorTimeoutError('too slow')", "JSR002", "too slow"),
        ("new TypeError('odd')", "JSR006", "odd"),
        ("new RangeError('far')", "JSR006", "far"),
        ("new SyntaxError('mine')", "JSR006", "mine"),
        ("new DOMException('stop', 'AbortError')", "JSR001", "stop"),
        ("new (class ShopError extends Error {})('own')", "JSR001", "own"),
        ("'just text'", "JSR001", "just text"),
        ("null", "JSR001", "null"),
        ("undefined", "JSR001", "undefined"),
        ("{a: 1}", "JSR001", '{"a":1}'),
        ("new Error()", "JSR001", "the handler threw Error without a message"),
    ],
)
def test_each_class_has_its_code_and_the_message_is_kept(
    plain: Instance, thrown: str, code: str, message: str
) -> None:
    error = plain.fails(THROW % thrown)
    assert (error.code, error.message, type(error)) == (code, message, errors.error_class(code))


def test_errors_say_file_line_and_column_in_the_script(plain: Instance) -> None:
    error = plain.fails(THROW % "new Error('x')")
    assert (error.file, error.line, error.column) == (FILE, LINE + 2, 9)


def test_the_first_line_of_a_handler_may_begin_in_the_middle_of_a_line(plain: Instance) -> None:
    from moltler.model import Action, Handler
    from moltler.schema import Schema

    handler = Handler("function execute() { throw new Error('x'); }", FILE, LINE, column=30)
    with pytest.raises(errors.MoltlerError) as caught:
        plain.runtime.handlers.execute(plain.target, Action("create", None, Schema(), handler), {})
    assert (caught.value.line, caught.value.column) == (LINE, 57)
    assert caught.value.context.action == "create"


def test_typescript_errors_say_the_line_only(plain: Instance) -> None:
    text = "interface Row {\n  id: number\n}\nfunction query(config: object): Row[] {\n"
    error = plain.fails(text + "  throw new Error('x');\n}")
    assert (error.line, error.column) == (LINE + 4, None)


def test_an_undefined_name_is_named_with_its_line(plain: Instance) -> None:
    error = plain.fails("async function query() {\n  return await fetchFromAPI();\n}")
    assert (error.code, error.message) == ("JSR006", "fetchFromAPI is not defined")
    assert (error.line, error.column) == (LINE + 1, 3)
    assert error.hint == "define `fetchFromAPI` in the handler"


def test_stacks_are_in_script_positions_without_frames_of_ours(plain: Instance) -> None:
    error = plain.fails("function inner() { throw new Error('x') }\nfunction query() { inner(); }")
    assert error.context.stack == (
        f"Error: x\n    at inner ({FILE}:{LINE}:26)\n    at query ({FILE}:{LINE + 1}:20)"
    )


def test_context_names_connector_entity_status_and_cause(
    shop: Instance, http_server: HttpServer
) -> None:
    http_server.route("GET", "/items", 401)
    error = shop.fails("""async function query(config) {
        const response = await fetch(config.api_url + '/items');
        throw new ConnectorAuthError('no', {cause: new Error('deep'), status: response.status});
    }""")
    context = error.context
    assert (context.connector, context.entity, context.action) == (shop.target.name, "items", None)
    assert (context.status, context.cause) == (401, "Error: deep")


def test_a_status_of_the_call_is_kept_even_if_the_handler_does_not_pass_it_on(
    shop: Instance, http_server: HttpServer
) -> None:
    http_server.route("GET", "/items", 500)
    error = shop.fails("""async function query(config) {
        await fetch(config.api_url + '/items');
        throw new Error('failed');
    }""")
    assert (error.code, error.context.status) == ("JSR001", 500)


def test_retry_after_is_given_by_the_handler_or_taken_from_the_response(
    shop: Instance, http_server: HttpServer
) -> None:
    http_server.route("GET", "/items", Response(429, {}, {"Retry-After": "7"}))
    given = "function query() { throw new ConnectorRateLimitError('slow', {retryAfter: 2.5}); }"
    taken = """async function query(config) {
        await fetch(config.api_url + '/items');
        throw new ConnectorRateLimitError('slow');
    }"""
    assert (shop.fails(given).retry_after, shop.fails(taken).retry_after) == (2.5, 7)


def test_messages_and_stacks_are_redacted(runtime: Runtime) -> None:
    shop = runtime.instance({"key": "hunter2secret"}, secrets=[Secret("key", "hunter2secret")])
    error = shop.fails("function query(config) { throw new Error('bad key ' + config.key); }")
    assert error.message == "bad key [secret key]"
    assert "hunter2secret" not in str(error.context)


def test_long_messages_are_cut(plain: Instance) -> None:
    error = plain.fails("function query() { throw new Error('x'.repeat(1e8)); }")
    assert (len(error.message), error.message[-1]) == (10_000, "…")


@pytest.mark.parametrize(
    "thrown",
    [
        "Proxy.revocable({}, {}).proxy",
        "new Proxy(new Error('x'), {getPrototypeOf() { throw 1; }})",
        "new Error('x', {cause: Object.assign(new Error('y'), {name: Symbol('z')})})",
        "{get [Symbol.toStringTag]() { throw 1; }, toJSON() { throw 2; }}",
    ],
)
def test_whatever_is_thrown_is_told(plain: Instance, thrown: str) -> None:
    assert plain.fails(THROW % thrown).code == "JSR001"


def test_lone_surrogates_in_messages_and_logs_are_replaced(runtime: Runtime) -> None:
    shop = runtime.instance()
    error = shop.fails("function query() { console.log('\\ud800'); throw new Error('a\\ud800'); }")
    assert error.message == "a\ufffd"
    assert runtime.log[-1].endswith("info: \ufffd")


def test_failures_without_a_line_of_their_own_point_to_the_handler(plain: Instance) -> None:
    error = plain.fails("function query() { return 5; }")
    assert (error.code, error.file, error.line, error.column) == ("JSR004", FILE, LINE, None)


def test_errors_with_throwing_getters_are_told_all_the_same(plain: Instance) -> None:
    error = plain.fails("""function query() {
        const error = new Error('x');
        for (const key of ['status', 'message', 'stack', 'cause', 'name', 'code'])
            Object.defineProperty(error, key, {get() { throw new Error('trap'); }});
        throw error;
    }""")
    assert error.code == "JSR001"


FETCH = "async function query(config) { return (await fetch(%s)).json(); }"


def test_an_unreachable_api_is_a_connection_error(runtime: Runtime) -> None:
    with HttpServer() as server:
        url = server.url
    shop = runtime.instance({"api_url": url})
    error = shop.fails(FETCH % "config.api_url + '/items'")
    assert (error.code, type(error)) == ("API001", errors.ConnectorConnectionError)
    assert "refuses the connection" in error.message


def test_a_blocked_host_is_named_with_the_clause_to_add(shop: Instance) -> None:
    error = shop.fails(FETCH % "'https://api.other.example/items'")
    assert (error.code, type(error)) == ("API005", errors.EgressDenied)
    assert "api.other.example" in error.message
    assert error.hint == "add ALLOWED_HOSTS ['api.other.example'] to the connector type"
    assert error.line == LINE


def test_the_hint_stays_when_the_handler_makes_another_error_of_it(shop: Instance) -> None:
    error = shop.fails("""async function query(config) {
        try { await fetch('https://api.other.example/'); }
        catch (error) { throw new ConnectorConnectionError('cannot: ' + error.name); }
    }""")
    assert (error.code, error.message) == ("API001", "cannot: FetchError")
    assert error.hint == "add ALLOWED_HOSTS ['api.other.example'] to the connector type"


def test_a_secret_over_plain_http_is_refused(runtime: Runtime) -> None:
    target = runtime.instance({"key": "hunter2secret"}, secrets=[Secret("key", "hunter2secret")])
    from dataclasses import replace

    target.target = replace(
        target.target, type=replace(target.target.type, allowed_hosts=("api.other.example",))
    )
    error = target.fails(FETCH % "'http://api.other.example/?key=' + config.key")
    assert error.code == "API005"
    assert "hunter2secret" not in f"{error.message} {error.context}"


def test_html_where_json_is_expected_is_no_json(shop: Instance, http_server: HttpServer) -> None:
    http_server.route("GET", "/items", html("<p>sorry</p>", 502))
    error = shop.fails(FETCH % "config.api_url + '/items'")
    assert (error.code, error.context.status, error.line) == ("API007", 502, LINE)
    assert "response.ok" in (error.hint or "")


def test_a_syntax_error_of_the_handlers_own_is_its_own(plain: Instance) -> None:
    assert plain.fails("function query() { return JSON.parse('{'); }").code == "JSR006"


@pytest.mark.parametrize(
    ("answer", "code"),
    [(CLOSE, "API001"), (truncated({"items": []}), "API001"), (big_body(51_000_000), "API006")],
)
def test_broken_and_too_large_bodies(
    shop: Instance, http_server: HttpServer, answer: Any, code: str
) -> None:
    http_server.route("GET", "/items", answer)
    assert shop.fails(FETCH % "config.api_url + '/items'").code == code


def test_fetch_errors_have_a_name_and_a_code_and_are_type_errors(shop: Instance) -> None:
    expression = """await fetch('https://api.other.example/').catch((e) => [
        e.name, e.code, e instanceof FetchError, e instanceof TypeError, e instanceof Error])"""
    assert shop.evaluate(expression) == ["FetchError", "EGRESS_BLOCKED", True, True, True]


def test_classes_of_errors_form_the_documented_family(plain: Instance) -> None:
    expression = """[ConnectorAuthError, ConnectorRateLimitError, ConnectorConnectionError,
        ConnectorTimeoutError].map((c) => {
            const e = new c('m', {status: 4, retryAfter: 2, cause: 1});
            return [e.name, e instanceof ConnectorError, e instanceof Error, e.status,
                    e.retryAfter, e.cause];
        })"""
    assert plain.evaluate(expression) == [
        [f"Connector{name}Error", True, True, 4, 2, 1]
        for name in ("Auth", "RateLimit", "Connection", "Timeout")
    ]


def test_a_promise_that_cannot_settle_fails_at_once(runtime: Runtime) -> None:
    shop = runtime.instance()
    error = shop.fails("async function query() { await new Promise(() => {}); }")
    assert (error.code, shop.evaluate("1")) == ("JSR007", 1)


def test_a_generator_that_cannot_settle_fails_after_its_rows(runtime: Runtime) -> None:
    pages = runtime.instance().open(
        "async function* query() { yield [{id: 1}]; await new Promise(() => {}); }"
    )
    assert next(pages).num_rows == 1
    with pytest.raises(errors.MoltlerError) as caught:
        next(pages)
    assert caught.value.code == "JSR007"


def test_rows_before_an_error_are_delivered(plain: Instance) -> None:
    pages = plain.open("function* query() { yield {id: 1}; throw new Error('later'); }")
    assert next(pages).to_pylist() == [{"id": 1, "name": None}]
    with pytest.raises(errors.MoltlerError, match="later"):
        next(pages)


def test_nothing_comes_after_an_error(plain: Instance) -> None:
    pages = plain.open("function query() { throw new Error('x'); }")
    with pytest.raises(errors.MoltlerError):
        next(pages)
    assert list(pages) == []


def test_top_level_errors_are_told_like_any_other(runtime: Runtime) -> None:
    shop = runtime.instance()
    error = shop.fails("\nconst limit = undefinedName;\nfunction query() { return []; }")
    assert (error.code, error.line) == ("JSR006", LINE + 1)


def test_a_test_handler_is_run_with_the_config(runtime: Runtime) -> None:
    from dataclasses import replace

    from moltler.model import Handler

    shop = runtime.instance({"a": 1})
    handler = Handler("async function test(config) { return config; }", FILE, LINE)
    target = replace(shop.target, type=replace(shop.target.type, test_handler=handler))
    assert runtime.handlers.test(target) == {"a": 1}
    assert runtime.handlers.test(shop.target) is None


def test_timeouts_name_the_limit(runtime: Runtime) -> None:
    shop = runtime.instance(limits=CallLimits(timeout_s=0.3))
    error = shop.fails("async function query() { await new Promise((r) => setTimeout(r, 1e6)); }")
    assert (error.code, type(error)) == ("JSR002", errors.LimitExceeded)
    assert error.message == "the handler did not finish within 0.3 seconds"


@pytest.mark.parametrize(
    ("top", "code"),
    [
        ("await fetch('https://elsewhere.example/');", "API005"),
        ("try { await fetch('https://elsewhere.example/'); } catch (e) { throw e; }", "API005"),
        ("await fetch(URL);", "API001"),
        ("await new Response('<').json();", "API007"),
    ],
)
def test_a_request_that_fails_in_top_level_code_is_what_it_is_in_a_call(
    shop: Instance, top: str, code: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        lone = shop.runtime.instance({"api_url": url})
        error = lone.fails(top.replace("URL", repr(url)) + "function query() { return []; }")
    assert (error.code, error.line) == (code, LINE)


@pytest.mark.parametrize(
    ("status", "hint"),
    [(500, "check `response.ok` first: the API answered 500"), (200, "return data.rows")],
)
def test_what_holds_no_rows_after_a_refusal_asks_for_a_look_at_the_status(
    shop: Instance, http_server: HttpServer, status: int, hint: str
) -> None:
    http_server.route("GET", "/x", Response(status, {"message": "no"}))
    error = shop.fails(
        "async function query(config) { return await (await fetch(config.api_url + '/x')).json(); }"
    )
    assert (error.code, error.hint) == ("JSR004", hint)
