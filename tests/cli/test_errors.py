"""Errors as people and programs get them: shapes, places and exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Cli
from support.http import HttpServer


def test_error_as_json_has_exactly_the_specified_members(cli: Cli) -> None:
    ran = cli("--json", "query", "SHOW CONNECTOR nope")
    assert (ran.status, ran.stdout) == (1, "")
    (member,) = json.loads(ran.stderr).items()
    assert member == (
        "error",
        {
            "code": "CAT001",
            "type": "not_found_error",
            "message": "no connector `nope`",
            "hint": "create it with CREATE CONNECTOR",
            "file": "<query>",
            "line": 1,
            "column": 1,
        },
    )


def test_unknown_parts_of_an_error_are_null(cli: Cli) -> None:
    ran = cli("--json", "secrets", "rm", "nope")
    assert (ran.error["file"], ran.error["line"], ran.error["column"]) == (None, None, None)
    assert ran.error["code"] == "CAT005"


@pytest.mark.parametrize(
    "arguments",
    [
        ["query", "-f", "ndjson", "SELECT nope"],
        ["query", "--format=json", "SELECT nope"],
        ["query", "SELECT nope", "--json"],
        ["run", "missing.moltler", "--json"],
        ["--json", "nope"],
        ["query", "--json", "--nope"],
        ["query", "--json"],
    ],
)
def test_error_is_json_whenever_the_output_is(cli: Cli, arguments: list[str]) -> None:
    ran = cli(*arguments)
    assert ran.stdout == ""
    assert ran.error["code"] in {"PLN003", "SYN900"}


def test_error_as_text_shows_the_line_and_a_caret_below_the_token(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.moltler").write_text("SELECT 1;\nCREATE CONNECTR TYPE 'shop';\n")
    ran = cli("run", "a.moltler")
    assert ran.status == 2
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("error[SYN001]: ")
    assert lines[1] == "  --> a.moltler:2:8"
    assert lines[2] == "   | CREATE CONNECTR TYPE 'shop';"
    assert lines[3] == "   |        ^^^^^^^^"
    assert lines[-1] == "hint: did you mean CONNECTOR?"


def test_all_problems_of_a_definition_are_shown_and_listed(shop: Cli) -> None:
    create = 'CREATE CONNECTOR x TYPE \'shop\' CONFIG {"api_ur": "a", "b": 1}'
    text = shop("query", create)
    assert text.status == 1
    assert text.stderr.count("error[CAT004]") == 2
    as_json = shop("query", create, "--json")
    assert [p["message"] for p in as_json.error["problems"]] == [
        "`config.api_ur` is not declared",
        "`config.b` is not declared",
    ]
    assert as_json.error["message"].count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["query", "SELECT 1"], 0),
        (["--version"], 0),
        (["--help"], 0),
        (["query", "--help"], 0),
        (["query", "SELECT nope"], 1),
        (["sync", "list"], 0),
        (["sync", "run", "nothing"], 1),
        (["mcp"], 1),
        (["query", "SYNC CONNECTOR a TO x"], 1),
        (["query", "SELEC 1"], 2),
        (["query"], 2),
        (["query", ""], 2),
        (["query", "SELECT 1; SELECT 2"], 2),
        (["query", "-f", "xml", "SELECT 1"], 2),
        (["query", "-f", "csv", "-o", "no/such/folder", "SELECT 1"], 2),
        (["quer"], 2),
        (["--nope"], 2),
        (["run", "missing.moltler"], 2),
        (["secrets"], 2),
        (["explain", "CAT999"], 2),
        (["fmt", "missing"], 2),
        (["fmt", "--check", "ugly.sql"], 1),
    ],
)
def test_exit_status_tells_the_kind_of_failure(
    cli: Cli, tmp_path: Path, arguments: list[str], status: int
) -> None:
    (tmp_path / "ugly.sql").write_text("show   connectors")
    ran = cli(*arguments)
    assert ran.status == status
    assert "Traceback" not in ran.stderr
    assert "internal" not in ran.stderr


def test_failure_of_the_api_is_status_3_with_both_places(shop: Cli, api: HttpServer) -> None:
    api.route("GET", "/items", 500)
    ran = shop("query", "SELECT * FROM my_shop.items")
    assert ran.status == 3
    assert "error[JSR004]" in ran.stderr
    assert "shop.moltler:" in ran.stderr
    assert "the last response had status 500" in ran.stderr
    assert "note: in the statement at <query>:1:1" in ran.stderr


def test_json_that_fails_half_way_ends_its_line(shop: Cli, api: HttpServer) -> None:
    api.route("GET", "/pages", [{"id": "x"}])
    ran = shop("query", "--json", "SELECT * FROM my_shop.pages")
    assert ran.status == 3
    assert ran.error["code"] == "JSR005"
    assert ran.stdout == "" or ran.stdout.endswith("\n")


def test_misspelled_command_is_met_with_the_near_one(cli: Cli) -> None:
    assert "did you mean `moltler query`?" in cli("quer").stderr


def test_text_that_is_not_utf8_is_refused_with_its_place(cli: Cli) -> None:
    ran = cli("run", "-", stdin=b"SELECT 1;\nSELECT '\xff'")
    assert ran.status == 2
    assert "not UTF-8 text (line 2" in ran.stderr
    assert "not UTF-8" in cli("query", "SELECT '\udcff'").stderr


def test_control_characters_of_an_api_do_not_reach_the_terminal(shop: Cli, api: HttpServer) -> None:
    api.route("GET", "/items", [{"id": 1, "name": "\x1b[31mred\x07"}])
    assert "\\x1b[31mred\\x07" in shop("query", "SELECT name FROM my_shop.items").stdout
    api.route("GET", "/items", [{"id": "\x1b[31mred"}])
    assert "\x1b" not in shop("query", "SELECT id FROM my_shop.items").stderr


def test_home_that_cannot_be_used_is_explained(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = cli("--home", "file", "query", "CREATE CONNECTOR TYPE 't'")
    assert ran.status == 1
    assert "error[CAT010]" in ran.stderr
    assert "hint: " in ran.stderr
