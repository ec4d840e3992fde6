"""A resolver that refuses addresses as it hands them over, so the approved one is connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Sequence

from aiohttp.abc import AbstractResolver, ResolveResult

from moltler.net.policy import HostPolicy
from moltler.net.settings import Lookup


class PolicyResolver(AbstractResolver):
    """Looks names up in threads and judges every address found.

    Args:
        policy: Judges the addresses.
        unjudged: Hosts the operator chose, which is the proxy.
        lookup: In place of the operating system's.
        timeout_s: For one lookup.
    """

    def __init__(
        self,
        policy: HostPolicy,
        *,
        unjudged: frozenset[str] = frozenset(),
        lookup: Lookup | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._policy = policy
        self._unjudged = unjudged
        self._lookup = lookup or system_lookup
        self._timeout_s = timeout_s

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the addresses of a host, all of them judged.

        Raises:
            OSError: The host has no address, or the lookup took too long.
            Refused: One of its addresses is not allowed; a mixed answer is an attack or a fault.
        """
        found: list[ResolveResult] = []
        for text in await self._look_up(host, port):
            ip = ipaddress.ip_address(text.partition("%")[0])
            if host not in self._unjudged:
                self._policy.judge_ip(host, ip, port or None)
            kind = socket.AF_INET if ip.version == 4 else socket.AF_INET6
            if family in {socket.AF_UNSPEC, kind}:
                found.append(
                    ResolveResult(
                        hostname=host,
                        host=text,
                        port=port,
                        family=kind,
                        proto=socket.IPPROTO_TCP,
                        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                    )
                )
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        return found

    async def close(self) -> None:
        """Do nothing; lookups that are under way end by themselves."""

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[str]] = loop.create_future()

        def settle(addresses: Sequence[str], error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(addresses)
            else:
                future.set_exception(error)

        def work() -> None:
            addresses: Sequence[str] = ()
            failure: Exception | None = None
            try:
                addresses = self._lookup(host, port)
            except Exception as error:  # noqa: BLE001 - carried to the waiting task
                failure = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, addresses, failure)

        # A daemon thread and not a pool: a pool is joined at exit, and a lookup may hang for
        # half a minute. The cap on requests in flight bounds the threads.
        threading.Thread(target=work, name="moltler-resolve", daemon=True).start()
        async with asyncio.timeout(self._timeout_s):
            return await future


def system_lookup(host: str, port: int) -> Sequence[str]:
    """Ask the operating system for the addresses of a host, in its order of preference.

    Raises:
        OSError: There are none.
    """
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))
