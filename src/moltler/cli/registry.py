"""``moltler registry``: the registries of this home."""

from __future__ import annotations

import sys

import click

from moltler.cli.base import Group, examples, settings_of
from moltler.cli.opening import open_session
from moltler.cli.output import Printer, wants_color


@click.group(
    cls=Group,
    epilog=examples(
        "moltler registry add team ./registry                a folder, made if need be",
        "moltler registry add team https://pkg.example --token-secret team_token",
        "moltler registry list",
        "moltler registry rm team",
    ),
)
def command() -> None:
    """Say where packages come from and go to: a folder, or any address that serves one.

    INSTALL … FROM 'NAME' and PUBLISH … TO 'NAME' mean the registries that were added here.
    """


@command.command("add", short_help="Add a registry, or change where a name leads.")
@click.argument("name")
@click.argument("where", metavar="URL-or-DIR")
@click.option(
    "--token-secret", metavar="NAME", help="The secret that holds the token for publishing."
)
@click.option("--require-signature", is_flag=True, help="Refuse what no trusted key has signed.")
@click.pass_context
def add(
    context: click.Context,
    *,
    name: str,
    where: str,
    token_secret: str | None,
    require_signature: bool,
) -> None:
    """Add a registry under a name; a folder that does not exist is made."""
    session = open_session(context)
    session.packages.add_registry(
        name, where, token_secret=token_secret, require_signature=require_signature
    )
    _confirm(context, "registry add", name, "added")


@command.command("list", short_help="List the registries.")
@click.pass_context
def list_registries(context: click.Context) -> None:
    """List the registries of this home."""
    session = open_session(context)
    settings = settings_of(context)
    printer = Printer(
        "json" if settings.json else "table", color=settings.color and wants_color(sys.stdout)
    )
    printer.show(session.packages.registries())


@command.command("rm", short_help="Forget a registry; what was installed stays.")
@click.argument("name")
@click.pass_context
def remove(context: click.Context, *, name: str) -> None:
    """Forget a registry; what was installed from it stays."""
    session = open_session(context)
    session.packages.remove_registry(name)
    _confirm(context, "registry rm", name, "removed")


def _confirm(context: click.Context, statement: str, name: str, message: str) -> None:
    if settings_of(context).json:
        from moltler.flow.result import Done

        Printer("json", color=False).show(Done(statement, name, message))
    else:
        click.echo(f"✓ registry {name} {message}")
