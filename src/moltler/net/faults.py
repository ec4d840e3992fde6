"""Disturbances of a test's requests, as the clause FAULTS asks for them (LANGUAGE §10.4)."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, cast

from moltler.errors import Span, near_match
from moltler.lang import ast
from moltler.net.address import WebAddress
from moltler.net.call import Headers
from moltler.net.mock_reading import (
    Evaluate,
    Located,
    Problems,
    integer_of,
    locate,
    milliseconds_of,
    text_of,
    to_json,
)
from moltler.net.routes_answers import Given, given, read_headers, read_status
from moltler.net.routes_keys import BadKey, RouteKey, read_key
from moltler.schema import JsonValue

FaultKind = Literal[
    "status", "timeout", "connection_refused", "reset", "delay", "slow_body", "duplicate_page",
    "reorder_page", "truncated_body",
]  # fmt: skip
KINDS: tuple[FaultKind, ...] = (
    "status", "timeout", "connection_refused", "reset", "delay", "slow_body", "duplicate_page",
    "reorder_page", "truncated_body",
)  # fmt: skip
_KEYS = ("on", "fault", "match", "status", "headers", "body", "delay_ms", "seed")
_OWN_KEYS: dict[FaultKind, tuple[str, ...]] = {
    "status": ("status", "headers", "body"),
    "delay": ("delay_ms",),
    "slow_body": ("delay_ms",),
    "reorder_page": ("seed",),
}
_SLOW_MS = 1000.0
_SLOW_PIECES = 4
_BODY_FAULTS = frozenset({"slow_body", "reorder_page", "truncated_body"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One disturbance."""

    kind: FaultKind
    on: int | None
    """Which request, from 1; ``None``: all."""
    match: RouteKey | None = None
    """Only such requests are counted and disturbed."""
    answer: Given | None = None
    """Of `status`: what is answered instead."""
    delay_ms: float = 0.0
    seed: int = 0
    """Of `reorder_page`."""
    span: Span | None = field(default=None, compare=False, repr=False)

    @property
    def replaces(self) -> bool:
        """Whether the route is not asked at all."""
        return self.kind in {"status", "timeout", "connection_refused", "reset"}

    @property
    def changes_body(self) -> bool:
        """Whether the answer arrives, but its body is not as it was."""
        return self.kind in _BODY_FAULTS


class FaultPlan:
    """Counts the requests of one test and tells what disturbs each.

    Every fault counts for itself, so the outcome depends on the order of requests alone.
    """

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self._faults = faults
        self._seen = [0] * len(faults)

    def next(self, method: str, address: WebAddress) -> tuple[Fault, ...]:
        """Count a request and give its faults, in the order they were written."""
        found: list[Fault] = []
        for index, fault in enumerate(self._faults):
            if fault.match is not None and not fault.match.matches(method, address):
                continue
            self._seen[index] += 1
            if fault.on is None or fault.on == self._seen[index]:
                found.append(fault)
        return tuple(found)

    @property
    def unused(self) -> tuple[str, ...]:
        """What never came to its turn, as a note names it."""
        return tuple(
            f"fault `{f.kind}` on request {f.on or 1}"
            for f, seen in zip(self._faults, self._seen, strict=True)
            if seen < (f.on or 1)
        )


def distort(content: bytes, faults: tuple[Fault, ...]) -> bytes:
    """Give a body after the faults that change its bytes."""
    for fault in faults:
        if fault.kind == "truncated_body":
            content = content[: len(content) // 2]
        elif fault.kind == "reorder_page":
            content = _reordered(content, fault.seed)
    return content


async def pieces(
    content: bytes, faults: tuple[Fault, ...], sleep: Callable[[float], Awaitable[None]]
) -> AsyncIterator[bytes]:
    """Give a body as it arrives: at once, or in four pieces with a pause before each."""
    pause_ms = sum(f.delay_ms for f in faults if f.kind == "slow_body")
    if not pause_ms:
        if content:
            yield content
        return
    size = max(-(-len(content) // _SLOW_PIECES), 1)
    for index in range(_SLOW_PIECES):
        await sleep(pause_ms / _SLOW_PIECES / 1000)
        if piece := content[index * size : (index + 1) * size]:
            yield piece


def _reordered(content: bytes, seed: int) -> bytes:
    """Give a JSON body with the rows of its array in another order.

    The array is the body itself or the longest one anywhere in its documents; what is not JSON,
    or has fewer than two rows, stays as it is.
    """
    try:
        body = cast("JsonValue", json.loads(content))
        rows = max(_arrays(body), key=len, default=[])
    except (ValueError, RecursionError):
        return content
    if len(rows) < 2:
        return content
    order = [*range(len(rows))]
    random.Random(seed).shuffle(order)  # noqa: S311 - it must be repeatable, not secret
    if order == sorted(order):
        order = order[1:] + order[:1]
    rows[:] = [rows[index] for index in order]
    return to_json(body).encode()


def _arrays(body: JsonValue) -> list[list[JsonValue]]:
    match body:
        case list():
            return [body]
        case dict():
            return [found for inner in body.values() for found in _arrays(inner)]
        case _:
            return []


# ── reading the clause ───────────────────────────────────────────────────────────────────────


def read_faults(array: ast.Array, evaluate: Evaluate) -> tuple[Fault, ...]:
    """Read the clause FAULTS of a test.

    Raises:
        MoltlerError: TST005 with everything that is wrong, and where; or what `evaluate` raises.
    """
    problems = Problems()
    located = [locate(item, evaluate) for item in array.items]
    faults = [_fault(item, problems) for item in located]
    problems.settle()
    return tuple(f for f in faults if f is not None)


def _fault(located: Located, problems: Problems) -> Fault | None:
    if located.members is None:
        problems.add(
            located.span, f"a fault must be a document, not {located.shown}",
            hint='write it like {"on": 1, "fault": "reset"}',
        )  # fmt: skip
        return None
    problems.unknown(located, "a fault", _KEYS)
    members = located.members
    for key, example in (("fault", '"fault": "reset"'), ("on", '"on": 1')):
        if key not in members:
            problems.add(located.span, f"a fault has no `{key}`", hint=f"add {example}")
    kind = _kind(members["fault"], problems) if "fault" in members else None
    on = _on(members["on"], problems) if "on" in members else None
    match = _match(members["match"], problems) if "match" in members else None
    if kind is None:
        return None
    allowed = _OWN_KEYS.get(kind, ())
    for key in ("status", "headers", "body", "delay_ms", "seed"):
        if key in members and key not in allowed:
            span = located.key_spans.get(key, located.span)
            problems.add(span, f"the fault `{kind}` has no `{key}`", hint=f"remove `{key}`")
    delay_ms = _SLOW_MS if kind == "slow_body" else 0.0
    if "delay_ms" in members and "delay_ms" in allowed:
        delay_ms = milliseconds_of(members["delay_ms"], "`delay_ms`", problems) or 0.0
    elif kind == "delay":
        problems.add(located.span, "the fault `delay` has no `delay_ms`", hint='add "delay_ms"')
    seed = 0
    if "seed" in members and "seed" in allowed:
        seed = integer_of(members["seed"], "`seed`", problems) or 0
    answer = _answer(located, problems) if kind == "status" else None
    return Fault(kind, on, match, answer, delay_ms, seed, located.span)


def _kind(located: Located, problems: Problems) -> FaultKind | None:
    for kind in KINDS:
        if located.value == kind:
            return kind
    close = near_match(located.value, KINDS) if isinstance(located.value, str) else None
    problems.add(
        located.span,
        f"`fault` is {located.shown}",
        hint=f"did you mean `{close}`?" if close else None,
        allowed=KINDS,
    )
    return None


def _on(located: Located, problems: Problems) -> int | None:
    value = located.value
    if isinstance(value, str) and value.lower() == "all":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    problems.add(
        located.span,
        f"`on` is {located.shown}",
        hint='write the number of the request, counted from 1, or "all"',
    )
    return None


def _match(located: Located, problems: Problems) -> RouteKey | None:
    text = text_of(located, "`match`", problems)
    if text is None:
        return None
    try:
        return read_key(text)
    except BadKey as error:
        problems.add(located.span, str(error), hint=error.hint)
        return None


def _answer(located: Located, problems: Problems) -> Given | None:
    members = located.members or {}
    headers: Headers = ()
    if "headers" in members:
        headers = read_headers(members["headers"], problems)
    if "status" not in members:
        problems.add(located.span, "the fault `status` has no `status`", hint='add "status": 500')
        return None
    status = read_status(members["status"], problems)
    body = members["body"].value if "body" in members else None
    return None if status is None else given(status, headers, body)
