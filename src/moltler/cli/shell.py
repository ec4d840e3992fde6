"""``moltler shell``: statements typed by a person, with completion, history and colours."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moltler.cli.base import Command, settings_of
from moltler.cli.files import read_script
from moltler.cli.opening import open_session, run_script
from moltler.cli.output import Printer, print_failure, print_fault, print_interrupt, wants_color
from moltler.errors import MoltlerError, Source

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from moltler.session.session import Session

_HELP = """\
Statements end with ; and may take several lines.

  SHOW CONNECTORS;                      what there is
  SHOW CONNECTOR my_shop ENTITIES;      its tables
  DESCRIBE my_shop.items;               their fields
  SELECT * FROM my_shop.items LIMIT 5;  rows
  CONNECTOR_EXEC my_shop.items.create(name => 'Lamp');   an action

`moltler explain CODE`, outside of the shell, explains an error.

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
        for source in _scripts(session, read_script("-")):
            if source is None:
                click.echo(_HELP)
            else:
                run_script(context, session, source, printer)
        return
    from moltler.cli.prompt import open_prompt

    prompt = open_prompt(session)
    click.echo("moltler: statements end with ;  type help, or exit to leave", err=True)
    while True:
        try:
            text = prompt.prompt("moltler> ").strip()
            if _is_farewell(text):
                return
            if not _is_answered(text, prompt):
                _run(context, session, printer, text)
        except EOFError:
            return
        except KeyboardInterrupt:
            # Whatever it stopped, the shell goes on.
            continue


def _run(context: click.Context, session: Session, printer: Printer, text: str) -> None:
    settings = settings_of(context)
    try:
        run_script(context, session, Source("<shell>", text), printer)
    except MoltlerError as error:
        print_failure(error, as_json=settings.json)
    except KeyboardInterrupt as stop:
        print_interrupt(stop, as_json=settings.json)
    except Exception as error:  # noqa: BLE001 - a fault of ours does not end the conversation
        print_fault(error, settings)


def _scripts(session: Session, piped: Source) -> list[Source | None]:
    """Cut what was piped in at lines with ``help`` (``None``) and ``exit``.

    All of it is read before anything of it runs, and keeps its line numbers.
    """
    parts: list[Source | None] = []
    lines = piped.text.splitlines(keepends=True)
    first = 0
    for number, line in enumerate(lines):
        word = _word(line)
        if word not in {"help", "exit", "quit"}:
            continue
        before = "".join(lines[first:number])
        if before.strip()[-1:] not in {"", ";"}:
            continue
        source = Source(piped.name, "\n" * first + before)
        try:
            session.parse(source)
        except MoltlerError:
            continue  # it stands inside of something, such as a handler
        parts.append(source)
        first = number + 1
        if word != "help":
            return parts
        parts.append(None)
    rest = Source(piped.name, "\n" * first + "".join(lines[first:]))
    session.parse(rest)
    return [*parts, rest]


def _is_farewell(text: str) -> bool:
    return _word(text) in {"exit", "quit"}


def _is_answered(text: str, prompt: PromptSession[str]) -> bool:
    """Do what a word of the shell says; tell whether the text was one, or nothing."""
    match _word(text):
        case "":
            pass
        case "help":
            click.echo(_HELP)
        case "clear":
            click.clear()
        case "history":
            _print_history(prompt)
        case _:
            return False
    return True


def _word(text: str) -> str:
    return text.strip().rstrip(";").strip().lower()


def _print_history(prompt: PromptSession[str]) -> None:
    for entry in prompt.history.get_strings()[-50:]:
        click.echo(entry)
