"""What other processes do to a home; here, so that a spawned process can import it."""

from __future__ import annotations

from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

from moltler.catalog.budget import BudgetFile
from moltler.catalog.journal import Journal
from moltler.catalog.store import CatalogFile
from moltler.flow.budget import Account, Pace
from moltler.model import Connector
from moltler.secret import Secret
from support.clock import HandClock


def create_many(home: Path, prefix: str, start: Barrier) -> None:
    """Create twenty connectors, each in a transaction of its own."""
    file = CatalogFile(home, HandClock())
    start.wait()
    for number in range(20):
        name = f"{prefix}_{number}"
        file.update(lambda c, name=name: c.create_connector(Connector(name, "t")))


def create_forever(home: Path, written: Event) -> None:
    """Replace two connectors again and again; both always have the same config."""
    file = CatalogFile(home, HandClock())
    number = 0
    while True:
        config = {"text": "x" * 50_000, "number": number}
        a, b = Connector("a", "t", dict(config)), Connector("b", "t", dict(config))
        file.update(
            lambda c, a=a, b=b: c.create_connector(a, or_replace=True).create_connector(
                b, or_replace=True
            )
        )
        number += 1
        if number == 10:
            written.set()


def serve_changes(home: Path, pipe: Connection) -> None:
    """Create a connector for each name that comes, until None does."""
    file = CatalogFile(home, HandClock())
    while (name := pipe.recv()) is not None:
        file.update(lambda c, name=name: c.create_connector(Connector(name, "t")))
        pipe.send("done")


def leave_actions_open(home: Path, opened: Event, end: Event) -> None:
    """Open three actions, send one and finish one, and wait."""
    journal = Journal(home, HandClock())
    journal.open("shop", "items.pending", "{}")
    journal.mark_sent(journal.open("shop", "items.sent", "{}"))
    journal.close(journal.open("shop", "items.done", "{}"), "OK")
    opened.set()
    end.wait()


def journal_many(home: Path, connector: str, start: Barrier) -> None:
    """Run twenty actions and note twenty calls."""
    journal = Journal(home, HandClock())
    start.wait()
    for number in range(20):
        record = journal.open(connector, f"items.a{number}", "{}")
        journal.mark_sent(record)
        journal.close(record, "OK")
        journal.note_call(connector)


def take_turns(home: Path, start: Barrier, found: Queue[list[float]]) -> None:
    """Take twenty turns, ten seconds apart, and tell when they are."""
    budget = BudgetFile(home, lambda: b"k" * 32, HandClock())
    account = Account((Secret("api_key", "value-1"),), "api.shop.test")
    start.wait()
    found.put([budget.take(account, Pace(0.1)).start for _ in range(20)])
    budget.close()
