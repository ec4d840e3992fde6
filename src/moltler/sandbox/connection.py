"""Frames over the socket of one child process, which may take its share of our time and no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

from moltler.sandbox.frames import HEADER, MAX_FRAME, SMALL_FRAME, BadFrame

OnFrame = Callable[[int, int, "bytes | bytearray"], None]
OnHead = Callable[[int, int, int], None]

_WINDOW_S = 0.1
_SHARE_S = 0.025
"""How long the frames of one child may keep the loop busy in each window."""
_UNSENT = 4 << 20
"""Bytes that wait to be read by the child; with more, `drained` waits."""


class Connection(asyncio.BufferedProtocol):
    """Cuts what arrives into frames; small ones are copied, large ones get their own buffer.

    Args:
        on_head: Called with kind, id and size before the payload is there; may raise `BadFrame`.
        on_frame: Called with kind, id and payload; may raise `BadFrame`.
        on_bad: Called once with the verdict; nothing is read after it.
        on_lost: Called once when the other end is gone.
    """

    def __init__(
        self,
        on_head: OnHead,
        on_frame: OnFrame,
        on_bad: Callable[[BadFrame], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._on_head = on_head
        self._on_frame = on_frame
        self._on_bad = on_bad
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._shared = bytearray(HEADER.size + SMALL_FRAME)
        self._view = memoryview(self._shared)
        self._end = 0
        """How much of the shared buffer holds bytes that are not cut yet."""
        self._large: bytearray | None = None
        self._large_at = 0
        self._large_kind = self._large_id = 0
        self._is_bad = False
        self._window_end = self._spent_s = 0.0
        self._is_resting = self._is_held = False
        self._drained = asyncio.Event()
        self._drained.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_UNSENT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that nothing comes any more."""
        self._drained.set()
        self._on_lost()

    def pause_writing(self) -> None:
        """Note that the child does not read what it is sent."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """Note that it does again."""
        self._drained.set()

    async def drained(self) -> None:
        """Wait until the child has read most of what it was sent, or is gone."""
        await self._drained.wait()

    def hold(self, held: bool) -> None:  # noqa: FBT001 - like the transport's own
        """Read nothing more from the child, or again."""
        self._is_held = held
        self._read_or_not()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the place for what arrives next."""
        if self._large is not None:
            return memoryview(self._large)[self._large_at :]
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Hand out every frame that is complete now."""
        if self._is_bad:
            return
        started = time.thread_time()
        try:
            if self._large is None:
                self._end += nbytes
                self._cut()
            else:
                self._large_at += nbytes
                if self._large_at == len(self._large):
                    frame, self._large = self._large, None
                    self._on_frame(self._large_kind, self._large_id, frame)
        except BadFrame as bad:
            self._is_bad = True
            self._on_bad(bad)
        self._count(started)

    def send(self, kind: int, id_: int, *parts: bytes) -> None:
        """Write a frame; silently nothing once the connection is closing."""
        if self._transport is None or self._transport.is_closing():
            return
        size = sum(map(len, parts))
        self._transport.writelines([HEADER.pack(size, kind, id_), *parts])

    def abort(self) -> None:
        """Close at once, without waiting for what is still to be written."""
        if self._transport is not None:
            self._transport.abort()

    def charge(self, seconds: float) -> None:
        """Count work that a frame leads to, and that is not done while it is handed out."""
        self._spent_s += seconds

    def _count(self, started: float) -> None:
        now = time.monotonic()
        if now > self._window_end:
            self._window_end, self._spent_s = now + _WINDOW_S, 0.0
        # On a busy machine we may stand still for longer than that, which is not its doing.
        self._spent_s += time.thread_time() - started
        if self._spent_s > _SHARE_S and not self._is_resting and self._transport is not None:
            # Others must not wait for us because this one has so much to say.
            self._is_resting = True
            self._read_or_not()
            asyncio.get_running_loop().call_at(self._window_end, self._rested)

    def _rested(self) -> None:
        self._is_resting = False
        self._read_or_not()

    def _read_or_not(self) -> None:
        if self._transport is None:
            return
        if self._is_resting or self._is_held:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _cut(self) -> None:
        start = 0
        while self._end - start >= HEADER.size:
            length, kind, id_ = HEADER.unpack_from(self._shared, start)
            if length > MAX_FRAME:
                raise BadFrame(f"a frame of {length:,} bytes")
            self._on_head(kind, id_, length)
            first = start + HEADER.size
            if length > SMALL_FRAME:
                # It cannot be whole: the shared buffer is too small for it.
                self._large = bytearray(length)
                self._large_at = self._end - first
                self._large[: self._large_at] = self._view[first : self._end]
                self._large_kind, self._large_id = kind, id_
                start = self._end
                break
            if self._end - first < length:
                break
            start = first + length
            self._on_frame(kind, id_, bytes(self._view[first:start]))
        rest = self._end - start
        if start and rest:
            self._shared[:rest] = self._shared[start : self._end]
        self._end = rest
