"""``moltler explain``: what an error code means."""

from __future__ import annotations

from importlib import resources

import click

from moltler.cli.base import Command, examples
from moltler.codes import CODES
from moltler.errors import ParseError, near_match


@click.command(
    cls=Command,
    epilog=examples("moltler explain CAT002", "moltler explain          list every code"),
)
@click.argument("code", required=False)
def command(*, code: str | None) -> None:
    """Explain an error code: what it means, an example, the remedy."""
    if code is None:
        for row in CODES.values():
            click.echo(f"{row.code}  {row.type:<32} {row.summary}")
        return
    wanted = code.upper()
    if wanted not in CODES:
        close = near_match(wanted, list(CODES))
        raise ParseError(
            "SYN900",
            f"there is no error code `{code}`",
            hint=f"did you mean `{close}`?" if close else "`moltler explain` lists every code",
        )
    page = resources.files("moltler") / "explanations" / f"{wanted}.md"
    click.echo(page.read_text(encoding="utf-8").rstrip("\n"))
