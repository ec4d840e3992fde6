"""What an API echoes of secrets, sealed again before a handler sees it (LANGUAGE §5.4)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchFailure, HttpRequest, HttpResponse
from moltler.ports import Transport, Waits
from moltler.vault.seal import SealBook, SealTooLarge, derived

_SHORTEST_RESEALED = 8
"""Characters; shorter values would be found in innocent text."""
_SHORTEST_IN_ADDRESS = 4
_LARGEST_DERIVED = 1 << 24
"""More than a request may have, so what was sent is never left out."""


class SealedTransport:
    """Keeps what an API echoes of an instance's secrets from its handlers (`ports.Transport`).

    It stands before whatever transport a process is given, so that mocks and cassettes are
    treated as the network is.

    Args:
        target: The instance.
        inner: Sends the requests.
    """

    def __init__(self, target: ResolvedConnector, inner: Transport) -> None:
        self.book = SealBook(target.secrets)
        self._inner = inner
        self._spellings = [
            spelling
            for secret in self.book.secrets
            if secret.seal is not None and len(secret.reveal()) >= _SHORTEST_RESEALED
            for spelling in spellings(secret.reveal(), secret.seal)
        ]

    @property
    def waits(self) -> Waits:
        """The time its requests spent in the queue and the throttle."""
        return self._inner.waits

    async def send(
        self, request: HttpRequest, *, before_write: Callable[[], None] | None = None
    ) -> HttpResponse:
        """Send a request and give the response without the values of secrets.

        Raises:
            FetchFailure: There is no response.
        """
        response = await self._inner.send(request, before_write=before_write)
        if not self.book.secrets:
            return response
        answer = resealed(response, [*self._spellings, *self._derived(request)])
        answer.url = self._address(request, answer)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._inner.close()

    def _derived(self, request: HttpRequest) -> Iterator[tuple[bytes, bytes]]:
        """Give what this request's derived seals are opened to, for the seals themselves."""
        texts = [request.body or b"", request.url.encode("utf-8", "surrogatepass")]
        texts += (v.encode("utf-8", "surrogatepass") for _, v in request.headers)
        for text in texts:
            try:
                for seal, opened in self.book.derived_in(text, limit=_LARGEST_DERIVED):
                    coded = quote(opened, safe="").encode()
                    yield from ((s, seal) for s in (opened, coded, opened.rstrip(b"=")))
            except SealTooLarge:
                continue

    def _address(self, request: HttpRequest, response: HttpResponse) -> str:
        if not response.redirected:
            # An address that begins with a seal had to be opened to be one.
            return response.url if self.book.leading(request.url) is None else request.url
        # A relative redirect may lead from an opened path.
        short = (
            spelling
            for secret in self.book.secrets
            if secret.seal is not None and len(secret.reveal()) >= _SHORTEST_IN_ADDRESS
            for spelling in _readable(secret.reveal(), secret.seal)
        )
        return Resealing(short).text(response.url)


def resealed(response: HttpResponse, found: Iterable[tuple[bytes, bytes]]) -> HttpResponse:
    """Give a response with spellings of secrets replaced, each by what stands beside it."""
    resealing = Resealing(found)
    if not resealing.is_needed:
        return response
    return HttpResponse(
        response.status,
        resealing.text(response.status_text),
        tuple((n, resealing.text(v)) for n, v in response.headers),
        resealing.text(response.url),
        response.redirected,
        _Resealed(response.body, resealing),
    )


class Resealing:
    """Replaces spellings of secrets in text, piece by piece.

    Args:
        spellings: Each with what it is replaced by.
    """

    def __init__(self, spellings: Iterable[tuple[bytes, bytes]]) -> None:
        self._seals: dict[bytes, bytes] = {}
        # Longest first: a value that holds another one goes whole.
        for spelling, seal in sorted(spellings, key=lambda pair: -len(pair[0])):
            self._seals.setdefault(spelling, seal)
        self._seals.pop(b"", None)
        self._longest = max(map(len, self._seals), default=0)
        self._pattern = re.compile(b"|".join(map(re.escape, self._seals)))
        self._kept = b""

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to replace."""
        return bool(self._seals)

    def text(self, text: str) -> str:
        """Give a header or an address with its secrets sealed."""
        if not self._seals:
            return text
        # Bytes of headers arrive as Latin-1, whatever they mean.
        for coding in ("latin-1", "utf-8"):
            try:
                text = self._replaced(text.encode(coding)).decode(coding)
            except UnicodeEncodeError:
                continue
        return text

    def feed(self, piece: bytes) -> bytes:
        """Give what is sure by now; what may be the beginning of a secret is held back."""
        content = self._kept + piece
        border = self._border(content)
        done, end = self._until(content, border)
        self._kept = content[end:]
        return done

    def finish(self) -> bytes:
        """Give what was held back."""
        rest, self._kept = self._kept, b""
        return self._replaced(rest)

    def _replaced(self, content: bytes) -> bytes:
        return self._until(content, len(content))[0]

    def _until(self, content: bytes, border: int) -> tuple[bytes, int]:
        """Replace every spelling that begins before a border; tell how far that reached."""
        # Looking for each by itself is many times faster than the pattern, and most find nothing.
        if not any(spelling in content for spelling in self._seals):
            return content[:border], border
        parts: list[bytes] = []
        end = 0
        for found in self._pattern.finditer(content):
            if found.start() >= border:
                break
            parts += (content[end : found.start()], self._seals[found[0]])
            end = found.end()
        border = max(border, end)
        return b"".join((*parts, content[end:border])), border

    def _border(self, content: bytes) -> int:
        """Give where a spelling may begin that the content does not hold to its end."""
        start = max(len(content) - self._longest + 1, 0)
        tail = content[start:]
        firsts = {spelling[:1] for spelling in self._seals}
        for at in range(len(tail)):
            if tail[at : at + 1] in firsts:
                rest = tail[at:]
                if any(len(s) > len(rest) and s.startswith(rest) for s in self._seals):
                    return start + at
        return len(content)


class _Resealed(AsyncIterator[bytes]):
    """A body without the values of secrets."""

    def __init__(self, body: AsyncIterator[bytes], resealing: Resealing) -> None:
        self._body = body
        self._resealing = resealing
        self._failure: FetchFailure | None = None
        self._is_over = False

    async def __anext__(self) -> bytes:
        while not self._is_over:
            try:
                piece = await anext(self._body, b"")
            except FetchFailure as failed:
                # What was held back had arrived before.
                self._failure, piece = failed, b""
            self._is_over = not piece
            done = self._resealing.feed(piece) if piece else self._resealing.finish()
            if done:
                return done
        if self._failure is not None:
            failed, self._failure = self._failure, None
            raise failed
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Release the connection."""
        self._is_over = True
        close = getattr(self._body, "aclose", None)
        if close is not None:
            await close()


def spellings(value: str, seal: str) -> Iterator[tuple[bytes, bytes]]:
    """Give the ways in which an answer may hold a value, each with what takes its place."""
    yield from _readable(value, seal)
    content, sealed = value.encode("utf-8", "surrogatepass"), seal.encode()
    encoded = _base64(content)
    for text in dict.fromkeys((encoded, encoded.rstrip("="))):
        yield text.encode(), derived(sealed).encode()
    for shift, dropped in ((0, 0), (1, 2), (2, 3)):
        # Inside longer Base64: what is sure to be of the value, and no more.
        core = _base64(bytes(shift) + content)[dropped : (shift + len(content)) * 8 // 6]
        yield core.encode(), sealed


def _readable(value: str, seal: str) -> Iterator[tuple[bytes, bytes]]:
    """Give a value as it is, JSON-escaped and percent-encoded."""
    content, sealed = value.encode("utf-8", "surrogatepass"), seal.encode()
    escaped = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    texts = [value, *escaped, *(e.replace("/", r"\/") for e in escaped)]
    percent = quote(content, safe=""), quote(content), quote_plus(content)
    texts += (*percent, *(re.sub("%..", lambda m: m[0].lower(), p) for p in percent))
    for text in dict.fromkeys(texts):
        yield text.encode("utf-8", "surrogatepass"), sealed


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
