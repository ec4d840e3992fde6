"""`moltler test`: what it prints, selects, reports and exits with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cli.conftest import Cli
from cli.scripts import BAD, GOOD, ITEMS, SHOP, UNSET, write, written
from support.command import Moltler
from support.http import HttpServer

NAMES = ["reads items", "counts items", "asks the real API"]


def timeless(text: str) -> str:
    return re.sub(r"\d+ ms", "N ms", text)


def statuses(stdout: str) -> list[tuple[str, str]]:
    return [(r["name"], r["status"]) for r in json.loads(stdout)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return write(tmp_path, checks=GOOD + BAD + UNSET)


def test_report_has_a_line_a_test_and_both_sides_of_what_failed(files: Path, cli: Cli) -> None:
    ran = cli("test")
    assert ran.status == 1
    assert timeless(ran.stdout) == (
        "✓ reads items (N ms)\n"
        "✗ counts items (N ms)\n"
        "    checks.moltler:11: ASSERT ARRAY_LENGTH(r) = 2, 'both of them'\n"
        "    Message:  both of them\n"
        "    Expected: ARRAY_LENGTH(r) = 2\n"
        "    Actual:   ARRAY_LENGTH(r) is 1\n"
        '              r is [{"id":1}]\n'
        "○ asks the real API — skipped: SHOP_TEST_URL is not set\n"
        "1 passed, 1 failed, 1 skipped in N ms\n"
    )
    assert ran.stderr == ""


def test_the_program_itself_passes_and_leaves_the_home_as_it_was(
    tmp_path: Path, moltler_command: Moltler
) -> None:
    write(tmp_path, checks=GOOD + UNSET)
    ran = moltler_command("test", str(tmp_path)).ok()
    assert timeless(ran.stdout).endswith("1 passed, 0 failed, 1 skipped in N ms\n")
    assert (
        moltler_command("--json", "query", "SHOW CONNECTOR TYPES").ok().json_lines[0]["rows"] == []
    )


def test_notes_say_what_an_author_should_know(tmp_path: Path, cli: Cli) -> None:
    two = '{"GET /items": {"body": {"items": []}}, "GET /other": {"body": []}}'
    write(tmp_path, checks=written("idle", "SELECT * FROM c.items;", mock=two) + "SELECT 1;")
    ran = cli("test")
    assert ran.status == 0
    assert "    note: route never used: GET /other\n    note: no assertions\n" in ran.stdout
    assert ran.stderr == "note: checks.moltler:7: SELECT is not run by tests\n"


def test_an_error_is_told_with_place_text_and_hint(tmp_path: Path, cli: Cli) -> None:
    write(tmp_path, checks=written("typo", "SELECT * FROM c.item;"))
    lines = [line.strip() for line in cli("test").stdout.splitlines()]
    assert lines[1:4] == [
        "checks.moltler:5: SELECT * FROM c.item;",
        "error[CAT002]: connector `c` has no entity `item`",
        "= allowed: items",
    ]
    assert any(line.startswith("hint: ") for line in lines)


def test_a_javascript_failure_shows_its_line_of_the_script_and_the_test(
    tmp_path: Path, cli: Cli
) -> None:
    text = '{"GET /items": {"body": "no JSON"}}'
    write(tmp_path, checks=written("no rows", "SELECT * FROM c.items;", mock=text))
    lines = [line.strip() for line in cli("test").stdout.splitlines()]
    assert lines[1].startswith("shop.moltler:6: return (await (await fetch(config.api_url")
    assert "= the test stands at checks.moltler:1" in lines


def test_a_request_that_no_route_answers_fails_the_test(tmp_path: Path, cli: Cli) -> None:
    write(tmp_path, checks=written("lost", "SELECT * FROM c.items;", mock='{"GET /item": {}}'))
    ran = cli("--json", "test")
    assert ran.status == 1
    assert json.loads(ran.stdout)[0]["failure"]["code"] == "TST002"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], NAMES),
        (["--type", "SHOP"], NAMES),
        (["--name", "*items"], NAMES[:2]),
        (["--name", "counts items", "--name", "asks*"], NAMES[1:]),
        (["--tag", "slow"], NAMES[1:]),
        (["--tag", "live", "--tag", "slow"], NAMES[1:]),
        (["--tag", "slow", "--exclude-tag", "live"], NAMES[1:2]),
        (["--exclude-tag", "slow"], NAMES[:1]),
        (["--type", "shop", "--name", "c*", "checks.moltler", "shop.moltler"], NAMES[1:2]),
    ],
)
def test_selection_takes_what_every_kind_of_option_allows(
    files: Path, cli: Cli, options: list[str], names: list[str]
) -> None:
    listed = cli("--json", "test", "--list", *options)
    assert [row[1] for row in listed.rows] == names


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["good", "--tag", "slo"], 5, "matches --tag slo\nhint: did you mean `slow`?"),
        (["good", "--type", "shp", "--name", "x"], 5, "hint: did you mean `shop`?"),
        (["good", "--exclude-tag", "slow", "--tag", "slow"], 5, "list the tests with --list"),
        (["shop.moltler"], 5, "there are no tests in these files"),
        (["nowhere"], 2, "there is no file `nowhere`"),
        (["good", "-n", "0"], 2, "invalid value for '-n'"),
        (["broken"], 2, "broken/broken.moltler:2:"),
        (["twice"], 1, "has two tests called 'reads items'"),
        (["undefined"], 1, "DEF005"),
        (
            ["good", "--junit", "shop.moltler/report.xml"],
            2,
            "cannot write `shop.moltler/report.xml`",
        ),
    ],
)
def test_what_cannot_be_run_is_told_with_its_exit_status(
    files: Path, cli: Cli, arguments: list[str], status: int, said: str
) -> None:
    write(files / "good", checks=GOOD + BAD)
    write(files / "broken", broken="\nTEST CONNECTOR;")
    write(files / "twice", checks=GOOD + GOOD)
    bad_handler = SHOP.replace("async function query(config) {", "async function query(config) {{")
    write(files / "undefined", shop=bad_handler, checks=GOOD)
    ran = cli("test", *arguments)
    assert (ran.status, said in ran.stderr) == (status, True), ran.stderr


def test_fail_fast_stops_at_the_first_failure(tmp_path: Path, cli: Cli) -> None:
    write(tmp_path, checks=BAD + GOOD + UNSET)
    ran = cli("test", "--fail-fast")
    assert ran.status == 1
    assert timeless(ran.stdout).endswith(
        "2 not run after the first failure\n0 passed, 1 failed, 0 skipped in N ms\n"
    )


def test_workers_change_neither_results_nor_their_order(tmp_path: Path, cli: Cli) -> None:
    many = [
        written(f"test {n}", f"DECLARE r = SELECT * FROM c.items; ASSERT r[0].id = {n % 2};")
        for n in range(6)
    ]
    write(tmp_path, checks="".join(many))
    alone, together = cli("--json", "test"), cli("--json", "test", "-n", "3")
    assert statuses(alone.stdout) == statuses(together.stdout)
    assert [status for _, status in statuses(alone.stdout)] == ["failed", "passed"] * 3


def test_shuffle_prints_the_seed_that_repeats_its_order(files: Path, cli: Cli) -> None:
    first = cli("--json", "test", "--shuffle", ".")
    seed = re.search(r"--shuffle (\d+)", first.stderr)
    assert seed is not None
    again = cli("--json", "test", "--shuffle", seed[1])
    assert statuses(first.stdout) == statuses(again.stdout)
    assert sorted(name for name, _ in statuses(first.stdout)) == sorted(NAMES)


def test_json_is_a_list_of_reports(files: Path, cli: Cli) -> None:
    ran = cli("test", "--json")
    good, bad, skipped = json.loads(ran.stdout)
    assert ran.status == 1
    assert good.keys() == {"type", "name", "tags", "status", "duration_ms", "failure", "calls"}
    assert (good["type"], good["failure"], good["calls"]) == ("shop", None, 1)
    assert bad["tags"] == ["slow"]
    assert bad["failure"] == {
        "file": "checks.moltler",
        "line": 11,
        "expression": "ARRAY_LENGTH(r) = 2",
        "expected": "ARRAY_LENGTH(r) = 2",
        "actual": 'ARRAY_LENGTH(r) is 1; r is [{"id":1}]',
        "message": bad["failure"]["message"],
        "code": "TST001",
    }
    assert (skipped["status"], skipped["reason"]) == ("skipped", "SHOP_TEST_URL is not set")


def test_junit_report_has_a_suite_a_file_and_a_case_a_test(files: Path, cli: Cli) -> None:
    odd = written("odd \\u0007 <name>", "ASSERT FALSE;", mock="")
    write(files, odd=odd)
    assert cli("test", "--junit", "out/report.xml").status == 1
    root = ET.parse(files / "out/report.xml").getroot()
    assert root.attrib | {"time": ""} == {
        "name": "moltler", "tests": "4", "failures": "2", "errors": "0", "time": "",
    }  # fmt: skip
    checks, other = root.findall("testsuite")
    assert (checks.get("name"), checks.get("tests"), checks.get("skipped")) == (
        "checks.moltler",
        "3",
        "1",
    )
    good, bad, skipped = checks.findall("testcase")
    assert good.keys() == ["name", "classname", "time"]
    assert (good.get("classname"), list(good)) == ("shop", [])
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("type") == "TST001"
    assert "Actual:   ARRAY_LENGTH(r) is 1" in (failure.text or "")
    assert skipped.find("skipped[@message='SHOP_TEST_URL is not set']") is not None
    assert other.find("testcase[@name='odd \\x07 <name>']/failure") is not None


def test_require_env_fails_what_would_be_skipped(files: Path, cli: Cli) -> None:
    ran = cli("--json", "test", "--require-env", "--name", "asks*")
    assert ran.status == 1
    assert "SHOP_TEST_URL is not set" in json.loads(ran.stdout)[0]["failure"]["message"]


def test_integration_test_runs_once_its_variables_are_set(
    files: Path, cli: Cli, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_server.route("GET", "/items", {"items": [{"id": 1, "name": "Lamp"}]})
    monkeypatch.setenv("SHOP_TEST_URL", http_server.url)
    ran = cli("--json", "test", "--name", "asks*")
    assert [(r["status"], r["calls"]) for r in json.loads(ran.stdout)] == [("passed", 1)]


def test_coverage_names_what_no_test_reached(files: Path, cli: Cli) -> None:
    branch = "    if (config.no) {\n        return [];\n    }\n"
    write(files, shop=SHOP.replace("    return (await (", branch + "    return (await ("))
    table = cli("test", "--coverage", "--tag", "slow").stdout.partition("\n\n")[2].splitlines()
    assert table[2].split() == ["shop.items", "entity", "1", "3/4", "shop.moltler:7"]
    assert table[3].split() == ["shop.items.create", "action", "0", "0/3", "shop.moltler:14-16"]
    assert table[-1] == (
        "coverage: 1 of 2 entities and actions invoked (50 %), 3 of 7 handler lines run (42 %)"
    )
    found = json.loads(cli("--json", "test", "--coverage").stdout)
    assert len(found["tests"]) == 3
    items, create = found["coverage"]["of"]
    assert (found["coverage"]["invoked"], found["coverage"]["total"]) == (1, 2)
    assert (items["name"], items["tests"], items["lines_not_run"]) == ("shop.items", 2, [7])
    assert (create["kind"], create["tests"], create["lines_run"]) == ("action", 0, 0)


def test_types_are_headings_where_there_are_several(tmp_path: Path, cli: Cli) -> None:
    second = SHOP.replace("'shop", "'depot") + written(
        "of the depot", "ASSERT TRUE;", mock=ITEMS, type_name="depot"
    )
    write(tmp_path, checks=GOOD, depot=second)
    lines = timeless(cli("test").stdout).splitlines()
    assert [line for line in lines if not line.startswith(" ")][:4] == [
        "shop", "✓ reads items (N ms)", "depot", "✓ of the depot (N ms)",
    ]  # fmt: skip
