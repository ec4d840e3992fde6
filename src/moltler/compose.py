"""The only place that picks concrete parts and reads the process environment."""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from moltler.catalog.budget import BudgetFile
from moltler.catalog.catalog import LOCAL_DESTINATION
from moltler.catalog.destinations import destination, destination_type
from moltler.catalog.home import find_home
from moltler.catalog.journal import Journal
from moltler.catalog.resolve import resolve
from moltler.catalog.store import CatalogFile
from moltler.errors import SyncError
from moltler.flow.connector import ResolvedConnector
from moltler.flow.sync import RunRecord
from moltler.loop import LoopThread
from moltler.net.contacts import Contacts
from moltler.plan.memory import PlanMemory
from moltler.session.session import Session
from moltler.vault.lookup import lookup_secret
from moltler.vault.store import SecretFile
from moltler.vault.tokens import HomeTokens

if TYPE_CHECKING:
    from moltler.exec.cache import ScanCache
    from moltler.exec.duck import Engine
    from moltler.flow.http import HttpRequest
    from moltler.model import ConnectorType
    from moltler.net.client import HttpTransport
    from moltler.net.settings import NetSettings
    from moltler.net.web import WebAnswer
    from moltler.ports import Clock, Destination, Handlers, SyncedTables, Transport
    from moltler.registry.folder import Folder
    from moltler.sandbox.handler import JavaScriptHandlers
    from moltler.sandbox.room import TestRoom
    from moltler.sandbox.spares import Spares
    from moltler.sandbox.walls import Wall
    from moltler.session.registries import Consent
    from moltler.sync.relational import RelationalDestination

_REGISTRY_BYTES = 20_000_001
_REGISTRY_S = 30.0
"""For one request to a registry, with its answer."""


class SystemClock:
    """The machine's clock (`ports.Clock`)."""

    def now(self) -> datetime:
        """Give the time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        return time.monotonic()


def connect(home: str | Path | None = None) -> Session:
    """Open a session.

    Args:
        home: The folder with catalog and secrets; without it the one that the command line
            would use. Nothing is written before it is needed.
    """
    return open_session(home=home)


def open_session(
    *,
    home: str | Path | None = None,
    read_only: bool = False,
    log: Callable[[str], None] | None = None,
    echo: Callable[[str], None] | None = None,
    watch: Callable[[Handlers], Handlers] | None = None,
    ask_consent: Callable[[Consent], bool] | None = None,
    watch_sync: Callable[[RunRecord], None] | None = None,
    prewarm: bool = False,
) -> Session:
    """Open a session as a door wants it.

    Args:
        home: As for `connect`.
        read_only: Refuse every action and sync.
        log: Takes what handlers print, a line at a time.
        echo: Takes what PRINT writes; standard output without it.
        watch: Wraps the handlers, as a door does that shows how far a scan is.
        ask_consent: Asks whoever sits there what a package may do; without it nobody is asked.
        watch_sync: Told how far syncs are, in their threads.
        prewarm: Begin to start a runtime process now, while libraries load.
    """
    environ = os.environ  # live: a variable that is set later counts at the next use
    parts = _Parts(
        find_home(home, environ, Path.cwd()),
        environ,
        read_only=read_only,
        log=log,
        echo=echo,
        watch=watch,
        ask_consent=ask_consent,
        watch_sync=watch_sync,
    )
    if prewarm:
        parts.spares.prewarm()
    session = Session(parts)
    # For whoever forgets to close it: when it is dropped, or the program ends.
    weakref.finalize(session, parts.abandon, os.getpid())
    return session


def open_folder(root: Path) -> Folder:
    """Give the registry in a folder, to serve it."""
    from moltler.registry.folder import Folder

    return Folder(root.expanduser().absolute(), SystemClock())


class _Parts:
    """The parts of a session (`session.services.Services`); heavy ones open late."""

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str],
        *,
        read_only: bool,
        log: Callable[[str], None] | None,
        echo: Callable[[str], None] | None,
        watch: Callable[[Handlers], Handlers] | None,
        ask_consent: Callable[[Consent], bool] | None,
        watch_sync: Callable[[RunRecord], None] | None,
    ) -> None:
        self.home = home
        self.environ = environ
        self.read_only = read_only
        self.clock = SystemClock()
        self.catalog = CatalogFile(home, self.clock)
        self.journal = Journal(home, self.clock)
        self.secrets = SecretFile(home, environ, self.clock)
        self.budget = BudgetFile(home, self.secrets.seal_key, self.clock)
        self.contacts = Contacts(self.clock.now)
        self._tokens = HomeTokens(home, self.secrets, self.clock)
        self._log = log
        self._echo = echo
        self._watch = watch
        self.ask_consent = ask_consent
        self._registries: dict[str, HttpTransport] = {}
        self._watch_sync = watch_sync
        self._destinations: dict[str, RelationalDestination] = {}
        self._loop = LoopThread()
        self._making = threading.RLock()
        self._spares: Spares | None = None
        self._handlers: Handlers | None = None
        self._cache: ScanCache | None = None
        self.plans = PlanMemory()
        self._runtime: JavaScriptHandlers | None = None
        self._engine: Engine | None = None

    @property
    def spares(self) -> Spares:
        """Runtime processes that wait to be claimed."""
        with self._making:
            if self._spares is None:
                from moltler.sandbox.spares import Spares

                self._spares = Spares(self._loop)
            return self._spares

    @property
    def runtime(self) -> JavaScriptHandlers:
        """The JavaScript of connectors, bare."""
        with self._making:
            if self._runtime is None:
                from moltler.sandbox.handler import JavaScriptHandlers

                self._runtime = JavaScriptHandlers(
                    self._loop, self.open_transport, log=self._log, spares=self.spares
                )
            return self._runtime

    @property
    def handlers(self) -> Handlers:
        """The JavaScript of connectors, with retries and the cache, as the door watches it."""
        with self._making:
            if self._handlers is None:
                from moltler.exec.retry import RetryingHandlers, RetryPolicy

                retried = RetryingHandlers(self.runtime, RetryPolicy(self.clock))
                live = self.cache.over(retried)
                with_stored = self.with_stored(live, self._open_destination)
                self._handlers = self._watch(with_stored) if self._watch else with_stored
            return self._handlers

    @property
    def bare_handlers(self) -> Handlers:
        """The JavaScript of connectors without retries and cache, for syncs."""
        return self.runtime

    def destination(self, name: str) -> Destination:
        """Give a destination by name.

        Raises:
            LookupFailed: CAT008, there is none; CAT005, a secret of its CONFIG is missing.
            SyncError: SNC006, what it needs is not installed.
        """
        return self._open_destination(name)

    def _open_destination(self, name: str) -> RelationalDestination:
        folded = name.lower()
        with self._making:
            if folded == LOCAL_DESTINATION:
                key = LOCAL_DESTINATION
            else:
                target = self._resolved_destination(name)
                # A changed one, or one whose secret changed, is another one.
                key = f"{folded} {target.connector.version} {target.credential_version}"
            if key not in self._destinations:
                if folded == LOCAL_DESTINATION:
                    from moltler.sync.destinations.duckdb.destination import open_duckdb

                    self._destinations[key] = open_duckdb(
                        self.home / "data.duckdb", LOCAL_DESTINATION, self.clock, is_home=True
                    )
                else:
                    self._destinations[key] = _opened(self._resolved_destination(name), self.clock)
            return self._destinations[key]

    def _resolved_destination(self, name: str) -> ResolvedConnector:
        found = destination(self.catalog.load(), name)
        return resolve(
            found,
            destination_type(found),
            0,
            lookup=lambda secret: lookup_secret(secret, self.environ, self.secrets),
            environ=self.environ,
        )

    def synced(self, destination: str) -> ConnectorType:
        """Give the synced tables of a destination as if they were entities."""
        return self.stored_type(destination, self.destination(destination))

    def stored_type(self, name: str, tables: SyncedTables) -> ConnectorType:
        """Give synced tables as if they were entities."""
        from moltler.sync.reading import stored_type

        return stored_type(name, tables.tables())

    def with_stored(self, handlers: Handlers, give: Callable[[str], Destination]) -> Handlers:
        """Give handlers that also answer scans of destinations.

        Args:
            handlers: Below them.
            give: Gives a destination by name, as this class opens them.
        """
        from moltler.sync.reading import StoredHandlers

        return StoredHandlers(
            handlers, lambda name: cast("RelationalDestination", give(name)).store
        )

    def scratch_destination(self, path: Path, clock: Clock) -> Destination:
        """Give a destination in a file that is about to go."""
        from moltler.sync.destinations.duckdb.destination import open_duckdb

        return open_duckdb(path, LOCAL_DESTINATION, clock)

    def watch_sync(self, record: RunRecord) -> None:
        """Take notice of how far a sync is."""
        if self._watch_sync is not None:
            self._watch_sync(record)

    @property
    def cache(self) -> ScanCache:
        """Rows that OPTIONS cache_ttl keeps."""
        with self._making:
            if self._cache is None:
                from moltler.exec.cache import ScanCache

                self._cache = ScanCache(self.clock)
            return self._cache

    @property
    def engine(self) -> Engine:
        """DuckDB."""
        with self._making:
            if self._engine is None:
                from moltler.exec.duck import Engine

                self._engine = Engine()
            return self._engine

    def walls(self) -> tuple[Wall, ...]:
        """Tell which walls stand around the processes of handlers."""
        return self.runtime.walls()

    def print(self, text: str) -> None:
        """Write one line for the user."""
        if self._echo is not None:
            self._echo(text)
            return
        sys.stdout.write(text + "\n")

    def close(self) -> None:
        """End processes and close files; may be repeated."""
        if self._runtime is not None:
            self._runtime.close()
        elif self._spares is not None:
            self._loop.run(self._spares.close())
        for transport in self._registries.values():
            self._loop.run(transport.close())
        self._registries.clear()
        self._loop.close()
        with self._making:
            destinations, self._destinations = self._destinations, {}
        for each in destinations.values():
            each.close()
        if self._engine is not None:
            self._engine.close()
        try:
            self._note_contacts()
        finally:
            self.catalog.close()
            self.journal.close_file()
            self.budget.close()

    def _note_contacts(self) -> None:
        """Write down what was contacted after the last statement, or by none."""
        names = self.contacts.connectors
        known = self.catalog.load().connectors if names else {}
        for connector in known.values():
            if connector.name.lower() in names:
                self.journal.note_contacts(connector.name, self.contacts.drain(connector.name))

    def abandon(self, process: int) -> None:
        """Close without being asked to; not in a fork, whose threads are gone.

        Args:
            process: The process that opened the parts.
        """
        if os.getpid() != process:
            return
        if self._loop.is_here:
            # The garbage collector runs anywhere, and the loop cannot wait for itself.
            threading.Thread(target=self.close, name="moltler-close", daemon=True).start()
        else:
            self.close()

    def open_room(
        self, open_transport: Callable[[ResolvedConnector], Transport], *, covers: bool = False
    ) -> TestRoom:
        """Give a runtime of its own to a test, which may find out which lines run."""
        return self.runtime.for_test(open_transport, log=self._log, covers=covers)

    def open_transport(self, target: ResolvedConnector) -> Transport:
        """Open the network for an instance."""
        from moltler.net.client import HttpTransport

        return HttpTransport(target, settings=self._net_settings())

    def ask_registry(self, target: ResolvedConnector, request: HttpRequest) -> WebAnswer:
        """Send a request to a registry and read the answer.

        Raises:
            FetchFailure: There is none.
        """
        from moltler.net.client import HttpTransport
        from moltler.net.web import exchange

        with self._making:
            transport = self._registries.get(target.name)
            if transport is None:
                transport = HttpTransport(target, settings=self._net_settings())
                self._registries[target.name] = transport
        return self._loop.run(
            exchange(transport, request, largest=_REGISTRY_BYTES, limit_s=_REGISTRY_S)
        )

    def _net_settings(self) -> NetSettings:
        from moltler.net.settings import NetSettings

        proxy, ca_file = (self.environ.get(n) for n in ("MOLTLER_PROXY", "MOLTLER_CA_FILE"))
        return NetSettings(
            proxy=proxy or None,
            ca_file=Path(ca_file) if ca_file else None,
            max_request_bytes=_REGISTRY_BYTES,
            tokens=self._tokens,
            budget=self.budget,
            contacts=self.contacts,
        )


def _opened(target: ResolvedConnector, clock: Clock) -> RelationalDestination:
    """Open a destination whose CONFIG is resolved.

    Raises:
        SyncError: SNC006, what it needs is not installed.
    """
    config = {k: str(v) for k, v in target.config.items() if v is not None}
    if target.type.name == "duckdb":
        from moltler.sync.destinations.duckdb.destination import open_duckdb

        return open_duckdb(Path(config["path"]), target.name, clock)
    try:
        from moltler.sync.destinations.postgres.destination import open_postgres
        from moltler.sync.destinations.postgres.store import PostgresAddress
    except ImportError as error:
        raise SyncError(
            "SNC006",
            f"destination `{target.name}` is a PostgreSQL database, and its driver is missing",
            hint="this needs `moltler[postgres]`: pip install 'moltler[postgres]'",
        ) from error
    schema = config.pop("schema", "public")
    names = {"url": "conninfo", "database": "dbname"}
    parameters = {names.get(k, k): v for k, v in config.items()}
    return open_postgres(PostgresAddress(parameters, schema, target.secrets), target.name)
