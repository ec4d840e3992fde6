"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.scripts import BAD, GOOD, SHOP, UNSET, write, written
from support.command import Moltler

Pytest = Callable[..., str]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def run_pytest(tmp_path: Path, moltler_command: Moltler) -> Pytest:
    """Run pytest in the folder of the test; gives what it printed."""

    def run(*arguments: str) -> str:
        plugins = ["no:moltler", "moltler.pytest_plugin", "no:randomly", "no:cacheprovider"]
        given = [part for plugin in plugins for part in ("-p", plugin)]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *given, "-v", "-rs", *arguments],
            cwd=tmp_path,
            env=moltler_command.environment | {"COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        return done.stdout + done.stderr

    return run


def test_tests_of_scripts_are_items_beside_those_of_python(
    tmp_path: Path, run_pytest: Pytest
) -> None:
    write(tmp_path / "shop", checks=GOOD + BAD + UNSET)
    (tmp_path / "test_python.py").write_text("def test_one(): pass\n")
    (tmp_path / "migration.sql").write_text("ALTER TABLE t ADD x int; -- TEST of nothing")
    shown = run_pytest()
    assert "shop/checks.moltler::reads items PASSED" in shown
    assert "test_python.py::test_one PASSED" in shown
    assert re.search(r"SKIPPED \[1\] .*: SHOP_TEST_URL is not set", shown)
    assert "1 failed, 2 passed, 1 skipped" in shown
    assert shown.partition("FAILURES ===")[2].splitlines()[2:7] == [
        "shop/checks.moltler:11: ASSERT ARRAY_LENGTH(r) = 2, 'both of them'",
        "Message:  both of them",
        "Expected: ARRAY_LENGTH(r) = 2",
        "Actual:   ARRAY_LENGTH(r) is 1",
        '          r is [{"id":1}]',
    ]


def test_heads_may_be_written_over_lines_and_with_comments(
    tmp_path: Path, run_pytest: Pytest
) -> None:
    (tmp_path / "all.sql").write_text(
        """create /* the */ connector -- first
        type 'shop' CONFIG_SCHEMA {"a": {"type": "string"}};
        CREATE CONNECTOR ENTITY 'shop.items' FIELDS {"id": {"type": "integer"}}
        QUERY_HANDLER 'function query() { return [{id: 1}]; }';
        TEST -- of the type
          CONNECTOR /* or */
          TYPE 'shop' NAME 'reads' BEGIN
            CREATE CONNECTOR c TYPE 'shop';
            ASSERT (SELECT id FROM c.items) = 1;
        END TEST;"""
    )
    (tmp_path / "words.sql").write_text(
        "-- TEST CONNECTOR TYPE 'shop': see all.sql\nSELECT 'CREATE CONNECTOR TYPE';\n"
        "CREATE TABLE t (test text, connector text, type text);"
    )
    (tmp_path / "torn.moltler").write_text("PRINT 'no test';")
    shown = run_pytest()
    assert "all.sql::reads PASSED" in shown
    assert "1 passed in" in shown


def test_a_broken_test_is_an_error_of_the_collection(tmp_path: Path, run_pytest: Pytest) -> None:
    (tmp_path / "torn.moltler").write_text(
        "TEST\nCONNECTOR\nTYPE 'shop' NAM 'reads' BEGIN END TEST;"
    )
    shown = run_pytest()
    assert "torn.moltler:3:13" in shown
    assert "1 error" in shown


def test_several_workers_have_a_session_each(tmp_path: Path, run_pytest: Pytest) -> None:
    write(tmp_path, checks=GOOD + written("again", "SELECT * FROM c.items; ASSERT TRUE;"))
    assert "2 passed" in run_pytest("-n", "2")


def test_names_tags_and_our_option_select(tmp_path: Path, run_pytest: Pytest) -> None:
    write(tmp_path, checks=GOOD + BAD + UNSET)
    shown = run_pytest("--moltler-require-env", "-k", "live")
    assert "1 failed, 2 deselected" in shown
    assert "SHOP_TEST_URL is not set" in shown


def test_definitions_may_lie_elsewhere_and_mistakes_have_a_place(
    tmp_path: Path, run_pytest: Pytest
) -> None:
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions/shop.moltler").write_text(SHOP)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/shop.sql").write_text(GOOD)
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong/typo.sql").write_text("TEST CONNECTOR TYPE 'shop' BEGIN END TEST;")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmoltler_paths = definitions\n")
    shown = run_pytest("--continue-on-collection-errors")
    assert "checks/shop.sql::reads items PASSED" in shown
    assert "error[SYN004]: TEST CONNECTOR TYPE needs the clause NAME" in shown
    assert "1 passed, 1 error" in shown
    assert "Traceback" not in shown


def test_plugin_loads_next_to_nothing_and_is_declared() -> None:
    script = "import sys, moltler.pytest_plugin; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = {name for name in done.stdout.split() if name.startswith("moltler")}
    assert loaded == {"moltler", "moltler.codes", "moltler.errors", "moltler.pytest_plugin"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"moltler": "moltler.pytest_plugin"}
    assert project["optional-dependencies"]["pytest"]
