"""The shape of ALLOWED_HOSTS; what a pattern matches is `net.policy`'s."""

from __future__ import annotations

import ipaddress
import re

_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_FORBIDDEN = re.compile(r"[\x00-\x20#%/:<>?@\[\\\]^|\x7f]")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


def check_host_pattern(text: str) -> tuple[str, str] | None:
    """Tell what is wrong with a pattern and what to do, or ``None`` if it has the right shape.

    >>> check_host_pattern("*.zendesk.com"), check_host_pattern("api.example.com:8443")
    (None, None)
    >>> check_host_pattern("*")
    ('would allow every host', 'name the hosts, such as `*.example.com`')
    """
    if text.strip("*. ") == "":
        return "would allow every host", "name the hosts, such as `*.example.com`"
    if "://" in text:
        rest = text.partition("://")[2].partition("/")[0]
        return "is a URL, not a host", f"write `{rest}`" if rest else "write the host alone"
    if "/" in text:
        return "has a path", f"write `{text.partition('/')[0]}`"
    any_label = text.startswith("*.")
    found = _AUTHORITY.fullmatch(text.removeprefix("*."))
    if found is None:
        return "is not a host, or a host and a port", "write `host` or `host:port`"
    host, port = found[1], found[2]
    if port is not None and not 1 <= int(port) <= 65535:
        return f"has the port {port}", "a port is a number from 1 to 65535"
    if "*" in host:
        return (
            "has a `*` that is not its first label",
            "write `*` only at the start: `*.example.com`",
        )
    is_address = host.startswith("[") or _NUMERIC_LABEL.fullmatch(host.rsplit(".", 1)[-1])
    if is_address and any_label:
        return "puts `*` before an address", "name the address alone"
    if is_address:
        return None if _is_address(host) else ("is not an address", "write it like 192.0.2.1")
    labels = host.removesuffix(".").split(".")
    if _FORBIDDEN.search(host) or "" in labels or not _has_ascii_form(host):
        return "is not a host", "write a host such as `api.example.com`"
    return None


def _has_ascii_form(host: str) -> bool:
    try:
        host.encode("idna")
    except UnicodeError:
        return host.isascii()
    return True


def _is_address(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return isinstance(address, ipaddress.IPv6Address) is host.startswith("[")
