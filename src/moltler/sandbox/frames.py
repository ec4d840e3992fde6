"""What is said over the pipe between us and a runtime: frames, their structs and caps.

A frame is ``u32 length | u8 kind | u32 id``, little-endian, then the payload. Everything that
comes from the child is hostile: whatever does not parse raises `BadFrame`.
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from typing import Literal, TypeVar

import msgspec

HEADER = struct.Struct("<IBI")
_U32 = struct.Struct("<I")
_F64 = struct.Struct("<d")

MAX_FRAME = 64 << 20
SMALL_FRAME = 256 << 10
"""Up to here payloads share the receive buffer and are copied out of it."""
MAX_SOURCE = 1 << 20
MAX_ARGUMENTS = 4 << 20
MAX_REQUEST_BODY = 16 << 20
MAX_HEAD = 512 << 10
"""JSON before a body: an address of at most `MAX_URL` characters, and headers. The child refuses
more itself, so more is a broken child."""
MAX_URL = 64 << 10
MAX_HEADERS = 1_000
MAX_KEY = 64 << 10
"""Bytes of a key to sign with."""
MAX_OPEN_BODIES = 64 << 20
"""Bodies of requests that one process may have on their way; until some are gone, nothing more
is read from it."""
WHOLE_BODY = 1 << 20
"""Response bodies up to here travel with the reply."""
BODY_PIECE = 256 << 10
MAX_MESSAGE = 10_000
MAX_STACK = 8 << 10
MAX_LOG_LINES = 1_000
MAX_LOG_BYTES = 1 << 20
MAX_LOG_LINE = 64 << 10
MAX_TIME_MS = 8.64e15
"""The last instant that JavaScript knows."""
MAX_IN_FLIGHT = 64
"""The child holds back requests above 32 itself; more than this is a broken child."""


class Kind(IntEnum):
    """The kinds of frames; below 32 they go to the child, from there on they come from it."""

    LOAD = 1
    CHECK = 2
    CALL = 3
    CREDIT = 4
    CANCEL = 5
    REPLY = 6
    CHUNK = 7
    PING = 8
    RESET = 9
    CLOCK = 10
    COVER = 11
    SIGNED = 12
    READY = 32
    LOADED = 33
    RESULT = 34
    PAGE = 35
    END = 36
    ERROR = 37
    FETCH = 38
    ABORT = 39
    PULL = 40
    PONG = 41
    LOG = 42
    CLEAN = 43
    TICK = 44
    COVERAGE = 45
    SIGN = 46
    WALLS = 47


_SMALL = 4 << 10
_TEXTS = 1 << 20
_REQUEST = _U32.size + MAX_HEAD + 2 * MAX_REQUEST_BODY
MAX_SIZES: dict[int, int] = {
    Kind.READY: 0, Kind.WALLS: _SMALL, Kind.LOADED: _SMALL, Kind.END: _SMALL, Kind.CLEAN: _SMALL,
    Kind.ABORT: 0, Kind.PULL: 0, Kind.PONG: 0, Kind.TICK: _F64.size,
    Kind.ERROR: _TEXTS, Kind.LOG: _TEXTS, Kind.FETCH: _REQUEST, Kind.SIGN: _REQUEST,
    Kind.RESULT: MAX_FRAME, Kind.PAGE: MAX_FRAME, Kind.COVERAGE: MAX_FRAME,
}  # fmt: skip
"""The most that the payload of a frame from a child may have."""


class BadFrame(Exception):  # noqa: N818 - a verdict on the child, never shown as an error
    """The child sent what no honest runner sends."""


class Loaded(msgspec.Struct, frozen=True):
    """A handler compiled; `typescript` if it did not read as JavaScript."""

    typescript: bool


class End(msgspec.Struct, frozen=True):
    """The handler has no more rows."""

    more: str | None = None
    """The key that tells of rows the handler did not return."""
    nothing: bool = False
    """It returned undefined or null."""


class Thrown(msgspec.Struct, frozen=True):
    """What a call failed with; `kind` is the child's own reading of the error's class."""

    kind: Literal[
        "auth", "rate", "connection", "timeout", "connector", "fetch", "mock", "json", "native",
        "plain", "data", "stuck", "compile", "unbound", "import", "default",
    ]  # fmt: skip
    name: str
    message: str
    stack: str = ""
    status: int | None = None
    retry_after: float | None = None
    code: str | None = None
    hint: str | None = None
    cause: str | None = None
    line: int | None = None
    column: int | None = None
    typescript: bool = False


class Fetch(msgspec.Struct, frozen=True):
    """A request of a handler; its body follows in the frame."""

    call: int
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    redirect: Literal["follow", "manual", "error"]
    body: bool


class Sign(msgspec.Struct, frozen=True):
    """A text to sign by HMAC with a key that may hold seals; the text follows in the frame."""

    call: int
    hash: Literal["SHA-1", "SHA-256", "SHA-384", "SHA-512"]
    key: str
    """In hexadecimal."""


class Misfit(msgspec.Struct, frozen=True):
    """A cell that does not fit its field; it travels as NULL."""

    row: int
    column: int
    preview: str
    reason: str = ""


class PageNote(msgspec.Struct, frozen=True):
    """What a page says beside its columns."""

    count: int = 0
    """How many cells did not fit."""
    misfits: tuple[Misfit, ...] = ()


class Clean(msgspec.Struct, frozen=True):
    """The process is as it was before its first handler."""

    heap_bytes: int


class ModuleRanges(msgspec.Struct, frozen=True):
    """How often the parts of a handler ran: inner ranges follow the outer ones."""

    id: int
    ranges: tuple[tuple[int, int, int], ...]
    """Start and end in UTF-16 units, and how often."""


class Covered(msgspec.Struct, frozen=True):
    """What ran since the last time it was asked for."""

    modules: tuple[ModuleRanges, ...]


class LogLine(msgspec.Struct, frozen=True):
    """Something the handler printed."""

    level: str
    text: str


S = TypeVar("S", bound=msgspec.Struct)


def decode(payload: bytes | bytearray | memoryview, kind: type[S]) -> S:
    """Read the JSON of a frame.

    Raises:
        BadFrame: It is not that.
    """
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadFrame(f"{kind.__name__}: {error}") from error


def decode_json(payload: bytes | bytearray | memoryview) -> object:
    """Read any JSON value, with every digit of its integers.

    Raises:
        BadFrame: It is not JSON.
        RecursionError: It is nested too deeply, which an honest handler can cause.
    """
    try:
        # msgspec turns integers beyond 64 bits into floats; the standard library keeps them.
        return json.loads(bytes(payload), parse_constant=_refuse)
    except (ValueError, UnicodeDecodeError) as error:
        raise BadFrame(f"result: {error}") from error


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")


def encode_json(value: object) -> bytes:
    """Write JSON in ASCII, so that even lone surrogates arrive as they are."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def encode_u32(value: int) -> bytes:
    """Write the payload of CREDIT."""
    return _U32.pack(value)


def decode_time(payload: bytes | bytearray) -> float:
    """Read the payload of TICK.

    Raises:
        BadFrame: It is no instant.
    """
    if len(payload) == _F64.size:
        (time,) = _F64.unpack(payload)
        if abs(time) <= MAX_TIME_MS:
            return time
    raise BadFrame("no instant")


def with_body(head: object, body: bytes = b"") -> tuple[bytes, bytes]:
    """Write a payload that is JSON followed by bytes, as two pieces."""
    text = encode_json(head)
    return _U32.pack(len(text)) + text, body


def split_body(payload: bytes | bytearray) -> tuple[memoryview, memoryview]:
    """Split a payload that is JSON followed by bytes.

    Raises:
        BadFrame: The JSON reaches past the end.
    """
    view = memoryview(payload)
    if len(view) < _U32.size:
        raise BadFrame("short frame")
    end = _U32.size + _U32.unpack_from(view)[0]
    if end > len(view):
        raise BadFrame("short frame")
    return view[_U32.size : end], view[end:]
