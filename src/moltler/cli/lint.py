"""``moltler lint``: check connectors for practices that hurt later."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moltler.cli.base import Command, examples, settings_of
from moltler.cli.files import SUFFIXES, read_script, scripts_in
from moltler.errors import ParseError

if TYPE_CHECKING:
    from moltler.errors import Source
    from moltler.lint.finding import Finding


@click.command(
    cls=Command,
    epilog=examples(
        "moltler lint                   every .moltler and .sql file below here",
        "moltler lint shop.moltler",
        "moltler lint --strict          exit 1 for warnings as well",
        "moltler explain LNT020         why a rule is there, and what to do",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings as well.")
@click.pass_context
def command(context: click.Context, *, paths: tuple[str, ...], strict: bool) -> None:
    """Check the connectors that scripts define against best practices.

    Nothing is run. PATH defaults to the current folder. One line a finding: file, line, column,
    rule, message; then what to do. If a single file is named, the definitions and tests beside it
    count, but only that file is judged. A comment suppresses a rule in the line below it, or in
    its own: `lint-ok LNT020: why`. Exit status 1 if one of the findings is an error.
    """
    from moltler.lint.scripts import lint_scripts
    from moltler.session.definitions import read_beside

    chosen = scripts_in(paths or (".",))
    sources = [read_script(str(path)) for path in chosen]
    findings = lint_scripts(sources, read_beside, _beside(chosen))
    if settings_of(context).json:
        from moltler.cli.output import print_record

        print_record([_record(f) for f in findings])
    else:
        for finding in findings:
            click.echo(str(finding))
            click.echo(f"    {finding.hint}")
        click.echo(_summary(findings, len(sources)), err=True)
    if any(f.severity == "error" or strict for f in findings):
        context.exit(1)


def _beside(chosen: list[Path]) -> list[Source]:
    """Read the scripts that lie beside chosen ones: they may hold the type or its tests."""
    known = {path.resolve() for path in chosen}
    folders = dict.fromkeys(path.parent for path in chosen)
    near: list[Source] = []
    for path in (p for f in folders for inner in (f, f / "tests") for p in _scripts_of(inner)):
        if path.resolve() not in known:
            # Nobody asked about these: one that cannot be read adds nothing.
            with suppress(ParseError):
                near.append(read_script(str(path)))
    return near


def _scripts_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())


def _record(finding: Finding) -> dict[str, object]:
    place = finding.place
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "hint": finding.hint,
        "type": finding.type_name,
        "file": None if place is None else place.file,
        "line": None if place is None else place.line,
        "column": None if place is None else place.column,
    }


def _summary(findings: tuple[Finding, ...], files: int) -> str:
    errors = sum(f.severity == "error" for f in findings)
    warnings = len(findings) - errors
    mark = "✗" if errors else "✓"
    told = f"{mark} {errors} error(s), {warnings} warning(s) in {files} file(s)"
    if findings and sys.stderr.isatty():
        told += f"; `moltler explain {findings[0].code}` tells more"
    return told
