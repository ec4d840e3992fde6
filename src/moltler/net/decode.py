"""Content codings of responses, undone piece by piece and never far ahead of the reader."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

ACCEPTED = "gzip, deflate, br, zstd"
_MOST_CODINGS = 4
_UNASKED = frozenset(
    {"compress", "x-compress", "exi", "pack200-gzip", "bzip2", "x-bzip2", "lzma", "xz", "dcb",
     "dcz", "aes128gcm", "lz4", "snappy"}
)  # fmt: skip
_PIECE = 1 << 20
_ZSTD_SLICE = 1024
# One kilobyte of zstd can hold at most 32 MB: a block is 4 bytes at least and 128 KiB at most.
_ZSTD_WINDOW = 8 << 20
# RFC 9659 §3: encoders for HTTP stay within 8 MB.


class CorruptBody(Exception):  # noqa: N818 - becomes a FetchFailure
    """The bytes are not in the coding that the response announced."""


class Decoder(Protocol):
    """Undoes one coding."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Give what a piece decodes to, in bounded pieces.

        Raises:
            CorruptBody: The bytes are not in the coding.
        """
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the coded text may end here."""
        ...


def decoders_for(content_encoding: str | None) -> list[Decoder]:
    """Give the decoders to apply, outermost coding first; words that name none change nothing.

    A body that is compressed as nobody asked for is refused: what it holds of secrets could not
    be seen. Source: RFC 9110 §8.4; the header lists codings in the order they were applied.
    """
    names = [n.strip().lower() for n in (content_encoding or "").split(",")]
    names = [n for n in names if n not in {"", "identity"}]
    if unasked := _UNASKED.intersection(names):
        return [_Refusal(f"`{min(unasked)}` was not asked for")]
    if any(n not in _DECODERS for n in names):
        return []
    if len(names) > _MOST_CODINGS:
        return [_Refusal(f"{len(names)} codings on top of each other")]
    return [_DECODERS[name]() for name in reversed(names)]


def decode(decoders: list[Decoder], piece: bytes) -> Iterator[bytes]:
    """Give what a piece decodes to after all decoders."""
    if not decoders:
        yield piece
        return
    for decoded in decoders[0].feed(piece):
        yield from decode(decoders[1:], decoded)


class _Refusal:
    is_complete = True

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def feed(self, piece: bytes) -> Iterator[bytes]:
        if piece:
            raise CorruptBody(self._reason)
        return iter(())


class _Zlib:
    """gzip (RFC 1952, members may follow one another) and deflate with or without its header."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._inner = zlib.decompressobj(31) if gzip else None
        self._started = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        if not piece:
            return
        if self._inner is None:
            # "deflate" means zlib (RFC 9110 §8.4.1.2), but some servers send it raw.
            self._inner = zlib.decompressobj(15 if piece[0] & 0x0F == 8 else -15)
        self._started = True
        while piece:
            if self._inner.eof:
                if not self._gzip or piece[:1] == b"\0":
                    return  # padding after the end
                self._inner = zlib.decompressobj(31)
            try:
                decoded = self._inner.decompress(piece, _PIECE)
            except zlib.error as error:
                raise CorruptBody(str(error)) from error
            if decoded:
                yield decoded
            piece = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail

    @property
    def is_complete(self) -> bool:
        return not self._started or (self._inner is not None and self._inner.eof)


class _Brotli:
    def __init__(self) -> None:
        import brotli  # noqa: PLC0415 - few APIs send it, and start-up must stay short

        self._inner = brotli.Decompressor()
        self._error: type[Exception] = brotli.error
        self._started = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        self._started = self._started or bool(piece)
        try:
            while piece or not self._inner.can_accept_more_data():
                decoded = self._inner.process(piece, output_buffer_limit=_PIECE)
                piece = b""
                if decoded:
                    yield decoded
        except self._error as error:
            raise CorruptBody(str(error)) from error

    @property
    def is_complete(self) -> bool:
        return not self._started or self._inner.is_finished()


class _Zstd:
    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - few APIs send it, and start-up must stay short

        self._new = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj
        self._error: type[Exception] = zstandard.ZstdError
        self._inner = self._new()
        self._started = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        self._started = self._started or bool(piece)
        view = memoryview(piece)
        for start in range(0, len(view), _ZSTD_SLICE):
            rest = bytes(view[start : start + _ZSTD_SLICE])
            while rest:
                if self._inner.eof:
                    self._inner = self._new()
                try:
                    decoded = self._inner.decompress(rest)
                except self._error as error:
                    raise CorruptBody(str(error)) from error
                if decoded:
                    yield decoded
                rest = self._inner.unused_data if self._inner.eof else b""

    @property
    def is_complete(self) -> bool:
        return not self._started or self._inner.eof


_DECODERS = {
    "gzip": lambda: _Zlib(gzip=True),
    "x-gzip": lambda: _Zlib(gzip=True),
    "deflate": lambda: _Zlib(gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}
