"""The responses that MOCK_API gives, and what else a request must have to get one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import parse_qs

from moltler.errors import Span, near_match
from moltler.flow.http import FetchCode
from moltler.net.call import TOKEN, Call, Headers
from moltler.net.mock_reading import (
    Located,
    Problems,
    integer_of,
    members_of,
    milliseconds_of,
    shown,
    text_of,
    to_json,
)
from moltler.net.passage import phrase_of
from moltler.net.routes_data import DATA_KEYS, DataRoute, read_data_route
from moltler.net.routes_filters import BadParameter
from moltler.schema import JsonValue

NetworkError = Literal["connection_refused", "timeout", "dns", "reset", "tls"]
ERRORS: Mapping[NetworkError, tuple[FetchCode, str]] = {
    "connection_refused": ("ECONNREFUSED", "the mock refuses the connection"),
    "timeout": ("ETIMEDOUT", "the mock does not answer in time"),
    "dns": ("ENOTFOUND", "the mock says that the host has no address"),
    "reset": ("ECONNRESET", "the mock broke the connection before it answered"),
    "tls": ("TLS", "the mock gives no secure connection"),
}
AFTER_SENDING: frozenset[NetworkError] = frozenset({"timeout", "reset"})
"""Errors of a request that has left: a write's outcome is unknown then."""
_PLAIN_KEYS = ("status", "statusText", "headers", "body", "delay_ms", "error", "when", "times")
KEYS = (*_PLAIN_KEYS, *DATA_KEYS)
_WHEN_KEYS = ("query", "headers", "body")
_BAD_VALUE = re.compile("[\r\n\0]|[^\0-\xff]")
_JSON_TYPE = "application/json"
_TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Given:
    """A finished response: head and whole body."""

    status: int
    status_text: str
    headers: Headers
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class When:
    """Further demands on a request; documents match as a subset, NULL means missing."""

    query: Mapping[str, JsonValue] | None = None
    headers: Mapping[str, JsonValue] | None = None
    """Names in lower case."""
    body: JsonValue = None
    has_body: bool = False

    @property
    def count(self) -> int:
        """How many demands it makes."""
        sizes = len(self.query or {}) + len(self.headers or {})
        if not self.has_body:
            return sizes
        return sizes + (len(self.body) if isinstance(self.body, dict) else 1)

    def mismatch(self, request: Received) -> str | None:
        """Tell which demand a request does not meet, or ``None``."""
        for name, wanted in (self.query or {}).items():
            if not _is_given(wanted, request.query.get(name, ())):
                return f"wants the parameter `{name}` to be {_shown(wanted)}"
        for name, wanted in (self.headers or {}).items():
            if not _is_given(wanted, request.headers.get(name, ())):
                return f"wants the header `{name}` to be {_shown(wanted)}"
        if self.has_body and not any(_includes(b, self.body) for b in request.bodies):
            return f"wants a body with {_shown(self.body)}"
        return None


@dataclass(frozen=True, slots=True)
class Received:
    """A request as the mock sees it."""

    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, Sequence[str]]
    """Names in lower case."""
    body: JsonValue
    """Parsed if it is JSON, else text; ``None`` without a body."""
    form: JsonValue = None
    """The fields of a form-encoded body."""

    @property
    def bodies(self) -> tuple[JsonValue, ...]:
        """The readings of the body that `when` may match."""
        return (self.body,) if self.form is None else (self.body, self.form)


@dataclass(frozen=True, slots=True)
class Answer:
    """One response document of a route."""

    span: Span = field(compare=False, repr=False)
    head: Given
    """The response; of a data route only its head."""
    rows: DataRoute | None = None
    delay_ms: float = 0.0
    error: NetworkError | None = None
    when: When = When()
    times: int | None = None
    """How often it is given; ``None``: without end, or once within an array."""

    def given(self, request: Received) -> Given:
        """Give the response to a request; only asked where `error` is not set."""
        if self.rows is None:
            return self.head
        try:
            body = self.rows.answer(request.query)
        except BadParameter as refusal:
            return given(400, self.head.headers, {"error": {"message": str(refusal)}})
        return given(self.head.status, self.head.headers, body, self.head.status_text)


def given(status: int, headers: Headers, body: JsonValue, text: str | None = None) -> Given:
    """Make a response: text as it is, NULL as no body, everything else as JSON."""
    content = (body if isinstance(body, str) else to_json(body)).encode("utf-8", "surrogatepass")
    if body is None:
        return Given(status, text or phrase_of(status), headers, b"")
    if not any(name.lower() == "content-type" for name, _ in headers):
        kind = _TEXT_TYPE if isinstance(body, str) else _JSON_TYPE
        headers = (*headers, ("Content-Type", kind))
    return Given(status, text or phrase_of(status), headers, content)


def received(call: Call) -> Received:
    """Read a request for matching and for the call log."""
    headers: dict[str, list[str]] = {}
    for name, value in call.headers:
        headers.setdefault(name.lower(), []).append(value)
    query: dict[str, list[str]] = {}
    if call.address.query:
        query = parse_qs(call.address.query, keep_blank_values=True, errors="replace")
    content = headers.get("content-type", [""])[0].lower()
    form: JsonValue = None
    if call.body and content.startswith("application/x-www-form-urlencoded"):
        fields = parse_qs(call.body.decode("utf-8", "replace"), keep_blank_values=True)
        form = plain(fields)
    return Received(query, headers, read_body(call.body), form)


def read_body(content: bytes | None) -> JsonValue:
    """Give a body parsed if it is JSON, else as text; ``None`` for no body."""
    if not content:
        return None
    text = content.decode("utf-8", "replace")
    try:
        return cast("JsonValue", json.loads(text, parse_constant=_refuse))
    except (ValueError, RecursionError):
        return text


def plain(values: Mapping[str, Sequence[str]]) -> dict[str, JsonValue]:
    """Give parameters as a document: text, or an array where a name is repeated."""
    return {name: found[0] if len(found) == 1 else [*found] for name, found in values.items()}


def _refuse(constant: str) -> JsonValue:
    raise ValueError(constant)


def _shown(value: JsonValue) -> str:
    text = shown(value)
    return f"`{text if len(text) <= 80 else text[:79] + '…'}`" if value is not None else "missing"


def _is_given(wanted: JsonValue, actual: Sequence[str]) -> bool:
    match wanted:
        case None:
            return not actual
        case list():
            return [_as_text(item) for item in wanted] == [*actual]
        case _:
            return _as_text(wanted) in actual


def _as_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else to_json(value)


def _includes(actual: JsonValue, wanted: JsonValue) -> bool:
    """Tell whether a value has all that another one has; arrays item by item."""
    match wanted:
        case dict():
            return isinstance(actual, dict) and all(
                _includes(actual.get(key), inner) for key, inner in wanted.items()
            )
        case list():
            return (
                isinstance(actual, list)
                and len(actual) == len(wanted)
                and all(_includes(a, w) for a, w in zip(actual, wanted, strict=True))
            )
        case bool():
            return actual is wanted
        case _:
            return not isinstance(actual, bool) and actual == wanted


# ── reading the definition ───────────────────────────────────────────────────────────────────


def read_answer(located: Located, problems: Problems) -> Answer:
    """Read a response document, noting everything that is wrong with it."""
    if located.members is None:
        problems.add(
            located.span, f"a response must be a document, not {located.shown}",
            hint="write it like {\"status\": 200, \"body\": {…}}",
        )  # fmt: skip
        return Answer(located.span, given(200, (), None))
    problems.unknown(located, "a response", KEYS)
    members = located.members
    is_data = any(key in members for key in DATA_KEYS)
    if is_data and "rows" in members:
        _exclude(located, "rows", ("body",), problems)
    if "error" in members:
        others = ("status", "statusText", "headers", "body", "rows")
        _exclude(located, "error", others, problems)
    delay = members.get("delay_ms")
    times = members.get("times")
    text = members.get("statusText")
    head = given(
        _status(members["status"], problems) if "status" in members else 200,
        read_headers(members["headers"], problems) if "headers" in members else (),
        members["body"].value if "body" in members else None,
        text_of(text, "`statusText`", problems) if text is not None else None,
    )
    return Answer(
        located.span,
        head,
        read_data_route(located, problems) if is_data else None,
        (milliseconds_of(delay, "`delay_ms`", problems) or 0.0) if delay is not None else 0.0,
        _error(members["error"], problems) if "error" in members else None,
        _when(members["when"], problems) if "when" in members else When(),
        integer_of(times, "`times`", problems, least=1) if times is not None else None,
    )


def _exclude(located: Located, key: str, others: tuple[str, ...], problems: Problems) -> None:
    for other in others:
        if other in (located.members or {}):
            span = located.key_spans.get(other, located.span)
            problems.add(
                span, f"a response has either `{key}` or `{other}`", hint=f"remove `{other}`"
            )


def _status(located: Located, problems: Problems) -> int:
    return read_status(located, problems) or 200


def read_status(located: Located, problems: Problems) -> int | None:
    """Read a status, or note that it is none."""
    value = located.value
    if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
        return value
    problems.add(
        located.span, f"`status` is {located.shown}", hint="write a whole number from 100 to 599"
    )
    return None


def read_headers(located: Located, problems: Problems) -> Headers:
    """Read headers: text or numbers, or an array of them for a repeated header."""
    found: list[tuple[str, str]] = []
    for name, member, span in members_of(located, "`headers`", problems):
        if not TOKEN.fullmatch(name):
            problems.add(span, f"`{name}` cannot be the name of a header")
            continue
        for item in member.items if member.items is not None else (member,):
            value = item.value
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                problems.add(item.span, f"the header `{name}` must be text, not {item.shown}")
            elif _BAD_VALUE.search(text := _as_text(value)):
                problems.add(
                    item.span, f"the header `{name}` holds a character that headers may not have"
                )
            else:
                found.append((name, text))
    return tuple(found)


def _error(located: Located, problems: Problems) -> NetworkError | None:
    for name in ERRORS:
        if located.value == name:
            return name
    close = near_match(located.value, tuple(ERRORS)) if isinstance(located.value, str) else None
    problems.add(
        located.span,
        f"`error` is {located.shown}",
        hint=f"did you mean `{close}`?" if close else None,
        allowed=tuple(ERRORS),
    )
    return None


def _when(located: Located, problems: Problems) -> When:
    problems.unknown(located, "`when`", _WHEN_KEYS)
    members = dict(located.members or {})
    if located.members is None:
        problems.add(located.span, f"`when` must be a document, not {located.shown}")
    found: dict[str, Mapping[str, JsonValue]] = {}
    for key in ("query", "headers"):
        if key in members:
            pairs = members_of(members[key], f"`{key}` of `when`", problems)
            found[key] = {
                (name.lower() if key == "headers" else name): m.value for name, m, _ in pairs
            }
    body = members.get("body")
    return When(
        found.get("query"), found.get("headers"), body.value if body else None, body is not None
    )
