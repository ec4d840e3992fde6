"""``moltler install``: take a connector in."""

from __future__ import annotations

import click

from moltler.cli.base import Command, examples
from moltler.cli.consent import ask_consent
from moltler.cli.delivering import (
    clauses,
    install_locked,
    quoted,
    run_statement,
    write_lock,
)
from moltler.cli.opening import open_session
from moltler.errors import ParseError


@click.command(
    cls=Command,
    epilog=examples(
        "moltler install shop --from team                   the highest version that fits",
        "moltler install shop --from team --version '^1.2'",
        "moltler install shop --from ./shop-1.0.0.moltler.tgz",
        "moltler install shop --from team --yes             agree without being asked",
        "moltler install shop --from team --lock            and note it in moltler.lock",
        "moltler install                                    exactly what moltler.lock names",
    ),
)
@click.argument("type_name", metavar="[TYPE]", required=False)
@click.option("--from", "source", metavar="SOURCE", help="A registry, an address or a file.")
@click.option("--version", metavar="RANGE", help="1.2.0, ^1.2, ~1.2 or '>=1,<2'.")
@click.option("--replace", is_flag=True, help="Take the place of a type that is defined here.")
@click.option("--lock", is_flag=True, help="Note what is installed in moltler.lock, here.")
@click.option("--yes", is_flag=True, help="Agree to what it may do without being asked.")
@click.pass_context
def command(
    context: click.Context,
    *,
    type_name: str | None,
    source: str | None,
    version: str | None,
    replace: bool,
    lock: bool,
    yes: bool,
) -> None:
    """Install connector TYPE; nothing of it runs before you create an instance.

    Every byte is checked first: the archive against the registry's index, each file against its
    digest, the signature if there is one. What the connector may do is shown, and you are asked.

    Without TYPE, what moltler.lock in this folder names is installed, to the byte.
    """
    if type_name is None:
        install_locked(context, consents=yes)
        return
    if source is None:
        raise ParseError(
            "SYN900",
            f"where should `{type_name}` come from",
            hint="add --from with a registry, an address or the path of an archive",
        )
    statement = clauses(
        f"INSTALL {'OR REPLACE ' if replace else ''}CONNECTOR TYPE {quoted(type_name)}",
        {"FROM": source, "VERSION": version},
    )
    session = open_session(context, ask_consent=ask_consent)
    run_statement(context, statement + (" WITH consent = TRUE" if yes else ""), session)
    if lock:
        write_lock(session)
