"""What JavaScript gets to see of a call, and what comes back as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import assert_never

from moltler.errors import error_class
from moltler.flow.connector import ResolvedConnector
from moltler.flow.predicate import AllOf, AnyOf, Condition, EngineText, NotOf, Predicate, Scalar
from moltler.flow.scan import UNFIT, ScanRequest
from moltler.sandbox.frames import MAX_ARGUMENTS, BadFrame, decode_json, encode_json
from moltler.schema import JsonValue, Property

MAX_DEPTH = 256


def query_spec(target: ResolvedConnector, request: ScanRequest) -> bytes:
    """Give the CALL of a query: arguments, columns and ROWS_PATH.

    Raises:
        MoltlerError: The arguments are too large (PLN005).
    """
    fields = request.entity.fields
    columns = [_column(p) for c in request.columns if (p := fields.find(c)) is not None]
    if request.keeps_unfit:
        columns.append([UNFIT, "unfit"])
    return _encoded(
        {
            "kind": "query",
            "credit": 1,
            "args": [
                config_of(target),
                filters_of(request),
                options_of(target, request),
            ],
            "columns": columns,
            "rows_path": request.entity.rows_path,
        }
    )


def _column(field: Property) -> list[JsonValue]:
    items = field.type.scalar_items
    return [field.name, field.type.name, *([items.name] if items is not None else [])]


def action_spec(target: ResolvedConnector, parameters: Mapping[str, JsonValue]) -> bytes:
    """Give the CALL of an action.

    Raises:
        MoltlerError: The arguments are too large (PLN005).
    """
    # A key that does not apply is absent, never null; what is inside a value is the caller's.
    given = {name: value for name, value in parameters.items() if value is not None}
    return _encoded({"kind": "value", "args": [config_of(target), given]})


def test_spec(target: ResolvedConnector) -> bytes:
    """Give the CALL of a TEST_HANDLER."""
    return _encoded({"kind": "value", "args": [config_of(target)]})


def config_of(target: ResolvedConnector) -> dict[str, JsonValue]:
    """Give the config as handlers see it: in schema order, secrets sealed (LANGUAGE §5.4)."""
    return dict(target.config if target.sealed_config is None else target.sealed_config)


def filters_of(request: ScanRequest) -> dict[str, JsonValue]:
    """Give ``filters``: fields tied to one value."""
    return {name: _scalar(value) for name, value in request.filters.items()}


def options_of(target: ResolvedConnector, request: ScanRequest) -> dict[str, object]:
    """Give ``options``: keys in their fixed order, absent where they do not apply."""
    options: dict[str, object] = {}
    if request.limit is not None:
        options["limit"] = request.limit
    if request.order_by:
        options["order_by"] = [
            {
                "field": key.field,
                "direction": "desc" if key.descending else "asc",
                **({"nulls": "first"} if key.nulls_first else {}),
            }
            for key in request.order_by
        ]
    if request.fields is not None:
        options["fields"] = list(request.fields)
    if request.where:
        options["where"] = [_node(predicate) for predicate in request.where]
    if request.since is not None:
        options["since"] = _since(request.since)
    if target.settings:
        options["settings"] = dict(target.settings)
    return options


def result_of(payload: bytes | bytearray) -> JsonValue:
    """Read what an action returned.

    Raises:
        MoltlerError: It is nested too deeply, or is not JSON that we can read (JSR004).
    """
    try:
        value = decode_json(payload)
        if _is_deeper(value, MAX_DEPTH):
            raise RecursionError
    except RecursionError:
        raise error_class("JSR004")(
            "JSR004",
            f"the handler returned a value that is nested more than {MAX_DEPTH} deep",
            hint="return less of what the API sent",
        ) from None
    except BadFrame as bad:
        raise error_class("JSR004")(
            "JSR004",
            f"the handler returned a value that cannot be read: {bad}",
            hint="return plain objects, arrays, texts, numbers, booleans or null",
        ) from None
    return _json(value)


def _encoded(spec: dict[str, object]) -> bytes:
    try:
        encoded = encode_json(spec)
    except RecursionError:
        raise error_class("PLN005")(
            "PLN005", "the arguments of the call are nested too deeply", hint="pass less"
        ) from None
    if len(encoded) > MAX_ARGUMENTS:
        raise error_class("PLN005")(
            "PLN005",
            f"the arguments of the call have {len(encoded):,} bytes; allowed are {MAX_ARGUMENTS:,}",
            hint="pass less at a time",
        )
    return encoded


def _node(predicate: Predicate) -> dict[str, object]:
    match predicate:
        case Condition(field, operator, value):
            node: dict[str, object] = {"field": field, "op": operator}
            if isinstance(value, tuple):
                node["value"] = [_scalar(v) for v in value]
            elif value is not None:
                node["value"] = _scalar(value)
            return node
        case AnyOf(members):
            return {"any": [_node(m) for m in members]}
        case AllOf(members):
            return {"all": [_node(m) for m in members]}
        case NotOf(member):
            return {"not": _node(member)}
        case EngineText(text):
            return {"op": "engine", "text": text}
    assert_never(predicate)


def _since(value: Scalar) -> JsonValue:
    """Give a lower bound; times are cut to milliseconds, so that it never moves up."""
    if isinstance(value, datetime):
        value = value.replace(microsecond=value.microsecond // 1000 * 1000)
    return _scalar(value)


def _scalar(value: Scalar) -> JsonValue:
    match value:
        case datetime():
            instant = value.astimezone(UTC).replace(tzinfo=None)
            unit = "microseconds" if instant.microsecond % 1000 else "milliseconds"
            return instant.isoformat(timespec=unit) + "Z"
        case date():
            return value.isoformat()
        case _:
            return value


def _is_deeper(value: object, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return False
        level = inner
    return True


def _json(value: object) -> JsonValue:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    raise BadFrame(type(value).__name__)
