"""One test: its world made, its body played, its outcome judged (LANGUAGE §10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from moltler.catalog.catalog import Catalog
from moltler.errors import MoltlerError, error_class
from moltler.exec.assertion import unexpected
from moltler.exec.evaluate import Environment, evaluate
from moltler.exec.values import parse_duration, text_of
from moltler.lang import ast
from moltler.net.faults import read_faults
from moltler.net.routes import read_mock_api
from moltler.testing.report import TestFailure, TestReport
from moltler.testing.tape import Tape, is_mocked, open_tape
from moltler.testing.world import Environ, Host, Skipped, World

Play = Callable[[Sequence[ast.Statement], World], None]
"""Runs statements in a world, reading every row; given by the session."""
Reading = Callable[[Environ], Environment]
"""Gives an environment in which the clauses of a test are evaluated."""
_USUAL_TIMEOUT = timedelta(seconds=60)
_GRACE = timedelta(seconds=10)
"""For the TEARDOWN of a test that ran out of time."""


@dataclass(frozen=True, slots=True)
class TestOptions:
    """How tests are run."""

    __test__ = False
    require_env: bool = False
    """Unset variables fail a test instead of skipping it."""
    record: bool = False
    """Tests without MOCK_API run against the real API and write their cassettes anew."""
    live: bool = False
    """Cassettes are ignored, and tests of installed packages get network and ENV."""
    isolated: bool = False
    """Neither network nor environment: a test that came with a package."""
    coverage: bool = False
    """Find out which lines of handlers run; costs a process of its own kind."""


def run_test(
    test: ast.TestDefinition,
    catalog: Catalog,
    host: Host,
    *,
    play: Play,
    reading: Reading,
    options: TestOptions | None = None,
) -> TestReport:
    """Run one test; whatever goes wrong with it is in the report.

    Args:
        test: What to run.
        catalog: The types it sees.
        host: The session's parts.
        play: Runs statements.
        reading: Evaluates clauses.
        options: How.
    """
    run = _Run(test, catalog, host, play, reading, options or TestOptions())
    started = host.clock.monotonic()
    if test.skip is not None:
        return run.report("skipped", started, reason=test.skip)
    if run.options.isolated and not is_mocked(test):
        return run.report(
            "skipped",
            started,
            reason="it came with a package and would reach for the real API;"
            " unpack the archive and run `moltler test --live` there",
        )
    try:
        run.open()
    except MoltlerError as error:
        return run.report("failed", started, error=error.at(test.span))
    except Exception as fault:  # noqa: BLE001 - one test's fault must not end the others
        return run.report("failed", started, error=_fault(fault).at(test.span))
    try:
        run.play_all()
    except Skipped as skipped:
        return run.report("skipped", started, reason=str(skipped))
    except MoltlerError as error:
        return run.report("failed", started, error=error)
    except Exception as fault:  # noqa: BLE001 - one test's fault must not end the others
        return run.report("failed", started, error=_fault(fault).at(test.span))
    finally:
        run.close()
    return run.report("passed", started)


def open_world(
    test: ast.TestDefinition,
    catalog: Catalog,
    host: Host,
    *,
    play: Play,
    reading: Reading,
) -> World:
    """Make the world of a test without playing it; whoever asks closes it.

    Raises:
        MoltlerError: TST005, or a clause cannot be evaluated; CAT008, there is no such type.
    """
    run = _Run(test, catalog, host, play, reading, TestOptions())
    run.open()
    return run.world


def _fault(fault: Exception) -> MoltlerError:
    error = error_class("INT001")(
        "INT001",
        f"a fault of Moltler itself: {type(fault).__name__}: {fault}",
        hint="please report it",
    )
    error.__cause__ = fault
    return error


class _Run:
    def __init__(
        self,
        test: ast.TestDefinition,
        catalog: Catalog,
        host: Host,
        play: Play,
        reading: Reading,
        options: TestOptions,
    ) -> None:
        self._test = test
        self._catalog = catalog
        self._host = host
        self._play = play
        self._reading = reading
        self.options = options
        self._world: World | None = None
        self._tape: Tape | None = None
        self._notes: list[str] = []

    def open(self) -> None:
        """Make the world.

        Raises:
            MoltlerError: TST005, or a clause cannot be evaluated; CAT008, there is no such type.
        """
        test, host = self._test, self._host
        self._catalog.type(str(test.type_name), test.type_name.span)
        around = {} if self.options.isolated else host.environ
        readers = [Environ(around)]
        given = self._texts(test.env, readers[0])
        environ = {**around, **given}
        readers += [Environ(environ), Environ(environ)]
        inside = self._reading(readers[1])

        def value_of(expr: ast.Expr) -> object:
            return evaluate(expr, inside)

        api = None if test.mock_api is None else read_mock_api(test.mock_api, value_of)
        faults = () if test.faults is None else read_faults(test.faults, value_of)
        self._tape = tape = open_tape(
            test,
            api,
            faults,
            live=host.open_transport,
            stored=host.secrets,
            now=host.clock.now(),
            record=self.options.record,
            prefer_live=self.options.live,
        )
        seen = environ if tape.environ is None else {**tape.environ, **given}
        readers[2] = Environ(seen)
        self._world = World(
            host,
            self._catalog,
            seen,
            self._texts(test.secrets, readers[2]),
            tape,
            timeout=parse_duration(test.timeout) if test.timeout else _USUAL_TIMEOUT,
            covers=self.options.coverage,
        )
        for reader in readers:
            self._world.environ.unset.update(reader.unset)

    def play_all(self) -> None:
        """Play body and teardown and judge what came of them.

        Raises:
            Skipped: The test does not apply.
            MoltlerError: It failed.
        """
        world = self.world
        error: MoltlerError | None = None
        skipped: Skipped | None = None
        try:
            error = self._outcome(self._test.body)
            self._check_environment(world)
        except Skipped as reason:
            skipped = reason
        verdict = self._verdict(world, error, skipped)
        later = self._teardown(world)
        if verdict is None:
            # A teardown may break what the body had not.
            verdict = later or self._unforgiven(world)
        if verdict is not None:
            raise verdict
        if skipped is not None:
            raise skipped
        if self._tape is not None and self._tape.recorder is not None:
            hidden = world.secret_variables()
            self._notes.append(self._tape.save(self._test, world.environ.asked, hidden))

    def _outcome(self, statements: Sequence[ast.Statement]) -> MoltlerError | None:
        try:
            self._play(statements, self.world)
        except MoltlerError as error:
            return error
        except Skipped:
            # Variables that are not set may be a failure; a SKIP never is.
            self._check_environment(self.world)
            raise
        return None

    def _check_environment(self, world: World) -> None:
        try:
            world.check_environment()
        except Skipped as skipped:
            if self.options.require_env:
                raise error_class("CAT004")(
                    "CAT004", str(skipped), hint="set it, or leave out --require-env",
                    span=self._test.span,
                ) from None  # fmt: skip
            raise

    def _teardown(self, world: World) -> MoltlerError | None:
        if not self._test.teardown:
            return None
        if world.is_out_of_time:
            # What the test left at the API is removed all the same.
            world.revive(_GRACE)
        try:
            return self._outcome(self._test.teardown)
        except Skipped:
            return None

    def _unforgiven(self, world: World) -> MoltlerError | None:
        """Give what fails a test whatever its statements made of it."""
        if world.is_out_of_time:
            return world.out_of_time().at(self._test.span)
        # What the handler swallowed is still a request that no route answers.
        return world.mock.failure or world.broken

    def _verdict(
        self, world: World, error: MoltlerError | None, skipped: Skipped | None
    ) -> MoltlerError | None:
        unforgiven = self._unforgiven(world)
        if unforgiven is not None:
            return unforgiven.at(error.problems[0].span if error else self._test.span)
        if skipped is not None:
            return None
        expected = self._test.expect_error
        if expected is not None:
            world.asserted += 1
            return unexpected(expected, error, expected.span)
        return error

    def report(
        self,
        status: str,
        started: float,
        *,
        error: MoltlerError | None = None,
        reason: str | None = None,
    ) -> TestReport:
        """Give what became of the test."""
        test, world = self._test, self._world
        return TestReport(
            str(test.type_name),
            test.name,
            test.tags,
            status,  # type: ignore[arg-type] # one of the three
            round((self._host.clock.monotonic() - started) * 1000),
            test.span.source.name,
            test.span.line,
            None if error is None else TestFailure(error),
            reason,
            () if status != "passed" or world is None else (*_notes(world), *self._notes),
            0 if world is None else len(world.mock.calls),
            frozenset() if world is None else frozenset(world.entities),
            frozenset() if world is None else frozenset(world.actions),
            world.room.coverage() if world is not None and self.options.coverage else {},
        )

    def close(self) -> None:
        """End the world."""
        if self._world is not None:
            self._world.close()

    @property
    def world(self) -> World:
        """What was opened."""
        assert self._world is not None  # noqa: S101 - `open` comes first
        return self._world

    def _texts(self, document: ast.Document | None, environ: Environ) -> Mapping[str, str]:
        if document is None:
            return {}
        environment = self._reading(environ)
        return {m.key: text_of(evaluate(m.value, environment)) for m in document.members}


def _notes(world: World) -> tuple[str, ...]:
    what = "route" if world.mock.is_mocked else "recorded request"
    notes = [f"{what} never used: {key}" for key in world.mock.unused]
    notes += [f"fault never met its request: {fault}" for fault in world.mock.unused_faults]
    if not world.asserted:
        notes.append("no assertions")
    return tuple(notes)
