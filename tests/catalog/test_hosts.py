from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from moltler.catalog.hosts import check_host_pattern
from moltler.net.policy import host_pattern

TEXTS = st.text(alphabet="ab1.*:-_[]/0x 9ü", max_size=12)


@given(TEXTS)
@example("*.a.b:443")
@example("[::1]:1")
@example("1.2.3.4")
@example("a" * 70 + ".com")
@example("ü" * 70 + ".com")
@example("a:00080")
def test_every_pattern_that_is_accepted_can_be_matched(text: str) -> None:
    if check_host_pattern(text) is None:
        assert host_pattern(text) is not None
