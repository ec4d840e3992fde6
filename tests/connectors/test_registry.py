"""The build publishes connectors to a registry folder, from which another home uses them."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.command import Moltler

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "connectors"


def test_every_connector_has_a_version_and_says_what_is_new() -> None:
    packages = tomllib.loads((FOLDER / "packages.toml").read_text(encoding="utf-8"))

    assert sorted(packages) == sorted(p.name for p in FOLDER.iterdir() if p.is_dir())
    for facts in packages.values():
        assert facts["changelog"].startswith(f"{facts['version']}: ")
        assert facts["tags"]


@pytest.mark.slow  # proves the claims of a connector twice, as PACKAGE and PUBLISH do
def test_what_the_build_publishes_is_installed_tested_and_used(
    moltler_command: Moltler, tmp_path: Path
) -> None:
    registry = tmp_path / "registry"
    build = subprocess.run(
        [sys.executable, str(ROOT / "scripts/build_registry.py"), str(registry), "datadog"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=110,
        check=False,
    )
    assert (build.returncode, build.stderr) == (0, "")
    assert "published" in build.stdout

    moltler_command("registry", "add", "built", str(registry)).ok()
    installed = moltler_command("install", "datadog", "--from", "built", "--yes").ok()
    assert "api_key" in installed.stdout + installed.stderr
    ran = moltler_command("query", "RUN TESTS FOR CONNECTOR TYPE 'datadog'").ok()
    assert ran.stdout.count("passed") == 5
    moltler_command(
        "query",
        """CREATE CONNECTOR dd TYPE 'datadog'
           CONFIG {"api_key": "{{secrets.a}}", "app_key": "{{secrets.a}}"}""",
        env={"MOLTLER_SECRET_A": "of no account"},
    ).ok()
    entities = moltler_command("--json", "query", "SHOW CONNECTOR dd ENTITIES").ok()
    assert [row[0] for row in entities.json_lines[0]["rows"]] == ["monitors", "incidents", "users"]
