"""Frames over the socket of one child process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from moltler.sandbox.frames import HEADER, MAX_FRAME, SMALL_FRAME, BadFrame

OnFrame = Callable[[int, int, "bytes | bytearray"], None]


class Connection(asyncio.BufferedProtocol):
    """Cuts what arrives into frames; small ones are copied, large ones get their own buffer.

    Args:
        on_frame: Called with kind, id and payload; may raise `BadFrame`.
        on_bad: Called once with the verdict; nothing is read after it.
        on_lost: Called once when the other end is gone.
    """

    def __init__(
        self,
        on_frame: OnFrame,
        on_bad: Callable[[BadFrame], None],
        on_lost: Callable[[], None],
    ) -> None:
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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that nothing comes any more."""
        self._on_lost()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the place for what arrives next."""
        if self._large is not None:
            return memoryview(self._large)[self._large_at :]
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Hand out every frame that is complete now."""
        if self._is_bad:
            return
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

    def _cut(self) -> None:
        start = 0
        while self._end - start >= HEADER.size:
            length, kind, id_ = HEADER.unpack_from(self._shared, start)
            if length > MAX_FRAME:
                raise BadFrame(f"a frame of {length:,} bytes")
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
