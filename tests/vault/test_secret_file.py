from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends import fail

from moltler.errors import LookupFailed, ParseError
from moltler.vault.keys import decode_key
from moltler.vault.lookup import lookup_secret
from moltler.vault.store import LARGEST_VALUE, SecretFile
from support.clock import HandClock

KEY = {"MOLTLER_KEY": "11" * 32}
OTHER_KEY = {"MOLTLER_KEY": "22" * 32}
TEXT_KEY = {"MOLTLER_KEY": "correct horse battery"}


def open_file(home: Path, environ: Mapping[str, str] = KEY) -> SecretFile:
    return SecretFile(home, environ, HandClock())


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param(KEY, id="hex"),
        pytest.param({"MOLTLER_KEY": base64.b64encode(bytes(range(32))).decode()}, id="base64"),
        pytest.param(
            {"MOLTLER_KEY": base64.urlsafe_b64encode(b"\xff" * 32).decode()}, id="urlsafe"
        ),
        pytest.param(TEXT_KEY, id="text"),
        pytest.param({}, id="key file"),
    ],
)
def test_a_stored_secret_is_read_back_by_another_opening(
    home: Path, environ: dict[str, str]
) -> None:
    open_file(home, environ).put("shop_key", "hunter2 ü 🔑")
    assert open_file(home, environ).get("shop_key") == "hunter2 ü 🔑"


def test_an_unknown_secret_is_none_before_and_after_the_file_exists(home: Path) -> None:
    store = open_file(home)
    assert store.get("a") is None
    store.put("b", "x")
    assert store.get("a") is None


def test_names_are_compared_exactly(home: Path) -> None:
    store = open_file(home)
    store.put("Key", "upper")
    store.put("key", "lower")
    assert (store.get("Key"), store.get("key")) == ("upper", "lower")


def test_nothing_on_disk_holds_the_value(home: Path) -> None:
    open_file(home, {}).put("shop_key", "a-very-visible-value")
    for path in home.iterdir():
        assert b"a-very-visible-value" not in path.read_bytes()


def test_the_list_has_names_and_times_only(home: Path) -> None:
    clock = HandClock()
    store = SecretFile(home, KEY, clock)
    store.put("b", "1")
    store.put("a", "2")
    clock.advance(60)
    store.put("b", "3")
    assert [(r.name, r.created, r.updated) for r in store.list()] == [
        ("a", "2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05.000Z"),
        ("b", "2026-01-02T03:04:05.000Z", "2026-01-02T03:05:05.000Z"),
    ]


def test_the_list_needs_no_key(home: Path) -> None:
    open_file(home).put("a", "1")
    assert [r.name for r in open_file(home, {}).list()] == ["a"]


def test_removing_forgets_the_secret(home: Path) -> None:
    store = open_file(home)
    store.put("a", "1")
    store.remove("a")
    assert store.get("a") is None
    assert store.list() == ()


@pytest.mark.parametrize("stored", [(), ("shop_key",)])
def test_removing_what_is_not_there_is_an_error(home: Path, stored: tuple[str, ...]) -> None:
    store = open_file(home)
    for name in stored:
        store.put(name, "1")
    with pytest.raises(LookupFailed) as caught:
        store.remove("shop_kye")
    assert caught.value.code == "CAT005"
    assert ("shop_key" in (caught.value.hint or "")) == bool(stored)


@pytest.mark.parametrize("name", ["", "1a", "a b", "a\n", "ä", "../x", "-a", "a" * 201])
def test_a_bad_name_is_refused(home: Path, name: str) -> None:
    with pytest.raises(ParseError) as caught:
        open_file(home).put(name, "x")
    assert caught.value.code == "SYN005"
    assert not home.exists()


@pytest.mark.parametrize("name", ["a", "_", "shop.key-1_x", "a" * 200])
def test_a_good_name_is_taken(home: Path, name: str) -> None:
    store = open_file(home)
    store.put(name, "x")
    assert store.get(name) == "x"


@pytest.mark.parametrize("size", [LARGEST_VALUE - 1, LARGEST_VALUE])
def test_a_value_may_have_64_kilobytes(home: Path, size: int) -> None:
    store = open_file(home)
    store.put("a", "x" * size)
    assert len(store.get("a") or "") == size


@pytest.mark.parametrize("value", ["", "x" * (LARGEST_VALUE + 1), "ü" * LARGEST_VALUE, "\ud800"])
def test_an_unfit_value_is_refused_without_repeating_it(home: Path, value: str) -> None:
    with pytest.raises(LookupFailed) as caught:
        open_file(home).put("a", value)
    assert caught.value.code == "CAT004"
    assert len(str(caught.value)) < 200
    assert open_file(home).get("a") is None


# ── keys ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("written", "read", "says"),
    [
        pytest.param(KEY, OTHER_KEY, "set MOLTLER_KEY to the text", id="other key"),
        pytest.param(TEXT_KEY, KEY, "set MOLTLER_KEY to the text", id="text, then hex"),
        pytest.param(KEY, {}, "set MOLTLER_KEY", id="key gone"),
        pytest.param({}, KEY, "unset MOLTLER_KEY", id="key file, then variable"),
    ],
)
def test_a_wrong_or_missing_key_says_what_to_do_and_changes_nothing(
    home: Path, written: dict[str, str], read: dict[str, str], says: str
) -> None:
    open_file(home, written).put("a", "1")
    before = (home / "secrets.db").read_bytes()
    for attempt in (
        lambda: open_file(home, read).get("a"),
        lambda: open_file(home, read).put("b", "2"),
        lambda: open_file(home, read).check(),
    ):
        with pytest.raises(LookupFailed) as caught:
            attempt()
        assert caught.value.code == "CAT010"
        assert says in (caught.value.hint or "")
    assert (home / "secrets.db").read_bytes() == before


@pytest.mark.parametrize("length", [1, 15])
def test_a_short_key_text_is_refused(home: Path, length: int) -> None:
    store = open_file(home, {"MOLTLER_KEY": "k" * length})
    for attempt in (lambda: store.put("a", "1"), store.check):
        with pytest.raises(LookupFailed) as caught:
            attempt()
        assert caught.value.code == "CAT010"
        assert "at least 16" in str(caught.value)
    assert not (home / "secrets.db").exists()


def test_a_key_text_of_16_characters_is_enough(home: Path) -> None:
    open_file(home, {"MOLTLER_KEY": "k" * 16}).put("a", "1")


@given(st.binary(min_size=0, max_size=40))
def test_only_32_bytes_are_a_key_as_they_are(raw: bytes) -> None:
    assert decode_key(base64.b64encode(raw).decode()) == (raw if len(raw) == 32 else None)


def test_files_are_for_the_owner_only(home: Path) -> None:
    open_file(home, {}).put("a", "1")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {p.name: stat.S_IMODE(p.stat().st_mode) for p in home.iterdir()} == {
        "secrets.db": 0o600,
        "secrets.key": 0o600,
        "secrets.lock": 0o600,
    }


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_may_read_is_refused(home: Path, mode: int) -> None:
    open_file(home, {}).put("a", "1")
    (home / "secrets.key").chmod(mode)
    with pytest.raises(LookupFailed) as caught:
        open_file(home, {}).get("a")
    assert caught.value.code == "CAT010"
    assert "can be read by others" in str(caught.value)
    assert "chmod 600" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda key: key.unlink(), id="missing"),
        pytest.param(lambda key: key.write_text("not a key"), id="no key in it"),
        pytest.param(lambda key: (key.unlink(), key.symlink_to("/dev/null")), id="a link"),
        pytest.param(lambda key: key.write_text("33" * 32), id="another key"),
    ],
)
def test_a_lost_key_file_is_an_error(home: Path, harm: Callable[[Path], object]) -> None:
    open_file(home, {}).put("a", "1")
    harm(home / "secrets.key")
    with pytest.raises(LookupFailed) as caught:
        open_file(home, {}).get("a")
    assert caught.value.code == "CAT010"
    assert caught.value.hint


class MemoryKeyring(KeyringBackend):
    """A backend of the keyring library that keeps passwords in this process."""

    priority = 5.0  # type: ignore[assignment] - the library computes it as a class property

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture(autouse=True)
def _no_keyring() -> Iterator[None]:
    # The library would find the class above by itself.
    keyring.set_keyring(fail.Keyring())
    yield
    keyring.set_keyring(fail.Keyring())


@pytest.fixture
def memory_keyring(_no_keyring: None) -> MemoryKeyring:
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    return backend


WITH_BUS = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}


def test_the_key_goes_to_the_os_keyring_if_there_is_one(
    home: Path, memory_keyring: MemoryKeyring
) -> None:
    open_file(home, WITH_BUS).put("a", "1")
    assert len(memory_keyring.kept) == 1
    assert not (home / "secrets.key").exists()
    assert open_file(home, WITH_BUS).get("a") == "1"
    assert open_file(home, WITH_BUS).check() == "keyring"


def test_a_keyring_that_lost_the_key_is_an_error(home: Path, memory_keyring: MemoryKeyring) -> None:
    open_file(home, WITH_BUS).put("a", "1")
    memory_keyring.kept.clear()
    with pytest.raises(LookupFailed) as caught:
        open_file(home, WITH_BUS).get("a")
    assert caught.value.code == "CAT010"
    assert "keyring" in str(caught.value)


def test_a_box_without_a_keyring_uses_a_key_file_and_prints_nothing(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    open_file(home, WITH_BUS).put("a", "1")
    assert (home / "secrets.key").exists()
    assert open_file(home, WITH_BUS).check() == "file"
    assert capfd.readouterr() == ("", "")


# ── damage ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"format": 1}'])
def test_a_damaged_file_is_an_error_and_is_left_alone(home: Path, content: bytes) -> None:
    home.mkdir()
    path = home / "secrets.db"
    path.write_bytes(content)
    store = open_file(home)
    for attempt in (lambda: store.get("a"), lambda: store.put("a", "1"), store.list, store.check):
        with pytest.raises(LookupFailed) as caught:
            attempt()
        assert caught.value.code == "CAT010"
        assert "damaged" in str(caught.value)
    assert path.read_bytes() == content


def test_a_file_of_a_newer_version_is_refused_as_such(home: Path) -> None:
    home.mkdir()
    (home / "secrets.db").write_text('{"format": 2, "anything": []}')
    with pytest.raises(LookupFailed, match="newer Moltler") as caught:
        open_file(home).get("a")
    assert caught.value.code == "CAT010"


def test_a_value_moved_to_another_name_or_version_does_not_open(home: Path) -> None:
    store = open_file(home)
    store.put("low", "reader")
    store.put("high", "admin")
    store.put("high", "admin again")
    path = home / "secrets.db"
    content = json.loads(path.read_bytes())
    content["secrets"]["low"] = content["secrets"]["high"]
    content["secrets"]["high"]["version"] = 1
    path.write_text(json.dumps(content))
    for name in ("low", "high"):
        with pytest.raises(LookupFailed) as caught:
            open_file(home).get(name)
        assert caught.value.code == "CAT010"
        assert f"moltler secrets set {name}" in (caught.value.hint or "")


def test_a_failed_write_leaves_the_old_file(home: Path) -> None:
    store = open_file(home)
    store.put("a", "1")
    in_the_way = home / f"secrets.db.{os.getpid()}.new"
    in_the_way.mkdir()
    with pytest.raises(LookupFailed) as caught:
        store.put("a", "2")
    in_the_way.rmdir()
    assert caught.value.code == "CAT010"
    assert store.get("a") == "1"


# ── order of look-up ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"MOLTLER_SECRET_SHOP_KEY": "from outside"}, "from outside"),
        ({"MOLTLER_SECRET_shop_key": "wrong case"}, "stored"),
        ({"MOLTLER_SECRET_SHOP_KEY": ""}, "stored"),
        ({}, "stored"),
    ],
)
def test_the_environment_comes_before_the_store(
    home: Path, variables: dict[str, str], found: str
) -> None:
    store = open_file(home)
    store.put("shop_key", "stored")
    assert lookup_secret("shop_key", variables, store) == found


def test_the_environment_needs_no_readable_store(home: Path) -> None:
    home.mkdir()
    (home / "secrets.db").write_bytes(b"damaged")
    environ = {"MOLTLER_SECRET_A": "1"}
    assert lookup_secret("a", environ, open_file(home)) == "1"
