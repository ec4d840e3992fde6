"""The network of a test that is answered from its cassette, in strict order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import cast, get_args

from moltler.errors import MoltlerError, error_class
from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchCode, FetchFailure, HttpRequest, HttpResponse
from moltler.net.address import BadAddress, parse_address
from moltler.net.cassette import (
    Body,
    Cassette,
    Exchange,
    RecordedFailure,
    RecordedRequest,
    RecordedResponse,
    body_of,
)
from moltler.net.cassette_redaction import Redactor, without_names
from moltler.net.faults import Fault
from moltler.net.limits import WaitClock
from moltler.net.mock import MockWorld, Sleep
from moltler.net.mock_reading import shown
from moltler.net.routes_answers import read_body
from moltler.net.routes_keys import query_pairs
from moltler.net.seals import opened_request
from moltler.ports import Transport, Waits
from moltler.schema import JsonValue

_HINT = "record it again with `moltler test --record`, or see why the handler asks otherwise"
_CODES = frozenset(cast("tuple[str, ...]", get_args(FetchCode)))


class ReplayWorld(MockWorld):
    """The network of one test answered from its cassette; otherwise as `MockWorld`.

    Each instance must send what it sent when it was recorded: method, path, query and body, in
    the same order. How the requests of several instances interleave is not the handlers' doing,
    so it is not compared.

    Args:
        cassette: What was recorded.
        faults: The clause FAULTS.
        sleep: Waits that many seconds on the loop; a virtual clock passes its own.
        time: Seconds that never go back, in the unit of `sleep`.
    """

    def __init__(
        self,
        cassette: Cassette,
        faults: tuple[Fault, ...] = (),
        *,
        sleep: Sleep | None = None,
        time: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(None, faults, live=self._open, sleep=sleep, time=time)
        self._turns = threading.Lock()
        self._tracks: dict[str, list[tuple[int, Exchange]]] = {}
        for number, exchange in enumerate(cassette.exchanges, 1):
            self._tracks.setdefault(exchange.connector.lower(), []).append((number, exchange))
        self._played: dict[str, int] = {}

    @property
    def unused(self) -> tuple[str, ...]:
        """The recorded requests that were not sent."""
        with self._turns:
            rest = [e for name, t in self._tracks.items() for e in t[self._played.get(name, 0) :]]
        return tuple(
            f"{_line(e.request)} (request {number})"
            for number, e in sorted(rest, key=lambda found: found[0])
        )

    def play(self, target: ResolvedConnector, request: HttpRequest) -> Exchange:
        """Give what was recorded for the next request of an instance.

        Raises:
            FetchFailure: It differs from what was recorded (TST007).
        """
        name = target.name.lower()
        now = _recorded(opened_request(request, target), Redactor(target.secrets))
        with self._turns:
            track, at = self._tracks.get(name, []), self._played.get(name, 0)
            if at < len(track):
                number, exchange = track[at]
                difference = _difference(exchange.request, now)
                if difference is None:
                    self._played[name] = at + 1
                    return exchange
                message = f"request {number} differs from the cassette in {difference}"
            else:
                count = len(track)
                message = (
                    f"`{_line(now)}` is request {count + 1} of connector `{target.name}`; "
                    f"the cassette has {count or 'none'}"
                )
        error = _mismatch(message)
        self.fail(error)
        raise FetchFailure("MOCK_UNMATCHED", message, hint=_HINT)

    def _open(self, target: ResolvedConnector) -> Transport:
        return _ReplayTransport(self, target)


class _ReplayTransport:
    """The recorded answers of one instance (`ports.Transport`)."""

    def __init__(self, world: ReplayWorld, target: ResolvedConnector) -> None:
        self._world = world
        self._target = target
        self._waits = WaitClock()

    @property
    def waits(self) -> Waits:
        return self._waits

    async def send(
        self, request: HttpRequest, *, before_write: Callable[[], None] | None = None
    ) -> HttpResponse:
        exchange = self._world.play(self._target, request)
        if before_write is not None and request.is_write:
            await asyncio.to_thread(before_write)
        if exchange.failure is not None:
            raise _failure(exchange.failure)
        response = exchange.response
        if response is None:
            # The handler gave this request up, so it will again; nothing was recorded to answer.
            await asyncio.Event().wait()
            raise FetchFailure("ECONNRESET", "the recorded request had no answer")
        return HttpResponse(
            response.status,
            response.status_text,
            response.headers,
            response.url,
            response.redirected,
            _content(response),
        )

    async def close(self) -> None:
        """Hold nothing, so release nothing."""


async def _content(response: RecordedResponse) -> AsyncIterator[bytes]:
    if content := response.body.content():
        yield content
    if response.broken is not None:
        raise _failure(response.broken)


def _failure(recorded: RecordedFailure) -> FetchFailure:
    code = recorded.code if recorded.code in _CODES else "ECONNRESET"
    return FetchFailure(cast("FetchCode", code), recorded.message)


def _mismatch(message: str) -> MoltlerError:
    return error_class("TST007")("TST007", message, hint=_HINT)


def _recorded(request: HttpRequest, redactor: Redactor) -> RecordedRequest:
    url = redactor.text(request.url)
    return RecordedRequest(request.method, url, (), body_of(request.body, redactor))


def _line(request: RecordedRequest) -> str:
    try:
        return f"{request.method} {parse_address(request.url).target}"
    except BadAddress:
        return f"{request.method} {request.url}"


def _difference(recorded: RecordedRequest, now: RecordedRequest) -> str | None:
    """Name the first difference with both sides, or give ``None``."""
    if recorded.method != now.method:
        return _sides("its method", recorded.method, now.method)
    try:
        then, new = parse_address(recorded.url), parse_address(now.url)
    except BadAddress:
        # A secret such as `http://` was taken out of it.
        return _sides("its URL", recorded.url, now.url)
    if without_names(then.path) != without_names(new.path):
        return _sides("its path", then.path, new.path)
    before, after = query_pairs(then.query), query_pairs(new.query)
    for name in dict.fromkeys(n for n, _ in (*before, *after)):
        one = [without_names(v) for n, v in before if n == name]
        other = [without_names(v) for n, v in after if n == name]
        if one != other:
            return _sides(
                f"its parameter `{name}`", ", ".join(one) if one else None,
                ", ".join(other) if other else None,
            )  # fmt: skip
    return _between(_comparable(recorded.body), _comparable(now.body), "its body")


def _comparable(body: Body) -> JsonValue:
    """Give JSON documents and arrays as values; anything else as it is."""
    if body.base64 is not None:
        return body.base64
    value = read_body(body.content())
    return value if isinstance(value, dict | list) else body.content().decode() or None


def _between(recorded: JsonValue, now: JsonValue, place: str) -> str | None:
    """Name the first difference of two bodies."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*recorded, *now)):
            inner = f"{place}, `{key}`" if place == "its body" else f"{place[:-1]}.{key}`"
            if (key in recorded) != (key in now):
                return _sides(inner, _text(recorded, key), _text(now, key))
            if found := _between(recorded[key], now[key], inner):
                return found
        return None
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        for index, (one, other) in enumerate(zip(recorded, now, strict=True)):
            inner = f"{place}, `[{index}]`" if place == "its body" else f"{place[:-1]}[{index}]`"
            if found := _between(one, other, inner):
                return found
        return None
    if without_names(shown(recorded)) == without_names(shown(now)):
        return None
    if _is_number(recorded) and _is_number(now) and recorded == now:
        return None  # 1 and 1.0
    return _sides(place, None if recorded is None else shown(recorded),
                  None if now is None else shown(now))  # fmt: skip


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(values: dict[str, JsonValue], key: str) -> str | None:
    return shown(values[key]) if key in values else None


def _sides(what: str, recorded: str | None, now: str | None) -> str:
    def side(text: str | None) -> str:
        if text is None:
            return "nothing"
        return f"`{text if len(text) <= 80 else text[:79] + '…'}`"

    return f"{what}: recorded {side(recorded)}, now {side(now)}"
