"""What every request of an instance passes before it leaves, whoever answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus

from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchCode, FetchFailure, HttpRequest
from moltler.net.address import BadAddress, parse_address, resolve
from moltler.net.call import (
    FORBIDDEN_METHODS,
    HIDDEN,
    NOT_IN_HEADERS,
    OF_PARTS,
    OF_THE_ANSWER,
    OF_THE_BODY,
    OF_THE_CONNECTION,
    TOKEN,
    Call,
    failure,
    secret_in,
    shown_host,
    with_basic,
    without_secrets,
)
from moltler.net.limits import WaitClock
from moltler.net.policy import HostPolicy, Refused
from moltler.net.seals import Unsealing
from moltler.net.throttle import Throttle
from moltler.secret import redact

MAX_REDIRECTS = 10
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Passage:
    """Form, policy, secrets and throttle of one instance's requests; used on one loop.

    Args:
        target: The instance.
        policy: What it may reach.
        max_request_bytes: The most that a request body may have.
        max_in_flight: Requests that wait for their response's head.
        throttle: Lets requests go.
    """

    def __init__(
        self,
        target: ResolvedConnector,
        policy: HostPolicy,
        *,
        max_request_bytes: int,
        max_in_flight: int,
        throttle: Throttle,
    ) -> None:
        self._target = target
        self._policy = policy
        self._has_seals = any(secret.seal is not None for secret in target.secrets)
        self._max_request_bytes = max_request_bytes
        self._seals = Unsealing(target, policy, limit=max_request_bytes)
        self._in_flight = asyncio.Semaphore(max_in_flight)
        self._throttle = throttle
        self.waits = WaitClock()
        """Time spent in the queue and the throttle, which no time limit counts."""

    def admit(self, request: HttpRequest, *, is_secret: bool = False) -> Call:
        """Give the request as it may leave, with its secrets opened.

        Args:
            request: As the handler asked for it.
            is_secret: It is a secret as a whole, as a request for tokens.

        Raises:
            FetchFailure: It is malformed, or goes where the instance may not.
        """
        call = self._first_call(request)
        self._judge(call)
        return self._seals.unseal(call, is_secret=is_secret)

    @asynccontextmanager
    async def turn(self, call: Call) -> AsyncGenerator[None]:
        """Wait for the throttle and the queue; bodies that nobody reads keep nobody waiting.

        Raises:
            MoltlerError: API003, the API wants no request for longer than one waits.
        """
        with self.waits.waiting():
            await self._throttle.admit(call.address)
            try:
                await self._in_flight.acquire()
            except BaseException:
                self._throttle.land(call.address)
                raise
        try:
            yield
        finally:
            self._in_flight.release()
            self._throttle.land(call.address)

    async def learn(self, call: Call, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Take notice of what a response says about limits."""
        await self._throttle.learn(call.address, status, headers)

    async def close(self) -> None:
        """Give back what was reserved and not used."""
        await self._throttle.close()

    def redirected(self, call: Call, status: int, location: str, mode: str) -> Call:
        """Give the request that follows a redirect (fetch standard, HTTP-redirect fetch).

        Raises:
            FetchFailure: The handler wants no redirects, or it leads where none may go.
        """
        if mode == "error":
            raise self.failure(
                call, "TOO_MANY_REDIRECTS",
                f"the API redirects (status {status}) and the handler set `redirect: 'error'`",
            )  # fmt: skip
        try:
            address = resolve(call.address, location)
        except BadAddress as error:
            raise self._misled(
                call, location, f"to something that is no address: {error}"
            ) from error
        # Opened anew: what held a seal must be known. The address is the API's, and seals in it
        # are none that the handler wrote.
        following = replace(call.written, address=address)
        if (status in {301, 302} and call.method == "POST") or (status == 303 and call.is_write):
            headers = tuple(h for h in call.headers if h[0].lower() not in OF_THE_BODY)
            following = replace(following, method="GET", headers=headers, body=None)
        if address.origin != call.address.origin:
            following = without_secrets(following, self._target)
        try:
            self._policy.judge(address)
        except Refused as refusal:
            what = f"to where it may not: {refusal}"
            misled = self._misled(call, location, what, hint=refusal.hint)
            misled.host = shown_host(following, self._target.secrets)
            if secret_in(location, self._target.secrets):
                misled.host = HIDDEN
            raise misled from refusal
        following = with_basic(following)
        return self._seals.unseal(following, opens_address=False)

    def _misled(
        self, call: Call, location: str, what: str, *, hint: str | None = None
    ) -> FetchFailure:
        """Give the failure of a redirect, without its address if that holds a secret.

        The address is in another form by now: small letters, decoded, without dots.
        """
        if secret_in(location, self._target.secrets):
            what, hint = "to an address that holds a secret", None
        return self.failure(call, "EGRESS_BLOCKED", f"the API redirects {what}", hint=hint)

    def too_many_redirects(self, call: Call) -> FetchFailure:
        """Give the failure of a chain that does not end."""
        what = f"the API redirected more than {MAX_REDIRECTS} times"
        return self.failure(call, "TOO_MANY_REDIRECTS", what)

    def failure(
        self, call: Call, code: FetchCode, what: str, *, hint: str | None = None
    ) -> FetchFailure:
        """Give a failure that names the request and no secret."""
        return failure(call, self._target.secrets, code, what, hint=hint)

    def _first_call(self, request: HttpRequest) -> Call:
        text = self._seals.address_text(request.url)
        try:
            written = parse_address(text)
            address = self._seals.host_opened(written)
        except BadAddress as error:
            if text != request.url:
                # What is wrong with it would show the secret.
                what = "the address begins with a secret that is none"
                raise FetchFailure("EGRESS_BLOCKED", what) from None
            shown = redact(request.url.partition("?")[0][:80], self._target.secrets)
            raise FetchFailure("EGRESS_BLOCKED", f"`{shown}` is no address: {error}") from error
        call = Call(
            request.method.upper(),
            written,
            request.headers,
            request.body,
            hides_address=text != request.url,
        )
        if not TOKEN.fullmatch(call.method) or call.method in FORBIDDEN_METHODS:
            raise self.failure(call, "EGRESS_BLOCKED", "this method may not be sent")
        for name, value in call.headers:
            if not TOKEN.fullmatch(name) or NOT_IN_HEADERS.search(value):
                raise self.failure(
                    call, "EGRESS_BLOCKED", f"the header `{name[:80]!a}` holds a line break or "
                    "another character that headers may not have",
                )  # fmt: skip
        if call.body is not None and len(call.body) > self._max_request_bytes:
            raise self.failure(
                call, "TOO_LARGE", f"the request body has {len(call.body):,} bytes; "
                f"allowed are {self._max_request_bytes:,}",
            )  # fmt: skip
        dropped = OF_THE_CONNECTION | OF_THE_ANSWER | (OF_PARTS if self._has_seals else frozenset())
        kept = [(n, v) for n, v in call.headers if n.lower() not in dropped]
        call = with_basic(replace(call, headers=tuple(kept)))
        return call if address == written else replace(call, address=address, sealed=call)

    def _judge(self, call: Call) -> None:
        try:
            self._policy.judge(call.address)
        except Refused as refusal:
            raise self.failure(call, "EGRESS_BLOCKED", str(refusal), hint=refusal.hint) from refusal


class GateFailed(Exception):  # noqa: N818 - a signal between a gate and who opens it
    """The caller's `before_write` failed, so nothing was sent."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason
        super().__init__()


def once(callback: Callable[[], None] | None) -> Callable[[], Awaitable[None]] | None:
    """Make a callback an awaitable that runs it in a worker thread, the first time only."""
    if callback is None:
        return None
    called = False

    async def run() -> None:
        nonlocal called
        if not called:
            called = True
            try:
                await asyncio.to_thread(callback)
            except Exception as error:
                raise GateFailed(error) from error  # it must not look like a network failure

    return run


def phrase_of(status: int) -> str:
    """Give the usual words for a status, or ``""`` for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
