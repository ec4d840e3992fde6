"""INSTALL, UPGRADE, ROLLBACK: what is agreed to, what blocks, and what comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

import moltler
from moltler.compose import open_folder, open_session
from moltler.errors import Source
from moltler.registry.folder import Folder
from moltler.session.registries import Consent

from .conftest import SHOP, Open, fails, run
from .making import publish, signed, simple

SHOP_1 = SHOP
HOSTS = "ALLOWED_HOSTS ['cdn.shop.example']"
INSTANCE = (
    "CREATE CONNECTOR {} TYPE 'shop' CONFIG "
    "{{'api_url': 'https://shop.example', 'api_key': '{{{{secrets.k}}}}'}}"
)


@pytest.fixture
def registry(folder: Path) -> Folder:
    return open_folder(folder)


def release(registry: Folder, session: moltler.Session, version: str, text: str = SHOP) -> None:
    """Publish a version of the shop as a text defines it."""
    source = Source("shop.moltler", text)
    definition = session.collect_tests([source]).catalog.type("shop").draft
    publish(registry, simple("shop", version, definition=definition))


def revision(session: moltler.Session) -> tuple[object, object, object]:
    (row,) = run(session, "SHOW CONNECTOR TYPE 'shop'")
    return row["revision"], row["version"], row["origin"]


def test_more_permissions_need_consent_and_without_it_nothing_changes(
    user: moltler.Session, registry: Folder
) -> None:
    release(registry, user, "1.0.0")
    run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")
    release(registry, user, "1.1.0", SHOP.replace("'A shop'", f"'A shop' {HOSTS}"))

    error = fails(user, "UPGRADE CONNECTOR TYPE 'shop'")

    assert error.code == "PKG009"
    assert "cdn.shop.example" in error.message
    assert "items.create" not in error.message  # that was agreed to before
    assert revision(user) == (1, "1.0.0", "team")
    (row,) = run(user, "UPGRADE CONNECTOR TYPE 'shop' WITH consent = TRUE")
    assert (row["version"], row["hosts"]) == ("1.1.0", "cdn.shop.example")
    assert revision(user) == (2, "1.1.0", "team")


def test_an_upgrade_without_new_permissions_asks_nothing(
    user: moltler.Session, registry: Folder
) -> None:
    release(registry, user, "1.0.0", SHOP.replace("'A shop'", f"'A shop' {HOSTS}"))
    run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")
    release(registry, user, "1.0.1")

    (row,) = run(user, "UPGRADE CONNECTOR TYPE 'shop'")

    assert row["version"] == "1.0.1"
    assert run(user, "UPGRADE CONNECTOR TYPE 'shop'")[0]["version"] == "1.0.1"
    assert revision(user)[0] == 2


def test_a_secret_seen_in_plain_is_never_installed_without_consent(
    user: moltler.Session, registry: Folder
) -> None:
    exposed = SHOP.replace(
        '"secret": true', '"secret": true, "expose": true, "expose_reason": "it signs with it"'
    )
    release(registry, user, "1.0.0", exposed)

    error = fails(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")

    assert error.code == "PKG009"
    assert "`api_key` in plain (it signs with it)" in error.message
    (row,) = run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team' WITH consent = TRUE")
    assert row["exposed_secrets"] == "api_key (it signs with it)"


@pytest.mark.parametrize("answer", [True, False])
def test_somebody_who_sits_there_is_asked(
    tmp_path: Path, folder: Path, registry: Folder, answer: bool
) -> None:
    asked: list[Consent] = []

    def ask(consent: Consent) -> bool:
        asked.append(consent)
        return answer

    with open_session(home=tmp_path / "asked", ask_consent=ask) as session:
        session.packages.add_registry("team", str(folder))
        release(registry, session, "1.0.0")
        if answer:
            run(session, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")
        else:
            assert fails(session, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'").code == "PKG009"
        installed = run(session, "SHOW PACKAGES")

    assert len(installed) == answer
    (consent,) = asked
    assert consent.title == "install shop-1.0.0 from team"
    assert consent.lines == ("change things with the action `items.create`",)


def test_instances_that_do_not_fit_block_an_upgrade_and_are_listed(
    user: moltler.Session, registry: Folder
) -> None:
    release(registry, user, "1.0.0")
    run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")
    for name in ("one", "two"):
        run(user, INSTANCE.format(name))
    stricter = SHOP.replace(
        "CONFIG_SCHEMA {", 'CONFIG_SCHEMA {"region": {"type": "string", "required": true}, '
    )
    release(registry, user, "2.0.0", stricter)

    error = fails(user, "UPGRADE CONNECTOR TYPE 'shop'")

    assert error.code == "DEF008"
    assert "`one`, `two`" in error.message
    assert "region" in error.message
    assert revision(user) == (1, "1.0.0", "team")


def test_rollback_brings_back_what_was_and_is_blocked_by_what_would_not_fit(
    user: moltler.Session, registry: Folder
) -> None:
    release(registry, user, "1.0.0")
    run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")
    more = SHOP.replace("CONFIG_SCHEMA {", 'CONFIG_SCHEMA {"region": {"type": "string"}, ')
    release(registry, user, "1.1.0", more)
    run(user, "UPGRADE CONNECTOR TYPE 'shop'")
    run(user, INSTANCE.format("s").replace("{'api_url'", "{'region': 'eu', 'api_url'"))

    blocked = fails(user, "ROLLBACK CONNECTOR TYPE 'shop'")
    assert blocked.code == "DEF008"
    assert revision(user) == (2, "1.1.0", "team")

    run(user, "ALTER CONNECTOR s CONFIG {'region': NULL}")
    run(user, "ROLLBACK CONNECTOR TYPE 'shop'")
    assert revision(user) == (3, "1.0.0", "team")
    assert fails(user, "ROLLBACK CONNECTOR TYPE 'shop'").code == "CAT008"


def test_rollback_also_takes_back_a_registration_of_ones_own(session: moltler.Session) -> None:
    run(session, SHOP)
    run(session, "CREATE OR REPLACE CONNECTOR TYPE 'shop' DESCRIPTION 'Other'")
    run(session, "REGISTER CONNECTOR TYPE 'shop'")

    run(session, "ROLLBACK CONNECTOR TYPE 'shop'")

    (row,) = run(session, "SHOW CONNECTOR TYPE 'shop'")
    assert (row["description"], row["revision"]) == ("A shop", 3)


def test_a_type_of_ones_own_is_replaced_only_if_that_is_said(
    user: moltler.Session, registry: Folder
) -> None:
    release(registry, user, "1.0.0")
    run(user, SHOP.replace("'A shop'", "'My own'"))

    error = fails(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")
    assert error.code == "CAT003"
    assert "OR REPLACE" in (error.hint or "")

    run(user, "INSTALL OR REPLACE CONNECTOR TYPE 'shop' FROM 'team'")
    assert revision(user) == (2, "1.0.0", "team")
    run(user, "ROLLBACK CONNECTOR TYPE 'shop'")
    assert revision(user) == (3, None, "local")


def test_a_draft_that_was_begun_is_not_lost_by_an_upgrade(
    user: moltler.Session, registry: Folder
) -> None:
    release(registry, user, "1.0.0")
    run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")
    run(user, "CREATE OR REPLACE CONNECTOR TYPE 'shop' DESCRIPTION 'Mine'")
    release(registry, user, "1.0.1", SHOP.replace("return (await", "return  (await"))

    error = fails(user, "UPGRADE CONNECTOR TYPE 'shop'")

    assert error.code == "CAT003"
    assert "draft" in error.message


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPGRADE CONNECTOR TYPE 'shop'", "CAT008"),
        ("UNINSTALL CONNECTOR TYPE 'shop'", "CAT008"),
        ("ROLLBACK CONNECTOR TYPE 'shop'", "CAT008"),
        ("INSTALL CONNECTOR TYPE 'shop' FROM 'team'", "PKG008"),
        ("INSTALL CONNECTOR TYPE 'shop' FROM 'elsewhere'", "PKG006"),
        ("INSTALL CONNECTOR TYPE 'shop' FROM './no.tgz'", "PKG007"),
        ("INSTALL CONNECTOR TYPE 'shop' FROM 'team' WITH consent = 'yes'", "PLN004"),
        ("INSTALL CONNECTOR TYPE 'shop' FROM 'team' WITH consnet = TRUE", "SYN004"),
        ("PUBLISH CONNECTOR TYPE 'shop' TO 'team'", "PKG003"),
        ("PUBLISH CONNECTOR TYPE 'shop' TO 'elsewhere'", "PKG006"),
        ("PACKAGE CONNECTOR TYPE 'shop' VERSION '1.0.0'", "CAT008"),
        ("VALIDATE CONNECTOR TYPE 'shop' FOR PUBLISHING", "CAT008"),
        ("DEPRECATE CONNECTOR TYPE 'shop' VERSION '1.0.0' MESSAGE 'x'", "PKG008"),
        ("UNPUBLISH CONNECTOR TYPE 'shop' VERSION '1.0.0' FROM 'team'", "PKG008"),
    ],
)
def test_what_is_not_there_is_said_with_its_code(
    user: moltler.Session, statement: str, code: str
) -> None:
    assert fails(user, statement).code == code


def test_a_type_that_was_installed_from_an_archive_has_nowhere_to_upgrade_from(
    user: moltler.Session, tmp_path: Path
) -> None:
    path = tmp_path / "shop-1.0.0.moltler.tgz"
    path.write_bytes(simple("shop", "1.0.0").content)
    run(user, f"INSTALL CONNECTOR TYPE 'shop' FROM '{path}'")

    error = fails(user, "UPGRADE CONNECTOR TYPE 'shop'")

    assert error.code == "PKG006"


def test_an_archive_of_another_type_version_or_runtime_is_refused(
    user: moltler.Session, tmp_path: Path
) -> None:
    path = tmp_path / "x.moltler.tgz"
    path.write_bytes(simple("bank", "1.0.0", requires={"connectors": {"money": "*"}}).content)

    other = fails(user, f"INSTALL CONNECTOR TYPE 'shop' FROM '{path}'")
    older = fails(user, f"INSTALL CONNECTOR TYPE 'bank' FROM '{path}' VERSION '^2'")
    needy = fails(user, f"INSTALL CONNECTOR TYPE 'bank' FROM '{path}'")
    path.write_bytes(simple("bank", "1.0.0", requires={"moltler": ">99"}).content)
    newer = fails(user, f"INSTALL CONNECTOR TYPE 'bank' FROM '{path}'")

    assert [e.code for e in (other, older, needy, newer)] == [
        "PKG002",
        "PKG008",
        "PKG008",
        "PKG008",
    ]
    assert "`money`" in needy.message
    assert run(user, "SHOW PACKAGES") == []


# ── signatures ───────────────────────────────────────────────────────────────────────────────


def test_a_signed_package_pins_its_publisher_and_another_key_is_refused(
    user: moltler.Session, registry: Folder, open_home: Open, tmp_path: Path
) -> None:
    from moltler.registry.signing import new_key

    publish(registry, signed(simple("shop", "1.0.0")))
    with user.execute("INSTALL CONNECTOR TYPE 'shop' FROM 'team'") as result:
        list(result.rows())
        assert [w.code for w in result.warnings] == ["unknown_signer"]
    elsewhere = open_folder(tmp_path / "elsewhere")
    elsewhere.create()
    publish(elsewhere, signed(simple("shop", "1.0.1"), new_key()))
    user.packages.add_registry("team", str(tmp_path / "elsewhere"))

    other = fails(user, "UPGRADE CONNECTOR TYPE 'shop'")
    assert other.code == "PKG002"
    assert "is signed with" in other.message

    path = tmp_path / "shop.tgz"
    assert other.hint is not None
    assert "moltler keys forget shop" in other.hint
    path.write_bytes(simple("shop", "1.0.2").content)
    unsigned = fails(user, f"INSTALL CONNECTOR TYPE 'shop' FROM '{path}'")
    assert (unsigned.code, "is not signed" in unsigned.message) == ("PKG002", True)
    user.packages.forget("Shop")
    assert run(user, f"INSTALL CONNECTOR TYPE 'shop' FROM '{path}'")[0]["version"] == "1.0.2"
    with pytest.raises(moltler.LookupFailed):
        user.packages.forget("bank")


def test_doctor_names_the_registries_and_what_they_hold(
    user: moltler.Session, registry: Folder, folder: Path
) -> None:
    publish(registry, simple("shop", "1.0.0"))
    checks = {c.name: c for c in user.diagnose()}
    assert checks["registries"].detail == "team: 1 connector(s)"

    (folder / "v1/index.json").write_text("<html>", encoding="utf-8")
    broken = {c.name: c for c in user.diagnose()}["registries"]
    assert (broken.status, "PKG007" in broken.detail) == ("failed", True)


def test_a_registry_takes_no_other_key_for_a_known_name(registry: Folder) -> None:
    from moltler.registry.signing import new_key

    registry.create()
    publish(registry, signed(simple("shop", "1.0.0")))

    for package in (simple("shop", "1.0.1"), signed(simple("shop", "1.0.1"), new_key())):
        with pytest.raises(moltler.PackageError) as caught:
            publish(registry, package)
        assert caught.value.code == "PKG002"
    publish(registry, signed(simple("shop", "1.0.1")))


def test_a_registry_that_wants_signatures_installs_trusted_ones_only(
    user: moltler.Session, folder: Path, registry: Folder, open_home: Open
) -> None:
    ann = open_home("ann")
    key = ann.packages.generate_key("ann")
    private = ann.secrets.get("_signing.ann")
    assert private is not None
    publish(registry, simple("bank", "1.0.0"), signed(simple("shop", "1.0.0"), private))
    user.packages.add_registry("team", str(folder), require_signature=True)

    refused = [fails(user, f"INSTALL CONNECTOR TYPE '{n}' FROM 'team'") for n in ("bank", "shop")]
    assert [e.code for e in refused] == ["PKG002", "PKG002"]

    user.packages.trust(str(key))
    with user.execute("INSTALL CONNECTOR TYPE 'shop' FROM 'team'") as result:
        list(result.rows())
        assert result.warnings == ()


def test_packages_are_signed_with_the_only_key_and_a_named_one_of_several(
    author: moltler.Session,
) -> None:
    from .conftest import PACKAGE

    first = author.packages.generate_key("ann")
    run(author, PACKAGE.format("1.0.0"))
    run(author, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'")
    author.packages.generate_key("bob")

    several = fails(author, PACKAGE.format("1.0.1"))
    unknown = fails(author, PACKAGE.format("1.0.1") + " WITH key = 'bop'")
    assert (several.code, unknown.code) == ("CAT004", "CAT008")
    assert unknown.hint == "did you mean `bob`?"

    run(author, PACKAGE.format("1.0.1") + " WITH key = 'bob'")
    assert fails(author, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'").code == "PKG002"
    listed = [(r[0], r[2]) for r in author.packages.keys().rows]
    assert listed == [("ann", "signs"), ("bob", "signs")]
    assert author.packages.keys().rows[0][1] == first.id
    assert first.id in fails(author, "PUBLISH CONNECTOR TYPE 'shop' TO 'team'").message
