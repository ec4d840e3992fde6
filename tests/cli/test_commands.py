"""`secrets`, `fmt`, `explain`, `doctor` and the help of each command."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Cli
from moltler.cli.main import COMMANDS
from moltler.errors import CODES
from moltler.lint.rules import RULES


def test_secret_is_stored_listed_without_its_value_and_removed(cli: Cli, home: Path) -> None:
    assert cli("secrets", "set", "shop_key", "hunter2222").stdout == "✓ secret shop_key stored\n"
    assert cli("secrets", "set", "piped", stdin="from a pipe\n").status == 0
    listed = cli("secrets", "list")
    assert listed.stdout.splitlines()[0].split() == ["name", "created", "updated"]
    assert listed.stdout.endswith("2 row(s)\n")
    assert "hunter2222" not in listed.stdout + listed.stderr
    assert [row[0] for row in cli("secrets", "list", "--json").rows] == ["piped", "shop_key"]
    assert cli("secrets", "rm", "piped", "--json").rows == [["secrets rm", "piped", "removed"]]
    assert [row[0] for row in cli("--json", "secrets", "list").rows] == ["shop_key"]
    assert not [p for p in home.rglob("*") if p.is_file() and b"hunter2222" in p.read_bytes()]


@pytest.mark.parametrize(
    ("arguments", "stdin", "code"),
    [
        (["rm", "nope"], b"", "CAT005"),
        (["set", "a b", "x"], b"", "SYN005"),
        (["set", "a", ""], b"", "CAT004"),
        (["set", "a"], b"", "SYN900"),
        (["set", "a"], b"\xff\xfe", "CAT004"),
        (["sett", "a"], b"", "SYN900"),
    ],
)
def test_secret_that_cannot_be_is_refused(
    cli: Cli, arguments: list[str], stdin: bytes, code: str
) -> None:
    assert cli("--json", "secrets", *arguments, stdin=stdin).error["code"] == code
    assert cli("--json", "secrets", "list").rows == []


def test_fmt_names_what_it_changed_and_changes_nothing_twice(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "a.moltler"
    script.write_text("show   connectors; -- mine\n")
    checked = cli("fmt", "--check", "--diff")
    assert checked.status == 1
    assert "-show   connectors; -- mine" in checked.stdout
    assert script.read_text() == "show   connectors; -- mine\n"
    assert cli("fmt").stdout == "a.moltler\n"
    assert script.read_text().split() == ["SHOW", "CONNECTORS;", "--", "mine"]
    again = cli("fmt", "--check")
    assert (again.status, again.stdout) == (0, "")
    assert cli("fmt", "-", stdin="select 1").stdout.strip() != ""


def test_fmt_leaves_a_file_that_does_not_parse_as_it_is(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.moltler").write_text("SELEC 1")
    ran = cli("fmt")
    assert ran.status == 2
    assert "a.moltler:1:1" in ran.stderr
    assert (tmp_path / "a.moltler").read_text() == "SELEC 1"


def test_explain_lists_every_code_and_has_a_page_for_each(cli: Cli) -> None:
    listed = [line.split()[0] for line in cli("explain").stdout.splitlines()]
    assert listed == [*CODES, *RULES]
    assert cli("explain", "cat002").stdout.startswith("# CAT002 not_found_error")
    assert "did you mean `CAT002`?" in cli("explain", "CAT02").stderr


def test_doctor_checks_everything_and_fails_if_one_does(cli: Cli, tmp_path: Path) -> None:
    ran = cli("--json", "doctor")
    assert ran.status == 0
    assert {row[0] for row in ran.rows} >= {"home", "catalog", "key", "runtime", "engine"}
    assert {row[1] for row in ran.rows} <= {"ok", "warning"}
    (tmp_path / "file").write_text("")
    failed = cli("doctor", "--json", "--home", str(tmp_path / "file/home"))
    assert failed.status == 1
    assert {row[0]: row[1] for row in failed.rows}["home"] == "failed"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_teaches(cli: Cli, name: str) -> None:
    ran = cli(name, "--help")
    assert ran.status == 0
    assert ran.stdout.startswith(f"Usage: moltler {name}")
    assert "moltler" in ran.stdout.partition("Options:")[2]


def test_help_lists_every_command_and_shows_examples(cli: Cli) -> None:
    ran = cli("--help")
    assert all(f"\n  {name}" in ran.stdout for name in COMMANDS)
    assert "Examples:\n    moltler " in ran.stdout
    assert cli("-h").stdout == ran.stdout
