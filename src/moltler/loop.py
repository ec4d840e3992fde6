"""The one asyncio thread: run a coroutine from synchronous code, or pull an async stream."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a daemon thread, started on first need.

    Everything that waits (child processes, HTTP) lives on it; nothing on it may block or take
    more than 10 ms. Calls may come from any thread but its own.
    """

    def __init__(self, name: str = "moltler-loop") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ending: set[asyncio.Future[None]] = set()

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on the loop's own thread."""
        return threading.current_thread() is self._thread

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine and give its future; cancelling the future cancels the task."""
        if self.is_here:
            coroutine.close()
            raise RuntimeError("the loop thread must await, not wait for itself")
        return asyncio.run_coroutine_threadsafe(coroutine, self._started())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and wait for its result.

        An interrupt of the waiting thread cancels the task before it propagates.

        Raises:
            RuntimeError: Called on the loop thread, where waiting would be a deadlock.
        """
        future = self.submit(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def finish(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine and wait for it; on the loop thread itself only start it.

        For what ends things: the garbage collector runs in any thread, and what it finds there
        cannot be waited for.
        """
        if not self.is_here:
            self.run(coroutine)
            return
        task = asyncio.ensure_future(coroutine)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def close(self) -> None:
        """Cancel what is left, stop the loop and end the thread; may be repeated."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
