"""A run of collected tests: its order, its output, its reports on disk."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moltler.cli.choosing import Choice, shuffled
from moltler.cli.concern import defined_types
from moltler.cli.crew import run_all
from moltler.cli.output import Printer, print_record, write_file
from moltler.cli.verdicts import Verdicts
from moltler.errors import Source
from moltler.flow.result import Column, Table
from moltler.render import coverage
from moltler.render.tests import report_record
from moltler.testing.runner import TestOptions

if TYPE_CHECKING:
    from moltler.lang import ast
    from moltler.session.session import Session
    from moltler.session.testing import TestCollection
    from moltler.testing.report import TestReport

_NOTES_SHOWN = 3
_LISTED = (
    Column("type", "string"),
    Column("name", "string"),
    Column("tags", "array"),
    Column("file", "string"),
    Column("line", "integer"),
)


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for."""

    paths: tuple[str, ...]
    choice: Choice
    options: TestOptions
    workers: int
    fail_fast: bool
    seed: int | None
    junit: Path | None
    coverage: bool
    json: bool
    color: bool
    verbose: bool


def tell_notes(collection: TestCollection, order: Order) -> None:
    """Tell which statements of the files are passed over."""
    shown = collection.notes if order.verbose else collection.notes[:_NOTES_SHOWN]
    for note in shown:
        click.echo(f"note: {note}", err=True)
    more = len(collection.notes) - len(shown)
    if more > 0:
        click.echo(f"note: and {more} more statements; -v lists them", err=True)


def list_tests(tests: Sequence[ast.TestDefinition], order: Order) -> None:
    """Print tests without running them."""
    rows = (
        (str(t.type_name), t.name, list(t.tags), t.span.source.name, t.span.line) for t in tests
    )
    printer = Printer("json" if order.json else "table", color=order.color)
    printer.show(Table(_LISTED, tuple(rows)))


def play(
    context: click.Context,
    session: Session,
    order: Order,
    sources: Sequence[Source],
    collection: TestCollection,
    tests: Sequence[ast.TestDefinition],
) -> bool:
    """Run tests and print what became of them; tell whether none failed."""
    if order.seed is not None:
        tests = shuffled(tests, order.seed)
        click.echo(f"shuffled; --shuffle {order.seed} gives this order again", err=True)
    verdicts = Verdicts(
        context,
        sources,
        len(tests),
        color=order.color,
        heads=len({str(t.type_name).lower() for t in tests}) > 1,
        quiet=order.json,
    )
    started = time.monotonic()
    reports: list[TestReport] = []
    for report in run_all(
        tests,
        lambda test: session.run_test(test, collection, order.options),
        workers=order.workers,
        fail_fast=order.fail_fast,
    ):
        verdicts.show(report)
        reports.append(report)
    took = round((time.monotonic() - started) * 1000)
    verdicts.end(reports, took, len(tests) - len(reports))
    _print_sums(session, order, sources, collection, reports)
    if order.junit is not None:
        from moltler.render.junit import junit_text

        write_file(order.junit, junit_text(reports, took))
    sys.stdout.flush()
    return all(r.status != "failed" for r in reports)


def _print_sums(
    session: Session,
    order: Order,
    sources: Sequence[Source],
    collection: TestCollection,
    reports: Sequence[TestReport],
) -> None:
    records = [report_record(report) for report in reports]
    if not order.coverage:
        if order.json:
            print_record(records)
        return
    # A type without a single test counts, too: that is what one wants to know.
    names = defined_types([session.parse(source) for source in sources])
    names |= dict.fromkeys(report.type_name.lower() for report in reports)
    entries = {e.name.lower(): e for e in collection.catalog.types.values()}
    found = coverage.coverage((entries[n].draft for n in names if n in entries), reports)
    if order.json:
        print_record({"tests": records, "coverage": coverage.coverage_record(found)})
        return
    sys.stdout.write("\n")
    rows = tuple(c.row for c in found)
    Printer("table", color=order.color).show(Table(coverage.COLUMNS, rows))
    sys.stdout.write(coverage.coverage_line(found) + "\n")
