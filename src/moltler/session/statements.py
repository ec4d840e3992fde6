"""One case per statement: what each does, over the services of a session."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

from moltler.catalog.arguments import GivenArgument, bind_arguments
from moltler.catalog.catalog import Catalog
from moltler.catalog.destinations import destination_names
from moltler.catalog.resolve import resolve
from moltler.errors import MoltlerError, PlanError
from moltler.exec.evaluate import Environment, evaluate
from moltler.exec.scope import Scope
from moltler.flow.connector import ResolvedConnector
from moltler.flow.result import ActionResult, Column, Done, Outcome, Table
from moltler.flow.scan import QueryPlan, Warning
from moltler.lang import ast
from moltler.plan.memory import Witness
from moltler.session import show
from moltler.session.definitions import Definer
from moltler.session.environment import (
    BoundValues,
    CatalogTables,
    SqlVariables,
    StatementEnvironment,
    action_of,
)
from moltler.session.names import statement_name
from moltler.session.placing import placed_in
from moltler.session.probe import probe
from moltler.session.services import Services
from moltler.session.status import status_table
from moltler.vault.lookup import lookup_secret

if TYPE_CHECKING:
    from moltler.exec.run import SelectRows
    from moltler.session.syncing import Syncer

Delivery = ast.Package | ast.Publish | ast.Install | ast.Upgrade | ast.PackageAdmin
TestStatement = ast.TestDefinition | ast.RunTest | ast.RunTests


@dataclass(slots=True)
class StatementRunner:
    """Runs plain statements for one script (`session.script.Door`).

    Args:
        services: Of the session.
        values: Parameters bound to this script.
    """

    services: Services
    values: BoundValues
    run_tests: Callable[[TestStatement], Table] | None = None
    """Runs tests; a test itself runs none."""
    deliver: Callable[[Delivery, Environment], Table | Done] | None = None
    """Runs statements about packages; a test runs none."""
    _warnings: list[Warning] = field(default_factory=list[Warning])

    # ── what scripts ask for ─────────────────────────────────────────────────────────────────

    def run_statement(self, statement: ast.Statement, scope: Scope) -> Outcome | None:
        """Run one statement that is not a script statement."""
        outcome = self._run(statement, scope)
        if self._warnings and isinstance(outcome, Done | ActionResult):
            noted, self._warnings = tuple(self._warnings), []
            return replace(outcome, warnings=(*outcome.warnings, *noted))
        return outcome

    def environment(self, scope: Scope) -> Environment:
        """Give what the expressions of a fresh statement see."""
        return StatementEnvironment(
            scope,
            self.services.clock.now(),
            self.values,
            self._select_rows,
            lambda call, inner: self._execute(call, inner).value,
            self._warnings.append,
        )

    def rows(self, outcome: Outcome) -> Generator[dict[str, object], None, None]:
        """Read an outcome row by row as documents."""
        from moltler.exec.result import Result

        with Result(outcome) as result:
            yield from result.dicts()

    def print(self, text: str) -> None:
        """Write one line for the user."""
        self.services.print(text)

    def asserted(self, error: MoltlerError | None) -> bool:
        """Ignore it: only tests keep count."""
        return False

    # ── one case per statement ───────────────────────────────────────────────────────────────

    def _run(self, statement: ast.Statement, scope: Scope) -> Outcome | None:
        match statement:
            case ast.Select():
                with placed_in(statement.sql):
                    return self._select(self._plan(statement, scope))
            case ast.Query():
                return self._select(self._plan(statement, scope))
            case ast.ExecStatement():
                return self._execute(statement.call, scope)
            case ast.Explain(target=ast.Exec() as call):
                return self._dry_run(statement, call, scope)
            case ast.Explain(target=ast.SqlText() as sql):
                plan = self._plan(ast.Select(sql, span=sql.span), scope)
                with placed_in(sql):
                    return self._analyze(plan) if statement.analyze else self._explain(plan)
            case (
                ast.CreateType()
                | ast.CreateEntity()
                | ast.CreateAction()
                | ast.RegisterType()
                | ast.DropDefinition()
            ):
                return self.definer.define(statement)
            case (
                ast.CreateConnector()
                | ast.AlterConnector()
                | ast.SetEnabled()
                | ast.DropConnector()
            ):
                environment = self.environment(scope)
                return self.definer.configure(statement, lambda e: evaluate(e, environment))
            case ast.CreateDestination() | ast.DropDestination():
                environment = self.environment(scope)
                return self.definer.deliver_to(statement, lambda e: evaluate(e, environment))
            case ast.TestConnector():
                return self._test(statement)
            case ast.ClearCache():
                return self._clear_cache(statement)
            case ast.Sync():
                return self.syncer(scope).sync(statement)
            case ast.RollbackSync():
                return self.syncer(scope).rollback(statement)
            case ast.DropSchedule():
                return self.syncer(scope).drop_schedule(statement)
            case ast.Show():
                return self._show(statement)
            case ast.ShowConnector():
                return self._show_connector(statement)
            case ast.ShowType():
                return show.show_type(self._catalog(), str(statement.name), statement.name.span)
            case ast.ShowTests():
                return show.show_tests(self._catalog(), statement.type_name)
            case ast.TestDefinition() | ast.RunTest() | ast.RunTests():
                if self.run_tests is None:
                    raise not_supported(statement)
                return self.run_tests(statement)
            case ast.DropTest():
                self.services.catalog.update(
                    lambda c: c.drop_test(str(statement.type_name), statement.name, statement.span)
                )
                return Done(*statement_name(statement))
            case ast.Describe():
                return show.describe(self._catalog(), statement.path, statement.path_span)
            case ast.Package() | ast.Publish() | ast.Install() | ast.Upgrade() | ast.PackageAdmin():
                if self.deliver is None:
                    raise not_supported(statement, f"{statement_name(statement)[0]} in a test")
                return self.deliver(statement, self.environment(scope))
            case _:
                # Script statements are `session.script`'s.
                raise AssertionError(f"{type(statement).__name__} is not a plain statement")

    @property
    def definer(self) -> Definer:
        """Runs the statements that change the catalog."""
        services = self.services
        return Definer(
            services.catalog,
            services.secrets,
            services.environ,
            lambda handler, entry: services.handlers.check(handler, entry),
            services.journal.forget,
        )

    def syncer(self, scope: Scope) -> Syncer:
        """Runs the statements that sync."""
        from moltler.session.syncing import Syncer

        variables = SqlVariables(scope, self.values)
        return Syncer(self.services, self.resolve, self.environment(scope), variables)

    def _catalog(self) -> Catalog:
        return self.services.catalog.load()

    # ── SHOW ─────────────────────────────────────────────────────────────────────────────────

    def _show(self, statement: ast.Show) -> Table:
        match statement.subject:
            case "CONNECTORS":
                return show.show_connectors(self._catalog(), self.services.journal.last_calls())
            case "TYPES":
                return show.show_types(self._catalog())
            case "DESTINATIONS":
                return show.show_destinations(
                    self._catalog(), str(self.services.home / "data.duckdb")
                )
            case "SYNCS":
                from moltler.session.sync_listing import show_syncs

                return show_syncs(self.services)
            case "PACKAGES":
                return show.show_packages(self._catalog())
            case "CACHE":
                return show.show_cache(self.services.cache.rows())
            case _:
                assert_never(statement.subject)

    def _clear_cache(self, statement: ast.ClearCache) -> Done:
        name = statement.connector
        if name is not None:
            name = self._catalog().connector(name, statement.span).name
        count = self.services.cache.clear(name)
        return Done("CLEAR CACHE", name or "", f"{count} scan(s) forgotten")

    def _show_connector(self, statement: ast.ShowConnector) -> Table:
        name, span, journal = statement.name, statement.span, self.services.journal
        catalog = self._catalog()
        match statement.aspect:
            case None:
                return show.show_connector(catalog, name, journal.last_calls(), span)
            case "STATUS":
                connector = catalog.connector(name, span)
                return status_table(
                    connector, lambda: self.resolve(catalog, connector.name), self.services
                )
            case "ENTITIES":
                return show.show_entities(catalog, name, span)
            case "ACTIONS":
                return show.show_actions(catalog, name, span)
            case "ACTION HISTORY":
                connector = catalog.connector(name, span)
                return show.show_history(journal.history(connector.name, statement.limit))
            case "SYNC HISTORY":
                from moltler.session.sync_listing import show_history

                connector = catalog.connector(name, span)
                return show_history(self.services, connector.name, statement.limit)
            case _:
                assert_never(statement.aspect)

    # ── SELECT ───────────────────────────────────────────────────────────────────────────────

    def note_scans(self, catalog: Catalog, plan: QueryPlan) -> None:
        """Take notice of what is about to be read; only tests keep count."""

    def note_action(self, target: ResolvedConnector, path: str) -> None:
        """Take notice of an action that is about to run; only tests keep count."""

    def _plan(self, statement: ast.Select | ast.Query, scope: Scope) -> QueryPlan:
        from moltler.plan.planner import plan_query, plan_select
        from moltler.plan.roomy import with_room

        catalog = self._catalog()
        tables = CatalogTables(catalog, self.services.synced)
        variables = SqlVariables(scope, self.values)
        now = self.services.clock.now()

        def fold(sql: str, parameters: object) -> object:
            return self.services.engine.evaluate_constant(sql, parameters)  # type: ignore[arg-type] # a Mapping

        try:
            if isinstance(statement, ast.Select):
                sql, plans = statement.sql, self.services.plans
                plan = plans.recall(sql, catalog, variables)
                if plan is None:
                    witness = Witness(variables)
                    seen = CatalogTables(catalog, witness.once(self.services.synced))
                    folding = witness.once(fold)
                    plan = with_room(
                        lambda: plan_select(sql, seen, witness, now=now, fold=folding), sql.span
                    )
                    plans.keep(sql, catalog, witness, plan)
                return plan
            return with_room(
                lambda: plan_query(statement, tables, variables, now=now, fold=fold),
                statement.span,
            )
        except MoltlerError as error:
            error.at(statement.span)
            raise

    def _select(self, plan: QueryPlan) -> SelectRows:
        from moltler.exec.run import run_select

        services = self.services
        return run_select(
            plan,
            engine=services.engine,
            handlers=services.handlers,
            resolve=self._resolver(),
            clock=services.clock,
            on_end=self._note_scans(plan),
        )

    def _explain(self, plan: QueryPlan) -> Table:
        from moltler.exec.explain import COLUMNS, explain

        rows = explain(plan, self._resolver(), self.services.cache.verdict)
        return Table(COLUMNS, rows, plan.warnings)

    def _analyze(self, plan: QueryPlan) -> Table:
        from moltler.exec.analyze import analyze

        services = self.services
        return analyze(
            plan,
            engine=services.engine,
            handlers=services.handlers,
            resolve=self._resolver(),
            clock=services.clock,
            on_end=self._note_scans(plan),
            verdict=self.services.cache.verdict,
        )

    def _resolver(self) -> Callable[[str], ResolvedConnector]:
        catalog = self._catalog()
        return lambda name: self.resolve(catalog, name)

    def _note_scans(self, plan: QueryPlan) -> Callable[[BaseException | None], None]:
        """Take notice of scans that begin, and give what takes notice of their end."""
        self.note_scans(self._catalog(), plan)
        found = dict.fromkeys(r.connector for r in plan.scans)
        names = tuple(n for n in found if self._catalog().find_connector(n) is not None)

        def note(error: BaseException | None) -> None:
            for name in names:
                self._note_call(name, error)

        return note

    def _note_call(self, name: str, error: BaseException | None) -> None:
        services = self.services
        services.journal.note_call(name, _shown(error), services.contacts.drain(name))

    def _select_rows(self, sql: ast.SqlText, scope: Scope) -> list[dict[str, object]]:
        plan = self._plan(ast.Select(sql, span=sql.span), scope)
        with placed_in(sql):
            return list(self.rows(self._select(plan)))

    def resolve(self, catalog: Catalog, name: str) -> ResolvedConnector:
        """Give an instance ready for a call.

        Raises:
            LookupFailed: CAT001, CAT004 to CAT007.
        """
        services = self.services
        if catalog.find_connector(name) is None and name in destination_names(catalog):
            from moltler.sync.reading import stored_target

            return stored_target(name)
        connector, type_, revision = catalog.usable(name)
        return resolve(
            connector,
            type_,
            revision,
            lookup=lambda secret: lookup_secret(secret, services.environ, services.secrets),
            environ=services.environ,
            seal_key=services.secrets.seal_key,
        )

    # ── actions ──────────────────────────────────────────────────────────────────────────────

    def _execute(self, call: ast.Exec, scope: Scope) -> ActionResult:
        catalog = self._catalog()
        path = action_of(catalog, call)
        return self.act(catalog, call.path[0], path, self._given(call, scope), call)

    def _given(self, call: ast.Exec, scope: Scope) -> list[GivenArgument]:
        environment = self.environment(scope)
        return [
            GivenArgument(a.name, evaluate(a.value, environment), a.span) for a in call.arguments
        ]

    def _dry_run(self, statement: ast.Explain, call: ast.Exec, scope: Scope) -> Table:
        from moltler.session.explain import DryRunHost, dry_run

        catalog = self._catalog()
        connector, path = call.path[0], action_of(catalog, call)
        action = catalog.action(connector, path, call.path_span)
        parameters = bind_arguments(action, self._given(call, scope), call.span)
        if not isinstance(self.services, DryRunHost):
            raise not_supported(statement, "EXPLAIN CONNECTOR_EXEC inside a test")
        return dry_run(self.resolve(catalog, connector), action, parameters, self.services)

    def act(
        self,
        catalog: Catalog,
        connector: str,
        path: str,
        given: Sequence[GivenArgument],
        call: ast.Exec | None = None,
    ) -> ActionResult:
        """Run an action with evaluated arguments.

        Raises:
            MoltlerError: PLN012 in a read-only session; CAT, PLN005, or as `exec.action`.
        """
        from moltler.exec.action import run_action

        span = None if call is None else call.span
        action = catalog.action(connector, path, None if call is None else call.path_span)
        if self.services.read_only:
            raise PlanError(
                "PLN012",
                f"`{connector}.{path}` is an action, and this session only reads",
                hint="leave out --read-only",
                span=span,
            )
        parameters = bind_arguments(action, given, span)
        target = self.resolve(catalog, connector)
        self.note_action(target, path)
        error: BaseException | None = None
        try:
            return run_action(
                target,
                action,
                parameters,
                handlers=self.services.handlers,
                journal=self.services.journal,
            )
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._note_call(target.name, error)

    # ── TEST CONNECTOR ───────────────────────────────────────────────────────────────────────

    def _test(self, statement: ast.TestConnector) -> Table:
        catalog = self._catalog()
        connector, type_, _ = catalog.usable(statement.name, statement.span)
        target = self.resolve(catalog, connector.name)
        # Whoever asks for a test wants to know how things stand now.
        self.services.budget.forgive(target.secrets)
        started = self.services.clock.monotonic()
        error: BaseException | None = None
        try:
            status, message = probe(target, self.services)
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._note_call(connector.name, error)
        latency = round((self.services.clock.monotonic() - started) * 1000)
        return Table(_TEST_COLUMNS, ((connector.name, type_.name, status, latency, message),))


_TEST_COLUMNS = (
    Column("connector", "string"),
    Column("type", "string"),
    Column("status", "string"),
    Column("latency_ms", "integer"),
    Column("message", "string"),
)


def not_supported(statement: ast.Statement, words: str | None = None) -> PlanError:
    """Give the error PLN011 for a statement of a later stage."""
    shown = words or statement_name(statement)[0]
    return PlanError(
        "PLN011",
        f"{shown} is not available in this version",
        hint="the statement was read and is well formed; a later version runs it",
        span=statement.span,
    )


def _shown(error: BaseException | None) -> str | None:
    match error:
        case None:
            return None
        case MoltlerError():
            return f"{error.code}: {error.message}"
        case _:
            return type(error).__name__
