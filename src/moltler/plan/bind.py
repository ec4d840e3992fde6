"""Names in a SELECT bound to the catalog, to each other and to variables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlglot import exp

from moltler.plan.bound import Bound, Tables, Variables, error, no_column
from moltler.plan.names import Names, parts_of
from moltler.plan.relations import Relations
from moltler.plan.scope import (
    Block,
    Cte,
    Output,
    Query,
    Ref,
    SetQuery,
    Source,
    Unknown,
    output_names,
)
from moltler.plan.text import Text
from moltler.plan.times import read_in_utc


def bind(text: Text, tables: Tables, variables: Variables, *, now: datetime | None = None) -> Bound:
    """Bind every name of a tree, in place.

    Raises:
        MoltlerError: CAT001, CAT002, CAT006, CAT007, PLN002 to PLN006, PLN008, each with the
            place of the name.
    """
    bound = Bound(text, Unknown(text.tree))
    binder = _Binder(bound, tables, variables, now)
    bound.root = binder.query(text.tree, None, {})
    _tell_apart(bound, binder.stars)
    _check_keys(bound)
    read_in_utc(bound)
    return bound


def _tell_apart(bound: Bound, stars: Sequence[tuple[exp.Column, Source]]) -> None:
    """Give scans aliases of their own where several sources have the same.

    ``l.t JOIN l2.t`` are told apart by names that only we understand.
    """
    sources = {id(s): s for block in bound.blocks for s in block.sources}
    count = Counter(s.alias.lower() for s in sources.values())
    renamed: dict[int, Source] = {}
    for key, source in sources.items():
        if source.scan is None or source.entity_name is None or count[source.alias.lower()] < 2:
            continue
        alias = f"{source.scan.connector}.{source.entity_name}"
        source.alias = source.scan.name if alias.lower() in count else alias
        source.scan.node.args["alias"].set("this", exp.to_identifier(source.alias, quoted=True))
        renamed[key] = source
    if not renamed:
        return
    for node in bound.text.tree.find_all(exp.Column, exp.Dot):
        ref = bound.ref(node)
        column = node.find(exp.Column)
        if ref is not None and id(ref.source) in renamed and column is not None and column.table:
            column.set("table", exp.to_identifier(ref.source.alias, quoted=True))
    for star, source in stars:
        if id(source) in renamed:
            star.set("table", exp.to_identifier(source.alias, quoted=True))


def _check_keys(bound: Bound) -> None:
    """Refuse values where only columns and expressions sort or group.

    Raises:
        PlanError: PLN006.
    """
    for node in bound.text.tree.find_all(exp.Placeholder):
        key: exp.Expr = node
        while isinstance(key.parent, _GROUPING):
            key = key.parent
        words = next((w for kind, w in _KEYED.items() if isinstance(key.parent, kind)), None)
        # `count(DISTINCT @c)` is fine.
        if words is not None and (words != "DISTINCT ON" or key.arg_key == "on"):
            span = bound.span(node)
            raise error(
                "PLN006", f"{words} needs a column, and `{span.text}` is a value", span,
                hint="write the name of the column, or CASE with one column for each value",
            )  # fmt: skip


_GROUPING = (exp.Paren, exp.Tuple, exp.Rollup, exp.Cube, exp.GroupingSets)
_KEYED: Mapping[type[exp.Expr], str] = {
    exp.Ordered: "ORDER BY",
    exp.Group: "GROUP BY",
    exp.Distinct: "DISTINCT ON",
}


class _Binder:
    def __init__(
        self, bound: Bound, tables: Tables, variables: Variables, now: datetime | None
    ) -> None:
        self.bound = bound
        self.names = Names(bound, variables, now)
        self.relations = Relations(bound, tables, self)
        self.stars: list[tuple[exp.Column, Source]] = []

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
                self.children(node, fake, ctes)
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
                self.expression(node.args[key], block, ctes)

    def _select(self, node: exp.Select, parent: Block | None, ctes: Mapping[str, Cte]) -> Block:
        block = Block(node, parent)
        self.bound.blocks.append(block)
        block.is_exists = isinstance(node.parent, exp.Exists)
        self.relations.read_from(node, block, ctes)
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
                    self.expression(child, block, ctes)
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
                    # Bound already; its name may now be that of several tables.
                    sources = [s for node, s in self.stars if node is projection]
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

    # ── expressions ──────────────────────────────────────────────────────────────────────────

    def children(self, node: exp.Expr, block: Block, ctes: Mapping[str, Cte]) -> None:
        for child in list(node.iter_expressions()):
            self.expression(child, block, ctes)

    def expression(self, node: exp.Expr, block: Block, ctes: Mapping[str, Cte]) -> None:
        match node:
            case exp.Column() if isinstance(node.this, exp.Star):
                self._all_of(node, block)
            case exp.Column() | exp.Dot() if (parts := parts_of(node)) is not None:
                self.names.name(node, parts, block)
            case exp.Bracket():
                self.children(node, block, ctes)
                self.names.index_of_variable(node)
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
                    self.children(item, block, ctes)
            case exp.Window():
                for key in ("this", "partition_by", "order", "spec", "over"):
                    value = node.args.get(key)
                    for child in value if isinstance(value, list) else [value]:
                        if isinstance(child, exp.Expr) and not isinstance(child, exp.Identifier):
                            self.expression(child, block, ctes)
            case exp.Anonymous() if str(node.this).lower() == "env":
                self.names.env(node)
            case exp.Anonymous() if str(node.this).lower() == "now" and not node.expressions:
                self.names.moment(node)
            case exp.CurrentTimestamp() | exp.CurrentDate():
                self.names.moment(node)
            case exp.In() if isinstance(node.args.get("field"), exp.Expr):
                self.expression(node.this, block, ctes)
                self.expression(node.args["field"], block, ctes)
            case _:
                self.children(node, block, ctes)

    def _star_names(self, node: exp.Expr, key: str, block: Block) -> None:
        for item in node.args.get(key) or ():
            for column in item.find_all(exp.Column):
                names = {n for s in block.visible for n in s.outputs}
                if column.name.lower() not in names and not any(s.is_open for s in block.visible):
                    no_column(column.name, self.bound.text.span(column), block.visible)
                break

    def _comprehension(
        self, node: exp.Comprehension, block: Block, ctes: Mapping[str, Cte]
    ) -> None:
        name = node.expression.name.lower()
        local = Block(exp.Select(), block, is_denied=True)
        local.sources.append(Source("", {name: Output(name)}))
        for key in ("this", "condition"):
            if isinstance(node.args.get(key), exp.Expr):
                self.expression(node.args[key], local, ctes)
        self.expression(node.args["iterator"], block, ctes)

    def _all_of(self, node: exp.Column, block: Block) -> None:
        source = self.names.qualifier(node, block)
        if source.scan is not None:
            source.scan.needs_all = True
        node.set("db", None)
        node.set("table", exp.to_identifier(source.alias, quoted=True))
        self.stars.append((node, source))


def _output_name(projection: exp.Expr) -> str:
    if isinstance(projection, exp.Alias):
        return projection.alias
    if isinstance(projection, exp.Dot):
        return projection.expression.name
    if isinstance(projection, exp.Column):
        return projection.name
    return ""
