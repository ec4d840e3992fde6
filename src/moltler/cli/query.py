"""``moltler query``: one statement and its result."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import click

from moltler.cli.base import Command, examples, settings_of
from moltler.cli.files import read_script
from moltler.cli.opening import open_session, run_script
from moltler.cli.output import FORMATS, Format, Printer, wants_color
from moltler.errors import ParseError, Source


@click.command(
    cls=Command,
    epilog=examples(
        "moltler query \"SELECT * FROM my_shop.items WHERE status = 'active' LIMIT 5\"",
        "moltler query 'SHOW CONNECTORS'",
        "moltler query --format csv -o items.csv 'SELECT * FROM my_shop.items'",
        "moltler query --format ndjson 'SELECT * FROM my_shop.orders' | jq .total",
        "moltler query \"CONNECTOR_EXEC my_shop.items.create(name => 'Lamp')\"",
        "echo 'SELECT 1' | moltler query -",
    ),
)
@click.argument("statement", metavar="STATEMENT")
@click.option(
    "--format", "-f", "format_name", type=click.Choice(FORMATS), help="How to write the rows."
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write to a file."
)
@click.pass_context
def command(
    context: click.Context, *, statement: str, format_name: str | None, output: Path | None
) -> None:
    """Run one statement of any kind and print its result.

    STATEMENT is text, or - for standard input. Formats: table (default), json, ndjson, csv,
    markdown, parquet, arrow; the last two need -o or a pipe.
    """
    settings = settings_of(context)
    chosen = cast("Format", format_name or ("json" if settings.json else "table"))
    source = read_script("-") if statement == "-" else _as_source(statement)
    context.find_root().obj = replace(settings, json=chosen in {"json", "ndjson"})
    printer = Printer(chosen, color=settings.color and wants_color(sys.stdout), path=output)
    session = open_session(context, prewarm=True)
    statements = session.parse(source).statements
    if not statements:
        raise ParseError(
            "SYN900", "there is no statement in this text", hint="see `moltler query --help`"
        )
    if len(statements) > 1:
        raise ParseError(
            "SYN900",
            f"`moltler query` takes one statement, this text has {len(statements)}",
            hint="put several statements into a file and use `moltler run FILE`",
        )
    run_script(context, session, source, printer)


def _as_source(statement: str) -> Source:
    try:
        statement.encode()
    except UnicodeEncodeError as error:
        raise ParseError(
            "SYN001",
            f"the statement is not UTF-8 text (character {error.start + 1})",
            hint="put it into a file that is UTF-8 and use `moltler run FILE`",
        ) from error
    return Source("<query>", statement)
