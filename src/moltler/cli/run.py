"""``moltler run``: scripts in order, in one session."""

from __future__ import annotations

import sys

import click

from moltler.cli.base import Command, examples, settings_of
from moltler.cli.files import read_script
from moltler.cli.opening import open_session, run_script
from moltler.cli.output import Printer, wants_color


@click.command(
    cls=Command,
    epilog=examples(
        "moltler run shop.moltler",
        "moltler run types.moltler instances.moltler     in this order, in one session",
        "moltler run --dry-run shop.moltler              parse and check; change nothing",
        "cat shop.moltler | moltler run -",
        "moltler run --json report.sql                   one JSON object a statement",
    ),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--dry-run", is_flag=True, help="Parse and check; change and send nothing.")
@click.pass_context
def command(context: click.Context, *, files: tuple[str, ...], dry_run: bool) -> None:
    """Run scripts and print each result, or ✓ and what was done.

    All files are parsed before the first statement runs. The first error ends the run and says
    which statements took effect.
    """
    settings = settings_of(context)
    sources = [read_script(name) for name in files]
    printer = Printer(
        "json" if settings.json else "table",
        color=settings.color and wants_color(sys.stdout),
    )
    session = open_session(context, prewarm=not dry_run)
    for source in sources:
        session.parse(source)
    if dry_run:
        for source in sources:
            printer.show(session.dry_run(source))
        return
    for source in sources:
        run_script(context, session, source, printer)
