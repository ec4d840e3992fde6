"""The connectors of the repository: their tests, claims, rules, layout and pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import moltler
from moltler.errors import Source
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.lang.printer import format_text
from moltler.lint.scripts import lint_scripts
from moltler.session.definitions import read_beside
from moltler.testing.report import TestReport

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "connectors"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
INSTANCES = """
CREATE CONNECTOR gh TYPE 'github' CONFIG {"token": "{{secrets.a}}"};
CREATE CONNECTOR jira TYPE 'jira' CONFIG {
    "site_url": "https://acme.atlassian.net",
    "email": "ada@example.com",
    "api_token": "{{secrets.a}}"
};
CREATE CONNECTOR pd TYPE 'pagerduty' CONFIG {"api_token": "{{secrets.a}}"};
CREATE CONNECTOR chat TYPE 'slack' CONFIG {"token": "{{secrets.a}}"};
CREATE CONNECTOR dd TYPE 'datadog' CONFIG {"api_key": "{{secrets.a}}", "app_key": "{{secrets.a}}"};
"""


def sources(name: str) -> list[Source]:
    paths = [FOLDER / name / f"{name}.moltler", FOLDER / name / "tests.moltler"]
    return [Source(str(p.relative_to(ROOT)), p.read_text(encoding="utf-8")) for p in paths]


def readme(name: str) -> str:
    return (FOLDER / name / "README.md").read_text(encoding="utf-8")


TESTS = [
    (name, statement.name)
    for name in NAMES
    for statement in parse(sources(name)[1]).statements
    if isinstance(statement, ast.TestDefinition)
]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[moltler.Session]:
    """One session for all: the worlds of tests keep them apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLTLER_KEY", "a key for tests only, long enough")
        patch.setenv("MOLTLER_SECRET_A", "of no account")
        with moltler.connect(tmp_path_factory.mktemp("laboratory") / "home") as session:
            yield session


def run(
    session: moltler.Session, scripts: list[Source], name: str | None = None
) -> list[TestReport]:
    collection = session.collect_tests(scripts)
    wanted = [test for test in collection.tests if name in (None, test.name)]
    return [session.run_test(test, collection) for test in wanted]


def test_there_are_the_five_that_the_list_names() -> None:
    listed = re.findall(r"^\| \[(\w+)\]", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)

    assert sorted(listed) == NAMES
    assert set(NAMES) >= {"github", "jira", "pagerduty", "slack", "datadog"}


@pytest.mark.parametrize(("name", "test"), TESTS)
def test_a_test_passes_and_leaves_nothing_to_say(
    laboratory: moltler.Session, name: str, test: str
) -> None:
    (report,) = run(laboratory, sources(name), test)

    assert (report.status, report.failure, report.notes) == ("passed", None, ())


@pytest.mark.slow  # hundreds of queries each
@pytest.mark.parametrize("name", NAMES)
def test_every_claim_is_proven(laboratory: moltler.Session, name: str) -> None:
    proofs = laboratory.prove(name, sources(name))

    assert proofs
    assert [(p.entity.name, p.difference, p.unproven) for p in proofs] == [
        (p.entity.name, None, ()) for p in proofs
    ]


@pytest.mark.parametrize("name", NAMES)
def test_no_rule_of_lint_has_anything_to_say(name: str) -> None:
    assert [str(f) for f in lint_scripts(sources(name), read_beside)] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_scripts_are_laid_out_canonically(name: str) -> None:
    for source in sources(name):
        assert format_text(source) == source.text


@pytest.mark.parametrize("name", NAMES)
def test_failures_of_each_kind_are_tested(name: str) -> None:
    text = sources(name)[1].text

    for wanted in (r'"status": 429', r'"status": 500', "connector_auth_error", "retry_after"):
        assert wanted in text
    assert re.search(r"connector_connection_error|truncated_body", text)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_names_every_entity_action_secret_and_host(name: str) -> None:
    text = readme(name)
    for statement in parse(sources(name)[0]).statements:
        if isinstance(statement, ast.CreateEntity):
            assert f"| `{statement.name.segments[-1]}` |" in text
        elif isinstance(statement, ast.CreateAction):
            given = [m.key for m in statement.parameters.members] if statement.parameters else []
            path = ".".join(statement.name.segments[1:])
            safely = "yes" if statement.idempotent else "no"
            assert re.search(
                rf"^\| `{re.escape(path)}\({', '.join(given)}\)` \| .* \| {safely} \|$", text, re.M
            ), path
        elif isinstance(statement, ast.CreateType):
            assert statement.config_schema is not None
            for member in statement.config_schema.members:
                if '"secret": true' in member.value.span.text:
                    assert f"| secret `{member.key}` |" in text
    assert "| host " in text or "| the host of " in text


@pytest.fixture(scope="module")
def customer(laboratory: moltler.Session) -> moltler.Session:
    """The session with every type and an instance of each, named as in the pages."""
    for name in NAMES:
        laboratory.execute(sources(name)[0].text, source_name=f"{name}.moltler").close()
    laboratory.execute(INSTANCES).close()
    return laboratory


@pytest.mark.parametrize("name", NAMES)
def test_queries_of_the_page_can_be_planned(customer: moltler.Session, name: str) -> None:
    text = readme(name)
    queries = re.findall(r"^```sql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    queries += re.findall(r'moltler query "(SELECT.*?)"$', text, re.MULTILINE)

    assert len(queries) >= 2
    for query in queries:
        with customer.execute(f"EXPLAIN {query}") as result:
            assert [row[0] for row in result.rows()]


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("github", "state: state ?? 'all'", "state: state ?? 'open'"),
        ("github", '/<([^>]+)>;\\s*rel="next"/', '/<([^>]+)>;\\s*rel="later"/'),
        ("github", "Math.floor(bound / 1000) * 1000 - 1000", "Math.ceil(bound / 1000) * 1000"),
        ("jira", "token = page.isLast ? null : page.nextPageToken;", "token = null;"),
        ("jira", "start += comments.length;", "start += 100;"),
        ("jira", "moment(low, -DAY)", "moment(low, DAY)"),
        ("pagerduty", "if (!body.more) return;", "if (body[key].length < 100) return;"),
        ("pagerduty", "isWithin(row.created_at, from, to)", "true"),
        ("pagerduty", "offset += body.limit ?? body[key].length", "offset += 100"),
        ("slack", "if (body.ok !== false) return body;", "return body;"),
        ("slack", "cursor = body.response_metadata?.next_cursor;", "cursor = undefined;"),
        ("datadog", "params.set('id_offset', last);", "params.set('id_offset', 0);"),
        ("datadog", "next > offset ? next : null", "null"),
    ],
)
def test_a_connector_that_is_broken_turns_its_tests_red(
    laboratory: moltler.Session, name: str, right: str, wrong: str
) -> None:
    definitions, tests = sources(name)
    assert right in definitions.text
    broken = Source(definitions.name, definitions.text.replace(right, wrong))

    reports = run(laboratory, [broken, tests])

    assert "failed" in {r.status for r in reports}
