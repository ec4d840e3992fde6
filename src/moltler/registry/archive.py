"""The archive of a package: files to bytes that never differ, and back with nothing trusted."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import tarfile
import zlib
from collections.abc import Mapping

from moltler.errors import PackageError

LARGEST = 20_000_000
"""Bytes, of the archive and of everything in it."""
MOST_FILES = 2_000
SUFFIX = ".moltler.tgz"
SUMS = "SHA256SUMS"
SIGNATURE = "SIGNATURE"

_BLOCK = 0xFFFF
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", re.ASCII)
_SUM_LINE = re.compile(r"([0-9a-f]{64})  ([^\s].*)", re.ASCII)


def digest(content: bytes) -> str:
    """Give the SHA-256 of bytes as hex digits."""
    return hashlib.sha256(content).hexdigest()


def pack(root: str, files: Mapping[str, bytes]) -> bytes:
    """Give the archive of files below one folder; equal files give equal bytes anywhere.

    Args:
        root: The folder, ``shop-1.0.0``.
        files: Content by path below it.

    Raises:
        PackageError: PKG003, it would be too large.

    >>> pack("a-1.0.0", {"b": b"1", "a": b"2"}) == pack("a-1.0.0", {"a": b"2", "b": b"1"})
    True
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(files):
            entry = tarfile.TarInfo(f"{root}/{path}")
            entry.size, entry.mode, entry.mtime = len(files[path]), 0o644, 0
            tar.addfile(entry, io.BytesIO(files[path]))
    plain = buffer.getvalue()
    if len(plain) > LARGEST or len(files) > MOST_FILES:
        raise PackageError(
            "PKG003",
            f"the package has {len(plain):,} bytes in {len(files):,} file(s); at most"
            f" {LARGEST:,} in {MOST_FILES:,} fit",
            hint="record fewer or smaller answers in its cassettes",
        )
    return _gzip(plain)


def _gzip(plain: bytes) -> bytes:
    """Give gzip with stored blocks only.

    Compressors differ between builds of zlib, and their bytes would differ with them.

    Source: RFC 1952, RFC 1951 §3.2.4.
    """
    parts = [_HEADER]
    for start in range(0, len(plain), _BLOCK):
        piece = plain[start : start + _BLOCK]
        is_last = start + _BLOCK >= len(plain)
        parts += [struct.pack("<BHH", is_last, len(piece), len(piece) ^ 0xFFFF), piece]
    parts.append(struct.pack("<II", zlib.crc32(plain), len(plain)))
    return b"".join(parts)


def unpack(content: bytes) -> tuple[str, dict[str, bytes]]:
    """Give the root folder of an archive and its files by path below it; writes nothing.

    Raises:
        PackageError: PKG010, it is no archive, too large, or holds what no package may hold.
    """
    if len(content) > LARGEST:
        raise _too_large(f"{len(content):,} bytes")
    plain = _gunzip(content)
    files: dict[str, bytes] = {}
    roots: set[str] = set()
    folded: set[str] = set()
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
            for entry in tar:
                root, path = _checked(entry)
                roots.add(root)
                if path.lower() in folded:
                    raise unsafe(f"it holds `{path}` twice")
                folded.add(path.lower())
                if len(folded) > MOST_FILES:
                    raise _too_large(f"more than {MOST_FILES:,} files")
                opened = tar.extractfile(entry)
                files[path] = b"" if opened is None else opened.read()
                if len(files[path]) != entry.size:
                    raise unsafe(f"`{path}` ends early")
    except (tarfile.TarError, ValueError, OverflowError, OSError, EOFError) as error:
        raise unsafe(f"it is not a tar archive: {error}") from error
    if len(roots) != 1:
        raise unsafe("it must hold exactly one folder")
    return roots.pop(), files


def _gunzip(content: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        plain = inflater.decompress(content, LARGEST + 1)
    except zlib.error as error:
        raise unsafe(f"it is not a gzip archive: {error}") from error
    if len(plain) > LARGEST:
        raise _too_large(f"more than {LARGEST:,} bytes once unpacked")
    if not inflater.eof:
        raise unsafe("it ends early")
    if inflater.unused_data:
        raise unsafe("something follows its end")
    return plain


def _checked(entry: tarfile.TarInfo) -> tuple[str, str]:
    name = entry.name
    shown = name[:80]
    if entry.issym() or entry.islnk():
        raise unsafe(f"`{shown}` is a link")
    if name.startswith("/") or "\\" in name or ":" in name:
        raise unsafe(f"`{shown}` is an absolute path")
    parts = name.split("/")
    if ".." in parts:
        raise unsafe(f"`{shown}` leads out of the archive")
    is_plain = entry.type in {tarfile.REGTYPE, tarfile.AREGTYPE} and not entry.issparse()
    if not is_plain:
        raise unsafe(f"`{shown}` is no plain file")
    if len(parts) < 2 or not all(_PART.fullmatch(part) for part in parts) or len(name) > 1000:
        raise unsafe(f"`{shown}` is not a path that a package may have")
    return parts[0], "/".join(parts[1:])


def sums_of(files: Mapping[str, bytes]) -> bytes:
    """Give the content of SHA256SUMS for the other files."""
    lines = (
        f"{digest(files[path])}  {path}\n"
        for path in sorted(files)
        if path not in {SUMS, SIGNATURE}
    )
    return "".join(lines).encode()


def check_sums(files: Mapping[str, bytes]) -> None:
    """Compare every file with SHA256SUMS; nothing may be missing there, or missing here.

    Raises:
        PackageError: PKG002.
    """
    listed: dict[str, str] = {}
    if SUMS not in files:
        raise PackageError("PKG002", "the package has no SHA256SUMS", hint=_AGAIN)
    for line in files[SUMS].decode("utf-8", "replace").splitlines():
        found = _SUM_LINE.fullmatch(line)
        if found is None or found[2] in listed:
            raise PackageError("PKG002", "SHA256SUMS of the package is damaged", hint=_AGAIN)
        listed[found[2]] = found[1]
    there = {path for path in files if path not in {SUMS, SIGNATURE}}
    for path in sorted(there ^ listed.keys()):
        where = "is not listed in" if path in there else "is missing and listed in"
        raise PackageError("PKG002", f"`{path}` {where} SHA256SUMS", hint=_AGAIN)
    for path in sorted(there):
        if digest(files[path]) != listed[path]:
            raise PackageError("PKG002", f"`{path}` is not what SHA256SUMS says it is", hint=_AGAIN)


_AGAIN = "get the package again from where it was published; nothing was installed"


def unsafe(why: str) -> PackageError:
    """Give the error PKG010 for an archive; the reason is a clause."""
    return PackageError(
        "PKG010",
        f"the archive is not safe to open: {why}",
        hint="tell whoever published it; nothing was installed",
    )


def _too_large(what: str) -> PackageError:
    return unsafe(f"it has {what}; at most {LARGEST:,} bytes and {MOST_FILES:,} files are read")
