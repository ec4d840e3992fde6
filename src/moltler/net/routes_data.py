"""Routes that imitate a list endpoint over rows of their own (LANGUAGE §10.3)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moltler.errors import near_match
from moltler.net.mock_reading import Located, Problems, integer_of, members_of, text_of
from moltler.net.routes_filters import (
    OPERATORS,
    BadParameter,
    Operator,
    Row,
    check,
    keeps,
    ordered,
    value_at,
)
from moltler.schema import JsonValue

DATA_KEYS = (
    "rows", "in", "filters", "limit", "offset", "cursor", "sort", "direction", "page_size", "next",
)  # fmt: skip
_MARK = "at:"
_DIRECTIONS = {"asc": False, "ascending": False, "desc": True, "descending": True}


@dataclass(frozen=True, slots=True)
class Filter:
    """What one parameter asks of one field."""

    field: str
    operator: Operator = "="


@dataclass(frozen=True, slots=True)
class DataRoute:
    """Rows and the names of the parameters that choose among them.

    Rows are filtered, sorted (NULL last in either direction, as in SELECT; equal keys keep the
    order of `rows`), then cut into pages. Parameters that have no name here are ignored, and a
    value that cannot be used is refused with status 400, as an API would.
    """

    rows: tuple[Row, ...]
    inside: str | None = None
    """Body key of the rows; a dotted name nests. ``None``: the body is the array."""
    filters: Mapping[str, Filter] | None = None
    limit: str | None = None
    offset: str | None = None
    cursor: str | None = None
    sort: str | None = None
    direction: str | None = None
    page_size: int | None = None
    next: str | None = None
    """Body key of the next cursor (or, without `cursor`, the next offset); null at the end."""

    def answer(self, query: Mapping[str, Sequence[str]]) -> JsonValue:
        """Give the body for a request's parameters.

        Raises:
            BadParameter: One has a value that cannot be used.
        """
        rows = self._sorted(self._filtered(query), query)
        start = self._start(query, len(rows))
        asked = self._whole(query, self.limit)
        sizes = [size for size in (asked, self.page_size) if size is not None]
        end = start + min(sizes) if sizes else len(rows)
        page: JsonValue = [*rows[start:end]]
        if self.inside is None:
            return page
        body: Row = {}
        _put(body, self.inside, page)
        if self.next is not None:
            more = start < end < len(rows)
            _put(body, self.next, self._mark(end) if more else None)
        return body

    def _filtered(self, query: Mapping[str, Sequence[str]]) -> list[Row]:
        asked = [(f, query[name]) for name, f in (self.filters or {}).items() if name in query]
        for wanted, given in asked:
            check(wanted.operator, given)
        return [
            row
            for row in self.rows
            if all(keeps(f.operator, value_at(row, f.field), given) for f, given in asked)
        ]

    def _sorted(self, rows: list[Row], query: Mapping[str, Sequence[str]]) -> list[Row]:
        if self.sort is None or self.sort not in query:
            return rows
        default = False
        if self.direction is not None and self.direction in query:
            text = query[self.direction][-1]
            if text.lower() not in _DIRECTIONS:
                raise BadParameter(f"`{self.direction}` is `{text[:80]}`, not asc or desc")
            default = _DIRECTIONS[text.lower()]
        fields = [part for text in query[self.sort] for part in text.split(",")]
        for text in reversed(fields):
            field = text.removeprefix("-")
            if self.rows and not any(value_at(row, field) is not None for row in self.rows):
                raise BadParameter(f"`{self.sort}` names `{field[:80]}`, which no row has")
            rows = ordered(rows, field, descending=default or text.startswith("-"))
        return rows

    def _start(self, query: Mapping[str, Sequence[str]], count: int) -> int:
        if self.cursor is not None and self.cursor in query:
            return _position(self.cursor, query[self.cursor][-1], count)
        return self._whole(query, self.offset) or 0

    def _mark(self, position: int) -> JsonValue:
        if self.cursor is None:
            return position
        return base64.urlsafe_b64encode(f"{_MARK}{position}".encode()).decode().rstrip("=")

    def _whole(self, query: Mapping[str, Sequence[str]], name: str | None) -> int | None:
        if name is None or name not in query:
            return None
        text = query[name][-1]
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise BadParameter(f"`{name}` is `{text[:80]}`, not a whole number from 0 on")
        return int(text)


def _position(name: str, text: str, count: int) -> int:
    if not text:
        return 0  # many handlers begin with an empty one, and APIs let them
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        read = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise BadParameter(f"`{name}` is `{text[:80]}`, which no page gave") from error
    digits = read.removeprefix(_MARK)
    if not (read.startswith(_MARK) and digits.isascii() and digits.isdigit() and len(digits) < 18):
        raise BadParameter(f"`{name}` is `{text[:80]}`, which no page gave")
    return min(int(digits), count)


def _put(body: Row, path: str, value: JsonValue) -> None:
    head, dot, rest = path.partition(".")
    if not dot:
        body[head] = value
        return
    inner = body.setdefault(head, {})
    if isinstance(inner, dict):
        _put(inner, rest, value)


# ── reading the definition ───────────────────────────────────────────────────────────────────


def read_data_route(located: Located, problems: Problems) -> DataRoute:
    """Read the data keys of a response document; other keys are the caller's."""
    members = located.members or {}
    before: dict[str, str | None] = {
        key: text_of(members[key], f"`{key}`", problems)
        for key in ("in", "limit", "offset", "cursor", "sort", "direction", "next")
        if key in members
    }
    page_size = None
    if "page_size" in members:
        page_size = integer_of(members["page_size"], "`page_size`", problems, least=1)
    route = DataRoute(
        _rows(members["rows"], problems) if "rows" in members else (),
        before.get("in"),
        _filters(members["filters"], problems) if "filters" in members else None,
        before.get("limit"),
        before.get("offset"),
        before.get("cursor"),
        before.get("sort"),
        before.get("direction"),
        page_size,
        before.get("next"),
    )
    if "rows" not in members:
        first = next(key for key in members if key in DATA_KEYS)
        span = located.key_spans.get(first, located.span)
        problems.add(
            span, f"`{first}` is of a data route, and there are no `rows`", hint="add `rows`"
        )
    _agree(located, route, problems)
    return route


def _agree(located: Located, route: DataRoute, problems: Problems) -> None:
    """Note keys that mean nothing without another one."""

    def needs(key: str, other: str, why: str) -> None:
        span = located.key_spans.get(key, located.span)
        problems.add(span, f"`{key}` needs `{other}`: {why}", hint=f"add `{other}`")

    members = located.members or {}
    if "next" in members and "in" not in members:
        needs("next", "in", "a body that is an array has no place for a cursor")
    if "next" in members and "cursor" not in members and "offset" not in members:
        needs("next", "cursor", "no parameter would bring the cursor back")
    if "cursor" in members and "next" not in members:
        needs("cursor", "next", "no page would give a cursor")
    if "direction" in members and "sort" not in members:
        needs("direction", "sort", "there is nothing to sort by")
    if route.inside is not None and route.next is not None:
        one, other = route.inside + ".", route.next + "."
        if one.startswith(other) or other.startswith(one):
            span = located.key_spans.get("next", located.span)
            problems.add(
                span, "`in` and `next` name the same place of the body", hint="rename one of them"
            )


def _rows(located: Located, problems: Problems) -> tuple[Row, ...]:
    if located.items is None:
        problems.add(located.span, f"`rows` must be an array of documents, not {located.shown}")
        return ()
    found: list[Row] = []
    for item in located.items:
        if isinstance(item.value, dict):
            found.append(item.value)
        else:
            problems.add(item.span, f"a row must be a document, not {item.shown}")
    return tuple(found)


def _filters(located: Located, problems: Problems) -> Mapping[str, Filter]:
    found: dict[str, Filter] = {}
    for name, member, _ in members_of(located, "`filters`", problems):
        if isinstance(member.value, str):
            found[name] = Filter(member.value)
            continue
        if member.members is None:
            problems.add(
                member.span,
                f"the filter `{name}` must be a field or a document with `field` and `op`, "
                f"not {member.shown}",
            )
            continue
        problems.unknown(member, f"the filter `{name}`", ("field", "op"))
        field = member.members.get("field")
        if field is None:
            problems.add(member.span, f"the filter `{name}` names no `field`", hint="add `field`")
            continue
        text = text_of(field, f"the `field` of the filter `{name}`", problems)
        operator = _operator(name, member.members.get("op"), problems)
        if text is not None and operator is not None:
            found[name] = Filter(text, operator)
    return found


def _operator(name: str, located: Located | None, problems: Problems) -> Operator | None:
    if located is None:
        return "="
    for operator in OPERATORS:
        if located.value == operator:
            return operator
    shown = f"`{located.value}`" if isinstance(located.value, str) else located.shown
    close = near_match(located.value, OPERATORS) if isinstance(located.value, str) else None
    problems.add(
        located.span,
        f"the filter `{name}` has the `op` {shown}, which is none",
        hint=f"did you mean `{close}`?" if close else None,
        allowed=OPERATORS,
    )
    return None
