"""``moltler prove``: compare the claims of PUSHDOWN with what handlers answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moltler.cli.base import Command, examples, settings_of
from moltler.cli.files import read_script, scripts_in
from moltler.cli.opening import open_session
from moltler.cli.output import Printer, wants_color

if TYPE_CHECKING:
    from moltler.exec.proof import EntityProof


@click.command(
    cls=Command,
    epilog=examples(
        "moltler prove shop                  in the mocks of its stored tests",
        "moltler prove shop shop.moltler tests.moltler",
    ),
)
@click.argument("type_name", metavar="TYPE")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.pass_context
def command(context: click.Context, *, type_name: str, paths: tuple[str, ...]) -> None:
    """Put the claims of TYPE to the test in the mocks of its own tests.

    Queries are made from the rows of data routes; what the handler answers to each is compared
    with the condition itself. Tests are those stored with the type, or those of files, whose
    definitions then count as well. Exit status 1 if an answer differs; a claim that no mock can
    exercise is named as unproven.
    """
    from moltler.flow.result import Column, Table

    sources = [read_script(str(path)) for path in scripts_in(paths)] if paths else []
    session = open_session(context, prewarm=True)
    proofs = session.prove(type_name, sources)
    settings = settings_of(context)
    printer = Printer(
        "json" if settings.json else "table", color=settings.color and wants_color(sys.stdout)
    )
    columns = (
        Column("entity", "string"),
        Column("status", "string"),
        Column("queries", "integer"),
        Column("claims", "integer"),
        Column("unproven", "string"),
        Column("difference", "string"),
        *((Column("example", "string"),) if settings.json else ()),
    )
    rows = [_row(p) + ((p.example,) if settings.json else ()) for p in proofs]
    printer.show(Table(columns=columns, rows=tuple(rows)))
    for proof in proofs:
        if proof.unproven and proof.difference is None:
            name = f"{type_name}.{proof.entity.name}"
            click.echo(f"{name}: unproven claims need a data route in MOCK_API", err=True)
            for note in dict.fromkeys(proof.notes):
                click.echo(f"  {note}", err=True)
    example = next((p.example for p in proofs if p.example is not None), None)
    if example is not None and not settings.json:
        click.echo(f"\n{example}")
    if any(p.difference is not None for p in proofs):
        context.exit(1)


def _row(proof: EntityProof) -> tuple[object, ...]:
    difference = proof.difference
    status = "proven" if not proof.unproven else "unproven"
    told = None
    if difference is not None:
        status, told = "disproved", f"{difference.question.sql}: {difference.what}"
    unproven = None if difference is not None else ", ".join(proof.unproven) or None
    return proof.entity.name, status, proof.queries, len(proof.claims), unproven, told
