"""Cron text as times."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from moltler.errors import ParseError

_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}


def next_time(schedule: str, timezone: str | None, after: datetime) -> datetime | None:
    """Give the first time of a schedule that is later than a moment.

    Where clocks are put forward, times that do not exist come at the moment of the change; where
    they are put back, a fixed hour comes once.

    Args:
        schedule: Five fields, or one of the ``@`` forms (LANGUAGE §9.2).
        timezone: An IANA name; ``None`` for UTC.
        after: Aware.

    Returns:
        In UTC; ``None`` for a schedule without another time, as on 30 February.

    Raises:
        ParseError: SYN006, it is no schedule.

    >>> str(next_time("*/15 2 * * *", None, datetime(2026, 1, 1, 2, 15, tzinfo=UTC)))
    '2026-01-01 02:30:00+00:00'
    >>> str(next_time("@daily", "Europe/Berlin", datetime(2026, 7, 1, tzinfo=UTC)))
    '2026-07-01 22:00:00+00:00'
    """
    zone = ZoneInfo(timezone) if timezone is not None else UTC
    text = _NAMED.get(schedule.strip().lower(), schedule)
    try:
        found = next(CronSim(text, after.astimezone(zone)), None)
    except CronSimError as error:
        raise ParseError(
            "SYN006",
            f"`{schedule}` is no schedule",
            hint="write minute hour day month weekday, for example '0 3 * * *'",
        ) from error
    return None if found is None else found.astimezone(UTC)
