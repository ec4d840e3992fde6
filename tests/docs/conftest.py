from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import moltler
from moltler.demo.server import DemoServer


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoServer]:
    """The demo shop, known to examples and pages as their headers say."""
    with DemoServer() as server:
        monkeypatch.setenv("SHOP_URL", server.url)
        monkeypatch.setenv("MOLTLER_SECRET_SHOP_KEY", server.key)
        yield server


@pytest.fixture
def shop_session(home: Path, shop: DemoServer) -> Iterator[moltler.Session]:
    """A session that was opened once the shop's address and key were known."""
    assert shop.url
    with moltler.connect(home) as opened:
        yield opened
