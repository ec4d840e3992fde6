"""How fast and how many requests of one instance may leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager


class TokenBucket:
    """A rate with bursts, first come, first served; one loop only.

    Args:
        rate_per_s: Tokens that grow back in a second.
        burst: Tokens of a full bucket.
        time: Seconds that never go back, in the unit of `sleep`.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        rate_per_s: float,
        burst: int,
        *,
        time: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        if rate_per_s <= 0:
            raise ValueError("the rate must be above 0")
        self._interval = 1 / rate_per_s
        self._slack = (max(burst, 1) - 1) * self._interval
        self._time = time
        self._sleep = sleep
        self._next = float("-inf")
        """When the next token is due if the bucket had no slack (virtual scheduling)."""

    async def take(self) -> None:
        """Wait for a token; turns are handed out at once, so nobody is overtaken."""
        now = asyncio.get_running_loop().time() if self._time is None else self._time()
        turn = max(self._next, now - self._slack)
        self._next = turn + self._interval
        if (wait := turn - now) > 0:
            try:
                await (asyncio.sleep(wait) if self._sleep is None else self._sleep(wait))
            except asyncio.CancelledError:
                if self._next == turn + self._interval:
                    self._next = turn  # nobody came after it, so the turn is free again
                raise


class WaitClock:
    """Counts the time during which at least one request waits for its turn.

    Time limits do not count it (LANGUAGE §7.7): whoever holds a deadline moves it by the growth.
    """

    def __init__(self) -> None:
        self._waiting = 0
        self._since = 0.0
        self._total = 0.0

    def read(self) -> float:
        """Give the seconds so far, with a wait that is still going on."""
        running = asyncio.get_running_loop().time() - self._since if self._waiting else 0.0
        return self._total + running

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Count the time inside."""
        if not self._waiting:
            self._since = asyncio.get_running_loop().time()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._total += asyncio.get_running_loop().time() - self._since
