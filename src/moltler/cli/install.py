"""``moltler install``: take a connector in."""

from __future__ import annotations

import click

from moltler.cli.base import Command, examples
from moltler.cli.delivering import clauses, quoted, run_statement


@click.command(
    cls=Command,
    epilog=examples(
        "moltler install shop --from team                   the highest version that fits",
        "moltler install shop --from team --version '^1.2'",
        "moltler install shop --from ./shop-1.0.0.moltler.tgz",
        "moltler install shop --from team --yes             agree without being asked",
    ),
)
@click.argument("type_name", metavar="TYPE")
@click.option(
    "--from", "source", required=True, metavar="SOURCE", help="A registry, an address or a file."
)
@click.option("--version", metavar="RANGE", help="1.2.0, ^1.2, ~1.2 or '>=1,<2'.")
@click.option("--replace", is_flag=True, help="Take the place of a type that is defined here.")
@click.option("--yes", is_flag=True, help="Agree to what it may do without being asked.")
@click.pass_context
def command(
    context: click.Context,
    *,
    type_name: str,
    source: str,
    version: str | None,
    replace: bool,
    yes: bool,
) -> None:
    """Install connector TYPE; nothing of it runs before you create an instance.

    Every byte is checked first: the archive against the registry's index, each file against its
    digest, the signature if there is one. What the connector may do is shown, and you are asked.
    """
    statement = clauses(
        f"INSTALL {'OR REPLACE ' if replace else ''}CONNECTOR TYPE {quoted(type_name)}",
        {"FROM": source, "VERSION": version},
    )
    run_statement(context, statement + (" WITH consent = TRUE" if yes else ""))
