"""``moltler doctor``: what works here, and how to mend what does not."""

from __future__ import annotations

import sys

import click

from moltler.cli.base import Command, settings_of
from moltler.cli.opening import open_session
from moltler.cli.output import Printer, wants_color


@click.command(cls=Command)
@click.pass_context
def command(context: click.Context) -> None:
    """Check home, key, runtime and engine; say how to mend each. Exit 1 if one fails."""
    from moltler.flow.result import Column, Table

    session = open_session(context)
    checks = session.diagnose()
    settings = settings_of(context)
    printer = Printer(
        "json" if settings.json else "table", color=settings.color and wants_color(sys.stdout)
    )
    printer.show(
        Table(
            columns=tuple(Column(name, "string") for name in ("check", "status", "detail")),
            rows=tuple((c.name, c.status, c.detail) for c in checks),
        )
    )
    if any(c.status == "failed" for c in checks):
        context.exit(1)
