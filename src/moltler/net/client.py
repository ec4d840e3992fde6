"""The HTTP client of one instance: policy, limits, secrets, redirects, size caps."""

from __future__ import annotations

import asyncio
import io
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http import HTTPStatus
from typing import cast

import aiohttp
from yarl import URL

from moltler.errors import InternalError
from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchFailure, HttpRequest, HttpResponse
from moltler.net.address import WebAddress
from moltler.net.auth import Authenticator, content_of
from moltler.net.call import Call, shown_host
from moltler.net.decode import ACCEPTED, CorruptBody, Decoder, decode, decoders_for
from moltler.net.failures import MAX_HEAD_LINE, explain
from moltler.net.limits import WaitClock
from moltler.net.oauth import LARGEST_ANSWER, TokenAnswer
from moltler.net.passage import MAX_REDIRECTS, REDIRECTS, GateFailed, Passage, once, phrase_of
from moltler.net.policy import HostPolicy, Refused, is_loopback, policy_of
from moltler.net.resolver import PolicyResolver
from moltler.net.settings import NetSettings
from moltler.net.throttle import OwnThrottle, SharedThrottle
from moltler.secret import redact

_MAX_HEADERS = 1000
_LARGE_BODY = 1 << 20
_BLOCKED = frozenset({"EGRESS_BLOCKED", "SECRET_OVER_HTTP"})
_READ_SIZE = 1 << 18


class _Lost(Exception):  # noqa: N818 - a signal between two functions here
    """A pooled connection turned out to be dead before anything came back."""

    def __init__(self, *, anything_left: bool) -> None:
        self.anything_left = anything_left
        super().__init__()


class _Request(aiohttp.ClientRequest):
    """A request that runs `before` between having its connection and using it."""

    before: Callable[[], Awaitable[None]] | None = None
    used: weakref.WeakSet[asyncio.BaseProtocol] | None = None
    """Connections of the pool that have carried a request."""
    on_reused_connection = False

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        protocol = conn.protocol
        if protocol is not None and self.used is not None:
            self.on_reused_connection = protocol in self.used
            self.used.add(protocol)
        if self.before is not None:
            await self.before()
            if protocol is None or not protocol.is_connected():
                raise _Lost(anything_left=False)
        return await super().send(conn)


class HttpTransport:
    """Sends the requests of one instance over its own connections (`ports.Transport`).

    Made in any thread, used on the loop thread only.

    Args:
        target: The instance; its config decides what may be reached.
        settings: What the operator decided.
    """

    def __init__(self, target: ResolvedConnector, *, settings: NetSettings) -> None:
        self._target = target
        self._settings = settings
        self._policy: HostPolicy = policy_of(target)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._opening = asyncio.Lock()
        self._used: weakref.WeakSet[asyncio.BaseProtocol] = weakref.WeakSet()
        self._passage = Passage(
            target,
            self._policy,
            max_request_bytes=settings.max_request_bytes,
            max_in_flight=settings.max_in_flight,
            throttle=OwnThrottle(target)
            if settings.budget is None
            else SharedThrottle(target, settings.budget),
        )
        self._auth = Authenticator(target, self._policy, settings.tokens, self._ask)

    @property
    def waits(self) -> WaitClock:
        """Time spent in the queue and the throttle, which no time limit counts."""
        return self._passage.waits

    async def send(
        self, request: HttpRequest, *, before_write: Callable[[], None] | None = None
    ) -> HttpResponse:
        """Send a request, follow its redirects and give the response once its head is there.

        Args:
            request: As the handler asked for it.
            before_write: Called once, in a worker thread, when a connection is open and before
                the first byte of a request other than GET and HEAD leaves.

        Raises:
            FetchFailure: There is no response.
        """
        try:
            call = self._passage.admit(request)
            return await self._follow(call, request.redirect, once(before_write))
        except FetchFailure as failure:
            if failure.code in _BLOCKED and failure.host is not None:
                self._note(failure.host, is_blocked=True)
            raise

    async def close(self) -> None:
        """Close the connections; may be repeated."""
        await self._auth.close()
        await self._passage.close()
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _follow(
        self, call: Call, mode: str, gate: Callable[[], Awaitable[None]] | None
    ) -> HttpResponse:
        for hop in range(MAX_REDIRECTS + 1):
            plain = call
            call = await self._auth.authenticated(plain)
            answer = await self._in_turn(call, gate)
            if answer.status == HTTPStatus.UNAUTHORIZED and (
                again := await self._auth.renewed(plain, call)
            ):
                answer.release()
                call = again
                answer = await self._in_turn(call, gate)
            location = answer.headers.get("Location")
            if answer.status not in REDIRECTS or location is None or mode == "manual":
                return self._auth.hidden(self._response(call, answer, redirected=hop > 0))
            answer.release()
            call = self._passage.redirected(call, answer.status, location, mode)
        raise self._passage.too_many_redirects(call)

    async def _in_turn(
        self, call: Call, gate: Callable[[], Awaitable[None]] | None
    ) -> aiohttp.ClientResponse:
        async with self._passage.turn(call):
            answer = await self._noted_exchange(call, gate)
        try:
            await self._passage.learn(call, answer.status, answer.headers.items())
        except BaseException:
            answer.close()
            raise
        return answer

    async def _ask(self, request: HttpRequest) -> TokenAnswer:
        """Send a request to a token endpoint; what it answers is no redirect."""
        call = self._passage.admit(request, is_secret=True)
        answer = await self._noted_exchange(call, None)
        response = self._response(call, answer, redirected=False)
        content = await content_of(response.body, LARGEST_ANSWER)
        return TokenAnswer(response.status, response.headers, content)

    async def _noted_exchange(
        self, call: Call, gate: Callable[[], Awaitable[None]] | None
    ) -> aiohttp.ClientResponse:
        host = shown_host(call, self._target.secrets)
        try:
            answer = await self._exchange(call, gate)
        except FetchFailure as failure:
            if failure.code not in _BLOCKED:
                self._note(host)
            raise
        except asyncio.CancelledError:
            self._note(host)  # how far it had come is unknown
            raise
        self._note(host)
        return answer

    def _note(self, host: str, *, is_blocked: bool = False) -> None:
        if self._settings.contacts is not None:
            self._settings.contacts.note(self._target.name, host, is_blocked=is_blocked)

    async def _exchange(
        self, call: Call, gate: Callable[[], Awaitable[None]] | None
    ) -> aiohttp.ClientResponse:
        if self._closed:
            raise self._passage.failure(call, "ECONNRESET", "the instance's connections are closed")
        session = await self._open()
        while True:
            try:
                return await self._once(session, call, gate if call.is_write else None)
            except _Lost as lost:
                if lost.anything_left and call.is_write:
                    raise self._passage.failure(
                        call, "ECONNRESET", "the connection broke before the API answered"
                    ) from lost
                # Each round drops one dead connection of the pool and the last opens a new one.

    async def _once(
        self,
        session: aiohttp.ClientSession,
        call: Call,
        gate: Callable[[], Awaitable[None]] | None,
    ) -> aiohttp.ClientResponse:
        async def watch(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            ours = cast("_Request", request)  # the session's request_class
            ours.before, ours.used = gate, self._used
            try:
                return await handler(ours)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                # aiohttp would repeat PUT and DELETE, and what failed on a fresh connection.
                if isinstance(error, aiohttp.ClientConnectorError):
                    raise
                if ours.on_reused_connection:
                    raise _Lost(anything_left=True) from error
                raise _Broken from error

        body: bytes | io.BytesIO | None = call.body
        if body is not None and len(body) > _LARGE_BODY:
            body = io.BytesIO(body)
        try:
            return await session.request(
                call.method,
                URL.build(
                    scheme=call.address.scheme,
                    authority=_with_port(call.address),
                    # All of it as the path: a bare question mark would get lost otherwise.
                    path=call.address.target,
                    encoded=True,
                ),
                headers=list(self._headers(call)),
                data=body,
                allow_redirects=False,
                proxy=self._proxy(call.address),
                middlewares=(watch,),
            )
        except GateFailed as failed:
            raise failed.reason from failed.reason.__cause__
        except (aiohttp.ClientError, OSError, Refused, _Broken) as error:
            raise explain(
                call, error, self._target.secrets, self._settings.connect_timeout_s
            ) from error
        except _Lost:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours, which may quote the request
            what = redact(f"{type(error).__name__}: {error}", self._target.secrets)
            fault = InternalError("INT001", f"{call.shown} could not be sent: {what}")
            # Not `from error`, whose own text would be shown with it.
            raise fault.with_traceback(error.__traceback__) from None

    def _headers(self, call: Call) -> Iterator[tuple[str, str]]:
        yield from call.headers
        present = {name.lower() for name, _ in call.headers}
        defaults = {"Accept": "*/*", "Accept-Encoding": ACCEPTED, "User-Agent": "moltler"}
        for name, value in defaults.items():
            if name.lower() not in present:
                yield name, value

    def _proxy(self, address: WebAddress) -> str | None:
        # The proxy's loopback is another machine's.
        return None if is_loopback(address.host) else self._settings.proxy

    async def _open(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                self._session = await self._make_session()
            return self._session

    async def _make_session(self) -> aiohttp.ClientSession:
        settings = self._settings
        proxy_host = URL(settings.proxy).raw_host if settings.proxy else None
        trust: ssl.SSLContext | bool = True
        if settings.ca_file is not None:
            try:
                # Reading certificates takes tens of milliseconds.
                trust = await asyncio.to_thread(_trusting, str(settings.ca_file))
            except (OSError, ssl.SSLError) as error:
                raise FetchFailure(
                    "TLS",
                    f"the certificates of `{settings.ca_file}` cannot be read: {error}",
                    hint="MOLTLER_CA_FILE must name a readable PEM file",
                ) from error
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                resolver=PolicyResolver(
                    self._policy,
                    unjudged=frozenset({proxy_host} if proxy_host else ()),
                    lookup=settings.lookup,
                    timeout_s=settings.connect_timeout_s,
                ),
                use_dns_cache=False,
                ssl=trust,
            ),
            request_class=_Request,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_s),
            read_bufsize=_READ_SIZE,
            max_line_size=MAX_HEAD_LINE,
            max_field_size=MAX_HEAD_LINE,
            max_headers=_MAX_HEADERS,
        )

    def _response(
        self, call: Call, answer: aiohttp.ClientResponse, *, redirected: bool
    ) -> HttpResponse:
        has_body = call.method != "HEAD" and answer.status not in {204, 304}
        announced = answer.content_length if has_body else 0
        coding = ", ".join(answer.headers.getall("Content-Encoding", ())) if has_body else None
        return HttpResponse(
            status=answer.status,
            status_text=answer.reason or phrase_of(answer.status),
            headers=tuple(
                (n.decode("latin-1"), v.decode("latin-1")) for n, v in answer.raw_headers
            ),
            url=str(call.written.address),
            redirected=redirected,
            body=_Body(self, call, answer, decoders_for(coding), announced or 0),
        )


class _Broken(Exception):  # noqa: N818 - a signal between two functions here
    """A fresh connection broke before the head had arrived."""


class _Body(AsyncIterator[bytes]):
    """The decoded pieces of a body; reads no further than it is asked to."""

    def __init__(
        self,
        transport: HttpTransport,
        call: Call,
        answer: aiohttp.ClientResponse,
        decoders: list[Decoder],
        announced: int,
    ) -> None:
        self._announced = announced
        self._transport = transport
        self._call = call
        self._answer = answer
        self._decoders = decoders
        self._decoded: Iterator[bytes] = iter(())
        self._size = 0
        self._limit = transport._settings.max_response_bytes  # noqa: SLF001 - same module
        self._closed = False

    async def __anext__(self) -> bytes:
        if self._closed:
            raise StopAsyncIteration
        finished = False
        try:
            piece = await self._next()
            finished = True
        except (CorruptBody, aiohttp.ClientError, EOFError, OSError) as error:
            raise self._explained(error) from error
        finally:
            # A cancelled or failed read leaves the rest of the body on the wire.
            if not finished:
                self._closed = True
                self._answer.close()
        if not piece:
            await self.aclose()
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Release the connection: back to the pool after a whole body, else closed."""
        self._closed = True
        self._answer.release()

    async def _next(self) -> bytes:
        if self._announced > self._limit:
            raise self._too_large(self._announced)
        while True:
            piece = next(self._decoded, b"")
            if not piece:
                coded = await self._answer.content.readany()
                if not coded:
                    break
                if self._decoders:
                    self._decoded = decode(self._decoders, coded)
                    continue
                piece = coded
            self._size += len(piece)
            if self._size > self._limit:
                raise self._too_large(self._size)
            return piece
        if not all(decoder.is_complete for decoder in self._decoders):
            raise EOFError
        return b""

    def _too_large(self, size: int) -> FetchFailure:
        return self._transport._passage.failure(  # noqa: SLF001 - same module
            self._call, "TOO_LARGE",
            f"the response body has {size:,} bytes or more; allowed are {self._limit:,}",
            hint="ask the API for smaller pages",
        )  # fmt: skip

    def _explained(self, error: Exception) -> FetchFailure:
        what = "the response body ended early"
        if isinstance(error, CorruptBody):
            what = f"the response body is not what its Content-Encoding says: {error}"
        return self._transport._passage.failure(self._call, "ECONNRESET", what)  # noqa: SLF001 - same module


def _with_port(address: WebAddress) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def _trusting(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context
