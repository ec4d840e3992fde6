"""Values measured against declared properties: the JSON value, and every misfit with its path."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TypeAlias, cast

from moltler.errors import near_match
from moltler.schema import DataType, JsonValue, Property, Schema

Path: TypeAlias = "tuple[str | int, ...]"
"""Keys and positions from the outermost document down."""

REFERENCE = re.compile(r"\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")
"""``{{secrets.NAME}}``, as it may stand in any string of CONFIG."""
_DEPTH = 256
_SHOWN = 80
_INT64 = range(-(2**63), 2**63)
_EXACT_BELOW = 10**40


@dataclass(frozen=True, slots=True)
class Misfit:
    """One thing about a value that its property does not allow."""

    path: Path
    message: str
    """A sentence without a full stop that names the path."""
    hint: str | None = None
    allowed: tuple[str, ...] = ()
    is_unknown: bool = False
    """The key itself is the problem, not its value."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How strictly values are taken."""

    closed: bool = True
    """Keys that no property declares are misfits."""
    lenient: bool = False
    """Scalars are converted as those of a handler are (LANGUAGE §7.6)."""
    references: bool = False
    """Strings that hold ``{{secrets.…}}`` are not held against ENUM and PATTERN."""
    nulls: bool = False
    """A NULL stays in the result; otherwise its key is absent."""


@dataclass(slots=True)
class _Fitting:
    rules: Rules
    misfits: list[Misfit] = field(default_factory=list[Misfit])

    def miss(
        self, path: Path, message: str, hint: str | None = None, allowed: tuple[str, ...] = ()
    ) -> None:
        self.misfits.append(Misfit(path, message, hint, allowed))


STRICT = Rules()


def fit_value(
    value: object, declared: Property, path: Path, rules: Rules = STRICT
) -> tuple[JsonValue, tuple[Misfit, ...]]:
    """Give a value as JSON in its property's type, and everything that does not fit.

    Args:
        value: ``None``, bool, int, float, Decimal, str, datetime, date, list, tuple or dict.
        declared: Type, enum, pattern, range and nested properties to hold it against.
        path: Where it stands, for the messages.
        rules: How strictly.

    >>> declared = Property("max", DataType("integer"), maximum=3)
    >>> fit_value(5, declared, ("config", "max"))[1][0].message
    '`config.max` must be at most 3, found 5'
    """
    fitting = _Fitting(rules)
    return _fit(fitting, value, declared, path, depth=0), tuple(fitting.misfits)


def fit_document(
    values: Mapping[str, object], schema: Schema, path: Path, rules: Rules = STRICT
) -> tuple[dict[str, JsonValue], tuple[Misfit, ...]]:
    """Give a document as JSON in schema order, without defaults, and everything that misfits."""
    fitting = _Fitting(rules)
    return _members(fitting, values, schema.properties, path, depth=0), tuple(fitting.misfits)


def with_defaults(values: Mapping[str, JsonValue], schema: Schema) -> dict[str, JsonValue]:
    """Give a document in schema order, absent keys filled from the defaults, at any depth."""
    return _filled(values, schema.properties)


def path_text(path: Path) -> str:
    """Give a path as people write it.

    >>> path_text(("config", "hosts", 0, "name"))
    'config.hosts[0].name'
    """
    first, *rest = path
    return str(first) + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in rest)


def timestamp_text(value: datetime) -> str:
    """Give a timestamp as it leaves at every border; without a zone it is UTC.

    >>> timestamp_text(datetime(2024, 1, 2, 3, 4, 5, 7000))
    '2024-01-02T03:04:05.007Z'
    """
    utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    precision = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    return utc.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def shown(value: object) -> str:
    """Give a value as messages show it: short, on one line."""
    match value:
        case None:
            text = "NULL"
        case bool():
            text = "TRUE" if value else "FALSE"
        case str():
            text = f"'{value}'"
        case datetime():
            text = timestamp_text(value)
        case Mapping():
            text = "a document"
        case list() | tuple():
            text = "an array"
        case _:
            text = str(value)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


# ── documents ────────────────────────────────────────────────────────────────────────────────


def _members(
    fitting: _Fitting,
    values: Mapping[str, object],
    properties: Sequence[Property],
    path: Path,
    depth: int,
) -> dict[str, JsonValue]:
    declared = {p.name: p for p in properties}
    if fitting.rules.closed:
        for key in values:
            if key not in declared:
                _miss_unknown(fitting, (*path, key), tuple(declared))
    fitted: dict[str, JsonValue] = {}
    for name, property_ in declared.items():
        value = values.get(name)
        if value is None:
            _miss_absent(fitting, property_, (*path, name), is_null=name in values)
            if name in values and fitting.rules.nulls and not property_.required:
                fitted[name] = None
            continue
        fitted[name] = _fit(fitting, value, property_, (*path, name), depth + 1)
    if not fitting.rules.closed:
        extra = {k: v for k, v in values.items() if k not in declared}
        fitted |= {k: _as_json(fitting, v, (*path, k), depth + 1) for k, v in extra.items()}
    return fitted


def _miss_unknown(fitting: _Fitting, path: Path, names: tuple[str, ...]) -> None:
    near = near_match(str(path[-1]), names)
    hint = f"did you mean `{near}`?" if near else "leave it out"
    message = f"`{path_text(path)}` is not declared"
    fitting.misfits.append(Misfit(path, message, hint, names, is_unknown=True))


def _miss_absent(fitting: _Fitting, declared: Property, path: Path, *, is_null: bool) -> None:
    if declared.required:
        what = "is NULL" if is_null else "is missing"
        fitting.miss(path, f"`{path_text(path)}` is required and {what}", f"add `{path[-1]}`")
    elif not declared.nullable and not declared.has_default:
        what = "is NULL" if is_null else "is missing"
        fitting.miss(path, f"`{path_text(path)}` must not be NULL and {what}")


def _filled(
    values: Mapping[str, JsonValue], properties: Sequence[Property]
) -> dict[str, JsonValue]:
    result: dict[str, JsonValue] = {}
    for declared in properties:
        value = values.get(declared.name)
        if declared.name not in values and declared.has_default:
            value = declared.default
        elif declared.name not in values:
            continue
        nested = declared.type.properties
        if isinstance(value, dict) and nested is not None:
            value = _filled(value, nested)
        result[declared.name] = value
    # What no property declares stays, behind; only open documents can hold such a key.
    return result | {k: v for k, v in values.items() if k not in result}


# ── one value ────────────────────────────────────────────────────────────────────────────────


def _fit(fitting: _Fitting, value: object, declared: Property, path: Path, depth: int) -> JsonValue:
    before = len(fitting.misfits)
    fitted = _typed(fitting, value, declared.type, path, depth, is_secret=declared.secret)
    if len(fitting.misfits) == before and fitted is not None:
        _constrain(fitting, fitted, declared, path)
    return fitted


def _constrain(fitting: _Fitting, value: JsonValue, declared: Property, path: Path) -> None:
    name = path_text(path)
    if declared.required and value == "":
        fitting.miss(path, f"`{name}` is required and must not be empty")
        return
    if fitting.rules.references and isinstance(value, str) and REFERENCE.search(value):
        return
    found = "" if declared.secret else f", found {shown(value)}"
    if declared.enum is not None and not any(is_same(value, e) for e in declared.enum):
        allowed = tuple(shown(e) for e in declared.enum)
        near = near_match(shown(value), allowed)
        hint = None if near is None or declared.secret else f"did you mean {near}?"
        fitting.miss(path, f"`{name}` must be one of {', '.join(allowed)}{found}", hint, allowed)
    matches = declared.pattern is None or not isinstance(value, str)
    if not matches and not re.search(str(declared.pattern), str(value)):
        fitting.miss(path, f"`{name}` must match the pattern `{declared.pattern}`{found}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if declared.minimum is not None and value < declared.minimum:
            fitting.miss(path, f"`{name}` must be at least {declared.minimum}{found}")
        if declared.maximum is not None and value > declared.maximum:
            fitting.miss(path, f"`{name}` must be at most {declared.maximum}{found}")


def is_same(left: JsonValue, right: JsonValue) -> bool:
    """Tell whether two JSON values are equal; TRUE is not 1, but 1.0 is."""
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return left == right


def _typed(
    fitting: _Fitting, value: object, type_: DataType, path: Path, depth: int, *, is_secret: bool
) -> JsonValue:
    match type_.name:
        case "document":
            if isinstance(value, Mapping):
                inner = cast("Mapping[object, object]", value)
                return _document(fitting, inner, type_.properties, path, depth)
        case "array":
            if isinstance(value, list | tuple):
                items = cast("Sequence[object]", value)
                return _array(fitting, items, type_.items, path, depth)
        case "any":
            return _as_json(fitting, value, path, depth)
        case _:
            scalar = to_scalar(value, type_.name, lenient=fitting.rules.lenient)
            if scalar is not None:
                return scalar
    found = "something else" if is_secret else shown(value)
    fitting.miss(
        path,
        f"`{path_text(path)}` must be {_a(str(type_))}, found {found}",
        _typing_hint(value, type_),
    )
    return None


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aio" else f"a {noun}"


def _typing_hint(value: object, type_: DataType) -> str | None:
    match type_.name, value:
        case "integer" | "number" | "boolean", str():
            return f"write it without quotes, or convert it: CAST(… AS {type_.name})"
        case "string", bool() | int() | float():
            return f"write it in quotes: '{str(value).lower()}'"
        case "timestamp", str():
            return "write it like 2024-01-31T09:30:00Z"
        case "date", str() | datetime():
            return "write it like 2024-01-31"
        case _:
            return None


def _document(
    fitting: _Fitting,
    value: Mapping[object, object],
    properties: Sequence[Property] | None,
    path: Path,
    depth: int,
) -> JsonValue:
    if properties is None:
        return _as_json(fitting, value, path, depth)
    named = {str(k): v for k, v in value.items()}
    return dict(_members(fitting, named, properties, path, depth))


def _array(
    fitting: _Fitting, value: Sequence[object], items: DataType | None, path: Path, depth: int
) -> JsonValue:
    if items is None:
        return _as_json(fitting, value, path, depth)
    return [
        None
        if item is None
        else _typed(fitting, item, items, (*path, i), depth + 1, is_secret=False)
        for i, item in enumerate(value)
    ]


def _as_json(fitting: _Fitting, value: object, path: Path, depth: int) -> JsonValue:
    if depth > _DEPTH:
        fitting.miss(path, f"`{path_text(path)}` is nested deeper than {_DEPTH} levels")
        return None
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return _from_decimal(value)
        case datetime():
            return timestamp_text(value)
        case date():
            return value.isoformat()
        case Mapping():
            members = cast("Mapping[object, object]", value).items()
            return {str(k): _as_json(fitting, v, (*path, str(k)), depth + 1) for k, v in members}
        case list() | tuple():
            items = enumerate(cast("Sequence[object]", value))
            return [_as_json(fitting, v, (*path, i), depth + 1) for i, v in items]
        case _:
            fitting.miss(path, f"`{path_text(path)}` cannot be written as JSON")
            return None


def _from_decimal(value: Decimal) -> int | float | None:
    if not value.is_finite():
        return None
    # A few letters such as 1e9999 must not become thousands of digits.
    if abs(value) < _EXACT_BELOW and value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None


# ── scalars ──────────────────────────────────────────────────────────────────────────────────


def to_scalar(value: object, type_name: str, *, lenient: bool = False) -> JsonValue:
    """Give a value as JSON in a scalar type, or ``None`` if it does not fit.

    Args:
        value: Not ``None``.
        type_name: One of `moltler.schema.SCALARS`.
        lenient: Convert as a handler's values are converted (LANGUAGE §7.6).

    >>> [to_scalar(v, "integer") for v in (3, 3.0, 3.5, True, "3")]
    [3, 3, None, None, None]
    """
    match type_name:
        case "string":
            return _string(value, lenient=lenient)
        case "number" | "integer":
            number = _number(value, lenient=lenient)
            if type_name == "number" or number is None:
                return number
            return _integer(number)
        case "boolean":
            return _boolean(value, lenient=lenient)
        case "timestamp":
            moment = _moment(value, lenient=lenient)
            return None if moment is None else timestamp_text(moment)
        case "date":
            return _date(value, lenient=lenient)
        case _:
            return None


def _string(value: object, *, lenient: bool) -> str | None:
    match value:
        case str():
            return value
        case bool() if lenient:
            return "true" if value else "false"
        case int() if lenient:
            return str(value)
        case float() | Decimal() if lenient:
            return str(int(value)) if value == value // 1 else str(value)
        case datetime() if lenient:
            return timestamp_text(value)
        case date() if lenient:
            return value.isoformat()
        case _:
            return None


def _number(value: object, *, lenient: bool) -> int | float | None:
    match value:
        case bool():
            return None
        case int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return _from_decimal(value)
        case str() if lenient and re.fullmatch(
            r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?\s*", value
        ):
            return _from_decimal(Decimal(value.strip()))
        case _:
            return None


def _integer(number: int | float) -> int | None:
    if isinstance(number, float):
        if not number.is_integer():
            return None
        number = int(number)
    return number if number in _INT64 else None


def _boolean(value: object, *, lenient: bool) -> bool | None:
    if isinstance(value, bool):
        return value
    if not lenient:
        return None
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value)
    if isinstance(value, int | float):
        return bool(value) if value in {0, 1} else None
    return None


def _moment(value: object, *, lenient: bool) -> datetime | None:
    try:
        match value:
            case datetime():
                return value
            case date():
                return datetime.combine(value, time(), UTC)
            case str():
                return datetime.fromisoformat(value.strip().upper())
            case int() | float() if lenient and not isinstance(value, bool):
                return datetime.fromtimestamp(value / 1000, UTC)
            case _:
                return None
    except (ValueError, OverflowError, OSError):
        return None


def _date(value: object, *, lenient: bool) -> str | None:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return value if _moment(value, lenient=False) else None
    if not lenient:
        return None
    moment = _moment(value, lenient=True)
    return None if moment is None else timestamp_text(moment)[:10]
