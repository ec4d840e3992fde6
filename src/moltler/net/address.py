"""Web addresses, read once into the form that is judged and then connected to."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from yarl import URL

DEFAULT_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_FORBIDDEN_IN_HOST = re.compile(r"[\x00-\x20#%/:<>?@\[\\\]^|\x7f-\U0010ffff]")
_PRINTABLE = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_PERCENT_SET = {"path": '"<>`{}#', "query": "\"<>'#"}
_SINGLE_DOT = {".", "%2e"}
_DOUBLE_DOT = {"..", ".%2e", "%2e.", "%2e%2e"}


class BadAddress(ValueError):  # noqa: N818 - it describes the address, not the program
    """A text that is not an absolute address, with the reason as its message."""


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An absolute address whose host has exactly one spelling."""

    scheme: str
    """Lower-case."""
    host: str
    """Canonical: lower-case, punycode, dotted IPv4, compressed IPv6 without brackets."""
    port: int
    """-1 where neither the address nor its scheme names one."""
    path: str
    """As it goes on the wire, starting with a slash."""
    query: str | None = None
    """As it goes on the wire; ``""`` for a bare question mark."""
    credentials: str | None = field(default=None, repr=False)
    """``user:password`` as written before the host, percent-decoded."""

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what credentials belong to."""
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """Host and port, without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        named = self.port not in {DEFAULT_PORTS.get(self.scheme), -1}
        return f"{host}:{self.port}" if named else host

    @property
    def target(self) -> str:
        """Path and query as the request line has them."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_address(text: str) -> WebAddress:
    """Read an absolute address as the URL standard does; percent-encoding stays as written.

    Raises:
        BadAddress: It is not one.

    >>> str(parse_address("HTTP://Shop.Example.:80/a%2fb/../c d?"))
    'http://shop.example/c%20d?'
    """
    text = text.strip("".join(map(chr, range(0x21))))
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise BadAddress("it holds control characters")
    found = _SCHEME.match(text)
    if not found:
        raise BadAddress("it is not absolute: it must start with http:// or https://")
    scheme = found[1].lower()
    rest = text[found.end() :].partition("#")[0]
    if scheme in DEFAULT_PORTS:
        head, mark, query = rest.partition("?")
        rest = head.replace("\\", "/").lstrip("/") + mark + query
    elif rest.startswith("//"):
        rest = rest[2:]
    else:
        return WebAddress(scheme, "", -1, rest)
    end = re.search(r"[/?]", rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    login, at, place = authority.rpartition("@")
    host, port = _split_port(place)
    path, mark, query = tail.partition("?")
    return WebAddress(
        scheme,
        canonical_host(host) if scheme in DEFAULT_PORTS else host.lower(),
        DEFAULT_PORTS.get(scheme, -1) if port is None else port,
        _encode(_without_dots(path or "/"), "path"),
        _encode(query, "query") if mark else None,
        unquote(login) if at else None,
    )


def resolve(base: WebAddress, location: str) -> WebAddress:
    """Give the address that a Location header names, seen from the address that sent it.

    Raises:
        BadAddress: It names none.

    >>> str(resolve(parse_address("https://a.example/x/y?q"), "../z?p"))
    'https://a.example/z?p'
    """
    location = location.strip(" \t")
    found = _SCHEME.match(location)
    special_and_relative = found is not None and (
        found[1].lower() == base.scheme and not location[found.end() :].startswith(("/", "\\"))
    )
    if found and not special_and_relative:
        return parse_address(location)
    relative = location[found.end() :] if found else location
    start = f"{base.scheme}://{base.authority}"
    if relative.replace("\\", "/").startswith("//"):
        return parse_address(f"{base.scheme}:{relative}")
    if relative.startswith(("/", "\\")):
        return parse_address(start + relative)
    if relative.startswith("?"):
        return parse_address(start + base.path + relative)
    if relative.startswith("#") or not relative:
        return parse_address(start + base.target)
    return parse_address(start + base.path[: base.path.rindex("/") + 1] + relative)


def canonical_host(text: str) -> str:
    """Give the one spelling of a host; IPv6 comes with or without brackets, and goes without.

    Raises:
        BadAddress: It cannot be a host.

    >>> [canonical_host(text) for text in ("BÜCHER.example.", "0x7f.1", "[::FFFF:1.2.3.4]")]
    ['xn--bcher-kva.example', '127.0.0.1', '::ffff:102:304']
    """
    if text.startswith("["):
        if not text.endswith("]"):
            raise BadAddress(f"`{text}` is not a host")
        return _ipv6(text[1:-1])
    if text.count(":") > 1:
        return _ipv6(text)
    host = unquote(text, errors="strict") if "%" in text else text
    if not host.isascii():
        try:
            host = URL.build(scheme="http", host=host).raw_host or ""
        except ValueError as error:
            raise BadAddress(f"`{text}` is not a host") from error
    host = host.lower().removesuffix(".")
    if not host or _FORBIDDEN_IN_HOST.search(host) or "" in host.split("."):
        raise BadAddress(f"`{text}` is not a host")
    last = host.rsplit(".", 1)[-1]
    if last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last):
        return _ipv4(host)
    return host


def split_authority(text: str) -> tuple[str, int | None]:
    """Split ``host:port`` into the canonical host and the port, if one is written.

    Raises:
        BadAddress: It is neither a host nor a host with a port.
    """
    host, port = _split_port(text)
    return canonical_host(host), port


def _split_port(text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{0,6}))?", text)
    if not found:
        raise BadAddress(f"`{text}` is not a host with a port")
    if not found[2]:
        return found[1], None
    if int(found[2]) > 65535:
        raise BadAddress(f"port {found[2]} is above 65535")
    return found[1], int(found[2])


def _ipv6(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError as error:
        raise BadAddress(f"`[{text}]` is not an IPv6 address") from error
    if address.scope_id:
        raise BadAddress("an IPv6 zone is not allowed in an address")
    if mapped := address.ipv4_mapped:
        # Newer Pythons print mapped addresses with dots, older ones without.
        return f"::ffff:{int(mapped) >> 16:x}:{int(mapped) & 0xFFFF:x}"
    return str(address)


def _ipv4(text: str) -> str:
    """Read an IPv4 address in any of its spellings (URL standard, IPv4 parser)."""
    numbers = [_ipv4_number(part) for part in text.split(".")]
    if len(numbers) > 4 or None in numbers:
        raise BadAddress(f"`{text}` is not an IPv4 address")
    *heads, last = [n for n in numbers if n is not None]
    if any(n > 255 for n in heads) or last >= 256 ** (4 - len(heads)):
        raise BadAddress(f"`{text}` is not an IPv4 address")
    value = last + sum(n << (8 * (3 - i)) for i, n in enumerate(heads))
    return str(ipaddress.IPv4Address(value))


def _ipv4_number(part: str) -> int | None:
    if part in {"0x", "0X"}:
        return 0
    base = 16 if part.startswith("0x") else 8 if part.startswith("0") and len(part) > 1 else 10
    digits = part.removeprefix("0x")
    if not re.fullmatch({8: "[0-7]+", 10: "[0-9]+", 16: "[0-9a-f]+"}[base], digits):
        return None
    return int(digits, base) if len(digits) <= 40 else None


def _without_dots(path: str) -> str:
    if "." not in path and "%2e" not in path.lower():
        return path
    parts = path.split("/")[1:]
    kept: list[str] = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part.lower() in _DOUBLE_DOT:
            kept = kept[:-1]
            kept += [""] if last else []
        elif part.lower() in _SINGLE_DOT:
            kept += [""] if last else []
        else:
            kept.append(part)
    return "/" + "/".join(kept)


def _encode(text: str, part: str) -> str:
    if text.isascii() and not re.search(f"[ {re.escape(_PERCENT_SET[part])}]", text):
        return text
    safe = "".join(c for c in _PRINTABLE if c not in _PERCENT_SET[part])
    # Header bytes that are not UTF-8 arrive as surrogates and leave as the bytes they were.
    return quote(text, safe=safe, errors="surrogateescape")
