"""Statements that change the catalog: types, entities, actions and instances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from moltler.catalog.build import build_action, build_entity, build_type, check_draft
from moltler.catalog.catalog import Catalog
from moltler.catalog.config import (
    NewConnector,
    alter_config,
    alter_options,
    automatic_secrets,
    build_connector,
    fits,
    missing_secrets,
)
from moltler.catalog.destinations import (
    add_destination,
    build_destination,
    drop_destination,
    find_destination,
)
from moltler.errors import DefinitionError, LookupFailed, MoltlerError, Problem, Span
from moltler.flow.result import Done
from moltler.flow.scan import Warning
from moltler.lang import ast
from moltler.model import Connector, ConnectorType, Handler
from moltler.session.names import statement_name
from moltler.session.services import CatalogStore, SecretVault
from moltler.vault.lookup import lookup_secret

Evaluate = Callable[[ast.Expr], object]
Definition = (
    ast.CreateType | ast.CreateEntity | ast.CreateAction | ast.RegisterType | ast.DropDefinition
)
Place = ast.CreateDestination | ast.DropDestination
Instance = ast.CreateConnector | ast.AlterConnector | ast.SetEnabled | ast.DropConnector


@dataclass(frozen=True, slots=True)
class Definer:
    """Runs definitions over one catalog.

    Args:
        catalog: Changed in one transaction a statement.
        secrets: Takes literal secrets; ``None`` keeps them out of every store (a dry run).
        environ: For ENV(…) and secrets.
        check: Compiles handlers (`ports.Handlers.check`).
        forget: Told the names of connectors that are gone.
    """

    catalog: CatalogStore
    secrets: SecretVault | None
    environ: Mapping[str, str]
    check: Callable[[Handler, str], tuple[Problem, ...]]
    forget: Callable[[str], None]

    def define(self, statement: Definition) -> Done:
        """Run a statement about a type."""
        match statement:
            case ast.CreateType():
                return self._create_type(statement)
            case ast.CreateEntity():
                return self._create_entity(statement)
            case ast.CreateAction():
                return self._create_action(statement)
            case ast.RegisterType():
                return self._register(statement)
            case ast.DropDefinition():
                return self._drop_definition(statement)

    def configure(self, statement: Instance, evaluate: Evaluate) -> Done:
        """Run a statement about an instance."""
        match statement:
            case ast.CreateConnector():
                return self._create_connector(statement, evaluate)
            case ast.AlterConnector():
                return self._alter(statement, evaluate)
            case ast.SetEnabled():
                return self._change(
                    statement,
                    lambda c: c.set_enabled(
                        statement.name, enabled=statement.enabled, span=statement.span
                    ),
                    "it was so already",
                )
            case ast.DropConnector():
                return self._drop_connector(statement)

    def deliver_to(self, statement: Place, evaluate: Evaluate) -> Done:
        """Run a statement about a destination."""
        match statement:
            case ast.CreateDestination():
                return self._create_destination(statement, evaluate)
            case ast.DropDestination():
                old = find_destination(self.catalog.load(), statement.name)
                done = self._change(
                    statement,
                    lambda c: drop_destination(
                        c, statement.name, if_exists=statement.if_exists, span=statement.span
                    ),
                    "there was none",
                )
                if old is not None:
                    self._remove(automatic_secrets(old))
                return done

    # ── types ────────────────────────────────────────────────────────────────────────────────

    def _create_type(self, statement: ast.CreateType) -> Done:
        built = build_type(statement, read_file=read_beside, check=self.check)
        return self._change(
            statement,
            lambda c: c.define_type(
                built,
                or_replace=statement.or_replace,
                if_not_exists=statement.if_not_exists,
                span=statement.name.span,
            ),
        )

    def _create_entity(self, statement: ast.CreateEntity) -> Done:
        built = build_entity(statement, read_file=read_beside, check=self.check)
        return self._change(
            statement,
            lambda c: c.define_entity(
                statement.name.segments[0],
                built,
                or_replace=statement.or_replace,
                if_not_exists=statement.if_not_exists,
                span=statement.name.span,
            ),
        )

    def _create_action(self, statement: ast.CreateAction) -> Done:
        built = build_action(statement, read_file=read_beside, check=self.check)
        return self._change(
            statement,
            lambda c: c.define_action(
                statement.name.segments[0],
                built,
                or_replace=statement.or_replace,
                if_not_exists=statement.if_not_exists,
                span=statement.name.span,
            ),
        )

    def _register(self, statement: ast.RegisterType) -> Done:
        name, span = str(statement.name), statement.name.span

        def change(catalog: Catalog) -> Catalog:
            draft = catalog.type(name, span).draft
            problems = check_draft(draft)
            if problems:
                raise MoltlerError.of(problems).at(span)
            if not statement.force:
                self._check_instances(catalog, draft, span)
            return catalog.register(name, span)

        return self._change(statement, change, "nothing had changed")

    @staticmethod
    def _check_instances(catalog: Catalog, draft: ConnectorType, span: Span) -> None:
        unfit = [p for i in catalog.instances_of(draft.name) for p in fits(i, draft)]
        if unfit:
            names = ", ".join(
                f"`{i.name}`" for i in catalog.instances_of(draft.name) if fits(i, draft)
            )
            head = Problem(
                "DEF008",
                f"connectors of type `{draft.name}` do not fit its draft: {names}",
                "change them with ALTER CONNECTOR, or add FORCE: they then fail when used",
                span,
            )
            raise DefinitionError.of((head, *unfit))

    def _drop_definition(self, statement: ast.DropDefinition) -> Done:
        segments, span = statement.name.segments, statement.name.span
        gone: list[Connector] = []

        def change(catalog: Catalog) -> Catalog:
            match statement.kind:
                case "TYPE":
                    gone[:] = catalog.instances_of(segments[0])
                    return catalog.drop_type(
                        segments[0],
                        if_exists=statement.if_exists,
                        cascade=statement.cascade,
                        span=span,
                    )
                case "ENTITY":
                    return catalog.drop_entity(
                        segments[0],
                        segments[1],
                        if_exists=statement.if_exists,
                        cascade=statement.cascade,
                        span=span,
                    )
                case "ACTION":
                    return catalog.drop_action(
                        segments[0],
                        ".".join(segments[1:]),
                        if_exists=statement.if_exists,
                        span=span,
                    )

        done = self._change(statement, change, "there was none")
        for connector in gone:
            self._clean_up(connector)
        return done

    # ── instances ────────────────────────────────────────────────────────────────────────────

    def _create_connector(self, statement: ast.CreateConnector, evaluate: Evaluate) -> Done:
        catalog = self.catalog.load()
        old = catalog.find_connector(statement.name)
        if old is not None and statement.if_not_exists and not statement.or_replace:
            return self._done(statement, "it exists already")
        type_, _ = catalog.registered(str(statement.type_name), statement.type_name.span)
        new = build_connector(statement, type_, evaluate=evaluate, read_env=self.environ.get)
        return self._save(
            statement,
            new,
            lambda c: c.create_connector(
                new.connector,
                or_replace=statement.or_replace,
                if_not_exists=statement.if_not_exists,
                span=statement.name_span,
            ),
            old if statement.or_replace else None,
        )

    def _create_destination(self, statement: ast.CreateDestination, evaluate: Evaluate) -> Done:
        old = find_destination(self.catalog.load(), statement.name)
        if old is not None and statement.if_not_exists and not statement.or_replace:
            return self._done(statement, "it exists already")
        new = build_destination(
            statement, evaluate=evaluate, read_env=self.environ.get, folder=Path.cwd()
        )
        return self._save(
            statement,
            new,
            lambda c: add_destination(
                c,
                new.connector,
                or_replace=statement.or_replace,
                if_not_exists=statement.if_not_exists,
                span=statement.span,
            ),
            old if statement.or_replace else None,
        )

    def _alter(self, statement: ast.AlterConnector, evaluate: Evaluate) -> Done:
        catalog = self.catalog.load()
        old = catalog.connector(statement.name, statement.span)
        type_, _ = catalog.registered(old.type_name, statement.span)
        if statement.part == "CONFIG":
            new = alter_config(
                old, statement.document, type_, evaluate=evaluate, read_env=self.environ.get
            )
        else:
            new = alter_options(old, statement.document, type_, evaluate=evaluate)
        return self._save(statement, new, lambda c: c.alter_connector(new.connector), old)

    def _drop_connector(self, statement: ast.DropConnector) -> Done:
        old = self.catalog.load().find_connector(statement.name)
        done = self._change(
            statement,
            lambda c: c.drop_connector(
                statement.name, if_exists=statement.if_exists, span=statement.span
            ),
            "there was none",
        )
        if old is not None:
            self._clean_up(old)
        return done

    def _save(
        self,
        statement: ast.Statement,
        new: NewConnector,
        change: Callable[[Catalog], Catalog],
        old: Connector | None,
    ) -> Done:
        kept = set(automatic_secrets(old)) if old is not None else set[str]()
        stored: list[str] = []
        try:
            for name, value in new.plain_secrets.items():
                if self.secrets is not None:
                    self.secrets.put(name, value)
                    stored.append(name)
            done = self._change(statement, change)
        except BaseException:
            self._remove([n for n in stored if n not in kept])
            raise
        self._remove([n for n in kept if n not in automatic_secrets(new.connector)])
        return replace(done, warnings=(*new.warnings, *self._missing(new.connector)))

    def _missing(self, connector: Connector) -> tuple[Warning, ...]:
        secrets = self.secrets
        if secrets is None:
            return ()
        return missing_secrets(connector, lambda n: lookup_secret(n, self.environ, secrets))

    def _clean_up(self, connector: Connector) -> None:
        self._remove(automatic_secrets(connector))
        self.forget(connector.name)

    def _remove(self, names: list[str] | tuple[str, ...]) -> None:
        if self.secrets is None or not names:
            return
        there = {row.name for row in self.secrets.list()}
        for name in names:
            if name in there:
                self.secrets.remove(name)

    # ── both ─────────────────────────────────────────────────────────────────────────────────

    def _change(
        self,
        statement: ast.Statement,
        change: Callable[[Catalog], Catalog],
        unchanged: str = "it exists already",
    ) -> Done:
        is_unchanged = False
        defining = isinstance(statement, ast.CreateType | ast.CreateEntity | ast.CreateAction)
        if defining and statement.or_replace:
            unchanged = "nothing had changed"

        def watched(before: Catalog) -> Catalog:
            nonlocal is_unchanged
            after = change(before)
            is_unchanged = after is before
            return after

        self.catalog.update(watched)
        return self._done(statement, unchanged if is_unchanged else None)

    @staticmethod
    def _done(statement: ast.Statement, message: str | None) -> Done:
        words, name = statement_name(statement)
        return Done(words, name, message)


def read_beside(path: str, span: Span) -> str:
    """Read a handler's file; a relative path is relative to the script.

    Raises:
        LookupFailed: CAT002, the file cannot be read.
    """
    script = span.source.name
    base = Path() if script.startswith("<") else Path(script).parent
    try:
        return (base / path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LookupFailed(
            "CAT002", f"`{path}` is not UTF-8 text", hint="save the file as UTF-8", span=span
        ) from error
    except OSError as error:
        raise LookupFailed(
            "CAT002",
            f"cannot read the handler file `{path}`: {error.strerror}",
            hint=f"paths are relative to the script; this one means `{base / path}`",
            span=span,
        ) from error
