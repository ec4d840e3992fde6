"""``moltler publish``: send a packaged connector to a registry."""

from __future__ import annotations

import click

from moltler.cli.base import Command, examples
from moltler.cli.delivering import clauses, quoted, run_statement


@click.command(
    cls=Command,
    epilog=examples(
        "moltler publish shop --to team                  the newest packaged version",
        "moltler publish shop --to team --version 1.0.0",
        "moltler publish shop --to team --visibility unlisted",
    ),
)
@click.argument("type_name", metavar="TYPE")
@click.option("--to", "registry", metavar="REGISTRY", help="A name from `moltler registry list`.")
@click.option("--version", metavar="V", help="Else the newest that was packaged.")
@click.option(
    "--visibility",
    type=click.Choice(["public", "unlisted", "private"]),
    help="Unlisted is found by its name only; private needs a token to read.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    type_name: str,
    registry: str | None,
    version: str | None,
    visibility: str | None,
) -> None:
    """Send a packaged version of TYPE to a registry.

    Before it leaves, its tests run and its claims are proven from the archive itself, and the
    version must go up by as much as the type changed. A published version never changes.
    """
    statement = clauses(
        f"PUBLISH CONNECTOR TYPE {quoted(type_name)}", {"VERSION": version, "TO": registry}
    )
    if visibility is not None:
        statement += f" WITH visibility = {quoted(visibility)}"
    run_statement(context, statement)
