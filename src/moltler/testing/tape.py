"""Where the answers of a test come from: mocks, a cassette, or the real API (LANGUAGE §10)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from moltler.flow.connector import ResolvedConnector
from moltler.lang import ast
from moltler.net.cassette import cassette_path, read_cassette, write_cassette
from moltler.net.cassette_recorder import Recorder
from moltler.net.cassette_redaction import placeholder
from moltler.net.cassette_replay import ReplayWorld
from moltler.net.faults import Fault
from moltler.net.mock import MockWorld
from moltler.net.routes import MockApi
from moltler.ports import SecretStore, Transport

_SEED_BITS = 32


@dataclass(frozen=True, slots=True)
class Stillness:
    """A clock that stands, and random numbers that repeat."""

    started: datetime
    seed: int
    is_instant: bool
    """Whether timers elapse at once, as in a replay."""


@dataclass(frozen=True, slots=True)
class Tape:
    """The network of one test."""

    mock: MockWorld
    secrets: SecretStore | None
    """Behind the clause SECRETS; ``None`` for a test with mocks, which sees no others."""
    hides_environment: bool = False
    """Whether secrets in the environment are out of sight too."""
    environ: Mapping[str, str] | None = None
    """What ENV gave when it was recorded."""
    stillness: Stillness | None = None
    recorder: Recorder | None = None
    path: Path | None = None
    """Where the cassette is, or will be."""

    def save(
        self, test: ast.TestDefinition, env: Mapping[str, str | None], hidden: set[str]
    ) -> str:
        """Write what was recorded; tell about it.

        Args:
            test: What was recorded.
            env: What ENV gave.
            hidden: Names in it whose values are secrets.

        Raises:
            AssertionFailed: TST005, a secret would be written.
        """
        assert self.recorder is not None  # noqa: S101 - only a recorded test is saved
        assert self.path is not None  # noqa: S101 - both are made together
        assert self.stillness is not None  # noqa: S101 - both are made together
        cassette = self.recorder.cassette(
            type_name=str(test.type_name),
            test=test.name,
            started=self.stillness.started,
            seed=self.stillness.seed,
            env=env,
            secret_env=hidden,
        )
        write_cassette(self.path, cassette)
        return f"recorded {len(cassette.exchanges)} request(s) in {self.path}"


class _Placeholders:
    """Gives what stands for a secret in a cassette."""

    def get(self, name: str) -> str | None:
        return placeholder(name)

    def put(self, name: str, value: str) -> None:
        """Nothing: a test keeps its own."""


def open_tape(
    test: ast.TestDefinition,
    api: MockApi | None,
    faults: tuple[Fault, ...],
    *,
    live: Callable[[ResolvedConnector], Transport],
    stored: SecretStore,
    now: datetime,
    record: bool,
    prefer_live: bool,
) -> Tape:
    """Choose where the answers of a test come from.

    Raises:
        AssertionFailed: TST005, the cassette cannot be read.
    """
    if api is not None:
        return Tape(MockWorld(api, faults), None, hides_environment=True)
    path = _path_of(test)
    if record and path is not None:
        recorder = Recorder(live)
        still = Stillness(now, secrets.randbits(_SEED_BITS), is_instant=False)
        mock = MockWorld(None, faults, live=recorder.transport)
        return Tape(mock, stored, stillness=still, recorder=recorder, path=path)
    if not prefer_live and path is not None and path.exists():
        cassette = read_cassette(path)
        environ = {name: value for name, value in cassette.env.items() if value is not None}
        still = Stillness(cassette.started, cassette.seed, is_instant=True)
        return Tape(
            ReplayWorld(cassette, faults, sleep=_pass),
            _Placeholders(),
            hides_environment=True,
            environ=environ,
            stillness=still,
            path=path,
        )
    return Tape(MockWorld(None, faults, live=live), stored)


def is_mocked(test: ast.TestDefinition) -> bool:
    """Tell whether a test has its answers with it, in MOCK_API or in a cassette."""
    path = _path_of(test)
    return test.mock_api is not None or (path is not None and path.exists())


async def _pass(_seconds: float) -> None:
    """Wait for nothing: the time of a cassette stands."""


def _path_of(test: ast.TestDefinition) -> Path | None:
    script = test.span.source.name
    if script.startswith("<"):
        return None
    return cassette_path(Path(script).parent, str(test.type_name), test.name)
