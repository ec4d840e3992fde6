"""The commands, as people type them."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from moltler.cli.main import run
from support.command import Finished, Moltler

from .conftest import SHOP, TEST

Command = Callable[..., Finished]
FROM = ("--version", "1.0.0", "--author", "Ann", "--license", "MIT")


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command line within this process, in a home of a name and an own folder."""
    monkeypatch.chdir(tmp_path)

    def command_(*arguments: str, home: str = "home") -> Finished:
        status = run(["--home", home, *arguments])
        printed = capsys.readouterr()
        return Finished(status, printed.out, printed.err)

    return command_


def test_from_a_file_to_another_home(command: Command, tmp_path: Path) -> None:
    (tmp_path / "shop.moltler").write_text(SHOP + TEST, encoding="utf-8")
    (tmp_path / "NEWS.md").write_text("Everything is new.\n", encoding="utf-8")
    command("run", "shop.moltler").ok()
    command("registry", "add", "team", "registry").ok()

    public = command("keys", "generate", "ann").ok().stdout
    (tmp_path / "ann.pub").write_text(public, encoding="utf-8")
    packed = command("--json", "package", "shop", *FROM, "--changelog", "NEWS.md", "-o", ".")
    (row,) = packed.ok().json_lines[0]["rows"]
    assert (tmp_path / row[0]).name == "shop-1.0.0.moltler.tgz"
    command("package", "shop", *FROM, "--tag", "store").ok()
    assert "published" in command("publish", "shop", "--to", "team").ok().stdout

    other = partial(command, home="other")
    other("registry", "add", "team", "registry", "--require-signature").ok()
    assert "shop" in other("search", "store").ok().stdout
    refused = other("--json", "install", "shop", "--from", "team", "--yes").fails(1)
    assert refused.error["code"] == "PKG002"
    other("keys", "trust", "ann.pub").ok()
    unasked = other("--json", "install", "shop", "--from", "team").fails(1)
    assert unasked.error["code"] == "PKG009"
    other("install", "shop", "--from", "team", "--yes", "--lock").ok()
    assert "shop" in other("query", "SHOW PACKAGES").ok().stdout
    assert "1.0.0" in other("upgrade", "shop").ok().stdout

    third = partial(command, home="third")
    third("keys", "trust", "ann.pub").ok()
    assert "shop" in third("install", "--yes").ok().stdout


def test_a_served_folder_ends_with_an_interrupt(moltler_command: Moltler, tmp_path: Path) -> None:
    token = moltler_command("registry", "token", "served", "ann").ok().stdout.strip()
    assert token.startswith("mlt_")
    with subprocess.Popen(
        [sys.executable, "-m", "moltler", "registry", "serve", "served", "--port", "0"],
        cwd=tmp_path,
        env=moltler_command.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[3]
        with urllib.request.urlopen(f"{url}/v1/index.json", timeout=20) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    assert token not in (tmp_path / "served/.registry/tokens.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("install", "shop"), 2, "SYN900"),
        (("install",), 2, "SYN900"),
        (("search", "x"), 1, "PKG006"),
        (("search", "x", "--registry", "team"), 1, "PKG006"),
        (("registry", "rm", "team"), 1, "PKG006"),
        (("registry", "add", "1x", "."), 2, "SYN005"),
        (("registry", "add", "x", "ftp://x.example"), 2, "SYN900"),
        (("registry", "token", ".", "?"), 2, "SYN005"),
        (("keys", "generate", "a b"), 2, "SYN005"),
        (("keys", "trust", "nowhere.pub"), 2, "SYN900"),
        (("package", "shop"), 2, "SYN900"),
        (("package", "shop", "--version", "1.0"), 2, "SYN006"),
        (("publish", "shop"), 1, "PKG006"),
    ],
)
def test_wrong_use_is_told(
    command: Command, arguments: tuple[str, ...], status: int, code: str
) -> None:
    assert command("--json", *arguments).fails(status).error["code"] == code


def test_a_key_that_is_none_is_not_trusted(command: Command, tmp_path: Path) -> None:
    (tmp_path / "x.pub").write_text("ssh-ed25519 AAAA ann\n", encoding="utf-8")

    failed = command("--json", "keys", "trust", "x.pub").fails(2)

    assert failed.error["code"] == "SYN006"
