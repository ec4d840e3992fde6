"""A secret value that never prints itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

MASK = "********"
SEAL = re.compile(r"sealed_(?:[0-9a-f]{32}|b_(?P<size>[1-9][0-9]{0,8})_)")
"""A seal, or the beginning of a derived one: so many hexadecimal digits of the text follow that
was given to ``btoa`` (LANGUAGE §5.4; `moltler.vault.seal` makes both)."""
_HEX = re.compile(r"[0-9a-f]*")
_ELLIPSIS = "…"
_SHORTEST_MASKED = 6
# Shorter values would mask ordinary words in every message.


class Secret:
    """A resolved secret: its name and a value that only `reveal` gives.

    Args:
        name: Of the config property or secret it came from.
        value: In plain.
        seal: What JavaScript holds in its place; ``None`` if it holds the value itself.
    """

    __slots__ = ("_value", "name", "seal")

    def __init__(self, name: str, value: str, seal: str | None = None) -> None:
        self.name = name
        """The name of the config property or secret it came from."""
        self.seal = seal
        """What JavaScript holds in its place; ``None`` if it holds the value itself."""
        self._value = value

    def reveal(self) -> str:
        """Give the plain value; the caller must not print, log or store it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.name!r}, {MASK})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.name == other.name and self._value == other._value

    def __hash__(self) -> int:
        return hash((self.name, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret is never pickled")


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Give the text with every seal, and every value of 6 characters or more, replaced.

    Values are also found percent-encoded, JSON-escaped and in Base64, and where an ellipsis cuts
    them short.

    >>> redact("Bearer hunter2!", [Secret("api_key", "hunter2!")])
    'Bearer [secret api_key]'
    >>> redact("found 'hunter2…", [Secret("api_key", "hunter2!")])
    "found '[secret api_key]…"
    """
    # Longest first, so that a secret that contains another one is replaced whole.
    known = sorted(secrets, key=lambda s: -len(s.reveal()))
    if "sealed_" in text:
        text = _without_seals(text, {s.seal: s.name for s in known if s.seal is not None})
    for secret in known:
        value = secret.reveal()
        if len(value) < _SHORTEST_MASKED:
            continue
        for spelling in _spellings(value):
            text = text.replace(spelling, f"[secret {secret.name}]")
    return _without_beginnings(text, known) if _ELLIPSIS in text else text


def redact_start(text: str, length: int, secrets: Iterable[Secret]) -> str:
    """Give so many first characters of a text, redacted, also where they end within a secret.

    Args:
        text: It may have been cut to that length before.
        length: In characters of the text.
        secrets: What to replace.

    >>> redact_start("it is hunter2!", 13, [Secret("api_key", "hunter2!")])
    'it is [secret api_key]'
    """
    if len(text) < length:
        return redact(text, secrets)
    return redact(text[:length] + _ELLIPSIS, secrets).removesuffix(_ELLIPSIS)


def seals_in(text: str) -> Iterator[tuple[int, int, str | None]]:
    """Give the place of each text that has the form of a seal.

    Returns:
        Start, end, and the hexadecimal digits of a derived one; ``None`` for any other.
    """
    at = 0
    while found := SEAL.search(text, at):
        at = end = found.end()
        size = found["size"]
        if size is None:
            yield found.start(), end, None
            continue
        digits = _HEX.match(text, end)
        # Counted, so that it ends where it ends, whatever is written after it.
        if digits is not None and len(digits[0]) >= int(size) and int(size) % 2 == 0:
            at = end + int(size)
            yield found.start(), at, text[end:at]


def _without_seals(text: str, names: Mapping[str, str]) -> str:
    kept: list[str] = []
    end = 0
    for start, stop, digits in seals_in(text):
        name = names.get(text[start:stop])
        if digits is not None:
            name = next((n for s, n in names.items() if s.encode().hex() in digits), None)
        if name is not None:
            kept += (text[end:start], f"[secret {name}]")
            end = stop
    return "".join((*kept, text[end:]))


def _without_beginnings(text: str, secrets: Iterable[Secret]) -> str:
    pieces = text.split(_ELLIPSIS)
    for at, piece in enumerate(pieces[:-1]):
        for secret in secrets:
            for spelling in _spellings(secret.reveal()):
                longest = min(len(spelling), len(piece))
                sizes = range(longest, _SHORTEST_MASKED - 1, -1)
                size = next((n for n in sizes if piece.endswith(spelling[:n])), None)
                if size is not None:
                    pieces[at] = piece = f"{piece[:-size]}[secret {secret.name}]"
    return _ELLIPSIS.join(pieces)


def _spellings(value: str) -> list[str]:
    import base64  # noqa: PLC0415 - only redaction of a real secret needs these
    import json  # noqa: PLC0415
    import urllib.parse  # noqa: PLC0415

    encoded = base64.b64encode(value.encode()).decode()
    return list(
        dict.fromkeys(
            [
                value,
                json.dumps(value)[1:-1],
                json.dumps(value, ensure_ascii=False)[1:-1],
                urllib.parse.quote(value, safe=""),
                urllib.parse.quote_plus(value),
                encoded,
                encoded.rstrip("="),
            ]
        )
    )
