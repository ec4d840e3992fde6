"""Serves the fetch of a child's handlers with the transport of its instance."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from moltler.flow.http import FetchFailure, HttpRequest, HttpResponse
from moltler.ports import Transport
from moltler.sandbox.call import Broken, Call
from moltler.sandbox.frames import (
    BODY_PIECE,
    MAX_HEADERS,
    MAX_IN_FLIGHT,
    MAX_OPEN_BODIES,
    MAX_REQUEST_BODY,
    MAX_URL,
    WHOLE_BODY,
    BadFrame,
    Fetch,
    Kind,
    encode_json,
    with_body,
)

Send = Callable[..., None]
_KEPT_FAILURES = 8
_REFUSED = frozenset({"EGRESS_BLOCKED", "SECRET_OVER_HTTP", "TOO_LARGE"})
_FREE_REFUSALS = 100
_REFUSAL_S = 0.1
"""How long every further one takes: without the network in between, a loop of requests that are
refused would keep us as busy as the handler is."""
_PATIENCE_S = 0.1
"""How long a small body may take before the response is handed over without it."""
_NOT_A_PHRASE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_DATA, _END, _FAILED = b"\0", b"\1", b"\2"


class Fetching:
    """The requests of one child that are not answered to their end.

    Args:
        send: Writes a frame to the child.
        drained: Waits until the child has read most of what it was sent.
        hold: Reads nothing more from the child, or again.
        transport: The instance's.
    """

    def __init__(
        self,
        send: Send,
        drained: Callable[[], Awaitable[None]],
        hold: Callable[[bool], None],
        transport: Transport,
    ) -> None:
        self._send = send
        self._drained = drained
        self._hold = hold
        self._body_bytes = 0
        self._transport = transport
        self._exchanges: dict[int, _Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0

    def start(self, id_: int, fetch: Fetch, body: bytes | None, call: Call) -> None:
        """Send a request for a call.

        Raises:
            BadFrame: The id is not new, or too many requests are open.
        """
        if id_ <= self._last or len(self._exchanges) >= MAX_IN_FLIGHT:
            raise BadFrame("a request out of order")
        if (
            len(fetch.url) > MAX_URL
            or len(fetch.headers) > MAX_HEADERS
            or len(body or b"") > 2 * MAX_REQUEST_BODY
        ):
            raise BadFrame("a request that is too large")
        self._last = id_
        if call.is_refused:
            return  # it is about to be cancelled, and no request of it is answered any more
        if call.admit is not None and (error := call.admit()) is not None:
            call.is_refused = True
            call.deliver(Broken(error))
            return
        call.requests += 1
        request = HttpRequest(fetch.method, fetch.url, fetch.headers, body, fetch.redirect)
        exchange = _Exchange(id_, request, call, self._send, self._drained, self._transport)
        size = len(body or b"")
        self._weigh(size)
        self._exchanges[id_] = exchange
        task = asyncio.get_running_loop().create_task(exchange.run())
        exchange.task = task
        self._tasks.add(task)

        def forget(done: asyncio.Task[None]) -> None:
            self._tasks.discard(done)
            self._exchanges.pop(id_, None)
            self._weigh(-size)

        task.add_done_callback(forget)

    def _weigh(self, size: int) -> None:
        before, self._body_bytes = self._body_bytes, self._body_bytes + size
        if (before > MAX_OPEN_BODIES) != (self._body_bytes > MAX_OPEN_BODIES):
            self._hold(self._body_bytes > MAX_OPEN_BODIES)

    def abort(self, id_: int) -> None:
        """Drop a request; one that has just been answered is unknown already."""
        if exchange := self._exchanges.pop(id_, None):
            exchange.cancel()

    def pull(self, id_: int) -> None:
        """Let the next piece of a body go."""
        if exchange := self._exchanges.get(id_):
            exchange.pulls.set()

    async def close(self) -> None:
        """Drop every request."""
        for exchange in self._exchanges.values():
            exchange.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))


class _Exchange:
    def __init__(
        self,
        id_: int,
        request: HttpRequest,
        call: Call,
        send: Send,
        drained: Callable[[], Awaitable[None]],
        transport: Transport,
    ) -> None:
        self.pulls = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._id = id_
        self._request = request
        self._call = call
        self._send = send
        self._drained = drained
        self._transport = transport
        self._is_handed_over = False
        self._has_begun = False

    def cancel(self) -> None:
        if self.task is None:
            return
        if self._has_begun:
            self.task.cancel()
        else:
            # It takes its first step before it is stopped: in a test even a request that nobody
            # waits for must be seen.
            asyncio.get_running_loop().call_soon(self.task.cancel)

    async def run(self) -> None:
        self._has_begun = True
        with self._call.api.running():
            await self._serve()

    async def _serve(self) -> None:
        watch = self._call.watch
        request = self._request
        if watch and request.is_write:
            request = watch.stamped(request)
        try:
            response = await self._transport.send(
                request, before_write=watch.sent if watch else None
            )
        except FetchFailure as failure:
            if failure.code in _REFUSED:
                self._call.refusals += 1
                if self._call.refusals > _FREE_REFUSALS:
                    await asyncio.sleep(_REFUSAL_S)
            head, _ = with_body({"error": self._described(failure)})
            self._send(Kind.REPLY, self._id, head)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must see it
            # The gate before a write failed, so nothing may look as if it had been sent.
            self._call.deliver(Broken(error))
            return
        if self._call.server_time is None:
            self._call.server_time = _date_of(response)
        if watch and self._request.is_write:
            watch.answered()
        try:
            await self._answer(response)
        finally:
            close = getattr(response.body, "aclose", None)
            if close is not None:
                await close()

    async def _answer(self, response: HttpResponse) -> None:
        """Hand over head and body in one; the head alone once patience or the room is over."""
        loop = asyncio.get_running_loop()
        patience = loop.call_later(_PATIENCE_S, self._hand_over, response)
        pieces: list[bytes] = []
        size = 0
        has_ended = False
        failure: FetchFailure | None = None
        try:
            while size <= WHOLE_BODY and not self._is_handed_over:
                piece = await anext(response.body, b"")
                if not piece:
                    has_ended = True
                    break
                pieces.append(piece)
                size += len(piece)
        except FetchFailure as early_end:
            failure = early_end
        finally:
            patience.cancel()
        if not self._is_handed_over:
            await self._drained()
            self._hand_over(response, pieces if has_ended else None)
            if has_ended:
                return
        await self._stream(bytearray().join(pieces), response.body, failure, has_ended=has_ended)

    def _hand_over(self, response: HttpResponse, pieces: Sequence[bytes] | None = None) -> None:
        self._is_handed_over = True
        head, _ = with_body(
            {
                "status": response.status,
                "status_text": _NOT_A_PHRASE.sub("", response.status_text),
                "headers": response.headers,
                "url": response.url,
                "redirected": response.redirected,
                "whole": pieces is not None,
            }
        )
        self._send(Kind.REPLY, self._id, head, *(pieces or ()))

    async def _stream(
        self,
        rest: bytearray,
        body: AsyncIterator[bytes],
        failure: FetchFailure | None,
        *,
        has_ended: bool,
    ) -> None:
        while True:
            await self.pulls.wait()
            self.pulls.clear()
            await self._drained()
            if not rest and not has_ended and failure is None:
                try:
                    rest += await anext(body, b"")
                    has_ended = not rest
                except FetchFailure as early_end:
                    failure = early_end
            if rest:
                self._send(Kind.CHUNK, self._id, _DATA, bytes(rest[:BODY_PIECE]))
                del rest[:BODY_PIECE]
            elif failure is not None:
                self._lose()
                self._send(Kind.CHUNK, self._id, _FAILED, encode_json(self._described(failure)))
                return
            else:
                self._send(Kind.CHUNK, self._id, _END)
                return

    def _lose(self) -> None:
        if self._call.watch and self._request.is_write:
            self._call.watch.lost()

    def _described(self, failure: FetchFailure) -> dict[str, str]:
        del self._call.failures[: -_KEPT_FAILURES + 1]
        self._call.failures.append(failure)
        return {"code": failure.code, "message": str(failure)}


def _date_of(response: HttpResponse) -> datetime | None:
    """Give the time at which a response was made, as its server says it.

    Source: RFC 9110 §6.6.1, Date.
    """
    text = next((v for n, v in response.headers if n.lower() == "date"), None)
    try:
        moment = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo else None
