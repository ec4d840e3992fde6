"""`moltler.lock`: a team installs the same bytes, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import moltler
from moltler.compose import open_folder
from moltler.registry.folder import Folder

from .conftest import Open, run
from .making import publish, signed, simple

INSTALL = "INSTALL CONNECTOR TYPE 'shop' FROM 'team'"


@pytest.fixture
def registry(folder: Path) -> Folder:
    return open_folder(folder)


@pytest.fixture
def lock(user: moltler.Session, registry: Folder, tmp_path: Path) -> Path:
    """What one of the team has installed: the shop, and the bank that it requires."""
    publish(
        registry,
        signed(simple("bank", "1.0.0")),
        simple("shop", "1.0.0", requires={"connectors": {"bank": "^1"}}),
        simple("shop", "1.1.0"),
    )
    run(user, INSTALL + " VERSION '1.0.0'")
    path = tmp_path / "project/moltler.lock"
    path.parent.mkdir()
    assert user.packages.lock(path) == 2
    return path


def versions(session: moltler.Session) -> dict[object, object]:
    return {r["type"]: r["version"] for r in run(session, "SHOW PACKAGES")}


def test_another_home_gets_exactly_what_was_locked(lock: Path, open_home: Open) -> None:
    other = open_home("other")

    table = other.packages.install_locked(lock, consents=True)

    assert [row[:2] for row in table.rows] == [("bank", "1.0.0"), ("shop", "1.0.0")]
    assert versions(other) == {"bank": "1.0.0", "shop": "1.0.0"}
    assert other.packages.install_locked(lock).rows == ()


def test_the_lock_file_says_nothing_about_the_machine(lock: Path, tmp_path: Path) -> None:
    text = lock.read_text(encoding="utf-8")

    assert str(tmp_path) not in text
    bank, shop = json.loads(text)["packages"]
    assert (bank["where"], shop["where"]) == ("../registry", "../registry")
    assert "key_id" in bank
    assert "key_id" not in shop


def test_other_content_than_was_locked_is_not_installed(
    lock: Path, open_home: Open, tmp_path: Path
) -> None:
    (tmp_path / "registry").rename(tmp_path / "gone")
    impostor = open_folder(tmp_path / "registry")
    impostor.create()
    publish(impostor, signed(simple("bank", "1.0.0")), simple("shop", "1.0.0", changelog="Other"))
    other = open_home("other")

    with pytest.raises(moltler.PackageError) as caught:
        other.packages.install_locked(lock, consents=True)

    assert caught.value.code == "PKG002"
    assert "`shop` 1.0.0" in caught.value.message
    assert versions(other) == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [("{", "PKG002"), ('{"format": 9, "packages": []}', "PKG008"), (None, "SYN900")],
)
def test_a_lock_file_that_cannot_be_read_is_refused(
    session: moltler.Session, tmp_path: Path, text: str | None, code: str
) -> None:
    path = tmp_path / "moltler.lock"
    if text is not None:
        path.write_text(text, encoding="utf-8")

    with pytest.raises(moltler.MoltlerError) as caught:
        session.packages.install_locked(path)
    assert caught.value.code == code


def test_a_version_that_the_registry_lost_is_named(
    lock: Path, open_home: Open, tmp_path: Path
) -> None:
    (tmp_path / "registry/v1/connectors/shop.json").unlink()

    with pytest.raises(moltler.PackageError) as caught:
        open_home("other").packages.install_locked(lock, consents=True)
    assert caught.value.code == "PKG008"
