"""The throttle hands out turns in order and at the rate."""

from __future__ import annotations

import asyncio

import pytest

from moltler.net.limits import TokenBucket, WaitClock


class FakeTime:
    """A clock that waiting moves on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(round(seconds, 6))


def take(rate: float, burst: int, arrivals: list[float]) -> list[float]:
    clock = FakeTime()
    bucket = TokenBucket(rate, burst, time=clock.time, sleep=clock.sleep)

    async def all_of_them() -> list[float]:
        waited: list[float] = []
        for moment in arrivals:
            clock.now = 100.0 + moment
            before = len(clock.waits)
            await bucket.take()
            waited.append(sum(clock.waits[before:]))
        return waited

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(
    ("rate", "burst", "arrivals", "waits"),
    [
        (2, 1, [0, 0, 0], [0, 0.5, 1.0]),
        (2, 3, [0, 0, 0, 0, 0], [0, 0, 0, 0.5, 1.0]),
        (2, 1, [0, 0.5, 1.0], [0, 0, 0]),
        (2, 1, [0, 0.25], [0, 0.25]),
        (2, 3, [0, 0, 0, 10, 10, 10, 10], [0, 0, 0, 0, 0, 0, 0.5]),
        (0.5, 1, [0, 0], [0, 2]),
    ],
)
def test_turns_come_at_the_rate_after_the_burst(
    rate: float, burst: int, arrivals: list[float], waits: list[float]
) -> None:
    assert take(rate, burst, arrivals) == waits


def test_a_cancelled_wait_gives_its_turn_back() -> None:
    async def scenario() -> list[float]:
        clock = FakeTime()
        held = asyncio.Event()

        async def sleep(seconds: float) -> None:
            clock.waits.append(seconds)
            await held.wait()

        bucket = TokenBucket(1, 1, time=clock.time, sleep=sleep)
        await bucket.take()
        waiting = asyncio.create_task(bucket.take())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        held.set()
        await bucket.take()
        return clock.waits

    assert asyncio.run(scenario()) == [1.0, 1.0]


def test_waits_that_overlap_count_once() -> None:
    async def scenario() -> tuple[float, float]:
        clock = WaitClock()
        loop = asyncio.get_running_loop()
        start = loop.time()
        with clock.waiting():
            with clock.waiting():
                await asyncio.sleep(0.01)
            inside = clock.read()
        return inside, loop.time() - start

    inside, elapsed = asyncio.run(scenario())
    assert 0 < inside <= elapsed


def test_a_rate_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        TokenBucket(0, 1)
