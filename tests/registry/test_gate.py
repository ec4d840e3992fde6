"""What PACKAGE, VALIDATE and PUBLISH demand."""

from __future__ import annotations

from pathlib import Path

import pytest

import moltler
from moltler.registry.package import open_package

from .conftest import PACKAGE, SHOP, TEST, Open, fails, run


def packed(session: moltler.Session, version: str = "1.0.0") -> Path:
    return session.home / f"packages/shop-{version}.moltler.tgz"


def test_the_results_of_tests_and_proof_are_in_the_archive(author: moltler.Session) -> None:
    run(
        author,
        """TEST CONNECTOR TYPE 'shop' NAME 'for real' TAGS ['slow'] BEGIN
           CREATE CONNECTOR c TYPE 'shop' CONFIG {"api_url": ENV('SHOP_URL'), "api_key": 'k'};
           END TEST""",
    )
    run(author, PACKAGE.format("1.0.0"))

    evidence = open_package(packed(author).read_bytes()).manifest.evidence

    assert evidence.tests == "passed"
    assert [(r.name, r.status) for r in evidence.results] == [
        ("active items", "passed"),
        ("for real", "not run"),
    ]
    (proof,) = evidence.proof
    assert (proof.entity, proof.claims, proof.unproven) == ("shop.items", ("status =",), ())
    assert proof.queries > 3


def test_a_draft_that_is_not_registered_is_not_packed(author: moltler.Session) -> None:
    run(author, "CREATE OR REPLACE CONNECTOR TYPE 'shop' DESCRIPTION 'Other'")

    error = fails(author, PACKAGE.format("1.0.0"))

    assert error.code == "PKG003"
    assert error.hint == "run REGISTER CONNECTOR TYPE 'shop'"
    assert not packed(author).exists()


def test_everything_that_is_missing_is_said_at_once(author: moltler.Session) -> None:
    error = fails(author, "PACKAGE CONNECTOR TYPE 'shop' VERSION '1.0.0'")

    assert error.code == "PKG003"
    assert ["AUTHOR" in error.message, "LICENSE" in error.message] == [True, True]


def test_a_licence_that_programs_do_not_know_is_a_warning(author: moltler.Session) -> None:
    statement = "PACKAGE CONNECTOR TYPE 'shop' VERSION '1.0.0' AUTHOR 'Ann' LICENSE 'ours'"
    with author.execute(statement) as result:
        list(result.rows())
        assert [w.code for w in result.warnings] == ["unknown_license"]


def test_a_version_never_changes_here_nor_in_the_registry(published: moltler.Session) -> None:
    assert run(published, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")[0]["status"] == "unchanged"
    run(published, SHOP.replace("CREATE CONNECTOR", "CREATE OR REPLACE CONNECTOR").replace(
        "the shop answers", "it answers"
    ))  # fmt: skip

    local = fails(published, PACKAGE.format("1.0.0"))
    assert local.code == "PKG001"
    assert "1.0.1" in (local.hint or "")

    packed(published).unlink()
    run(published, PACKAGE.format("1.0.0"))
    assert fails(published, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'").code == "PKG001"


def test_a_failing_test_keeps_a_type_from_being_packed(author: moltler.Session) -> None:
    with pytest.raises(moltler.MoltlerError):
        run(author, TEST.replace("'active items'", "'wrong'").replace(") = 1", ") = 2"))

    error = fails(author, PACKAGE.format("1.0.0"))

    assert error.code == "PKG003"
    assert "'wrong' fails" in error.message


def test_packing_without_tests_is_possible_and_publishing_is_not(author: moltler.Session) -> None:
    run(author, PACKAGE.format("1.0.0") + " WITH tests = 'skip'")

    error = fails(author, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    assert error.code == "PKG003"
    assert "without running its tests" in error.message
    assert fails(author, PACKAGE.format("1.0.1") + " WITH tests = 'no'").code == "PKG003"


def test_a_claim_that_is_wrong_is_disproved(author: moltler.Session) -> None:
    wrong = SHOP.replace("CREATE CONNECTOR ENTITY", "CREATE OR REPLACE CONNECTOR ENTITY").replace(
        "if (filters.status)", "if (filters.status === 'closed')"
    )
    entity = wrong[wrong.index("CREATE OR REPLACE") : wrong.index("CREATE CONNECTOR ACTION")]
    run(author, entity + "REGISTER CONNECTOR TYPE 'shop'")

    error = fails(author, PACKAGE.format("1.0.0"))

    assert error.code == "PKG004"
    assert "the condition holds for" in error.message


def test_a_claim_that_no_mock_exercises_is_not_published(
    author: moltler.Session, open_home: Open, folder: Path
) -> None:
    other = open_home("untested")
    run(other, SHOP)
    other.packages.add_registry("team", str(folder))
    with other.execute(PACKAGE.format("1.0.0")) as result:
        list(result.rows())
        assert [w.code for w in result.warnings] == ["unproven_claim"]

    for statement in (
        "PUBLISH CONNECTOR TYPE 'shop' TO 'team'",
        "VALIDATE CONNECTOR TYPE 'shop' FOR PUBLISHING",
    ):
        error = fails(other, statement)
        assert error.code == "PKG004"
        assert "status =" in error.message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("`Bearer ${config.api_key}`", "'Bearer AKIA" + "IOSFODNN7EXAMPLX'"),
        ('"api_key": "test"', '"api_key": "ghp_' + "a1B2c3D4e5" * 4 + '"'),
        ("DESCRIPTION 'A shop'", "DESCRIPTION 'use AKIA" + "IOSFODNN7EXAMPLX'"),
    ],
    ids=["handler", "test", "description"],
)
def test_what_looks_like_a_credential_is_not_packed(open_home: Open, old: str, new: str) -> None:
    session = open_home()
    run(session, SHOP.replace(old, new))
    run(session, TEST.replace(old, new))

    error = fails(session, PACKAGE.format("1.0.0"))

    assert error.code == "PKG003"
    assert "credential" in error.message
    assert not packed(session).exists()


def test_a_secret_seen_in_plain_without_a_reason_is_not_packed(open_home: Open) -> None:
    session = open_home()
    run(session, SHOP.replace('"secret": true', '"secret": true, "expose": true'))

    error = fails(session, PACKAGE.format("1.0.0"))

    assert (error.code, "`api_key`" in error.message) == ("PKG003", True)


def test_a_rule_of_lint_keeps_a_type_from_being_published_only(author: moltler.Session) -> None:
    run(
        author,
        "CREATE CONNECTOR ENTITY 'shop.far' FIELDS {'id': {'type': 'string'}} QUERY_HANDLER "
        "\"async function query() { const r = await fetch('https://far.example/x'); "
        "return r.json(); }\"; REGISTER CONNECTOR TYPE 'shop'",
    )
    with author.execute(PACKAGE.format("1.0.0")) as result:
        list(result.rows())
        assert "lint" in [w.code for w in result.warnings]

    error = fails(author, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    assert error.code == "PKG003"
    assert "LNT004" in error.message


def test_a_step_that_is_too_small_is_not_published(published: moltler.Session) -> None:
    run(
        published,
        "CREATE CONNECTOR ENTITY 'shop.orders' FIELDS {'id': {'type': 'string'}} "
        "QUERY_HANDLER 'async function query() { return []; }'; REGISTER CONNECTOR TYPE 'shop'",
    )
    run(published, PACKAGE.format("1.0.1"))

    error = fails(published, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    assert error.code == "PKG005"
    assert "entity orders was added" in error.message
    assert "1.1.0" in (error.hint or "")
    run(published, PACKAGE.format("1.1.0"))
    assert run(published, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")[0]["status"] == "published"


def test_the_order_in_which_claims_were_written_does_not_matter(author: moltler.Session) -> None:
    claims = '{"filters": {"status": ["="]}}'
    assert claims in SHOP
    more = SHOP.replace(claims, '{"filters": {"status": ["="], "id": ["="]}}')
    more = more.replace("CREATE CONNECTOR", "CREATE OR REPLACE CONNECTOR").replace(
        "if (filters.status)",
        "if (filters.id) params.append('id', filters.id);\n    if (filters.status)",
    )
    author.execute(more).close()
    route = TEST.replace(
        '"filters": {"status": "status"}', '"filters": {"status": "status", "id": "id"}'
    )
    author.execute(route).close()
    run(author, PACKAGE.format("1.0.0"))

    (row,) = run(author, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    assert row["status"] == "published"


def test_the_second_version_says_what_changed(published: moltler.Session) -> None:
    run(published, PACKAGE.format("1.0.1").replace("CHANGELOG 'News'", ""))

    error = fails(published, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")

    assert error.code == "PKG003"
    assert "what changed since 1.0.0" in error.message


def test_publish_takes_the_newest_packaged_version_or_the_one_named(
    author: moltler.Session,
) -> None:
    for version in ("1.0.0", "1.0.1", "1.0.10"):
        run(author, PACKAGE.format(version))

    (named,) = run(author, "PUBLISH CONNECTOR TYPE 'shop' VERSION '1.0.0'")
    (newest,) = run(author, "PUBLISH CONNECTOR TYPE 'shop'")
    missing = fails(author, "PUBLISH CONNECTOR TYPE 'shop' VERSION '2.0.0'")

    assert (named["version"], newest["version"]) == ("1.0.0", "1.0.10")
    assert missing.code == "PKG003"


def test_validate_lists_what_was_looked_at(author: moltler.Session) -> None:
    rows = run(author, "VALIDATE CONNECTOR TYPE 'shop' FOR PUBLISHING")

    assert {str(r["check"]): r["status"] for r in rows} == {
        "definition": "ok",
        "practices": "ok",
        "tests": "ok",
        "push-down": "ok",
    }


def test_nothing_of_the_home_gets_into_an_archive(author: moltler.Session) -> None:
    author.secrets.put("shop_key", "live-key-12345")
    run(
        author,
        "CREATE CONNECTOR mine TYPE 'shop' CONFIG "
        "{'api_url': 'https://internal.example', 'api_key': '{{secrets.shop_key}}'}",
    )
    run(author, PACKAGE.format("1.0.0"))

    content = packed(author).read_bytes()

    for text in ("internal.example", "live-key", "shop_key", "mine", str(author.home)):
        assert text.encode() not in content


def test_tests_that_came_with_a_package_see_neither_network_nor_environment(
    author: moltler.Session, user: moltler.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", "http://127.0.0.1:9")
    text = (
        "TEST CONNECTOR TYPE 'shop' NAME 'mocked' MOCK_API {'GET /items': {'body': []}} BEGIN "
        "ASSERT ENV('SHOP_URL', 'unseen') = 'unseen'; END TEST"
    )
    with pytest.raises(moltler.AssertionFailed):
        run(author, text)  # at home the environment is seen
    real = text.replace("'mocked' MOCK_API {'GET /items': {'body': []}}", "'for real'")
    run(author, real.replace("= 'unseen'", "IS NOT NULL"))
    run(author, PACKAGE.format("1.0.0"))
    run(author, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")

    rows = run(user, "RUN TESTS FOR CONNECTOR TYPE 'shop'")

    assert {str(r["name"]): r["status"] for r in rows} == {
        "active items": "passed",
        "for real": "skipped",
        "mocked": "passed",
    }
