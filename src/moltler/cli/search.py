"""``moltler search``: look for connectors in registries."""

from __future__ import annotations

import click

from moltler.cli.base import Command, examples
from moltler.cli.delivering import printer_of
from moltler.cli.opening import open_session


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
    printer_of(context).show(session.packages.search(text, registry))
