"""``moltler fmt``: lay scripts out canonically."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from moltler.cli.base import Command, examples
from moltler.cli.files import read_script, scripts_in
from moltler.errors import Source


@click.command(
    cls=Command,
    epilog=examples(
        "moltler fmt                    format every .moltler and .sql file below here",
        "moltler fmt shop.moltler",
        "moltler fmt --check --diff     say what would change; exit 1 if anything would",
        "cat shop.moltler | moltler fmt -",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Print the changes instead of making them.")
@click.pass_context
def command(context: click.Context, *, paths: tuple[str, ...], check: bool, diff: bool) -> None:
    """Lay scripts out canonically; handlers and comments are kept as they are.

    Prints the names of the files that changed.
    """
    from moltler.lang.printer import format_text

    if paths == ("-",):
        click.echo(format_text(read_script("-")), nl=False)
        return
    would_change = False
    for path in scripts_in(paths or (".",)):
        source = read_script(str(path))
        formatted = format_text(source)
        if formatted == source.text:
            continue
        would_change = True
        if diff:
            sys.stdout.writelines(_diff(source, formatted))
        else:
            click.echo(str(path))
        if not check and not diff:
            _write(path, formatted)
    if would_change and check:
        context.exit(1)


def _diff(source: Source, formatted: str) -> Iterator[str]:
    return difflib.unified_diff(
        source.text.splitlines(keepends=True),
        formatted.splitlines(keepends=True),
        source.name,
        source.name,
    )


def _write(path: Path, text: str) -> None:
    # Beside the file and then over it: an interrupt never leaves half a script.
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text, encoding="utf-8", newline="")
    draft.chmod(path.stat().st_mode)
    draft.replace(path)
