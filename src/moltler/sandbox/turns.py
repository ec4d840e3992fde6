"""Whose JavaScript of an instance may run: first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """How many calls of an instance may run at once; first come, first served."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for a turn."""
        return bool(self._queue)

    async def take(self) -> None:
        """Wait for a turn."""
        if self._free and not self._queue:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            else:
                self._queue.remove(turn)
            raise

    def try_take(self) -> bool:
        """Take a turn if nobody else has or wants it."""
        if self._queue or not self._free:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """End a turn."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Turn:
    """The turn of one call, taken and given back many times."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._is_held = False

    async def take(self) -> None:
        """Wait for the turn, unless it is held."""
        if not self._is_held:
            await self._turns.take()
            self._is_held = True

    def try_take(self) -> bool:
        """Take it if nobody else has or wants it; tell whether it is held now."""
        self._is_held = self._is_held or self._turns.try_take()
        return self._is_held

    def end(self) -> None:
        """Give it back, if it is held."""
        if self._is_held:
            self._is_held = False
            self._turns.give_back()
