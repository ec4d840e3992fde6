"""A secret value that never prints itself."""

from __future__ import annotations

from collections.abc import Iterable

MASK = "********"
_SHORTEST_MASKED = 6
# Shorter values would mask ordinary words in every message.


class Secret:
    """A resolved secret: its name and a value that only `reveal` gives."""

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        """The name of the config property or secret it came from."""
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
    """Give the text with every secret value of 6 characters or more replaced.

    Values are also found percent-encoded, JSON-escaped and in Base64.

    >>> redact("Bearer hunter2!", [Secret("api_key", "hunter2!")])
    'Bearer [secret api_key]'
    """
    # Longest first, so that a secret that contains another one is replaced whole.
    for secret in sorted(secrets, key=lambda s: -len(s.reveal())):
        value = secret.reveal()
        if len(value) < _SHORTEST_MASKED:
            continue
        for spelling in _spellings(value):
            text = text.replace(spelling, f"[secret {secret.name}]")
    return text


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
