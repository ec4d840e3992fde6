"""Runs and receipts as JSON text, the form in which destinations keep them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from moltler.errors import SyncError
from moltler.flow.sync import Receipt, RunRecord, Scope
from moltler.sync.wire import decode_columns, decode_scalar, encode_columns, encode_scalar

_COUNTS = ("inserted", "updated", "unchanged", "deleted", "quarantined")


def encode_record(record: RunRecord) -> str:
    """Give a run as JSON text; `decode_record` reads it back unchanged."""
    found = asdict(record)
    for name in ("started", "ended", "watermark_before", "watermark", "due"):
        found[name] = encode_scalar(found[name])
    return json.dumps(found, ensure_ascii=False)


def decode_record(text: str) -> RunRecord:
    """Read a run.

    Raises:
        SyncError: SNC007.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        scope: dict[str, Any] = found["scope"]
        bounds = scope["backfill"]
        started: object = decode_scalar(found["started"])
        ended: object = decode_scalar(found["ended"])
        due: object = decode_scalar(found.get("due"))
        if not isinstance(started, datetime):
            raise TypeError("times of a run")
        if not isinstance(ended, datetime | None) or not isinstance(due, datetime | None):
            raise TypeError("times of a run")
        scope["backfill"] = tuple(bounds) if bounds else None
        found["scope"] = Scope(**scope)
        found["started"], found["ended"], found["due"] = started, ended, due
        for name in ("watermark_before", "watermark"):
            found[name] = decode_scalar(found[name])
        return RunRecord(**found)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise SyncError(
            "SNC007",
            f"a run in the destination's history cannot be understood: {text[:80]}",
            hint="it was written by another version, or changed by hand",
        ) from error


def encode_receipt(receipt: Receipt) -> str:
    """Give a receipt as JSON text."""
    counts = {name: getattr(receipt, name) for name in _COUNTS}
    return json.dumps({**counts, "columns": encode_columns(receipt.columns)})


def decode_receipt(text: str) -> Receipt:
    """Read the receipt of a batch that was committed before.

    Raises:
        SyncError: SNC007.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        return Receipt(
            *(int(found[name]) for name in _COUNTS),
            is_repeat=True,
            columns=decode_columns(found["columns"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise SyncError(
            "SNC007", f"a receipt in the destination cannot be understood: {text[:80]}"
        ) from error
