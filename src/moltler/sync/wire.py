"""Sync state as JSON text, the form in which destinations keep it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import cast

from moltler.errors import SyncError
from moltler.flow.predicate import Scalar
from moltler.flow.sync import StoredColumn, SyncState
from moltler.schema import TYPE_NAMES, DataType

_ARRAY = re.compile(r"array<(.+)>")
_VERSION = 1


def encode_state(state: SyncState) -> str:
    """Give a state as JSON text; `decode_state` reads it back unchanged."""
    return json.dumps(
        {
            "version": _VERSION,
            "generation": state.generation,
            "primary_key": list(state.primary_key),
            "cursor_field": state.cursor_field,
            "cursor_type": None if state.cursor_type is None else str(state.cursor_type),
            "watermark": encode_scalar(state.watermark),
            "deletes_field": state.deletes_field,
            "suspended_until": encode_scalar(state.suspended_until),
            "resume": encode_scalar(state.resume),
            "resume_generation": state.resume_generation,
        },
        ensure_ascii=False,
    )


def decode_state(text: str) -> SyncState:
    """Read a state.

    Raises:
        SyncError: SNC007, it is not what `encode_state` wrote.
    """
    try:
        found = json.loads(text)
        if found["version"] != _VERSION:
            raise ValueError(f"version {found['version']}")
        cursor_type = found["cursor_type"]
        suspended = decode_scalar(found["suspended_until"])
        if not isinstance(suspended, datetime | None):
            raise TypeError("suspended_until")
        return SyncState(
            generation=int(found["generation"]),
            primary_key=tuple(str(name) for name in found["primary_key"]),
            cursor_field=found["cursor_field"],
            cursor_type=None if cursor_type is None else decode_type(cursor_type),
            watermark=decode_scalar(found["watermark"]),
            deletes_field=found["deletes_field"],
            suspended_until=suspended,
            resume=decode_scalar(found["resume"]),
            resume_generation=found["resume_generation"],
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _unreadable(text) from error


def encode_columns(columns: Sequence[StoredColumn]) -> str:
    """Give columns as JSON text, in order."""
    return json.dumps([[c.name, str(c.type)] for c in columns], ensure_ascii=False)


def decode_columns(text: str) -> tuple[StoredColumn, ...]:
    """Read columns.

    Raises:
        SyncError: SNC007.
    """
    try:
        return tuple(StoredColumn(str(n), decode_type(t)) for n, t in json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise _unreadable(text) from error


def encode_scalar(value: Scalar | None) -> object:
    """Give a value as JSON that still says what type it has: times as one-key documents."""
    match value:
        case datetime():
            return {"timestamp": value.astimezone(UTC).isoformat(timespec="microseconds")}
        case date():
            return {"date": value.isoformat()}
        case _:
            return value


def decode_scalar(found: object) -> Scalar | None:
    """Read a value.

    Raises:
        ValueError: It is nothing that `encode_scalar` gives.
    """
    match found:
        case None | bool() | int() | float() | str():
            return found
        case {"timestamp": str(text)}:
            return datetime.fromisoformat(text).astimezone(UTC)
        case {"date": str(text)}:
            return date.fromisoformat(text)
        case _:
            raise ValueError(f"not a value: {found}")


def decode_type(text: str) -> DataType:
    """Read a type from its text (`str(DataType)`); a document's properties are not in it.

    >>> str(decode_type("array<array<date>>"))
    'array<array<date>>'

    Raises:
        ValueError: There is no such type.
    """
    nested = _ARRAY.fullmatch(text)
    if nested:
        return DataType("array", decode_type(nested[1]))
    names = cast("Mapping[str, object]", TYPE_NAMES)
    if text not in names:
        raise ValueError(f"no type: {text}")
    return DataType(TYPE_NAMES[text])


def _unreadable(text: str) -> SyncError:
    return SyncError(
        "SNC007",
        f"the sync state in the destination cannot be understood: {text[:80]}",
        hint="restore the destination's `_moltler_` tables from a backup, or run the sync with"
        " FULL into another table",
    )
