"""The keys of MOCK_API: which requests one matches, and which of two is more specific."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote_to_bytes

from moltler.errors import near_match
from moltler.net.address import BadAddress, WebAddress, parse_address

Kind = Literal["literal", "parameter", "any", "rest"]
_RANK: dict[Kind, int] = {"literal": 0, "parameter": 1, "any": 2, "rest": 3}
_PARAMETER = re.compile(r":[A-Za-z_]\w*|\{[^{}/]+\}")
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)(.*)", re.DOTALL)
_USUAL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_METHODS = frozenset(
    {*_USUAL_METHODS, "PROPFIND", "PROPPATCH", "REPORT", "SEARCH", "QUERY", "PURGE"}
)


class BadKey(ValueError):  # noqa: N818 - becomes a problem of the definition
    """A text that is no key; the message says why, the hint what to write."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a path between slashes."""

    kind: Kind
    text: bytes = b""
    """Percent-decoded, of a literal."""

    def matches(self, raw: str) -> bool:
        """Tell whether a part of a request's path fits; `rest` is not asked."""
        if self.kind == "literal":
            return unquote_to_bytes(raw) == self.text
        return raw != ""


@dataclass(frozen=True, slots=True)
class RouteKey:
    """A key, read; two spellings of one key are equal."""

    method: str
    """Upper-case, or ``*``."""
    path: tuple[Segment, ...]
    query: tuple[tuple[str, str], ...] = ()
    """Parameters that must be there, sorted."""
    origin: tuple[str, str, int] | None = None
    """Of an absolute key."""
    text: str = field(default="", compare=False)
    """As written."""

    def matches(self, method: str, address: WebAddress) -> bool:
        """Tell whether a request fits the key."""
        return self.mismatch(method, address) is None

    def mismatch(self, method: str, address: WebAddress) -> str | None:
        """Tell why a request does not fit, in words that follow the key, or ``None``."""
        if self.origin is not None and self.origin != address.origin:
            return "has another host"
        if not self.matches_path(address.path):
            return "has another path"
        if self.method not in {"*", method}:
            return f"has the method {self.method}"
        given = Counter(query_pairs(address.query))
        for name, value in Counter(self.query) - given:
            actual = [v for n, v in given.elements() if n == name]
            now = f"is `{', '.join(actual)}`" if actual else "is missing"
            return f"wants the parameter `{name}` to be `{value}`, which {now}"
        return None

    def matches_path(self, path: str) -> bool:
        """Tell whether a path as it goes on the wire fits."""
        parts = path.removeprefix("/").split("/")
        if self.path[-1].kind == "rest":
            if len(parts) < len(self.path):
                return False
            parts = parts[: len(self.path) - 1]
            return all(s.matches(p) for s, p in zip(self.path[:-1], parts, strict=True))
        if len(parts) != len(self.path):
            return False
        return all(s.matches(p) for s, p in zip(self.path, parts, strict=True))

    @property
    def rank(self) -> tuple[object, ...]:
        """What sorts the more specific key first: host, path from the left, method, query."""
        return (
            self.origin is None,
            tuple(_RANK[segment.kind] for segment in self.path),
            self.method == "*",
        )

    def distance(self, method: str, address: WebAddress) -> tuple[object, ...]:
        """What sorts the keys that a request may have meant first."""
        parts = address.path.removeprefix("/").split("/")
        same = sum(
            s.kind != "rest" and s.matches(p) for s, p in zip(self.path, parts, strict=False)
        )
        like = _likeness(address.path[:200], self._path_text[:200])
        path = self.matches_path(address.path)
        return (not path, self.method not in {"*", method}, -(same + 2 * like))

    @property
    def _path_text(self) -> str:
        return "/" + "/".join(s.text.decode("utf-8", "replace") for s in self.path)


def read_key(text: str) -> RouteKey:
    """Read a key: ``METHOD path[?query]`` or ``METHOD absolute-url``.

    Raises:
        BadKey: It is none.

    >>> read_key("get /items/:id") == read_key("GET /items/{number}")
    True
    """
    method, _, place = text.strip().partition(" ")
    method, place = method.upper(), place.strip()
    if not place:
        usual = method.partition("/")[0] in _USUAL_METHODS
        hint = "write it like `GET /items`" if usual or "/" not in text else f"write `GET {text}`"
        raise BadKey(f"the key `{text}` is not a method and a path", hint)
    if method != "*" and method not in _METHODS:
        close = near_match(method, _USUAL_METHODS)
        raise BadKey(
            f"`{method}` is not a method of HTTP",
            f"did you mean `{close}`?" if close else f"write one of {', '.join(_USUAL_METHODS)}",
        )
    if re.search(r"\s|#", place):
        raise BadKey(
            f"the address of `{text}` holds a blank or a `#`",
            "write a blank as `%20`, `#` as `%23`",
        )
    origin, place = _split_origin(place, text)
    path, _, query = place.partition("?")
    if not path.startswith("/"):
        raise BadKey(
            f"the path of `{text}` does not start with a slash", f"write `{method} /{place}`"
        )
    return RouteKey(method, _segments(path, text), tuple(sorted(query_pairs(query))), origin, text)


def query_pairs(query: str | None) -> list[tuple[str, str]]:
    """Give the parameters of a query string, decoded, in order."""
    if not query:
        return []
    return parse_qsl(query, keep_blank_values=True, errors="replace")


def _split_origin(place: str, text: str) -> tuple[tuple[str, str, int] | None, str]:
    found = _ABSOLUTE.fullmatch(place)
    if not found:
        return None, place
    try:
        origin = parse_address(f"{found[1]}{found[2]}/").origin
    except BadAddress as error:
        raise BadKey(f"the key `{text}` has no address: {error}") from error
    if origin[0] not in {"http", "https", "mock"}:
        raise BadKey(f"the key `{text}` has the scheme `{origin[0]}`", "write http, https or mock")
    rest = found[3]
    return origin, rest if rest.startswith("/") else f"/{rest}"


def _segments(path: str, text: str) -> tuple[Segment, ...]:
    parts = path.removeprefix("/").split("/")
    found: list[Segment] = []
    for index, part in enumerate(parts):
        if part == "**":
            if index < len(parts) - 1:
                raise BadKey(
                    f"`**` in `{text}` is not at the end", "write `*` for one part of the path"
                )
            found.append(Segment("rest"))
        elif part == "*":
            found.append(Segment("any"))
        elif _PARAMETER.fullmatch(part):
            found.append(Segment("parameter"))
        elif "*" in part or "{" in part or "}" in part:
            raise BadKey(
                f"`{part}` in `{text}` mixes text with a placeholder",
                "a placeholder stands for a whole part of the path; `*` itself is written `%2A`",
            )
        else:
            found.append(Segment("literal", unquote_to_bytes(part)))
    return tuple(found)


def _likeness(one: str, other: str) -> float:
    import difflib  # noqa: PLC0415 - only a request that nothing answers needs it

    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
