"""``moltler sync``: stored syncs listed, run again, and their runs."""

from __future__ import annotations

import sys

import click

from moltler.cli.base import Group, examples, settings_of
from moltler.cli.opening import open_session, run_script
from moltler.cli.output import Printer, print_failure, wants_color
from moltler.errors import MoltlerError, ParseError, Source


@click.group(
    cls=Group,
    epilog=examples(
        "moltler query 'SYNC CONNECTOR my_shop.orders TO orders'   makes a sync, and runs it",
        "moltler sync list                                         syncs that were made",
        "moltler sync run                                          all of them, once more",
        "moltler sync run my_shop.orders --full                    everything anew",
        "moltler sync run --due                                    what is due: for cron",
        "moltler sync history my_shop --limit 5",
    ),
)
def command() -> None:
    """List and run syncs that SYNC CONNECTOR made, and show what their runs did."""


@command.command("list", short_help="List syncs, with their schedules and last status.")
@click.pass_context
def list_syncs(context: click.Context) -> None:
    """List syncs, with their targets, cursors, schedules and how the last run ended."""
    run_script(
        context, open_session(context), Source("<sync list>", "SHOW SYNCS"), _printer(context)
    )


@command.command("run", short_help="Run syncs now.")
@click.argument("name", metavar="[CONNECTOR[.ENTITY]]", required=False)
@click.option("--due", is_flag=True, help="Only those whose schedule says so.")
@click.option("--full", is_flag=True, help="Read everything anew.")
@click.pass_context
def run_syncs(context: click.Context, *, name: str | None, due: bool, full: bool) -> None:
    """Run the syncs of a connector or an entity now, or all there are.

    One that fails does not stop the others; the exit status is that of the first failure.
    """
    session = open_session(context, prewarm=True)
    connector, entity = _parts(name)
    sources = session.stored_syncs(connector, entity, full=full, only_due=due)
    if not sources and due:
        click.echo("nothing is due", err=True)
        return
    if not sources:
        click.echo("there are no syncs yet: SYNC CONNECTOR makes one", err=True)
        return
    printer = _printer(context)
    failures: list[MoltlerError] = []
    for source in sources:
        try:
            run_script(context, session, source, printer)
        except MoltlerError as error:
            failures.append(error)
    for failure in failures[1:]:
        print_failure(failure, as_json=settings_of(context).json)
    if failures:
        raise failures[0]


@command.command("history", short_help="Show what runs did, the latest first.")
@click.argument("name", metavar="[CONNECTOR]", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.pass_context
def show_history(context: click.Context, *, name: str | None, limit: int) -> None:
    """Show the runs of a connector, or of all, the latest first."""
    session = open_session(context)
    _printer(context).show(session.sync_history(name, limit))


def _printer(context: click.Context) -> Printer:
    settings = settings_of(context)
    chosen = "json" if settings.json else "table"
    return Printer(chosen, color=settings.color and wants_color(sys.stdout))


def _parts(name: str | None) -> tuple[str | None, str | None]:
    if name is None:
        return None, None
    connector, dot, entity = name.partition(".")
    if not connector or (dot and not entity) or "." in entity:
        raise ParseError(
            "SYN900", f"`{name}` is no connector and no entity", hint="write my_shop.orders"
        )
    return connector, entity or None
