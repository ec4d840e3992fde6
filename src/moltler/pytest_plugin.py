"""A pytest plugin: TEST statements of .moltler and .sql files as test items.

A file's tests see the definitions of the scripts beside it, and of those that the option
``moltler_paths`` of the pytest configuration names.
"""

from __future__ import annotations

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
_TEST = re.compile(rb"\bTEST\s+CONNECTOR\s+TYPE\b", re.IGNORECASE)
_OURS = re.compile(rb"\bCONNECTOR\s+(?:TYPE|ENTITY|ACTION)\b", re.IGNORECASE)
# Other .sql files, migrations say, are not ours to parse.
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
    if file_path.suffix in _SUFFIXES and _TEST.search(file_path.read_bytes()):
        return _Script.from_parent(parent, path=file_path)
    return None


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the session, if one was needed."""
    bench = config.stash.get(_BENCH, None)
    if bench is not None:
        bench.session.close()


class _Bench:
    """One session for all tests of this process, and what each folder defines."""

    def __init__(self, config: pytest.Config) -> None:
        from moltler.compose import open_session
        from moltler.testing.runner import TestOptions

        # `print` finds the stream that pytest captures with, whichever it is by then.
        self.session: Session = open_session(
            echo=lambda line: print(line.rstrip("\n")), prewarm=True
        )  # noqa: T201
        self.options = TestOptions(require_env=config.getoption("moltler_require_env"))
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

        beside = [p for p in sorted(folder.iterdir()) if p.suffix in _SUFFIXES and p.is_file()]
        also = [p for p in scripts_in(map(str, self._also)) if p not in beside]
        scripts = [p for p in (*also, *beside) if _OURS.search(p.read_bytes())]
        try:
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
        collection = _bench(self.config).collection(self.path.parent)
        tests = [t for t in collection.tests if Path(t.span.source.name) == self.path]
        names = [test.name for test in tests]
        for test in tests:
            is_clear = names.count(test.name) == 1
            name = test.name if is_clear else f"{test.type_name}: {test.name}"
            yield _Test.from_parent(self, name=name, test=test, collection=collection)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> object:
        """Show our errors as we do."""
        if isinstance(excinfo.value, MoltlerError):
            return _error_text(excinfo.value)
        return super().repr_failure(excinfo)


class _Failed(Exception):  # noqa: N818 - an outcome
    pass


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
            raise _Failed("\n".join(failure_lines(report)))

    def _note(self, report: TestReport) -> None:
        if report.notes:
            self.add_report_section("call", "moltler", "\n".join(report.notes))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> object:  # type: ignore[override] # as pytest's guide has it
        """Show what failed as `moltler test` does, without a Python traceback."""
        if isinstance(excinfo.value, _Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Tell where it stands."""
        return self.path, self._test.span.line - 1, self.name


def _error_text(error: MoltlerError) -> str:
    from moltler.render.text import error_lines

    return "\n".join(line.plain for line in error_lines(error))
