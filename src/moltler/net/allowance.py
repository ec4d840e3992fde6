"""What an API says about how many more requests it takes (pure).

Sources: RFC 9110 §10.2.3 (Retry-After); draft-ietf-httpapi-ratelimit-headers in its three forms:
fields of their own (up to 06), one dictionary (07), a list of policies (08 and later); and the
customary ``X-RateLimit-*``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_FAMILIES = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")
_NAMES = tuple(f + name for f in _FAMILIES for name in ("remaining", "reset", "reset-after"))
_LISTENED_TO = frozenset({"retry-after", "ratelimit", *_NAMES})
_NUMBER = re.compile(r"\s*(-?\d{1,15}(?:\.\d{0,9})?)\s*(?:[,;]|$)")
_LONGEST_VALUE = 1000
_EPOCH_FROM, _EPOCH_MS_FROM = 1e9, 1e12
"""No API asks for a pause of thirty years, so a number like this is a time."""
LONGEST_S = 7 * 86_400.0
"""What asks for more is taken for this."""
_TOO_MANY, _UNAVAILABLE, _FORBIDDEN = 429, 503, 403


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one response says."""

    pause_s: float | None = None
    """Seconds for which the API wants no request at all: it has refused one."""
    remaining: int | None = None
    """Requests that it still takes before `reset_s` is over."""
    reset_s: float | None = None
    """Seconds until it takes its full number again."""


def allowance_of(
    status: int, headers: Iterable[tuple[str, str]], now: datetime
) -> Allowance | None:
    """Read the headers of a response; ``None`` if they say nothing about limits.

    Args:
        status: 429 and 503 with Retry-After are refusals for their number; 403 is one only if a
            header says so.
        headers: As received.
        now: The time of this machine; used where the API does not tell its own.

    >>> allowance_of(429, [("Retry-After", "7")], datetime.now(UTC))
    Allowance(pause_s=7.0, remaining=None, reset_s=None)
    >>> allowance_of(200, [("RateLimit", '"hour";r=0;t=30')], datetime.now(UTC))
    Allowance(pause_s=None, remaining=0, reset_s=30.0)
    """
    found: dict[str, str] = {}
    date = ""
    for name, value in headers:
        lower = name.lower()
        if lower == "date":
            date = value
        elif lower in _LISTENED_TO:
            value = value[:_LONGEST_VALUE]
            found[lower] = f"{found[lower]}, {value}" if lower in found else value
    if not found:
        return None
    # Times of the API are compared with its own clock, which may not be ours.
    server_now = _date(date) or now
    remaining, reset_s = _window(found, server_now)
    pause_s: float | None = None
    if status in {_TOO_MANY, _UNAVAILABLE, _FORBIDDEN}:
        pause_s = _seconds(found.get("retry-after", ""), server_now)
        if pause_s is None and remaining == 0 and status != _UNAVAILABLE:
            pause_s = reset_s
    if pause_s is None and (remaining is None or reset_s is None):
        return None
    return Allowance(pause_s, remaining, reset_s)


def _window(found: dict[str, str], server_now: datetime) -> tuple[int | None, float | None]:
    if (text := found.get("ratelimit")) is not None and (windows := list(_members(text))):
        # Several policies count at once; the one that allows least is what holds.
        return min(windows, key=lambda w: (w[0], -w[1]))
    for family in _FAMILIES:
        remaining = _number(found.get(family + "remaining", ""))
        if remaining is None:
            continue
        reset_s = _number(found.get(family + "reset-after", ""))
        if reset_s is None:
            reset_s = _seconds(found.get(family + "reset", ""), server_now)
        return max(math.floor(remaining), 0), None if reset_s is None else _bounded(reset_s)
    return None, None


def _members(text: str) -> Iterator[tuple[int, float]]:
    """Give remaining requests and seconds of each policy, in the forms of draft 07 and 08."""
    # 07: limit=100, remaining=50, reset=5; 08: "burst";r=3;t=1, "day";r=900;t=600
    policies = text.split(",") if ";" in text else [text.replace(",", ";")]
    for policy in policies:
        pairs = (part.partition("=") for part in policy.split(";"))
        values = {name.strip().lower(): _number(value) for name, _, value in pairs}
        remaining = values.get("r", values.get("remaining"))
        reset_s = values.get("t", values.get("reset"))
        if remaining is not None and reset_s is not None:
            yield max(math.floor(remaining), 0), _bounded(reset_s)


def _seconds(text: str, server_now: datetime) -> float | None:
    """Give the seconds that a number, a time since the epoch or a date means."""
    number = _number(text)
    if number is None:
        date = _date(text)
        return None if date is None else _bounded((date - server_now).total_seconds())
    if number >= _EPOCH_MS_FROM:
        number /= 1000
    if number >= _EPOCH_FROM:
        number -= server_now.timestamp()
    return _bounded(number)


def _number(text: str) -> float | None:
    found = _NUMBER.match(text)
    return float(found[1]) if found else None


def _date(text: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            date = read(text.strip())
            return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_S)
