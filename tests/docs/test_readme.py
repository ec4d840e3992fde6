"""What README and docs show is what happens: their blocks run, page by page.

Blocks marked `sql` run in order in one session per page, against the demo shop; in README those
marked `python` and `sh` as well. `text` shows output or errors, `console` what runs elsewhere.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import moltler
from moltler.demo.server import DemoServer
from moltler.demo.tour import read_connector
from support.command import Moltler

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKED = [*PAGES, ROOT / "examples/README.md", *sorted((ROOT / "connectors").rglob("*.md"))]
DEMO_ADDRESS = "http://127.0.0.1:8765"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 2)
        for found in _BLOCK.finditer(text)
    ]


def runnable(page: Path) -> list[Block]:
    languages = {"sql", "python", "sh"} if page.name == "README.md" else {"sql"}
    return [block for block in blocks(page) if block.language in languages]


@dataclass(frozen=True)
class Reader:
    """Does what a page says, in one session and its home."""

    session: moltler.Session
    folder: Path
    shop: DemoServer

    def follow(self, block: Block, name: str) -> None:
        text = block.text.replace(DEMO_ADDRESS, self.shop.url)
        # As many empty lines before it, so that an error names the line of the page.
        text = "\n" * (block.line - 1) + text
        if block.language == "sql":
            with self.session.execute(text, source_name=name) as result:
                assert all(result.rows())
        elif block.language == "python":
            exec(compile(text, name, "exec"), {})
        else:
            self.shell(text)

    def shell(self, text: str) -> None:
        programs = Path(sys.executable).parent
        subprocess.run(
            ["bash", "-euc", text],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(self.folder)},
            capture_output=True,
            timeout=100,
            check=True,
        )


@pytest.mark.parametrize(
    "page", [p for p in PAGES if runnable(p)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_blocks_of_a_page_run(
    page: Path,
    shop: DemoServer,
    shop_session: moltler.Session,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOLTLER_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    reader = Reader(shop_session, tmp_path, shop)
    found = runnable(page)
    defines = "".join(block.text for block in found if block.language == "sql")
    if not re.search(r"CREATE (OR REPLACE )?CONNECTOR TYPE 'shop'", defines):
        # A page that does not define the shop itself takes the demo's for granted.
        reader.follow(Block("sql", read_connector(), 1), "shop.moltler")

    for block in found:
        reader.follow(block, page.name)


def test_the_readme_shows_the_help_of_the_command(moltler_command: Moltler) -> None:
    shown = [b.text for b in blocks(ROOT / "README.md") if b.text.startswith("$ moltler --help\n")]

    assert shown == ["$ moltler --help\n" + moltler_command("--help").ok().stdout]


def test_the_readme_shows_the_table_that_its_query_prints(
    moltler_command: Moltler, shop: DemoServer
) -> None:
    define, ask, table = blocks(ROOT / "README.md")[:3]
    (moltler_command.cwd / "shop.moltler").write_text(
        define.text.replace(DEMO_ADDRESS, shop.url), encoding="utf-8"
    )
    secret = {"MOLTLER_SECRET_SHOP_KEY": shop.key}
    moltler_command("run", "shop.moltler", env=secret).ok()
    query = ask.text[ask.text.index('"SELECT') + 1 : ask.text.rindex('"')]

    printed = moltler_command("query", query, env=secret).ok().stdout

    assert [line.rstrip() for line in printed.splitlines()] == table.text.splitlines()


def test_the_readme_shows_the_error_that_its_mistake_gives(
    moltler_command: Moltler, shop: DemoServer
) -> None:
    page = blocks(ROOT / "README.md")
    shown = next(b.text for b in page if b.text.startswith("error["))
    (moltler_command.cwd / "shop.moltler").write_text(
        page[0].text.replace(DEMO_ADDRESS, shop.url), encoding="utf-8"
    )
    moltler_command("run", "shop.moltler", env={"MOLTLER_SECRET_SHOP_KEY": shop.key}).ok()

    printed = moltler_command("query", "SELECT id FROM my_shop.item").fails(1).stderr

    assert printed == shown


@pytest.mark.parametrize("page", LINKED, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_into_the_repository_leads_somewhere(page: Path) -> None:
    targets = _LINK.findall(page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []
