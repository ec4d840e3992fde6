"""``moltler explain``: what an error code, or a rule of lint, means."""

from __future__ import annotations

from importlib import resources

import click

from moltler.cli.base import Command, examples
from moltler.codes import CODES
from moltler.errors import ParseError, near_match


@click.command(
    cls=Command,
    epilog=examples(
        "moltler explain CAT002",
        "moltler explain LNT020   a rule of moltler lint",
        "moltler explain          list every code",
    ),
)
@click.argument("code", required=False)
def command(*, code: str | None) -> None:
    """Explain an error code or a rule: what it means, an example, the remedy."""
    from moltler.lint.rules import RULES

    if code is None:
        for row in CODES.values():
            click.echo(f"{row.code}  {row.type:<32} {row.summary}")
        for rule in RULES.values():
            click.echo(f"{rule.code}  {'lint ' + rule.severity:<32} {rule.summary}")
        return
    wanted = code.upper()
    if wanted not in CODES and wanted not in RULES:
        close = near_match(wanted, [*CODES, *RULES])
        raise ParseError(
            "SYN900",
            f"there is no error code `{code}`",
            hint=f"did you mean `{close}`?" if close else "`moltler explain` lists every code",
        )
    folder = resources.files("moltler") / "explanations"
    page = (folder if wanted in CODES else folder / "lint") / f"{wanted}.md"
    click.echo(page.read_text(encoding="utf-8").rstrip("\n"))
