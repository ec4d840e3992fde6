"""Handlers are compiled, not run, when they are defined (LANGUAGE §4.5)."""

from __future__ import annotations

import pytest

from moltler.errors import Problem
from moltler.model import Handler
from sandbox.conftest import FILE, LINE, Runtime

EARLY = "the handler ends too early: a bracket, quote or comment is not closed"


def check(runtime: Runtime, text: str, entry: str = "query") -> list[tuple[str, str, int, int]]:
    """Give code, message, line and column (0 if unknown) of each problem."""
    problems = runtime.handlers.check(Handler(text, FILE, LINE, 5), entry)
    return [(p.code, p.message, *_place(p)) for p in problems]


def _place(problem: Problem) -> tuple[int, int]:
    assert problem.file == FILE
    return problem.line or 0, problem.column or 0


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("query", "async function query(config, filters, options) { return missing; }"),
        ("query", "const query = async () => [];"),
        ("query", "const a = await fetch('x'); function* query() {}"),
        ("query", "throw new Error('not run'); function query() {}"),
        ("query", "interface A { b: 1 }\nasync function query(a: A): Promise<A[]> { return [] }"),
        ("query", "export async function query() {}"),
        ("query", "const a = {default: 1}, t = 'export default 1'; export function query() {}"),
        ("query", "export const t = `\nexport * from 'y'\nimport 'x'`; function query() {}"),
        ("query", "switch (1) { default: /* export default */ } export {query}; let query = f"),
        ("query", "const text = `\nimport x from 'y'\n`; function query() {}"),
        ("query", "const a = {import(x) {}}, b = `import(${a.import(1)})`; function query() {}"),
        ("query", "/* import(x) */ class A { import(x) {} } // import(y)\nfunction query() {}"),
        ("execute", "async function execute(config, params) { return new URL('x'); }"),
        ("test", "async function test(config) { while (true); }"),
    ],
)  # fmt: skip
def test_good_handlers_have_no_problem(runtime: Runtime, entry: str, text: str) -> None:
    assert check(runtime, text, entry) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("function query() {\n  return 1 +;\n}",
         ("DEF005", "the handler does not compile: Expression expected", LINE + 1, 13)),
        ("function query() { return 'x }",
         ("DEF005", EARLY, LINE, 35)),
        ("\n\nfunction query() {\n  if (x) {\n}",
         ("DEF005", EARLY, LINE + 4, 2)),
        ("/* abc\nfunction query() {}",
         ("DEF005", EARLY,
          LINE + 1, 20)),
        ("const x: number = 'y\nfunction query() {}",
         ("DEF005", "the handler does not compile: Unterminated string constant", LINE, 23)),
        ("async function other() {}", ("DEF003", "the handler does not define `query`", LINE, 5)),
        ("import fs from 'node:fs';\nfunction query() {}",
         ("DEF005", "`import` is not available in connectors", LINE, 5)),
        ("async function query() {\n  return await import('data:text/javascript,1'); }",
         ("DEF005", "`import` is not available in connectors", LINE + 1, 16)),
        ("const text = 'import(1)'; function* query() { yield /* no */ import /* x */ (text); }",
         ("DEF005", "`import` is not available in connectors", LINE, 66)),
        ("const f = (x: string) => import(x);\nfunction query() {}",
         ("DEF005", "`import` is not available in connectors", LINE, 30)),
        ("function query() {}\n\nimport {a} from 'https://example.com/a.js';",
         ("DEF005", "`import` is not available in connectors", LINE + 2, 1)),
        ("function query() {}\nexport {readFile} from 'node:fs';",
         ("DEF005", "`import` is not available in connectors", LINE + 1, 1)),
        ("function query() {} export * from 'data:text/javascript,1';",
         ("DEF005", "`import` is not available in connectors", LINE, 25)),
        ("function query(a: string) {}\nimport type {A} from 'a';",
         ("DEF005", "`import` is not available in connectors", LINE + 1, 1)),
        ("/**/ import 'node:fs'; function other() {}",
         ("DEF005", "`import` is not available in connectors", LINE, 10)),
        ("async function query() { return await import//\r('data:text/javascript,1'); }",
         ("DEF005", "`import` is not available in connectors", LINE, 43)),
        ("async function query() { return await import.defer('data:text/javascript,1'); }",
         ("DEF005", "`import` is not available in connectors", LINE, 43)),
        ("const a = 1;\nexport {\n  b as c } /* ' */ from 'a'; function query() {}",
         ("DEF005", "`import` is not available in connectors", LINE + 1, 1)),
        ("export default async function query() {}",
         ("DEF005", "`export default` is not available in connectors", LINE, 5)),
        ("// export default\nfunction query(a: string) {}\n  export /* x */ default query;",
         ("DEF005", "`export default` is not available in connectors", LINE + 2, 3)),
        ("function query() {}\nexport { query as default };",
         ("DEF005", "`export default` is not available in connectors", LINE + 1, 1)),
    ],
)  # fmt: skip
def test_problems_say_what_and_where_in_the_script(
    runtime: Runtime, text: str, problem: tuple[str, str, int, int]
) -> None:
    assert check(runtime, text) == [problem]


def test_a_missing_entry_point_says_how_to_declare_it(runtime: Runtime) -> None:
    [problem] = runtime.handlers.check(Handler("", FILE, LINE), "execute")
    assert problem.hint == "declare it: async function execute(config, params)"


def test_a_text_beyond_the_cap_is_refused(runtime: Runtime) -> None:
    [problem] = runtime.handlers.check(Handler("//" + "x" * (1 << 20), FILE, LINE), "query")
    assert (problem.code, "1,048,576" in problem.message) == ("DEF005", True)
