"""What a package must prove: its mocked tests pass, and its claims of push-down hold."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from moltler.catalog.catalog import Catalog
from moltler.errors import MoltlerError, Problem
from moltler.lang import ast
from moltler.model import ConnectorType, StoredTest, TypeEntry
from moltler.net.cassette import cassette_path
from moltler.registry.manifest import Evidence, ProofResult, TestResult
from moltler.registry.package import Package, PackedTest
from moltler.session.services import Services
from moltler.session.testing import TestCollection, prove_claims, read_stored, run_one
from moltler.testing.runner import TestOptions
from moltler.testing.tape import is_mocked


@dataclass(frozen=True, slots=True)
class Examined:
    """What came of tests and proof."""

    evidence: Evidence
    problems: tuple[Problem, ...]
    """Failed tests (PKG003) and claims that are disproved (PKG004)."""
    unproven: tuple[Problem, ...]
    """Claims that no mock can exercise (PKG004)."""


def packed_tests(entry: TypeEntry) -> tuple[PackedTest, ...]:
    """Give the tests that are stored with a type, with the cassettes beside their files."""
    return tuple(PackedTest(test, _cassette_of(entry.name, test)) for test in entry.tests)


def _cassette_of(type_name: str, test: StoredTest) -> bytes | None:
    if test.file.startswith("<"):
        return None
    path = cassette_path(Path(test.file).parent, type_name, test.name)
    return path.read_bytes() if path.is_file() else None


@contextmanager
def tests_of(package: Package) -> Generator[tuple[StoredTest, ...]]:
    """Lay the cassettes of a package out where its tests find them, for a while."""
    with tempfile.TemporaryDirectory(prefix="moltler-") as folder:
        yield lay_out(package, Path(folder))


def lay_out(package: Package, folder: Path) -> tuple[StoredTest, ...]:
    """Write the cassettes of a package below a folder and give its tests as if they lay there.

    Raises:
        MoltlerError: PKG010, the package holds something else than tests.
        OSError: The folder cannot be written.
    """
    found: list[StoredTest] = []
    for packed in package.tests():
        file = folder / packed.test.file
        if packed.cassette is not None:
            # The name is ours, made of the test's; no path of the archive is ever used.
            path = cassette_path(file.parent, package.manifest.name, packed.test.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed.cassette)
        found.append(replace(packed.test, file=str(file)))
    return tuple(found)


def examine(definition: ConnectorType, tests: Sequence[StoredTest], services: Services) -> Examined:
    """Run the mocked tests of a type and put its claims to the test."""
    entry = TypeEntry(definition, definition, 1, tests=tuple(tests))
    catalog = services.catalog.load()
    types = {**catalog.types, definition.name.lower(): entry}
    scratch = replace(catalog, types=types, connectors={})
    # By name, so that the results do not depend on the order in which they were defined.
    read = [read_stored(test) for test in sorted(tests, key=lambda t: t.name)]
    results = [_run(test, scratch, services) for test in read]
    mocked = [test for test in read if is_mocked(test)]
    collection = TestCollection(scratch, tuple(mocked))
    proofs = prove_claims(definition.name, collection, services)
    disproved = tuple(
        Problem(
            "PKG004",
            f"`{definition.name}.{p.entity.name}` does not do what PUSHDOWN claims:"
            f" {p.difference.question.sql}: {p.difference.what}"
            f"\n  the condition holds for {_rows(p.difference.expected)}"
            f"\n  the handler answers {_rows(p.difference.answered)}",
            f"see it with `moltler prove {definition.name}`; mend the handler or take the claim"
            " back",
        )
        for p in proofs
        if p.difference is not None
    )
    unproven = tuple(
        Problem(
            "PKG004",
            f"`{definition.name}.{p.entity.name}` claims what no mock can exercise:"
            f" {', '.join(p.unproven)}",
            "add a data route (`rows`, `filters`) to the MOCK_API of a test",
        )
        for p in proofs
        if p.unproven and p.difference is None
    )
    proof = tuple(
        ProofResult(f"{definition.name}.{p.entity.name}", p.claims, p.queries, p.unproven)
        for p in proofs
    )
    evidence = Evidence("passed", tuple(result for result, _ in results), proof)
    failed = tuple(problem for _, problem in results if problem is not None)
    return Examined(evidence, (*failed, *disproved), unproven)


def _rows(rows: tuple[str, ...]) -> str:
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"{len(rows)} row(s): {', '.join(rows[:3])}{more}" if rows else "no row"


def _run(
    test: ast.TestDefinition, catalog: Catalog, services: Services
) -> tuple[TestResult, Problem | None]:
    if not is_mocked(test):
        # It would reach for the real API, with credentials that a package must not depend on.
        return TestResult(test.name, "not run", test.tags), None
    report = run_one(test, catalog, services, TestOptions(isolated=True))
    problem = None
    if report.failure is not None:
        problem = Problem(
            "PKG003",
            f"its test '{test.name}' fails: {report.failure.message}",
            "mend it; `moltler test` shows more",
            report.failure.error.problems[0].span,
        )
    return TestResult(test.name, report.status, test.tags), problem


def raise_all(problems: Iterable[Problem]) -> None:
    """Raise all problems as one error, if there are any.

    Raises:
        MoltlerError: The code of the first.
    """
    found = tuple(problems)
    if found:
        raise MoltlerError.of(found)
