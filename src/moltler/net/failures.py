"""What went wrong with a request, in the codes of the handler contract (LANGUAGE §7.3)."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from moltler.flow.http import FetchFailure
from moltler.net.call import Call, failure
from moltler.net.policy import Refused
from moltler.secret import Secret

MAX_HEAD_LINE = 1 << 20


def explain(
    call: Call, error: BaseException, secrets: Iterable[Secret], connect_timeout_s: float
) -> FetchFailure:
    """Give the failure that an exception of the client means."""
    fail = partial(failure, call, secrets)
    causes = list(_causes(error))
    if refusal := next((c for c in causes if isinstance(c, Refused)), None):
        return fail("EGRESS_BLOCKED", str(refusal), hint=refusal.hint)
    if any(isinstance(c, TimeoutError) for c in causes) or _has_errno(causes, errno.ETIMEDOUT):
        limit = connect_timeout_s
        return fail("ETIMEDOUT", f"no connection to the host within {limit:g} seconds")
    if tls := next(
        (c for c in causes if isinstance(c, (ssl.SSLError, ssl.CertificateError))), None
    ):
        return fail(
            "TLS", f"no secure connection: {_tls_reason(tls)}",
            hint="for a private certificate authority set MOLTLER_CA_FILE",
        )  # fmt: skip
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return fail(
            "ENOTFOUND", f"the host `{call.address.host}` has no address",
            hint="check the spelling of the address, and the network",
        )  # fmt: skip
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return fail("ECONNREFUSED", f"the proxy refuses the connection with status {error.status}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return _unconnected(call, error, fail)
    if any(isinstance(c, LineTooLong) for c in causes):
        return fail("TOO_LARGE", f"a line of the response's head exceeds {MAX_HEAD_LINE:,} bytes")
    if isinstance(error, aiohttp.ClientResponseError):
        return fail("ECONNRESET", "the answer is not HTTP")
    return fail("ECONNRESET", "the connection broke before the API answered")


def _unconnected(
    call: Call, error: aiohttp.ClientConnectorError, fail: Callable[..., FetchFailure]
) -> FetchFailure:
    is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
    whom = "the proxy" if is_proxy else f"`{call.address.authority}`"
    if isinstance(error.os_error, (ConnectionResetError, ConnectionAbortedError)):
        return fail("ECONNRESET", f"{whom} broke the connection")
    if error.os_error.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return fail("ECONNREFUSED", f"{whom} cannot be reached from here")
    return fail(
        "ECONNREFUSED", f"{whom} refuses the connection",
        hint="check host and port, and whether the service is running",
    )  # fmt: skip


def _tls_reason(error: Exception) -> str:
    reason = getattr(error, "verify_message", None) or getattr(error, "reason", None)
    return str(reason or error).rstrip(".")[:200]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _has_errno(causes: list[BaseException], number: int) -> bool:
    return any(isinstance(c, OSError) and c.errno == number for c in causes)
