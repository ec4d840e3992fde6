"""TEST statements: collected, stored, and run in worlds of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from moltler.catalog.catalog import Catalog
from moltler.errors import LookupFailed, MoltlerError, Source, error_class
from moltler.exec.evaluate import Environment, evaluate
from moltler.exec.scope import Scope
from moltler.flow.connector import ResolvedConnector
from moltler.flow.result import Column, Outcome, Table
from moltler.flow.scan import QueryPlan
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.model import StoredTest, TypeEntry
from moltler.session.definitions import Definer, Definition
from moltler.session.environment import BoundValues, StatementEnvironment
from moltler.session.names import statement_name
from moltler.session.script import run
from moltler.session.services import ScratchCatalog, Services
from moltler.session.statements import StatementRunner

if TYPE_CHECKING:
    from moltler.exec.proof import EntityProof
    from moltler.testing.report import TestReport
    from moltler.testing.runner import TestOptions
    from moltler.testing.world import Environ, Host, World

_REPORT_COLUMNS = (
    Column("type", "string"),
    Column("name", "string"),
    Column("status", "string"),
    Column("duration_ms", "integer"),
    Column("failure", "string"),
)


@dataclass(frozen=True, slots=True)
class TestCollection:
    """The tests of some scripts, and the types that their definitions make."""

    __test__ = False
    catalog: Catalog
    tests: tuple[ast.TestDefinition, ...]
    notes: tuple[str, ...] = ()
    """Statements that were passed over."""


def collect(sources: Sequence[Source], services: Services) -> TestCollection:
    """Read scripts: run their definitions on a copy of the catalog, and gather their tests.

    Raises:
        MoltlerError: A text is wrong, a definition is, or two tests of a type have one name.
    """
    scripts = [parse(source) for source in sources]
    # Instances of the home belong to nobody's test, so they cannot get in a test's way.
    scratch = ScratchCatalog(replace(services.catalog.load(), connectors={}))
    definer = Definer(
        scratch,
        None,
        services.environ,
        lambda handler, entry: services.handlers.check(handler, entry),
        lambda _name: None,
    )
    found = _Sorted()
    for script in scripts:
        for statement in script.statements:
            found.take(statement)
    for definition in found.definitions():
        try:
            definer.define(definition)
        except MoltlerError as error:
            error.at(definition.span)
            raise
    return TestCollection(scratch.load(), tuple(found.tests.values()), tuple(found.notes))


class _Sorted:
    """The statements of scripts: definitions in their order, tests, and what is passed over."""

    def __init__(self) -> None:
        self.tests: dict[tuple[str, str], ast.TestDefinition] = {}
        self.notes: list[str] = []
        self._definitions: list[Definition] = []
        self._defined: set[tuple[type, str]] = set()

    def take(self, statement: ast.Statement) -> None:
        match statement:
            case ast.TestDefinition():
                self._take_test(statement)
            case ast.CreateType() | ast.CreateEntity() | ast.CreateAction():
                self._definitions.append(self._over_home(statement))
            case ast.RegisterType():
                self._definitions.append(statement)
            case _:
                words, name = statement_name(statement)
                place = f"{statement.span.source.name}:{statement.span.line}"
                self.notes.append(f"{place}: {words} {name} is not run by tests".replace("  ", " "))

    def definitions(self) -> Iterable[Definition]:
        """Give types before what belongs to them, whichever file each stands in."""
        order = {ast.CreateType: 0, ast.CreateEntity: 1, ast.CreateAction: 1, ast.RegisterType: 2}
        return sorted(self._definitions, key=lambda d: order[type(d)])  # type: ignore[index] # the four

    def _take_test(self, test: ast.TestDefinition) -> None:
        key = (str(test.type_name).lower(), test.name)
        first = self.tests.get(key)
        if first is not None:
            place = f"{first.span.source.name}:{first.span.line}"
            raise LookupFailed(
                "CAT003",
                f"type `{test.type_name}` has two tests called '{test.name}'; "
                f"the first stands at {place}",
                hint="give one of them another name",
                span=test.span,
            )
        self.tests[key] = test

    def _over_home(
        self, statement: ast.CreateType | ast.CreateEntity | ast.CreateAction
    ) -> Definition:
        # What the home has already is replaced; twice in the files is still a mistake.
        key = (type(statement), str(statement.name).lower())
        is_first = key not in self._defined
        self._defined.add(key)
        return replace(statement, or_replace=True) if is_first else statement


# ── running ──────────────────────────────────────────────────────────────────────────────────


def run_one(
    test: ast.TestDefinition,
    catalog: Catalog,
    services: Services,
    options: TestOptions | None = None,
) -> TestReport:
    """Run one test against a catalog; its failure is in the report."""
    from moltler.testing.runner import run_test

    return run_test(
        test,
        catalog,
        cast("Host", services),
        play=play,
        reading=lambda environ: _reading(environ, services),
        options=options,
    )


def prove_claims(
    type_name: str, collection: TestCollection, services: Services
) -> tuple[EntityProof, ...]:
    """Compare the claims of a type with what its handlers answer in the worlds of tests.

    Raises:
        LookupFailed: CAT008, there is no such type.
    """
    from moltler.testing.proof import prove

    return prove(
        type_name,
        collection.tests,
        collection.catalog,
        cast("Host", services),
        play=play,
        reading=lambda environ: _reading(environ, services),
    )


def stored_tests(type_name: str, services: Services) -> TestCollection:
    """Give the tests that are stored with a type.

    Raises:
        LookupFailed: CAT008, there is no such type.
    """
    catalog = services.catalog.load()
    tests = tuple(read_stored(stored) for stored in catalog.type(type_name).tests)
    return TestCollection(catalog, tests)


def play(statements: Sequence[ast.Statement], world: World) -> None:
    """Run statements in the world of a test and read every row.

    Raises:
        MoltlerError: A statement failed.
        Skipped: A SKIP was reached.
    """
    from moltler.exec.result import Result

    door = _TestDoor(world, BoundValues({}, (), world.environ), world=world)
    for _, outcome in run(statements, world.scope, door):
        if outcome is not None:
            with Result(outcome) as result:
                for _row in result.rows():
                    world.check_time()
        world.check_environment()


def _reading(environ: Environ, services: Services) -> Environment:
    def refuse(*_: object) -> list[dict[str, object]]:
        raise error_class("TST005")(
            "TST005", "a clause of a test cannot query or act", hint="do it between BEGIN and END"
        )

    return StatementEnvironment(
        Scope(),
        services.clock.now(),
        BoundValues({}, (), environ),
        refuse,
        refuse,
        lambda _warning: None,
    )


@dataclass(slots=True)
class _TestDoor(StatementRunner):
    """Runs the statements of a test, and those that only a test may have."""

    world: World = field(kw_only=False, default=cast("World", None))

    def run_statement(self, statement: ast.Statement, scope: Scope) -> Outcome | None:
        """Run one plain statement, while there is time."""
        self.world.check_time()
        match statement:
            case ast.AdvanceClock():
                by = evaluate(statement.by, self.environment(scope))
                if not isinstance(by, timedelta) or by < timedelta():
                    raise error_class("PLN007")(
                        "PLN007", "the clock moves on by a duration", span=statement.by.span
                    )
                try:
                    self.world.advance(by)
                except OverflowError:
                    raise error_class("PLN007")(
                        "PLN007",
                        "the clock cannot move past the year 9999",
                        span=statement.by.span,
                    ) from None
                return None
            case ast.SkipTest():
                from moltler.testing.world import Skipped

                raise Skipped(statement.reason)
            case _:
                return StatementRunner.run_statement(self, statement, scope)

    def environment(self, scope: Scope) -> Environment:
        """Give what the expressions of a fresh statement see, with the mocks."""
        self.world.check_time()
        environment = StatementRunner.environment(self, scope)
        return replace(cast("StatementEnvironment", environment), mocks=self.world.calls_of)

    def asserted(self, error: MoltlerError | None) -> bool:
        """Keep count; the first failure stays, and ends the body."""
        self.world.note_assertion(error)
        return error is not None

    def note_scans(self, catalog: Catalog, plan: QueryPlan) -> None:
        """Note the entities that are read."""
        for request in plan.scans:
            connector = catalog.find_connector(request.connector)
            if connector is None:
                continue  # a synced table
            type_name = connector.type_name
            self.world.entities.add(f"{type_name}.{request.entity.name}")

    def note_action(self, target: ResolvedConnector, path: str) -> None:
        """Note the action that is run."""
        self.world.actions.add(f"{target.type.name}.{path}")


def run_statement(
    statement: ast.TestDefinition | ast.RunTest | ast.RunTests, services: Services
) -> Table:
    """Run TEST, RUN TEST or RUN TESTS.

    Raises:
        MoltlerError: A test failed, or there is none.
    """
    if isinstance(statement, ast.TestDefinition):
        return define_test(statement, services)
    return run_stored(statement, services)


# ── statements ───────────────────────────────────────────────────────────────────────────────


def define_test(statement: ast.TestDefinition, services: Services) -> Table:
    """Store a test, replacing one of its name, and run it.

    Raises:
        MoltlerError: The test failed; CAT008, there is no such type.
    """
    span = statement.span
    stored = StoredTest(
        statement.name,
        statement.tags,
        span.text,
        span.source.name,
        span.line,
        span.column,
        statement.description,
    )
    name = str(statement.type_name)
    services.catalog.update(lambda c: c.with_test(name, stored, statement.type_name.span))
    report = run_one(statement, services.catalog.load(), services)
    _note(services, report)
    _raise(report)
    return _table([report])


def run_stored(statement: ast.RunTest | ast.RunTests, services: Services) -> Table:
    """Run stored tests.

    Raises:
        MoltlerError: CAT008, there is no such test; TST006, nothing matched; the first failure,
            with a note for each test.
    """
    catalog = services.catalog.load()
    chosen = _chosen(statement, catalog)
    if not chosen:
        raise error_class("TST006")(
            "TST006",
            "no stored test matches",
            hint="SHOW TESTS lists them",
            span=statement.span,
        )
    reports = [run_one(read_stored(t), catalog, services, _options(e)) for e, t in chosen]
    for report in reports:
        _note(services, report)
    failed = next((r for r in reports if r.failure is not None), None)
    if failed is not None and failed.failure is not None:
        error = failed.failure.error
        for report in reports:
            error.add_note(f"{report.type_name} '{report.name}': {report.status}")
        raise error
    return _table(reports)


def read_stored(stored: StoredTest) -> ast.TestDefinition:
    """Read a stored test again, with the places it had in its file."""
    text = "\n" * (stored.line - 1) + " " * (stored.column - 1) + stored.text + ";"
    (test,) = parse(Source(stored.file, text)).statements
    return cast("ast.TestDefinition", test)


def _options(entry: TypeEntry) -> TestOptions:
    from moltler.testing.runner import TestOptions

    return TestOptions(isolated=entry.is_installed)


def _chosen(
    statement: ast.RunTest | ast.RunTests, catalog: Catalog
) -> list[tuple[TypeEntry, StoredTest]]:
    if isinstance(statement, ast.RunTest):
        name = str(statement.type_name)
        found = catalog.test(name, statement.name, statement.span)
        return [(catalog.type(name), found)]
    entries = (
        [catalog.type(str(statement.type_name), statement.span)]
        if statement.type_name is not None
        else sorted(catalog.types.values(), key=lambda t: t.name.lower())
    )
    tag = statement.tag
    return [(e, t) for e in entries for t in e.tests if tag is None or tag in t.tags]


def _note(services: Services, report: TestReport) -> None:
    services.catalog.update(
        lambda c: c.with_test_status(report.type_name, report.name, report.status)
    )


def _raise(report: TestReport) -> None:
    if report.failure is not None:
        raise report.failure.error


def _table(reports: Sequence[TestReport]) -> Table:
    rows = (
        (r.type_name, r.name, r.status, r.duration_ms, r.failure.message if r.failure else r.reason)
        for r in reports
    )
    return Table(_REPORT_COLUMNS, tuple(rows))
