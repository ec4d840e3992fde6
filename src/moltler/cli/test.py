"""``moltler test``: run the tests of connectors."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from moltler.cli.base import Command, examples, settings_of
from moltler.cli.files import read_script, scripts_in
from moltler.cli.opening import open_session
from moltler.cli.output import wants_color


@click.command(
    cls=Command,
    epilog=examples(
        "moltler test                          every test below this folder",
        "moltler test shop.moltler shop_tests.sql",
        "moltler test --name 'query*' --exclude-tag slow",
        "moltler test --watch                  again whenever a file changes",
        "moltler test -n 4 --junit report.xml",
        "moltler test --record --tag integration   real requests, kept as cassettes",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--type", "types", multiple=True, metavar="T", help="Only tests of this type.")
@click.option(
    "--name", "names", multiple=True, metavar="GLOB", help="Only tests whose NAME matches."
)
@click.option("--tag", "tags", multiple=True, metavar="A", help="Only tests with one of the tags.")
@click.option(
    "--exclude-tag", "excluded", multiple=True, metavar="B", help="No tests with this tag."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@click.option(
    "--shuffle",
    is_flag=False,
    flag_value="",
    metavar="[SEED]",
    help="Run in a random order; the seed is printed, and repeats it.",
)
@click.option("--list", "list_only", is_flag=True, help="List the tests instead of running them.")
@click.option(
    "--junit",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a JUnit XML report, too.",
)
@click.option(
    "--require-env", is_flag=True, help="Fail tests whose ENV variables are unset; do not skip."
)
@click.option(
    "--coverage", is_flag=True, help="Tell which entities, actions and handler lines ran."
)
@click.option(
    "--record",
    is_flag=True,
    help="Run tests without MOCK_API against the real API and write their cassettes.",
)
@click.option(
    "--live", is_flag=True, help="Ignore cassettes; let tests of packages use network and ENV."
)
@click.option(
    "--watch", "watched", is_flag=True, help="Run again what a changed file concerns; Ctrl-C ends."
)
@click.option(
    "-n",
    "workers",
    type=click.IntRange(min=1),
    default=1,
    metavar="WORKERS",
    help="How many tests run at a time: faster where they wait or handlers compute.",
)
@click.pass_context
def command(
    context: click.Context,
    *,
    paths: tuple[str, ...],
    types: tuple[str, ...],
    names: tuple[str, ...],
    tags: tuple[str, ...],
    excluded: tuple[str, ...],
    fail_fast: bool,
    shuffle: str | None,
    list_only: bool,
    junit: Path | None,
    require_env: bool,
    coverage: bool,
    record: bool,
    live: bool,
    watched: bool,
    workers: int,
) -> None:
    """Run the TEST statements of files, and of all .moltler and .sql files in folders.

    PATH defaults to the current folder. The definitions of all files are made first, on a copy
    of the catalog: nothing of a test outlives it. Options that may be repeated mean any of
    their values; --exclude-tag wins. Exit status: 0 all passed or were skipped, 1 one failed,
    2 a file or the command line cannot be read, 5 nothing was selected.
    """
    if shuffle and not shuffle.isdecimal():
        # The seed may be left out, so what follows can also be the first path.
        paths, shuffle = (shuffle, *paths), ""
    paths = paths or (".",)
    sources = [read_script(str(path)) for path in scripts_in(paths)]
    session = open_session(context, prewarm=True)
    # While these load, the runtime process starts.
    from moltler.cli.choosing import Choice, new_seed
    from moltler.cli.playing import Order, list_tests, play, tell_notes
    from moltler.testing.runner import TestOptions

    settings = settings_of(context)
    order = Order(
        paths,
        Choice(types, names, tags, excluded),
        TestOptions(require_env=require_env, record=record, live=live, coverage=coverage),
        workers,
        fail_fast,
        None if shuffle is None else int(shuffle or new_seed()),
        junit,
        coverage,
        settings.json,
        settings.color and wants_color(sys.stdout),
        settings.verbose,
    )
    if watched:
        from moltler.cli.watching import watch_tests

        watch_tests(context, session, order)
        return
    collection = session.collect_tests(sources)
    tell_notes(collection, order)
    chosen = order.choice.of(collection.tests)
    if list_only:
        list_tests(chosen, order)
    elif not play(context, session, order, sources, collection, chosen):
        context.exit(1)
