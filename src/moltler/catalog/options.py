"""OPTIONS of an instance: the engine's own keys, their ranges, and what they mean for a call."""

from __future__ import annotations

import re
from collections.abc import Mapping

from moltler.catalog.values import Misfit, fit_document, shown, with_defaults
from moltler.errors import near_match
from moltler.flow.connector import CallLimits
from moltler.model import ConnectorType
from moltler.schema import DataType, JsonValue, Property, Schema, TypeName

_RATE = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*/\s*([smh])\s*")
_SECONDS_IN = {"s": 1.0, "m": 60.0, "h": 3600.0}
_DAY_S = 86_400


def _number(name: str, minimum: float | None, maximum: float | None = None) -> Property:
    return _ranged(name, "number", minimum, maximum)


def _count(name: str, minimum: int, maximum: int | None = None) -> Property:
    return _ranged(name, "integer", minimum, maximum)


def _ranged(name: str, type_: TypeName, minimum: float | None, maximum: float | None) -> Property:
    return Property(name, DataType(type_), minimum=minimum, maximum=maximum)


_SCHEMA = Schema(
    (
        # Its text form is read apart.
        Property("rate_limit", DataType("any")),
        _count("rate_limit_burst", 1),
        _number("timeout_seconds", 0.001, _DAY_S),
        _count("memory_mb", 16, 65_536),
        _count("max_concurrency", 1, 1_000),
        _count("retry_count", 0, 100),
        _number("cache_ttl", 0),
        _count("max_results", 1),
        _count("max_pages", 1),
        _count("max_requests", 1),
        _number("max_seconds", 0.001),
        _count("batch_size", 1, 1_000_000),
        Property("on_type_error", DataType("string"), enum=("error", "null")),
        Property("on_duplicate_key", DataType("string"), enum=("warn", "error")),
    )
)
"""The table of LANGUAGE §5.2; the defaults are those of `CallLimits`."""

ENGINE_OPTIONS: tuple[str, ...] = _SCHEMA.names
"""The keys that no OPTIONS_SCHEMA can declare."""


def fit_options(
    values: Mapping[str, object], type_: ConnectorType
) -> tuple[dict[str, JsonValue], tuple[Misfit, ...]]:
    """Give OPTIONS as JSON, without defaults, and everything that does not fit."""
    own = type_.options_schema
    known = (*ENGINE_OPTIONS, *own.names)
    misfits: list[Misfit] = []
    for key in values:
        if key not in known:
            near = near_match(key, known)
            hint = f"did you mean `{near}`?" if near else "declare it in OPTIONS_SCHEMA"
            misfits.append(
                Misfit(("options", key), f"no option `{key}`", hint, known, is_unknown=True)
            )
    engine = {k: v for k, v in values.items() if k in ENGINE_OPTIONS}
    settings = {k: v for k, v in values.items() if k in own.names}
    fitted, unfit = fit_document(engine, _SCHEMA, ("options",))
    misfits += unfit
    rate = fitted.get("rate_limit")
    if rate is not None and rate_per_second(rate) is None:
        misfits.append(
            Misfit(
                ("options", "rate_limit"),
                f"`options.rate_limit` must be a rate above 0, found {shown(rate)}",
                "write requests per second as a number, or '10/s', '30/m', '100/h'",
            )
        )
    more, unfit = fit_document(settings, own, ("options",))
    return fitted | more, (*misfits, *unfit)


def rate_per_second(value: JsonValue) -> float | None:
    """Give a rate in requests per second, or ``None`` if it is not a rate above 0.

    >>> rate_per_second("30/m"), rate_per_second(5), rate_per_second("fast")
    (0.5, 5.0, None)
    """
    rate: float | None = None
    if isinstance(value, str):
        found = _RATE.fullmatch(value)
        if found:
            rate = float(found[1]) / _SECONDS_IN[found[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        rate = float(value)
    return rate if rate is not None and 0 < rate < float("inf") else None


def call_limits(options: Mapping[str, JsonValue], type_: ConnectorType) -> CallLimits:
    """Give what an instance may use.

    Args:
        options: As `fit_options` gave them.
        type_: For CONCURRENCY, the default of ``max_concurrency``.
    """
    default = CallLimits()
    rate = rate_per_second(options.get("rate_limit"))
    burst = _whole(options, "rate_limit_burst")
    if burst is None:
        burst = max(1, int(rate or 1))
    return CallLimits(
        timeout_s=_real(options, "timeout_seconds") or default.timeout_s,
        memory_mb=_whole(options, "memory_mb") or default.memory_mb,
        max_concurrency=_whole(options, "max_concurrency")
        or type_.concurrency
        or default.max_concurrency,
        rate_per_s=rate,
        rate_burst=burst,
        retry_count=_whole(options, "retry_count") or default.retry_count,
        max_results=_whole(options, "max_results"),
        max_pages=_whole(options, "max_pages"),
        max_requests=_whole(options, "max_requests"),
        max_seconds=_real(options, "max_seconds"),
        null_on_type_error=options.get("on_type_error") == "null",
        duplicate_key_is_error=options.get("on_duplicate_key") == "error",
        cache_ttl_s=_real(options, "cache_ttl") or default.cache_ttl_s,
    )


def own_settings(options: Mapping[str, JsonValue], type_: ConnectorType) -> dict[str, JsonValue]:
    """Give the type's own options with defaults, for ``options.settings``."""
    own = type_.options_schema
    return with_defaults({k: v for k, v in options.items() if k in own.names}, own)


def _whole(options: Mapping[str, JsonValue], key: str) -> int | None:
    value = options.get(key)
    return value if isinstance(value, int) else None


def _real(options: Mapping[str, JsonValue], key: str) -> float | None:
    value = options.get(key)
    return float(value) if isinstance(value, int | float) else None
