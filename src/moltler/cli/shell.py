"""``moltler shell``: statements typed by a person, with completion, history and colours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moltler.cli.base import Command, settings_of
from moltler.cli.files import read_script
from moltler.cli.opening import open_session, run_script
from moltler.cli.output import Printer, print_failure, wants_color
from moltler.errors import MoltlerError, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit import PromptSession

    from moltler.session.session import Session

_HELP = """\
Statements end with ; and may take several lines.

  SHOW CONNECTORS;                      what there is
  SHOW CONNECTOR my_shop ENTITIES;      its tables
  DESCRIBE my_shop.items;               their fields
  SELECT * FROM my_shop.items LIMIT 5;  rows
  EXPLAIN ...                           `moltler explain CODE` explains an error

help, clear, history and exit are words of the shell. Tab completes, Ctrl-C drops the line or
stops a query, Ctrl-D leaves. Variables live until you leave.
"""


@click.command(cls=Command)
@click.pass_context
def command(context: click.Context) -> None:
    """Type statements: history, completion, several lines up to a semicolon."""
    settings = settings_of(context)
    session = open_session(context, prewarm=True)
    printer = Printer(
        "json" if settings.json else "table",
        color=settings.color and wants_color(sys.stdout),
    )
    if not sys.stdin.isatty():
        # A pipe is a script: its first error ends it and is the exit status.
        run_script(context, session, read_script("-"), printer)
        return
    for text in _typed(session):
        try:
            run_script(context, session, Source("<shell>", text), printer)
        except MoltlerError as error:
            print_failure(error, as_json=settings.json)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)


def _typed(session: Session) -> Iterator[str]:
    from moltler.cli.prompt import open_prompt

    prompt = open_prompt(session)
    click.echo("moltler: statements end with ;  type help, or exit to leave", err=True)
    while True:
        try:
            text = prompt.prompt("moltler> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        match text.rstrip(";").strip().lower():
            case "":
                continue
            case "exit" | "quit":
                return
            case "help":
                click.echo(_HELP)
            case "clear":
                click.clear()
            case "history":
                _print_history(prompt)
            case _:
                yield text


def _print_history(prompt: PromptSession[str]) -> None:
    for entry in prompt.history.get_strings()[-50:]:
        click.echo(entry)
