"""One request of a chain of redirects, and the ways secrets travel in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import unquote

from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchCode, FetchFailure
from moltler.net.address import DEFAULT_PORTS, WebAddress
from moltler.secret import Secret, redact
from moltler.vault.seal import derived

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
NOT_IN_HEADERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""What no value of a header may hold (RFC 9110 §5.5); a line break would begin another header."""
FORBIDDEN_METHODS = frozenset({"CONNECT", "TRACE", "TRACK"})
HIDDEN = "[secret address]"
_SHORTEST_IN_ADDRESS = 4
"""Characters of a secret that is looked for in addresses."""
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
OF_THE_BODY = frozenset(
    {"content-encoding", "content-language", "content-location", "content-type", "content-length"}
)
OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te",
     "trailer", "transfer-encoding", "upgrade"}
)  # fmt: skip
# What fetch forbids to set: a handler must not speak to another virtual host or split requests.
OF_THE_ANSWER = frozenset({"accept-charset", "accept-encoding"})
"""Headers that choose how an answer is written, which is ours: secrets must be found in it."""
OF_PARTS = frozenset({"if-range", "range"})
"""Headers that ask for a part of an answer, which may begin or end inside of a secret. Servers may
always send all of it instead (RFC 9110 §14.2)."""

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a chain of redirects."""

    method: str
    address: WebAddress
    headers: Headers
    body: bytes | None
    sealed: Call | None = None
    """The call as the handler wrote it, if it is not that itself."""
    hides_address: bool = False
    """The address as a whole is, or began as, a secret: no part of it may be shown."""

    @property
    def written(self) -> Call:
        """The call as the handler wrote it: with seals, without what AUTH adds."""
        return self.sealed or self

    @property
    def is_write(self) -> bool:
        """Whether the request may change something: any method but GET and HEAD."""
        return self.method not in {"GET", "HEAD"}

    @property
    def shown(self) -> str:
        """Method, host and path; the query may hold secrets."""
        address = self.written.address
        where = HIDDEN if self.hides_address else f"{address.authority}{address.path}"
        return f"{self.method} {where}"


def failure(
    call: Call,
    secrets: Iterable[Secret],
    code: FetchCode,
    what: str,
    *,
    hint: str | None = None,
) -> FetchFailure:
    """Give a failure that names the request and no secret."""
    known = tuple(secrets)

    def clean(text: str) -> str:
        host, written = call.address.host, call.written.address.host
        # A short secret in a host would not be masked, nor one that an API put there in capitals.
        if call.hides_address:
            scheme = call.address.scheme
            parts = (host, call.address.path, scheme if scheme not in DEFAULT_PORTS else "")
            for part in sorted(filter(None, parts), key=len, reverse=True):
                text = text.replace(part, HIDDEN) if part != "/" else text
        text = text if host == written else text.replace(host, written)
        if hidden := secret_in(written, known):
            text = text.replace(written, f"[secret {hidden.name}]")
        return redact(text, known)

    return FetchFailure(
        code,
        f"{clean(call.shown)}: {clean(what)}",
        hint=None if hint is None else clean(hint),
        host=shown_host(call, known),
    )


def shown_host(call: Call, secrets: Iterable[Secret]) -> str:
    """Give the host of a call, with its port, as everybody may see it."""
    if call.hides_address:
        return HIDDEN
    known, address = tuple(secrets), call.written.address
    if hidden := secret_in(address.authority, known):
        return f"[secret {hidden.name}]"
    return redact(address.authority, known)


def secret_in(address: str, secrets: Iterable[Secret]) -> Secret | None:
    """Give a secret that an address, or a part of one, holds in whatever letters."""
    folded = unquote(unquote(address)).lower()
    for secret in secrets:
        value = secret.reveal().lower()
        if len(value) >= _SHORTEST_IN_ADDRESS and value in folded:
            return secret
    return None


def carries_secret(call: Call, target: ResolvedConnector) -> bool:
    """Tell whether a call holds a seal, or the value of a secret of 6 characters or more."""
    body = (call.body or b"").decode("utf-8", "replace")
    texts = [call.address.target, call.address.credentials or "", call.written.address.host, body]
    return any(_holds_secret(t, target) for t in (*texts, *(v for _, v in call.headers)))


def _holds_secret(text: str, target: ResolvedConnector) -> bool:
    return redact(text, target.secrets) != text


def without_secrets(call: Call, target: ResolvedConnector) -> Call:
    """Give the call without credentials, for a hop to another scheme, host or port.

    Args:
        call: As the handler wrote it, so that its seals tell what to drop.
        target: The instance.
    """
    kept = [
        (name, value)
        for name, value in call.headers
        if name.lower() not in _CREDENTIALS and not _holds_secret(value, target)
    ]
    body = call.body
    if body is not None and _holds_secret(body.decode("utf-8", "replace"), target):
        body = None
    return replace(call, headers=tuple(kept), body=body)


def with_basic(call: Call) -> Call:
    """Give the call with the credentials of its address as a header, as fetch sends them."""
    credentials = call.address.credentials
    if not credentials or any(n.lower() == "authorization" for n, _ in call.headers):
        return call
    encoded = derived(credentials.encode("utf-8", "surrogatepass"))
    return replace(call, headers=(*call.headers, ("Authorization", f"Basic {encoded}")))
