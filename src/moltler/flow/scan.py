"""One reading of one entity: what is asked of a handler, and what is known at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from moltler.flow.predicate import OrderKey, Predicate, Scalar
from moltler.model import Entity
from moltler.schema import TypeName

IncompleteReason = Literal["page_cap", "possibly_incomplete"]
MOST_KEYS = 1_000
"""Distinct keys that one scan hands to another; more are not handed over (LANGUAGE §6.6)."""
KEYS_PER_CALL = 50
"""Keys of one call whose handler takes lists."""
UNFIT = "?unfit"
"""The last column of wire pages if `ScanRequest.keeps_unfit`: NULL, or for a row that does not fit
a JSON document with its ``raw`` text and the ``reason``. No field can have that name."""


@dataclass(frozen=True, slots=True)
class LocalConjunct:
    """A condition over one scan that only the engine checks, and the rule that keeps it here."""

    text: str
    """Normalised SQL."""
    rule: str
    """``P1`` to ``P6``, or ``value`` where no predicate says the same."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Where the keys of one field come from that a scan is called with (LANGUAGE §6.6).

    Either from rows of another scan, which is read first, or from a list in the text.
    """

    field: str
    """Of the scan that is fed."""
    operator: Literal["in", "="]
    """``in``: up to `KEYS_PER_CALL` keys a call; ``=``: one call for each key."""
    driver: str | None = None
    """The scan that the keys come from, by its name in the plan; ``None`` for `values`."""
    column: str | None = None
    """The driver's field."""
    values: tuple[Scalar, ...] = ()
    """The distinct values of a list in the text."""
    is_required: bool = False
    """The handler cannot be called without it, so too many keys are an error."""
    group: int = 0
    """Feeds by ``=`` of the same number take their keys from the same rows: one call for each
    combination there is."""


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """One table reference of a query, as planned."""

    scan: str
    """Its name in `QueryPlan.sql`, unique in the plan: ``scan_0``."""
    connector: str
    """The instance's name as spelled in the catalog."""
    entity: Entity
    columns: tuple[str, ...]
    """Fields the SQL reads from this scan, declared spelling and order; never filter_only ones."""
    fields: tuple[str, ...] | None = None
    """The hint ``options.fields``; ``None`` for ``*``."""
    filters: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    """Equality with a constant, by declared field name in declared order."""
    where: tuple[Predicate, ...] = ()
    """Every conjunct over this scan, in the order of the text."""
    order_by: tuple[OrderKey, ...] = ()
    limit: int | None = None
    """LIMIT + OFFSET if the rule allows handing it over."""
    limit_is_claimed: bool = False
    """The author vouches for limit, every conjunct and every sort key: no second call."""
    check_sql: str | None = None
    """SQL that counts, over the scan's rows, those that pass WHERE. ``None`` if there is none, or
    it is about more than this scan; a scan with a limit has it whenever there is a WHERE."""
    is_empty: bool = False
    """The conditions contradict each other, or LIMIT is 0: no rows, and no call."""
    local: tuple[LocalConjunct, ...] = ()
    """Conditions over this scan that were not handed over, for EXPLAIN."""
    through: frozenset[str] = frozenset()
    """Documents that the SQL only passes on, by declared name: they stay JSON text."""
    limit_rule: str | None = None
    """``L1`` to ``L6``: what forbids to hand over the LIMIT there is; ``None`` if it is handed
    over or there is none."""
    feeds: tuple[Feed, ...] = ()
    """Keys that the scan is called with, besides `where`: such a scan takes several calls."""
    since: Scalar | None = None
    """The lower bound of an incremental sync (``options.since``); it stands in `where` as well."""
    keeps_unfit: bool = False
    """Rows that do not fit are told apart instead of ending the scan; see `UNFIT`."""
    admit: Callable[[], Exception | None] | None = field(default=None, compare=False, repr=False)
    """Asked before each HTTP request of the handler, on any thread: an error ends the scan, and
    the request is not sent."""
    keys_sql: str | None = None
    """For a scan whose keys feed others: SQL that gives, over its rows, the distinct keys of
    those that pass its own conditions. ``None`` if every row's keys count."""


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - the word of the language (LANGUAGE §6.7)
    """Something the user should know although the statement succeeded."""

    code: str
    """For example ``handler_returned_nothing``."""
    message: str
    source: str | None = None
    """The connector and entity, or the position, it is about."""


@dataclass(frozen=True, slots=True)
class ScanOutcome:
    """What is known when a scan has ended or was closed."""

    incomplete_reason: IncompleteReason | None = None
    warnings: tuple[Warning, ...] = ()
    rows: int = 0
    pages: int = 0
    requests: int = 0
    """HTTP requests the handler made."""
    has_ended: bool = True
    """False if the consumer closed it before its end."""
    api_s: float = 0.0
    """Seconds in which a request was on its way, waits for `rate_limit` included."""
    call_s: float = 0.0
    """Seconds in which the handler ran or waited for a response."""
    retries: int = 0
    """Requests or calls that were made again after a failure."""
    is_cached: bool = False
    """Its rows were kept from an earlier scan, and no handler ran."""
    server_time: datetime | None = None
    """The ``Date`` of the first response, if it had one."""


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """A SELECT ready to run: SQL over scans."""

    sql: str
    """DuckDB SQL; every table reference is a scan's name or plain SQL."""
    parameters: Mapping[str, object]
    """Values bound to ``$name`` in `sql`."""
    scans: tuple[ScanRequest, ...]
    warnings: tuple[Warning, ...] = ()
    through: Mapping[int, TypeName] = field(default_factory=dict[int, TypeName])
    """Columns of the result, by position, that are document fields, and their declared type."""

    @property
    def drivers(self) -> frozenset[str]:
        """The scans that are read first, because their keys feed others."""
        return frozenset(f.driver for s in self.scans for f in s.feeds if f.driver is not None)

    @property
    def in_order(self) -> tuple[ScanRequest, ...]:
        """The scans in the order of execution: each behind those that feed it."""
        ordered: list[ScanRequest] = []
        placed: set[str] = set()
        waiting = list(self.scans)
        while waiting:
            # The planner never lets scans feed each other in a circle.
            free = next(
                s for s in waiting if all(f.driver is None or f.driver in placed for f in s.feeds)
            )
            waiting.remove(free)
            ordered.append(free)
            placed.add(free.scan)
        return tuple(ordered)
