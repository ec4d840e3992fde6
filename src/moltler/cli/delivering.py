"""What the commands about packages share: statements made of options, and asking for consent."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from moltler.cli.base import settings_of
from moltler.cli.opening import open_session, run_script
from moltler.cli.output import Printer, wants_color
from moltler.errors import Source

if TYPE_CHECKING:
    from moltler.session.registries import Consent
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
    settings = settings_of(context)
    printer = Printer(
        "json" if settings.json else "table", color=settings.color and wants_color(sys.stdout)
    )
    session = session or open_session(context, ask_consent=ask_consent)
    name = f"<{context.info_name}>"
    run_script(context, session, Source(name, statement), printer)


def ask_consent(consent: Consent) -> bool:
    """Show what a package may do and ask for a yes; without a terminal the answer is no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    click.echo(f"{consent.title} would be allowed to:", err=True)
    for line in consent.lines:
        click.echo(f"  - {line}", err=True)
    return click.confirm("Go on?", default=False, err=True)
