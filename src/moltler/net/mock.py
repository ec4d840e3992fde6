"""The network of one test: answers from MOCK_API, disturbances, and the log of its calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from moltler.errors import MoltlerError, Span, error_class
from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchCode, FetchFailure, HttpRequest, HttpResponse
from moltler.net.address import WebAddress
from moltler.net.auth import Authenticator, content_of
from moltler.net.call import Call
from moltler.net.faults import Fault, FaultPlan, distort, pieces
from moltler.net.oauth import LARGEST_ANSWER, TokenAnswer
from moltler.net.passage import MAX_REDIRECTS, REDIRECTS, GateFailed, Passage, once
from moltler.net.policy import policy_of
from moltler.net.routes import Choice, MockApi, exhausted, key_of, unanswered
from moltler.net.routes_answers import (
    AFTER_SENDING,
    ERRORS,
    Given,
    NetworkError,
    Received,
    plain,
    received,
)
from moltler.net.settings import NetSettings
from moltler.net.throttle import OwnThrottle
from moltler.ports import Transport, Waits
from moltler.schema import JsonValue
from moltler.secret import redact
from moltler.vault.tokens import MemoryTokens

Gate = Callable[[], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]
_BODILESS = frozenset({204, 304})
_AS_ERRORS: dict[str, NetworkError] = {
    "timeout": "timeout",
    "connection_refused": "connection_refused",
    "reset": "reset",
}


@dataclass(frozen=True, slots=True)
class MockCall:
    """One request of a test that passed egress."""

    route: str | None
    """The key that answered it, as written; ``None`` where none did, or none exists."""
    method: str
    path: str
    """As it went on the wire."""
    query: dict[str, JsonValue]
    """Text, or an array where a parameter is repeated."""
    headers: dict[str, JsonValue]
    """Names in lower case."""
    body: JsonValue
    """Parsed if it is JSON."""
    address: WebAddress = field(repr=False)

    def document(self) -> dict[str, JsonValue]:
        """Give the call as MOCK_CALLS shows it."""
        return {
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": self.body,
        }


@dataclass(frozen=True, slots=True)
class _Reply:
    """How one request is answered."""

    faults: tuple[Fault, ...]
    answer: Given | NetworkError | None
    """``None``: what the live transport gives."""
    delay_ms: float = 0.0
    route: int | str | None = None
    """What `duplicate_page` remembers a live answer under."""


class MockWorld:
    """The network of one test, shared by its instances; safe for threads.

    Args:
        api: What answers. ``None``: requests go to `live` transports, and are still logged and
            disturbed; without `live` nothing is answered at all.
        faults: The clause FAULTS.
        live: Opens the transport of an instance, for a test without MOCK_API.
        sleep: Waits that many seconds on the loop; a virtual clock passes its own.
        time: Seconds that never go back, in the unit of `sleep`.
    """

    def __init__(
        self,
        api: MockApi | None,
        faults: tuple[Fault, ...] = (),
        *,
        live: Callable[[ResolvedConnector], Transport] | None = None,
        sleep: Sleep | None = None,
        time: Callable[[], float] | None = None,
    ) -> None:
        self._api = api if api is not None or live is not None else MockApi()
        self._live = None if self._api is not None else live
        self._sleep = sleep
        self._time = time
        self.tokens = MemoryTokens()
        """Tokens of AUTH, by the clock of the test."""
        self._plan = FaultPlan(faults)
        self._remembers = any(f.kind == "duplicate_page" for f in faults)
        self._lock = threading.Lock()
        self._calls: list[MockCall] = []
        self._failure: MoltlerError | None = None
        routes = self._api.routes if self._api is not None else ()
        self._served = [[0] * len(route.answers) for route in routes]
        self._used = [False] * len(routes)
        self._previous: dict[int | str, Given] = {}

    def transport(self, target: ResolvedConnector) -> Transport:
        """Open what the requests of an instance go through."""
        live = self._live(target) if self._live is not None else None
        return _MockTransport(self, target, live, self._sleep or asyncio.sleep, self._time)

    @property
    def is_mocked(self) -> bool:
        """Whether a MOCK_API answers, so that nothing reaches the network."""
        return self._api is not None

    @property
    def calls(self) -> tuple[MockCall, ...]:
        """Every request so far, in order."""
        with self._lock:
            return tuple(self._calls)

    def calls_of(self, key: str, span: Span | None = None) -> list[dict[str, JsonValue]]:
        """Give the requests of a key, as MOCK_CALLS shows them.

        With a MOCK_API these are the requests that its route answered; without one, those that
        the key matches.

        Raises:
            MoltlerError: TST005, the key is malformed or not in MOCK_API.
        """
        if self._api is None:
            wanted = key_of(key, span)
            found = [c for c in self.calls if wanted.matches(c.method, c.address)]
        else:
            names = {route.key.text for route in self._api.find(key, span)}
            found = [call for call in self.calls if call.route in names]
        return [call.document() for call in found]

    @property
    def failure(self) -> MoltlerError | None:
        """The first request that had no answer; it fails the test whatever the handler does."""
        with self._lock:
            return self._failure

    @property
    def unused(self) -> tuple[str, ...]:
        """The keys that no request fitted, as written."""
        if self._api is None:
            return ()
        with self._lock:
            pairs = zip(self._api.routes, self._used, strict=True)
            return tuple(route.key.text for route, used in pairs if not used)

    @property
    def unused_faults(self) -> tuple[str, ...]:
        """The faults whose request never came, as a note names them."""
        with self._lock:
            return self._plan.unused

    def fail(self, error: MoltlerError) -> None:
        """Note what fails the test; only the first counts."""
        with self._lock:
            self._failure = self._failure or error

    # ── for the transports ───────────────────────────────────────────────────────────────────

    def reply(self, call: Call, request: Received, target: ResolvedConnector) -> _Reply:
        """Log a request and tell how it is answered.

        Raises:
            FetchFailure: No route answers it, or its route has no more answers.
        """
        with self._lock:
            return self._reply(call, request, target)

    def remember(self, reply: _Reply, given: Given) -> None:
        """Keep a live answer for `duplicate_page`."""
        if reply.route is not None:
            with self._lock:
                self._previous[reply.route] = given

    @property
    def remembers(self) -> bool:
        """Whether answers are kept, so that they must be read whole."""
        return self._remembers

    def _reply(self, call: Call, request: Received, target: ResolvedConnector) -> _Reply:
        choice: Choice | None = None
        if self._api is not None:
            served = [tuple(counts) for counts in self._served]
            choice = self._api.choose(call.method, call.address, request, served)
        faults = self._plan.next(call.method, call.address)
        self._calls.append(_logged(call, request, choice.route.key.text if choice else None))
        if choice is not None:
            self._used[choice.order] = True
        elif self._api is not None:
            error = unanswered(self._api, call.method, call.address, request)
            raise self._refusal("MOCK_UNMATCHED", error, target)
        route = f"{call.method} {call.address.path}" if choice is None else choice.order
        delay_ms = sum(f.delay_ms for f in faults if f.kind == "delay")
        for fault in faults:
            if fault.replaces:
                return _Reply(faults, fault.answer or _AS_ERRORS[fault.kind], delay_ms)
            if fault.kind == "duplicate_page" and route in self._previous:
                return _Reply(faults, self._previous[route], delay_ms)
        if choice is None:
            return _Reply(faults, None, delay_ms, route)
        if choice.index is None:
            wanted = f"{call.method} {call.address.target}"
            raise self._refusal("MOCK_EXHAUSTED", exhausted(choice.route, wanted), target)
        self._served[choice.order][choice.index] += 1
        answer = choice.route.answers[choice.index]
        delay_ms += answer.delay_ms
        if answer.error is not None:
            return _Reply(faults, answer.error, delay_ms)
        given = answer.given(request)
        self._previous[route] = given
        return _Reply(faults, given, delay_ms)

    def _refusal(
        self, code: FetchCode, error: MoltlerError, target: ResolvedConnector
    ) -> FetchFailure:
        first = error.problems[0]
        message = redact(first.message, target.secrets)
        hint = redact(first.hint, target.secrets) if first.hint else None
        error.problems = (replace(first, message=message, hint=hint),)
        self._failure = self._failure or error
        return FetchFailure(code, message, hint=hint)


class _MockTransport:
    """The requests of one instance within a `MockWorld` (`ports.Transport`)."""

    def __init__(
        self,
        world: MockWorld,
        target: ResolvedConnector,
        live: Transport | None,
        sleep: Sleep,
        time: Callable[[], float] | None,
    ) -> None:
        self._world = world
        self._target = target
        self._live = live
        self._sleep = sleep
        settings = NetSettings()
        policy = replace(policy_of(target), allows_mock=world.is_mocked)
        self._auth = Authenticator(target, policy, world.tokens, self._ask)
        self._passage = Passage(
            target,
            policy,
            max_request_bytes=settings.max_request_bytes,
            max_in_flight=settings.max_in_flight,
            throttle=OwnThrottle(target, time=time, sleep=sleep),
        )

    @property
    def waits(self) -> Waits:
        return self._passage.waits if self._live is None else self._live.waits

    async def send(
        self, request: HttpRequest, *, before_write: Callable[[], None] | None = None
    ) -> HttpResponse:
        call = self._passage.admit(request)
        with _gate_failures():
            if self._live is not None:
                return await self._through(self._live, call, request, before_write)
            return await self._follow(call, request.redirect, once(before_write))

    async def close(self) -> None:
        await self._auth.close()
        if self._live is not None:
            await self._live.close()

    async def _follow(self, call: Call, mode: str, gate: Gate | None) -> HttpResponse:
        for hop in range(MAX_REDIRECTS + 1):
            plain = call
            call = await self._auth.authenticated(plain)
            given, faults = await self._in_turn(call, gate)
            if given.status == HTTPStatus.UNAUTHORIZED and (
                again := await self._auth.renewed(plain, call)
            ):
                call = again
                given, faults = await self._in_turn(call, gate)
            location = next((v for n, v in given.headers if n.lower() == "location"), None)
            if given.status not in REDIRECTS or location is None or mode == "manual":
                return self._auth.hidden(self._response(call, given, faults, redirected=hop > 0))
            call = self._passage.redirected(call, given.status, location, mode)
        raise self._passage.too_many_redirects(call)

    async def _ask(self, request: HttpRequest) -> TokenAnswer:
        """Send a request to a token endpoint, which the mock plays as well."""
        call = self._passage.admit(request, is_secret=True)
        given, faults = await self._answered(call, None)
        response = self._response(call, given, faults, redirected=False)
        content = await content_of(response.body, LARGEST_ANSWER)
        return TokenAnswer(response.status, response.headers, content)

    async def _in_turn(self, call: Call, gate: Gate | None) -> tuple[Given, tuple[Fault, ...]]:
        async with self._passage.turn(call):
            return await self._answered(call, gate)

    async def _answered(self, call: Call, gate: Gate | None) -> tuple[Given, tuple[Fault, ...]]:
        reply = self._world.reply(call, received(call), self._target)
        return await self._given(call, reply, gate), reply.faults

    async def _given(self, call: Call, reply: _Reply, gate: Gate | None) -> Given:
        """Wait as long as the answer takes, and give it."""
        answer = reply.answer
        if answer is None:
            raise error_class("INT001")("INT001", "a mocked request has no answer")
        error = answer if isinstance(answer, str) else None
        if gate is not None and call.is_write and (error is None or error in AFTER_SENDING):
            await gate()
        await self._pause(reply.delay_ms)
        if isinstance(answer, Given):
            return answer
        code, what = ERRORS[answer]
        raise self._passage.failure(call, code, what)

    async def _through(
        self,
        live: Transport,
        call: Call,
        request: HttpRequest,
        before_write: Callable[[], None] | None,
    ) -> HttpResponse:
        reply = self._world.reply(call, received(call), self._target)
        if reply.answer is not None:
            given = await self._given(call, reply, once(before_write))
            return self._response(call, given, reply.faults, redirected=False)
        await self._pause(reply.delay_ms)
        response = await live.send(request, before_write=before_write)
        if not self._world.remembers and not any(f.changes_body for f in reply.faults):
            return response
        content = b"".join([piece async for piece in response.body])
        head = Given(response.status, response.status_text, response.headers, content)
        self._world.remember(reply, head)
        response.body = pieces(distort(content, reply.faults), reply.faults, self._sleep)
        return response

    async def _pause(self, delay_ms: float) -> None:
        if delay_ms:
            await self._sleep(delay_ms / 1000)

    def _response(
        self, call: Call, given: Given, faults: tuple[Fault, ...], *, redirected: bool
    ) -> HttpResponse:
        has_body = call.method != "HEAD" and given.status not in _BODILESS
        content = distort(given.body, faults) if has_body else b""
        body: AsyncIterator[bytes] = pieces(content, faults, self._sleep)
        url = str(call.written.address)
        return HttpResponse(given.status, given.status_text, given.headers, url, redirected, body)


@contextmanager
def _gate_failures() -> Generator[None]:
    """Let the failure of a gate pass as itself."""
    try:
        yield
    except GateFailed as failed:
        raise failed.reason from failed.reason.__cause__


def _logged(call: Call, request: Received, route: str | None) -> MockCall:
    headers: dict[str, JsonValue] = {n: ", ".join(v) for n, v in request.headers.items()}
    return MockCall(
        route,
        call.method,
        call.address.path,
        plain(request.query),
        headers,
        request.body,
        call.address,
    )
