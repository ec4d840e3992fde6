"""``moltler upgrade``: bring an installed connector to a newer version."""

from __future__ import annotations

import click

from moltler.cli.base import Command, examples
from moltler.cli.consent import ask_consent
from moltler.cli.delivering import quoted, run_statement, write_lock
from moltler.cli.opening import open_session


@click.command(
    cls=Command,
    epilog=examples(
        "moltler upgrade shop                   to the highest version that fits",
        "moltler upgrade shop --to 1.2.0        to this one, which may also be an older one",
        "moltler query \"ROLLBACK CONNECTOR TYPE 'shop'\"     take it back",
    ),
)
@click.argument("type_name", metavar="TYPE")
@click.option("--to", "version", metavar="RANGE", help="1.2.0, ^1.2, ~1.2 or '>=1,<2'.")
@click.option("--lock", is_flag=True, help="Note what is installed in moltler.lock, here.")
@click.option("--yes", is_flag=True, help="Agree to more permissions without being asked.")
@click.pass_context
def command(
    context: click.Context, *, type_name: str, version: str | None, lock: bool, yes: bool
) -> None:
    """Bring TYPE to a newer version, from where it was installed.

    Nothing changes if an instance would not fit the new version, or if it wants to do more than
    the old one and you do not agree.
    """
    statement = f"UPGRADE CONNECTOR TYPE {quoted(type_name)}"
    if version is not None:
        statement += f" TO VERSION {quoted(version)}"
    session = open_session(context, ask_consent=ask_consent)
    run_statement(context, statement + (" WITH consent = TRUE" if yes else ""), session)
    if lock:
        write_lock(session)
