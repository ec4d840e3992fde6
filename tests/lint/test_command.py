"""The command `moltler lint`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lint.conftest import TESTS, in_type
from moltler.cli.main import run

Write = Callable[[str, str], Path]
GOOD = "async function query(config, filters) { return []; }"
BAD = "async function query(config) { while (true) { } }"


def test_one_line_a_finding_and_status_1_for_an_error(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.moltler", in_type(BAD))

    status = run(["lint"])

    out, err = capsys.readouterr()
    first, hint = out.splitlines()
    assert first == (
        "a.moltler:12:32 LNT010 the condition of this loop never changes, and nothing in it ends it"
    )
    assert hint.startswith("    read the cursor")
    assert err == "✗ 1 error(s), 0 warning(s) in 1 file(s)\n"
    assert status == 1


def test_warnings_alone_are_status_0_unless_strict(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.moltler", in_type(GOOD).replace(TESTS, ""))

    assert run(["lint", "a.moltler"]) == 0
    assert "LNT040" in capsys.readouterr().out
    assert run(["lint", "a.moltler", "--strict"]) == 1


def test_nothing_to_say_is_said(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.moltler", in_type(GOOD))

    assert run(["lint", "--strict"]) == 0
    assert capsys.readouterr() == ("", "✓ 0 error(s), 0 warning(s) in 1 file(s)\n")


def test_json_has_every_part_of_a_finding(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.moltler", in_type(BAD))

    assert run(["lint", "--json"]) == 1
    (record,) = json.loads(capsys.readouterr().out)
    assert record.pop("message").startswith("the condition")
    assert record.pop("hint").startswith("read the cursor")
    assert record == {
        "code": "LNT010",
        "severity": "error",
        "type": "shop",
        "file": "a.moltler",
        "line": 12,
        "column": 32,
    }


def test_tests_beside_a_single_file_count_and_are_not_judged(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.moltler", in_type(GOOD).replace(TESTS, ""))
    write("tests/t.moltler", TESTS)
    write("tests/broken.moltler", "CREATE CONNECTR;")
    write("bytes.sql", "")
    Path("bytes.sql").write_bytes(b"\xff")

    assert run(["lint", "a.moltler", "--strict"]) == 0
    assert capsys.readouterr().out == ""


def test_a_handler_in_a_file_is_judged_where_it_stands(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    text = in_type(GOOD).replace(f"'''\n{GOOD}'''", "FILE './items.js'")
    write("shop/a.moltler", text)
    write("shop/items.js", BAD + "\n")

    assert run(["lint", "shop"]) == 1
    assert capsys.readouterr().out.startswith("shop/items.js:1:32 LNT010")

    write("shop/items.js", "// lint-ok LNT010: it is stopped early\n" + BAD)
    assert run(["lint", "shop"]) == 0


def test_a_handler_file_that_is_missing_is_a_finding(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.moltler", in_type(GOOD).replace(f"'''\n{GOOD}'''", "FILE './none.js'"))

    assert run(["lint"]) == 1
    assert "CAT002 cannot read the handler file `./none.js`" in capsys.readouterr().out


def test_a_path_that_does_not_exist_is_a_usage_error(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.moltler", "")

    assert run(["lint", "b.moltler"]) == 2
    assert "SYN900" in capsys.readouterr().err


def test_what_new_writes_keeps_every_rule(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("x", "")
    assert run(["new", "connector", "tracker"]) == 0
    capsys.readouterr()

    assert run(["lint", "tracker", "--strict"]) == 0, capsys.readouterr().out
