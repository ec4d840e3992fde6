"""The commands of the guide about packages, as a reader types them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from moltler.cli.main import run

GUIDE = Path(__file__).parents[2] / "docs/guides/packages.md"


def test_the_guide_can_be_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOLTLER_HOME", str(tmp_path / "home"))
    text = GUIDE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    followed = 0
    for block in blocks:
        for command, shown in re.findall(r"^\$ moltler (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE):
            status = run(shlex.split(command))
            printed = capsys.readouterr()
            assert status == 0, f"{command}\n{printed.err}"
            assert [line for line in shown.splitlines() if line not in printed.out] == []
            followed += 1

    assert followed > 12
    assert (tmp_path / "moltler.lock").exists()
    assert (tmp_path / "registry/index.html").exists()
