"""``moltler keys``: sign packages, and trust signatures."""

from __future__ import annotations

import click

from moltler.cli.base import Group, examples, settings_of
from moltler.cli.delivering import printer_of
from moltler.cli.opening import open_session
from moltler.cli.output import Printer


@click.group(
    cls=Group,
    epilog=examples(
        "moltler keys generate ann > ann.pub     a key to sign with; the public half is printed",
        "moltler keys trust ann.pub              trust what is signed with it",
        "moltler keys list",
        "moltler keys forget shop                its publisher has a new key, and told you so",
    ),
)
def command() -> None:
    """Sign packages, and say whose signatures you trust.

    The private half stays among the secrets of the home, encrypted. Whoever has the public half
    can check signatures without any registry.
    """


@command.command("generate", short_help="Make a key to sign packages with.")
@click.argument("name")
@click.pass_context
def generate(context: click.Context, *, name: str) -> None:
    """Make a key called NAME to sign packages with, and print its public half."""
    session = open_session(context)
    key = session.packages.generate_key(name)
    if settings_of(context).json:
        Printer("json", color=False).show(session.packages.keys())
        return
    click.echo(str(key))
    click.echo(f"✓ key {name} ({key.id}) signs the packages of this home from now on", err=True)


@command.command("list", short_help="List the keys that sign, and those that are trusted.")
@click.pass_context
def list_keys(context: click.Context) -> None:
    """List the keys that sign here, and those that are trusted, with their public halves."""
    session = open_session(context)
    printer_of(context).show(session.packages.keys())


@command.command("trust", short_help="Trust the public key in a file.")
@click.argument("file")
@click.pass_context
def trust(context: click.Context, *, file: str) -> None:
    """Trust what is signed with the public key in FILE; `-` is standard input."""
    from moltler.cli.files import read_script

    session = open_session(context)
    key = session.packages.trust(read_script(file).text)
    if settings_of(context).json:
        Printer("json", color=False).show(session.packages.keys())
        return
    click.echo(f"✓ key {key.name} ({key.id}) trusted")


@command.command("forget", short_help="Let a type be signed with another key from now on.")
@click.argument("type_name", metavar="TYPE")
@click.pass_context
def forget(context: click.Context, *, type_name: str) -> None:
    """Forget whose key TYPE was signed with, once its publisher told you of the new one."""
    open_session(context).packages.forget(type_name)
    if settings_of(context).json:
        from moltler.flow.result import Done

        Printer("json", color=False).show(Done("keys forget", type_name, "forgotten"))
        return
    click.echo(f"✓ {type_name} may be signed with another key")
