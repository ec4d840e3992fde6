"""Options that every command takes, before or after its name."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import click


@dataclass(frozen=True, slots=True)
class Settings:
    """The global options of one invocation."""

    home: str | None = None
    json: bool = False
    color: bool = True
    verbose: bool = False
    read_only: bool = False


def global_options(*, hidden: bool) -> list[click.Parameter]:
    """Give the options of LANGUAGE §12.2; hidden where a command only repeats them."""

    def option(*names: str, help_text: str, metavar: str | None = None) -> click.Option:
        return click.Option(
            names,
            is_flag=metavar is None,
            default=None,
            metavar=metavar,
            help=help_text,
            hidden=hidden,
            expose_value=False,
            callback=_keep,
        )

    return [
        option("--home", metavar="DIR", help_text="Folder with catalog, secrets and data."),
        option("--json", help_text="Print results and errors as JSON."),
        option("--no-color", help_text="Print without colours."),
        option("-v", "--verbose", help_text="Show logs of handlers, and tracebacks of our faults."),
        option("--read-only", help_text="Refuse every action and sync."),
    ]


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is None:
        return
    settings = settings_of(context)
    match parameter.name:
        case "home":
            settings = replace(settings, home=str(value))
        case "json":
            settings = replace(settings, json=True)
        case "no_color":
            settings = replace(settings, color=False)
        case "verbose":
            settings = replace(settings, verbose=True)
        case _:
            settings = replace(settings, read_only=True)
    context.find_root().obj = settings


def settings_of(context: click.Context) -> Settings:
    """Give the global options as known so far."""
    root = context.find_root()
    if not isinstance(root.obj, Settings):
        root.obj = Settings(color="NO_COLOR" not in os.environ and sys.stdout.isatty())
    return root.obj


class Command(click.Command):
    """A command that also takes the global options after its name."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # click passes its own keywords
        self.params = [*self.params, *global_options(hidden=True)]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Add where the global options are described."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Also"):
            formatter.write_text(
                "The global options --home, --json, --no-color, -v and --read-only may stand "
                "here too; `moltler --help` describes them."
            )


class Group(click.Group):
    """A group of commands that also takes the global options after its name."""

    command_class = Command

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # click passes its own keywords
        self.params = [*self.params, *global_options(hidden=True)]


def examples(*lines: str) -> str:
    """Give an epilog that shows commands as they are typed."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def as_sequence(arguments: Sequence[str] | None) -> list[str]:
    """Give the arguments of the process, or those passed."""
    return list(sys.argv[1:] if arguments is None else arguments)
