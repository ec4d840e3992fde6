"""A dry run: every statement checked against a copy of the catalog, nothing changed or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moltler.catalog.catalog import LOCAL_DESTINATION
from moltler.catalog.destinations import destination
from moltler.errors import MoltlerError
from moltler.exec.evaluate import evaluate
from moltler.exec.scope import Scope
from moltler.flow.result import Column, Table
from moltler.lang import ast
from moltler.session.definitions import Definer
from moltler.session.environment import (
    BoundValues,
    CatalogTables,
    SqlVariables,
    StatementEnvironment,
    action_of,
)
from moltler.session.names import statement_name
from moltler.session.services import ScratchCatalog, Services

_COLUMNS = (
    Column("line", "integer"),
    Column("statement", "string"),
    Column("name", "string"),
    Column("would", "string"),
)

_DELIVERIES: Mapping[type[ast.Statement], str] = {
    ast.Package: "run its mocked tests and write an archive",
    ast.Publish: "prove a package and send it to a registry",
    ast.Install: "get a package and change the catalog",
    ast.Upgrade: "get a package and change the catalog",
}


def rehearse(script: ast.Script, services: Services) -> Table:
    """Give one row a statement, with what it would do.

    Raises:
        MoltlerError: A statement is wrong in a way that can be told without running it.
    """
    rehearsal = _Rehearsal(services, ScratchCatalog(services.catalog.load()))
    rows: list[tuple[object, ...]] = []
    for statement in script.statements:
        try:
            effect = rehearsal.effect(statement)
        except MoltlerError as error:
            error.at(statement.span)
            raise
        rows.append((statement.span.line, *statement_name(statement), effect))
    return Table(_COLUMNS, tuple(rows))


@dataclass(slots=True)
class _Rehearsal:
    services: Services
    catalog: ScratchCatalog
    scope: Scope = field(default_factory=Scope)
    has_run: bool = True
    """False once a statement was passed over whose outcome later ones may depend on."""

    def effect(self, statement: ast.Statement) -> str:
        match statement:
            case (
                ast.CreateType()
                | ast.CreateEntity()
                | ast.CreateAction()
                | ast.RegisterType()
                | ast.DropDefinition()
            ):
                done = self._definer().define(statement)
                return f"change nothing: {done.message}" if done.message else "change the catalog"
            case (
                ast.CreateConnector()
                | ast.AlterConnector()
                | ast.SetEnabled()
                | ast.DropConnector()
            ):
                environment = self._environment()
                done = self._definer().configure(statement, lambda e: evaluate(e, environment))
                return f"change nothing: {done.message}" if done.message else "change the catalog"
            case ast.Select() | ast.Query():
                return self._select(statement)
            case ast.ExecStatement():
                catalog = self.catalog.load()
                path = action_of(catalog, statement.call)
                catalog.action(statement.call.path[0], path, statement.call.path_span)
                self.has_run = self.has_run and statement.into is None
                return f"run the action {path}"
            case ast.CreateDestination() | ast.DropDestination():
                environment = self._environment()
                done = self._definer().deliver_to(statement, lambda e: evaluate(e, environment))
                return f"change nothing: {done.message}" if done.message else "change the catalog"
            case (
                ast.Show() | ast.ShowConnector() | ast.ShowType() | ast.ShowTests() | ast.Describe()
            ):
                return "list"
            case ast.Sync():
                return self._sync(statement)
            case ast.RollbackSync():
                return f"restore the earlier rows of {statement.target.table}"
            case ast.DropSchedule():
                self.catalog.load().connector(statement.connector, statement.span)
                return "change the catalog"
            case ast.TestConnector():
                self.catalog.load().usable(statement.name, statement.span)
                return "call the connector"
            case ast.Package() | ast.Publish() | ast.Install() | ast.Upgrade() | ast.PackageAdmin():
                self.has_run = False
                return _DELIVERIES.get(type(statement), "look after a package")
            case _:
                self.has_run = False
                return "run"

    def _select(self, statement: ast.Select | ast.Query) -> str:
        from moltler.plan.planner import plan_query, plan_select

        tables = CatalogTables(self.catalog.load(), self.services.synced)
        variables = SqlVariables(self.scope, self._values())
        now = self.services.clock.now()
        try:
            if isinstance(statement, ast.Select):
                plan = plan_select(statement.sql, tables, variables, now=now)
            else:
                plan = plan_query(statement, tables, variables, now=now)
        except MoltlerError as error:
            # A variable that an earlier statement would have set is not known here.
            if not self.has_run and error.code in {"PLN002", "PLN003"}:
                return "read rows (names not checked: they depend on earlier statements)"
            raise
        finally:
            self.has_run = self.has_run and statement.into is None
        scans = ", ".join(f"{r.connector}.{r.entity.name}" for r in plan.scans)
        return f"read {scans}" if scans else "compute"

    def _sync(self, statement: ast.Sync) -> str:
        catalog = self.catalog.load()
        if statement.entity is None:
            _, definition, _ = catalog.usable(statement.connector, statement.span)
            names = [f"{statement.connector}.{e.name}" for e in definition.entities]
        else:
            catalog.entity(statement.connector, statement.entity, statement.span)
            names = [f"{statement.connector}.{statement.entity}"]
        target = statement.target
        place = f"{target.destination}.{target.table}" if target.destination else target.table
        if (name := target.destination or LOCAL_DESTINATION).lower() != LOCAL_DESTINATION:
            destination(catalog, name, statement.span)
        return f"copy {', '.join(names)} to {place}"

    def _definer(self) -> Definer:
        services = self.services
        return Definer(
            self.catalog,
            None,
            services.environ,
            lambda handler, entry: services.handlers.check(handler, entry),
            lambda _name: None,
        )

    def _values(self) -> BoundValues:
        return BoundValues({}, (), self.services.environ)

    def _environment(self) -> StatementEnvironment:
        return StatementEnvironment(
            self.scope,
            self.services.clock.now(),
            self._values(),
            lambda _sql, _scope: [],
            lambda _call, _scope: None,
            lambda _warning: None,
        )
