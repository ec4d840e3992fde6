"""``moltler secrets``: credentials, encrypted in the home."""

from __future__ import annotations

import sys

import click

from moltler.cli.base import Group, examples, settings_of
from moltler.cli.opening import open_session
from moltler.cli.output import Printer, wants_color
from moltler.errors import ParseError


@click.group(
    cls=Group,
    epilog=examples(
        "moltler secrets set shop_key                 asks for the value, without echo",
        "echo $KEY | moltler secrets set shop_key     reads it from standard input",
        "moltler secrets list                         names and times, never values",
        "moltler secrets rm shop_key",
    ),
)
def command() -> None:
    """Store credentials: encrypted in the home, used as {{secrets.NAME}} in CONFIG.

    The environment variable MOLTLER_SECRET_<NAME> wins over the stored value.
    """


@command.command("set", short_help="Store or replace a secret; asks for the value.")
@click.argument("name")
@click.argument("value", required=False)
@click.pass_context
def set_secret(context: click.Context, *, name: str, value: str | None) -> None:
    """Store or replace a secret; without VALUE it is asked for, or read from a pipe.

    A VALUE on the command line ends up in your shell's history: prefer the prompt.
    """
    if value is None:
        value = _read_value(name)
    session = open_session(context)
    session.secrets.put(name, value)
    _confirm(context, "secrets set", name, "stored")


def _read_value(name: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(f"Value of {name}", hide_input=True, err=True))
    # Bytes that are no text are refused where secrets are kept, whatever the locale is.
    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    # One line end is how shells end a line; it is not part of the secret.
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ParseError(
            "SYN900",
            f"no value for the secret `{name}`",
            hint=f"type it at the prompt of `moltler secrets set {name}`, or pipe it in",
        )
    return text


@command.command("list", short_help="List names and times, never values.")
@click.pass_context
def list_secrets(context: click.Context) -> None:
    """List names and times of the stored secrets, never their values."""
    session = open_session(context)
    settings = settings_of(context)
    printer = Printer(
        "json" if settings.json else "table", color=settings.color and wants_color(sys.stdout)
    )
    printer.show(session.secrets_table())


@command.command("rm")
@click.argument("name")
@click.pass_context
def remove_secret(context: click.Context, *, name: str) -> None:
    """Remove a secret."""
    session = open_session(context)
    session.secrets.remove(name)
    _confirm(context, "secrets rm", name, "removed")


def _confirm(context: click.Context, statement: str, name: str, message: str) -> None:
    if settings_of(context).json:
        from moltler.flow.result import Done

        Printer("json", color=False).show(Done(statement, name, message))
    else:
        click.echo(f"✓ secret {name} {message}")
