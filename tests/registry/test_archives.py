"""Archives: the same bytes anywhere, and nothing unsafe or changed ever opened."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping

import pytest

from moltler.errors import PackageError
from moltler.registry.archive import LARGEST, SIGNATURE, SUMS, digest, pack, sums_of, unpack
from moltler.registry.package import Package, open_package

from .making import signed, simple

Change = Callable[[tarfile.TarInfo], None]


def archive(*entries: tuple[str, bytes, Change | None]) -> bytes:
    """Give an archive made by hand."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content, change in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if change is not None:
                change(entry)
            tar.addfile(entry, io.BytesIO(content[: entry.size]))
    return buffer.getvalue()


def link(kind: bytes, target: str) -> Change:
    def change(entry: tarfile.TarInfo) -> None:
        entry.type, entry.linkname, entry.size = kind, target, 0

    return change


def kind(value: bytes) -> Change:
    def change(entry: tarfile.TarInfo) -> None:
        entry.type, entry.size = value, 0

    return change


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("/etc/passwd", None, "absolute"),
        ("C:/windows/x", None, "absolute"),
        ("shop\\..\\x", None, "absolute"),
        ("shop-1.0.0/../../x", None, "leads out"),
        ("../x", None, "leads out"),
        ("shop-1.0.0/./x", None, "not a path"),
        ("shop-1.0.0//x", None, "not a path"),
        ("shop-1.0.0/.bashrc", None, "not a path"),
        ("shop-1.0.0/a\nb", None, "not a path"),
        ("loose", None, "not a path"),
        ("shop-1.0.0/x", link(tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        ("shop-1.0.0/x", link(tarfile.LNKTYPE, "shop-1.0.0/type.sql"), "is a link"),
        ("shop-1.0.0/x", kind(tarfile.DIRTYPE), "no plain file"),
        ("shop-1.0.0/x", kind(tarfile.CHRTYPE), "no plain file"),
        ("shop-1.0.0/x", kind(tarfile.FIFOTYPE), "no plain file"),
        ("shop-1.0.0/x", kind(tarfile.GNUTYPE_SPARSE), "no plain file"),
        ("shop-1.0.0/type.sql", None, "twice"),
        ("shop-1.0.0/TYPE.SQL", None, "twice"),
        ("other-1.0.0/x", None, "exactly one folder"),
    ],
)
def test_what_no_package_may_hold_is_refused(name: str, change: Change | None, why: str) -> None:
    content = archive(("shop-1.0.0/type.sql", b"", None), (name, b"", change))

    with pytest.raises(PackageError) as caught:
        unpack(content)

    assert caught.value.code == "PKG010"
    assert why in caught.value.message


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(LARGEST + 10_000))
    assert len(bomb) < 100_000

    with pytest.raises(PackageError, match="once unpacked") as caught:
        unpack(bomb)
    assert caught.value.code == "PKG010"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!doctype html><html>",
        gzip.compress(b"no tar"),
        bytes(LARGEST + 1),
        gzip.compress(bytes(10240))[:-3],
        pack("a-1.0.0", {"x": b"1"}) + b"more",
        pack("a-1.0.0", {"x": b"1"}) + pack("a-1.0.0", {"x": b"1"}),
    ],
    ids=["empty", "a page", "no tar", "too large", "cut", "followed", "two in one"],
)
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError) as caught:
        unpack(content)
    assert caught.value.code == "PKG010"


def test_too_many_files_are_refused() -> None:
    content = archive(*((f"a-1.0.0/f{n}", b"", None) for n in range(2001)))

    with pytest.raises(PackageError, match="2,000 files"):
        unpack(content)


def test_an_archive_that_is_too_large_is_not_made() -> None:
    with pytest.raises(PackageError) as caught:
        pack("a-1.0.0", {"x": bytes(LARGEST)})
    assert caught.value.code == "PKG003"


def test_names_are_sorted_and_times_owners_and_modes_are_fixed() -> None:
    content = pack("a-1.0.0", {"b": b"2", "a": b"1", "c/d": b"3"})

    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        entries = tar.getmembers()
    assert [e.name for e in entries] == ["a-1.0.0/a", "a-1.0.0/b", "a-1.0.0/c/d"]
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname, e.mode) for e in entries} == {
        (0, 0, 0, "", "", 0o644)
    }
    assert unpack(content) == ("a-1.0.0", {"a": b"1", "b": b"2", "c/d": b"3"})


def test_bytes_do_not_depend_on_a_compressor() -> None:
    # Written down once: another machine, zlib or Python must give these very bytes.
    assert digest(pack("a-1.0.0", {"x": b"1" * 200_000})) == (
        "d5fe5901054efc7ed8418dc1bffbe5b1a44dad6214a7db046a31df223c175447"
    )


def opened(content: bytes) -> object:
    """Give the files of an archive, or the code of why it is refused."""
    try:
        return open_package(content).files
    except PackageError as error:
        return error.code


def test_a_flipped_byte_never_changes_what_is_opened() -> None:
    content = signed(simple("shop", "1.0.0")).content
    files = open_package(content).files

    outcomes = [
        opened(content[:n] + bytes([content[n] ^ 0x20]) + content[n + 1 :])
        for n in range(0, len(content), 97)
    ]

    changed = [o for o in outcomes if o != files]
    assert {str(o) for o in changed} <= {"PKG002", "PKG010"}
    assert len(changed) > len(outcomes) / 2  # the rest is padding, which the index covers


@pytest.mark.parametrize("path", ["type.sql", "connector.json", "handlers/items.query.js", SUMS])
def test_a_changed_file_is_named(path: str) -> None:
    package = simple("shop", "1.0.0")
    files = dict(package.files)
    files[path] = files[path].replace(b"e", b"E", 1)

    with pytest.raises(PackageError) as caught:
        open_package(pack(package.root, files))

    assert caught.value.code == "PKG002"
    assert "SHA256SUMS" in caught.value.message


@pytest.mark.parametrize("path", ["type.sql", "README.md", "connector.json", SUMS])
def test_a_missing_file_is_noticed(path: str) -> None:
    package = simple("shop", "1.0.0")
    files = {p: c for p, c in package.files.items() if p != path}

    with pytest.raises(PackageError) as caught:
        open_package(pack(package.root, files))

    assert caught.value.code == "PKG002"


def test_a_file_that_nobody_listed_is_noticed() -> None:
    package = simple("shop", "1.0.0")
    files = {**package.files, "handlers/more.js": b"1"}

    with pytest.raises(PackageError, match="not listed"):
        open_package(pack(package.root, files))

    files[SUMS] = sums_of(files)
    with pytest.raises(PackageError, match="list of files"):
        open_package(pack(package.root, files))


def test_a_statement_that_no_definition_needs_is_refused() -> None:
    package = simple("shop", "1.0.0")
    more = b"\nCREATE CONNECTOR x TYPE 'shop' CONFIG {};"

    with pytest.raises(PackageError) as caught:
        remade(package.files, package.root, more).definition(lambda _h, _e: ())

    assert caught.value.code == "PKG010"


def test_permissions_that_hide_something_are_refused() -> None:
    package = simple("shop", "1.0.0")
    manifest = package.files["connector.json"].replace(b'"items.create"', b"", 1)
    assert manifest != package.files["connector.json"]
    files = {**package.files, "connector.json": manifest}
    files[SUMS] = sums_of(files)

    with pytest.raises(PackageError, match="permissions") as caught:
        open_package(pack(package.root, files)).definition(lambda _h, _e: ())

    assert caught.value.code == "PKG002"


def test_a_signature_by_another_key_or_of_something_else_is_refused() -> None:
    package = signed(simple("shop", "1.0.0"))
    other = signed(simple("shop", "1.0.1"))
    files = {**package.files, SIGNATURE: other.files[SIGNATURE]}

    with pytest.raises(PackageError, match="another content or by another key") as caught:
        open_package(pack(package.root, files))
    assert caught.value.code == "PKG002"

    lines = package.files[SIGNATURE].splitlines()
    for damaged in (b"", lines[0], b"0" * 32 + lines[0][32:] + b"\n" + lines[1], lines[1]):
        with pytest.raises(PackageError) as caught:
            open_package(pack(package.root, {**package.files, SIGNATURE: damaged}))
        assert caught.value.code == "PKG002"


def remade(files: Mapping[str, bytes], root: str, more: bytes) -> Package:
    """Give a package with more in its script, its digests made anew."""
    changed = {**files, "type.sql": files["type.sql"] + more}
    manifest = json.loads(changed["connector.json"])
    manifest["files"]["type.sql"] = digest(changed["type.sql"])
    changed["connector.json"] = json.dumps(manifest).encode()
    changed[SUMS] = sums_of(changed)
    return open_package(pack(root, changed))
