"""Versions, ranges, and which version is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

import moltler
from moltler.compose import open_folder
from moltler.errors import PackageError
from moltler.registry.folder import Folder
from moltler.registry.resolve import plan
from moltler.registry.semver import BadVersion, Version, parse_range, parse_version
from moltler.registry.version import RUNTIME
from moltler.schema import JsonValue

from .conftest import fails
from .making import publish, simple, with_record

ORDER = [
    "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
    "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
]  # fmt: skip


def test_versions_are_ordered_as_the_standard_says() -> None:
    versions = [parse_version(text) for text in reversed(ORDER)]

    assert [str(v) for v in sorted(versions)] == ORDER


def test_build_metadata_makes_no_other_version() -> None:
    assert parse_version("1.0.0+a") == parse_version("1.0.0+b")
    assert len({parse_version("1.0.0+a"), parse_version("1.0.0")}) == 1


@pytest.mark.parametrize(
    "text",
    ["1.0", "1", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", " 1.0.0", "1.0.0 ",
     "1.0.0\n", "٣.0.0", "1.0.0-a..b", "", "9" * 300 + ".0.0", "99999999999999999999.0.0"],
)  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(BadVersion):
        parse_version(text)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("1.2.3", "1.2.3", "1.2.4 1.2.2 1.2.3-rc"),
        ("=1.2.3", "1.2.3", "1.2.4"),
        ("1.2", "1.2.0 1.2.9", "1.3.0 1.1.9"),
        ("^1.2", "1.2.0 1.9.9", "2.0.0 1.1.9 2.0.0-rc"),
        ("^1.2.3", "1.2.3 1.3.0", "1.2.2 2.0.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2 1.0.0"),
        ("^0.0.3", "0.0.3", "0.0.4 0.0.2 0.1.0"),
        ("^0.0", "0.0.0 0.0.9", "0.1.0"),
        ("^0", "0.0.0 0.9.9", "1.0.0"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1", "1.0.0 1.9.0", "2.0.0"),
        (">=1,<2", "1.0.0 1.9.9", "0.9.0 2.0.0 2.0.0-beta"),
        (">= 1.0.0, < 2.0.0", "1.5.0", "2.0.0"),
        (">1.2 <=2", "1.3.0 2.9.9", "1.2.9 3.0.0"),
        (">1.2.3", "1.2.4", "1.2.3"),
        ("<=1.2.3", "1.2.3 0.1.0", "1.2.4"),
        ("*", "0.0.0 9.9.9", "1.0.0-rc"),
        (">=2.0.0-beta,<3", "2.0.0-beta 2.0.0-rc.1 2.5.0", "2.0.0-alpha 2.1.0-rc 3.0.0"),
    ],
)
def test_ranges_hold_what_they_say(text: str, inside: str, outside: str) -> None:
    range_ = parse_range(text)

    assert [v for v in inside.split() if not range_.allows(parse_version(v))] == []
    assert [v for v in outside.split() if range_.allows(parse_version(v))] == []


@pytest.mark.parametrize(
    "text", ["", "latest", "1.x", ">", "^", ">=1,", ",1", "1||2", ">=1;<2", "^1.2.3.4", "1.0.0 -"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(BadVersion):
        parse_range(text)


def test_a_bad_version_or_range_in_a_statement_is_an_error_of_its_text(
    session: moltler.Session,
) -> None:
    packed = fails(session, "PACKAGE CONNECTOR TYPE 'shop' VERSION '1.0'")
    installed = fails(session, "INSTALL CONNECTOR TYPE 'shop' FROM 'team' VERSION 'newest'")

    assert (packed.code, packed.exit_code) == ("SYN006", 2)
    assert (installed.code, installed.line) == ("SYN006", 1)


# ── choosing ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def registry(tmp_path: Path) -> Folder:
    folder = open_folder(tmp_path / "registry")
    folder.create()
    return folder


def chosen(registry: Folder, text: str = "*", **installed: str) -> list[str]:
    there = {name: parse_version(version) for name, version in installed.items()}

    def installed_version(name: str) -> Version | None:
        return there.get(name)

    choices = plan("shop", parse_range(text), registry, installed_version)
    return [f"{c.name} {c.version.version}" for c in choices]


def test_the_highest_release_in_the_range_is_chosen(registry: Folder) -> None:
    publish(registry, *(simple("shop", v) for v in ("1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1")))

    assert chosen(registry) == ["shop 1.10.0"]
    assert chosen(registry, "<1.10") == ["shop 1.9.0"]
    assert chosen(registry, ">=2.0.0-rc") == ["shop 2.0.0-rc.1"]


def test_a_withdrawn_version_is_chosen_only_where_it_is_named(registry: Folder) -> None:
    publish(registry, simple("shop", "1.0.0"), simple("shop", "1.1.0"))
    registry.mark("shop", "1.1.0", "yank", "loses rows")

    assert chosen(registry) == ["shop 1.0.0"]
    assert chosen(registry, "1.1.0") == ["shop 1.1.0"]
    with pytest.raises(PackageError, match=r"1\.1\.0: yanked \(loses rows\)"):
        chosen(registry, "^1.1")
    registry.mark("shop", "1.1.0", "unyank")
    assert chosen(registry) == ["shop 1.1.0"]


def test_a_version_for_a_newer_runtime_is_passed_over(registry: Folder) -> None:
    newer: dict[str, JsonValue] = {"moltler": f">{RUNTIME}"}
    publish(registry, simple("shop", "1.0.0"), simple("shop", "1.1.0", requires=newer))

    assert chosen(registry) == ["shop 1.0.0"]
    with pytest.raises(PackageError, match=r"1\.1\.0: it needs Moltler") as caught:
        chosen(registry, "^1.1")
    assert caught.value.code == "PKG008"


@pytest.mark.parametrize(
    "requires", [{"language": 99}, {"moltler": "soon"}, {"moltler": 1}, {"python": ">=3"}]
)
def test_a_requirement_that_cannot_be_met_is_explained(
    registry: Folder, requires: dict[str, JsonValue]
) -> None:
    publish(registry, simple("shop", "1.0.0"))
    with_record(registry, "shop", requires=requires)

    with pytest.raises(PackageError, match=r"1\.0\.0: it needs") as caught:
        chosen(registry)
    assert caught.value.code == "PKG008"


def test_what_is_required_comes_first_and_only_if_it_is_not_there(registry: Folder) -> None:
    publish(
        registry,
        simple("shop", "1.0.0", requires={"connectors": {"bank": "^1"}}),
        simple("bank", "1.2.0", requires={"connectors": {"money": "*"}}),
        simple("bank", "2.0.0"),
        simple("money", "0.1.0"),
    )

    assert chosen(registry) == ["money 0.1.0", "bank 1.2.0", "shop 1.0.0"]
    assert chosen(registry, bank="1.0.0") == ["shop 1.0.0"]
    assert chosen(registry, bank="2.0.0") == ["money 0.1.0", "bank 1.2.0", "shop 1.0.0"]


def test_requirements_that_go_round_in_circles_are_refused(registry: Folder) -> None:
    publish(
        registry,
        simple("shop", "1.0.0", requires={"connectors": {"bank": "*"}}),
        simple("bank", "1.0.0", requires={"connectors": {"Shop": "*"}}),
    )

    with pytest.raises(PackageError, match="shop → bank → shop") as caught:
        chosen(registry)
    assert caught.value.code == "PKG008"


def test_a_missing_requirement_is_named_with_who_wants_it(registry: Folder) -> None:
    publish(registry, simple("shop", "1.0.0", requires={"connectors": {"bank": "*"}}))

    with pytest.raises(PackageError, match="`shop` requires `bank`") as caught:
        chosen(registry)
    assert caught.value.code == "PKG008"


def test_an_unknown_connector_is_named_with_the_nearest(registry: Folder) -> None:
    publish(registry, simple("shops", "1.0.0"))

    with pytest.raises(PackageError) as caught:
        chosen(registry)
    assert (caught.value.code, caught.value.hint) == ("PKG008", "did you mean 'shops'?")


def test_the_runtime_knows_its_own_version() -> None:
    from importlib.metadata import version

    assert str(RUNTIME) == version("moltler")
