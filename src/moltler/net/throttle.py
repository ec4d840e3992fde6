"""When the next request of an instance may leave: its own rate, and what the API asks for.

A request waits first for what the API has asked for, then for its turn. Both are counted per
account, that is per credential and host, and shared by all processes of a home.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from moltler.errors import ErrorContext, MoltlerError, error_class
from moltler.flow.budget import Account, Grant, Pace
from moltler.flow.connector import ResolvedConnector
from moltler.net.address import WebAddress
from moltler.net.allowance import allowance_of
from moltler.net.limits import TokenBucket
from moltler.ports import BudgetStore

Sleep = Callable[[float], Awaitable[None]]
_LOOK_S = 1.0
"""How old what is known about pauses may be: an API that refuses one process may be asked by
another for so long."""
_BLOCK_S = 0.05
"""Turns of so many seconds are reserved at once, so that a fast throttle costs little."""
_LARGEST_BLOCK = 64
_SPREAD, _WIDEST_SPREAD_S = 0.1, 1.0
"""By which part of a pause, and by how much, requests come apart after it."""
_SHORTEST_PAUSE_S = 0.05


class Throttle(Protocol):
    """Lets the requests of one instance go; on one loop."""

    async def admit(self, address: WebAddress) -> None:
        """Wait until a request may leave, and count it as under way until `land`.

        Raises:
            MoltlerError: API003, the API wants none for longer than one waits.
        """
        ...

    def land(self, address: WebAddress) -> None:
        """Note that the response of a request has arrived, or never will."""
        ...

    async def learn(
        self, address: WebAddress, status: int, headers: Iterable[tuple[str, str]]
    ) -> None:
        """Take notice of what a response says about limits."""
        ...

    async def close(self) -> None:
        """Give back what was reserved and not used."""
        ...


class OwnThrottle:
    """The rate of an instance and nothing else, as a test with its own clock has it.

    Args:
        target: The instance.
        time: Seconds that never go back, in the unit of `sleep`; ``None`` for the loop's.
        sleep: Waits that many seconds; ``None`` for the loop's.
    """

    def __init__(
        self,
        target: ResolvedConnector,
        *,
        time: Callable[[], float] | None = None,
        sleep: Sleep | None = None,
    ) -> None:
        self._pace = pace_of(target)
        self._time = time
        self._sleep = sleep
        self._buckets: dict[str, TokenBucket] = {}

    async def admit(self, address: WebAddress) -> None:
        """Wait for a token."""
        pace = self._pace
        if pace is None:
            return
        bucket = self._buckets.get(address.authority)
        if bucket is None:
            bucket = TokenBucket(pace.per_s, pace.burst, time=self._time, sleep=self._sleep)
            self._buckets[address.authority] = bucket
        await bucket.take()

    def land(self, address: WebAddress) -> None:
        """Count nothing."""

    async def learn(
        self, address: WebAddress, status: int, headers: Iterable[tuple[str, str]]
    ) -> None:
        """Learn nothing: a test says itself what its API answers, and when."""

    async def close(self) -> None:
        """Do nothing."""


class SharedThrottle:
    """The rate of an instance, and what its APIs ask for, shared within a home.

    Args:
        target: The instance.
        store: Keeps count.
        sleep: Waits that many seconds.
        draw: Gives random numbers from 0 to 1.
    """

    def __init__(
        self,
        target: ResolvedConnector,
        store: BudgetStore,
        *,
        sleep: Sleep = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._target = target
        self._store = store
        self._sleep = sleep
        self._draw = draw
        self._lanes: dict[str, _Lane] = {}

    async def admit(self, address: WebAddress) -> None:
        """Wait until a request may leave, and count it as under way.

        Raises:
            MoltlerError: API003, the API wants none for longer than the time limit of a call;
                CAT009, CAT010.
        """
        await self._lane(address).admit(_part_of(address))

    def land(self, address: WebAddress) -> None:
        """Count a request no more."""
        self._lane(address).land()

    async def learn(
        self, address: WebAddress, status: int, headers: Iterable[tuple[str, str]]
    ) -> None:
        """Take notice of what a response says about limits; a pause is written down first."""
        said = allowance_of(status, headers, self._store.now())
        if said is None:
            return
        lane, part = self._lane(address), _part_of(address)
        if said.remaining is not None and said.reset_s is not None:
            lane.note(part, said.remaining, said.reset_s)
            if said.remaining == 0:
                await lane.pause(part, said.reset_s)
        if said.pause_s is not None:
            await lane.pause("", said.pause_s)

    async def close(self) -> None:
        """Give back turns that were reserved and not used."""
        for lane in self._lanes.values():
            await lane.close()

    def _lane(self, address: WebAddress) -> _Lane:
        lane = self._lanes.get(address.authority)
        if lane is None:
            account = Account(self._target.secrets, address.authority)
            lane = _Lane(self._target, account, self._store, self._sleep, self._draw)
            self._lanes[address.authority] = lane
        return lane


@dataclass(slots=True)
class _Window:
    """Requests that a part of the API takes before it counts anew."""

    remaining: int
    ends: float


class _Lane:
    """The requests of one instance to one host."""

    def __init__(
        self,
        target: ResolvedConnector,
        account: Account,
        store: BudgetStore,
        sleep: Sleep,
        draw: Callable[[], float],
    ) -> None:
        self._target = target
        self._account = account
        self._store = store
        self._sleep = sleep
        self._draw = draw
        self._pace = pace_of(target)
        self._flying = 0
        self._turns = asyncio.Lock()
        self._grant: Grant | None = None
        self._granted_at = 0.0
        self._used = 0
        self._pauses: dict[str, float] = {}
        self._windows: dict[str, _Window] = {}
        self._looked_at = float("-inf")
        self._changed = asyncio.Event()

    async def admit(self, part: str) -> None:
        await self._wait_for_the_api(part)
        if self._pace is not None:
            # Whoever waits for a turn keeps the lock, so turns are used in the order of asking.
            async with self._turns:
                await self._next_turn(self._pace)
                # Meanwhile the API may have refused another one.
                await self._wait_for_the_api(part)
        self._flying += 1

    def land(self) -> None:
        self._flying -= 1
        self._changed.set()

    def note(self, part: str, remaining: int, reset_s: float) -> None:
        """Keep the least that the API has said for the present window."""
        now = self._now()
        window = self._windows.get(part)
        ends = now + reset_s
        # Answers arrive in any order, and seconds are rounded: the same window unless it is over.
        if window is not None and window.ends > now and ends < window.ends + _LOOK_S:
            window.remaining = min(window.remaining, remaining)
        else:
            self._windows[part] = _Window(remaining, ends)

    async def pause(self, part: str, seconds: float) -> None:
        """Let nothing go for a while, here and in every process of the home."""
        until = self._now() + seconds
        if seconds < _SHORTEST_PAUSE_S or until <= self._pauses.get(part, 0.0) + _SHORTEST_PAUSE_S:
            return
        self._keep(part, until)
        await asyncio.to_thread(self._store.report, self._account, part, until)
        self._keep(part, until)  # somebody may have looked before it was written

    def _keep(self, part: str, until: float) -> None:
        self._pauses[part] = max(until, self._pauses.get(part, 0.0))

    async def close(self) -> None:
        grant, self._grant = self._grant, None
        if grant is not None and self._used < grant.count:
            start = grant.start + self._used * grant.interval_s
            rest = Grant(start, grant.interval_s, grant.count - self._used)
            if start > self._now():
                await asyncio.to_thread(self._store.give_back, self._account, rest)

    # ── what the API asks for ────────────────────────────────────────────────────────────────

    async def _wait_for_the_api(self, part: str) -> None:
        spread: float | None = None
        is_sure = False
        while True:
            await self._look(again=is_sure)
            until, now = self._paused_until(part), self._now()
            if until > now:
                seconds = until - now
                if seconds > self._target.limits.timeout_s:
                    if is_sure:
                        raise self._refusal(until, seconds)
                    is_sure = True
                    continue
                if spread is None:
                    # Who was held up together comes apart again.
                    spread = min(seconds * _SPREAD, _WIDEST_SPREAD_S) * self._draw()
                # In pieces, for another process may learn that the API is open again.
                await self._sleep(min(seconds + spread, _LOOK_S))
            elif self._is_full(part, now):
                # The API takes as many as are under way; their answers tell what is left.
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._windows[part].ends - now):
                        await self._changed.wait()
            else:
                return

    def _is_full(self, part: str, now: float) -> bool:
        window = self._windows.get(part)
        if window is None:
            return False
        if window.ends <= now:
            del self._windows[part]
            return False
        return self._flying > 0 and window.remaining <= self._flying

    def _paused_until(self, part: str) -> float:
        return max(self._pauses.get("", 0.0), self._pauses.get(part, 0.0)) if self._pauses else 0.0

    async def _look(self, *, again: bool) -> None:
        """Read what other processes have learnt, unless that was done a moment ago.

        Args:
            again: Read it all the same.
        """
        loop_now = asyncio.get_running_loop().time()
        if not again and loop_now - self._looked_at < _LOOK_S:
            return
        self._looked_at = loop_now
        standing = await asyncio.to_thread(self._store.look, self._account)
        self._pauses = dict(standing.pauses)

    def _refusal(self, until: float, seconds: float) -> MoltlerError:
        when = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
        limit = self._target.limits.timeout_s
        return error_class("API003")(
            "API003",
            f"`{self._account.host}` takes no more requests before {when.replace('+00:00', 'Z')},"
            f" which is longer than the {limit:g} seconds that a call waits; nothing was sent",
            hint="try again then; TEST CONNECTOR asks the API at once and forgets the pause",
            retry_after=round(seconds, 3),
        ).within(ErrorContext(connector=self._target.name))

    # ── its own rate ─────────────────────────────────────────────────────────────────────────

    async def _next_turn(self, pace: Pace) -> None:
        grant = self._grant
        if grant is None or self._used >= grant.count or self._is_stale(grant):
            self._grant = None
            grant = await asyncio.to_thread(self._store.take, self._account, pace, _block_of(pace))
            self._grant, self._used, self._granted_at = grant, 0, self._now()
        wait = grant.start + self._used * grant.interval_s - self._now()
        if wait > 0:
            # If it is given up meanwhile, its turn is the next one's.
            await self._sleep(wait)
        self._used += 1

    def _is_stale(self, grant: Grant) -> bool:
        """Tell whether turns lie unused so long that the bucket has filled up again meanwhile."""
        end = grant.start + grant.count * grant.interval_s
        return self._now() > max(end, self._granted_at) + (grant.count + 1) * grant.interval_s

    def _now(self) -> float:
        return self._store.now().timestamp()


def pace_of(target: ResolvedConnector) -> Pace | None:
    """Give the throttle that the options of an instance ask for."""
    limits = target.limits
    return None if limits.rate_per_s is None else Pace(limits.rate_per_s, limits.rate_burst)


def _block_of(pace: Pace) -> int:
    """Give how many turns to reserve at once: one, unless there are many in a moment."""
    return max(1, min(int(pace.per_s * _BLOCK_S), pace.burst // 4, _LARGEST_BLOCK))


def _part_of(address: WebAddress) -> str:
    """Give the part of an API that an address belongs to: the first step of its path.

    APIs that count parts apart, such as searches, mostly tell them apart there; what one part
    says about its remaining requests is not held against the others.
    """
    return "/" + address.path[1:].partition("/")[0][:64]
