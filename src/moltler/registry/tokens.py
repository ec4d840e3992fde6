"""Who may publish to a served registry: names and the digests of their tokens."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

import msgspec

from moltler.errors import PackageError, ParseError
from moltler.ports import Clock
from moltler.registry.folder import HIDDEN
from moltler.vault.keys import write_private
from moltler.vault.locks import hold_lock

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,79}", re.ASCII)
_BEGIN = "mlt_"


class Tokens:
    """The tokens of one registry; the file holds digests only, and changes count at once.

    Args:
        root: The registry's folder.
        clock: For waiting.
    """

    def __init__(self, root: Path, clock: Clock) -> None:
        self._path = root / HIDDEN / "tokens.json"
        self._clock = clock

    def issue(self, name: str) -> str:
        """Give a new token to a publisher; an earlier one of that name ends.

        Raises:
            ParseError: SYN005, the name is not one.
        """
        if not _NAME.fullmatch(name):
            raise ParseError(
                "SYN005",
                f"`{name[:80]}` cannot name a publisher",
                hint="use letters, digits, `_`, `-` and `.`, starting with a letter",
            )
        token = _BEGIN + secrets.token_urlsafe(32)
        self._change({name: _digest(token)})
        return token

    def revoke(self, name: str) -> None:
        """End the token of a publisher.

        Raises:
            PackageError: PKG008, there is no such publisher.
        """
        if name not in self._load():
            raise PackageError(
                "PKG008",
                f"nobody called `{name}` may publish here",
                allowed=tuple(sorted(self._load())),
            )
        self._change({name: None})

    def owner(self, token: str) -> str | None:
        """Give who holds a token, or ``None``."""
        wanted, found = _digest(token), None
        for name, known in self._load().items():
            if hmac.compare_digest(wanted, known):
                found = name
        return found

    def _load(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            raise PackageError(
                "PKG007", f"`{self._path}` cannot be read", hint="restore it from a backup"
            ) from error

    def _change(self, changes: dict[str, str | None]) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold_lock(self._path.with_suffix(".lock"), self._clock):
            merged = {**self._load(), **changes}
            kept = {name: value for name, value in sorted(merged.items()) if value is not None}
            write_private(self._path, msgspec.json.encode(kept))


def _digest(token: str) -> str:
    # Tokens are random, so a plain digest is as good as a slow one.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
