"""Functions of time in UTC, with DuckDB's meaning."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from moltler.errors import near_match
from moltler.exec.conversion import from_epoch_ms
from moltler.exec.functions_shape import function, table
from moltler.exec.values import (
    as_instant,
    described,
    is_number,
    type_error,
    value_error,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS: Mapping[str, int] = {
    "microsecond": 1,
    "millisecond": 1_000,
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": 86_400_000_000,
}
_YEARS: Mapping[str, int] = {"year": 1, "decade": 10, "century": 100, "millennium": 1000}
_ALIASES: Mapping[str, str] = {
    "us": "microsecond", "usec": "microsecond", "microseconds": "microsecond",
    "usecs": "microsecond", "usecond": "microsecond", "useconds": "microsecond",
    "ms": "millisecond", "msec": "millisecond", "milliseconds": "millisecond",
    "msecs": "millisecond",
    "s": "second", "sec": "second", "secs": "second", "seconds": "second",
    "m": "minute", "min": "minute", "mins": "minute", "minutes": "minute",
    "h": "hour", "hr": "hour", "hrs": "hour", "hours": "hour",
    "d": "day", "days": "day", "dayofmonth": "day",
    "w": "week", "weeks": "week", "weekofyear": "week",
    "mon": "month", "mons": "month", "months": "month",
    "quarters": "quarter",
    "y": "year", "yr": "year", "yrs": "year", "years": "year",
    "dec": "decade", "decs": "decade", "decades": "decade",
    "c": "century", "cent": "century", "centuries": "century",
    "mil": "millennium", "mils": "millennium", "millenniums": "millennium",
    "millennia": "millennium",
}  # fmt: skip
_UNITS = (*_MICROSECONDS, "week", "month", "quarter", *_YEARS)


def _unit(text: str) -> str:
    folded = text.lower()
    unit = _ALIASES.get(folded, folded)
    if unit not in _UNITS:
        near = near_match(text, list(_UNITS))
        raise value_error(
            f"`{text}` is not a unit of time", f"did you mean `{near}`?" if near else None
        )
    return unit


def date_trunc(unit: str, moment: datetime) -> datetime:
    """Give the start of the unit that a time lies in; weeks start on Monday."""
    name, utc = _unit(unit), moment.astimezone(UTC)
    if name in _MICROSECONDS:
        return utc - timedelta(microseconds=_micros(utc) % _MICROSECONDS[name])
    midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    match name:
        case "week":
            return midnight - timedelta(days=midnight.weekday())
        case "month":
            return midnight.replace(day=1)
        case "quarter":
            return midnight.replace(month=(utc.month - 1) // 3 * 3 + 1, day=1)
        case _:
            # As DuckDB has it, a century starts with the year that ends in 00.
            year = utc.year - utc.year % _YEARS[name]
            return midnight.replace(year=max(year, 1), month=1, day=1)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def date_diff(unit: str, start: datetime, end: datetime) -> int:
    """Count the boundaries of a unit between two times; of weeks, the full ones."""
    name = _unit(unit)
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    if name in _MICROSECONDS:
        size = _MICROSECONDS[name]
        return _micros(last) // size - _micros(first) // size
    match name:
        case "week":
            # The one unit that has no boundaries in DuckDB: whole weeks between the two days.
            days = (last.date() - first.date()).days
            return days // 7 if days >= 0 else -(-days // 7)
        case "month":
            return _months(last) - _months(first)
        case "quarter":
            return _months(last) // 3 - _months(first) // 3
        case _:
            return last.year // _YEARS[name] - first.year // _YEARS[name]


def _months(moment: datetime) -> int:
    return moment.year * 12 + moment.month - 1


def epoch_ms(value: object) -> object:
    """Give the milliseconds since 1970 of a time, or the time of so many milliseconds."""
    if is_number(value):
        return from_epoch_ms(value)
    moment = as_instant(value)
    if moment is None:
        raise type_error(f"EPOCH_MS needs a timestamp or a number, found {described(value)}")
    micros = _micros(moment)
    nearest = (abs(micros) + 500) // 1000  # half away from 1970, as DuckDB has it
    return nearest if micros >= 0 else -nearest


def _unreachable(*_: object) -> object:
    raise value_error("this function needs the statement around it")


TIME = table(
    # One value for a whole statement, which `evaluate` has.
    function("NOW", "", _unreachable),
    function("CURRENT_TIMESTAMP", "", _unreachable),
    function("CURRENT_DATE", "", _unreachable),
    function("DATE_TRUNC", "unit:text time:time", date_trunc),
    function("DATE_DIFF", "unit:text start:time end:time", date_diff),
    function("YEAR", "time:time", lambda t: t.astimezone(UTC).year),
    function("MONTH", "time:time", lambda t: t.astimezone(UTC).month),
    function("DAY", "time:time", lambda t: t.astimezone(UTC).day),
    function("HOUR", "time:time", lambda t: t.astimezone(UTC).hour),
    function("EPOCH_MS", "time:any", epoch_ms),
)
