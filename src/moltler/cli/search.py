"""``moltler search``: look for connectors in registries."""

from __future__ import annotations

import sys

import click

from moltler.cli.base import Command, examples, settings_of
from moltler.cli.opening import open_session
from moltler.cli.output import Printer, wants_color


@click.command(
    cls=Command,
    epilog=examples(
        "moltler search issues                 in every registry of this home",
        "moltler search 'issue tracker' --registry team",
        "moltler search ''                     everything there is",
    ),
)
@click.argument("text")
@click.option("--registry", metavar="R", help="In this registry only.")
@click.pass_context
def command(context: click.Context, *, text: str, registry: str | None) -> None:
    """List the connectors that hold every word of TEXT in name, description, tags or tables."""
    session = open_session(context)
    settings = settings_of(context)
    printer = Printer(
        "json" if settings.json else "table", color=settings.color and wants_color(sys.stdout)
    )
    printer.show(session.packages.search(text, registry))
