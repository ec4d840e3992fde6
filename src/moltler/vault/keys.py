"""What a master key may be: text from the environment, or a file that only its owner reads."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from pathlib import Path

from moltler.errors import LookupFailed

KEY_BYTES = 32
SHORTEST_TEXT = 16
"""Characters; a shorter MOLTLER_KEY is refused."""
_HEX = re.compile(r"[0-9a-fA-F]{64}")


def decode_key(text: str) -> bytes | None:
    """Give the 32 bytes that a text spells as 64 hex digits or as Base64, else ``None``.

    >>> decode_key("00" * 32) == bytes(32)
    True
    >>> decode_key("a sentence of some length") is None
    True
    """
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None


def check_text(text: str) -> None:
    """Refuse a MOLTLER_KEY that is too short to be stretched.

    Raises:
        LookupFailed: CAT010.
    """
    if len(text) < SHORTEST_TEXT:
        raise LookupFailed(
            "CAT010",
            f"MOLTLER_KEY has {len(text)} characters, but needs at least {SHORTEST_TEXT}",
            hint="set it to 32 random bytes in Base64, for example from `openssl rand -base64 32`",
        )


def read_key_file(path: Path) -> bytes | None:
    """Give the key in a key file, or ``None`` if there is no such file.

    Raises:
        LookupFailed: CAT010, others may read it, or it does not hold a key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LookupFailed(
            "CAT010",
            f"cannot read the key file `{path}` ({error.strerror})",
            hint="it must be a plain file that you own; check its permissions",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise LookupFailed(
                "CAT010",
                f"the key file `{path}` can be read by others (mode {mode:04o})",
                hint=f"run `chmod 600 {path}`; if others may have read it, replace the secrets",
            )
        key = decode_key(file.read(1000).decode("ascii", "replace").strip())
    if key is None:
        raise LookupFailed(
            "CAT010",
            f"the key file `{path}` does not hold a key",
            hint="restore it from a backup; without it the stored secrets cannot be read",
        )
    return key


def write_private(path: Path, content: bytes) -> None:
    """Replace a file as a whole, durably, readable by its owner only."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
