"""``moltler new``: the files of a new connector."""

from __future__ import annotations

from pathlib import Path

import click

from moltler.cli.base import Command, Group, examples, settings_of
from moltler.cli.scaffold import connector_files, write_new


@click.group(cls=Group, epilog=examples("moltler new connector tracker"))
def command() -> None:
    """Write the files of something new."""


@command.command(
    "connector",
    cls=Command,
    epilog=examples(
        "moltler new connector tracker              into the folder tracker",
        "moltler new connector tracker --dir .      into this folder",
        "moltler test tracker                       its tests pass as they are",
    ),
)
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="D",
    help="The folder to write into; by default one of the connector's name.",
)
@click.pass_context
def connector(context: click.Context, *, name: str, folder: Path | None) -> None:
    """Write a connector type with an entity, an action and tests, ready to be changed.

    Prints the paths. Nothing is overwritten.
    """
    paths = write_new(folder or Path(name), connector_files(name))
    if settings_of(context).json:
        from moltler.cli.output import Printer
        from moltler.flow.result import Column, Table

        rows = tuple((str(path),) for path in paths)
        Printer("json", color=False).show(Table((Column("path", "string"),), rows))
        return
    for path in paths:
        click.echo(str(path))
