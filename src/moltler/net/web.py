"""One request of the operator's own, answered as a whole: to a registry."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from moltler.flow.http import FetchFailure, HttpRequest
from moltler.net.auth import content_of
from moltler.ports import Transport


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """A response with its whole body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """Give the first header of a name, ignoring case."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


async def exchange(
    transport: Transport, request: HttpRequest, *, largest: int, limit_s: float
) -> WebAnswer:
    """Send a request and read its answer to the end.

    Args:
        transport: Of whom is asked.
        request: What to ask.
        largest: Bytes of body that are read.
        limit_s: Seconds for everything.

    Raises:
        FetchFailure: There is no answer, not all of it in time, or too much.
    """
    try:
        async with asyncio.timeout(limit_s):
            response = await transport.send(request)
            body = await content_of(response.body, largest)
    except TimeoutError as error:
        raise FetchFailure("ETIMEDOUT", f"no whole answer within {limit_s:g} seconds") from error
    if len(body) > largest:
        raise FetchFailure("TOO_LARGE", f"the answer has more than {largest:,} bytes")
    return WebAnswer(response.status, response.headers, body)
