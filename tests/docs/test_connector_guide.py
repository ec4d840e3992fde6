"""The guide that writes a sixth connector: its blocks are a connector that is tested and proven."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.command import Moltler

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guides/write-a-connector.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def written(moltler_command: Moltler) -> Path:
    """The folder that a reader has who did what the page says, without its README."""
    moltler_command("new", "connector", "gitlab", "--dir", "connectors/gitlab").ok()
    folder = moltler_command.cwd / "connectors/gitlab"
    tests = [block for block in BLOCKS if block.startswith("TEST ")]
    rest = [block for block in BLOCKS if not block.startswith("TEST ")]
    (folder / "gitlab.moltler").write_text("\n".join(rest), encoding="utf-8")
    (folder / "tests.moltler").write_text("\n".join(tests), encoding="utf-8")
    return folder


@pytest.mark.usefixtures("written")
def test_the_connector_of_the_guide_is_tested_proven_and_clean(moltler_command: Moltler) -> None:
    ran = moltler_command("test", "connectors/gitlab").ok()
    assert re.search(r"^4 passed, 0 failed, 1 skipped in", ran.stdout, re.MULTILINE)
    assert "note:" not in ran.stdout

    linted = moltler_command("lint", "connectors/gitlab", "--strict").ok()
    assert linted.stdout == ""
    assert linted.stderr in PAGE

    proven = moltler_command("prove", "gitlab", "connectors/gitlab").ok()
    assert proven.stderr == ""
    shown = [line.rstrip() for line in proven.stdout.splitlines()]
    assert "\n".join(shown[:3]) in PAGE


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("page = response.headers.get('x-next-page');", "page = null;"),
        ("state: state ?? 'all'", "state: state ?? 'opened'"),
        ("encodeURIComponent(filters.project)", "filters.project"),
    ],
)
def test_what_the_guide_says_to_break_turns_a_test_red(
    moltler_command: Moltler, written: Path, right: str, wrong: str
) -> None:
    path = written / "gitlab.moltler"
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong), encoding="utf-8")

    moltler_command("test", "connectors/gitlab").fails(1)
