"""Seals in requests opened, each with the escaping of its place (LANGUAGE §5.4)."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import quote, quote_plus

from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import HttpRequest
from moltler.net.address import BadAddress, WebAddress, canonical_host, parse_address
from moltler.net.call import NOT_IN_HEADERS, Call, Headers, carries_secret, failure
from moltler.net.policy import HostPolicy
from moltler.vault.seal import Escape, SealBook, SealTooLarge

_UNLIMITED = 1 << 40
_LARGE = 1 << 20


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
            return replace(address, host=canonical_host(opened))
        except (SealTooLarge, BadAddress):
            # What is wrong with it would show the secret.
            raise BadAddress("with the secret in it its host is none") from None

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
            if value != written and NOT_IN_HEADERS.search(value):
                raise failure(
                    call,
                    self._target.secrets,
                    "EGRESS_BLOCKED",
                    f"the secret for the header `{name[:80]}` holds a line break or another"
                    " character that headers may not have",
                    hint="set the secret anew, without it",
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
    start, end = body.lstrip()[:1], body.rstrip()[-1:]
    if (start, end) not in {(b"{", b"}"), (b"[", b"]"), (b'"', b'"')}:
        return False
    if len(body) > _LARGE:
        return True  # reading it all would hold up the loop
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
