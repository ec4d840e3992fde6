"""What the tests of the catalog share."""

from __future__ import annotations

import pytest

from support.definitions import Define


@pytest.fixture
def definer() -> Define:
    """Builds definitions from text; every handler counts as compiled."""
    return Define()
