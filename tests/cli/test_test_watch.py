"""`moltler test --watch`, and tests that run side by side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import click
import pytest

from cli.scripts import GOOD, SHOP, write, written
from moltler.cli.base import Settings
from moltler.cli.choosing import Choice
from moltler.cli.crew import run_all
from moltler.cli.opening import open_session
from moltler.cli.playing import Order
from moltler.cli.watching import watch_tests
from moltler.lang import ast
from moltler.testing.report import Status, TestReport
from moltler.testing.runner import TestOptions
from support.command import Moltler

Step = Callable[[], object]
OTHER = SHOP.replace("'shop", "'depot") + written("of depot", "ASSERT TRUE;", type_name="depot")


class Script:
    """Drives a watch: does one thing before each look, and ends it after the last.

    A change of a file may be seen a few looks later, so each step is given several.
    """

    def __init__(self, *steps: Step) -> None:
        looks: list[Step] = []
        for step in steps:
            looks += [step, *[lambda: None] * 5]
        self._looks: Iterator[Step] = iter(looks)

    def __call__(self, seconds: float) -> bool:
        step = next(self._looks, None)
        if step is not None:
            step()
        return step is None


@pytest.fixture
def watched(
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., list[str]]:
    """Watch the current folder while steps are taken; gives the lines that were printed."""

    monkeypatch.chdir(tmp_path)

    def run(*steps: Step) -> list[str]:
        order = Order(
            paths=(".",), choice=Choice(), options=TestOptions(), workers=1, fail_fast=False,
            seed=None, junit=None, coverage=False, json=False, color=False, verbose=False,
        )  # fmt: skip
        command = click.Command("test")
        with click.Context(command, obj=Settings(home=str(home), color=False)) as context:
            watch_tests(context, open_session(context), order, wait=Script(*steps))
        captured = capsys.readouterr()
        return [line.split(" (")[0] for line in (captured.out + captured.err).splitlines()]

    return run


Watched = Callable[..., list[str]]


def replace(path: Path, old: str, new: str) -> Step:
    return lambda: path.write_text(path.read_text().replace(old, new), encoding="utf-8")


def test_only_tests_of_an_edited_file_run_again(tmp_path: Path, watched: Watched) -> None:
    second = written("other", "ASSERT 1 = 1;", mock="")
    write(tmp_path, one=GOOD, two=second)
    lines = watched(replace(tmp_path / "two.moltler", "1 = 1", "1 = 2"))
    assert lines.count("✓ reads items") == 1
    assert (lines.count("✓ other"), lines.count("✗ other")) == (1, 1)
    assert "two.moltler changed" in lines


def test_tests_of_a_type_run_again_when_its_definition_or_its_script_changes(
    tmp_path: Path, watched: Watched
) -> None:
    handler = SHOP.split("'''")[1]
    outside = SHOP.replace(f"'''{handler}'''", "FILE './js/items.js'")
    write(tmp_path, one=GOOD, depot=OTHER)
    (tmp_path / "js").mkdir()
    (tmp_path / "js/items.js").write_text(handler)
    (tmp_path / "shop.moltler").write_text(outside)
    lines = watched(
        replace(tmp_path / "js/items.js", ".items", ".nothing"),
        replace(tmp_path / "shop.moltler", "FIELDS", "\nFIELDS"),
    )
    assert (lines.count("✓ reads items"), lines.count("✗ reads items")) == (1, 2)
    assert lines.count("✓ of depot") == 1


def test_a_text_that_does_not_parse_is_told_and_its_tests_run_once_it_does(
    tmp_path: Path, watched: Watched
) -> None:
    write(tmp_path, one=GOOD, depot=OTHER)
    lines = watched(
        replace(tmp_path / "one.moltler", "END TEST", "END TESTS"),
        replace(tmp_path / "depot.moltler", "TRUE", "2 > 1"),
        replace(tmp_path / "one.moltler", "END TESTS", "END TEST"),
    )
    assert sum(line.startswith("error[SYN") for line in lines) == 2
    assert (lines.count("✓ reads items"), lines.count("✓ of depot")) == (2, 2)


def test_files_that_come_and_go_are_noticed(tmp_path: Path, watched: Watched) -> None:
    write(tmp_path, one=GOOD)
    lines = watched(
        lambda: (tmp_path / "new.sql").write_text(written("new", "ASSERT TRUE;", mock="")),
        lambda: (tmp_path / "new.sql").unlink(),
        lambda: (tmp_path / "one.moltler").unlink(),
    )
    assert (lines.count("✓ reads items"), lines.count("✓ new")) == (1, 1)
    assert lines.count("no test is concerned") == 1
    assert "error[TST006]: there are no tests in these files" in lines


def test_an_edited_file_is_run_again_and_ctrl_c_ends_it(
    tmp_path: Path, moltler_command: Moltler
) -> None:
    write(tmp_path, one=GOOD)
    program = subprocess.Popen(
        [sys.executable, "-m", "moltler", "test", "--watch"],
        cwd=tmp_path,
        env=moltler_command.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # How fast it is belongs to the benchmarks; here it only must not hang.
    hangs = threading.Timer(50, program.kill)
    hangs.start()
    with program:
        assert program.stdout is not None
        lines = iter(program.stdout.readline, "")
        assert any("watching" in line for line in lines)
        replace(tmp_path / "one.moltler", "'Lamp'", "'Desk'")()
        assert any(line.startswith("0 passed, 1 failed") for line in lines)
        program.send_signal(signal.SIGINT)
        assert [line.strip() for line in lines] == ["", "no longer watching"]
    hangs.cancel()
    assert program.returncode == 0


# ── side by side ─────────────────────────────────────────────────────────────────────────────


def report(name: str, status: Status = "passed") -> TestReport:
    return TestReport("shop", name, (), status, 1, "a.sql", 1)


def fakes(*names: str) -> list[ast.TestDefinition]:
    # The crew only passes them on.
    return cast("list[ast.TestDefinition]", list(names))


def named(test: ast.TestDefinition) -> str:
    return cast("str", test)


def test_reports_come_in_order_whichever_test_ends_first() -> None:
    second_ended = threading.Event()

    def run(test: ast.TestDefinition) -> TestReport:
        if named(test) == "first":
            assert second_ended.wait(10)
        else:
            second_ended.set()
        return report(named(test))

    done = run_all(fakes("first", "second"), run, workers=2)
    assert [r.name for r in done] == ["first", "second"]


@pytest.mark.parametrize("workers", [1, 2])
def test_after_a_failure_nothing_is_started(workers: int) -> None:
    started: list[str] = []

    def run(test: ast.TestDefinition) -> TestReport:
        started.append(named(test))
        return report(named(test), "failed")

    names = [str(n) for n in range(50)]
    done = list(run_all(fakes(*names), run, workers=workers, fail_fast=True))
    assert [r.name for r in done] == ["0"]
    assert len(started) <= workers


def test_a_fault_of_ours_in_a_worker_is_not_lost() -> None:
    def run(test: ast.TestDefinition) -> TestReport:
        raise RuntimeError(named(test))

    with pytest.raises(RuntimeError, match="one"):
        list(run_all(fakes("one", "two"), run, workers=2))


def test_a_terminal_shows_how_far_a_long_run_is(tmp_path: Path, moltler_command: Moltler) -> None:
    write(tmp_path, many="".join(written(f"t{n}", "ASSERT TRUE;", mock="") for n in range(25)))
    outer, inner = os.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "moltler", "test"],
            cwd=tmp_path,
            env=moltler_command.environment,
            stdout=subprocess.DEVNULL,
            stderr=inner,
            check=True,
        )
        shown = os.read(outer, 65536).decode()
    finally:
        os.close(outer)
        os.close(inner)
    assert "\r\x1b[2K12 of 25 tests" in shown
    assert shown.endswith("\r\x1b[2K")
