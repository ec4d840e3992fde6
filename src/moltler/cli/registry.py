"""``moltler registry``: the registries of this home."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from moltler.cli.base import Group, examples, settings_of
from moltler.cli.delivering import printer_of
from moltler.cli.opening import open_session
from moltler.cli.output import Printer


@click.group(
    cls=Group,
    epilog=examples(
        "moltler registry add team ./registry                a folder, made if need be",
        "moltler registry add team https://pkg.example --token-secret team_token",
        "moltler registry list",
        "moltler registry rm team",
        "moltler registry serve ./registry                   over HTTP; pages for people, too",
        "moltler registry token ./registry ann               let Ann publish there",
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
    printer_of(context).show(session.packages.registries())


@command.command("rm", short_help="Forget a registry; what was installed stays.")
@click.argument("name")
@click.pass_context
def remove(context: click.Context, *, name: str) -> None:
    """Forget a registry; what was installed from it stays."""
    session = open_session(context)
    session.packages.remove_registry(name)
    _confirm(context, "registry rm", name, "removed")


@command.command("serve", short_help="Serve a folder over HTTP, for reading and publishing.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=8480, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.pass_context
def serve(context: click.Context, *, folder: Path, port: int, host: str) -> None:
    """Serve the registry in DIR until interrupted; its pages are at the same address.

    Reading is free; publishing needs a token of `moltler registry token`. There is no encryption:
    beyond this machine, put it behind a web server that has it.
    """
    from moltler.compose import open_folder
    from moltler.registry.server import RegistryServer

    verbose = settings_of(context).verbose
    log = (lambda line: click.echo(line, err=True)) if verbose else None
    with RegistryServer(open_folder(folder), host=host, port=port, on_request=log) as server:
        click.echo(f"✓ registry at {server.url} (Ctrl-C ends it)")
        sys.stdout.flush()
        server.wait()


@command.command("token", short_help="Let somebody publish to a served folder.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("name")
@click.option("--revoke", is_flag=True, help="End the token instead.")
def token(*, folder: Path, name: str, revoke: bool) -> None:
    """Print a new token for NAME, who may publish to DIR with it; the last one ends.

    It is shown once. Whoever publishes a connector first owns its name.
    """
    from moltler.compose import open_folder
    from moltler.registry.tokens import Tokens

    opened = open_folder(folder)
    tokens = Tokens(opened.root, opened.clock)
    if revoke:
        tokens.revoke(name)
        click.echo(f"✓ the token of {name} ended")
    else:
        opened.create()
        click.echo(tokens.issue(name))


def _confirm(context: click.Context, statement: str, name: str, message: str) -> None:
    if settings_of(context).json:
        from moltler.flow.result import Done

        Printer("json", color=False).show(Done(statement, name, message))
    else:
        click.echo(f"✓ registry {name} {message}")
