"""A pytest plugin: TEST statements of .moltler and .sql files as test items.

A file's tests see the definitions of the scripts beside it, and of those that the option
``moltler_paths`` of the pytest configuration names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moltler.errors import MoltlerError

if TYPE_CHECKING:
    from moltler.lang import ast
    from moltler.session.session import Session
    from moltler.session.testing import TestCollection
    from moltler.testing.report import TestReport

_SUFFIXES = frozenset({".moltler", ".sql"})
_GAP = rb"(?:\s|--[^\n]*\n|/\*.*?\*/)+"
_OURS = re.compile(rb"\bCONNECTOR" + _GAP + rb"(?:TYPE|ENTITY|ACTION)\b", re.IGNORECASE | re.DOTALL)
"""What a script that is ours holds. Other .sql files, migrations say, are not ours to parse."""
_BEGINS = re.compile(
    rb"(?:\A|;)(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:TEST|CREATE(?:" + _GAP + rb"OR" + _GAP
    + rb"REPLACE)?)" + _GAP + rb"CONNECTOR\b",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
"""How a statement of ours begins, for scripts that cannot be read."""
_LARGEST = 5_000_000
_BENCH = pytest.StashKey["_Bench"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    parser.getgroup("moltler").addoption(
        "--moltler-require-env",
        action="store_true",
        help="fail connector tests whose ENV variables are unset, instead of skipping them",
    )
    parser.addini(
        "moltler_paths",
        "scripts and folders with the definitions that connector tests need, besides their folder",
        type="paths",
        default=[],
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take scripts that hold tests."""
    if _is_ours(file_path, tests_only=True):
        return _Script.from_parent(parent, path=file_path)
    return None


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the session, if one was needed."""
    bench = config.stash.get(_BENCH, None)
    if bench is not None:
        bench.session.close()


def _is_ours(path: Path, *, tests_only: bool = False) -> bool:
    """Tell whether a file is a script with definitions or tests, or a broken one."""
    # Dumps of databases end in .sql as well; nobody writes a test as large as they are.
    if path.suffix not in _SUFFIXES or not path.is_file() or path.stat().st_size > _LARGEST:
        return False
    raw = path.read_bytes()
    if _OURS.search(raw) is None:
        return False
    from moltler.cli.files import read_script
    from moltler.lang import ast
    from moltler.lang.parser import parse

    definitions = (ast.CreateType, ast.CreateEntity, ast.CreateAction)
    kinds = (ast.TestDefinition, *(() if tests_only else definitions))
    try:
        return any(isinstance(s, kinds) for s in parse(read_script(str(path))).statements)
    except MoltlerError:
        return _BEGINS.search(raw) is not None


class _Bench:
    """One session for all tests of this process, and what each folder defines."""

    def __init__(self, config: pytest.Config) -> None:
        from moltler.compose import open_session
        from moltler.testing.runner import TestOptions

        self.session: Session = open_session(prewarm=True)
        self.options = TestOptions(require_env=bool(config.getoption("moltler_require_env")))
        self._also: Sequence[Path] = config.getini("moltler_paths")
        self._collections: dict[Path, TestCollection | MoltlerError] = {}

    def collection(self, folder: Path) -> TestCollection:
        """Read what the scripts of a folder define and test.

        Raises:
            MoltlerError: They are wrong.
        """
        if folder not in self._collections:
            self._collections[folder] = self._collect(folder)
        found = self._collections[folder]
        if isinstance(found, MoltlerError):
            raise found
        return found

    def _collect(self, folder: Path) -> TestCollection | MoltlerError:
        from moltler.cli.files import read_script, scripts_in

        try:
            files = dict.fromkeys((*scripts_in(map(str, self._also)), *sorted(folder.iterdir())))
            scripts = [path for path in files if _is_ours(path)]
            return self.session.collect_tests([read_script(str(p)) for p in scripts])
        except MoltlerError as error:
            return error


def _bench(config: pytest.Config) -> _Bench:
    if _BENCH not in config.stash:
        config.stash[_BENCH] = _Bench(config)
    return config.stash[_BENCH]


class _Script(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        """Give the tests of the file, named as they are."""
        try:
            collection = _bench(self.config).collection(self.path.parent)
        except MoltlerError as error:
            raise self.CollectError(_error_text(error)) from error
        tests = [t for t in collection.tests if Path(t.span.source.name) == self.path]
        names = [test.name for test in tests]
        for test in tests:
            is_clear = names.count(test.name) == 1
            name = test.name if is_clear else f"{test.type_name}: {test.name}"
            yield _Test.from_parent(self, name=name, test=test, collection=collection)


class _Test(pytest.Item):
    def __init__(
        self,
        name: str,
        parent: pytest.Collector,
        *,
        test: ast.TestDefinition,
        collection: TestCollection,
    ) -> None:
        super().__init__(name, parent)
        self._test = test
        self._collection = collection
        self.extra_keyword_matches.update((str(test.type_name), *test.tags))

    def runtest(self) -> None:
        """Run it."""
        from moltler.render.tests import failure_lines

        bench = _bench(self.config)
        report = bench.session.run_test(self._test, self._collection, bench.options)
        self._note(report)
        if report.status == "skipped":
            pytest.skip(report.reason or "")
        if report.failure is not None:
            text = "\n".join(failure_lines(report))
            # Where it failed is a place in the script; a Python traceback says nothing.
            pytest.fail(text.replace(f"{self.config.rootpath}{os.sep}", ""), pytrace=False)

    def _note(self, report: TestReport) -> None:
        if report.notes:
            self.add_report_section("call", "moltler", "\n".join(report.notes))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Tell where it stands."""
        return self.path, self._test.span.line - 1, self.name


def _error_text(error: MoltlerError) -> str:
    from moltler.render.text import error_lines

    return "\n".join(line.plain for line in error_lines(error))
