"""Running many tests, one after another or side by side, with the reports in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

from moltler.lang import ast
from moltler.testing.report import TestReport

Run = Callable[[ast.TestDefinition], TestReport]
_PATIENCE_S = 5.0
"""How long tests that run already are waited for once nobody wants their reports."""


def run_all(
    tests: Sequence[ast.TestDefinition], run: Run, *, workers: int = 1, fail_fast: bool = False
) -> Iterator[TestReport]:
    """Run tests and give their reports in the order of the tests, whichever ends first.

    Args:
        tests: What to run.
        run: Runs one; called by several threads if there are several workers.
        workers: How many tests run at a time.
        fail_fast: Start no test after a failure; the first failure is the last report.
    """
    with closing(_reports(tests, run, workers, fail_fast=fail_fast)) as reports:
        for report in reports:
            yield report
            if fail_fast and report.status == "failed":
                break


def _reports(
    tests: Sequence[ast.TestDefinition], run: Run, workers: int, *, fail_fast: bool
) -> Generator[TestReport, None, None]:
    if workers == 1:
        yield from map(run, tests)
        return
    crew = _Crew(tests, run, min(workers, len(tests)), fail_fast=fail_fast)
    try:
        yield from crew.reports()
    finally:
        crew.dismiss()


class _Crew:
    def __init__(
        self, tests: Sequence[ast.TestDefinition], run: Run, workers: int, *, fail_fast: bool
    ) -> None:
        self._tests = tests
        self._run = run
        self._fail_fast = fail_fast
        self._changed = threading.Condition()
        self._next = 0
        self._is_dismissed = False
        self._done: dict[int, TestReport | BaseException] = {}
        # Daemons: an interrupt must not wait for a test that hangs.
        self._threads = [
            threading.Thread(target=self._work, name=f"moltler-test-{n}", daemon=True)
            for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def reports(self) -> Iterator[TestReport]:
        """Give the reports in order."""
        for number in range(len(self._tests)):
            with self._changed:
                while number not in self._done:
                    self._changed.wait()
                outcome = self._done.pop(number)
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome

    def dismiss(self) -> None:
        """Start nothing more, and wait a moment for what runs."""
        with self._changed:
            self._is_dismissed = True
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _work(self) -> None:
        while (number := self._take()) is not None:
            try:
                outcome: TestReport | BaseException = self._run(self._tests[number])
            except BaseException as fault:  # noqa: BLE001 - raised again where the reports are read
                outcome = fault
            with self._changed:
                self._done[number] = outcome
                if self._fail_fast and isinstance(outcome, TestReport):
                    # Those before the failure have all been started, so none is waited for in vain.
                    self._is_dismissed |= outcome.status == "failed"
                self._changed.notify_all()

    def _take(self) -> int | None:
        with self._changed:
            if self._is_dismissed or self._next == len(self._tests):
                return None
            self._next += 1
            return self._next - 1
