"""The entry point: a table of commands, each loaded only when it runs."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Sequence

import click

from moltler.cli.base import Settings, as_sequence, examples, global_options
from moltler.errors import MoltlerError, ParseError, PlanError, near_match

VERSION = "0.1.0"

COMMANDS = {
    "run": "Run scripts: define connectors, query, act.",
    "query": "Run one statement and print its result.",
    "test": "Run the tests of connectors.",
    "prove": "Put the claims of a connector's PUSHDOWN to the test.",
    "new": "Write the files of a new connector.",
    "shell": "Type statements, with completion and history.",
    "package": "Pack a connector type into an archive.",
    "publish": "Send a packaged connector to a registry.",
    "install": "Install a connector from a registry, an address or an archive.",
    "upgrade": "Bring an installed connector to a newer version.",
    "search": "Look for connectors in registries.",
    "registry": "Say where packages come from: add, list, rm, serve.",
    "keys": "Sign packages, and say whose signatures you trust: generate, list, trust.",
    "sync": "Run syncs again, list them, and see what their runs did.",
    "serve": "Run syncs by their schedules until interrupted.",
    "secrets": "Store credentials: set, list, rm.",
    "fmt": "Lay scripts out canonically.",
    "lint": "Check connectors for practices that hurt later.",
    "explain": "Explain an error code or a rule.",
    "doctor": "Check home, key and runtime, and say how to mend them.",
    "demo": "Serve a small shop API on this machine, or take a tour of it.",
}
"""Name and summary; the command itself is ``cli.<name>.command``."""

LATER = frozenset({
    "mcp",
})  # fmt: skip
"""Commands of the specification that this version does not have yet."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"moltler.cli.{cmd_name}")  # noqa: TID251 - the command table
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - our own modules
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in LATER:
            raise PlanError(
                "PLN011",
                f"`moltler {name}` is not available in this version",
                hint="`moltler --help` lists the commands there are",
            )
        if name not in COMMANDS and not name.startswith("-"):
            close = near_match(name, list(COMMANDS))
            raise ParseError(
                "SYN900",
                f"there is no command `{name}`",
                hint=f"did you mean `moltler {close}`?" if close else "see `moltler --help`",
                allowed=tuple(COMMANDS),
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=_Commands,
    invoke_without_command=True,
    params=[
        *global_options(hidden=False),
        click.Option(["--version"], is_flag=True, help="Print the version."),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "moltler demo --tour                           see it work in a minute",
        "moltler run shop.moltler                      define a connector",
        "moltler secrets set shop_key                  give it its credential",
        "moltler query 'SELECT * FROM my_shop.items'   ask it something",
        "moltler explain CAT002                        understand an error",
    ),
)
@click.pass_context
def cli(context: click.Context, *, version: bool) -> None:
    """Query and change HTTP APIs with SQL; a connector is a text file.

    Without a command: the shell.
    """
    if version:
        click.echo(f"moltler {VERSION}")
    elif context.invoked_subcommand is None:
        shell = _Commands.get_command(cli, context, "shell")  # type: ignore[arg-type] # a group
        assert shell is not None  # noqa: S101 - it is in the table
        context.invoke(shell)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the status of LANGUAGE §12.2."""
    _leave_no_core()
    sys.exit(run(as_sequence(arguments)))


def run(arguments: list[str]) -> int:
    """Run the command line and give its exit status."""
    if arguments == ["--version"]:
        print(f"moltler {VERSION}")  # noqa: T201 - before click is needed, for a quick answer
        return 0
    root: click.Context | None = None

    def settings() -> Settings:
        # What the options say, if they could be read at all.
        if root is not None and isinstance(root.obj, Settings):
            return root.obj
        return Settings(
            json=not {"--json", "json", "ndjson", "--format=json", "--format=ndjson"}.isdisjoint(
                arguments
            ),
            verbose="-v" in arguments,
        )

    _accept_any_character()
    try:
        root = cli.make_context("moltler", list(arguments))
        with root:
            cli.invoke(root)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.UsageError as error:
        return _report(_usage_error(error), settings())
    except click.Abort:
        click.echo("interrupted", err=True)
        return 130
    except MoltlerError as error:
        return _report(error, settings())
    except KeyboardInterrupt as stop:
        from moltler.cli.output import print_interrupt

        print_interrupt(stop, as_json=settings().json)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; that is no failure.
        from moltler.cli.output import forget_output

        forget_output()
        return 0
    except Exception as error:  # noqa: BLE001 - whatever it is, users get a sentence and status 70
        from moltler.cli.output import print_fault

        return print_fault(error, settings())
    return 0


def _leave_no_core() -> None:
    # A core dump would hold every secret that was in use.
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _accept_any_character() -> None:
    # A terminal without the character shows its escape; text never fails for its looks.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _usage_error(error: click.UsageError) -> MoltlerError:
    command = error.ctx.command_path if error.ctx else "moltler"
    message = error.format_message().rstrip(".")
    return ParseError("SYN900", message[:1].lower() + message[1:], hint=f"see `{command} --help`")


def _report(error: MoltlerError, settings: Settings) -> int:
    from moltler.cli.output import print_failure

    print_failure(error, as_json=settings.json)
    return error.exit_code
