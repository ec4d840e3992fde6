"""Protocols of everything outside, each of at most five methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from moltler.errors import Problem
from moltler.flow.budget import Account, Grant, Pace, Standing
from moltler.flow.connector import ResolvedConnector
from moltler.flow.http import HttpRequest, HttpResponse
from moltler.flow.scan import ScanOutcome, ScanRequest
from moltler.flow.sync import (
    Batch,
    Claim,
    Lease,
    Receipt,
    RolledBack,
    RunRecord,
    Scope,
    Swap,
    SyncedTable,
    SyncState,
)
from moltler.model import Action, Handler
from moltler.schema import JsonValue

if TYPE_CHECKING:
    import pyarrow as pa


class Clock(Protocol):
    """Wall clock and stopwatch."""

    def now(self) -> datetime:
        """Give the time, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        ...


class SecretStore(Protocol):
    """Secrets by name."""

    def get(self, name: str) -> str | None:
        """Give the value, or ``None`` if there is no such secret."""
        ...

    def put(self, name: str, value: str) -> None:
        """Store or replace a value."""
        ...


class TokenStore(Protocol):
    """Where the tokens of OAuth are kept; safe for threads."""

    def load(self, credential: str, *, durable: bool) -> str | None:
        """Give what was saved for a credential, or ``None``.

        Args:
            credential: What tells it apart from others; it may hold secrets.
            durable: Whether to ask what outlives this process.
        """
        ...

    def save(self, credential: str, state: str, *, durable: bool) -> None:
        """Save or replace; with `durable`, before it returns and for every process of the home."""
        ...

    def lock(self, credential: str) -> AbstractContextManager[None]:
        """Keep other threads and processes of the home from renewing; entering it may wait."""
        ...

    def now(self) -> datetime:
        """Give the time, aware and in UTC."""
        ...


class BudgetStore(Protocol):
    """Counts requests for every process of a home; safe for threads.

    All but `now` may touch files, so none of it belongs onto the loop thread.
    """

    def take(self, account: Account, pace: Pace, count: int) -> Grant:
        """Reserve the next turns of an account, after those that others have reserved."""
        ...

    def give_back(self, account: Account, grant: Grant) -> None:
        """Take turns back that nobody used, unless others have reserved later ones."""
        ...

    def look(self, account: Account) -> Standing:
        """Give what is known of an account."""
        ...

    def report(self, account: Account, part: str, until: float) -> None:
        """Note that an API takes no requests before a time.

        Args:
            account: Whose requests.
            part: Of the API; ``""`` for all of it.
            until: Seconds since the epoch.
        """
        ...

    def now(self) -> datetime:
        """Give the time, aware and in UTC."""
        ...


class Waits(Protocol):
    """Counts time that no time limit counts; read on the loop thread."""

    def read(self) -> float:
        """Give the seconds so far, with a wait that is still going on."""
        ...


class Transport(Protocol):
    """Sends the requests of one instance; lives on the loop thread."""

    @property
    def waits(self) -> Waits:
        """The time its requests spent in the queue and the throttle."""
        ...

    async def send(
        self, request: HttpRequest, *, before_write: Callable[[], None] | None = None
    ) -> HttpResponse:
        """Send a request and give the response once its head has arrived.

        Args:
            request: As the handler asked for it.
            before_write: Called in a worker thread, once, after a connection is open and before
                the first byte of a request other than GET and HEAD leaves.

        Raises:
            FetchFailure: There is no response.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class PageStream(Protocol):
    """The pages of one handler call, pulled by a synchronous caller in any thread.

    Pages are Arrow record batches that hold exactly the request's columns in their *wire*
    types (RUNTIME §6); `exec.pages` turns them into the declared types.
    """

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...
    def __next__(self) -> pa.RecordBatch: ...
    def close(self) -> None:
        """Stop the handler (its ``finally`` runs) and release the stream; may be repeated."""
        ...

    @property
    def outcome(self) -> ScanOutcome:
        """What is known so far; final after the last page or `close`."""
        ...


class ActionLog(Protocol):
    """Where the executions of actions are noted before and after they happen."""

    def open(self, connector: str, action: str, parameters: str) -> int:
        """Note that an action is about to run (PENDING) and give the id of its row."""
        ...

    def mark_sent(self, record: int) -> None:
        """Note, durably, that a request which may change something begins to leave (SENT)."""
        ...

    def close(
        self, record: int, outcome: Literal["OK", "FAILED", "UNKNOWN"], error: str | None = None
    ) -> None:
        """Note how an action ended."""
        ...


class WriteWatch(Protocol):
    """Told about the requests of one action that may change something (LANGUAGE §8.2)."""

    def stamped(self, request: HttpRequest) -> HttpRequest:
        """Give such a request as it should be sent."""
        ...

    def sent(self) -> None:
        """Note that one begins to leave; called in a worker thread, before its first byte."""
        ...

    def answered(self) -> None:
        """Note that its answer has begun to arrive; called on the loop thread."""
        ...

    def lost(self) -> None:
        """Note that the rest of its answer was lost; called on the loop thread."""
        ...


class Handlers(Protocol):
    """Runs the JavaScript of connectors for synchronous callers."""

    def query(self, target: ResolvedConnector, request: ScanRequest) -> PageStream:
        """Start a query handler; nothing runs before the first page is pulled."""
        ...

    def execute(
        self,
        target: ResolvedConnector,
        action: Action,
        parameters: Mapping[str, JsonValue],
        *,
        watch: WriteWatch | None = None,
    ) -> JsonValue:
        """Run an action and give what it returned; ``undefined`` is ``None``."""
        ...

    def test(self, target: ResolvedConnector) -> JsonValue:
        """Run the type's TEST_HANDLER."""
        ...

    def check(self, handler: Handler, entry: str) -> tuple[Problem, ...]:
        """Compile a handler without running it; tell what is wrong (DEF003, DEF005)."""
        ...

    def close(self) -> None:
        """End every process."""
        ...


class Writer(Protocol):
    """Writes one table of a destination; used by one thread at a time, `renew` by any.

    Every method raises `SyncError`: SNC004 if the lease's fence is no longer the scope's (first
    statement of each transaction, nothing was written), SNC006 if the destination refuses or
    cannot be reached, SNC007 if state cannot be read or understood. A failed call changes nothing
    and may be repeated.
    """

    def claim(
        self,
        scope: Scope,
        owner: str,
        *,
        ttl_s: float,
        is_dead: Callable[[str], bool],
        by_force: bool = False,
    ) -> Claim:
        """Take the lease of a scope and raise its fence, in a transaction of its own.

        Args:
            scope: On this writer's table.
            owner: Who asks; a text for `is_dead`.
            ttl_s: Seconds until the lease runs out, by the destination's clock if it has one.
            is_dead: Tells of the present owner whether it certainly runs no more; such a lease,
                one that has run out and one of the same owner are taken over at once.
            by_force: Take it in any case.

        Returns:
            The lease, or who holds it.
        """
        ...

    def renew(self, lease: Lease, *, ttl_s: float) -> None:
        """Put off the end of a lease; every commit does so as well."""
        ...

    def commit(self, batch: Batch, lease: Lease, *, ttl_s: float) -> Receipt:
        """Commit a batch.

        Raises:
            SyncError: Also SNC003, `Presence` would delete too much; SNC004 as well if its
                generation, not the first batch of it, is gone.
        """
        ...

    def swap(self, swap: Swap, lease: Lease) -> Receipt:
        """Make a generation visible; `deleted` counts rows that were live before and are gone.

        Raises:
            SyncError: Also SNC003, the generation has too few rows; it is dropped then.
        """
        ...

    def release(self, lease: Lease, record: RunRecord, state: SyncState | None = None) -> None:
        """Give a lease up, write how the run ended and, if given, the scope's state."""
        ...


class SyncedTables(Protocol):
    """The tables of a destination, for SELECT; reading is the destination's own affair."""

    def tables(self) -> tuple[SyncedTable, ...]:
        """Give the synced tables by name."""
        ...


class Destination(SyncedTables, Protocol):
    """A store that syncs write to; safe for threads."""

    @property
    def takes_nul(self) -> bool:
        """Whether texts may hold the character NUL.

        Otherwise rows with it are unfit, and never come in a batch.
        """
        ...

    def writer(self, table: str) -> Writer:
        """Give the writer of a table, which need not exist yet; opens nothing."""
        ...

    def note(self, record: RunRecord) -> None:
        """Write a run that never had a lease."""
        ...

    def rollback(self, table: str) -> RolledBack:
        """Let the visible generation and the kept one trade places, states and owners too.

        Raises the fences of all scopes of the table, so that no running sync goes on.

        Raises:
            LookupFailed: CAT002, no such table; CAT008, no earlier generation is kept.
        """
        ...

    def history(self, connector: str | None, limit: int | None) -> tuple[RunRecord, ...]:
        """Give the runs of one connector (ignoring case) or of all, the latest first."""
        ...

    def close(self) -> None:
        """Release what is open; may be repeated."""
        ...
