"""What a session is made of; `moltler.compose` picks the parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from moltler.catalog.catalog import Catalog
from moltler.catalog.journal import ActionRecord, LastCall
from moltler.flow.budget import Standing
from moltler.flow.contact import Contact
from moltler.flow.sync import RunRecord
from moltler.model import ConnectorType
from moltler.plan.memory import PlanMemory
from moltler.ports import ActionLog, Clock, Destination, Handlers, SecretStore
from moltler.secret import Secret
from moltler.vault.store import SecretRow

if TYPE_CHECKING:
    from moltler.exec.cache import ScanCache
    from moltler.exec.duck import Engine


class CatalogStore(Protocol):
    """Where the catalog is kept."""

    def load(self) -> Catalog:
        """Give the catalog as it is now."""
        ...

    def update(self, change: Callable[[Catalog], Catalog]) -> Catalog:
        """Change the catalog in one transaction and give it as saved."""
        ...


class JournalStore(ActionLog, Protocol):
    """The journal of a home, or of a test."""

    def history(
        self, connector: str | None = None, limit: int | None = None
    ) -> tuple[ActionRecord, ...]:
        """Give the executions, the latest first."""
        ...

    def recover(self) -> tuple[ActionRecord, ...]:
        """Settle the executions of ended programs; give those whose outcome is unknown."""
        ...

    def note_call(
        self, connector: str, error: str | None = None, contacts: Sequence[Contact] = ()
    ) -> None:
        """Note that a connector was called, its error if it failed, and what it contacted."""
        ...

    def contacts(self, connector: str) -> tuple[Contact, ...]:
        """Give the hosts that a connector ever contacted."""
        ...

    def last_calls(self) -> Mapping[str, LastCall]:
        """Give the last call of each connector, by lower-case name."""
        ...

    def forget(self, connector: str) -> None:
        """Forget the last call of a dropped connector."""
        ...


class SecretVault(SecretStore, Protocol):
    """The secrets of a home, or of a test."""

    def remove(self, name: str) -> None:
        """Remove a secret."""
        ...

    def list(self) -> tuple[SecretRow, ...]:
        """Give names and times, never values."""
        ...

    def check(self) -> str:
        """Tell where the master key comes from, after trying it."""
        ...

    def seal_key(self) -> bytes:
        """Give the key of the seals."""
        ...


class BudgetBook(Protocol):
    """What is known of the requests that APIs take."""

    def standings(self, secrets: tuple[Secret, ...]) -> Mapping[str, Standing]:
        """Give what is known of a credential, by host."""
        ...

    def forgive(self, secrets: tuple[Secret, ...]) -> None:
        """Forget the pauses of a credential."""
        ...


class ContactBook(Protocol):
    """The hosts that were contacted and not yet written down."""

    def drain(self, connector: str) -> tuple[Contact, ...]:
        """Give those of an instance, and begin anew."""
        ...


class Services(Protocol):
    """The parts of a session; heavy ones are made when first asked for."""

    @property
    def home(self) -> Path:
        """The folder with catalog, secrets and data."""
        ...

    @property
    def environ(self) -> Mapping[str, str]:
        """The process environment."""
        ...

    @property
    def clock(self) -> Clock:
        """Times statements."""
        ...

    @property
    def read_only(self) -> bool:
        """Whether actions and syncs are refused."""
        ...

    @property
    def catalog(self) -> CatalogStore:
        """Types and instances."""
        ...

    @property
    def journal(self) -> JournalStore:
        """Executed actions and last calls."""
        ...

    @property
    def budget(self) -> BudgetBook:
        """Rates and pauses."""
        ...

    @property
    def contacts(self) -> ContactBook:
        """Hosts contacted since they were last written down."""
        ...

    @property
    def secrets(self) -> SecretVault:
        """Stored secrets."""
        ...

    @property
    def plans(self) -> PlanMemory:
        """Plans of SELECTs that may be asked again."""
        ...

    @property
    def engine(self) -> Engine:
        """DuckDB."""
        ...

    @property
    def handlers(self) -> Handlers:
        """The JavaScript of connectors, with retries and the cache."""
        ...

    @property
    def bare_handlers(self) -> Handlers:
        """The JavaScript of connectors without retries and cache, for syncs."""
        ...

    def destination(self, name: str) -> Destination:
        """Give a destination by name; whoever closes the session closes it.

        Raises:
            LookupFailed: CAT008, there is none.
        """
        ...

    def synced(self, destination: str) -> ConnectorType:
        """Give the synced tables of a destination as if they were entities.

        Raises:
            LookupFailed: CAT008, there is no such destination; CAT009.
            SyncError: SNC006, SNC007.
        """
        ...

    def watch_sync(self, record: RunRecord) -> None:
        """Take notice of how far a sync is."""
        ...

    @property
    def cache(self) -> ScanCache:
        """Rows that OPTIONS cache_ttl keeps."""
        ...

    def print(self, text: str) -> None:
        """Write one line for the user (PRINT)."""
        ...

    def close(self) -> None:
        """End processes and close files; may be repeated."""
        ...


class ScratchCatalog:
    """A catalog that lives in memory and starts as a copy of another."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def load(self) -> Catalog:
        """Give the catalog as it is now."""
        return self._catalog

    def update(self, change: Callable[[Catalog], Catalog]) -> Catalog:
        """Change the copy."""
        self._catalog = change(self._catalog)
        return self._catalog
