"""The ways in which an answer may hold a secret: what encoders in use make of a text.

An API that encodes a secret in a way of its own shows it all the same (docs/security.md).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from moltler.net.address import DEFAULT_PORTS, BadAddress, parse_address
from moltler.vault.seal import derived

_JSON = (
    {'"': '\\"'},  # most
    {'"': '\\"', "/": "\\/"},  # PHP
    {'"': '\\"', "<": "\\u003c", ">": "\\u003e", "&": "\\u0026"},  # Go, Rails
    {'"': '\\"', "<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "=": "\\u003d",
     "'": "\\u0027"},  # Gson
    {'"': "\\u0022", "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "'": "\\u0027"},  # PHP, hex
    {'"': "\\u0022", "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "'": "\\u0027",
     "+": "\\u002B", "`": "\\u0060"},  # .NET
)  # fmt: skip
"""What encoders of JSON write for characters that only some of them escape."""
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_HTML = (
    _MARKUP,
    {**_MARKUP, '"': "&quot;", "'": "&#x27;"},  # Python
    {**_MARKUP, '"': "&quot;", "'": "&#039;"},  # PHP
    {**_MARKUP, '"': "&quot;", "'": "&#39;"},  # JavaScript
    {**_MARKUP, '"': "&quot;", "'": "&apos;"},  # XML
    {**_MARKUP, '"': "&#34;", "'": "&#39;"},  # Go
    {**_MARKUP, '"': "&#34;", "'": "&#39;", "+": "&#43;"},  # Go, templates
    {**_MARKUP, '"': "&quot;", "'": "&#39;", "/": "&#x2F;", "`": "&#x60;", "=": "&#x3D;"},
)
# What JavaScript's encodeURIComponent, encodeURI, and others leave as it is.
_SAFE = ("", "/", "!'()*~", "!'()*~/", "!#$&'()*+,/:;=?@~")
_SHORTEST_PART = 8
_BREAK = rb"(?:[\r\n]|\\[rn])*"


def spellings(value: str, seal: str) -> Iterator[tuple[bytes, bytes]]:
    """Give the ways in which an answer may hold a value, each with what takes its place."""
    yield from readable(value, seal)
    content, sealed = value.encode("utf-8", "surrogatepass"), seal.encode()
    for coding in ("utf-16-le", "utf-16-be"):
        yield value.encode(coding, "surrogatepass"), seal.encode(coding)
    yield content.hex().encode(), sealed
    yield content.hex().upper().encode(), sealed
    encoded = base64.b64encode(content)
    for text in dict.fromkeys((encoded, encoded.rstrip(b"="))):
        yield text, derived(sealed).encode()
    yield from ((core, sealed) for core in cores(content))


def parts_of(value: str) -> list[str]:
    """Give what of an address is a secret of its own, if the value is one.

    APIs echo the path that was asked for, not the whole address.

    >>> parts_of("https://hooks.example/in/T0123456789?key=abcdefgh")
    ['/in/T0123456789?key=abcdefgh', '/in/T0123456789', 'T0123456789', 'abcdefgh']
    """
    try:
        address = parse_address(value)
    except BadAddress:
        return []
    if address.scheme not in DEFAULT_PORTS:
        return []
    query = address.query or ""
    parts = [address.target, address.path, *address.path.split("/")]
    parts += [pair.partition("=")[2] for pair in query.split("&")]
    parts += (address.credentials or "").partition(":")[::2]
    return list(dict.fromkeys(part for part in parts if len(part) >= _SHORTEST_PART))


def readable(value: str, seal: str) -> Iterator[tuple[bytes, bytes]]:
    """Give a value as it is, and escaped for JSON, HTML and addresses."""
    content, sealed = value.encode("utf-8", "surrogatepass"), seal.encode()
    percent = [quote(content, safe=safe) for safe in _SAFE] + [quote_plus(content)]
    percent += [re.sub("%..", lambda m: m[0].lower(), p) for p in percent]
    for text in dict.fromkeys((value, *_in_json(value), *_in_html(value), *percent)):
        yield text.encode("utf-8", "surrogatepass"), sealed


def cores(content: bytes) -> list[bytes]:
    """Give what Base64 of any text that holds a content is sure to hold, and Base64 of that.

    ``btoa`` may be applied to its own result once.
    """
    once = list(_cores(content))
    twice = [core for inner in once for core in _cores(inner)]
    both = [*once, *twice]
    both += [core.translate(_FOR_URLS) for core in both]
    return list(dict.fromkeys(both))


def wrapped(core: bytes) -> bytes:
    """Give a pattern for a piece of Base64 that may be broken into lines, as mail has it."""
    return _BREAK.join(re.escape(core[i : i + 1]) for i in range(len(core)))


def without_breaks(content: bytes) -> bytes:
    """Give a text without its line breaks, real ones and those of JSON."""
    joined = content.translate(None, b"\r\n")
    return joined.replace(b"\\n", b"").replace(b"\\r", b"") if b"\\" in joined else joined


_FOR_URLS = bytes.maketrans(b"+/", b"-_")


def _cores(content: bytes) -> Iterator[bytes]:
    for shift, dropped in ((0, 0), (1, 2), (2, 3)):
        coded = base64.b64encode(bytes(shift) + content)
        yield coded[dropped : (shift + len(content)) * 8 // 6]


def _in_json(value: str) -> Iterator[str]:
    for is_ascii in (True, False):
        # The standard library escapes what always must be, and the quote as the first of ours.
        escaped = json.dumps(value, ensure_ascii=is_ascii)[1:-1].replace('\\"', '"')
        for style in _JSON:
            text = escaped.translate(str.maketrans(style))
            yield text
            yield re.sub(r"\\u....", lambda m: "\\u" + m[0][2:].upper(), text)


def _in_html(value: str) -> Iterator[str]:
    for style in _HTML:
        text = value.translate(str.maketrans(style))
        yield text
        yield re.sub(r"[^\x00-\x7f]", lambda m: f"&#{ord(m[0])};", text)
