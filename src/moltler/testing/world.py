"""The world of one test: services of its own over those of a session."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, cast

from moltler.catalog.catalog import LOCAL_DESTINATION, Catalog
from moltler.catalog.references import references_in
from moltler.errors import LookupFailed, MoltlerError, Span, error_class
from moltler.exec.cache import ScanCache
from moltler.exec.duck import Connection, Engine
from moltler.exec.retry import RetryingHandlers, RetryPolicy, sleep
from moltler.exec.scope import Scope
from moltler.flow.connector import ResolvedConnector
from moltler.flow.sync import RunRecord
from moltler.model import ConnectorType, Handler
from moltler.net.contacts import Contacts
from moltler.plan.memory import PlanMemory
from moltler.ports import Clock, Destination, Handlers, SecretStore, SyncedTables, Transport
from moltler.sandbox.coverage import Lines
from moltler.secret import Secret, redact
from moltler.testing.clock import TestClock
from moltler.testing.memory import MemoryJournal, MemorySecrets, NoBudget
from moltler.testing.tape import Tape
from moltler.vault.lookup import ENVIRONMENT_PREFIX

_INTERRUPT_AGAIN_S = 0.05
_MASTER_KEY = "MOLTLER_KEY"
"""Opens every stored secret, so no test gets to see it."""

OpenTransport = Callable[[ResolvedConnector], Transport]


class Room(Handlers, Protocol):
    """The JavaScript of one test (`sandbox.handler`)."""

    def advance(self, ms: float) -> None:
        """Move the clock of its handlers on."""
        ...

    def set_virtual(self, now_ms: float, seed: int, *, is_instant: bool = True) -> None:
        """Make the clock stand, and random numbers repeat."""
        ...

    @property
    def virtual_now_ms(self) -> float | None:
        """The time, if the clock stands."""
        ...

    def coverage(self) -> Mapping[Handler, Lines]:
        """Tell which lines of handlers ran, if that was asked for."""
        ...


class Host(Protocol):
    """What a session lends to its tests."""

    @property
    def home(self) -> Path:
        """The folder of the session."""
        ...

    @property
    def environ(self) -> Mapping[str, str]:
        """The process environment."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether actions are refused."""
        ...

    @property
    def clock(self) -> Clock:
        """The real clock."""
        ...

    @property
    def secrets(self) -> SecretStore:
        """The stored secrets, for tests without mocks."""
        ...

    @property
    def engine(self) -> Engine:
        """DuckDB."""
        ...

    def scratch_destination(self, path: Path, clock: Clock) -> Destination:
        """Give a destination in a file that is about to go."""
        ...

    def stored_type(self, name: str, tables: SyncedTables) -> ConnectorType:
        """Give synced tables as if they were entities."""
        ...

    def with_stored(self, handlers: Handlers, give: Callable[[str], Destination]) -> Handlers:
        """Give handlers that also answer scans of destinations."""
        ...

    def open_room(self, open_transport: OpenTransport, *, covers: bool = False) -> Room:
        """Give a runtime of its own to a test, which may find out which lines run."""
        ...

    def open_transport(self, target: ResolvedConnector) -> Transport:
        """Open the real network, for tests without mocks."""
        ...

    def print(self, text: str) -> None:
        """Write one line for the user."""
        ...


class Environ(dict[str, str]):
    """The environment of a test; remembers what was asked for and is not set."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.unset: dict[str, None] = {}
        self.asked: dict[str, str | None] = {}
        """What was asked for, and what it was."""

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override] # one form of dict.get
        """Give a variable; one that is unset and has no default is remembered."""
        found = super().get(key)
        if not key.startswith(ENVIRONMENT_PREFIX):
            self.asked[key] = found
        if found is None and default is None and not key.startswith(ENVIRONMENT_PREFIX):
            self.unset[key] = None
        return found if found is not None else default


class Skipped(Exception):  # noqa: N818 - an outcome, not a failure
    """The test does not apply here; the message is the reason."""


class World:
    """The services of one test (`session.services.Services`); nothing in it outlives the test.

    Args:
        host: The session's.
        catalog: The types the test sees; drafts count as registered.
        environ: ENV clause over the process environment.
        secrets: Of the clause SECRETS.
        tape: Where the answers come from.
        timeout: For body and teardown together.
        covers: Find out which lines of handlers run.
    """

    def __init__(
        self,
        host: Host,
        catalog: Catalog,
        environ: Mapping[str, str],
        secrets: Mapping[str, str],
        tape: Tape,
        *,
        timeout: timedelta,
        covers: bool = False,
    ) -> None:
        self.home = host.home
        self.read_only = host.read_only and not tape.mock.is_mocked
        """A real API is not changed by a session that only reads."""
        mock, still = tape.mock, tape.stillness
        self.room = host.open_room(mock.transport, covers=covers)
        self.clock = TestClock(host.clock)
        if still is not None:
            self.room.set_virtual(
                still.started.timestamp() * 1000, still.seed, is_instant=still.is_instant
            )
            self.clock = TestClock(host.clock, lambda: self.room.virtual_now_ms)
        mock.tokens.now = self.clock.now
        hides = tape.hides_environment
        self.environ = Environ(
            {
                name: value
                for name, value in environ.items()
                if name != _MASTER_KEY and not (hides and _names_secret(name))
            }
        )
        self.catalog = _TestCatalog(catalog)
        self.secrets = MemorySecrets(secrets, self.clock, tape.secrets)
        self.journal = MemoryJournal(self.clock)
        self.budget = NoBudget()
        self.contacts = Contacts(self.clock.now)
        self.mock = mock
        self.entities: set[str] = set()
        self.actions: set[str] = set()
        self.scope = Scope()
        """Body and teardown share their variables."""
        self.asserted = 0
        self.broken: MoltlerError | None = None
        """The first assertion that failed; no CATCH makes it good."""
        self.cache = ScanCache(self.clock)
        self.plans = PlanMemory()
        # Where the answers are made up or recorded, nobody needs to wait for them.
        is_instant = mock.is_mocked or (still is not None and still.is_instant)
        policy = RetryPolicy(self.clock, self._skip if is_instant else sleep)
        live = self.cache.over(RetryingHandlers(self.room, policy))
        self.handlers: Handlers = host.with_stored(live, self.destination)
        """The JavaScript of the test's connectors, with retries and a cache of its own."""
        self._destination: Destination | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._host = host
        self._timeout = timeout
        self._engine = _WatchedEngine(host.engine, None if still is None else still.seed)
        self._expired = threading.Event()
        self._over = threading.Event()
        self._start_timer(timeout)

    # ── services ─────────────────────────────────────────────────────────────────────────────

    @property
    def engine(self) -> Engine:
        """DuckDB, stopped when the time is up."""
        return self._engine

    @property
    def bare_handlers(self) -> Handlers:
        """The JavaScript of the test's connectors, without retries and cache."""
        return self.room

    def destination(self, name: str) -> Destination:
        """Give the destination of the test, whose tables vanish with it.

        Raises:
            LookupFailed: CAT008, it is another one.
        """
        if name.lower() != LOCAL_DESTINATION:
            raise LookupFailed(
                "CAT008",
                f"a test has no destination `{name}`",
                hint="sync into a table of the test's own: TO table",
                allowed=(LOCAL_DESTINATION,),
            )
        if self._destination is None:
            self._folder = TemporaryDirectory(prefix="moltler-test-")
            path = Path(self._folder.name, "data.duckdb")
            self._destination = self._host.scratch_destination(path, self.clock)
        return self._destination

    def synced(self, destination: str) -> ConnectorType:
        """Give the synced tables of the test as if they were entities."""
        if self._destination is None and destination.lower() == LOCAL_DESTINATION:
            return ConnectorType(destination)
        return self._host.stored_type(destination, self.destination(destination))

    def watch_sync(self, record: RunRecord) -> None:
        """Take no notice: tests are watched as a whole."""

    def print(self, text: str) -> None:
        """Write one line for the user."""
        self._host.print(text)

    def close(self) -> None:
        """End what the test left running; may be repeated."""
        self._over.set()
        self._timer.cancel()
        self.room.close()
        destination, self._destination = self._destination, None
        if destination is not None:
            destination.close()
        if self._folder is not None:
            self._folder.cleanup()

    # ── what only tests have ─────────────────────────────────────────────────────────────────

    def advance(self, by: timedelta) -> None:
        """Move the clock of the test."""
        self.clock.advance(by)
        self.room.advance(by / timedelta(milliseconds=1))

    def _skip(self, seconds: float, _is_over: threading.Event) -> None:
        self.advance(timedelta(seconds=seconds))

    def note_assertion(self, error: MoltlerError | None) -> None:
        """Count an assertion, and keep the first that failed."""
        self.asserted += 1
        if error is not None and self.broken is None:
            self.broken = error

    def secret_variables(self) -> set[str]:
        """Give the variables of the environment that its connectors take secrets from."""
        connectors = self.catalog.load().connectors.values()
        return {reference.name for c in connectors for reference in c.env.values()}

    def check_time(self) -> None:
        """Fail once the time is up.

        Raises:
            AssertionFailed: TST008.
        """
        if self._expired.is_set():
            raise self.out_of_time()

    @property
    def is_out_of_time(self) -> bool:
        """Whether the TIMEOUT has passed."""
        return self._expired.is_set()

    def out_of_time(self) -> MoltlerError:
        """Give the error TST008."""
        return error_class("TST008")(
            "TST008",
            f"the test did not finish within {self._timeout.total_seconds():g} s",
            hint="look for a loop that does not end, or raise TIMEOUT",
        )

    def check_environment(self) -> None:
        """Skip the test if it read variables that are not set, before its first request.

        Raises:
            Skipped: Naming the variables.
        """
        if self.environ.unset and not self.mock.calls:
            names = list(self.environ.unset)
            verb = "is" if len(names) == 1 else "are"
            raise Skipped(f"{' and '.join(names)} {verb} not set")

    def revive(self, grace: timedelta) -> None:
        """Give a test that is out of time a little more, and a new runtime, to clean up."""
        self._timer.cancel()
        self.room.close()
        self.room = self._host.open_room(self.mock.transport)
        self.handlers = self.room
        self._expired.clear()
        self._start_timer(grace)

    def calls_of(self, key: str, span: Span | None = None) -> list[dict[str, object]]:
        """Give the requests of a route; secrets of a real API are masked, those of mocks shown."""
        calls = cast("list[dict[str, object]]", self.mock.calls_of(key, span))
        if self.mock.is_mocked:
            return calls
        return [cast("dict[str, object]", _masked(call, self._secrets_in_use())) for call in calls]

    def _secrets_in_use(self) -> tuple[Secret, ...]:
        names = {
            name
            for connector in self.catalog.load().connectors.values()
            for _, name in references_in(connector.config)
        }
        found = {name: self.secrets.get(name) for name in sorted(names)}
        found |= {name: self.environ.get(name) for name in self.secret_variables()}
        return tuple(Secret(name, value) for name, value in found.items() if value)

    def _start_timer(self, timeout: timedelta) -> None:
        self._timer = threading.Timer(timeout.total_seconds(), self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        self._expired.set()
        self.room.close()
        # DuckDB forgets an interrupt that comes before it has begun, so it is told again.
        while self._expired.is_set() and self._engine.interrupt():
            self._over.wait(_INTERRUPT_AGAIN_S)


class _TestCatalog:
    """The catalog of a test: a copy in which every draft is registered, without instances."""

    def __init__(self, catalog: Catalog) -> None:
        types = {
            name: replace(entry, registered=entry.draft, revision=entry.revision + 1)
            for name, entry in catalog.types.items()
        }
        self._catalog = replace(catalog, types=types, connectors={}, syncs={}, destinations={})

    def load(self) -> Catalog:
        """Give the catalog as it is now."""
        return self._catalog

    def update(self, change: Callable[[Catalog], Catalog]) -> Catalog:
        """Change the copy."""
        self._catalog = change(self._catalog)
        return self._catalog


class _WatchedEngine(Engine):
    """The engine of the session, whose queries for this test can be stopped.

    Args:
        engine: The session's.
        seed: What random values of its queries come from, if they are to repeat.
    """

    def __init__(self, engine: Engine, seed: int | None) -> None:
        super().__init__()
        self._shared = engine
        # Each query has other values than the one before, so one draws the seeds of the others.
        self._seeds = None if seed is None else random.Random(seed)  # noqa: S311 - no secret
        self._open: set[Connection] = set()

    @contextmanager
    def open(self) -> Generator[Connection]:
        """Give a connection for one query."""
        with self._shared.open() as connection:
            if self._seeds is not None:
                connection.seed(self._seeds.random())
            self._open.add(connection)
            try:
                yield connection
            finally:
                self._open.discard(connection)

    def interrupt(self) -> bool:
        """Stop what runs; tell whether anything did."""
        running = list(self._open)
        for connection in running:
            connection.interrupt()
        return bool(running)


def _masked(value: object, secrets: tuple[Secret, ...]) -> object:
    match value:
        case str():
            return redact(value, secrets)
        case dict():
            return {key: _masked(item, secrets) for key, item in value.items()}
        case list():
            return [_masked(item, secrets) for item in value]
        case _:
            return value


def _names_secret(name: str) -> bool:
    return name.startswith(ENVIRONMENT_PREFIX)
