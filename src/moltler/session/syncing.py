"""SYNC CONNECTOR and what goes with it: jobs made of statements, runs, reports and stored syncs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from moltler.catalog.catalog import LOCAL_DESTINATION, Catalog
from moltler.errors import LookupFailed, MoltlerError, PlanError, Source, error_class, near_match
from moltler.exec.evaluate import Environment, evaluate
from moltler.flow.connector import ResolvedConnector
from moltler.flow.result import Column, Table
from moltler.flow.scan import Warning
from moltler.flow.sync import QUARANTINE, RunRecord, Scope
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.lang.printer import print_statement
from moltler.model import Entity, StoredSync
from moltler.plan.bound import Variables
from moltler.schema import Property
from moltler.session.environment import CatalogTables
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
HISTORY_COLUMNS = (*RUN_COLUMNS, Column("started", "timestamp"), Column("run_id", "string"))


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
            raise PlanError(
                "PLN012",
                f"SYNC CONNECTOR {statement.connector} writes, and this session only reads",
                hint="leave out --read-only",
                span=statement.span,
            )
        catalog = self.services.catalog.load()
        destination = statement.target.destination or LOCAL_DESTINATION
        jobs, names_values = self._jobs(statement, catalog, destination)
        warnings = self._store(statement, catalog, destination, names_values=names_values)
        return self._run(jobs, destination, warnings, statement)

    def _run(
        self,
        jobs: Sequence[Job],
        destination: str,
        warnings: tuple[Warning, ...],
        statement: ast.Sync,
    ) -> Table:
        from moltler.sync.crew import run_jobs

        tools = self._tools(destination)
        outcomes = run_jobs(jobs, tools)
        for job in jobs[:1]:
            self._note_call(job.scope.connector, outcomes)
        _check(outcomes, destination, statement)
        noted = (w for o in outcomes for w in o.warnings)
        return Table(
            RUN_COLUMNS,
            tuple(run_row(o.record, destination) for o in outcomes),
            tuple(dict.fromkeys((*warnings, *noted))),
        )

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

    # ── jobs ─────────────────────────────────────────────────────────────────────────────────

    def _jobs(
        self, statement: ast.Sync, catalog: Catalog, destination: str
    ) -> tuple[list[Job], bool]:
        connector, definition, _ = catalog.usable(statement.connector, statement.span)
        if statement.entity is None:
            entities = definition.entities
        else:
            entities = (catalog.entity(connector.name, statement.entity, statement.span),)
        table = statement.target.table
        if len(entities) > 1 and "*" not in table:
            raise error_class("SNC009")(
                "SNC009",
                f"`{table}` cannot hold the rows of {len(entities)} entities",
                hint=f"write TO '{table}_*', where * stands for the name of each entity",
                span=statement.target.span,
            )
        target = self.resolve(catalog, connector.name)
        made = [
            self._job(statement, catalog, connector.name, entity, target) for entity in entities
        ]
        del destination
        return [job for job, _ in made], any(names for _, names in made)

    def _job(
        self,
        statement: ast.Sync,
        catalog: Catalog,
        connector: str,
        entity: Entity,
        target: ResolvedConnector,
    ) -> tuple[Job, bool]:
        from moltler.plan.synced import plan_entity
        from moltler.sync.job import Job

        services = self.services
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
            batch_rows=int(str(options.get("batch_size", Job.batch_rows))),
            retry_count=target.limits.retry_count,
        )
        return job, planned.names_values

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
        self, statement: ast.Sync, catalog: Catalog, destination: str, *, names_values: bool
    ) -> tuple[Warning, ...]:
        """Keep a sync for `moltler sync`; a backfill is no sync of its own."""
        if statement.backfill_from is not None:
            return ()
        if names_values:
            if statement.schedule is not None:
                raise PlanError(
                    "PLN003",
                    "a scheduled sync cannot name variables or parameters: they are gone by then",
                    hint="write the values into its WHERE",
                    span=statement.span,
                )
            message = "its WHERE names variables, so `moltler sync` will not know it"
            return (Warning("not_stored", message, statement.connector),)
        plain = replace(statement, full=False, schedule=None, timezone=None)
        sync = StoredSync(
            connector=catalog.connector(statement.connector).name,
            entity=statement.entity,
            destination=destination,
            table=statement.target.table,
            text=print_statement(plain).removesuffix(";"),
            where=None if statement.where is None else statement.where.span.text,
            cursor_field=statement.incremental_on,
            schedule=statement.schedule,
            timezone=statement.timezone,
        )
        known = catalog.syncs.get(sync.key)
        if statement.schedule is None and known is not None:
            # Running a scheduled sync by hand does not take its schedule away.
            sync = replace(sync, schedule=known.schedule, timezone=known.timezone)
        self.services.catalog.update(lambda c: c.put_sync(sync))
        return ()


def read_stored(sync: StoredSync, *, full: bool = False) -> ast.Sync:
    """Give the statement of a stored sync."""
    statement = parse(Source(f"<sync {sync.connector}>", f"{sync.text};")).statements[0]
    if not isinstance(statement, ast.Sync):
        raise TypeError(sync.text)  # the catalog holds nothing else
    return replace(statement, full=full)


def stored_syncs(
    catalog: Catalog, connector: str | None = None, entity: str | None = None
) -> tuple[StoredSync, ...]:
    """Give the stored syncs by name, of one connector or entity or of all.

    Raises:
        LookupFailed: CAT001, CAT008.
    """
    found = sorted(
        catalog.syncs.values(),
        key=lambda s: (s.connector.lower(), (s.entity or "").lower(), s.destination, s.table),
    )
    if connector is None:
        return tuple(found)
    name = catalog.connector(connector).name
    chosen = tuple(
        s
        for s in found
        if s.connector.lower() == name.lower()
        and (entity is None or s.entity is None or s.entity.lower() == entity.lower())
    )
    if not chosen:
        shown = name if entity is None else f"{name}.{entity}"
        raise LookupFailed(
            "CAT008",
            f"there is no stored sync of `{shown}`",
            hint=f"run SYNC CONNECTOR {shown} TO table; once, and it is stored",
        )
    return chosen


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


def _check(outcomes: Sequence[RunOutcome], destination: str, statement: ast.Sync) -> None:
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


__all__ = ["MoltlerError", "Syncer"]
