"""What an API echoes of secrets, sealed again before a handler sees it (LANGUAGE §5.4)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from urllib.parse import quote

from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchFailure, HttpRequest, HttpResponse
from moltler.net.call import secret_in
from moltler.net.spellings import (
    cores,
    parts_of,
    readable,
    spellings,
    without_breaks,
    wrapped,
)
from moltler.ports import Transport, Waits
from moltler.vault.seal import SealBook, SealTooLarge

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
            for value in (secret.reveal(), *parts_of(secret.reveal()))
            for spelling in spellings(value, secret.seal)
        ]
        self._cores = [
            (core, secret.seal.encode())
            for secret in self.book.secrets
            if secret.seal is not None and len(secret.reveal()) >= _SHORTEST_RESEALED
            for core in cores(secret.reveal().encode("utf-8", "surrogatepass"))
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
        found = [*self._spellings, *self._derived(request)]
        answer = resealed(response, found, self._cores)
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
        if self.book.leading(request.url) is not None:
            # It had to be opened to be an address, and where it leads may tell of it.
            return request.url
        if not response.redirected:
            return response.url
        # A relative redirect may lead from an opened path.
        short = [
            secret
            for secret in self.book.secrets
            if secret.seal is not None and len(secret.reveal()) >= _SHORTEST_IN_ADDRESS
        ]
        found = (s for secret in short for s in readable(secret.reveal(), secret.seal or ""))
        shown = Resealing(found).text(response.url)
        # Hosts come in small letters, whatever they were written in.
        return request.url if secret_in(shown, short) else shown


def resealed(
    response: HttpResponse,
    found: Iterable[tuple[bytes, bytes]],
    broken: Iterable[tuple[bytes, bytes]] = (),
) -> HttpResponse:
    """Give a response with spellings of secrets replaced, each by what stands beside it.

    Args:
        response: As it came.
        found: Spellings, each with what it is replaced by.
        broken: Those that may be broken into lines.
    """
    resealing = Resealing(found, broken)
    if not resealing.is_needed:
        return response
    return HttpResponse(
        response.status,
        resealing.text(response.status_text),
        tuple((resealing.text(n), resealing.text(v)) for n, v in response.headers),
        resealing.text(response.url),
        response.redirected,
        _Resealed(response.body, resealing),
    )


class Resealing:
    """Replaces spellings of secrets in text, piece by piece.

    What is held back at the end of a piece does not depend on the text: whether its last letters
    are the first ones of a secret would be a way to guess it, letter by letter.

    Args:
        spellings: Each with what it is replaced by.
        broken: Those that may be broken into lines, with the same.
    """

    def __init__(
        self,
        spellings: Iterable[tuple[bytes, bytes]],
        broken: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self._seals: dict[bytes, bytes] = {}
        # Longest first: a value that holds another one goes whole.
        for spelling, seal in sorted(spellings, key=lambda pair: -len(pair[0])):
            self._seals.setdefault(spelling, seal)
        self._seals.pop(b"", None)
        self._broken = dict(broken)
        longest = max(map(len, (*self._seals, *self._broken)), default=0)
        self._held = max(longest * (2 if self._broken else 1) - 1, 0)
        self._kept = b""

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to replace."""
        return bool(self._seals or self._broken)

    def text(self, text: str) -> str:
        """Give a header or an address with its secrets sealed."""
        if not self.is_needed:
            return text
        # Bytes of headers arrive as Latin-1, whatever they mean.
        for coding in ("latin-1", "utf-8"):
            try:
                text = self._replaced(text.encode(coding)).decode(coding)
            except UnicodeEncodeError:
                continue
        return text

    def feed(self, piece: bytes) -> bytes:
        """Give what is sure by now; as much as a secret may have is held back."""
        content = self._kept + piece
        done, end = self._until(content, max(len(content) - self._held, 0))
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
        found_broken = self._broken_in(content)
        found_whole = {s: seal for s, seal in self._seals.items() if s in content}
        if not found_broken and not found_whole:
            return content[:border], border
        seals = {**found_whole, **found_broken}
        each = (wrapped(s) if s in found_broken else re.escape(s) for s in seals)
        pattern = re.compile(b"|".join(b"(" + one + b")" for one in each))
        replacements = list(seals.values())
        parts: list[bytes] = []
        end = 0
        for found in pattern.finditer(content):
            if found.start() >= border:
                break
            parts += (content[end : found.start()], replacements[(found.lastindex or 1) - 1])
            end = found.end()
        border = max(border, end)
        return b"".join((*parts, content[end:border])), border

    def _broken_in(self, content: bytes) -> dict[bytes, bytes]:
        """Give what the content holds only if its line breaks are left out."""
        if not self._broken:
            return {}
        joined = without_breaks(content)
        if len(joined) == len(content):
            return {}
        return {
            core: seal
            for core, seal in self._broken.items()
            if core in joined and joined.count(core) > content.count(core)
        }


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
