"""Publish the connectors of this repository to a registry folder.

``python scripts/build_registry.py [FOLDER] [NAME…]``: the folder is ``dist/registry`` unless one
is named, the connectors are all of them. Each passes the gate of PUBLISH: its tests, the proof of
its claims, lint. Publishing what is there already changes nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "connectors"
REGISTRY = "build"
AUTHOR = "The Moltler authors"
LICENSE = "Apache-2.0"


def main() -> None:
    """Publish; exits with the status of the first step that failed."""
    target, *names = sys.argv[1:] or [str(ROOT / "dist/registry")]
    with (FOLDER / "packages.toml").open("rb") as file:
        packages = tomllib.load(file)
    with tempfile.TemporaryDirectory() as home:
        _moltler(home, "registry", "add", REGISTRY, str(Path(target).resolve()))
        for name, facts in packages.items():
            if names and name not in names:
                continue
            folder = FOLDER / name
            _moltler(home, "run", str(folder / f"{name}.moltler"), str(folder / "tests.moltler"))
            print(_moltler(home, "run", "-", script=_delivery(name, facts)), end="")


def _delivery(name: str, facts: dict[str, str | list[str]]) -> str:
    """Give the statements that pack a type and publish it, with its page as documentation."""
    page = (FOLDER / name / "README.md").read_text(encoding="utf-8")
    about = page.split("\n\n")[1].replace("\n", " ").replace("'", "''")
    tags = ", ".join(f"'{tag}'" for tag in facts["tags"])
    return f"""
        PACKAGE CONNECTOR TYPE '{name}'
        VERSION '{facts["version"]}'
        DESCRIPTION '{about}'
        AUTHOR '{AUTHOR}'
        LICENSE '{LICENSE}'
        TAGS [{tags}]
        CHANGELOG '{facts["changelog"]}'
        DOCUMENTATION '''
{page}''';
        PUBLISH CONNECTOR TYPE '{name}' TO '{REGISTRY}';
    """


def _moltler(home: str, *arguments: str, script: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "moltler", "--home", home, *arguments],
        input=script,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        sys.exit(done.returncode)
    return done.stdout


if __name__ == "__main__":
    main()
