"""FROM: tables found in the catalog, joins, and what may be joined to what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlglot import exp

from moltler.errors import MoltlerError, Span, near_match
from moltler.model import ConnectorType, Entity
from moltler.plan.bound import Bound, Tables, error, no_column
from moltler.plan.names import need
from moltler.plan.scope import (
    Block,
    Cte,
    JoinStep,
    Output,
    Query,
    Scan,
    Source,
    Unknown,
    output_names,
)
from moltler.plan.sources import cte_source, derived, function_source

_LOCAL = "local"
"""The destination that always exists."""


class Binding(Protocol):
    """What binds the queries and expressions inside a FROM."""

    def query(self, node: exp.Expr, parent: Block | None, ctes: Mapping[str, Cte]) -> Query:
        """Bind a query."""
        ...

    def expression(self, node: exp.Expr, block: Block, ctes: Mapping[str, Cte]) -> None:
        """Bind an expression."""
        ...

    def children(self, node: exp.Expr, block: Block, ctes: Mapping[str, Cte]) -> None:
        """Bind what is inside an expression."""
        ...


@dataclass(slots=True)
class Relations:
    """Binds the FROM of SELECTs, in place."""

    bound: Bound
    tables: Tables
    binding: Binding

    def read_from(self, node: exp.Select, block: Block, ctes: Mapping[str, Cte]) -> None:
        """Bind FROM and JOIN, adding their sources to the block.

        Raises:
            MoltlerError: CAT or PLN.
        """
        clause = node.args.get("from_")
        if clause is not None:
            self._relation(clause.this, block, ctes)
        for join in node.args.get("joins") or ():
            self._join(join, block, ctes)
        if node.args.get("laterals"):
            block.is_denied = True
            for lateral in node.args["laterals"]:
                self._relation(lateral, block, ctes)

    def _join(self, join: exp.Join, block: Block, ctes: Mapping[str, Cte]) -> None:
        side = join.side or (join.kind if join.kind in {"SEMI", "ANTI"} else "INNER")
        method = join.args.get("method")
        known = {"", "INNER", "OUTER", "CROSS", "SEMI", "ANTI"}
        if (method and method != "NATURAL") or join.kind not in known:
            block.is_denied = True
        earlier = list(block.visible)
        before = len(block.sources)
        self._relation(join.this, block, ctes)
        if len(block.sources) != before + 1:
            block.is_denied = True
        source = block.sources[before]
        block.joins.append(JoinStep(join, source, side))
        if method == "NATURAL":
            for each in (*earlier, source):
                if each.scan is not None:
                    each.scan.needs_all = True
            shared = [n for n in source.outputs if any(n in e.outputs for e in earlier)]
            for name in shared:
                self._merge(block, name, [e for e in earlier if name in e.outputs], source)
        for column in join.args.get("using") or ():
            self._using(block, column, earlier, source)
        if join.args.get("on") is not None:
            self.binding.expression(join.args["on"], block, ctes)
        if side in {"SEMI", "ANTI"}:
            source.is_hidden = True

    def _using(self, block: Block, column: exp.Expr, earlier: list[Source], source: Source) -> None:
        name = column.name.lower()
        left = [e for e in earlier if name in e.outputs]
        if not left and not any(e.is_open for e in earlier):
            no_column(column.name, self.bound.text.span(column), earlier)
        if name not in source.outputs and not source.is_open:
            no_column(column.name, self.bound.text.span(column), [source])
        for each in (*left, source):
            if name in each.outputs:
                need(each, each.outputs[name])
        self._merge(block, name, left, source)

    @staticmethod
    def _merge(block: Block, name: str, left: list[Source], right: Source) -> None:
        group = block.merged.setdefault(name, [])
        group.extend(s for s in (*left, right) if s not in group)

    def _relation(self, node: exp.Expr, block: Block, ctes: Mapping[str, Cte]) -> None:
        if node.args.get("pivots") or node.args.get("sample"):
            block.is_denied = True
        match node:
            case exp.Table() if isinstance(node.this, exp.Identifier):
                source = self._table(node, ctes)
                if node.args.get("pivots"):
                    if source.scan is not None:
                        source.scan.needs_all = True
                    source.is_open = True
                block.sources.append(source)
                for join in node.args.get("joins") or ():
                    block.is_denied = True
                    self._join(join, block, ctes)
                for pivot in node.args.get("pivots") or ():
                    self.binding.children(pivot, block, ctes)
            case exp.Subquery() if isinstance(node.this, exp.Table):
                # A join in parentheses.
                block.is_denied = True
                inner = Block(exp.Select(), block.parent, is_denied=True)
                self._relation(node.this, inner, ctes)
                if node.alias:
                    merged = {k: v for s in inner.sources for k, v in s.outputs.items()}
                    for each in inner.sources:
                        if each.scan is not None:
                            each.scan.needs_all = True
                    block.sources.append(Source(node.alias, merged, is_open=True))
                else:
                    block.sources.extend(inner.sources)
                    block.merged.update(inner.merged)
            case exp.Subquery():
                # An unmarked subquery may be LATERAL: it sees what stands to its left.
                uses = len(self.bound.refs)
                query = self.binding.query(node.this, block, ctes)
                if self._sees(uses, block):
                    block.is_denied = True
                block.sources.append(derived(node, query, None))
            case exp.Values():
                self.binding.children(node, block, ctes)
                names = [c.name for c in node.args["alias"].columns] if node.alias else []
                names = names or output_names(Unknown(node)) or []
                outputs = {n.lower(): Output(n) for n in names}
                block.sources.append(Source(node.alias, outputs, is_open=not names))
            case exp.Lateral():
                block.is_denied = True
                inner = node.this.this if isinstance(node.this, exp.Subquery) else node.this
                if isinstance(inner, exp.Query):
                    query = self.binding.query(inner, block, ctes)
                    block.sources.append(derived(node, query, None))
                else:
                    self.binding.children(node, block, ctes)
                    block.sources.append(Source(node.alias, {}, is_open=True))
            case exp.Table() | exp.Unnest():
                self.binding.children(node, block, ctes)
                block.sources.append(function_source(node))
            case _:
                block.is_denied = True
                self.binding.children(node, block, ctes)
                block.sources.append(Source(node.alias, {}, is_open=True))

    def _sees(self, since: int, block: Block) -> bool:
        later = list(self.bound.refs.values())[since:]
        return any(ref.source in block.sources for ref in later)

    # ── tables ───────────────────────────────────────────────────────────────────────────────

    def _table(self, node: exp.Table, ctes: Mapping[str, Cte]) -> Source:
        name = node.this.name
        instance = node.args.get("db")
        cte = ctes.get(name.lower()) if instance is None else None
        if cte is not None:
            cte.uses += 1
            return cte_source(node, cte)
        span = self.bound.text.span(node)
        if node.args.get("catalog") is not None:
            raise error("CAT002", f"`{span.text}` names no table", span, hint="write a.b")
        if instance is None:
            connector, entity = self._sole_entity(name, span)
        else:
            connector, entity = self._entity(instance.name, name, span)
        scan = Scan(f"{self._prefix()}{len(self.bound.scans)}", connector, entity, node)
        self.bound.scans.append(scan)
        alias = node.alias
        shown = alias or (name if instance is None else entity.name)
        outputs = {p.name.lower(): Output(p.name, p) for p in entity.fields if not p.filter_only}
        hidden = {p.name.lower(): Output(p.name, p) for p in entity.fields if p.filter_only}
        columns = node.args["alias"].columns if node.args.get("alias") else []
        if columns:
            scan.needs_all = True
            kept = list(outputs.values())
            renamed = {c.name.lower(): o for c, o in zip(columns, kept, strict=False)}
            renamed |= {o.name.lower(): o for o in kept[len(columns) :]}
            outputs = renamed
        source = Source(shown, outputs | hidden, scan, entity_name=None if alias else entity.name)
        self._rename_table(node, scan, shown, columns)
        return source

    def _prefix(self) -> str:
        prefix = "scan_"
        while prefix in self.bound.text.sql.text.lower():
            prefix = f"{prefix[:-1]}x_"
        return prefix

    def _rename_table(
        self, node: exp.Table, scan: Scan, alias: str, columns: Sequence[exp.Expr]
    ) -> None:
        self.bound.spans[id(node)] = self.bound.text.span(node)
        node.set("this", exp.to_identifier(scan.name))
        node.set("db", None)
        node.set(
            "alias",
            exp.TableAlias(this=exp.to_identifier(alias, quoted=True), columns=list(columns)),
        )

    def _entity(self, connector: str, name: str, span: Span) -> tuple[str, Entity]:
        lowered = connector.lower()
        if lowered not in {n.lower() for n in self.tables.names}:
            for destination in self.tables.destinations:
                if destination.lower() == lowered:
                    return self._stored(destination, name, span)
        type_ = self._type(connector, span)
        entity = type_.entity(name)
        if entity is None:
            names = tuple(e.name for e in type_.entities)
            near = near_match(name, names)
            raise error(
                "CAT002", f"connector `{connector}` has no entity `{name}`", span,
                hint=f"did you mean `{connector}.{near}`?" if near else None, allowed=names,
            )  # fmt: skip
        return self._spelled(connector), entity

    def _stored(self, destination: str, name: str, span: Span) -> tuple[str, Entity]:
        tables = self._tables_of(destination, span)
        entity = tables.entity(name)
        if entity is None:
            names = _shown(tables)
            near = near_match(name, names)
            raise error(
                "CAT002", f"there is no table `{name}` in destination `{destination}`", span,
                hint=f'did you mean {destination}."{near}"?' if near
                else "SYNC CONNECTOR makes tables; one of a connector is written connector.entity",
                allowed=names,
            )  # fmt: skip
        return destination, entity

    def _tables_of(self, destination: str, span: Span) -> ConnectorType:
        try:
            return self.tables.stored(destination)
        except MoltlerError as failure:
            raise failure.at(span) from None

    def _type(self, connector: str, span: Span) -> ConnectorType:
        try:
            return self.tables.type_of(connector)
        except MoltlerError as failure:
            raise failure.at(span) from None

    def _spelled(self, connector: str) -> str:
        lowered = connector.lower()
        return next((n for n in self.tables.names if n.lower() == lowered), connector)

    def _sole_entity(self, name: str, span: Span) -> tuple[str, Entity]:
        names = self.tables.names
        local: tuple[str, ...] = ()
        if _LOCAL in self.tables.destinations:
            stored = self._tables_of(_LOCAL, span)
            found = stored.entity(name)
            if found is not None:
                return _LOCAL, found
            local = _shown(stored)
        if name.lower() not in {n.lower() for n in names}:
            near = near_match(name, (*local, *names))
            hint = "a table is written connector.entity"
            if near is not None:
                hint = (
                    f'did you mean "{near}"?'
                    if near in local
                    else (f"did you mean an entity of `{near}`?")
                )
            raise error(
                "CAT002", f"there is no table `{name}`", span, hint=hint, allowed=(*local, *names)
            )
        entities = self._type(name, span).entities
        if len(entities) != 1:
            raise error(
                "CAT002", f"connector `{name}` has {len(entities)} entities", span,
                hint=f"name one: `{name}.{entities[0].name}`" if entities else None,
                allowed=tuple(f"{name}.{e.name}" for e in entities),
            )  # fmt: skip
        return self._spelled(name), entities[0]


def _shown(tables: ConnectorType) -> tuple[str, ...]:
    """Give the tables that a message lists: each once."""
    return tuple(e.name for e in tables.entities if not e.name.endswith("__all"))
