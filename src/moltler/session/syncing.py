"""SYNC CONNECTOR and what goes with it: jobs made of statements, runs, reports and stored syncs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from moltler.catalog.catalog import LOCAL_DESTINATION, Catalog
from moltler.catalog.syncs import drop_schedule, put_sync
from moltler.errors import LookupFailed, MoltlerError, PlanError, Source, error_class, near_match
from moltler.exec.evaluate import Environment, evaluate
from moltler.flow.connector import ResolvedConnector
from moltler.flow.result import Column, Done, Table
from moltler.flow.scan import Warning
from moltler.flow.sync import QUARANTINE, RunRecord, Scope
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.lang.printer import print_statement
from moltler.model import Entity, StoredSync
from moltler.plan.bound import Variables
from moltler.schema import Property
from moltler.session.environment import CatalogTables
from moltler.session.keeping import is_kept
from moltler.session.names import statement_name
from moltler.session.services import Services

if TYPE_CHECKING:
    from moltler.sync.job import Job
    from moltler.sync.run import RunOutcome, Tools

RUN_COLUMNS = (
    Column("status", "string"),
    Column("connector", "string"),
    Column("entity", "string"),
    Column("target", "string"),
    Column("mode", "string"),
    Column("rows_read", "integer"),
    Column("rows_written", "integer"),
    Column("rows_deleted", "integer"),
    Column("quarantined", "integer"),
    Column("watermark", "any"),
    Column("generation", "integer"),
    Column("complete", "boolean"),
    Column("duration_ms", "integer"),
    Column("message", "string"),
)
"""Of a sync's result and of SYNC HISTORY (LANGUAGE §9.2)."""
_ROLLBACK_COLUMNS = (
    Column("target", "string"),
    Column("generation", "integer"),
    Column("rows", "integer"),
    Column("watermark", "any"),
)
HISTORY_COLUMNS = (*RUN_COLUMNS, Column("started", "timestamp"), Column("run_id", "string"))


@dataclass(frozen=True, slots=True)
class _Plan:
    """One entity of a statement: a job, or why there is none."""

    connector: str
    job: Job | None
    failed: RunOutcome | None = None
    names_values: bool = False


@dataclass(frozen=True, slots=True)
class Syncer:
    """Runs syncs for one statement.

    Args:
        services: Of the session.
        resolve: Gives an instance ready for a call.
        environment: For expressions of the statement.
        variables: For its WHERE.
    """

    services: Services
    resolve: Callable[[Catalog, str], ResolvedConnector]
    environment: Environment
    variables: Variables

    def sync(self, statement: ast.Sync) -> Table:
        """Run SYNC CONNECTOR.

        Raises:
            MoltlerError: A sync failed; the code is that of the first failure.
        """
        if self.services.read_only:
            raise _read_only(f"SYNC CONNECTOR {statement.connector}", statement)
        catalog = self.services.catalog.load()
        destination = statement.target.destination or LOCAL_DESTINATION
        plans = self._plans(statement, catalog)
        outcomes = self._run(plans, destination)
        self._note_call(plans[0].connector, outcomes)
        # A first run may fail for a while because of the API; what can never run is not kept.
        if any(o.error is None or o.error.blame != "user" for o in outcomes):
            warnings = self._store(statement, plans, destination)
        else:
            warnings = ()
        _check(outcomes, statement)
        noted = (w for o in outcomes for w in o.warnings)
        return Table(
            RUN_COLUMNS,
            tuple(run_row(o.record, destination) for o in outcomes),
            tuple(dict.fromkeys((*warnings, *noted))),
        )

    def _run(self, plans: Sequence[_Plan], destination: str) -> list[RunOutcome]:
        from moltler.sync.crew import run_jobs

        jobs = [p.job for p in plans if p.job is not None]
        ran = iter(run_jobs(jobs, self._tools(destination)) if jobs else ())
        return [next(ran) if p.failed is None else p.failed for p in plans]

    def _tools(self, destination: str) -> Tools:
        from moltler.exec.extract import Extractor
        from moltler.sync.run import Tools

        services = self.services
        catalog = services.catalog.load()
        return Tools(
            Extractor(
                services.engine,
                services.bare_handlers,
                lambda name: self.resolve(catalog, name),
                services.clock,
            ),
            services.destination(destination),
            services.clock,
            watch=services.watch_sync,
        )

    def _note_call(self, connector: str, outcomes: Iterable[RunOutcome]) -> None:
        error = next((o.error for o in outcomes if o.error is not None), None)
        text = None if error is None else f"{error.code}: {error.message}"
        self.services.journal.note_call(connector, text)

    def rollback(self, statement: ast.RollbackSync) -> Table:
        """Run ROLLBACK SYNC.

        Raises:
            LookupFailed: CAT002, CAT008.
        """
        if self.services.read_only:
            raise _read_only("ROLLBACK SYNC", statement)
        name = statement.target.destination or LOCAL_DESTINATION
        try:
            back = self.services.destination(name).rollback(statement.target.table)
        except MoltlerError as error:
            raise error.at(statement.target.span) from None
        watermark = None if back.state is None else back.state.watermark
        row = (statement.target.table, back.generation, back.rows, watermark)
        return Table(_ROLLBACK_COLUMNS, (row,))

    def drop_schedule(self, statement: ast.DropSchedule) -> Done:
        """Run DROP SCHEDULE.

        Raises:
            LookupFailed: CAT001, CAT008.
        """
        self.services.catalog.update(
            lambda c: drop_schedule(c, statement.connector, statement.entity, statement.span)
        )
        return Done(*statement_name(statement))

    # ── jobs ─────────────────────────────────────────────────────────────────────────────────

    def _plans(self, statement: ast.Sync, catalog: Catalog) -> list[_Plan]:
        connector, definition, _ = catalog.usable(statement.connector, statement.span)
        if statement.entity is not None:
            entity = catalog.entity(connector.name, statement.entity, statement.span)
            return [self._plan(statement, catalog, connector.name, entity)]
        table, entities = statement.target.table, definition.entities
        if len(entities) > 1 and "*" not in table:
            raise error_class("SNC009")(
                "SNC009",
                f"`{table}` cannot hold the rows of {len(entities)} entities",
                hint=f"write TO '{table}_*', where * stands for the name of each entity",
                span=statement.target.span,
            )
        # Each entity is on its own: one that cannot be planned does not stop the others.
        return [self._tried(statement, catalog, connector.name, entity) for entity in entities]

    def _tried(
        self, statement: ast.Sync, catalog: Catalog, connector: str, entity: Entity
    ) -> _Plan:
        from moltler.sync.run import RunOutcome, new_run_id

        try:
            return self._plan(statement, catalog, connector, entity)
        except MoltlerError as error:
            scope = Scope(connector, entity.name, statement.target.table.replace("*", entity.name))
            now = self.services.clock.now()
            message = f"{error.code}: {error.message}"
            record = RunRecord(
                new_run_id(), scope, "full", "failed", now, ended=now, message=message
            )
            return _Plan(connector, None, RunOutcome(record, error))

    def _plan(self, statement: ast.Sync, catalog: Catalog, connector: str, entity: Entity) -> _Plan:
        from moltler.plan.synced import plan_entity
        from moltler.sync.job import BATCH_ROWS, Job, check_job

        services = self.services
        target = self.resolve(catalog, connector)
        planned = plan_entity(
            connector,
            entity.name,
            None if statement.where is None else statement.where.span,
            CatalogTables(catalog),
            self.variables,
            now=services.clock.now(),
            fold=lambda sql, values: services.engine.evaluate_constant(sql, values),  # type: ignore[arg-type] # a Mapping
        )
        bounds = self._bounds(statement)
        scope = Scope(
            connector,
            entity.name,
            _table_name(statement, entity),
            planned.where,
            None if bounds is None else (str(bounds[0]), str(bounds[1])),
        )
        options = target.connector.options
        job = Job(
            scope=scope,
            entity=entity,
            plan=planned.plan,
            cursor=_field(entity, statement.incremental_on, statement),
            lookback=self._lookback(statement),
            is_full=statement.full,
            deletes=statement.deletes or "NONE",
            deletes_field=_field(entity, statement.deletes_field, statement),
            max_errors=statement.max_errors or 0,
            allows_shrinking=statement.allow_empty,
            overlap=statement.overlap or "SKIP",
            bounds=bounds,
            batch_rows=int(str(options.get("batch_size", BATCH_ROWS))),
            retry_count=target.limits.retry_count,
        )
        if statement.schedule is not None and planned.names_values:
            raise PlanError(
                "PLN003",
                "a scheduled sync cannot name variables or parameters: they are gone by then",
                hint="write the values into its WHERE",
                span=statement.span,
            )
        if statement.schedule is not None:
            self._check_schedule(statement, statement.schedule)
        check_job(job)
        return _Plan(connector, job, None, planned.names_values)

    def _check_schedule(self, statement: ast.Sync, schedule: str) -> None:
        """Refuse days that never come; the rest of a schedule was checked as it was read."""
        from moltler.sync.schedule import next_time

        try:
            next_time(schedule, statement.timezone, self.services.clock.now())
        except MoltlerError as error:
            raise error.at(statement.span) from None

    def _lookback(self, statement: ast.Sync) -> timedelta | None:
        if statement.lookback is None:
            return None
        value = evaluate(statement.lookback, self.environment)
        if isinstance(value, timedelta) and value >= timedelta(0):
            return value
        raise PlanError(
            "PLN007",
            "LOOKBACK needs a span of time that is not negative",
            hint="write LOOKBACK INTERVAL '1h'",
            span=statement.lookback.span,
        )

    def _bounds(self, statement: ast.Sync) -> tuple[object, object] | None:
        first, last = statement.backfill_from, statement.backfill_until
        if first is None or last is None:
            return None
        return evaluate(first, self.environment), evaluate(last, self.environment)

    # ── stored syncs ─────────────────────────────────────────────────────────────────────────

    def _store(
        self, statement: ast.Sync, plans: Sequence[_Plan], destination: str
    ) -> tuple[Warning, ...]:
        """Keep a sync for `moltler sync`; a backfill is no sync of its own."""
        if statement.backfill_from is not None:
            return ()
        if any(p.names_values for p in plans):
            message = "its WHERE names variables, so `moltler sync` will not know it"
            return (Warning("not_stored", message, statement.connector),)
        plain = replace(statement, full=False, schedule=None, timezone=None)
        sync = StoredSync(
            connector=plans[0].connector,
            entity=statement.entity,
            destination=destination,
            table=statement.target.table,
            text=print_statement(plain).removesuffix(";"),
            where=next((p.job.scope.where for p in plans if p.job is not None), None),
            cursor_field=statement.incremental_on,
            schedule=statement.schedule,
            timezone=statement.timezone,
        )
        known = self.services.catalog.load().syncs.get(sync.key)
        if statement.schedule is None and known is not None:
            # Running a scheduled sync by hand does not take its schedule away.
            sync = replace(sync, schedule=known.schedule, timezone=known.timezone)
        self.services.catalog.update(lambda c: put_sync(c, sync))
        if statement.schedule is not None and not is_kept(self.services.home, self.services.clock):
            message = (
                "nobody keeps the schedules of this home: run `moltler serve`, or"
                " `moltler sync run --due` from cron"
            )
            return (Warning("not_kept", message, statement.connector),)
        return ()


def _read_only(words: str, statement: ast.Statement) -> PlanError:
    return PlanError(
        "PLN012",
        f"{words} writes, and this session only reads",
        hint="leave out --read-only",
        span=statement.span,
    )


def stored_source(sync: StoredSync, *, full: bool = False) -> Source:
    """Give the script of a stored sync.

    Args:
        sync: It.
        full: Add FULL.
    """
    name = sync.connector if sync.entity is None else f"{sync.connector}.{sync.entity}"
    source = Source(f"<sync {name}>", f"{sync.text};")
    if not full:
        return source
    statement = parse(source).statements[0]
    if not isinstance(statement, ast.Sync):
        raise TypeError(sync.text)  # the catalog holds nothing else
    return Source(source.name, print_statement(replace(statement, full=True)))


def run_row(record: RunRecord, destination: str) -> tuple[object, ...]:
    """Give a run as one row of `RUN_COLUMNS`."""
    table = record.scope.table
    target = table if destination == LOCAL_DESTINATION else f"{destination}.{table}"
    return (
        record.status,
        record.scope.connector,
        record.scope.entity,
        target,
        record.mode,
        record.rows_read,
        record.rows_written,
        record.deleted,
        record.quarantined,
        record.watermark,
        record.generation or None,
        record.complete,
        record.duration_ms,
        record.message,
    )


def history_row(record: RunRecord, destination: str) -> tuple[object, ...]:
    """Give a run as one row of `HISTORY_COLUMNS`."""
    return (*run_row(record, destination), record.started, record.run_id)


def _check(outcomes: Sequence[RunOutcome], statement: ast.Sync) -> None:
    """Raise the first failure, naming all."""
    failed = [o for o in outcomes if o.error is not None]
    if not failed:
        return
    first = failed[0].error
    assert first is not None  # noqa: S101 - chosen for it
    first.at(statement.span)
    if len(outcomes) == 1:
        raise first
    lines = [
        f"{o.record.scope.connector}.{o.record.scope.entity}: {o.error.message}"
        for o in failed
        if o.error is not None
    ]
    message = f"{len(failed)} of {len(outcomes)} syncs failed: " + "; ".join(lines)
    raise error_class(first.code)(
        first.code,
        message,
        hint=first.hint,
        span=statement.span,
        retry_after=first.retry_after,
        context=first.context,
    ) from first


def _table_name(statement: ast.Sync, entity: Entity) -> str:
    """Give the name of a table, ``*`` filled in.

    Raises:
        LookupFailed: CAT003, the destination has such a table of its own.
    """
    name = statement.target.table.replace("*", entity.name)
    folded = name.lower()
    if folded == QUARANTINE or folded.startswith("_moltler") or folded.endswith("__all"):
        raise LookupFailed(
            "CAT003",
            f"`{name}` is a table that the destination makes by itself",
            hint="choose another name for the table",
            span=statement.target.span,
        )
    return name


def _field(entity: Entity, name: str | None, statement: ast.Sync) -> Property | None:
    if name is None:
        return None
    found = entity.fields.find(name)
    if found is None or found.filter_only:
        names = tuple(f.name for f in entity.fields if not f.filter_only)
        near = near_match(name, names)
        raise PlanError(
            "PLN002",
            f"`{entity.name}` has no field `{name}`",
            hint=f"did you mean `{near}`?" if near else None,
            span=statement.span,
            allowed=names,
        )
    return found
