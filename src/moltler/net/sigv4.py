"""AWS Signature Version 4 in the Authorization header.

Source: "Create a signed AWS API request" in the AWS Identity and Access Management User Guide.
Checked against examples that AWS has published: the Signature Version 4 test suite
(``aws-sig-v4-test-suite``: get-vanilla, get-vanilla-query-order-key-case,
get-vanilla-query-unreserved, post-vanilla, post-x-www-form-urlencoded), the IAM ListUsers example
of that guide, and the "GET object" example of the Amazon S3 API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from moltler.net.address import WebAddress
from moltler.net.call import Call, Headers

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"
_UNSIGNED = frozenset(
    {"authorization", "user-agent", "x-amzn-trace-id", "expect", "transfer-encoding",
     "accept-encoding", "connection"}
)  # fmt: skip
# What proxies and clients change on the way.


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Who signs, and for which service."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str
    service: str
    session_token: str | None = field(default=None, repr=False)


def sign(call: Call, keys: AwsKeys, now: datetime) -> Call:
    """Give a call, as it leaves, with its signature and the headers that belong to it."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(call.body or b"").hexdigest()
    added = [("X-Amz-Date", stamp)]
    if keys.service == "s3":
        added.append(("X-Amz-Content-Sha256", digest))
    if keys.session_token:
        added.append(("X-Amz-Security-Token", keys.session_token))
    names = {name.lower() for name, _ in added}
    headers = (*(h for h in call.headers if h[0].lower() not in names), *added)
    scope = f"{stamp[:8]}/{keys.region}/{keys.service}/aws4_request"
    canonical, signed = _canonical_request(call, headers, digest, keys.service)
    hashed = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    text = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashed}"
    signature = hmac.new(_key(keys, stamp[:8]), text.encode(), "sha256").hexdigest()
    value = (
        f"{_ALGORITHM} Credential={keys.access_key}/{scope}, "
        f"SignedHeaders={signed}, Signature={signature}"
    )
    return replace(call, headers=(*headers, ("Authorization", value)))


def _canonical_request(call: Call, headers: Headers, digest: str, service: str) -> tuple[str, str]:
    found: dict[str, list[str]] = {"host": [call.address.authority]}
    for name, value in headers:
        if name.lower() not in _UNSIGNED:
            found.setdefault(name.lower(), []).append(re.sub(" +", " ", value.strip()))
    ordered = sorted(found.items())
    signed = ";".join(name for name, _ in ordered)
    lines = "".join(f"{name}:{','.join(values)}\n" for name, values in ordered)
    path = _canonical_path(call.address, service)
    query = _canonical_query(call.address.query)
    return f"{call.method}\n{path}\n{query}\n{lines}\n{signed}\n{digest}", signed


def _canonical_path(address: WebAddress, service: str) -> str:
    if service == "s3":
        return quote(unquote_to_bytes(address.path), safe="/" + _UNRESERVED)
    # Every other service has the path as it is sent encoded once more.
    return quote(re.sub("/+", "/", address.path), safe="/" + _UNRESERVED)


def _canonical_query(query: str | None) -> str:
    pairs = [part.partition("=") for part in (query or "").split("&") if part]
    encoded = [
        tuple(
            quote(unquote_to_bytes(text.replace("+", " ")), safe=_UNRESERVED)
            for text in (name, value)
        )
        for name, _, value in pairs
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


def _key(keys: AwsKeys, day: str) -> bytes:
    key = f"AWS4{keys.secret_key}".encode("utf-8", "surrogatepass")
    for part in (day, keys.region, keys.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
