"""From one home to another: PACKAGE, PUBLISH, INSTALL, UPGRADE, ROLLBACK, UNINSTALL."""

from __future__ import annotations

from pathlib import Path

import moltler

from .conftest import PACKAGE, SHOP, Open, fails, run


def test_what_was_published_is_installed_tested_and_listed(
    published: moltler.Session, user: moltler.Session
) -> None:
    (installed,) = run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")

    assert (installed["type"], installed["version"]) == ("shop", "1.0.0")
    (listed,) = run(user, "SHOW PACKAGES")
    assert listed == {
        "type": "shop",
        "version": "1.0.0",
        "registry": "team",
        "sha256": installed["sha256"],
    }
    (tested,) = run(user, "RUN TESTS FOR CONNECTOR TYPE 'shop'")
    assert tested["status"] == "passed"


def test_packing_the_same_twice_gives_the_same_bytes_in_any_home(
    author: moltler.Session, open_home: Open, tmp_path: Path
) -> None:
    (first,) = run(author, PACKAGE.format("1.0.0"))
    (again,) = run(author, PACKAGE.format("1.0.0"))
    other = open_home("elsewhere")
    run(other, SHOP)
    (archive,) = run(
        other, PACKAGE.format("1.0.0") + f" TO '{tmp_path / 'dist'}' WITH tests = 'skip'"
    )
    assert first == again
    assert archive["sha256"] != first["sha256"]  # without tests it is another package


def test_uninstall_is_refused_while_there_are_instances(
    published: moltler.Session, user: moltler.Session
) -> None:
    run(user, "INSTALL CONNECTOR TYPE 'shop' FROM 'team'")
    run(
        user,
        "CREATE CONNECTOR s TYPE 'shop' CONFIG "
        "{'api_url': 'https://shop.example', 'api_key': '{{secrets.k}}'}",
    )

    error = fails(user, "UNINSTALL CONNECTOR TYPE 'shop'")

    assert error.code == "CAT011"
    assert "`s`" in error.message
    run(user, "DROP CONNECTOR s; UNINSTALL CONNECTOR TYPE 'shop'")
    assert run(user, "SHOW PACKAGES") == []
