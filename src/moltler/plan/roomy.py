"""Planning that may recurse deeply: nested text gets a thread with a large stack."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

from moltler.errors import Span, error_class

T = TypeVar("T")

_STACK_BYTES = 512 * 1024 * 1024
"""Only the pages that are touched cost memory."""
_FRAMES = 40_000
"""Enough for chains of some thousand operators; each frame has more than 12 KB of stack."""
_lock = threading.Lock()


def with_room(work: Callable[[], T], span: Span) -> T:
    """Do something that recurses along a SELECT, with more room if it needs that.

    Args:
        work: May be called twice.
        span: The SELECT.

    Raises:
        ParseError: SYN001, even that is not enough.
    """
    try:
        return work()
    except RecursionError:
        pass
    attempt = _Attempt(work)
    with _lock, _more_room():
        attempt.start()
        attempt.join()
    if isinstance(attempt.failure, RecursionError):
        raise error_class("SYN001")(
            "SYN001",
            "this SELECT is nested deeper than can be read, or a chain of operators is too long",
            hint="use IN (…), a list, or a CTE for a part of it",
            span=span,
        ) from attempt.failure
    if attempt.failure is not None:
        raise attempt.failure
    return attempt.found[0]


class _Attempt(threading.Thread, Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="moltler-plan", daemon=True)
        self._work = work
        self.found: list[T] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.found.append(self._work())
        except BaseException as failure:  # noqa: BLE001 - raised again by who waits
            self.failure = failure


@contextmanager
def _more_room() -> Generator[None]:
    # Both settings are the process's; one attempt at a time has them changed.
    limit, stack = sys.getrecursionlimit(), threading.stack_size(_STACK_BYTES)
    sys.setrecursionlimit(max(limit, _FRAMES))
    try:
        yield
    finally:
        threading.stack_size(stack)
        sys.setrecursionlimit(limit)
