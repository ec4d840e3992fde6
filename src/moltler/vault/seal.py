"""Seals: what handlers hold in the place of secrets, and how it is opened again.

A seal is ``sealed_`` and 32 hexadecimal digits, an HMAC of the value and the instance under a key
of the home. A derived seal is what ``btoa`` gives for a text that holds seals: ``sealed_b_``, the
number of hexadecimal digits, ``_``, and that text in hexadecimal. A handler could write one by
hand and gain nothing by it: it opens to the Base64 of that text with its seals opened, and only
seals of the instance are opened.
"""

from __future__ import annotations

import base64
import hmac
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from moltler.errors import LookupFailed
from moltler.ports import Clock
from moltler.secret import Secret, seals_in
from moltler.vault.keys import KEY_BYTES, read_key_file, write_private
from moltler.vault.locks import hold_lock

_DEEPEST = 2
"""How often ``btoa`` may be applied: Base64 of Base64 is still found in answers."""
_DIGITS = 32

Escape = Callable[[bytes], bytes]
"""Gives a value as the place where it goes wants it."""


class SealTooLarge(Exception):  # noqa: N818 - becomes a FetchFailure
    """With its seals opened a text is larger than it may be."""


class SealKey:
    """The key of a home's seals, in a file of its own; safe for threads and processes.

    It is not the master key: seals are needed where no secret is stored at all, and who has this
    key can tell that two seals are of one value, but open none.

    Args:
        home: The folder; made when the key is first needed.
        clock: Tells how long a lock has been waited for.
    """

    def __init__(self, home: Path, clock: Clock) -> None:
        self._path = home / "seal.key"
        self._clock = clock
        self._mutex = threading.Lock()
        self._key: bytes | None = None

    def get(self) -> bytes:
        """Give the key, made at its first use.

        Where the home cannot be written, seals are the same only within this process.
        """
        with self._mutex:
            if self._key is None:
                self._key = self._read() or self._make()
            return self._key

    def _read(self) -> bytes | None:
        try:
            return read_key_file(self._path)
        except LookupFailed:
            # Unusable: a new one changes the seals and nothing else.
            return None

    def _make(self) -> bytes:
        key = os.urandom(KEY_BYTES)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Of two that make one at once, the second must find the first one's.
            with hold_lock(self._path.with_suffix(".lock"), self._clock):
                if (made := self._read()) is not None:
                    return made
                write_private(self._path, base64.b64encode(key) + b"\n")
        except (OSError, LookupFailed):
            return key
        return self._read() or key


def seal_of(key: bytes, instance: str, value: str) -> str:
    """Give the seal of a value in an instance.

    >>> seal_of(b"k", "shop", "hunter2")
    'sealed_daefd0b85b653c49d3cdf37c6709d718'
    """
    digest = hmac.new(key, digestmod="sha256")
    for part in (instance.lower(), value):
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return f"sealed_{digest.hexdigest()[:_DIGITS]}"


def derived(text: bytes) -> str:
    """Give what ``btoa`` gives: Base64, or a derived seal if the text holds what looks like one.

    >>> derived(b"user:password")
    'dXNlcjpwYXNzd29yZA=='
    """
    if next(seals_in(text.decode("latin-1")), None) is None:
        return base64.b64encode(text).decode()
    digits = text.hex()
    return f"sealed_b_{len(digits)}_{digits}"


def given_to_btoa(text: str) -> bytes | None:
    """Give the text that a derived seal was made of, or ``None`` for any other text."""
    first = next(seals_in(text), None)
    if first is None or first[2] is None or (first[0], first[1]) != (0, len(text)):
        return None
    return bytes.fromhex(first[2])


class SealBook:
    """The seals of one instance.

    Args:
        secrets: Those with a seal count.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._secrets = {s.seal: s for s in secrets if s.seal is not None}

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets that are sealed."""
        return tuple(self._secrets.values())

    def holds(self, content: bytes) -> bool:
        """Tell whether a text holds a seal of this instance, derived ones included."""
        return next(self._found(content, None, 0), None) is not None

    def leading(self, text: str) -> tuple[str, str] | None:
        """Split a text that begins with a seal into its value and the rest."""
        first = next(seals_in(text), None) if text.startswith("sealed_") else None
        secret = self._secrets.get(text[: first[1]]) if first else None
        if first is None or secret is None:
            return None
        return secret.reveal(), text[first[1] :]

    def open(self, content: bytes, escape: Escape | None = None, *, limit: int) -> bytes:
        """Give a text with the instance's seals opened; anything else stays as it is.

        Args:
            content: UTF-8, or any bytes.
            escape: Applied to each value.
            limit: The most bytes that the result may have.

        Raises:
            SealTooLarge: It would have more.
        """
        return self._opened(content, escape, limit, 0)

    def derived_in(self, content: bytes, *, limit: int) -> Iterator[tuple[bytes, bytes]]:
        """Give each derived seal in a text with what it is opened to."""
        for start, stop, value in self._found(content, limit, 0):
            if content[start:stop].startswith(b"sealed_b_"):
                yield content[start:stop], value

    def sign(self, hash_name: str, key: bytes, content: bytes) -> bytes:
        """Give the HMAC of a text under a key that may hold seals.

        Raises:
            SealTooLarge: The key is too large.
        """
        opened = self.open(key, limit=1 << 20)
        return hmac.digest(opened, content, hash_name.replace("-", "").lower())

    def _opened(self, content: bytes, escape: Escape | None, limit: int, depth: int) -> bytes:
        parts: list[bytes] = []
        end, size = 0, len(content)
        for start, stop, value in self._found(content, limit, depth):
            escaped = value if escape is None else escape(value)
            parts += (content[end:start], escaped)
            end = stop
            size += len(escaped) - (stop - start)
            if size > limit:
                raise SealTooLarge
        return b"".join((*parts, content[end:])) if parts else content

    def _found(
        self, content: bytes, limit: int | None, depth: int
    ) -> Iterator[tuple[int, int, bytes]]:
        """Give the place and value of each seal; without a limit derived values are empty."""
        if not self._secrets or b"sealed_" not in content:
            return
        text = content.decode("latin-1")  # one character for each byte
        for start, stop, digits in seals_in(text):
            if digits is None:
                if secret := self._secrets.get(text[start:stop]):
                    yield start, stop, secret.reveal().encode("utf-8", "surrogatepass")
            elif depth < _DEEPEST:
                template = bytes.fromhex(digits)
                if next(self._found(template, None, depth + 1), None) is None:
                    continue
                opened = b""
                if limit is not None:
                    opened = base64.b64encode(self._opened(template, None, limit, depth + 1))
                yield start, stop, opened
