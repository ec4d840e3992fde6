"""The reference page: its own text where that is at hand, and always ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.reference_page import ReferencePage, read_page

OWN_WORDS = Path(__file__).parent.parent / "fixtures/reference/own_words.txt"


@pytest.fixture(params=["own words", "reference page"])
def page(request: pytest.FixtureRequest) -> ReferencePage:
    if request.param == "own words":
        return read_page(OWN_WORDS)
    path = os.environ.get("MOLTLER_REFERENCE_PAGE")
    if not path:
        pytest.skip("MOLTLER_REFERENCE_PAGE is not set")
    return read_page(Path(path))
