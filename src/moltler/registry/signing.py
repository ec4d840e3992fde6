"""Ed25519 over SHA256SUMS: keys, signatures, and what they prove."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from moltler.errors import PackageError, ParseError

_WORD = "moltler-ed25519"
_ID_DIGITS = 32
KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,79}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Whose signatures can be checked."""

    raw: bytes
    name: str
    """What its owner calls it; says nothing about who that is."""

    @property
    def id(self) -> str:
        """The key's identifier: made of the key itself, so it cannot be claimed."""
        return key_id(self.raw)

    def __str__(self) -> str:
        return f"{_WORD} {base64.b64encode(self.raw).decode()} {self.name}"


@dataclass(frozen=True, slots=True)
class Signature:
    """What the file SIGNATURE says."""

    key: PublicKey
    value: bytes


def key_id(raw: bytes) -> str:
    """Give the identifier of a public key, 32 hex digits."""
    return hashlib.sha256(raw).hexdigest()[:_ID_DIGITS]


def new_key() -> str:
    """Make a private key; the text is to be kept secret."""
    return base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def public_key(private: str, name: str) -> PublicKey:
    """Give the public half of a private key."""
    return PublicKey(_private(private).public_key().public_bytes_raw(), name)


def sign(sums: bytes, private: str, name: str) -> bytes:
    """Give the content of SIGNATURE for the content of SHA256SUMS; the same each time."""
    value = base64.b64encode(_private(private).sign(sums)).decode()
    key = public_key(private, name)
    return f"{key.id} {value}\n{key}\n".encode()


def check_signature(sums: bytes, signature: bytes) -> PublicKey:
    """Give the key that signed, once the signature is found to be right.

    Raises:
        PackageError: PKG002, it is damaged or of something else.
    """
    first, _, second = signature.decode("utf-8", "replace").partition("\n")
    named, _, value = first.partition(" ")
    try:
        key = read_public_key(second.rstrip("\n"))
        if named != key.id:
            raise _wrong("its key is not the one it names")
        Ed25519PublicKey.from_public_bytes(key.raw).verify(
            base64.b64decode(value, validate=True), sums
        )
    except (ParseError, binascii.Error, ValueError) as error:
        raise _wrong("it is damaged") from error
    except InvalidSignature as error:
        raise _wrong("it is of another content or by another key") from error
    return key


def read_public_key(text: str) -> PublicKey:
    """Read what `moltler keys` prints of a key.

    Raises:
        ParseError: SYN006, it is none.
    """
    parts = text.strip().split(" ")
    try:
        if len(parts) == 3 and parts[0] == _WORD and KEY_NAME.fullmatch(parts[2]):
            raw = base64.b64decode(parts[1], validate=True)
            Ed25519PublicKey.from_public_bytes(raw)
            return PublicKey(raw, parts[2])
    except (binascii.Error, ValueError):
        pass  # the error below says what a key looks like
    raise ParseError(
        "SYN006",
        "the text is not a public key",
        hint=f"it is one line: `{_WORD} <Base64> <name>`, as `moltler keys list` prints it",
    )


def _private(text: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text))


def _wrong(why: str) -> PackageError:
    return PackageError(
        "PKG002",
        f"the signature of the package is wrong: {why}",
        hint="do not use this copy; nothing was installed",
    )
