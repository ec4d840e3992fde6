"""``moltler package``: pack a connector type into an archive."""

from __future__ import annotations

from pathlib import Path

import click

from moltler.cli.base import Command, examples
from moltler.cli.delivering import clauses, quoted, run_statement


@click.command(
    cls=Command,
    epilog=examples(
        "moltler package shop --version 1.0.0 --author 'Ann' --license MIT",
        "moltler package shop --version 1.1.0 --changelog CHANGES.md --readme README.md …",
        "moltler package shop --version 1.0.0 -o dist …    into a folder of your choice",
    ),
)
@click.argument("type_name", metavar="TYPE")
@click.option("--version", required=True, metavar="V", help="Three numbers: 1.0.0.")
@click.option("--description", metavar="TEXT", help="One sentence; else the type's DESCRIPTION.")
@click.option("--author", metavar="TEXT", help="Who answers for it.")
@click.option("--license", "license_", metavar="ID", help="Its licence, as SPDX names it: MIT.")
@click.option("--homepage", metavar="URL", help="Where to read more.")
@click.option("--repository", metavar="URL", help="Where its source is.")
@click.option("--tag", "tags", multiple=True, metavar="WORD", help="To be found by; may repeat.")
@click.option(
    "--readme", metavar="FILE", type=click.Path(path_type=Path), help="Added to its README."
)
@click.option(
    "--changelog",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What changed; needed from the second version on.",
)
@click.option("--key", metavar="NAME", help="The key that signs it; see `moltler keys`.")
@click.option("--skip-tests", is_flag=True, help="Pack without running its tests: for yourself.")
@click.option("-o", "folder", metavar="DIR", help="Where the archive goes; else into the home.")
@click.pass_context
def command(
    context: click.Context,
    *,
    type_name: str,
    version: str,
    description: str | None,
    author: str | None,
    license_: str | None,
    homepage: str | None,
    repository: str | None,
    tags: tuple[str, ...],
    readme: Path | None,
    changelog: Path | None,
    key: str | None,
    skip_tests: bool,
    folder: str | None,
) -> None:
    """Pack the registered revision of TYPE with its tests into an archive.

    Its mocked tests run and its claims of PUSHDOWN are put to the test; the results are in the
    archive. The same type gives the same bytes, whenever and wherever it is packed.
    """
    from moltler.cli.files import read_script

    def text_of(path: Path | None) -> str | None:
        return None if path is None else read_script(str(path)).text

    statement = clauses(
        f"PACKAGE CONNECTOR TYPE {quoted(type_name)}",
        {
            "VERSION": version,
            "DESCRIPTION": description,
            "AUTHOR": author,
            "LICENSE": license_,
            "HOMEPAGE": homepage,
            "REPOSITORY": repository,
            "DOCUMENTATION": text_of(readme),
            "CHANGELOG": text_of(changelog),
            "TO": folder,
        },
    )
    if tags:
        statement += f" TAGS [{', '.join(map(quoted, tags))}]"
    settings = [f"key = {quoted(key)}"] if key is not None else []
    settings += ["tests = 'skip'"] if skip_tests else []
    if settings:
        statement += f" WITH {', '.join(settings)}"
    run_statement(context, statement)
