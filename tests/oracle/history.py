"""Histories of an API and of the syncs that copy it: made of a seed, kept as JSON, replayed."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Order = Literal["claimed", "ascending", "by id", "random"]


@dataclass(frozen=True)
class Api:
    """How an API is, for all of a history."""

    page_size: int = 3
    order: Order = "claimed"
    """``claimed``: ascending by cursor, as PUSHDOWN promises."""
    honours_since: bool = True
    tick_s: float = 1.0
    """Its stamps are cut to multiples of this: rows share them."""
    skew_s: float = 0.0
    """Its clock less ours."""
    repeats: bool = False
    """Some pages come twice."""
    in_time: float = 4.0
    """Rows become visible at the latest so many seconds after their stamp."""


@dataclass(frozen=True)
class Sync:
    """How the sync is asked for, for all of a history."""

    lookback_s: float | None = None
    deletes: Literal["NONE", "FIELD", "SWEEP"] = "NONE"
    batch_rows: int = 4
    cursor: Literal["timestamp", "integer"] = "timestamp"
    is_incremental: bool = True


@dataclass(frozen=True)
class Fault:
    """What happens when a page is asked for, counted over the run."""

    page: int
    kind: Literal[
        "refused", "sent away", "broken", "insert", "update", "crash before", "crash after"
    ]
    """``refused``: 429, Retry-After 2; ``sent away``: 429, Retry-After 3600; ``broken``: the
    connection; ``insert`` and ``update``: rows change between two pages; the crashes: the program
    dies before or after its next commit."""
    seed: int = 0


@dataclass(frozen=True)
class Step:
    """One thing that happens."""

    do: Literal[
        "advance", "insert", "update", "delete", "late", "future", "null", "schema", "sync",
        "full", "backfill",
    ]  # fmt: skip
    number: int = 0
    """Seconds, a row or a seed, as it needs."""
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class History:
    """An API, a sync of it, and what happens to both."""

    api: Api
    sync: Sync
    steps: tuple[Step, ...]
    seed: int | None = field(default=None, compare=False)

    def to_json(self) -> str:
        """Give it as text for a file."""
        return json.dumps(asdict(self), indent=1)


def read_history(text: str) -> History:
    """Read what `History.to_json` wrote."""
    found: dict[str, Any] = json.loads(text)
    steps = tuple(
        Step(s["do"], s["number"], tuple(Fault(**f) for f in s["faults"])) for s in found["steps"]
    )
    return History(Api(**found["api"]), Sync(**found["sync"]), steps, found["seed"])


def generate(seed: int) -> History:
    """Give the history of a seed."""
    draw = random.Random(seed)
    cursor: Any = draw.choices(["timestamp", "integer"], [4, 1])[0]
    orders: Sequence[Order] = ("claimed", "ascending", "by id", "random")
    api = Api(
        page_size=draw.choice([1, 2, 3, 5, 50]),
        order=draw.choices(orders, [4, 1, 2, 2])[0],
        honours_since=draw.random() < 0.7,
        tick_s=draw.choice([0.001, 1.0, 10.0]) if cursor == "timestamp" else 0.0,
        skew_s=draw.choice([0.0, 0.0, -3600.0, -7.0, 7.0, 3600.0]),
        repeats=draw.random() < 0.3,
    )
    sync = Sync(
        lookback_s=draw.choice([None, 0.0, 30.0]) if cursor == "timestamp" else None,
        deletes=draw.choice(["NONE", "FIELD", "SWEEP"]),
        batch_rows=draw.choice([1, 3, 4, 1000]),
        cursor=cursor,
        is_incremental=draw.random() < 0.9,
    )
    if not sync.is_incremental:
        sync = replace(sync, deletes="NONE", lookback_s=None)
    kinds = ["advance", "insert", "update", "delete", "late", "future", "null", "schema", "sync",
             "full", "backfill"]  # fmt: skip
    weights = [8, 6, 7, 2, 3, 0.5, 0.5, 0.7, 7, 0.7, 0.5]
    chosen = draw.choices(kinds, weights, k=draw.randint(10, 40))
    steps = [Step("insert", draw.randint(0, 9)) for _ in range(draw.randint(1, 6))]
    for kind in ["sync", *chosen, "advance", "sync"]:
        faults = _faults(draw) if kind in {"sync", "full", "backfill"} else ()
        number = draw.choice([1, 2, 7, 11, 600]) if kind == "advance" else draw.randint(0, 999)
        steps.append(Step(kind, number, faults))  # type: ignore[arg-type] # one of the words
    # What was wrong on the way must be right after one undisturbed run.
    steps += [Step("advance", 3601), Step("sync")]
    return History(api, sync, tuple(steps), seed)


def _faults(draw: random.Random) -> tuple[Fault, ...]:
    if draw.random() < 0.55:
        return ()
    kinds: Sequence[Any] = [
        "refused", "sent away", "broken", "insert", "update", "crash before", "crash after",
    ]  # fmt: skip
    return tuple(
        Fault(draw.randint(0, 6), draw.choice(kinds), draw.randint(0, 999))
        for _ in range(draw.randint(1, 3))
    )


def without(history: History, index: int) -> History:
    """Give a history without one of its steps."""
    return replace(history, steps=(*history.steps[:index], *history.steps[index + 1 :]))
