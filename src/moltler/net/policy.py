"""Which hosts and addresses an instance may reach (LANGUAGE §5.5)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from moltler.errors import near_match
from moltler.flow.connector import ResolvedConnector
from moltler.net.address import (
    DEFAULT_PORTS,
    BadAddress,
    WebAddress,
    parse_address,
    split_authority,
)
from moltler.schema import JsonValue

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # most clouds
        "169.254.170.2",  # ECS tasks
        "169.254.170.23",  # EKS pod identity
        "169.254.0.23",  # Tencent
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "168.63.129.16",  # Azure's wire server
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google, IPv6
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


class Refused(Exception):  # noqa: N818 - becomes a FetchFailure with EGRESS_BLOCKED
    """The policy says no; the message is a sentence, the hint one action."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class HostPattern:
    """One entry of ALLOWED_HOSTS."""

    host: str
    """Canonical, without the leading ``*.``."""
    any_label: bool
    """One or more labels must stand before `host`."""
    ports: frozenset[int]

    def matches(self, address: WebAddress) -> bool:
        """Tell whether the pattern allows that host on that port."""
        if address.port not in self.ports:
            return False
        if self.any_label:
            return address.host.endswith("." + self.host)
        return address.host == self.host


@dataclass(frozen=True, slots=True)
class NamedHost:
    """A host that the config of an instance names by an address."""

    host: str
    port: int
    scheme: str
    is_own: bool
    """The instance names it itself; a default of the type may not open private networks."""


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """What one instance may reach."""

    instance: str
    named: tuple[NamedHost, ...] = ()
    patterns: tuple[HostPattern, ...] = ()
    allows_mock: bool = False
    """A MOCK_API answers, so ``mock://`` is an address like any other."""

    def judge(self, address: WebAddress) -> None:
        """Let an address pass by its text, before anything is looked up.

        Raises:
            Refused: The scheme, the host or its literal IP address is not allowed.
        """
        if address.scheme == "mock" and self.allows_mock:
            return
        if address.scheme == "mock":
            raise Refused(
                "`mock://` works only in tests with MOCK_API",
                hint="put a real address into the instance's CONFIG, or query it in a TEST",
            )
        if address.scheme not in DEFAULT_PORTS:
            raise Refused(f"the scheme `{address.scheme}` is refused; allowed: http, https")
        if not self._is_listed(address):
            raise self._unlisted(address)
        if (literal := _literal(address.host)) is not None:
            self.judge_ip(address.host, literal, address.port)

    def judge_ip(self, host: str, ip: IPAddress, port: int | None = None) -> None:
        """Let an IP address pass that a host was found to have, or is.

        Raises:
            Refused: It is private and not named by the instance, or a metadata service.
        """
        real = _unwrapped(ip)
        if real in METADATA_ADDRESSES:
            literals = {_literal(n.host) for n in self.named if n.is_own}
            if _literal(host) is None or not {ip, real} & literals:
                raise Refused(
                    f"`{host}` is the cloud metadata service {real}, "
                    "which only a CONFIG that names this very address may reach"
                )
        elif _is_inner(real) and not any(n.host == host and n.is_own for n in self.named):
            shown = f"`{host}`" if str(ip) == host else f"`{host}` has the address {ip}, which"
            place = f"[{host}]" if ":" in host else host
            url = f"http://{place}" if port in {None, 80} else f"http://{place}:{port}"
            raise Refused(
                f"{shown} is a private or local address, "
                "and the instance's CONFIG does not name that host",
                hint=f'if it is meant, name it: CONFIG {{"api_url": "{url}"}}',
            )

    def allows_secret(self, address: WebAddress) -> bool:
        """Tell whether a secret may travel to an address that was judged already."""
        if address.scheme in {"https", "mock"} or is_loopback(address.host):
            return True
        return any(n.host == address.host and n.scheme == "http" for n in self.named)

    def _is_listed(self, address: WebAddress) -> bool:
        if any(n.host == address.host and address.port in {n.port, 443} for n in self.named):
            return True
        return any(pattern.matches(address) for pattern in self.patterns)

    def _unlisted(self, address: WebAddress) -> Refused:
        default = address.port in DEFAULT_PORTS.values()
        host = f"[{address.host}]" if ":" in address.host else address.host
        clause = f"ALLOWED_HOSTS ['{host if default else f'{host}:{address.port}'}']"
        known = tuple(dict.fromkeys(n.host for n in self.named))
        close = near_match(address.host, known)
        named = dict.fromkeys(_shown_host(n) for n in self.named)
        allowed = ", ".join([*named, *(_shown(p) for p in self.patterns)][:12]) or "none"
        return Refused(
            f"connector `{self.instance}` may not reach `{host}` on port {address.port} "
            f"(allowed hosts: {allowed}); the type would need {clause}",
            hint=f"did you mean `{close}`?" if close and close != address.host
            else f"add {clause} to the connector type",
        )  # fmt: skip


def policy_of(target: ResolvedConnector) -> HostPolicy:
    """Give the policy of an instance: its URL-valued config and its type's ALLOWED_HOSTS."""
    own = {key.lower() for key in (*target.connector.config, *target.connector.env)}
    named: dict[NamedHost, None] = {}
    for key, value in target.config.items():
        for text in _texts(value):
            if address := _web_address(text):
                is_own = key.lower() in own
                named[NamedHost(address.host, address.port, address.scheme, is_own)] = None
    patterns = (host_pattern(text) for text in target.type.allowed_hosts)
    return HostPolicy(target.name, tuple(named), tuple(p for p in patterns if p))


def host_pattern(text: str) -> HostPattern | None:
    """Read an entry of ALLOWED_HOSTS; ``None`` for what may not stand there, such as ``*``.

    >>> host_pattern("*.Zendesk.com:8443")
    HostPattern(host='zendesk.com', any_label=True, ports=frozenset({8443}))
    """
    any_label = text.startswith("*.")
    try:
        host, port = split_authority(text.removeprefix("*."))
    except BadAddress:
        return None
    if "*" in host or (any_label and _literal(host) is not None):
        return None
    return HostPattern(host, any_label, frozenset({443, 80} if port is None else {port}))


def _shown_host(named: NamedHost) -> str:
    return named.host if named.port in DEFAULT_PORTS.values() else f"{named.host}:{named.port}"


def _shown(pattern: HostPattern) -> str:
    host = f"*.{pattern.host}" if pattern.any_label else pattern.host
    ports = sorted(pattern.ports - set(DEFAULT_PORTS.values()))
    return f"{host}:{ports[0]}" if ports else host


def _texts(value: JsonValue) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for item in value.values():
                yield from _texts(item)
        case _:
            return


def _web_address(text: str) -> WebAddress | None:
    if not text.lstrip()[:5].lower().startswith("http"):
        return None
    try:
        address = parse_address(text)
    except BadAddress:
        return None
    return address if address.scheme in DEFAULT_PORTS else None


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Tell whether a canonical host is this machine by its text alone."""
    literal = _literal(host)
    if literal is not None:
        return _unwrapped(literal).is_loopback
    return host == "localhost"


def _unwrapped(ip: IPAddress) -> IPAddress:
    """Give the IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip.ipv4_mapped or ip.sixtofour:
        return ip.ipv4_mapped or ip.sixtofour or ip
    compatible = ip in _COMPATIBLE and int(ip) > 0xFFFF
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 or compatible else ip


def _is_inner(ip: IPAddress) -> bool:
    # Teredo, documentation and benchmark ranges are not global either, so they go as well.
    return not ip.is_global or ip.is_multicast or ip.is_reserved
