"""Secrets taken out of what a cassette holds, in every spelling in which they travel."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl, unquote, unquote_plus

from moltler.errors import error_class
from moltler.schema import JsonValue
from moltler.secret import Secret

CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
"""Headers whose values are never written (LANGUAGE §10.4)."""
PLACEHOLDER = re.compile(r"REDACTED\.\w+\.")
_TOKENS = frozenset({"access_token", "refresh_token", "id_token", "client_secret"})
_SECRET_WORDS = re.compile(
    r"(?i)(?:^|_)(?:(?:api|access|private|secret)_?key|token|secret|pass|passwd|password|pwd"
    r"|credentials?|pat)(?:_|$)"
)
_SHORT = 6
"""Below this many characters a value is only a secret where it stands as a word of its own."""
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=%")
_BASE64_WORD = re.compile(r"(?:[0-9A-Za-z+/_-]|%2[BbFf]){4,}(?:=|%3[Dd]){0,2}")
_BETWEEN = re.compile(r"[/_-]")
"""What may join a text in Base64 to others, as the parts of a path."""
_LARGEST_UNPACKED = 64 << 20
_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/@\s]+@")
_JSON_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_CONTROLS = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#(?:39|x27);"}


def placeholder(name: str) -> str:
    """Give what stands for a secret: letters that URLs, JSON and headers leave alone.

    >>> placeholder("api_key")
    'REDACTED.api_key.'
    """
    return f"REDACTED.{re.sub(r'[^0-9A-Za-z_]', '_', name) or 'secret'}."


def without_names(text: str) -> str:
    """Give a text whose placeholders all look the same, for comparing."""
    return PLACEHOLDER.sub("REDACTED", text)


@dataclass(frozen=True, slots=True)
class _Spelled:
    secret: Secret
    stand_in: str
    plain: re.Pattern[str]
    coded: re.Pattern[str] | None
    """Base64, at each of the three places where a value may start in a group."""


class Redactor:
    """Replaces the values of some secrets, and tells whether any is left.

    Args:
        secrets: Values of any length; empty ones are no secrets.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        known = {s.reveal(): s for s in sorted(secrets, key=lambda s: s.name, reverse=True)}
        known.pop("", None)
        # Longest first, so that a value that holds another one goes whole.
        ordered = sorted(known.values(), key=lambda s: -len(s.reveal()))
        self._spelled = [_spelled(s, number) for number, s in enumerate(ordered, 1)]
        self._short = [s for s in self._spelled if s.coded is None]

    def text(self, text: str) -> str:
        """Give a text without the values."""
        if self._short:
            text = _BASE64_WORD.sub(self._decoded, text)
        for spelled in self._spelled:
            text = spelled.plain.sub(spelled.stand_in, text)
            if spelled.coded is not None:
                text = _without_coded(text, spelled.coded, spelled.stand_in)
        return text

    def _decoded(self, word: re.Match[str]) -> str:
        """Give what stands for a word that is the Base64 of a text with a short secret."""
        for part in (word[0], *_BETWEEN.split(word[0])):
            text = _plain_text(part)
            for spelled in self._short if text else ():
                if spelled.plain.search(text):
                    return word[0].replace(part, spelled.stand_in)
        return word[0]

    def json(self, value: JsonValue) -> JsonValue:
        """Give a JSON value without the values, in keys, texts and numbers."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.json(item) for item in value]
            case dict():
                return {self.text(key): self.json(inner) for key, inner in value.items()}
            case None | bool():
                return value
            case _:
                return shown if (shown := self.text(repr(value))) != repr(value) else value

    def bytes(self, content: bytes) -> bytes:
        """Give bytes that are no text without the values.

        Raises:
            MoltlerError: TST005, a compressed text holds one, which cannot be taken out of it.
        """
        for spelled in self._spelled:
            content = content.replace(spelled.secret.reveal().encode(), spelled.stand_in.encode())
        if name := self.leak(_inflated(content).decode("utf-8", "replace")):
            raise error_class("TST005")(
                "TST005",
                f"a compressed body holds the value of the secret `{name}`, so it is not recorded",
                hint="test this request with MOCK_API, or send it uncompressed while recording",
            )
        return content

    def setting(self, text: str) -> str:
        """Give the value of an environment variable without secrets and passwords of URLs."""
        return _PASSWORD.sub(rf"\1:{placeholder('password')}@", self.text(text))

    def leak(self, text: str) -> str | None:
        """Give the name of a secret whose value a text holds, or ``None``."""
        unescaped = _JSON_UNICODE.sub(lambda m: chr(int(m[1], 16)), text).replace("\\/", "/")
        variants = {text, unquote(text), unquote_plus(text), unescaped, unescaped.replace("\\", "")}
        for spelled in self._spelled:
            value = spelled.secret.reveal()
            if value == spelled.stand_in:
                continue
            if len(value) >= _SHORT and any(value in variant for variant in variants):
                return spelled.secret.name
            if spelled.plain.search(text) or (spelled.coded and spelled.coded.search(text)):
                return spelled.secret.name
        for word in _BASE64_WORD.finditer(text) if self._short else ():
            for spelled in self._short:
                if any(spelled.plain.search(_plain_text(p)) for p in _BETWEEN.split(word[0])):
                    return spelled.secret.name
        return None


def credentials(headers: Mapping[str, Iterable[str]]) -> Iterator[Secret]:
    """Give what an API handed out or was shown: tokens and cookies are secrets as well.

    Args:
        headers: Names in lower case.
    """
    for name in CREDENTIAL_HEADERS & headers.keys():
        for value in headers[name]:
            parts = value.split(";")
            if name.endswith("authorization"):
                found = [value.rpartition(" ")[2]]
            elif name == "cookie":
                found = [part.partition("=")[2].strip() for part in parts]
            else:
                found = [parts[0].partition("=")[2].strip()]
            for text in found:
                if len(text) >= 8 and not PLACEHOLDER.search(text):
                    yield Secret(name.replace("-", "_"), text)


def tokens(content: bytes) -> Iterator[Secret]:
    """Give what an API handed out in the body of an answer, as OAuth 2 names it.

    In JSON or, with some APIs, in a form. Source: RFC 6749 §5.1, RFC 7591 §3.2.1.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return
    try:
        found = _members(json.loads(text))
    except (ValueError, RecursionError):
        found = iter(parse_qsl(text))
    for name, value in found:
        if name.lower() not in _TOKENS or not isinstance(value, str):
            continue
        if len(value) >= _SHORT and not PLACEHOLDER.search(value):
            yield Secret(name.lower(), value)


def says_secret(variable: str, value: str) -> bool:
    """Tell whether an environment variable holds a secret, judging by its name.

    A short value is not taken for one: it would be replaced in ordinary text as well.

    >>> says_secret("SHOP_TOKEN", "a1b2c3"), says_secret("SORT_KEY", "created")
    (True, False)
    """
    return len(value) >= _SHORT and _SECRET_WORDS.search(variable) is not None


def _members(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            yield name, inner
            yield from _members(inner)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _members(item)


def _spelled(secret: Secret, number: int) -> _Spelled:
    value = secret.reveal()
    stand_in = value if PLACEHOLDER.fullmatch(value) else placeholder(secret.name)
    if value != stand_in and value in stand_in:
        stand_in = f"REDACTED.{number}."
    pattern = "".join(_any_spelling(character) for character in value)
    coded = None
    content = value.encode("utf-8", "surrogatepass")
    if len(value) < _SHORT:
        pattern = rf"(?<![0-9A-Za-z_])(?:{pattern})(?![0-9A-Za-z_])"
    else:
        pattern = f"{pattern}|(?i:{content.hex()})"
        coded = re.compile("|".join(_cores(content)))
    return _Spelled(secret, stand_in, re.compile(pattern), coded)


def _any_spelling(character: str) -> str:
    """Give a pattern for a character as it is, percent-encoded, JSON- or HTML-escaped."""
    content = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass")
    forms = [re.escape(character)]
    forms.append("".join(f"%(?:25)*(?i:{byte:02x})" for byte in content))
    forms.append("".join(rf"\\+u(?i:{units[i : i + 2].hex()})" for i in range(0, len(units), 2)))
    if character in '"/\\':
        forms.insert(0, rf"\\+{re.escape(character)}")
    elif character in _CONTROLS:
        forms.append(rf"\\+{_CONTROLS[character]}")
    elif character == " ":
        forms.append(r"\+")
    if character in _HTML:
        forms.append(_HTML[character])
    return f"(?:{'|'.join(forms)})"


def _cores(content: bytes) -> Iterator[str]:
    """Give what is sure to be in the Base64 of any text that holds the value."""
    for shift, dropped in ((0, 0), (1, 2), (2, 3)):
        coded = base64.b64encode(bytes(shift) + content).decode()
        core = coded[dropped : (shift + len(content)) * 8 // 6]
        yield "".join(_CODED.get(character, character) for character in core)


_CODED = {"+": r"(?:[+-]|%2[Bb])", "/": r"(?:[/_]|%2[Ff])"}


def _plain_text(word: str) -> str:
    """Give the text that a word is the Base64 of; an empty one if that is none.

    >>> _plain_text("dTpwdzE="), _plain_text("password")
    ('u:pw1', '')
    """
    core = unquote(word).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(core + "=" * (-len(core) % 4), validate=True).decode()
    except ValueError:
        return ""
    return text if text.isprintable() else ""


def _inflated(content: bytes) -> bytes:
    """Give what gzip or zlib data unpacks to, as far as it goes; nothing for other data."""
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        return unpacking.decompress(content, _LARGEST_UNPACKED)
    except zlib.error:
        return b""


def _without_coded(text: str, core: re.Pattern[str], stand_in: str) -> str:
    """Replace each whole Base64 text around a core."""
    kept: list[str] = []
    end = 0
    for found in core.finditer(text):
        if found.start() < end:
            continue
        start = found.start()
        while start > end and text[start - 1] in _BASE64:
            start -= 1
        kept += (text[end:start], stand_in)
        end = found.end()
        while end < len(text) and text[end] in _BASE64:
            end += 1
    return "".join([*kept, text[end:]]) if kept else text
