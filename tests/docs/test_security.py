"""The page about security names tests that exist, and every kind of promise has one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists() -> None:
    defined: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"`(test_\w+)`", PAGE))

    assert named - defined == set()
    assert len(named) > 20


def test_every_promise_names_its_test() -> None:
    promised = PAGE.partition("## What is promised")[2].partition("## On which system")[0]
    items = re.split(r"^- ", promised, flags=re.MULTILINE)[1:]

    assert [item for item in items if "`test_" not in item.partition("\n\n")[0]] == []


def test_the_page_names_every_wall() -> None:
    from moltler.sandbox.walls import _KEEPS

    table = PAGE.partition("| wall |")[2].partition("\n\n")[0]
    assert [name for name in _KEEPS if f"| {name}" not in table] == []
