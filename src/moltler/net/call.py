"""One request of a chain of redirects, and the ways secrets travel in it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import FetchCode, FetchFailure
from moltler.net.address import WebAddress
from moltler.net.policy import HostPolicy
from moltler.secret import Secret, redact

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FORBIDDEN_METHODS = frozenset({"CONNECT", "TRACE", "TRACK"})
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
OF_THE_BODY = frozenset(
    {"content-encoding", "content-language", "content-location", "content-type", "content-length"}
)
OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te",
     "trailer", "transfer-encoding", "upgrade"}
)  # fmt: skip
# What fetch forbids to set: a handler must not speak to another virtual host or split requests.

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a chain of redirects."""

    method: str
    address: WebAddress
    headers: Headers
    body: bytes | None

    @property
    def is_write(self) -> bool:
        """Whether the request may change something: any method but GET and HEAD."""
        return self.method not in {"GET", "HEAD"}

    @property
    def shown(self) -> str:
        """Method, host and path; the query may hold secrets."""
        return f"{self.method} {self.address.authority}{self.address.path}"


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
    return FetchFailure(code, f"{redact(call.shown, known)}: {redact(what, known)}", hint=hint)


def unseal(call: Call, target: ResolvedConnector, policy: HostPolicy) -> Call:
    """Give the call with its sealed secrets opened, for an address that was judged already.

    This is the one place where secrets enter a request. Today handlers hold plain values, so
    nothing is replaced and only the rule about the way they travel is applied; when handlers get
    sealed texts (LANGUAGE §5.4) they are opened here, with the escaping of their place.

    Raises:
        FetchFailure: A secret would travel unencrypted (SECRET_OVER_HTTP).
    """
    if policy.allows_secret(call.address) or not _carries_secret(call, target):
        return call
    shown = redact(call.shown, target.secrets)
    raise FetchFailure(
        "SECRET_OVER_HTTP",
        f"{shown}: a secret may not travel over plain http to `{call.address.authority}`",
        hint="use https, or name the host with http:// in the instance's CONFIG",
    )


def _carries_secret(call: Call, target: ResolvedConnector) -> bool:
    body = (call.body or b"").decode("utf-8", "replace")
    texts = [call.address.target, call.address.credentials or "", body]
    return any(_holds_secret(t, target) for t in (*texts, *(v for _, v in call.headers)))


def _holds_secret(text: str, target: ResolvedConnector) -> bool:
    return redact(text, target.secrets) != text


def without_secrets(call: Call, target: ResolvedConnector) -> Call:
    """Give the call without credentials, for a hop to another scheme, host or port."""
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
    if not call.address.credentials or any(n.lower() == "authorization" for n, _ in call.headers):
        return call
    encoded = base64.b64encode(call.address.credentials.encode()).decode()
    return replace(call, headers=(*call.headers, ("Authorization", f"Basic {encoded}")))
