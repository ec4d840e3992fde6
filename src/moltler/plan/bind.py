"""Names in a SELECT bound to the catalog, to each other and to variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn, Protocol

from sqlglot import exp

from moltler.errors import MoltlerError, Span, error_class, near_match
from moltler.flow.scan import Warning
from moltler.model import ConnectorType, Entity
from moltler.plan.scope import (
    Block,
    Cte,
    JoinStep,
    Output,
    Query,
    Ref,
    Scan,
    SetQuery,
    Source,
    Unknown,
    output_names,
)
from moltler.plan.text import NILADIC, VARIABLE, Text
from moltler.schema import Property

_NILADIC_NODES: Mapping[str, type[exp.Expr]] = {
    "current_date": exp.CurrentDate,
    "current_timestamp": exp.CurrentTimestamp,
    "current_time": exp.CurrentTime,
    "localtime": exp.Localtime,
    "localtimestamp": exp.Localtimestamp,
}
_OPEN_TYPES = ("document", "any")


class Tables(Protocol):
    """What may stand in FROM."""

    @property
    def names(self) -> tuple[str, ...]:
        """The instances, as spelled in the catalog."""
        ...

    def type_of(self, connector: str) -> ConnectorType:
        """Give the registered type of an instance, whose name is compared ignoring case.

        Raises:
            LookupFailed: CAT001, CAT006 or CAT007.
        """
        ...


class Variables(Protocol):
    """Values that the SQL may name."""

    @property
    def names(self) -> tuple[str, ...]:
        """Variables and named parameters, in any case, for look-up and near matches."""
        ...

    def get(self, name: str) -> object:
        """Give the value of a variable that `names` has, ignoring case."""
        ...

    def positional(self, index: int) -> object:
        """Give the positional parameter of that number, counted from 0 over the script.

        Raises:
            PlanError: PLN005, there is none.
        """
        ...

    def env(self, name: str, default: str | None) -> str:
        """Give an environment variable, or the default, or the empty text."""
        ...


@dataclass(slots=True)
class Bound:
    """A tree whose names are known; variables in it are parameters already."""

    text: Text
    root: Query
    scans: list[Scan] = field(default_factory=list[Scan])
    blocks: list[Block] = field(default_factory=list[Block])
    """All SELECTs, the outer before the inner."""
    parameters: dict[str, object] = field(default_factory=dict[str, object])
    warnings: list[Warning] = field(default_factory=list[Warning])
    spans: dict[int, Span] = field(default_factory=dict[int, Span])
    """Where replaced nodes stood, by node id."""
    refs: dict[int, Ref] = field(default_factory=dict[int, Ref])
    """By the id of a Column or Dot node of the tree."""
    keep: list[exp.Expr] = field(default_factory=list[exp.Expr])
    # Keeps replaced nodes alive, so that ids stay unique.

    def ref(self, node: exp.Expr) -> Ref | None:
        """Give what a name refers to, or ``None`` for other expressions."""
        return self.refs.get(id(node))

    def span(self, node: exp.Expr) -> Span:
        """Give where a node stands in the script."""
        return self.spans.get(id(node)) or self.text.span(node)


def bind(text: Text, tables: Tables, variables: Variables, *, now: datetime | None = None) -> Bound:
    """Bind every name of a tree, in place.

    Raises:
        MoltlerError: CAT001, CAT002, CAT006, CAT007, PLN002 to PLN006, PLN008, each with the
            place of the name.
    """
    bound = Bound(text, Unknown(text.tree))
    binder = _Binder(bound, tables, variables, now)
    bound.root = binder.query(text.tree, None, {})
    return bound


@dataclass(slots=True)
class _Binder:
    bound: Bound
    tables: Tables
    variables: Variables
    now: datetime | None
    _named: dict[str, str] = field(default_factory=dict[str, str])
    # Parameters by the variable they stand for.

    # ── queries ──────────────────────────────────────────────────────────────────────────────

    def query(self, node: exp.Expr, parent: Block | None, ctes: Mapping[str, Cte]) -> Query:
        """Bind a SELECT, a set operation, VALUES, or any of them in parentheses."""
        ctes = self._ctes(node, parent, ctes)
        match node:
            case exp.Select():
                return self._select(node, parent, ctes)
            case exp.SetOperation():
                left = self.query(node.this, parent, ctes)
                right = self.query(node.expression, parent, ctes)
                result = SetQuery(node, left, right)
                self._modifiers(node, result, parent, ctes)
                return result
            case exp.Subquery() if isinstance(node.this, exp.Query | exp.Values):
                inner = self.query(node.this, parent, ctes)
                has_modifiers = any(node.args.get(k) for k in ("limit", "offset", "order"))
                if not has_modifiers:
                    return inner
                self._modifiers(node, inner, parent, ctes)
                return Unknown(node)
            case _:
                fake = Block(exp.Select(), parent, is_denied=True)
                opaque = Source("", {}, is_open=True)
                fake.sources.append(opaque)
                self._children(node, fake, ctes)
                return Unknown(node)

    def _ctes(
        self, node: exp.Expr, parent: Block | None, outer: Mapping[str, Cte]
    ) -> Mapping[str, Cte]:
        clause = node.args.get("with_")
        if clause is None:
            return outer
        known = dict(outer)
        for item in clause.expressions:
            name = item.alias
            columns = tuple(c.name for c in item.args["alias"].columns)
            cte = Cte(name, None, columns, is_recursive=bool(clause.args.get("recursive")))
            if cte.is_recursive:
                known[name.lower()] = cte
            cte.query = self.query(item.this, parent, known)
            known[name.lower()] = cte
        return known

    def _modifiers(
        self,
        node: exp.Expr,
        query: Query,
        parent: Block | None,
        ctes: Mapping[str, Cte],
    ) -> None:
        """Bind ORDER BY, LIMIT and OFFSET of a set operation, which see its columns."""
        names = output_names(query)
        block = Block(exp.Select(), parent, is_denied=True)
        outputs = {n.lower(): Output(n) for n in names or ()}
        block.sources.append(Source("", outputs, is_open=names is None))
        for key in ("order", "limit", "offset"):
            if node.args.get(key) is not None:
                self._expression(node.args[key], block, ctes)

    def _select(self, node: exp.Select, parent: Block | None, ctes: Mapping[str, Cte]) -> Block:
        block = Block(node, parent)
        self.bound.blocks.append(block)
        block.is_exists = isinstance(node.parent, exp.Exists)
        self._from(node, block, ctes)
        for projection in node.expressions:
            if isinstance(projection, exp.Alias):
                block.aliases.add(projection.alias.lower())
        for key in list(node.args):
            value = node.args[key]
            if key in {"from_", "joins", "with_", "laterals"}:
                continue
            if key == "sample" and value is not None:
                block.is_denied = True
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, exp.Expr):
                    self._expression(child, block, ctes)
        self._outputs(block)
        return block

    def _outputs(self, block: Block) -> None:
        outputs: list[tuple[str, exp.Expr | Ref | None]] = []
        is_known = True
        for projection in block.node.expressions:
            is_star = isinstance(projection, exp.Star)
            if is_star or (
                isinstance(projection, exp.Column) and isinstance(projection.this, exp.Star)
            ):
                sources = block.visible
                if not is_star:
                    sources = [self._qualifier(projection, block)]
                elif block.is_exists:
                    sources = []
                for source in sources:
                    if source.scan is not None:
                        source.scan.needs_all = True
                    is_known = is_known and not source.is_open
                    outputs.extend((o.name, Ref(source, o)) for o in source.outputs.values())
                star = projection if is_star else projection.this
                if any(star.args.get(k) for k in ("except_", "replace", "rename")):
                    is_known = False
                if block.merged:
                    is_known = False
            elif any(True for _ in projection.find_all(exp.Columns)):
                for source in block.visible:
                    if source.scan is not None:
                        source.scan.needs_all = True
                is_known = False
            elif any(True for _ in projection.find_all(exp.Star)) and not isinstance(
                projection.unalias(), exp.Count
            ):
                # `* LIKE 'a%'`, `count(*)` inside an expression: all columns is always right.
                inner = list(projection.find_all(exp.Star))
                if any(not isinstance(s.parent, exp.Count) for s in inner):
                    for source in block.visible:
                        if source.scan is not None:
                            source.scan.needs_all = True
                    is_known = False
                outputs.append((projection.alias_or_name, projection.unalias()))
            else:
                value = projection.unalias()
                outputs.append((_output_name(projection), self.bound.ref(value) or value))
        block.outputs = outputs if is_known else None

    # ── FROM ─────────────────────────────────────────────────────────────────────────────────

    def _from(self, node: exp.Select, block: Block, ctes: Mapping[str, Cte]) -> None:
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
            self._expression(join.args["on"], block, ctes)
        if side in {"SEMI", "ANTI"}:
            source.is_hidden = True

    def _using(self, block: Block, column: exp.Expr, earlier: list[Source], source: Source) -> None:
        name = column.name.lower()
        left = [e for e in earlier if name in e.outputs]
        if not left and not any(e.is_open for e in earlier):
            self._no_column(column.name, self.bound.text.span(column), earlier)
        if name not in source.outputs and not source.is_open:
            self._no_column(column.name, self.bound.text.span(column), [source])
        for each in (*left, source):
            if name in each.outputs:
                self._need(each, each.outputs[name])
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
                    self._children(pivot, block, ctes)
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
                query = self.query(node.this, block, ctes)
                if self._sees(uses, block):
                    block.is_denied = True
                block.sources.append(_derived(node, query, None))
            case exp.Values():
                self._children(node, block, ctes)
                names = [c.name for c in node.args["alias"].columns] if node.alias else []
                names = names or output_names(Unknown(node)) or []
                outputs = {n.lower(): Output(n) for n in names}
                block.sources.append(Source(node.alias, outputs, is_open=not names))
            case exp.Lateral():
                block.is_denied = True
                inner = node.this.this if isinstance(node.this, exp.Subquery) else node.this
                if isinstance(inner, exp.Query):
                    query = self.query(inner, block, ctes)
                    block.sources.append(_derived(node, query, None))
                else:
                    self._children(node, block, ctes)
                    block.sources.append(Source(node.alias, {}, is_open=True))
            case exp.Table() | exp.Unnest():
                self._children(node, block, ctes)
                block.sources.append(_function_source(node))
            case _:
                block.is_denied = True
                self._children(node, block, ctes)
                block.sources.append(Source(node.alias, {}, is_open=True))

    def _sees(self, since: int, block: Block) -> bool:
        later = list(self.bound.refs.values())[since:]
        return any(ref.source in block.sources for ref in later)

    def _table(self, node: exp.Table, ctes: Mapping[str, Cte]) -> Source:
        name = node.this.name
        instance = node.args.get("db")
        cte = ctes.get(name.lower()) if instance is None else None
        if cte is not None:
            cte.uses += 1
            return _cte_source(node, cte)
        span = self.bound.text.span(node)
        if node.args.get("catalog") is not None:
            raise _error("CAT002", f"`{span.text}` names no table", span, hint="write a.b")
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
        type_ = self._type(connector, span)
        entity = type_.entity(name)
        if entity is None:
            names = tuple(e.name for e in type_.entities)
            near = near_match(name, names)
            raise _error(
                "CAT002", f"connector `{connector}` has no entity `{name}`", span,
                hint=f"did you mean `{connector}.{near}`?" if near else None, allowed=names,
            )  # fmt: skip
        return self._spelled(connector), entity

    def _type(self, connector: str, span: Span) -> ConnectorType:
        try:
            return self.tables.type_of(connector)
        except MoltlerError as error:
            raise error.at(span) from None

    def _spelled(self, connector: str) -> str:
        lowered = connector.lower()
        return next((n for n in self.tables.names if n.lower() == lowered), connector)

    def _sole_entity(self, name: str, span: Span) -> tuple[str, Entity]:
        names = self.tables.names
        if name.lower() not in {n.lower() for n in names}:
            near = near_match(name, names)
            raise _error(
                "CAT002", f"there is no table `{name}`", span,
                hint=f"did you mean an entity of `{near}`?" if near
                else "a table is written connector.entity", allowed=names,
            )  # fmt: skip
        entities = self._type(name, span).entities
        if len(entities) != 1:
            raise _error(
                "CAT002", f"connector `{name}` has {len(entities)} entities", span,
                hint=f"name one: `{name}.{entities[0].name}`" if entities else None,
                allowed=tuple(f"{name}.{e.name}" for e in entities),
            )  # fmt: skip
        return self._spelled(name), entities[0]

    # ── expressions ──────────────────────────────────────────────────────────────────────────

    def _children(self, node: exp.Expr, block: Block, ctes: Mapping[str, Cte]) -> None:
        for child in list(node.iter_expressions()):
            self._expression(child, block, ctes)

    def _expression(self, node: exp.Expr, block: Block, ctes: Mapping[str, Cte]) -> None:
        match node:
            case exp.Column() if isinstance(node.this, exp.Star):
                self._all_of(node, block)
            case exp.Column() | exp.Dot() if (parts := _parts(node)) is not None:
                self._name(node, parts, block)
            case exp.Bracket():
                self._children(node, block, ctes)
                self._index_of_variable(node)
            case exp.Subquery() if isinstance(node.this, exp.Query | exp.Values):
                self.query(node, block, ctes)
            case exp.Query() | exp.Values():
                self.query(node, block, ctes)
            case exp.Comprehension():
                self._comprehension(node, block, ctes)
            case exp.Star():
                for key in ("except_", "rename"):
                    self._star_names(node, key, block)
                for item in node.args.get("replace") or ():
                    self._children(item, block, ctes)
            case exp.Window():
                for key in ("this", "partition_by", "order", "spec", "over"):
                    value = node.args.get(key)
                    for child in value if isinstance(value, list) else [value]:
                        if isinstance(child, exp.Expr) and not isinstance(child, exp.Identifier):
                            self._expression(child, block, ctes)
            case exp.Anonymous() if str(node.this).lower() == "env":
                self._env(node)
            case exp.Anonymous() if str(node.this).lower() == "now" and not node.expressions:
                self._moment(node)
            case exp.CurrentTimestamp() | exp.CurrentDate():
                self._moment(node)
            case exp.In() if isinstance(node.args.get("field"), exp.Expr):
                self._expression(node.this, block, ctes)
                self._expression(node.args["field"], block, ctes)
            case _:
                self._children(node, block, ctes)

    def _star_names(self, node: exp.Expr, key: str, block: Block) -> None:
        for item in node.args.get(key) or ():
            for column in item.find_all(exp.Column):
                names = {n for s in block.visible for n in s.outputs}
                if column.name.lower() not in names and not any(s.is_open for s in block.visible):
                    self._no_column(column.name, self.bound.text.span(column), block.visible)
                break

    def _comprehension(
        self, node: exp.Comprehension, block: Block, ctes: Mapping[str, Cte]
    ) -> None:
        name = node.expression.name.lower()
        local = Block(exp.Select(), block, is_denied=True)
        local.sources.append(Source("", {name: Output(name)}))
        for key in ("this", "condition"):
            if isinstance(node.args.get(key), exp.Expr):
                self._expression(node.args[key], local, ctes)
        self._expression(node.args["iterator"], block, ctes)

    def _all_of(self, node: exp.Column, block: Block) -> None:
        source = self._qualifier(node, block)
        if source.scan is not None:
            source.scan.needs_all = True
        node.set("db", None)
        node.set("table", exp.to_identifier(source.alias, quoted=True))

    def _qualifier(self, node: exp.Column, block: Block) -> Source:
        parts = tuple(p.name for p in node.parts[:-1])
        source = self._source(parts, block, self.bound.text.span(node))
        if source is None:
            shown = ".".join(parts)
            names = tuple(s.alias for s in block.visible if s.alias)
            near = near_match(shown, names)
            raise _error(
                "PLN002", f"there is no table `{shown}` in this FROM", self.bound.text.span(node),
                hint=f"did you mean `{near}`?" if near else None, allowed=names,
            )  # fmt: skip
        return source

    def _source(self, parts: tuple[str, ...], block: Block, span: Span) -> Source | None:
        """Give the source of the innermost block that a qualifier names."""
        lowered = tuple(p.lower() for p in parts)
        each: Block | None = block
        while each is not None:
            found = [s for s in each.visible if _is_named(s, lowered)]
            exact = [s for s in found if len(lowered) == 1 and s.alias.lower() == lowered[0]]
            found = exact if len(exact) == 1 else found
            if len(found) > 1:
                raise _error(
                    "PLN008", f"`{'.'.join(parts)}` may mean {len(found)} tables here", span,
                    hint="give the tables aliases",
                )  # fmt: skip
            if found:
                return found[0]
            each = each.parent
        return None

    def _name(self, node: exp.Expr, parts: list[exp.Identifier], block: Block) -> None:
        names = tuple(p.name for p in parts)
        span = self.bound.text.span(node)
        if names[0].startswith(VARIABLE):
            self._variable(node, names[0][1:], names[1:], span, is_marked=True)
            return
        names = (names[0].lstrip(NILADIC), *names[1:])
        niladic = parts[0].name.startswith(NILADIC)
        # (1) a table, alias or instance
        for length in (2, 1):
            if len(names) > length and (source := self._source(names[:length], block, span)):
                self._column_of(node, source, parts[length:], span)
                return
        # (2) a column
        ref = self._column(names[0], block, span)
        is_document = ref is not None and (
            ref.output.property is None or ref.output.property.type.name in _OPEN_TYPES
        )
        is_variable = self._has_variable(names[0])
        if ref is not None and (len(names) == 1 or is_document or not is_variable):
            if len(names) > 1 and not is_document:
                type_ = ref.output.property.type if ref.output.property else "value"
                raise _error(
                    "PLN004", f"`{names[0]}` is a field of type {type_}, it has no key "
                    f"`{names[1]}`", span,
                )  # fmt: skip
            self._bind_ref(node, ref, parts, names)
            return
        if len(names) == 1 and names[0].lower() in self._aliases(block):
            return
        # (3) a variable
        if is_variable:
            self._variable(node, names[0], names[1:], span, is_marked=False)
            return
        if niladic:
            self._replace_niladic(node, names[0])
            return
        if self._is_open(block):
            return
        self._unknown(names, block, span)

    @staticmethod
    def _aliases(block: Block) -> set[str]:
        found: set[str] = set()
        each: Block | None = block
        while each is not None:
            found |= each.aliases
            each = each.parent
        return found

    @staticmethod
    def _is_open(block: Block) -> bool:
        each: Block | None = block
        while each is not None:
            if any(s.is_open for s in each.sources):
                return True
            each = each.parent
        return False

    def _column(self, name: str, block: Block, span: Span) -> Ref | None:
        lowered = name.lower()
        each: Block | None = block
        while each is not None:
            found = [s for s in each.visible if lowered in s.outputs]
            group = each.merged.get(lowered, [])
            if len(found) > 1 and all(s in group for s in found):
                return Ref(found[0], found[0].outputs[lowered], is_merged=True)
            if len(found) > 1:
                tables = " and ".join(f"`{s.alias}.{name}`" for s in found)
                raise _error(
                    "PLN008", f"`{name}` may mean {tables}", span,
                    hint=f"write `{found[0].alias}.{name}`",
                )  # fmt: skip
            if found:
                return Ref(found[0], found[0].outputs[lowered], is_merged=bool(group))
            if lowered in each.aliases:
                return None
            each = each.parent
        return None

    def _column_of(
        self, node: exp.Expr, source: Source, rest: list[exp.Identifier], span: Span
    ) -> None:
        output = source.outputs.get(rest[0].name.lower())
        if output is None:
            if source.is_open:
                return
            self._no_column(rest[0].name, span, [source])
        ref = Ref(source, output, tuple(p.name for p in rest[1:]))
        declared = output.property
        if ref.path and declared is not None and declared.type.name not in _OPEN_TYPES:
            raise _error(
                "PLN004", f"`{output.name}` is a field of type {declared.type}, it has no key "
                f"`{ref.path[0]}`", span,
            )  # fmt: skip
        self._need(source, output)
        column = exp.column(
            exp.to_identifier(rest[0].name, quoted=True),
            table=exp.to_identifier(source.alias, quoted=True) if source.alias else None,
        )
        self._replace(node, column, rest[1:], ref, span)

    def _bind_ref(
        self,
        node: exp.Expr,
        ref: Ref,
        parts: list[exp.Identifier],
        names: tuple[str, ...],
    ) -> None:
        self._need(ref.source, ref.output)
        full = Ref(ref.source, ref.output, names[1:], ref.is_merged)
        span = self.bound.text.span(node)
        column = exp.column(exp.to_identifier(names[0], quoted=True))
        if names[1:] and ref.source.alias and not ref.is_merged:
            # Keeps DuckDB from reading the field's name as a table's.
            column.set("table", exp.to_identifier(ref.source.alias, quoted=True))
        self._replace(node, column, parts[1:], full, span)

    def _replace(
        self,
        node: exp.Expr,
        column: exp.Column,
        path: list[exp.Identifier],
        ref: Ref,
        span: Span,
    ) -> None:
        new: exp.Expr = column
        for part in path:
            new = exp.Dot(this=new, expression=exp.to_identifier(part.name, quoted=True))
        self.bound.keep.append(node)
        self.bound.refs[id(new)] = ref
        self.bound.spans[id(new)] = span
        node.replace(new)
        self.bound.keep.append(new)

    def _replace_niladic(self, node: exp.Expr, name: str) -> None:
        new = _NILADIC_NODES[name.lower()]()
        self.bound.keep.append(node)
        node.replace(new)
        if isinstance(new, exp.CurrentTimestamp | exp.CurrentDate):
            self._moment(new)

    def _need(self, source: Source, output: Output) -> None:
        if source.scan is not None:
            source.scan.needed.add(output.name)

    # ── variables and constants ──────────────────────────────────────────────────────────────

    def _has_variable(self, name: str) -> bool:
        return name.lower() in {n.lower() for n in self.variables.names}

    def _variable(
        self,
        node: exp.Expr,
        name: str,
        path: Sequence[str],
        span: Span,
        *,
        is_marked: bool,
    ) -> None:
        if name.isdigit() and is_marked:
            try:
                value = self.variables.positional(int(name))
            except MoltlerError as error:
                raise error.at(span) from None
        elif self._has_variable(name):
            value = self.variables.get(name)
        else:
            near = near_match(name, self.variables.names)
            raise _error(
                "PLN003", f"there is no variable `{name}`", span,
                hint=f"did you mean `@{near}`?" if near else None,
                allowed=tuple(self.variables.names),
            )  # fmt: skip
        for key in path:
            value = _member(value, key, span)
        label = f"{'@' if is_marked else ''}{'.'.join((name, *path))}".lower()
        self._parameter(node, value, label, span, path[-1] if path else name)

    def _parameter(self, node: exp.Expr, value: object, label: str, span: Span, shown: str) -> None:
        name = self._named.get(label)
        if name is None:
            name = f"v{len(self.bound.parameters)}"
            self._named[label] = name
            self.bound.parameters[name] = value
        new = exp.Placeholder(this=name)
        new.meta["shown"] = shown
        self.bound.keep.append(node)
        self.bound.spans[id(new)] = span
        node.replace(new)
        self.bound.keep.append(new)

    def _index_of_variable(self, node: exp.Bracket) -> None:
        """Resolve ``variable.items[0].name`` step by step, as far as indices are literal."""
        target = node.this
        if not isinstance(target, exp.Placeholder) or len(node.expressions) != 1:
            return
        index = node.expressions[0]
        if not isinstance(index, exp.Literal):
            return
        value = self.bound.parameters[target.name]
        found: object = None
        if isinstance(value, Mapping) and index.is_string:
            found = value.get(index.this)
        elif isinstance(value, Sequence) and not isinstance(value, str) and not index.is_string:
            position = int(index.this) if str(index.this).isdigit() else len(value)
            found = value[position] if position < len(value) else None
        span = self.bound.span(target)
        self._parameter(node, found, f"{target.name}[{index.sql()}]", span, node.sql())

    def _env(self, node: exp.Anonymous) -> None:
        span = self.bound.text.span(node)
        arguments = [a.this for a in node.expressions if isinstance(a, exp.Literal) and a.is_string]
        if len(arguments) != len(node.expressions) or len(arguments) not in (1, 2):
            raise _error("PLN004", "ENV takes one or two texts: a name and a default", span)
        default = arguments[1] if len(arguments) > 1 else None
        value = self.variables.env(arguments[0], default)
        self._parameter(node, value, f"env {arguments}", span, "env")

    def _moment(self, node: exp.Expr) -> None:
        if self.now is None:
            return
        is_date = isinstance(node, exp.CurrentDate)
        value = self.now.date() if is_date else self.now
        self._parameter(
            node, value, "today" if is_date else "now", self.bound.text.sql.span,
            "current_date" if is_date else "now",
        )  # fmt: skip

    # ── what went wrong ──────────────────────────────────────────────────────────────────────

    def _no_column(self, name: str, span: Span, sources: Sequence[Source]) -> NoReturn:
        names = tuple(dict.fromkeys(o.name for s in sources for o in s.outputs.values()))
        near = near_match(name, names)
        where = f" in `{sources[0].alias}`" if len(sources) == 1 and sources[0].alias else ""
        raise _error(
            "PLN002", f"there is no column `{name}`{where}", span,
            hint=f"did you mean `{near}`?" if near else None, allowed=names,
        )  # fmt: skip

    def _unknown(self, names: tuple[str, ...], block: Block, span: Span) -> NoReturn:
        variables = self.variables.names
        near = near_match(names[0], variables)
        if len(names) > 1:
            known = tuple(s.alias for s in _in_scope(block) if s.alias)
            table = near_match(names[0], known)
            guess = f"`{table}.{names[1]}`" if table else f"`{near}`" if near else None
            raise _error(
                "PLN002", f"`{names[0]}` is no table, document field or variable here", span,
                hint=f"did you mean {guess}?" if guess else None, allowed=known,
            )  # fmt: skip
        sources = _in_scope(block)
        if not sources:
            raise _error(
                "PLN003", f"there is no variable `{names[0]}`", span,
                hint=f"did you mean `{near}`?" if near else "text is written in single quotes",
                allowed=tuple(variables),
            )  # fmt: skip
        columns = tuple(o.name for s in sources for o in s.outputs.values())
        if near and near_match(names[0], columns) is None:
            raise _error(
                "PLN003", f"there is no column or variable `{names[0]}`", span,
                hint=f"did you mean `{near}`?",
            )  # fmt: skip
        self._no_column(names[0], span, sources)


def _in_scope(block: Block) -> list[Source]:
    found: list[Source] = []
    each: Block | None = block
    while each is not None:
        found.extend(each.visible)
        each = each.parent
    return found


def _parts(node: exp.Expr) -> list[exp.Identifier] | None:
    """Give the identifiers of ``a.b.c``, or ``None`` if a part is something else."""
    if isinstance(node, exp.Column):
        parts = node.parts
        return list(parts) if all(isinstance(p, exp.Identifier) for p in parts) else None
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        left = _parts(node.this)
        return None if left is None else [*left, node.expression]
    return None


def _is_named(source: Source, lowered: tuple[str, ...]) -> bool:
    if len(lowered) == 1:
        if source.alias.lower() == lowered[0]:
            return True
        return (
            source.entity_name is not None
            and source.scan is not None
            and source.scan.connector.lower() == lowered[0]
        )
    return (
        source.entity_name is not None
        and source.scan is not None
        and (source.scan.connector.lower(), source.entity_name.lower()) == lowered
    )


def _member(value: object, key: str, span: Span) -> object:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return value.get(key)
    raise _error("PLN004", f"only documents have keys, and `.{key}` stands after another", span)


def _output_name(projection: exp.Expr) -> str:
    if isinstance(projection, exp.Alias):
        return projection.alias
    if isinstance(projection, exp.Dot):
        return projection.expression.name
    if isinstance(projection, exp.Column):
        return projection.name
    return ""


def _renamed(node: exp.Expr, names: Sequence[str]) -> list[str]:
    alias = node.args.get("alias")
    columns = [c.name for c in alias.columns] if isinstance(alias, exp.TableAlias) else []
    return [*columns, *names[len(columns) :]]


def _derived(node: exp.Expr, query: Query, cte: Cte | None) -> Source:
    names = output_names(query)
    shown = _renamed(node, names or ())
    outputs: dict[str, Output] = {}
    for position, name in enumerate(shown):
        if name:
            output = Output(name, _property(query, position), position)
            outputs.setdefault(name.lower(), output)
    is_open = names is None or len(outputs) < len(shown)
    return Source(node.alias, outputs, None, query, cte, is_open=is_open)


def _property(query: Query, position: int) -> Property | None:
    match query:
        case Block(outputs=list() as outputs) if position < len(outputs):
            value = outputs[position][1]
            return value.output.property if isinstance(value, Ref) and not value.path else None
        case SetQuery() if not query.node.args.get("by_name"):
            left, right = _property(query.left, position), _property(query.right, position)
            return left if left and right and left.type == right.type else None
        case _:
            return None


def _cte_source(node: exp.Table, cte: Cte) -> Source:
    if cte.query is None:
        outputs = {c.lower(): Output(c) for c in cte.columns}
        return Source(node.alias_or_name, outputs, cte=cte, is_open=not cte.columns)
    names = output_names(cte.query)
    shown = [*cte.columns, *(names or [])[len(cte.columns) :]]
    shown = _renamed(node, shown)
    outputs = {}
    for position, name in enumerate(shown):
        if name:
            output = Output(name, _property(cte.query, position), position)
            outputs.setdefault(name.lower(), output)
    is_open = names is None or len(outputs) < len(shown)
    return Source(node.alias_or_name, outputs, None, cte.query, cte, is_open=is_open)


def _function_source(node: exp.Expr) -> Source:
    alias = node.args.get("alias")
    columns = [c.name for c in alias.columns] if isinstance(alias, exp.TableAlias) else []
    name = node.alias or ("unnest" if isinstance(node, exp.Unnest) else "")
    names = columns or ([name] if name else [])
    outputs = {n.lower(): Output(n) for n in names}
    # Unnesting documents may give several columns, and functions have names of their own.
    return Source(name, outputs, is_open=True)


def _error(
    code: str,
    message: str,
    span: Span,
    *,
    hint: str | None = None,
    allowed: tuple[str, ...] = (),
) -> MoltlerError:
    return error_class(code)(code, message, hint=hint, span=span, allowed=allowed)
