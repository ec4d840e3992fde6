"""What the commands about packages share: statements made of options, and the lock file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moltler.cli.base import settings_of
from moltler.cli.consent import ask_consent
from moltler.cli.opening import open_session, run_script
from moltler.cli.output import Printer, wants_color
from moltler.errors import Source

if TYPE_CHECKING:
    from moltler.session.session import Session


def quoted(text: str) -> str:
    """Give a string of the language."""
    from moltler.lang.wording import quoted as in_quotes

    return in_quotes(text)


def clauses(head: str, values: Mapping[str, str | None]) -> str:
    """Give a statement of its head and those clauses that have a value."""
    given = (f"{clause} {quoted(text)}" for clause, text in values.items() if text is not None)
    return " ".join([head, *given])


def run_statement(context: click.Context, statement: str, session: Session | None = None) -> None:
    """Run a statement made of options and print its result."""
    session = session or open_session(context, ask_consent=ask_consent)
    name = f"<{context.info_name}>"
    run_script(context, session, Source(name, statement), printer_of(context))


def printer_of(context: click.Context) -> Printer:
    """Give what prints results as the global options say."""
    settings = settings_of(context)
    return Printer(
        "json" if settings.json else "table", color=settings.color and wants_color(sys.stdout)
    )


def install_locked(context: click.Context, *, consents: bool) -> None:
    """Install what the lock file of the current folder names."""
    from moltler.registry.lockfile import NAME

    session = open_session(context, ask_consent=ask_consent)
    printer_of(context).show(session.packages.install_locked(Path(NAME), consents=consents))


def write_lock(session: Session) -> None:
    """Note what is installed in the lock file of the current folder."""
    from moltler.registry.lockfile import NAME

    count = session.packages.lock(Path(NAME))
    click.echo(f"✓ {NAME} names {count} package(s)", err=True)
