"""SHOW CONNECTOR … STATUS: how an instance stands, and which hosts it has contacted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from moltler.catalog.journal import LastCall
from moltler.catalog.values import timestamp_text
from moltler.errors import MoltlerError
from moltler.flow.budget import Standing
from moltler.flow.connector import CallLimits, ResolvedConnector
from moltler.flow.contact import Contact
from moltler.flow.result import Table
from moltler.model import Connector
from moltler.session.services import Services
from moltler.session.show import PROPERTIES, status_of


def status_table(
    connector: Connector, resolve: Callable[[], ResolvedConnector], services: Services
) -> Table:
    """List how one instance stands, as the services of a session know it.

    Args:
        connector: The instance.
        resolve: Makes it ready for a call, which fails if it is disabled or lacks a secret.
        services: Of the session.
    """
    try:
        target = resolve()
    except MoltlerError:
        target = None  # there is no rate to tell of
    return show_status(
        connector,
        services.journal.last_calls(),
        None if target is None else target.limits,
        {} if target is None else services.budget.standings(target.secrets),
        services.journal.contacts(connector.name),
        services.clock.now(),
    )


def show_status(
    connector: Connector,
    last_calls: Mapping[str, LastCall],
    limits: CallLimits | None,
    standings: Mapping[str, Standing],
    contacts: Iterable[Contact],
    now: datetime,
) -> Table:
    """List how one instance stands, and which hosts it has contacted.

    Args:
        connector: The instance.
        last_calls: As for `show_connectors`.
        limits: Its own; ``None`` if they cannot be told.
        standings: What is known of the APIs that it calls, by host.
        contacts: Its hosts.
        now: The time.
    """
    last = last_calls.get(connector.name.lower())
    rows: list[tuple[str, str | None]] = [
        ("status", status_of(connector, last)),
        ("enabled", "true" if connector.enabled else "false"),
        ("last_call", None if last is None else timestamp_text(last.at)),
        ("last_error", None if last is None else last.error),
        ("rate_limit", None if limits is None else _rate_text(limits)),
    ]
    for host, standing in sorted(standings.items()):
        rows += [(f"limit of {host}", text) for text in _standing_texts(standing, now)]
    rows += [("schedules", "none"), ("runtime", None)]
    rows += [(f"host {c.host}", _contact_text(c)) for c in contacts]
    return Table(PROPERTIES, tuple(rows))


def _rate_text(limits: CallLimits) -> str:
    if limits.rate_per_s is None:
        return "none"
    rate, unit = limits.rate_per_s, "second"
    if rate < 1:
        rate, unit = (rate * 60, "minute") if rate * 60 >= 1 else (rate * 3600, "hour")
    return f"{rate:.6g} per {unit} and host, at once {limits.rate_burst}"


def _standing_texts(standing: Standing, now: datetime) -> Iterator[str]:
    for part, until in sorted(standing.pauses.items()):
        where = f" below {part}" if part else ""
        yield f"the API takes no requests{where} before {_moment(until)}"
    if standing.next_turn is not None and standing.next_turn > now.timestamp():
        yield f"the next request may leave at {_moment(standing.next_turn)}"


def _contact_text(contact: Contact) -> str:
    texts = [f"{contact.requests} request(s)"] if contact.requests or not contact.blocked else []
    texts += [f"{contact.blocked} blocked"] if contact.blocked else []
    return f"{', '.join(texts)}, last {timestamp_text(contact.last)}"


def _moment(seconds: float) -> str:
    return timestamp_text(datetime.fromtimestamp(seconds, UTC))
