"""``moltler prove``: claims put to the test in the mocks of a type's tests (LANGUAGE §11.4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import moltler
from moltler.errors import Source
from moltler.exec.proof import EntityProof
from support.command import Moltler

TYPE = """
CREATE CONNECTOR TYPE 'shop' CONFIG_SCHEMA {{"api_url": {{"type": "string", "required": true}}}};
CREATE CONNECTOR ENTITY 'shop.items'
FIELDS {{"id": {{"type": "integer", "primary_key": true}}, "status": {{"type": "string"}},
        "price": {{"type": "number"}}, "made": {{"type": "timestamp"}}}}
PUSHDOWN {pushdown}
QUERY_HANDLER '''
async function query(config, filters, options) {{
    const params = new URLSearchParams();
    for (const {{field, op, value}} of options.where ?? []) {{
        {told}
    }}
    {more}
    const answer = await fetch(`${{config.api_url}}/items?${{params}}`);
    return await answer.json();
}}
''';
REGISTER CONNECTOR TYPE 'shop';
"""
TEST = """
TEST CONNECTOR TYPE 'shop' NAME 'data'
MOCK_API {{"GET /items": {{
    "rows": [{{"id": 1, "status": "new", "price": 5, "made": "2024-01-02T00:00:00Z"}},
             {{"id": 2, "status": "New", "price": null}},
             {{"id": 3, "status": null, "price": 7.5, "made": "2024-03-01T10:00:00Z"}},
             {{"id": 4, "status": "old", "price": 5}}, {{"id": 5, "status": "new", "price": 0}}],
    "filters": {{"status": {status}, "min": {{"field": "price", "op": ">="}}}},
    "sort": "sort", "limit": "limit"}}}}
BEGIN
    CREATE CONNECTOR c TYPE 'shop' CONFIG {{"api_url": "mock://"}};
    ASSERT (SELECT count(*) FROM c.items WHERE status = 'new') = 2;
END TEST;
"""
STATUS = "if (field === 'status' && op === '=') params.set('status', value);"
PRICE = "if (field === 'price' && op === '>=') params.set('min', value);"
SORT = """const [key, ...rest] = options.order_by ?? [];
    if (key?.field === 'price' && !rest.length)
        params.set('sort', key.direction === 'desc' ? '-price' : 'price');"""
LIMIT = "if (options.limit) params.set('limit', options.limit);"
BOTH = '{"filters": {"status": ["="], "price": [">="]}}'


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[moltler.Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLTLER_KEY", "a key for tests only, long enough")
        with moltler.connect(tmp_path_factory.mktemp("prove") / "home") as session:
            yield session


def prove(
    session: moltler.Session,
    pushdown: str,
    told: str = STATUS + PRICE,
    more: str = "",
    status: str = '"status"',
) -> EntityProof:
    definitions = TYPE.format(pushdown=pushdown, told=told, more=more)
    sources = [
        Source("shop.moltler", definitions),
        Source("tests.moltler", TEST.format(status=status)),
    ]
    (proof,) = session.prove("shop", sources)
    return proof


def test_true_claims_are_proven_and_counted(shared: moltler.Session) -> None:
    proof = prove(shared, BOTH)
    assert (proof.difference, proof.unproven) == (None, ())
    assert proof.queries > 30
    again = prove(shared, BOTH)
    assert (again.queries, again.unanswered) == (proof.queries, proof.unanswered)


def test_orders_and_limits_are_proven(shared: moltler.Session) -> None:
    pushdown = '{"order_by": ["price"], "limit": true}'
    # A limit before the conditions that SQL alone knows would be wrong, so none is handed over.
    more = SORT + "if (!options.where) {" + LIMIT + "}"
    proof = prove(shared, pushdown, "", more)
    assert (proof.difference, proof.unproven) == (None, ())


@pytest.mark.parametrize(
    ("pushdown", "told", "more", "status", "what"),
    [
        pytest.param(
            '{"filters": {"status": ["="]}}', "", "", '"status"',
            "rows that do not match come back", id="a claim that is ignored",
        ),
        pytest.param(
            '{"filters": {"price": [">="]}}', PRICE.replace("value)", "value + 1)"), "",
            '"status"', "rows that match are left out", id="a bound that is moved",
        ),
        pytest.param(
            '{"filters": {"status": ["="]}}',
            STATUS + "if (field === 'price' && op === '>') params.set('min', value + 3);", "",
            '"status"', "rows that match are left out", id="a hint that loses rows",
        ),
        pytest.param(
            '{"order_by": ["price"]}', "", "", '"status"',
            "the rows come in another order, or they are not the first ones", id="no order",
        ),
        pytest.param(
            '{"filters": {"status": ["="]}, "limit": true}', "", LIMIT, '"status"',
            "rows that do not match come back", id="a limit before the conditions",
        ),
    ],
)  # fmt: skip
def test_false_claims_are_disproved_with_an_example(
    shared: moltler.Session, pushdown: str, told: str, more: str, status: str, what: str
) -> None:
    proof = prove(shared, pushdown, told, more, status)
    assert proof.difference is not None
    assert proof.difference.what == what
    assert proof.example is not None
    # It can be pasted: it is a TEST, in the world that showed the difference.
    collection = shared.collect_tests(
        [
            Source("shop.moltler", TYPE.format(pushdown=pushdown, told=told, more=more)),
            Source("example.moltler", proof.example),
        ]
    )
    report = shared.run_test(collection.tests[0], collection)
    if what == "rows that match are left out":
        assert report.failure is not None
        assert report.failure.code == "TST001"


def test_answers_that_do_not_depend_on_the_question_prove_nothing(
    shared: moltler.Session,
) -> None:
    test = (
        "TEST CONNECTOR TYPE 'shop' NAME 'canned' MOCK_API {\"GET /items\": {\"body\": []}}"
        'BEGIN CREATE CONNECTOR c TYPE \'shop\' CONFIG {"api_url": "mock://"}; END TEST;'
    )
    definitions = TYPE.format(pushdown=BOTH, told="", more="")
    (proof,) = shared.prove("shop", [Source("a.moltler", definitions), Source("b.moltler", test)])
    assert proof.unproven == ("price >=", "status =")
    assert proof.notes == ["'canned': its answers do not depend on what is asked"]


def test_required_fields_are_asked_with_the_values_of_tests(shared: moltler.Session) -> None:
    pushdown = '{"filters": {"status": {"operators": ["="], "required": true}, "price": [">="]}}'
    proof = prove(shared, pushdown)
    assert (proof.difference, proof.unproven) == (None, ())


def test_the_command_prints_counts_and_the_example(
    moltler_command: Moltler, tmp_path: Path
) -> None:
    script = tmp_path / "shop.moltler"
    text = TYPE.format(pushdown=BOTH, told=STATUS, more="") + TEST.format(status='"status"')
    script.write_text(text, encoding="utf-8")
    failed = moltler_command("prove", "shop", str(script)).fails(1)
    assert "disproved" in failed.stdout
    assert "TEST CONNECTOR TYPE 'shop'" in failed.stdout
    told = json.loads(moltler_command("--json", "prove", "shop", str(script)).stdout)
    row = dict(zip([c["name"] for c in told["columns"]], told["rows"][0], strict=True))
    assert row["status"] == "disproved"
    assert row["difference"].startswith("WHERE price >= ")
    script.write_text(text.replace(STATUS, STATUS + PRICE), encoding="utf-8")
    assert moltler_command("prove", "shop", str(script)).ok()
    moltler_command("run", str(script)).ok()
    assert "proven" in moltler_command("prove", "shop").ok().stdout  # its stored test
    unknown = moltler_command("prove", "nothing").fails(1)
    assert "CAT008" in unknown.stderr
