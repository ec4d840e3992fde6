"""Mocked networks on a loop of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from moltler.loop import LoopThread
from support.mocking import Net, net_of


@pytest.fixture(scope="module")
def loop() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def net(loop: LoopThread) -> Callable[..., Net]:
    """Make a network: ``net('{"GET /items": {…}}', '[{"on": 1, "fault": "reset"}]')``."""
    return partial(net_of, loop)
