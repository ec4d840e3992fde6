"""What responses say about limits is read in every form that is in use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from moltler.net.allowance import LONGEST_S, Allowance, allowance_of

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "remaining", "reset_s"),
    [
        # fields of their own, as drafts up to 06 and many APIs have them
        ({"RateLimit-Limit": "10, 10;w=60", "RateLimit-Remaining": "3", "RateLimit-Reset": "40"},
         3, 40),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}, 0, 12),
        ({"x-rate-limit-remaining": "7", "x-rate-limit-reset": str(EPOCH + 90)}, 7, 90),
        ({"X-RateLimit-Remaining": "2", "X-RateLimit-Reset": f"{EPOCH + 30}.5"}, 2, 30.5),
        ({"X-RateLimit-Remaining": "2", "X-RateLimit-Reset": str((EPOCH + 5) * 1000)}, 2, 5),
        ({"X-RateLimit-Remaining": "599.0", "X-RateLimit-Reset": "1"}, 599, 1),
        ({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": str(EPOCH + 99),
          "X-RateLimit-Reset-After": "0.75"}, 1, 0.75),
        ({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "2026-03-04T05:06:37Z"}, 1, 30),
        ({"X-RateLimit-Remaining": "-3", "X-RateLimit-Reset": "4"}, 0, 4),
        ({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": str(EPOCH - 60)}, 1, 0),
        # one dictionary, draft 07
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, 50, 5),
        # a list of policies, draft 08 and later
        ({"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60'}, 50, 30),
        ({"RateLimit": '"burst";r=9;t=1, "day";r=0;t=600'}, 0, 600),
        ({"RateLimit": "permin ; r=4 ; t=12"}, 4, 12),
    ],
)  # fmt: skip
def test_remaining_requests_are_read(
    headers: dict[str, str], remaining: int, reset_s: float
) -> None:
    assert allowance_of(200, headers.items(), NOW) == Allowance(None, remaining, reset_s)


@pytest.mark.parametrize(
    ("status", "headers", "pause_s"),
    [
        (429, {"Retry-After": "7"}, 7),
        (503, {"retry-after": "7"}, 7),
        (429, {"Retry-After": "Wed, 04 Mar 2026 05:06:27 GMT"}, 20),
        (429, {"Retry-After": "Wed, 04 Mar 2026 05:00:00 GMT"}, 0),
        # by the clock of the API, which is ten seconds ahead
        (429, {"Date": "Wed, 04 Mar 2026 05:06:17 GMT",
               "Retry-After": "Wed, 04 Mar 2026 05:06:27 GMT"}, 10),
        (429, {"Retry-After": "1e9"}, None),
        (429, {"Retry-After": "99999999"}, LONGEST_S),
        (403, {"Retry-After": "5"}, 5),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH + 8)}, 8),
        (403, {"X-RateLimit-Remaining": "12", "X-RateLimit-Reset": str(EPOCH + 8)}, None),
        (403, {"Content-Type": "text/plain"}, None),
        (401, {"Retry-After": "5"}, None),
        (200, {"Retry-After": "5"}, None),
        (429, {}, None),
    ],
)  # fmt: skip
def test_a_refusal_tells_for_how_long(
    status: int, headers: dict[str, str], pause_s: float | None
) -> None:
    said = allowance_of(status, headers.items(), NOW)
    assert (said.pause_s if said else None) == pause_s


@pytest.mark.parametrize(
    "headers",
    [
        {"RateLimit": '"a";r=;t='},
        {"RateLimit": "r=5"},
        {"RateLimit": ";,=" * 500},
        {"RateLimit": "a=1 " * 20_000},
        {"X-RateLimit-Remaining": "many", "X-RateLimit-Reset": "soon"},
        {"X-RateLimit-Remaining": "5"},
        {"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "9" * 400},
        {"Retry-After": "\x00"},
        {"Retry-After": "Wed, 99 Foo 99999 99:99:99 GMT"},
    ],
)
def test_what_makes_no_sense_says_nothing(headers: dict[str, str]) -> None:
    assert allowance_of(429, headers.items(), NOW) is None


def test_a_time_without_zone_is_utc() -> None:
    reset = (NOW + timedelta(seconds=5)).replace(tzinfo=None).isoformat()
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    assert allowance_of(200, headers.items(), NOW) == Allowance(None, 0, 5)
