"""A session: scripts in, results out, variables that live as long as it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moltler.catalog.arguments import GivenArgument
from moltler.catalog.values import timestamp_text
from moltler.errors import MoltlerError, ParseError, Source
from moltler.exec.evaluate import Environment
from moltler.exec.scope import Scope
from moltler.flow.result import ActionResult, Column, Done, Outcome, Table
from moltler.flow.scan import Warning
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.session.environment import bind_values
from moltler.session.names import statement_name
from moltler.session.placing import ExplainedStream, place
from moltler.session.script import run
from moltler.session.services import SecretVault, Services
from moltler.session.statements import Delivery, StatementRunner, TestStatement

if TYPE_CHECKING:
    import types

    from moltler.exec.proof import EntityProof
    from moltler.exec.result import Result
    from moltler.session.desk import PackageDesk
    from moltler.session.diagnosis import Check
    from moltler.session.scheduling import SyncDesk
    from moltler.session.testing import TestCollection
    from moltler.testing.report import TestReport
    from moltler.testing.runner import TestOptions

Step = tuple[ast.Statement, Outcome | None]
Parameters = Mapping[str, object] | Sequence[object] | None

_CHANGING = (
    ast.CreateType
    | ast.CreateEntity
    | ast.CreateAction
    | ast.RegisterType
    | ast.DropDefinition
    | ast.CreateConnector
    | ast.AlterConnector
    | ast.SetEnabled
    | ast.DropConnector
    | ast.ExecStatement
    | ast.Package
    | ast.Publish
    | ast.Install
    | ast.Upgrade
    | ast.PackageAdmin
)


class Session:
    """Runs statements over one home; made by `moltler.connect`.

    A context manager; may be shared by threads, and calls of one instance still take turns.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._variables = Scope()

    # ── running ──────────────────────────────────────────────────────────────────────────────

    def parse(self, source: Source) -> ast.Script:
        """Parse a script.

        Raises:
            ParseError: Everything wrong with the text.
        """
        return parse(source)

    def execute(
        self, text: str, params: Parameters = None, *, source_name: str = "<execute>"
    ) -> Result:
        """Run one or more statements and give the result of the last.

        Args:
            text: The statements; parsed as a whole before the first one runs.
            params: A mapping for ``@name``, or a sequence for ``?``; values are bound, never
                spliced. Datetimes must be aware.
            source_name: What positions in errors call the text.

        Raises:
            MoltlerError: The text is wrong, or a statement failed; earlier ones took effect.
        """
        from moltler.exec.result import Result

        script = parse(Source(source_name, text))
        last = script.statements[-1] if script.statements else None
        steps = self._steps(script, params)
        outcome: Outcome | None = None
        for statement, outcome in steps:
            if statement is last and _is_stream(outcome):
                # The script's end has nothing left to do; its rows are read by the caller.
                return Result(outcome)
            if outcome is not None and statement is not last:
                with Result(outcome) as earlier:
                    for _ in earlier.rows():
                        pass
        return Result(outcome)

    def run(self, source: Source, params: Parameters = None) -> Iterator[Step]:
        """Run a script step by step; each outcome must be read before the next step.

        Raises:
            MoltlerError: As `execute`.
        """
        yield from self._steps(parse(source), params)

    def action(self, path: str, params: Mapping[str, object] | None = None) -> object:
        """Run an action and give what it returned, converted.

        Args:
            path: ``connector.entity.action``, or ``connector.action``.
            params: Its parameters by name.

        Raises:
            MoltlerError: PLN005, the parameters do not fit; CAT or the action failed.
        """
        connector, _, rest = path.partition(".")
        if not rest:
            raise ParseError(
                "SYN005",
                f"`{path}` names no action",
                hint="write connector.entity.action",
            )
        runner = StatementRunner(self._services, bind_values(params, self._services.environ))
        catalog = self._services.catalog.load()
        given = [GivenArgument(None, dict(runner.values.named))] if params else []
        return runner.act(catalog, connector, rest, given).value

    def collect_tests(self, sources: Sequence[Source]) -> TestCollection:
        """Read scripts with tests; their definitions are made on a copy of the catalog.

        Raises:
            MoltlerError: A text is wrong, a definition is, or two tests have one name.
        """
        from moltler.session.testing import collect

        return collect(sources, self._services)

    def run_test(
        self,
        test: ast.TestDefinition,
        collection: TestCollection,
        options: TestOptions | None = None,
    ) -> TestReport:
        """Run one test of a collection; its failure is in the report."""
        from moltler.session.testing import run_one

        return run_one(test, collection.catalog, self._services, options)

    def prove(self, type_name: str, sources: Sequence[Source] = ()) -> tuple[EntityProof, ...]:
        """Compare the claims of a type with what its handlers answer in mocked tests.

        Args:
            type_name: The type.
            sources: Scripts with its tests, and maybe its definitions; without any, its stored
                tests.

        Raises:
            MoltlerError: A text is wrong, or there is no such type.
        """
        from moltler.session.testing import prove_claims, stored_tests

        services = self._services
        found = self.collect_tests(sources) if sources else stored_tests(type_name, services)
        return prove_claims(type_name, found, services)

    def dry_run(self, source: Source) -> Table:
        """Parse a script and check names and definitions; change and send nothing.

        Raises:
            MoltlerError: The first statement that could not run.
        """
        from moltler.session.rehearsal import rehearse

        return rehearse(parse(source), self._services)

    def _steps(self, script: ast.Script, params: Parameters) -> Iterator[Step]:
        services = self._services
        values = bind_values(params, services.environ)
        values.check_count(script.positionals)
        scope = self._variables.for_script(values.named)
        effects: list[str] = []

        def explain(error: MoltlerError) -> None:
            if effects:
                error.add_note("took effect before: " + ", ".join(effects))

        try:
            door = StatementRunner(services, values, self._run_tests, self._deliver)
            for statement, outcome in run(script.statements, scope, door):
                yield statement, self._explained(outcome, statement, explain)
                if isinstance(statement, _CHANGING):
                    effects.append(" ".join(statement_name(statement)).strip())
        except MoltlerError as error:
            explain(error)
            raise
        finally:
            self._variables.keep(scope)

    def _explained(
        self,
        outcome: Outcome | None,
        statement: ast.Statement,
        explain: Callable[[MoltlerError], None],
    ) -> Outcome | None:
        if isinstance(outcome, Table | Done | ActionResult | None):
            return outcome

        def placed(error: MoltlerError) -> None:
            from moltler.plan.places import pinpoint

            if isinstance(statement, ast.Select):
                pinpoint(error, statement.sql)
            place(error, statement.span)
            explain(error)

        # A result that is being read keeps its session, which would end when it is dropped.
        return ExplainedStream(outcome, placed, owner=self)

    def _run_tests(self, statement: TestStatement) -> Table:
        from moltler.session.testing import run_statement

        return run_statement(statement, self._services)

    def _deliver(self, statement: Delivery, environment: Environment) -> Table | Done:
        from moltler.session.delivery import deliver

        return deliver(statement, self._services, environment)

    # ── about it ─────────────────────────────────────────────────────────────────────────────

    @property
    def home(self) -> Path:
        """The folder with catalog, secrets and data."""
        return self._services.home

    @property
    def packages(self) -> PackageDesk:
        """Registries, keys and searches."""
        from moltler.session.desk import PackageDesk
        from moltler.session.registries import host_of

        return PackageDesk(host_of(self._services, "packages"))

    @property
    def schedules(self) -> SyncDesk:
        """The stored syncs by the clock."""
        from moltler.session.scheduling import SyncDesk

        def run(source: Source) -> Table:
            for _, outcome in self.run(source):
                if isinstance(outcome, Table):
                    return outcome
            raise AssertionError("SYNC CONNECTOR gives a table")

        return SyncDesk(self._services, run)

    @property
    def secrets(self) -> SecretVault:
        """The stored secrets."""
        return self._services.secrets

    def secrets_table(self) -> Table:
        """List the stored secrets, never their values."""
        columns = tuple(Column(n, "string") for n in ("name", "created", "updated"))
        rows = tuple((r.name, r.created, r.updated) for r in self._services.secrets.list())
        return Table(columns, rows)

    def stored_syncs(
        self,
        connector: str | None = None,
        entity: str | None = None,
        *,
        full: bool = False,
        only_due: bool = False,
    ) -> tuple[Source, ...]:
        """Give the statements of stored syncs, of one connector or entity or of all.

        Args:
            connector: Whose syncs; ``None`` for all.
            entity: Of this entity alone.
            full: Read everything anew (FULL).
            only_due: Those whose time has come, by their schedules or after a suspension.

        Raises:
            LookupFailed: CAT001, CAT008.
        """
        from moltler.catalog.syncs import stored_syncs
        from moltler.session.syncing import stored_source

        found = stored_syncs(self._services.catalog.load(), connector, entity)
        if only_due:
            found = self.schedules.due(found)
        return tuple(stored_source(sync, full=full) for sync in found)

    def sync_history(self, connector: str | None = None, limit: int | None = None) -> Table:
        """List the runs of syncs, the latest first.

        Raises:
            LookupFailed: CAT001.
        """
        from moltler.session.sync_listing import show_history

        if connector is not None:
            connector = self._services.catalog.load().connector(connector).name
        return show_history(self._services, connector, limit)

    def names(self) -> dict[str, tuple[str, ...]]:
        """Give what may be typed: entities with their fields, actions without."""
        catalog = self._services.catalog.load()
        found: dict[str, tuple[str, ...]] = {}
        for connector in catalog.connectors.values():
            entry = catalog.find_type(connector.type_name)
            if entry is None or entry.registered is None:
                continue
            for entity in entry.registered.entities:
                found[f"{connector.name}.{entity.name}"] = entity.fields.names
            for action in entry.registered.actions:
                found[f"{connector.name}.{action.path}"] = ()
        return found

    def lost_actions(self) -> tuple[Warning, ...]:
        """Settle the actions of programs that were killed, and warn of those in doubt, once."""
        return tuple(
            Warning(
                "outcome_unknown",
                f"the program that ran `{r.connector}.{r.action}` at {timestamp_text(r.started)}"
                " was ended after the request had left, so the change may or may not have been"
                f" made (journal {r.id}); look at the API before you run it again",
                f"{r.connector}.{r.action}",
            )
            for r in self._services.journal.recover()
        )

    def diagnose(self) -> tuple[Check, ...]:
        """Check home, key, runtime and engine."""
        from moltler.session.diagnosis import diagnose

        return diagnose(self._services)

    def close(self) -> None:
        """End processes and close files; may be repeated."""
        self._services.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()


def _is_stream(outcome: Outcome | None) -> bool:
    return not isinstance(outcome, Table | Done | ActionResult | None)
