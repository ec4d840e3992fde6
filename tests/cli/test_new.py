"""`moltler new connector`: the files it writes, which pass as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.conftest import Cli
from support.command import Moltler
from support.http import HttpServer


def outcomes(stdout: str) -> dict[str, str]:
    return {r["name"]: r["status"] for r in json.loads(stdout)}


def test_a_new_connector_passes_its_tests_as_it_is(moltler_command: Moltler) -> None:
    made = moltler_command("new", "connector", "tracker").ok()
    assert made.stdout == "tracker/tracker.moltler\ntracker/tests.moltler\ntracker/README.md\n"
    ran = moltler_command("test").ok()
    assert "○ the real API answers — skipped: TRACKER_TEST_URL and TRACKER_TEST_KEY" in ran.stdout
    assert re.search(r"^4 passed, 0 failed, 1 skipped in \d+ ms$", ran.stdout, re.MULTILINE)
    assert (ran.stdout.count("✓"), ran.stderr) == (4, "")
    assert "note:" not in ran.stdout
    assert moltler_command("fmt", "--check").ok().stdout == ""


def test_everything_it_defines_is_covered(cli: Cli) -> None:
    cli("new", "connector", "My-Shop2", "--dir", "here")
    ran = cli("--json", "test", "--coverage", "here/My-Shop2.moltler", "here/tests.moltler")
    assert ran.status == 0
    coverage = json.loads(ran.stdout)["coverage"]
    assert (coverage["invoked"], coverage["total"]) == (2, 2)


def test_its_integration_test_asks_the_api_it_is_told_of(
    cli: Cli, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    http_server.route("GET", "/items", {"items": [{"id": "1", "name": "Lamp"}]})
    cli("new", "connector", "my-shop")
    monkeypatch.setenv("MY_SHOP_TEST_URL", http_server.url)
    monkeypatch.setenv("MY_SHOP_TEST_KEY", "key-for-tests")
    ran = cli("--json", "test", "--tag", "integration")
    assert outcomes(ran.stdout) == {"the real API answers": "passed"}
    assert http_server.requests[0].headers["authorization"] == "Bearer key-for-tests"


@pytest.mark.parametrize(
    ("old", "new", "red"),
    [
        ("page.next_cursor ?? ''", "''", "query reads every page"),
        ("params.set('status', filters.status)", "{}", "status is filtered by the API"),
        ("JSON.stringify(params)", "'{}'", "create sends the item"),
        ("status === 401", "status === 400", "failures of the API have names"),
    ],
)
def test_each_test_goes_red_when_what_it_proves_is_broken(
    cli: Cli, tmp_path: Path, old: str, new: str, red: str
) -> None:
    cli("new", "connector", "tracker")
    script = tmp_path / "tracker/tracker.moltler"
    assert old in script.read_text()
    script.write_text(script.read_text().replace(old, new))
    ran = cli("--json", "test")
    assert ran.status == 1
    assert outcomes(ran.stdout)[red] == "failed"


def test_the_commands_of_its_page_work(cli: Cli, tmp_path: Path) -> None:
    cli("new", "connector", "My-Shop", "--dir", ".")
    page = (tmp_path / "README.md").read_text()
    assert cli("run", "My-Shop.moltler").status == 0
    statement = re.search(r'query "(CREATE CONNECTOR my_my_shop[^"]*)"', page)
    assert statement is not None
    assert cli("query", statement[1]).status == 0
    assert 'moltler query "SELECT id, name FROM my_my_shop.items WHERE' in page


@pytest.mark.parametrize("name", ["tracker.moltler", "tests.moltler", "README.md"])
def test_nothing_is_overwritten(cli: Cli, tmp_path: Path, name: str) -> None:
    (tmp_path / "tracker").mkdir()
    (tmp_path / "tracker" / name).write_text("mine")
    ran = cli("new", "connector", "tracker")
    assert ran.status == 2
    assert f"`tracker/{name}` exists already, nothing was written" in ran.stderr
    assert [p.name for p in (tmp_path / "tracker").iterdir()] == [name]
    assert (tmp_path / "tracker" / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["connector", "1st"], "SYN005"),
        (["connector", "a.b"], "SYN005"),
        (["connector", "../up"], "SYN005"),
        (["connector", "été"], "SYN005"),
        (["connector", "tracker", "--dir", "file/below"], "SYN900"),
        (["connector"], "SYN900"),
        (["destination", "x"], "SYN900"),
    ],
)
def test_what_cannot_be_made_is_refused(
    cli: Cli, tmp_path: Path, arguments: list[str], code: str
) -> None:
    (tmp_path / "file").write_text("")
    ran = cli("--json", "new", *arguments)
    assert (ran.status, ran.error["code"]) == (2, code)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_paths_are_told_as_json(cli: Cli) -> None:
    assert cli("--json", "new", "connector", "t", "--dir", "d").rows == [
        ["d/t.moltler"], ["d/tests.moltler"], ["d/README.md"],
    ]  # fmt: skip
