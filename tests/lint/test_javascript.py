"""What rules about handlers find, and what they leave alone."""

from __future__ import annotations

import pytest

from lint.conftest import HEAD, Lint

OK = "if (!response.ok) throw new ConnectorError(`status ${response.status}`);"
GET = "const response = await fetch(`${config.api_url}/items`);"


def query(body: str, signature: str = "async function query(config, filters, options)") -> str:
    return f"{signature} {{\n{body}\n}}\n"


def codes(lint: Lint, text: str) -> set[str]:
    return {f.code for f in lint(text)} - {"LNT021", "LNT040"}


@pytest.mark.parametrize(
    "loop",
    [
        "while (true) { await f(); }",
        "for (;;) { await f(); }",
        "do { await f(); } while (1);",
        "let n = 0; while (n < 3) { await f(); }",
        "for (let i = 0; i < 3; ) { await f(); }",
        "while (true) { for (const x of y) { break; } }",
        "while (true) { [1].map(() => { return 1; }); }",
        "while (true) { switch (x) { case 1: break; } }",
    ],
)
def test_a_loop_without_a_way_out_is_found(lint: Lint, loop: str) -> None:
    assert codes(lint, query(loop)) == {"LNT010"}


@pytest.mark.parametrize(
    "loop",
    [
        "while (true) { if (await f()) break; }",
        "for (;;) { if (await f()) return []; }",
        "for (;;) { throw new ConnectorError('no'); }",
        "outer: for (;;) { for (const x of y) { break outer; } }",
        "let n = 0; while (n++ < 3) { await f(); }",
        "let c; do { ({c} = await f()); } while (c);",
        "let c; do { [c] = await f(); } while (c);",
        "const p = new URLSearchParams(); do { p.set('a', await f()); } while (p.get('a'));",
        "const p = {}; do { await next(p); } while (p.more);",
        "const p = {}; do { p.more = await f(); } while (p.more);",
        "let c = 1; const next = () => { c = 0; }; while (c) { await next(); }",
        "let s = {n: 3}; while (s.n) { s.n -= 1; }",
        "while (await more()) { await f(); }",
        "while (!done()) { await f(); }",
        "for await (const x of pages()) { await f(x); }",
        "const q = [1]; while (q.length) { await f(q.pop()); }",
        "let n = 3; for (; n; n--) { await f(); }",
    ],
)
def test_a_loop_that_ends_is_left_alone(lint: Lint, loop: str) -> None:
    assert codes(lint, query(loop)) == set()


@pytest.mark.parametrize(
    "body",
    [
        "const response = await fetch(`${config.api_url}/items?page_size=50`);",
        "const p = new URLSearchParams({per_page: 100});"
        "const response = await fetch(`${config.api_url}/items?${p}`);",
        "const p = new URLSearchParams(); p.append('limit', 100);"
        "const response = await fetch(`${config.api_url}/items?${p}`);",
    ],
)
def test_a_first_page_alone_is_found(lint: Lint, body: str) -> None:
    text = query(f"{body}{OK} return (await response.json()).items.map(i => ({{id: i.id}}));")

    assert codes(lint, text) == {"LNT011"}


@pytest.mark.parametrize(
    "body",
    [
        # The whole answer is returned: the engine sees that there is a next page.
        "const r = await fetch(`${config.api_url}/items?limit=9`); if (!r.ok) throw 1;"
        "return await r.json();",
        "const r = await fetch(`${config.api_url}/items?limit=9`); if (!r.ok) throw 1;"
        "const body = await r.json(); return body;",
        # One row is all that is wanted.
        "const r = await fetch(`${config.api_url}/items?limit=1`); if (!r.ok) throw 1;"
        "return (await r.json()).items;",
        # The size is that of the query.
        "const p = new URLSearchParams(); p.append('limit', options.limit);"
        "const r = await fetch(`${config.api_url}/items?${p}`); if (!r.ok) throw 1;"
        "return (await r.json()).items;",
        # All pages at once, and page after page by recursion.
        "const all = await Promise.all([1, 2].map(async n => {"
        "const r = await fetch(`${config.api_url}/items?per_page=50&page=${n}`);"
        "if (!r.ok) throw 1; return r.json(); })); return all.flat();",
        "async function page(n) {"
        "const r = await fetch(`${config.api_url}/items?per_page=50&page=${n}`);"
        "if (!r.ok) throw 1; const {items, more} = await r.json();"
        "return more ? [...items, ...await page(n + 1)] : items; } return await page(1);",
    ],
)
def test_a_handler_that_goes_on_or_shows_that_more_follows_is_left_alone(
    lint: Lint, body: str
) -> None:
    assert codes(lint, query(body)) == set()


def test_collecting_every_page_is_found_unless_a_limit_ends_it(lint: Lint) -> None:
    loop = "let c; const rows = []; do { %s c = p.next; rows.push(...p.items); %s} while (c);"
    page = f"{GET}{OK} const p = await response.json();"

    assert codes(lint, query(loop % (page, "") + "return rows;")) == {"LNT012"}
    stopped = "if (rows.length >= options.limit) break;"
    assert codes(lint, query(loop % (page, stopped) + "return rows;")) == set()
    pulled = query(f"let c; do {{ {page} c = p.next; yield p.items; }} while (c);")
    assert codes(lint, pulled.replace("function query", "function* query")) == set()


@pytest.mark.parametrize(
    "body",
    [
        f"{GET} if (!response.ok) return [];",
        f"{GET} if (!response.ok) {{ console.log('no'); return; }}",
        f"{GET} if (!(response.ok)) return {{items: []}};",
        f"try {{ {GET}{OK} return await response.json(); }} catch (e) {{ return []; }}",
        f"let rows = []; try {{ {GET}{OK} rows = await response.json(); }} catch {{ }} return rows",
        "const get = async () => { const r = await fetch(config.api_url); if (!r.ok) throw 1;"
        "return r.json(); }; try { return await get(); } catch (e) { return null; }",
    ],
)
def test_a_failure_taken_for_no_rows_is_found(lint: Lint, body: str) -> None:
    assert codes(lint, query(body)) == {"LNT013"}


@pytest.mark.parametrize(
    "body",
    [
        f"{GET} if (response.status === 404) return []; {OK} return await response.json();",
        f"{GET} if (!response.ok) {{ if (response.status === 404) return [];"
        " throw new ConnectorError('no'); } return await response.json();",
        f"try {{ {GET}{OK} return await response.json(); }} catch (e) {{"
        " if (e.name === 'FetchError') throw new ConnectorConnectionError('no'); throw e; }",
        f"{GET} if (!response.ok) {{ let why = ''; try {{ why = (await response.json()).error; }}"
        " catch { } throw new ConnectorError(why); } return await response.json();",
        "const why = async r => { try { return (await r.json()).error; } catch { return null; } };"
        f"{GET} if (!response.ok) throw new ConnectorError(await why(response));"
        "return await response.json();",
    ],
)
def test_a_failure_that_is_told_is_left_alone(lint: Lint, body: str) -> None:
    assert codes(lint, query(body)) == set()


@pytest.mark.parametrize("read", ["response.ok", "response.status", "(({ok}) => ok)(response)"])
def test_any_look_at_the_status_counts(lint: Lint, read: str) -> None:
    body = f"{GET} check({read}); return await response.json();"

    assert codes(lint, query(body)) == set()
    assert codes(lint, query(body.replace(read, ""))) == {"LNT020"}


def test_each_missing_class_of_errors_is_named(lint: Lint) -> None:
    body = f"{GET} if (response.status === 429) throw new ConnectorRateLimitError('slow'); {OK}"

    (found,) = (f for f in lint(query(body)) if f.code == "LNT021")
    assert "ConnectorAuthError" in found.message
    assert "ConnectorRateLimitError" not in found.message


@pytest.mark.parametrize(
    "address",
    [
        "'https://other.example.com/a'",
        "`https://other.example.com/${x}`",
        "'https://other.example.com/a/' + x",
        "BASE + '/a'",
        "`${BASE}/a`",
        "new URL('/a', BASE)",
        "new URL('https://other.example.com/a').toString()",
    ],
)
def test_a_host_that_is_not_declared_is_found_and_one_that_is_left_alone(
    lint: Lint, address: str
) -> None:
    text = "const BASE = 'https://other.example.com';\n" + query(
        f"const response = await fetch({address}); {OK}"
    )
    assert codes(lint, text) == {"LNT004"}

    from lint.conftest import in_type

    allowed = HEAD.replace(";", "ALLOWED_HOSTS ['*.example.com'];", 1)
    declared = in_type(text).replace(HEAD, allowed)
    assert codes(lint, declared) == set()


@pytest.mark.parametrize(
    "address", ["config.api_url + '/a'", "`https://${config.host}/a`", "url", "page.next", "f()"]
)
def test_an_address_that_is_not_known_here_is_left_alone(lint: Lint, address: str) -> None:
    assert codes(lint, query(f"const response = await fetch({address}); {OK}")) == set()


def test_a_default_of_a_setting_declares_its_host(lint: Lint) -> None:
    from lint.conftest import in_type

    text = query(f"const response = await fetch('https://api.example.com/a'); {OK}")
    head = HEAD.replace('"required": true', '"default": "https://api.example.com"')
    assert codes(lint, in_type(text).replace(HEAD, head)) == set()


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("`${config.api_url}/items/${params.id}`", True),
        ("config.api_url + '/items/' + params.id + '/x'", True),
        ("`${config.api_url}/items/${encodeURIComponent(params.id)}`", False),
        ("`${config.api_url}/items/${params.size}`", False),
        ("`${config.api_url}/items?${new URLSearchParams(params)}`", False),
        ("config.api_url + '/items'", False),
    ],
)
def test_only_texts_that_go_into_an_address_as_they_are_are_found(
    lint: Lint, address: str, found: bool
) -> None:
    text = (
        "async function execute(config, params) {"
        f"const response = await fetch({address}, {{method: 'PUT'}}); {OK}}}"
    )
    assert codes(lint, text) == ({"LNT022"} if found else set())
    sentence = "throw new ConnectorError(`no item ${params.id} in the shop`);"
    assert codes(lint, f"async function execute(config, params) {{ {sentence} }}") == set()


@pytest.mark.parametrize(
    "text",
    [
        "const headers = {Authorization: 'Bearer 9f8a7c6b5d4e3f2a'};",
        "const apiKey = 'k3y9f8a7c6b5d4';",
        "const headers = {'X-Api-Key': '9f8a7c6b5d4e3f2a'};",
        "config.token = 'tok3n9f8a7c6b5d4e3f2a';",
        "const x = 'ghp_" + "a1B2" * 9 + "';",
        "// the old key was AKIA" + "ABCDEFGH12345678",
    ],
)
def test_a_credential_in_a_handler_is_found(lint: Lint, text: str) -> None:
    assert codes(lint, query(text)) == {"LNT001"}


@pytest.mark.parametrize(
    "text",
    [
        "const headers = {Authorization: 'Bearer ' + config.api_key};",
        "const headers = {Authorization: `Bearer ${config.api_key}`};",
        "const names = {token: 'next_page_token', secret: 'sealed'};",
        "const page_token = '';",
        "const headers = {'Content-Type': 'application/json; charset=utf-8'};",
        "const password = config.password;",
        "if (error === 'invalid_token_2') throw new ConnectorAuthError('no');",
    ],
)
def test_what_only_looks_like_one_is_left_alone(lint: Lint, text: str) -> None:
    assert codes(lint, query(text)) == set()


@pytest.mark.parametrize(
    "text",
    [
        "type Row = {id: string}; const rows: Row[] = [];\n" + query("return rows as Row[];"),
        "const query = async ({api_url}: {api_url: string}) => [];",
        "class A { #x = 1; static { } get y() { return this.#x; } }\n" + query("return [];"),
        'const re = /<([^>]+)>;\\s*rel="next"/v;\n' + query("return [10n ** 2n, a ??= b];"),
        "export {}; \n" + query("return [];"),
        "const text = `a ${`b ${1} }`} \\``;\n"
        + query("label: for (const x of y) continue label;"),
    ],
)
def test_javascript_and_typescript_of_today_are_read(lint: Lint, text: str) -> None:
    assert codes(lint, text) == set()


def test_a_finding_names_line_and_column_in_the_script(lint: Lint) -> None:
    text = query("    // ä, two bytes\n    /* ä */ while (true) { }")
    (found,) = lint(text)

    assert found.place is not None
    assert (found.place.file, found.place.column) == ("shop.moltler", 13)
    from lint.conftest import in_type

    assert in_type(text).split("\n")[found.place.line - 1].startswith("    /* ä */ while")
