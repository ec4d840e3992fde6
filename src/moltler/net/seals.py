"""Seals in requests opened, and secrets in answers sealed again (LANGUAGE §5.4)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from urllib.parse import quote, quote_plus

from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchFailure, HttpRequest, HttpResponse
from moltler.net.address import BadAddress, WebAddress, canonical_host, parse_address
from moltler.net.call import Call, Headers, carries_secret, failure
from moltler.net.policy import HostPolicy
from moltler.ports import Transport, Waits
from moltler.vault.seal import Escape, SealBook, SealTooLarge, derived

_SHORTEST_RESEALED = 8
"""Characters; shorter values would be found in innocent text."""
_SHORTEST_IN_ADDRESS = 4
_LINE_BREAK = re.compile("[\r\n\0]")
_UNLIMITED = 1 << 40


class Unsealing:
    """Opens the seals of one instance's requests.

    Args:
        target: The instance.
        policy: Where its secrets may go.
        limit: The most bytes that an opened address, header or body may have.
    """

    def __init__(self, target: ResolvedConnector, policy: HostPolicy, *, limit: int) -> None:
        self._target = target
        self._policy = policy
        self._limit = limit
        self._book = SealBook(target.secrets)

    def address_text(self, url: str) -> str:
        """Give the text of an address with the seal opened that it begins with, if it does."""
        split = self._book.leading(url)
        return url if split is None else split[0] + split[1]

    def host_opened(self, address: WebAddress) -> WebAddress:
        """Give an address with the seals in its host opened, so that it can be judged.

        Raises:
            BadAddress: It is no host then.
        """
        host = address.host.encode("utf-8", "surrogatepass")
        if not self._book.holds(host):
            return address
        try:
            opened = self._book.open(host, limit=self._limit).decode("utf-8", "replace")
        except SealTooLarge as error:
            raise BadAddress("its host is too long") from error
        return replace(address, host=canonical_host(opened))

    def unseal(self, call: Call, *, opens_address: bool = True, is_secret: bool = False) -> Call:
        """Give a call with its seals opened, for a host that was judged already.

        This is the one place where secrets enter a request that a handler wrote.

        Args:
            call: With seals.
            opens_address: Whether the handler wrote the address.
            is_secret: The call holds secrets even if none is found in it.

        Raises:
            FetchFailure: A secret would travel unencrypted (SECRET_OVER_HTTP), would not fit
                (TOO_LARGE), or would break a header.
        """
        if not self._policy.allows_secret(call.address) and (
            is_secret or carries_secret(call, self._target)
        ):
            raise failure(
                call,
                self._target.secrets,
                "SECRET_OVER_HTTP",
                f"a secret may not travel over plain http to `{call.address.authority}`",
                hint="use https, or name the host with http:// in the instance's CONFIG",
            )
        try:
            opened = open_call(call, self._book, self._limit, opens_address=opens_address)
        except SealTooLarge as error:
            raise failure(
                call,
                self._target.secrets,
                "TOO_LARGE",
                f"with its secrets the request has more than {self._limit:,} bytes",
            ) from error
        if opened is call:
            return call
        for (name, value), (_, written) in zip(opened.headers, call.headers, strict=True):
            if value != written and _LINE_BREAK.search(value):
                raise failure(
                    call,
                    self._target.secrets,
                    "EGRESS_BLOCKED",
                    f"the secret for the header `{name[:80]}` holds a line break",
                    hint="set the secret anew, without the line break",
                )
        return replace(opened, sealed=call.written)


def open_call(call: Call, book: SealBook, limit: int, *, opens_address: bool = True) -> Call:
    """Give a call with its seals opened, each with the escaping of its place.

    Raises:
        SealTooLarge: A part of it would be larger than the limit.
    """
    address = _open_address(call.address, book, limit) if opens_address else call.address
    headers = tuple((n, _open_text(v, book, None, limit)) for n, v in call.headers)
    body = call.body
    if body is not None and book.holds(body):
        body = book.open(body, _escape_of(call.headers, body), limit=limit)
    if address is call.address and headers == call.headers and body is call.body:
        return call
    return replace(call, address=address, headers=headers, body=body)


def opened_request(request: HttpRequest, target: ResolvedConnector) -> HttpRequest:
    """Give a request with its seals opened, for a record from which secrets are taken out.

    Raises:
        BadAddress: Its address is none.
    """
    book = SealBook(target.secrets)
    split = book.leading(request.url)
    written = parse_address(request.url if split is None else split[0] + split[1])
    call = open_call(Call(request.method, written, request.headers, request.body), book, _UNLIMITED)
    return replace(request, url=str(call.address), headers=call.headers, body=call.body)


def _open_address(address: WebAddress, book: SealBook, limit: int) -> WebAddress:
    path = _open_text(address.path, book, _for_url, limit)
    query = address.query and _open_text(address.query, book, _for_url, limit)
    host = address.host
    opened_host = _open_text(host, book, None, limit)
    login = address.credentials and _open_text(address.credentials, book, None, limit)
    if (path, query, login, opened_host) == (
        address.path,
        address.query,
        address.credentials,
        host,
    ):
        return address
    return replace(address, path=path, query=query, credentials=login, host=opened_host)


def _open_text(text: str, book: SealBook, escape: Escape | None, limit: int) -> str:
    content = text.encode("utf-8", "surrogatepass")
    opened = book.open(content, escape, limit=limit)
    return text if opened is content else opened.decode("utf-8", "surrogatepass")


def _for_url(value: bytes) -> bytes:
    return quote(value, safe="").encode()


def _for_form(value: bytes) -> bytes:
    return quote_plus(value).encode()


def _for_json(value: bytes) -> bytes:
    text = value.decode("utf-8", "surrogatepass")
    return json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")


def _escape_of(headers: Headers, body: bytes) -> Escape | None:
    """Tell how a value is written in a body: by its type, or by what it looks like."""
    kind = next((v for n, v in headers if n.lower() == "content-type"), "")
    kind = kind.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return _for_form
    if kind == "application/json" or kind.endswith("+json") or _is_json(body):
        return _for_json
    return None


def _is_json(body: bytes) -> bool:
    # Many handlers send JSON as text; only a text that is JSON as a whole counts.
    if body.lstrip()[:1] not in {b"{", b"[", b'"'}:
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


# ── answers ──────────────────────────────────────────────────────────────────────────────────


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
            for seal, opened in self.book.derived_in(text, limit=_UNLIMITED):
                for spelling in (opened, _for_url(opened), opened.rstrip(b"=")):
                    yield spelling, seal

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
