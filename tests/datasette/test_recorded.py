"""The tests that come with the Datasette connector, replayed, live, and recorded anew."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.command import Moltler

EXAMPLE = Path(__file__).parents[2] / "examples/datasette"
CASSETTE = Path("cassettes/datasette/a real Datasette answers.json")
LIVE = "a real Datasette answers"
Datasette = Any


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The example in a folder of its own."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "datasette"))


def outcomes(command: Moltler, *arguments: str, **environ: str) -> dict[str, tuple[str, int]]:
    """Give status and number of requests of the tests by their names."""
    ran = command("--json", "test", *arguments, env=environ).ok()
    return {r["name"]: (r["status"], r["calls"]) for r in json.loads(ran.stdout)}


def exchanges(cassette: Path) -> list[Any]:
    """Give what a cassette holds, without what differs from run to run."""
    text = re.sub(r"http://127\.0\.0\.1:\d+", "URL", cassette.read_text(encoding="utf-8"))
    recorded = json.loads(text)["exchanges"]
    for exchange in recorded:
        exchange["response"]["headers"] = []
        exchange["response"]["body"]["json"].pop("query_ms", None)
    return recorded


def test_all_of_them_pass_without_a_server(moltler_command: Moltler) -> None:
    assert outcomes(moltler_command, str(EXAMPLE)) == {
        "filters, order and pages are those of the JSON API": ("passed", 3),
        "what SQLite compares otherwise is only a hint": ("passed", 2),
        "failures are told in the words of the server": ("passed", 3),
        LIVE: ("passed", 3),
    }


def test_the_integration_test_passes_live(
    datasette: Datasette, moltler_command: Moltler, copy: Path
) -> None:
    datasette.asked()

    ran = outcomes(
        moltler_command, str(copy), "--tag", "integration", "--live", DATASETTE_URL=datasette.url
    )

    assert ran == {LIVE: ("passed", 3)}
    assert [target.partition("?")[0] for target in datasette.asked()] == [
        "/shop/items.json",
        "/shop/orders.json",
        "/nothing/items.json",
    ]


def test_without_cassette_and_address_it_is_skipped(moltler_command: Moltler, copy: Path) -> None:
    shutil.rmtree(copy / "cassettes")

    assert outcomes(moltler_command, str(copy), "--tag", "integration") == {LIVE: ("skipped", 0)}


def test_a_new_recording_holds_what_the_old_one_does_and_can_be_replayed(
    datasette: Datasette, moltler_command: Moltler, copy: Path
) -> None:
    (copy / CASSETTE).unlink()
    tagged = str(copy), "--tag", "integration"

    outcomes(moltler_command, *tagged, "--record", DATASETTE_URL=datasette.url)

    assert exchanges(copy / CASSETTE) == exchanges(EXAMPLE / CASSETTE)
    datasette.asked()
    assert outcomes(moltler_command, *tagged) == {LIVE: ("passed", 3)}
    assert datasette.asked() == []


def test_the_recording_names_nothing_of_the_machine_that_made_it() -> None:
    text = (EXAMPLE / CASSETTE).read_text(encoding="utf-8")

    assert re.findall(r"[\"' ](?:/|[A-Z]:\\\\)[^\"]+", text) == []
    assert set(re.findall(r"https?://[^/\"]+", text)) == {"http://127.0.0.1:8001"}
