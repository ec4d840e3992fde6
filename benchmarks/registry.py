"""Searching and installing with 1,000 published packages, in a folder and over HTTP.

Each install is of another connector into a home of its own, so nothing is warm but the process;
``python -m benchmarks.registry`` runs this alone.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

import moltler
from moltler.compose import open_folder
from moltler.model import ConnectorType, Entity, Handler
from moltler.registry.folder import Folder
from moltler.registry.manifest import Evidence
from moltler.registry.package import About, make_package
from moltler.registry.records import ConnectorRecord, record_of
from moltler.registry.semver import parse_version
from moltler.registry.server import RegistryServer
from moltler.schema import DataType, Property, Schema

PACKAGES = 1_000
SAMPLES = 9
LIMIT_S = 0.2
_TEXT = DataType("string")


@dataclass(frozen=True)
class Timing:
    """What was timed, and how long it took."""

    what: str
    median_s: float
    slowest_s: float


def fill(folder: Folder) -> None:
    """Publish many connectors of five entities each, then make index and pages once."""
    folder.create()
    for number in range(PACKAGES):
        name = f"service{number:04}"
        entities = tuple(
            Entity(
                f"items{n}",
                Schema(
                    tuple(
                        Property(
                            f"field{f}",
                            _TEXT,
                            f"Field {f} of the items",
                            primary_key=f == 0,
                            nullable=f > 0,
                        )
                        for f in range(12)
                    )
                ),
                Handler(f"async function query() {{ return []; }}\n// {'x' * 2000}", "x", 1),
                f"Items number {n}",
            )
            for n in range(5)
        )
        definition = ConnectorType(
            name, description=f"Tickets and customers of service {number}", entities=entities
        )
        about = About(parse_version("1.0.0"), definition.description or "", "Ann", "MIT")
        package = make_package(definition, (), about, Evidence())
        version = record_of(package, "2026-01-01T00:00:00Z", "public")
        for path, content in (
            (version.url, package.content),
            (
                f"v1/connectors/{name}.json",
                msgspec.json.encode(ConnectorRecord(name, (version,))),
            ),
        ):
            target = folder.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    folder.rebuild()


def measure() -> list[Timing]:
    """Give the times of searching and installing, in seconds."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        folder = open_folder(root / "registry")
        fill(folder)
        with RegistryServer(folder, reads=(1e6, 1_000_000)) as server:
            return [
                *_timings("a folder", str(folder.root), root / "homes"),
                *_timings("HTTP", server.url, root / "others"),
            ]


def _timings(where: str, address: str, homes: Path) -> list[Timing]:
    searches: list[float] = []
    installs: list[float] = []
    for number in range(SAMPLES):
        name = f"service{number * 97:04}"
        with moltler.connect(homes / str(number)) as session:
            session.packages.add_registry("team", address)
            searches.append(_seconds(lambda s=session, n=name: s.packages.search(n)))
            statement = f"INSTALL CONNECTOR TYPE '{name}' FROM 'team'"
            installs.append(_seconds(lambda s=session, t=statement: s.execute(t).close()))
    return [
        Timing(f"search, {where}", statistics.median(searches), max(searches)),
        Timing(f"install, {where}", statistics.median(installs), max(installs)),
    ]


def _seconds(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def table(timings: list[Timing]) -> list[str]:
    """Give the timings as lines of Markdown."""
    rows = [
        f"| {t.what} | {t.median_s * 1000:.0f} | {t.slowest_s * 1000:.0f} "
        f"| {'yes' if t.median_s <= LIMIT_S else 'NO'} |"
        for t in timings
    ]
    return [
        f"With {PACKAGES:,} published packages of five entities each ({SAMPLES} samples; the first "
        "one loads the libraries):",
        "",
        "| | median ms | slowest ms | within 200 ms |",
        "|---|--:|--:|---|",
        *rows,
    ]


if __name__ == "__main__":
    os.environ.setdefault("MOLTLER_KEY", "benchmark key, not a secret")
    print("\n".join(table(measure())))
